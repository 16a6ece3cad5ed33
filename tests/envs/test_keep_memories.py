"""Learners inside an environment that remember over its episodes."""

import numpy as np
import pytest

from envs.batched import BatchedMarket
from envs.market_env import MarketEnv
from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.trees import named

RIVAL = {"firm_2": {"kind": "q_learning", "prices": 5, "alpha": 0.3}}


def batch(ticks=10, keep=True, **changes):
    """Three markets in which firm_1 is played from outside."""
    game = scenarios.preset("pricing_game", ticks=ticks, **changes)
    return BatchedMarket(
        game, 3, agents=["firm_1"], policies=RIVAL, seed=4, keep_memories=keep, auto_reset=True
    )


def play(made, ticks, price=1.5):
    """What firm_1 sees in so many ticks."""
    action = np.full(made.action_shape, price)
    return np.stack([made.step(action)[0] for _ in range(ticks)])


def memory(made):
    return made._episode.hosted.memories[0]


@pytest.mark.parametrize("keep", [True, False])
def test_what_a_rival_has_learnt_outlives_the_episode_only_where_asked(keep):
    made = batch(keep=keep)
    made.reset()
    fresh = memory(made).q.copy()
    play(made, 10)  # the last tick resets
    assert (memory(made).q != fresh).any() == keep
    assert memory(made).clock[0] == (10 if keep else 0)


def test_a_kept_memory_grows_as_old_as_in_one_long_episode():
    short, long = batch(10), batch(100)
    short.reset()
    long.reset()
    play(short, 99)
    play(long, 99)
    assert memory(short).clock[0] == memory(long).clock[0] == 99
    assert memory(short).epsilon[0] == memory(long).epsilon[0]


def test_the_last_reward_of_an_episode_is_heard():
    made = batch(10)
    made.reset()
    play(made, 9)
    before = memory(made).q.copy()
    play(made, 1)
    row, level = memory(made).row.copy(), memory(made).level.copy()
    play(made, 1)  # the first tick of the next episode
    now = memory(made).q
    changed = {tuple(place) for place in np.argwhere(now != before).tolist()}
    last = {(int(r), int(a)) for r, a in zip(row.ravel(), level.ravel(), strict=True)}
    assert last <= changed


def test_an_episode_goes_on_from_its_snapshot_bit_for_bit():
    made = batch(20)
    made.reset()
    play(made, 33)
    kept = {name: array.copy() for name, array in named(made.snapshot())}
    seed = made.episode_seed
    after = play(made, 27)
    other = batch(20)
    seen = other.restore(seed, kept)
    assert seen.shape == (3, 10)
    assert np.array_equal(play(other, 27), after)


@pytest.mark.parametrize("runtime", ["actors", "ray"])
def test_actors_begin_anew_and_that_is_said(runtime):
    with pytest.raises(InputError, match="keep_memories=True: runtime="):
        MarketEnv(
            scenarios.preset("pricing_game", ticks=9),
            agents=["firm_1"],
            runtime=runtime,
            keep_memories=True,
        )


def test_turns_must_divide_the_horizon():
    with pytest.raises(InputError, match="moves every 2 ticks, which does not divide horizon=9"):
        batch(9, schedule={"kind": "alternating"})
