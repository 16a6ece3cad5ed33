"""Bidders that learn without a state, in an auction that is repeated many times.

Each bidder has one table, a value for each bid. Bids are whole numbers of steps, so that rewards
are exact and equal rewards tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mos_agents.learners.q_learning import break_tie, value
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.kernels import inlined, kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams, block, key_number
from mos_agents.market.types import Array, InputError, IntArray

GREEDY_TIES = ("lowest", "random")
"""Which of several best bids is made: the lowest, or one drawn at each auction."""
TIES = ("drawn", "split")
"""What several highest bidders get: one of them wins, or each wins its share."""
EXPLORES = ("all", "neighbours")
"""Which bids a bidder tries: any, or the two beside its greedy bid."""
FEW_BIDDERS = 10
NO_MORE_TRIES = 1e-18
"""A chance to try other bids below this is nil: no uniform number is so small but 0 itself."""


class BiddingRules(NamedTuple):
    """The numbers of a `BiddingGame`, as the loop takes them. Money is in steps."""

    value: float
    mix: float
    reserve: float
    alpha: float
    gamma: float
    epsilon: float
    decay: float
    feedback: bool
    lowest: bool
    drawn: bool
    neighbours: bool
    fringe: bool


@short_repr
@dataclass(frozen=True, eq=False)
class BiddingPlayed:
    """How a session ended.

    Parameters
    ----------
    bids : array of int [n]
        The greedy bid of each bidder, in steps.
    stable : int
        Auctions since a greedy bid last changed.
    values : array [n, K]
        The bidders' tables, in steps.
    """

    bids: IntArray
    stable: int
    values: Array


@dataclass(frozen=True)
class BiddingGame:
    """A sealed-bid auction of one unit among n bidders that learn by Q-learning.

    Bids are 1/K, ..., (K - 1)/K of the value 1, with K = `steps`. The highest bid wins, if it is at
    least the reserve. The winner pays (2 - mix) times its bid plus (mix - 1) times the second
    price: the next highest bid or the reserve, whichever is higher.

    Parameters
    ----------
    bidders : int
        n, in [2, 10].
    mix : float
        1 is a first-price auction, 2 a second-price auction; in [1, 2].
    reserve : float
        Lowest bid that can win, in [0, 1], as a share of the value.
    feedback : bool
        Whether each bidder is told the highest rival bid, and corrects the value of every bid by
        what it would have earned. Without feedback it corrects the bid that it made.
    alpha, gamma : float
        Learning rate in (0, 1] and discount factor in [0, 1).
    epsilon, decay : float
        The chance to try a bid in auction t is epsilon exp(-decay t).
    initial : float
        First value of each bid times (1 - gamma), as a share of the value.
    ties, greedy_ties, explores : str
        One of `TIES`, `GREEDY_TIES` and `EXPLORES`. With feedback, rewards of ties are expected
        ones, so that `ties` decides nothing.
    fringe : bool
        Whether one more bid, uniform on [0, 1], takes part in each auction.
    steps : int
        K, at least 3.
    """

    bidders: int = 2
    mix: float = 1.0
    reserve: float = 0.0
    feedback: bool = False
    alpha: float = 0.05
    gamma: float = 0.99
    epsilon: float = 0.025
    decay: float = 2e-4
    initial: float = 1.0
    ties: str = "drawn"
    greedy_ties: str = "lowest"
    explores: str = "all"
    fringe: bool = False
    steps: int = 20

    def __post_init__(self) -> None:
        check_whole("bidders", self.bidders, 2, FEW_BIDDERS)
        check_whole("steps", self.steps, 3, 1000)
        for name, low, high in (
            ("mix", 1.0, 2.0),
            ("reserve", 0.0, 1.0),
            ("alpha", 0.0, 1.0),
            ("gamma", 0.0, 0.999999),
            ("epsilon", 0.0, 1.0),
            ("decay", 0.0, 1.0),
            ("initial", -1e6, 1e6),
        ):
            check_real(name, getattr(self, name), low, high, above=name == "alpha")
        for name, allowed in (
            ("ties", TIES),
            ("greedy_ties", GREEDY_TIES),
            ("explores", EXPLORES),
            ("feedback", (False, True)),
            ("fringe", (False, True)),
        ):
            if getattr(self, name) not in allowed:
                text = " or ".join(map(str, allowed))
                raise InputError(f"{name}={getattr(self, name)!r} must be {text}")
        if self.feedback and self.ties != "drawn":
            raise InputError(
                f"ties={self.ties!r}: with feedback=True rewards of ties are expected ones; leave "
                "ties out"
            )

    @property
    def rules(self) -> BiddingRules:
        """The numbers of this game, as the loop takes them."""
        reserve = self.reserve * self.steps
        whole = round(reserve)
        return BiddingRules(
            float(self.steps),
            float(self.mix),
            float(whole) if abs(reserve - whole) < 1e-9 else reserve,
            float(self.alpha),
            float(self.gamma),
            float(self.epsilon),
            float(np.exp(-self.decay)),
            bool(self.feedback),
            self.greedy_ties == "lowest",
            self.ties == "drawn",
            self.explores == "neighbours",
            bool(self.fringe),
        )

    def revenue(self, bids: IntArray) -> Array:
        """What the auctioneer gets for bids in steps.

        Parameters
        ----------
        bids : array of int [..., n]
            Bids in steps.

        Returns
        -------
        array [...]
            The price that is paid, as a share of the value; 0 where no bid reaches the reserve.
        """
        reserve = self.rules.reserve
        ordered = np.sort(np.asarray(bids, dtype=np.float64), axis=-1)
        highest, second = ordered[..., -1], np.maximum(ordered[..., -2], reserve)
        paid = second + (2.0 - self.mix) * (highest - second)
        return np.where(highest >= reserve, paid, 0.0) / self.steps

    def play(self, seed: int, session: int, auctions: int) -> BiddingPlayed:
        """Play one session of a fixed number of auctions.

        Parameters
        ----------
        seed : int
            Seed of all random numbers.
        session : int
            The session's number.
        auctions : int
            How many auctions.

        Returns
        -------
        BiddingPlayed
            How it ended.
        """
        first = self.initial * self.steps / (1.0 - self.gamma)
        values = np.full((self.bidders, self.steps - 1), first)
        owners = [f"bidder_{i + 1}" for i in range(self.bidders)]
        keys = np.stack([Streams.of(seed, 1, owner=name).philox_key for name in owners])
        market = Streams.of(seed, 1).philox_key
        bids = np.zeros(self.bidders, np.int64)
        changed = play_auctions(
            self.rules,
            keys,
            (market[0], market[1]),
            np.uint64(session),
            (
                np.uint64(key_number("explore")),
                np.uint64(key_number("try")),
                np.uint64(key_number("tie")),
                np.uint64(key_number("fringe")),
            ),
            values,
            bids,
            int(auctions),
        )
        return BiddingPlayed(bids + 1, int(auctions) - 1 - int(changed), values)


@inlined
def best_bid(values, i, lowest):  # type: ignore[no-untyped-def]
    """Bidder i's best bid; -1 where several are best and one of them is to be drawn."""
    top, found = values[i, 0], 0
    for a in range(1, values.shape[1]):
        entry = values[i, a]
        if entry > top:
            top, found = entry, a
        elif entry == top and not lowest:
            found = -1
    return found


@inlined
def payment(rules, bid, second):  # type: ignore[no-untyped-def]
    """What a winner with this bid pays, in steps, where the next highest bid is `second`."""
    price = max(second, rules.reserve)
    return price + (2.0 - rules.mix) * (bid - price)


@inlined
def one_of_four(four, t):  # type: ignore[no-untyped-def]
    """The uniform of auction t in the block of its four auctions."""
    word = t & 3
    return (four[0] if word == 0 else four[1]) if word < 2 else (four[2] if word == 2 else four[3])


@kernel
def play_auctions(  # type: ignore[no-untyped-def]
    rules, philox_keys, market_key, session, addresses, values, greedy, auctions
):
    """Play auctions, in place; the last auction in which a greedy bid changed.

    values: [n, K - 1] in steps. greedy: [n] filled with the greedy bids, counted from 0.
    """
    n, bids = values.shape
    explore, attempt, tie, outside = addresses
    one = np.uint64(1)
    epsilon, changed = rules.epsilon, 0
    best, made = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        best[i] = best_bid(values, i, rules.lowest)
    for t in range(auctions):
        word, quarter = np.uint64(t), np.uint64(t >> 2)
        for i in range(n):
            own = (philox_keys[i, 0], philox_keys[i, 1])
            tries = False
            if epsilon > NO_MORE_TRIES:
                tries = one_of_four(block(own, one, quarter, session, explore), t) < epsilon
            if tries or best[i] < 0:
                u0, u1, _, _ = block(own, one, word, session, attempt)
                chosen = best[i] if best[i] >= 0 else break_tie(values, i, u1)
                if chosen != greedy[i]:
                    greedy[i], changed = chosen, t
                made[i] = chosen
                if tries and rules.neighbours:
                    made[i] = min(max(chosen + (1 if u0 < 0.5 else -1), 0), bids - 1)
                elif tries:
                    made[i] = min(int(u0 * bids), bids - 1)
            else:
                made[i] = best[i]
                if best[i] != greedy[i]:
                    greedy[i], changed = best[i], t
        epsilon *= rules.decay
        stranger = -1.0
        if rules.fringe:
            stranger = rules.value * one_of_four(
                block(market_key, one, quarter, session, outside), t
            )
        highest = -1
        for i in range(n):
            highest = max(highest, made[i])
        at_top, winner = 0, 0
        for i in range(n):
            at_top += made[i] == highest
        if rules.drawn and at_top > 1 and not rules.feedback:
            u = one_of_four(block(market_key, one, quarter, session, tie), t)
            winner = min(int(u * at_top), at_top - 1)
        for i in range(n):
            second, level = stranger, 0  # of the rivals
            for j in range(n):
                if j != i:
                    rival = made[j] + 1.0
                    if rival > second:
                        second, level = rival, 1
                    elif rival == second:
                        level += 1
            top = value(values, best, i)
            if rules.feedback:
                for a in range(bids):
                    bid, reward = a + 1.0, 0.0
                    if bid >= second and bid >= rules.reserve:
                        reward = rules.value - payment(rules, bid, second)
                        if bid == second:
                            reward /= level + 1.0
                    target = reward + rules.gamma * top
                    values[i, a] = (1.0 - rules.alpha) * values[i, a] + rules.alpha * target
            else:
                bid, reward = made[i] + 1.0, 0.0
                if bid >= second and bid >= rules.reserve:
                    reward = rules.value - payment(rules, bid, second)
                    if bid == second and not rules.drawn:
                        reward /= level + 1.0
                    elif bid == second:
                        if winner != 0:
                            reward = 0.0
                        winner -= 1
                a, old = made[i], values[i, made[i]]
                target = reward + rules.gamma * top
                values[i, a] = (1.0 - rules.alpha) * old + rules.alpha * target
                kept = values[i, a] >= old if a == best[i] else values[i, a] < top
                if kept and best[i] >= 0:
                    continue
            best[i] = best_bid(values, i, rules.lowest)
    for i in range(n):
        if best[i] >= 0 and best[i] != greedy[i]:
            greedy[i], changed = best[i], auctions - 1
    return changed


def play_bidding_sessions(
    game: BiddingGame, seed: int, sessions: Sequence[int], auctions: int
) -> list[BiddingPlayed]:
    """Some sessions, one after another."""
    return [game.play(seed, one, auctions) for one in sessions]
