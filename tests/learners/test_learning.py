"""Every learner finds the best price against a rival that stands still; weights have no regret."""

import math

import numpy as np
import pytest

from mos_agents.learners import GreedyPolicy
from mos_agents.learners.base import Moves
from mos_agents.market.demand import Cheapest
from mos_agents.policies import make
from mos_agents.rollout import ParticipantPool, transitions
from mos_agents.testing.policies import played
from tests.learners.worlds import KINDS, PRICES, Follows, duopoly, learner, payoffs
from tests.policies.markets import shop

RIVAL = 2  # it asks PRICES[2] = 13.5
MARKETS = 5

SUITED = {
    "q_learning": {"alpha": 0.5, "delta": 0.5, "beta": 3e-3, "features": "own", "epsilon": 1.0},
    "sarsa": {"alpha": 0.5, "delta": 0.5, "beta": 3e-3, "features": "own", "epsilon": 1.0},
    "boltzmann": {
        "delta": 0.5,
        "features": "own",
        "temperature": 50.0,
        "beta": 5e-3,
        "temperature_floor": 0.5,
    },
    "wolf_phc": {"delta": 0.5, "epsilon": 0.5, "beta": 2e-3, "epsilon_floor": 0.05},
    "bandit_epsilon_greedy": {"epsilon": 0.3},
    "ucb1": {"reward_low": 0.0, "reward_high": 30.0, "confidence": 0.5},
    "exp3": {"reward_low": 0.0, "reward_high": 30.0, "gamma": 0.2},
    "thompson": {"noise": 5.0},
    "hedge": {"reward_low": 0.0, "reward_high": 30.0},
}


def test_the_duopoly_has_one_best_reply_that_is_no_end_of_the_scale():
    table = payoffs()
    assert 0.0 < table.min() and table[:, RIVAL].max() < 30.0
    best = np.argsort(table[:, RIVAL])
    assert 0 < best[-1] < len(PRICES) - 1
    assert table[best[-1], RIVAL] > 1.1 * table[best[-2], RIVAL]


def priced(kind, **parameters):
    return learner(kind, **{"prices": PRICES, "relative_to": "money"} | parameters)


def taught(kind, ticks=2000, rival=None, market=None, **parameters):
    """The learner, and its memory after a play against the rival."""
    policy = priced(kind, **SUITED[kind] | parameters)
    market = market or duopoly()
    policies = {"firm_1": policy, "firm_2": rival or make("fixed_price", price=PRICES[RIVAL])}
    pool = ParticipantPool.of(market, policies, 0, MARKETS)
    for _ in transitions(market, policies, ticks=ticks, markets=MARKETS, pool=pool):
        pass
    assert not pool.faults
    return policy, pool.memories[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_finds_the_best_price_against_a_rival_that_stands_still(kind):
    policy, memory = taught(kind)
    frozen = {
        "firm_1": GreedyPolicy.of(policy, memory),
        "firm_2": make("fixed_price", price=PRICES[RIVAL]),
    }
    last = played(duopoly(), frozen, ticks=4, markets=MARKETS)[0][-1]
    best = PRICES[int(payoffs()[:, RIVAL].argmax())]
    assert (last.actions[:, 0, 0] == best).all()


# --- regret ---------------------------------------------------------------------------------------


def regret_of(levels, table, rivals):
    """[B] what the best single level would have earned more than the levels played, in shares of
    the range of the table."""
    against = table[:, rivals]  # [m, T]
    earned = np.take_along_axis(against.T, levels, axis=1).sum(axis=0)
    return (against.sum(axis=1).max() - earned) / (table.max() - table.min())


BERTRAND = duopoly(demand=Cheapest())
"""All buy where it is cheapest: against 13.5 the best price is 12, and against 20 it is 16."""

BLOCKS = tuple(np.repeat([2, 4] * 8, [2**k for k in range(16)])[:4000].tolist())
"""A rival that changes sides each time its last price has been there for half of all time: whoever
follows what was best so far is always late."""


def played_levels(policy, rival, ticks, markets):
    policies = {"firm_1": policy, "firm_2": Follows(rival)}
    kept = [
        t.actions[:, 0, 0] for t in transitions(BERTRAND, policies, ticks=ticks, markets=markets)
    ]
    return np.searchsorted(PRICES, np.array(kept))


@pytest.mark.parametrize("rival", [(RIVAL,), BLOCKS], ids=["fixed", "adversarial"])
def test_hedge_with_full_information_keeps_the_bound_of_its_theorem(rival):
    """Mean regret over markets, less than 2 sqrt(T ln m / 2) + sqrt(ln m / 8), at all times."""
    ticks, markets, table = 1500, 20, payoffs(BERTRAND)
    policy = priced("hedge", payoffs=tuple(map(tuple, table)))
    levels = played_levels(policy, rival, ticks, markets)
    rivals = np.resize(rival, ticks)
    average = []
    for t in (50, 200, ticks):
        regret = regret_of(levels[:t], table, rivals[:t])
        bound = 2.0 * math.sqrt(0.5 * t * math.log(5)) + math.sqrt(math.log(5) / 8.0)
        assert regret.mean() - 3.0 * regret.std() / math.sqrt(markets) < bound
        assert regret.mean() < bound
        average.append(regret.mean() / t)
    assert average[-1] < 0.5 * average[0] and average[-1] < 0.05


@pytest.mark.parametrize("kind", ["exp3", "hedge"])
@pytest.mark.parametrize("rival", [(RIVAL,), BLOCKS], ids=["fixed", "adversarial"])
def test_the_average_regret_of_weights_by_chance_falls_away(kind, rival):
    ticks, markets, table = 4000, 10, payoffs(BERTRAND)
    bounds = {"reward_low": float(table.min()), "reward_high": float(table.max())}
    # The learning rate of theorem 3.1's corollary for this horizon; hedge needs none.
    gamma = {"exp3": {"gamma": math.sqrt(5 * math.log(5) / ((math.e - 1) * ticks))}}
    levels = played_levels(priced(kind, **bounds, **gamma.get(kind, {})), rival, ticks, markets)
    regret = regret_of(levels, table, np.resize(rival, ticks))
    if kind == "exp3":  # corollary 3.2: 2 sqrt(e - 1) sqrt(g m ln m), with g <= T
        bound = 2.63 * math.sqrt(ticks * 5 * math.log(5))
    else:  # theorem 1, anytime, at confidence .9
        root = math.sqrt(5 * ticks / math.log(5))
        bound = 4 * math.sqrt(5 * ticks * math.log(5)) + (2 * root + 1) * math.log(2 / 0.1)
    assert regret.mean() < bound
    early = regret_of(levels[:250], table, np.resize(rival, ticks)[:250]).mean() / 250
    assert regret.mean() / ticks < 0.5 * early


@pytest.mark.parametrize("kind", ["exp3", "hedge"])
def test_even_an_adversary_that_knows_the_chances_leaves_no_average_regret(kind):
    """Each round the likeliest level earns nothing and the others all: expected losses of at most
    1/m a round are then best, and no single level does better than the learner for long."""
    policy = priced(
        kind, reward_low=0.0, reward_high=1.0, **({"gamma": 0.05} if kind == "exp3" else {})
    )
    tables, rng = policy.tables(1, 1, 1), np.random.default_rng(1)
    row, one = np.zeros((1, 1), np.int64), np.ones(1)
    earned, could, average = 0.0, np.zeros(5), {}
    for t in range(1, 6001):
        chance = policy.chances(tables, row, t)[0, 0]
        rewards = (np.arange(5) != chance.argmax()).astype(float)
        level = np.array([rng.choice(5, p=chance / chance.sum())])
        policy.correct(
            tables, Moves(row[0], level, level, rewards[level], one, np.ones(1, np.int64), row[0])
        )
        earned += float(rewards @ chance)
        could += rewards
        average[t] = (could.max() - earned) / t
    assert average[6000] < 0.05 and average[6000] < 0.6 * max(average[t] for t in range(20, 200))


def test_who_follows_the_best_so_far_has_regret_against_that_adversary():
    """The same adversary against a learner without such weights: the test above can fail."""
    policy = priced("bandit_epsilon_greedy", epsilon=0.0)
    tables, row = policy.tables(1, 1, 1), np.zeros((1, 1), np.int64)
    earned, could, one = 0.0, np.zeros(5), np.ones(1)
    for t in range(1, 2001):
        chance = policy.chances(tables, row, t)[0, 0]
        rewards = (np.arange(5) != chance.argmax()).astype(float)
        level = np.array([chance.argmax()])
        policy.correct(
            tables, Moves(row[0], level, level, rewards[level], one, np.ones(1, np.int64), row[0])
        )
        earned += float(rewards[level[0]])
        could += rewards
    assert (could.max() - earned) / 2000 > 0.5


def test_a_payoff_table_serves_every_head_and_is_read_at_the_rivals_level():
    """Two products, the same table: each choice's losses come from its own product's rival."""
    market = shop(sellers=2, products=2)
    table = ((0.0, 1.0, 2.0),) * 2 + ((2.0, 2.0, 2.0),)
    policy = learner(
        "hedge",
        prices=(11.0, 13.0, 15.0),
        relative_to="money",
        payoffs=table,
        reward_low=None,
        reward_high=None,
    )
    market_spec = market.specs[0]
    observation = market.first_observation(market.start(3), None)
    own = market_spec.own(observation).copy()
    own[:, market_spec.where["rival_ask"]] = (11.0, 15.0)
    memory = policy.start(market_spec, 3)._replace(clock=np.ones(1, np.int64))
    memory = policy.learn(market_spec, own, np.zeros(3), memory, None)
    losses = memory.tables.loss.reshape(3, 2, 3)
    assert (losses[:, 0] == [1.0, 1.0, 0.0]).all() and (losses[:, 1] == [0.0, 0.0, 0.0]).all()
