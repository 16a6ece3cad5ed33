"""Price trials tick by tick: any policy makes them, and a learner learns from them."""

import numpy as np
import pytest

from mos_agents.analysis import war_effect
from mos_agents.games.repeated import RepeatedGame
from mos_agents.learners import QLearning
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.rollout import exploration_of, rollout, tried_paths
from tests.games.worlds import everybody, logit

LEARNER = QLearning(prices=(0.9, 1.0, 1.1, 1.2, 1.3), beta=1e-2, delta=0.8, epsilon=0.5)


KINDS = {
    "q_learning": {},
    "sarsa": {},
    "wolf_phc": {},
    "boltzmann": {},
    "ucb1": {"reward_high": 1.0},
    "exp3": {"reward_high": 1.0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_learner_makes_trials_on_its_own_grid(kind):
    market = logit()
    learner = make(kind, prices=(0.9, 1.0, 1.1, 1.2, 1.3), **KINDS[kind])
    for learning in (True, False):
        found = tried_paths(
            market,
            everybody(market, learner),
            ticks=300,
            lead=50,
            chance=0.1,
            learning=learning,
            markets=3,
        )
        assert found.prices.shape == found.tried.shape == (300, 3, 2)
        assert 0.07 < found.tried.mean() < 0.13
        grid = 1.5 * np.array(learner.prices)
        assert np.isclose(found.prices[..., None], grid).any(axis=-1).all()
        assert len(np.unique(found.prices[found.tried].round(9))) == 5


def test_a_rule_tries_the_prices_that_it_is_given():
    market = logit()
    rules = dict.fromkeys(market.layout.participants, make("cost_plus", margin=0.5))
    found = tried_paths(market, rules, ticks=400, chance=0.05, prices=(1.2, 1.9), markets=2)
    assert (found.prices[~found.tried] == 1.5).all()
    assert set(found.prices[found.tried]) == {1.2, 1.9}
    effect = war_effect(found.prices, found.tried, 1.4, 1.9)
    assert effect.trials.sum() > 0 and np.nanmax(effect.war_after_trial) == 0.0


def test_a_learner_learns_from_the_price_that_it_asked():
    """It knows after a trial what the price paid: in the end it asks the static best reply."""
    market = logit()
    first, other = market.layout.participants
    own = QLearning(
        prices=LEARNER.prices, features="nothing", epsilon=0.0, delta=0.0, alpha=1.0, initial=0.0
    )
    rule = make("cost_plus", margin=0.5)
    found = tried_paths(
        market, {first: own, other: rule}, ticks=300, chance=0.2, prices={other: (1.5,)}
    )
    game = RepeatedGame.of(market, {first: own})
    best = 1.5 * LEARNER.prices[int(game.stage.payoffs[:, 0].argmax())]
    calm = ~found.tried[-100:, 0, 0]
    assert np.allclose(found.prices[-100:, 0, 0][calm], best)


def test_without_trials_the_play_is_the_ordinary_one():
    market = logit()
    few = tried_paths(market, everybody(market, LEARNER), ticks=200, chance=1e-9, markets=2)
    game = RepeatedGame.of(market, everybody(market, LEARNER))
    for b in range(2):
        state, trace = game.start(0, b), np.empty((200, 2), np.int64)
        game.advance(state, 0, b, 200, trace=trace)
        assert np.allclose(few.prices[:, b], 1.5 * np.array(LEARNER.prices)[trace])
    assert not few.tried.any()


def test_what_cannot_be_tried_is_refused_in_one_line():
    market = logit()
    rules = dict.fromkeys(market.layout.participants, make("cost_plus", margin=0.5))
    with pytest.raises(InputError, match=r"with_trials\.prices is missing: 'cost_plus'"):
        tried_paths(market, rules, ticks=10)
    with pytest.raises(InputError, match=r"chance=0\.0"):
        tried_paths(market, everybody(market, LEARNER), ticks=10, chance=0.0)


def test_who_explored_in_a_finished_play_follows_from_its_seed():
    market = logit()
    policies = everybody(market, LEARNER)
    tried = exploration_of(market, policies, ticks=300, markets=[0, 4], seed=7)
    game = RepeatedGame.of(market, policies)
    for b, session in enumerate((0, 4)):
        state, recorded = game.start(7, session), np.zeros((300, 2), np.bool_)
        game.advance(state, 7, session, 300, tried=recorded)
        assert (tried[:, b] == recorded).all()
    played = rollout(market, policies, seed=7, ticks=300, markets=[0, 4], series=("ask",))
    effect = war_effect(played.series["ask"], tried, 1.4, 1.9)
    assert effect.trials.shape == (2,)
    rules = dict.fromkeys(market.layout.participants, make("cost_plus", margin=0.5))
    assert not exploration_of(market, rules, ticks=10).any()
    with pytest.raises(InputError, match="'sarsa' explores is known for q_learning only"):
        exploration_of(market, everybody(market, make("sarsa")), ticks=10)
