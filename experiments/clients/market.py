"""An easy market whose optimum is known: one seller against a rival that keeps its price.

Two firms of the pricing game of Calvano et al. (2020); `firm_1` learns, `firm_2` asks 1.7 at every
tick, demand is as expected. Nothing but the own price matters, so the best reward is that of the
best response (`mos_agents.market.equilibrium`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.market_env import MarketEnv
from envs.single_agent import (
    MarketVectorEnv,
    SingleAgentEnv,
    gymnasium_env,
    gymnasium_vector_env,
)
from mos_agents import scenarios
from mos_agents.learners import Network
from mos_agents.market.equilibrium import best_response, stage_profits
from mos_agents.scenarios import Scenario

LEARNER, RIVAL, RIVAL_PRICE = "firm_1", "firm_2", 1.7
TICKS = 32
SETTINGS: dict[str, Any] = {"dtype": "float32", "levels": 15}

Act = Callable[[NDArray[Any]], Any]
"""Observations [B, D] to actions [B, ...]."""


def scenario() -> Scenario:
    """The market as a scenario: hand it to any environment."""
    return scenarios.preset(
        "pricing_game", ticks=TICKS,
        participants=[{"name": LEARNER}, {"name": RIVAL, "policy": {
            "kind": "fixed_price", "price": RIVAL_PRICE}}],
    )  # fmt: skip


def single(actions: str = "discrete") -> SingleAgentEnv:
    """One market as a Gymnasium environment."""
    return gymnasium_env(scenario(), LEARNER, actions=actions, **SETTINGS)


def vector(actions: str = "discrete", markets: int = 16) -> MarketVectorEnv:
    """A batch of markets as a Gymnasium vector environment."""
    return gymnasium_vector_env(scenario(), LEARNER, markets, actions=actions, **SETTINGS)


def parallel(actions: str = "discrete") -> MarketEnv:
    """One market as a PettingZoo environment with one agent."""
    return MarketEnv(scenario(), [LEARNER], actions=actions, **SETTINGS)


def optimum(env: SingleAgentEnv) -> float:
    """The most that a tick can earn: at the best response, or at the best level of the grid."""
    market, table = env.market_env.market, env.choice.table
    prices = np.full(market.layout.L, RIVAL_PRICE)
    if table is None:
        return best_response(market, prices, LEARNER)[1]
    rows = np.repeat(prices[None], table.shape[1], axis=0)
    rows[:, 0] = table[0, :, 0]
    return float(stage_profits(market, rows)[:, 0].max())


def reward(act: Act, actions: str = "discrete", seed: int = 1) -> float:
    """Mean reward a tick over one episode of 16 markets."""
    env = vector(actions)
    seen, _ = env.reset(seed=seed)
    total = 0.0
    for _ in range(TICKS):
        seen, earned, *_ = env.step(act(seen))
        total += float(earned.mean())
    return total / TICKS


@dataclass(frozen=True)
class Learnt:
    """Mean reward a tick, choosing as in training: before and after; and the most there is.

    greedy: after training, the likeliest action or the mean. network: the policy as plain numbers.
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
