"""An easy market where theory says what comes of learning, for one seller who learns or for two.

Two firms of the pricing game of Calvano et al. (2020), demand as expected. One: `firm_1` learns,
`firm_2` asks 1.7 at every tick; nothing but the own price matters, so the best reward is that of
the best response. Both: each is the other's rival, and if neither can gain by itself, each earns
the profit of Bertrand-Nash. Both are from `mos_agents.market.equilibrium`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.batched import BatchedMarket
from envs.market_env import MarketEnv
from envs.single_agent import (
    MarketVectorEnv,
    SingleAgentEnv,
    gymnasium_env,
    gymnasium_vector_env,
)
from mos_agents import scenarios
from mos_agents.learners import Network
from mos_agents.market.equilibrium import benchmarks, best_response, stage_profits
from mos_agents.scenarios import Scenario

LEARNER, RIVAL, RIVAL_PRICE = "firm_1", "firm_2", 1.7
BOTH = (LEARNER, RIVAL)
TICKS = 32
SETTINGS: dict[str, Any] = {"dtype": "float32", "levels": 15}

Act = Callable[[NDArray[Any]], Any]
"""Observations [B, D] to actions [B, ...]; of both firms, [B, 2, D] to levels [B, 2]."""


def scenario() -> Scenario:
    """The market as a scenario: hand it to any environment."""
    return scenarios.preset(
        "pricing_game",
        ticks=TICKS,
        participants=[
            {"name": LEARNER},
            {"name": RIVAL, "policy": {"kind": "fixed_price", "price": RIVAL_PRICE}},
        ],
    )


def single(actions: str = "discrete") -> SingleAgentEnv:
    """One market as a Gymnasium environment."""
    return gymnasium_env(scenario(), LEARNER, actions=actions, **SETTINGS)


def vector(actions: str = "discrete", markets: int = 16) -> MarketVectorEnv:
    """A batch of markets as a Gymnasium vector environment."""
    return gymnasium_vector_env(scenario(), LEARNER, markets, actions=actions, **SETTINGS)


def parallel(
    actions: str = "discrete", learners: Sequence[str] = (LEARNER,), **settings: Any
) -> MarketEnv:
    """One market as a PettingZoo environment; who is no learner keeps its price."""
    return MarketEnv(scenario(), learners, actions=actions, **SETTINGS, **settings)


def optimum(env: SingleAgentEnv) -> float:
    """The most that a tick can earn: at the best response, or at the best level of the grid."""
    market, table = env.market_env.market, env.choice.table
    prices = np.full(market.layout.L, RIVAL_PRICE)
    if table is None:
        return best_response(market, prices, LEARNER)[1]
    rows = np.repeat(prices[None], table.shape[1], axis=0)
    rows[:, 0] = table[0, :, 0]
    return float(stage_profits(market, rows)[:, 0].max())


def nash() -> float:
    """What each of both earns a tick in the Bertrand-Nash equilibrium, which is on the levels."""
    return float(benchmarks(scenario().market()).nash.profits[0])


def reward(act: Act, actions: str = "discrete", seed: int = 1) -> float:
    """Mean reward a tick over one episode of 16 markets."""
    env = vector(actions)
    seen, _ = env.reset(seed=seed)
    total = 0.0
    for _ in range(TICKS):
        seen, earned, *_ = env.step(act(seen))
        total += float(earned.mean())
    return total / TICKS


def reward_of_both(act: Act, seed: int = 1) -> float:
    """Mean reward a tick and firm over one episode of 16 markets in which both act, by levels."""
    batch = BatchedMarket(
        scenario(), 16, agents=BOTH, actions="discrete", levels=SETTINGS["levels"]
    )
    seen, total = batch.reset(seed), 0.0
    for _ in range(TICKS):
        rows = seen.reshape(batch.batch, len(BOTH), -1).astype(SETTINGS["dtype"])
        seen, earned, *_ = batch.step(act(rows))
        total += float(earned.mean())
    return total / TICKS


@dataclass(frozen=True)
class TrainingResult:
    """Mean reward a tick, choosing as in training: before and after; and what theory has.

    greedy: after training, the likeliest action or the mean. optimum: the most there is. network:
    the policy as plain numbers.
    """

    client: str
    before: float
    after: float
    greedy: float
    optimum: float
    network: Network | None = None

    def __str__(self) -> str:
        return (
            f"{self.client}: {self.before:.4f} a tick before, {self.after:.4f} after, "
            f"{self.greedy:.4f} without exploring; optimum {self.optimum:.4f} "
            f"({self.greedy / self.optimum:.1%})"
        )


@dataclass(frozen=True)
class JointTrainingResult:
    """The same of two firms who learn at once, means over both; nash: Bertrand-Nash's profit.

    networks: by firm.
    """

    client: str
    before: float
    after: float
    greedy: float
    nash: float
    networks: Mapping[str, Network]

    def __str__(self) -> str:
        return (
            f"{self.client}: {self.before:.4f} a tick and firm before, {self.after:.4f} after, "
            f"{self.greedy:.4f} without exploring; Bertrand-Nash {self.nash:.4f}"
        )
