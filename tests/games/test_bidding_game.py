"""The repeated auction: against a loop in plain numpy, cases by hand, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from mos_agents.games.bidding_game import BiddingGame, play_bidding_sessions
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError

BASE = BiddingGame()
BUSY = replace(BASE, epsilon=0.4, decay=1e-4, steps=8)


def rewards(game, bids, winner_among, bid, i, stranger):
    """What bidder i earns with a bid, in steps, where the others bid `bids`."""
    rivals = [b for j, b in enumerate(bids) if j != i] + [stranger] * int(stranger >= 0.0)
    second = max(rivals)
    reserve = game.reserve * game.steps
    if bid < second or bid < reserve:
        return 0.0
    pays = max(second, reserve)
    pays = pays + (2.0 - game.mix) * (bid - pays)
    earned = game.steps - pays
    if bid == second:
        if game.feedback or game.ties == "split":
            return earned / (rivals.count(second) + 1)
        return earned if winner_among == i else 0.0
    return earned


def reference(game, seed, session, auctions):
    """Tables and greedy bids after so many auctions, as the rules are written."""
    n, numbers = game.bidders, np.array([session])
    q = np.full((n, game.steps - 1), game.initial * game.steps / (1.0 - game.gamma))
    owners = [Streams.of(seed, numbers, owner=f"bidder_{i + 1}") for i in range(n)]
    market, epsilon = Streams.of(seed, numbers), game.epsilon
    greedy, changed = np.zeros(n, int), 0
    for t in range(auctions):
        bids = []
        for i in range(n):
            draws = owners[i].at(t)
            u = draws.uniforms("try", 2)[0]
            best = np.flatnonzero(q[i] == q[i].max())
            chosen = int(best[0])
            if game.greedy_ties == "random" and len(best) > 1:
                chosen = int(best[int(u[1] * len(best))])
            if chosen != greedy[i]:
                greedy[i], changed = chosen, t
            if draws.block_uniforms("explore", 1)[0, 0] < epsilon:
                if game.explores == "all":
                    chosen = int(u[0] * q.shape[1])
                else:
                    chosen = min(max(chosen + (1 if u[0] < 0.5 else -1), 0), q.shape[1] - 1)
            bids.append(chosen + 1)
        epsilon *= np.exp(-game.decay)
        stranger = -1.0
        if game.fringe:
            stranger = game.steps * market.at(t).block_uniforms("fringe", 1)[0, 0]
        tied = [i for i in range(n) if bids[i] == max(bids)]
        winner = tied[int(market.at(t).block_uniforms("tie", 1)[0, 0] * len(tied))]
        for i in range(n):
            top = q[i].max()
            made = range(1, game.steps) if game.feedback else [bids[i]]
            for bid in made:
                target = rewards(game, bids, winner, bid, i, stranger) + game.gamma * top
                q[i, bid - 1] = (1.0 - game.alpha) * q[i, bid - 1] + game.alpha * target
    for i in range(n):
        best = np.flatnonzero(q[i] == q[i].max())
        if (len(best) == 1 or game.greedy_ties == "lowest") and best[0] != greedy[i]:
            greedy[i], changed = best[0], auctions - 1
    return q, greedy + 1, auctions - 1 - changed


@pytest.mark.parametrize(
    "game",
    [
        BUSY,
        replace(BUSY, mix=1.3, bidders=3),
        replace(BUSY, mix=2.0, reserve=0.25),
        replace(BUSY, feedback=True),
        replace(BUSY, feedback=True, bidders=3, greedy_ties="random", mix=1.7),
        replace(BUSY, ties="split", explores="neighbours", greedy_ties="random"),
        replace(BUSY, fringe=True, reserve=0.1, gamma=0.5),
        replace(BASE, greedy_ties="random"),
    ],
    ids=lambda game: f"{game.bidders}-{game.mix}-{game.feedback}-{game.greedy_ties}-{game.ties}",
)
def test_the_compiled_loop_is_the_plain_loop(game):
    for session in (0, 5):
        q, bids, stable = reference(game, 3, session, 1500)
        played = game.play(3, session, 1500)
        np.testing.assert_array_equal(played.values, q)
        np.testing.assert_array_equal(played.bids, bids)
        assert played.stable == stable


def test_a_session_is_the_same_in_any_company():
    together = play_bidding_sessions(BUSY, 1, range(3), 500)
    np.testing.assert_array_equal(together[2].values, BUSY.play(1, 2, 500).values)
    assert not np.array_equal(together[1].values, together[2].values)


def test_revenue_by_hand():
    bids = np.array([[10, 6], [6, 6], [3, 2]])
    paid = {1.0: [0.5, 0.3, 0.15], 1.5: [0.4, 0.3, 0.125], 2.0: [0.3, 0.3, 0.1]}
    for mix, expected in paid.items():
        np.testing.assert_allclose(BiddingGame(mix=mix).revenue(bids), expected)
    # A reserve of .4 is the second price of the first auction, and nobody reaches it in the others.
    np.testing.assert_allclose(BiddingGame(mix=2.0, reserve=0.4).revenue(bids), [0.4, 0.0, 0.0])


def test_first_values_of_one_over_one_minus_gamma_end_low_and_small_ones_do_not():
    # What decides is that bids are given up from above, at unequal speeds.
    def revenue(game, auctions=200_000):
        played = play_bidding_sessions(game, 0, range(8), auctions)
        return game.revenue(np.stack([one.bids for one in played])).mean()

    assert revenue(BASE) < 0.4
    assert revenue(replace(BASE, initial=0.01)) > revenue(BASE) + 0.2
    assert revenue(replace(BASE, mix=2.0), 1_000_000) > 0.9
    assert revenue(replace(BASE, feedback=True)) >= 0.9
    assert revenue(replace(BASE, ties="split")) < 0.1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mix": 2.5}, r"mix=2.5 must be a number in \[1, 2\]"),
        ({"bidders": 1}, r"bidders=1 must be a whole number in \[2, 10\]"),
        ({"gamma": 1.0}, r"gamma=1.0 must be a number in \[0, 0.999999\]"),
        ({"alpha": 0.0}, r"alpha=0.0 must be a number in \(0, 1\]"),
        ({"ties": "shared"}, "ties='shared' must be drawn or split"),
        ({"feedback": "yes"}, "feedback='yes' must be False or True"),
        ({"feedback": True, "ties": "split"}, "leave ties out"),
    ],
)
def test_what_is_no_auction_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        BiddingGame(**setting)
