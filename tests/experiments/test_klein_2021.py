"""Klein (2021): the market by hand, moves in turn in both ways to play, and what comes out."""

import math

import numpy as np
import pytest

from experiments.klein_2021.run import (
    FIRMS,
    KleinOutcome,
    KleinSettings,
    learner,
    market,
    played,
    replicate,
)
from experiments.replication import ExecutionConfig
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import Cycles, GreedyGame
from mos_agents.rollout import rollout


@pytest.fixture(scope="module")
def sixty():
    """Sixty runs at k = 6 of the paper's length."""
    return {one.quantity: one for one in replicate(KleinSettings(sessions=60), ExecutionConfig())}


def test_exploration_is_a_thousandth_halfway_and_a_millionth_in_the_end():
    s = KleinSettings()
    assert (1.0 - s.theta) ** (s.periods / 2) == pytest.approx(1e-3)
    assert (1.0 - s.theta) ** s.periods == pytest.approx(1e-6)
    assert s.theta == pytest.approx(2.763e-5, rel=1e-3)
    assert learner(s).decay == pytest.approx(1.0 - s.theta, rel=1e-15)


def test_the_cheaper_serves_one_minus_p_and_equal_prices_share_it():
    stage = StageGame.of(market(KleinSettings()), dict.fromkeys(FIRMS, learner(KleinSettings())))
    pay = stage.payoffs.reshape(7, 7, 2)
    assert pay[3, 3] == pytest.approx([0.125, 0.125])
    assert pay[2, 5] == pytest.approx([2 / 6 * 4 / 6, 0.0])
    assert pay[6, 6] == pytest.approx([0.0, 0.0])
    assert pay.sum(axis=2).max() == pytest.approx(0.25)
    np.testing.assert_allclose(stage.prices.reshape(7, 7, 2)[4, 1], [4 / 6, 1 / 6])


def test_the_joint_maximum_is_both_asking_a_half_and_not_one_alone():
    game = RepeatedGame.of(market(KleinSettings()), dict.fromkeys(FIRMS, learner(KleinSettings())))
    profile = game.stage.profile([[3, 3], [3, 6], [4, 4]])
    cycles = Cycles(np.ones(3, int), np.arange(4), profile, profile, np.zeros(3, int))
    outcome = KleinOutcome(KleinSettings(), game, None, None, cycles)
    assert outcome.at_joint_maximum().tolist() == [True, False, False]


def frozen(k, replies):
    """Two firms that answer the rival's level by `replies` [k + 1], from level k on both sides."""
    game = RepeatedGame.of(
        market(KleinSettings(k=k)), dict.fromkeys(FIRMS, learner(KleinSettings(k=k)))
    )
    whole = np.array([[k, k]])
    made = Played(
        np.zeros(1, int),
        np.zeros(1, int),
        np.zeros(1, bool),
        np.array([[*replies, *replies]], np.int16),
        whole,
        whole,
        whole,
        np.zeros((1, 2)),
        np.full((1, 1), -1),
    )
    judge = GreedyGame(game, made)
    return KleinOutcome(KleinSettings(k=k), game, made, judge, judge.cycles())


def test_undercutting_step_by_step_and_starting_anew_is_a_saw_tooth():
    undercut = frozen(6, [6, 0, 1, 2, 3, 4, 5])
    assert undercut.cycles.length.tolist() == [14]
    assert undercut.saw_tooth().tolist() == [True]
    assert frozen(6, [3] * 7).saw_tooth().tolist() == [False]  # a price held
    raising = frozen(6, [1, 2, 3, 4, 5, 6, 0])  # step by step upward, and one fall
    assert raising.saw_tooth().tolist() == [False]


def test_turn_by_turn_the_compiled_game_plays_what_the_market_plays():
    s = KleinSettings(periods=2000)
    made = RepeatedGame.of(market(s), dict.fromkeys(FIRMS, learner(s)))
    state, trace = made.start(7, 0), np.empty((500, 2), np.int64)
    made.advance(state, 7, 0, 500, trace=trace)
    seen = rollout(market(s), dict.fromkeys(FIRMS, learner(s)), seed=7, ticks=500, series=("ask",))
    np.testing.assert_array_equal(s.prices[trace], seen.series["ask"][:, 0])
    moved = np.diff(trace, axis=0) != 0
    assert moved.any(axis=0).all()
    assert not moved[0::2, 0].any() and not moved[1::2, 1].any()  # tick 1 is the second firm's


def test_profit_nash_share_and_joint_maximum_share_are_the_papers(sixty):
    for name in ("profit", "exact_nash_share", "joint_maximum_share"):
        assert sixty[name].within is True, sixty[name]
    # The bounds are honest: sixty runs tell .108 from the joint profit and from competition.
    low, high = sixty["profit"].ci95
    assert 0.0611 < low < high < 0.125
    assert sixty["joint_profit"].ours == pytest.approx(0.125)
    assert sixty["edgeworth_share"].ours < 0.2


def test_on_a_finer_grid_saw_teeth_take_over(sixty):
    outcome = played(KleinSettings(k=24, sessions=16), ExecutionConfig())
    assert outcome.saw_tooth().mean() > 0.5
    assert outcome.at_joint_maximum().mean() < sixty["joint_maximum_share"].ours


def test_no_figure_of_the_paper_is_held_against_other_settings():
    found = replicate(KleinSettings(k=3, sessions=2, periods=5000), ExecutionConfig())
    assert {one.published for one in found} == {None}
    assert all(math.isfinite(one.ours) for one in found)
