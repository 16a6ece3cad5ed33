"""What patience and exploration count in: ticks, or own moves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.strategies import GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.schedules import Alternating, Periodic, RandomMoves
from mos_agents.market.types import InputError
from mos_agents.policies import make, to_config
from mos_agents.rollout import rollout
from mos_agents.rollout.episode import ParticipantPool, transitions
from tests.games.worlds import everybody, logit, quick

BOTH = ("q_learning", "sarsa", "boltzmann", "wolf_phc")
EXPLORING = (*BOTH, "bandit_epsilon_greedy")
GRID = {"low": 0.9, "high": 1.3, "prices": 4}


def slow(pace, offset=0):
    """Two sellers who both move every `pace` ticks."""
    return logit(2, opening=1.6, schedule=Periodic((pace, pace), (offset, offset)))


def prices(market, learner, ticks=200, seed=0):
    run = rollout(market, everybody(market, learner), seed=seed, ticks=ticks, series=["ask"])
    return run.series["ask"]


def learner_of(kind, **settings):
    return make(kind, **GRID, **settings)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("pace", [2, 5])
def test_counting_in_moves_is_counting_in_ticks_at_other_rates(kind, pace):
    """delta per move is delta^(1/k) per tick, beta per move is beta / k per tick: the same bits."""
    per_move = learner_of(kind, delta=0.8, beta=0.05, discount_per="move", explore_per="move")
    per_tick = learner_of(kind, delta=0.8 ** (1 / pace), beta=0.05 / pace)
    market = slow(pace)
    np.testing.assert_allclose(prices(market, per_move), prices(market, per_tick), rtol=1e-12)


@pytest.mark.parametrize("kind", EXPLORING)
def test_where_everybody_moves_at_every_tick_both_are_one(kind):
    changed = {"explore_per": "move"} | ({"discount_per": "move"} if kind in BOTH else {})
    market = logit(2)
    ticks, moves = learner_of(kind, beta=0.02), learner_of(kind, beta=0.02, **changed)
    np.testing.assert_array_equal(prices(market, ticks), prices(market, moves))


def learnt(market, learner, ticks=400):
    """[...] the first seller's table of values after so many ticks."""
    pool = ParticipantPool.of(market, everybody(market, learner), 0, 1)
    for _ in transitions(market, everybody(market, learner), seed=0, ticks=ticks, pool=pool):
        pass
    memory = pool.memories[0]
    return np.array(memory.q if hasattr(memory, "q") else memory.tables.q)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("setting", ["discount_per", "explore_per"])
def test_each_setting_changes_what_a_slow_seller_learns(kind, setting):
    settings = {"delta": 0.5, "beta": 0.02} | ({"epsilon": 0.9} if kind == "wolf_phc" else {})
    one = learnt(slow(4), learner_of(kind, **settings))
    other = learnt(slow(4), learner_of(kind, **settings, **{setting: "move"}))
    assert not np.array_equal(one, other)


@given(
    pace=st.integers(1, 50),
    beta=st.floats(0.0, 0.5),
    delta=st.floats(0.0, 1.0),
    offset=st.integers(0, 3),
)
@settings(max_examples=50, deadline=None)
def test_a_ban_on_fast_repricing_leaves_patience_and_tries_from_move_to_move_alone(
    pace, beta, delta, offset
):
    learner = quick(delta=delta, beta=beta, discount_per="move", explore_per="move")
    spec = slow(pace, min(offset, pace - 1)).specs[0]
    assert learner.tick_discount(spec) ** pace == pytest.approx(delta, abs=1e-12)
    assert learner.tick_decay(spec) ** pace == pytest.approx(np.exp(-beta), rel=1e-12)
    ticks = replace(learner, discount_per="tick", explore_per="tick")
    assert (ticks.tick_discount(spec), ticks.tick_decay(spec)) == (delta, ticks.decay)


@pytest.mark.parametrize("explore_per", ["tick", "move"])
def test_slow_sellers_try_as_often_as_quick_ones_only_where_tries_count_in_moves(explore_per):
    """Expected tries are 1 / beta for a seller that moves at every tick."""
    learner = quick(beta=2e-2, epsilon=1.0, explore_per=explore_per)
    game = RepeatedGame.of(slow(5), everybody(slow(5), learner))
    chances, state = [], game.start(0, 0)
    for tick in range(3000):
        if tick % 5 == 0:
            chances.append(float(state.epsilon[0]))
        game.advance(state, 0, 0, tick + 1)
    wanted = 1.0 / (1.0 - np.exp(-2e-2 * (5 if explore_per == "tick" else 1)))
    assert sum(chances) == pytest.approx(wanted, rel=1e-4)


def test_exact_values_of_a_slow_seller_discount_by_what_it_counts_in():
    """A price left alone for ever is worth pi / (1 - delta per tick)."""
    market = slow(4)
    for per, delta in (("tick", 0.9), ("move", 0.9**0.25)):
        learner = quick(delta=0.9, beta=1.0, discount_per=per)
        game = RepeatedGame.of(market, everybody(market, learner))
        greedy = GreedyGame(game, play_sessions(game, seed=0, sessions=1, periods=200, window=0))
        values = greedy.values(0, 0, best_reply=False)
        cycles = greedy.cycles()
        if cycles.length[0] == 1:
            profile, phase = cycles.profile[0], cycles.phase[0]
            pay = game.stage.payoffs[profile, 0]
            assert values[profile, phase] == pytest.approx(pay / (1.0 - delta), rel=1e-9)


@pytest.mark.parametrize("kind", EXPLORING)
@pytest.mark.parametrize("setting", ["discount_per", "explore_per"])
def test_a_seller_who_moves_by_chance_cannot_count_in_moves(kind, setting):
    if kind not in BOTH and setting == "discount_per":
        with pytest.raises(InputError, match="discount_per"):
            learner_of(kind, discount_per="move")  # a bandit discounts nothing
        return
    market = logit(2, opening=1.6, schedule=RandomMoves(0.5))
    with pytest.raises(InputError) as caught:
        rollout(market, everybody(market, learner_of(kind, **{setting: "move"})), ticks=2)
    assert f"firm_1: {kind}.{setting}='move' needs moves at fixed distances" in str(caught.value)
    assert f"give {setting}='tick'" in str(caught.value)


@pytest.mark.parametrize("kind", EXPLORING)
@pytest.mark.parametrize("value", ["ticks", "", "Move", None, 1, True])
def test_what_is_neither_tick_nor_move_is_refused(kind, value):
    with pytest.raises(InputError, match=r"explore_per=.* must be 'tick' or 'move'"):
        learner_of(kind, explore_per=value)


def test_the_settings_travel_with_the_policy():
    learner = quick(discount_per="move", explore_per="move")
    assert make(**to_config(learner)) == learner
    assert to_config(QLearning())["discount_per"] == "tick"


def test_in_turn_counts_a_round_as_a_move():
    market = logit(2, opening=1.6, schedule=Alternating())
    learner = quick(delta=0.81, discount_per="move")
    assert learner.tick_discount(market.specs[1]) == pytest.approx(0.9)
