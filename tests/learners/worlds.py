"""Markets, learners and plays that the tests of learners share."""

from dataclasses import dataclass

import numpy as np

from mos_agents.market.demand import Logit
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals
from mos_agents.market.schedules import Alternating, Periodic, RandomMoves
from mos_agents.policies import make
from mos_agents.policies.base import Policy
from mos_agents.testing.policies import played
from tests.policies.markets import shop

KINDS = {
    "q_learning": {"epsilon": 0.5},
    "sarsa": {"epsilon": 0.5},
    "boltzmann": {"temperature": 50.0},
    "wolf_phc": {"epsilon": 0.2},
    "bandit_epsilon_greedy": {"epsilon": 0.3},
    "ucb1": {"reward_high": 100.0},
    "exp3": {"reward_high": 100.0, "gamma": 0.3},
    "thompson": {"noise": 20.0},
    "hedge": {"reward_low": 0.0, "reward_high": 100.0},
}

PLACES = {
    "two products": (shop(sellers=2), {}),
    "a firm's lever": (shop(sellers=2), {"scope": "firm"}),
    "states": (shop(sellers=3), {"features": "cheapest"}),
    "states of a firm, two periods": (
        shop(sellers=2),
        {"scope": "firm", "features": "all", "periods": 2},
    ),
    "levels over cost": (shop(sellers=2), {"relative_to": "cost", "low": 1.1, "high": 1.8}),
    "ten products": (shop(sellers=2, products=10), {"features": "own"}),
    "alternating": (shop(sellers=2, schedule=Alternating()), {"features": "mean"}),
    "periodic": (shop(sellers=2, schedule=Periodic((2, 3), (0, 1))), {"features": "own"}),
    "random": (shop(sellers=2, schedule=RandomMoves(0.6)), {"features": "rivals"}),
    "customers by chance": (shop(sellers=2, sampled=True), {"features": "own"}),
}
"""Places in which every learner has to live, and the parameters that go with them."""


def learner(kind, **parameters):
    return make(kind, **{"prices": 3, "features": "nothing"} | KINDS[kind] | parameters)


def placed(kind, place):
    """A market of the place, and the learner for all its participants."""
    market, parameters = PLACES[place]
    return market, dict.fromkeys(market.layout.participants, learner(kind, **parameters))


# --- a duopoly whose payoffs can be computed ------------------------------------------------------

PRICES = (11.0, 12.0, 13.5, 16.0, 20.0)


def duopoly(demand=None, **parts):
    """Two sellers of one product, customers as expected, nothing else moves and any price goes."""
    quotes = PostedPrice(
        low=5.0, high=40.0, tick_size=0.0, min_margin=-0.99, max_relative_change=np.inf
    )
    demand = demand or Logit(intercept=6.0, price_coefficient=6.0)
    parts = {"reference": Fundamentals(), "quotes": quotes, "demand": demand} | parts
    return shop(sellers=2, products=1, **parts)


def payoffs(market=None):
    """[m, m] what firm_1 earns a tick at its price (rows) and the rival's (columns)."""
    market = market or duopoly()
    table = np.empty((len(PRICES), len(PRICES)))
    for i, own in enumerate(PRICES):
        for j, rival in enumerate(PRICES):
            prices = {
                "firm_1": make("fixed_price", price=own),
                "firm_2": make("fixed_price", price=rival),
            }
            (transition,), _ = played(market, prices, ticks=1, markets=1)
            table[i, j] = transition.step.reward[0, 0]
    return table


@dataclass(frozen=True)
class Follows(Policy):
    """A rival whose prices are written down: levels of PRICES, tick after tick."""

    levels: tuple[int, ...]
    kind = "follows"
    atomic = True

    def start(self, spec, batch):
        return np.zeros(1, np.int64)

    def act(self, spec, observation, memory, draws):
        price = PRICES[self.levels[int(memory[0]) % len(self.levels)]]
        return np.full((len(observation), *spec.action_shape), price), memory + 1

    def propensity(self, spec, observation, action, memory):
        return np.ones(len(observation))
