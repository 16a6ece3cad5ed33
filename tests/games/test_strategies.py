"""GreedyGame strategies: the cycles that they end in, and whether they are best replies."""

import numpy as np
import pytest

from mos_agents.games.deviations import deviate
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.strategies import GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.schedules import Alternating
from mos_agents.market.types import InputError
from mos_agents.rollout import rollout
from mos_agents.scenarios import load
from tests.games.worlds import bertrand, everybody, logit, played, quick

LOW, HIGH = 0.25, 0.5


def two_prices(**changes):
    """A prisoners' dilemma: (.25, .5) and demand 1 - p to the cheapest.

    Both high .125 each; both low .09375 each; alone low .1875; alone high nothing.
    """
    market = bertrand(opening=HIGH, **changes)
    features = "rivals" if changes else "all"
    learner = QLearning(prices=(LOW, HIGH), relative_to="money", features=features, delta=0.9)
    return RepeatedGame.of(market, everybody(market, learner))


# Situations are numbered (low, low), (low, high), (high, low), (high, high), first player first.
GRIM = [0, 0, 0, 1]
NICE = [1, 1, 1, 1]
TIT_FOR_TAT = ([0, 1, 0, 1], [0, 0, 1, 1])


def test_grim_strategies_hold_the_high_price_and_are_an_equilibrium():
    game = two_prices()
    greedy = GreedyGame(game, played(game, [GRIM, GRIM], [1, 1]))
    cycles = greedy.cycles()
    assert cycles.length.tolist() == [1] and cycles.profile.tolist() == [3]
    np.testing.assert_allclose(cycles.mean(game.stage.payoffs), [[0.125, 0.125]])
    judged = greedy.judged(cycles)
    # Deviating earns .1875 once and .09375 for ever: .1875 + 9 x .09375 < 10 x .125.
    assert judged.one_shot_nash().all() and judged.exact_nash().all()
    np.testing.assert_allclose(judged.nash_conv, 0.0, atol=1e-10)


def test_a_trusting_rival_is_undercut_for_ever():
    game = two_prices()
    greedy = GreedyGame(game, played(game, [NICE, NICE], [1, 1]))
    judged = greedy.judged(greedy.cycles())
    assert not judged.one_shot_nash().any() and not judged.exact_nash().any()
    # Value .125 / (1 - .9) = 1.25 each; undercutting for ever is worth 1.875.
    np.testing.assert_allclose(judged.loss, (1.875 - 1.25) / 1.875, rtol=1e-9)
    np.testing.assert_allclose(judged.nash_conv, 2 * 0.625, rtol=1e-9)
    np.testing.assert_allclose(judged.one_shot, 0.0625 / 1.25, rtol=1e-9)


def test_one_shot_and_exact_best_reply_differ_where_one_price_leads_to_another():
    # Against a rival that asks high only after (low, low), holding (high, low) for nothing looks
    # fine one deviation at a time if the own plan does not follow it up.
    game = two_prices()
    own, rival = [1, 1, 1, 1], [1, 0, 0, 0]
    greedy = GreedyGame(game, played(game, [own, rival], [1, 0]))
    cycles = greedy.cycles()
    assert cycles.profile.tolist() == [2]
    judged = greedy.judged(cycles)
    # Once low: .09375 now, then both high... the rival answers (low, low) with high: .125 next.
    once, stay = 0.09375 + 0.9 * 0.125, 0.0
    assert judged.one_shot[0, 0] > 0 and once > stay
    assert judged.gap[0, 0] > judged.one_shot[0, 0] * 0.09375


def test_tit_for_tat_out_of_step_goes_round_in_two():
    game = two_prices()
    greedy = GreedyGame(game, played(game, list(TIT_FOR_TAT), [0, 1]))
    cycles = greedy.cycles()
    assert cycles.length.tolist() == [2] and sorted(cycles.profile.tolist()) == [1, 2]
    np.testing.assert_allclose(cycles.mean(game.stage.payoffs), [[0.09375, 0.09375]])


def test_prices_that_stand_still_are_a_cycle_of_one_also_where_moves_alternate():
    game = two_prices(schedule=Alternating())
    greedy = GreedyGame(game, played(game, [[0, 1], [0, 1]], [1, 1]))
    assert greedy.phases == 2
    cycles = greedy.cycles()
    assert cycles.length.tolist() == [1]
    assert cycles.profile.tolist() == [3, 3] and sorted(cycles.phase.tolist()) == [0, 1]
    np.testing.assert_allclose(cycles.mean(game.stage.payoffs), [[0.125, 0.125]])
    # Undercutting earns .1875 now and, the rival following, .09375 until the own next move.
    assert greedy.judged(cycles).exact_nash().all()


@pytest.mark.parametrize("tempted", [0, 1])
def test_where_moves_alternate_both_are_tempted_to_leave_a_price_that_stands_still(tempted):
    # Against a rival that asks high whatever happens, low once earns .1875 twice in place of .125;
    # against one that follows it does not pay. Who is on the move next must not matter. The largest
    # value is that of standing low for a tick before the own move: 1.25 + .0625.
    game = two_prices(schedule=Alternating())
    strategies = [[0, 1], [0, 1]]
    strategies[1 - tempted] = [1, 1]
    greedy = GreedyGame(game, played(game, strategies, [1, 1]))
    cycles = greedy.cycles()
    judged = greedy.judged(cycles)
    np.testing.assert_allclose(judged.one_shot[0, tempted], 0.0625 * 1.9 / 1.3125, rtol=1e-9)
    assert judged.one_shot[0, 1 - tempted] <= 1e-12
    for player in range(2):
        assert deviate(greedy, cycles, player, to=0, lead=2, ticks=4).session.tolist() == [0]


def test_alternating_undercutters_saw_tooth():
    grid = tuple(k / 6 for k in range(7))
    market = bertrand(opening=0.5, schedule=Alternating())
    game = RepeatedGame.of(
        market, everybody(market, QLearning(prices=grid, relative_to="money", features="rivals"))
    )
    undercut = [6, 6, 1, 2, 3, 4, 5]  # one step below the rival, back to the top from the bottom
    greedy = GreedyGame(game, played(game, [undercut, undercut], [3, 3]))
    cycles = greedy.cycles()
    levels = game.stage.levels(cycles.profile)
    assert cycles.length[0] % 2 == 0 and levels.min() == 1 and levels.max() == 6


def test_values_of_best_replies_are_those_of_plain_value_iteration():
    market = logit(2)
    game = RepeatedGame.of(market, everybody(market, quick()))
    sessions = play_sessions(game, sessions=3, periods=5000, window=0)
    greedy = GreedyGame(game, sessions)
    pay, n = game.stage.payoffs, game.stage.payoffs.shape[0]
    for s in range(3):
        for i in range(2):
            rival = sessions.best[s, (1 - i) * n : (2 - i) * n]
            values = np.zeros(n)
            for _ in range(600):
                levels = game.stage.levels(np.arange(n))
                fresh = np.full(n, -np.inf)
                for a in range(4):
                    after = levels.copy()
                    after[:, 1 - i] = rival
                    after[:, i] = a
                    to = game.stage.profile(after)
                    fresh = np.maximum(fresh, pay[to, i] + 0.95 * values[to])
                values = fresh
            np.testing.assert_allclose(greedy.values(i, s, True)[:, 0], values, rtol=1e-9)


def test_renaming_the_firms_renames_the_judgement():
    game = two_prices()
    one = GreedyGame(game, played(game, [NICE, GRIM], [1, 1]))
    # In the second player's numbering (low, high) and (high, low) change places.
    swapped = GreedyGame(game, played(game, [GRIM, NICE], [1, 1]))
    first, second = one.judged(one.cycles()), swapped.judged(swapped.cycles())
    np.testing.assert_allclose(first.loss, second.loss[:, ::-1], rtol=1e-12)


def test_exact_values_are_for_memories_of_one_period_and_for_impatience():
    market = logit(2)
    for change, message in (({"periods": 2}, "periods=1"), ({"delta": 1.0}, "must be < 1")):
        game = RepeatedGame.of(market, everybody(market, quick(**change)))
        greedy = GreedyGame(game, play_sessions(game, sessions=1, periods=50, window=0))
        with pytest.raises(InputError, match=message):
            greedy.values(0, 0, True)


# --- deviations -----------------------------------------------------------------------------------


def test_a_deviation_from_grim_play_is_answered_for_ever():
    game = two_prices()
    greedy = GreedyGame(game, played(game, [GRIM, GRIM], [1, 1]))
    paths = deviate(greedy, greedy.cycles(), 0, lead=2, ticks=4)
    assert paths.shock == 2 and paths.session.tolist() == [0] and paths.weight.tolist() == [1.0]
    assert paths.prices[:, 0].tolist() == [
        [HIGH, HIGH],
        [HIGH, HIGH],
        [LOW, HIGH],
        [LOW, LOW],
        [LOW, LOW],
        [LOW, LOW],
    ]
    assert (paths.undeviated_prices == HIGH).all()
    np.testing.assert_allclose(paths.profits[2:, 0, 0], [0.1875, 0.09375, 0.09375, 0.09375])


def test_who_asks_that_price_already_does_not_deviate():
    game = two_prices()
    greedy = GreedyGame(game, played(game, [GRIM, GRIM], [0, 0]))
    assert deviate(greedy, greedy.cycles(), 0).session.size == 0
    up = deviate(greedy, greedy.cycles(), 0, to="up", lead=1, ticks=3)
    assert up.prices[:, 0].tolist() == [[LOW, LOW], [HIGH, LOW], [LOW, LOW], [LOW, LOW]]


def test_a_price_held_for_good_is_held_to_the_end():
    game = two_prices()
    greedy = GreedyGame(game, played(game, [NICE, NICE], [1, 1]))
    paths = deviate(greedy, greedy.cycles(), 1, to=0, forced=None, lead=1, ticks=5)
    assert (paths.prices[1:, 0, 1] == LOW).all() and (paths.prices[:, 0, 0] == HIGH).all()


@pytest.mark.parametrize(
    "wrong",
    [{"player": 2}, {"to": 9}, {"to": "sideways"}, {"lead": 0}, {"forced": 300}, {"ticks": 2}],
)
def test_deviations_that_make_no_sense_are_refused_in_one_line(wrong):
    game = two_prices()
    greedy = GreedyGame(game, played(game, [NICE, NICE], [1, 1]))
    given = {"player": 0} | wrong
    with pytest.raises(InputError) as refusal:
        deviate(greedy, greedy.cycles(), **given)
    assert "\n" not in str(refusal.value)


def test_strategies_as_policies_play_the_same_paths_in_the_market_itself():
    scenario = load("pricing_game")
    game = RepeatedGame.of(scenario.market(), scenario.policies())
    greedy = GreedyGame(game, play_sessions(game, seed=3, sessions=4, periods=20_000, window=0))
    played = rollout(scenario.market(), greedy.policies(), ticks=30, markets=4, series=("ask",))
    best, stage = greedy.played.best, game.stage
    levels = np.tile(stage.first_levels, (4, 1))
    begin = np.concatenate(([0], np.cumsum([game.states(i) for i in range(game.n)])))
    for t in range(30):
        states = stage.states[:, levels @ stage.strides]
        if t == 0:
            states = np.tile(stage.first_states[:, None], 4)
        levels = np.stack([best[np.arange(4), begin[i] + states[i]] for i in range(game.n)], axis=1)
        np.testing.assert_allclose(played.series["ask"][t], stage.prices[levels @ stage.strides])
