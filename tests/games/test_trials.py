"""Trials after learning: who explored is recorded, and every session is the same in any batch."""

from dataclasses import replace

import numpy as np
import pytest

from mos_agents.games import loops
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.trials import TrialPlan, play_some, play_trials, static_best_reply, strangers
from mos_agents.learners import QLearning
from mos_agents.market.schedules import Alternating
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from tests.games.worlds import everybody, logit

LEARNER = QLearning(prices=(0.9, 1.0, 1.1, 1.2, 1.3), beta=1e-3, delta=0.8)


def game_of(**parts):
    market = logit(**parts)
    return RepeatedGame.of(market, everybody(market, LEARNER))


TURNS = {"together": {}, "in turn": {"schedule": Alternating()}}


@pytest.mark.parametrize("turns", TURNS)
def test_who_explored_is_what_the_random_numbers_say(turns):
    game = game_of(**TURNS[turns])
    state = game.start(3, 2)
    tried, trace = np.zeros((400, 2), np.bool_), np.empty((400, 2), np.int64)
    game.advance(state, 3, 2, 1001)
    game.advance(state, 3, 2, 1401, trace=trace, tried=tried, explore=0.1)
    for i, name in enumerate(game.stage.players):
        streams = Streams.of(3, np.array([2]), owner=name)
        drawn = [streams.at(t).block_uniforms("explore", 1)[0, 0] < 0.1 for t in range(1001, 1401)]
        moves = np.arange(1001, 1401) % 2 == i if turns == "in turn" else True
        assert (tried[:, i] == (np.array(drawn) & moves)).all()
    assert 20 < tried.sum() < 150


def test_the_general_loop_records_the_same_trials(monkeypatch):
    found = []
    for general in (False, True):
        if general:
            monkeypatch.setattr(loops, "play_pair", loops.play)
        game = game_of()
        state = game.start(0, 5)
        tried, trace = np.zeros((300, 2), np.bool_), np.empty((300, 2), np.int64)
        game.advance(state, 0, 5, 1003)
        game.advance(state, 0, 5, 1303, trace=trace, tried=tried, explore=0.05)
        found.append((tried, trace))
    assert (found[0][0] == found[1][0]).all() and (found[0][1] == found[1][1]).all()


def test_without_learning_tables_stay_and_the_chance_to_explore_comes_back():
    game = game_of()
    state = game.start(0, 0)
    game.advance(state, 0, 0, 2000)
    table, epsilon = state.q.copy(), state.epsilon.copy()
    game.advance(state, 0, 0, 3000, explore=0.3, learning=False)
    assert (state.q == table).all() and (state.epsilon == epsilon).all()
    game.advance(state, 0, 0, 3100, explore=0.3)
    assert (state.q != table).any()


def test_sessions_are_the_same_in_any_batch_and_in_a_folder(tmp_path):
    arms = ("learning", "not_learning", "strangers")
    given = {"periods": 3000, "window": 500, "ticks": 200, "arms": arms, "seed": 4}
    whole = play_trials(game_of(), sessions=4, per_task=3, folder=tmp_path / "f", **given)
    alone = play_trials(game_of(), sessions=[2], **given)
    again = play_trials(game_of(), sessions=4, per_task=3, folder=tmp_path / "f", **given)
    assert whole.played.session.tolist() == [0, 1, 2, 3]
    for arm in arms:
        assert whole.paths[arm].prices.shape == (200, 4, 2)
        for name in ("prices", "tried"):
            one = getattr(whole.paths[arm], name)
            assert (one[:, [2]] == getattr(alone.paths[arm], name)).all()
            assert (one == getattr(again.paths[arm], name)).all()
    share = whole.paths["learning"].tried.mean()
    assert 0.0 < share < 0.05
    # The same random numbers: the same trials with learning and without.
    assert (whole.paths["learning"].tried == whole.paths["not_learning"].tried).all()


def test_strangers_bring_their_own_tables():
    game = game_of()
    states = [game.start(0, s) for s in (0, 1)]
    for s, state in enumerate(states):
        game.advance(state, 0, s, 500)
    made = strangers(game, states)
    rows = game.states(0)
    assert (made.q[:rows] == states[0].q[:rows]).all()
    assert (made.q[rows:] == states[1].q[rows:]).all()
    assert made.level.tolist() == [states[0].level[0], states[1].level[1]]
    profile = game.stage.profile(made.level)
    assert made.now.tolist() == game.stage.states[:, profile].tolist()


def test_static_best_replies_are_those_of_the_stage_game():
    stage = game_of().stage
    reply = static_best_reply(stage)
    found = reply(stage.prices)
    for p in range(len(stage.payoffs)):
        levels = stage.levels(p)
        own = [stage.payoffs[stage.profile(np.array([a, levels[1]])), 0] for a in range(5)]
        assert found[p, 0] == LEARNER.grid[int(np.argmax(own))] * 1.5
    nudged = np.clip(stage.prices + 0.01, stage.prices.min(), stage.prices.max())
    assert (reply(nudged) == found).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chance": 0.0}, "chance=0.0"),
        ({"ticks": 0}, "ticks=0"),
        ({"arms": ("on",)}, "arms: 'on' must be one of"),
    ],
)
def test_a_wrong_setting_is_one_line(change, message):
    with pytest.raises(InputError, match=message):
        play_trials(game_of(), sessions=1, **change)


def test_a_task_plays_no_session_twice():
    calls = []
    game = game_of()

    class CountedGame(RepeatedGame):
        def start(self, seed, session):
            calls.append(session)
            return super().start(seed, session)

    counting = CountedGame(game.stage, tuple(replace(one) for one in game.learners))
    plan = TrialPlan(50, 0.01, ("learning", "strangers"), 500, 100)
    play_some(counting, 0, (0, 1, 2), plan)
    assert calls == [0, 1, 2, 3]


def test_whole_numbers_as_settings_play_as_the_same_fractions():
    market, paths = logit(), []
    for delta, alpha in ((0, 1), (0.0, 1.0)):
        learner = replace(LEARNER, delta=delta, alpha=alpha)
        game = RepeatedGame.of(market, everybody(market, learner))
        paths.append(play_trials(game, sessions=1, periods=500, ticks=50).paths["learning"].prices)
    assert (paths[0] == paths[1]).all()
