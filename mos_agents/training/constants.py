"""The simplest best responses: one action for ever, the best of the plan's grid.

A learner that was trained too briefly finds less than the best constant action does. So constants
are tried as well, and the better of both counts: a floor for what there is to gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from envs.choices import price_grids
from mos_agents.analysis.numbers import number
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array
from mos_agents.policies.base import Policy, same
from mos_agents.rollout import rollout
from mos_agents.training.plan import TrainingPlan

SELECTION = 2_000_003
"""Added to the plan's seed: the constant is chosen before random numbers that the comparison does
not have, so that the best of many is not the luckiest of many."""

MARKETS = 16
"""Markets in which it is chosen."""


@short_repr
@dataclass(frozen=True, eq=False)
class ConstantAction(Policy):
    """Plays the same action [L_n, A] at every tick."""

    kind: ClassVar[str] = "constant_action"
    atomic: ClassVar[bool] = True

    action: Array

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        return None

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        shape = (len(observation), *self.action.shape)
        return np.ascontiguousarray(np.broadcast_to(self.action, shape)), memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        own: Array = same(action, self.act(spec, observation, memory, None)[0]).astype(np.float64)  # type: ignore[arg-type]
        return own


class ConstantLevel(NamedTuple):
    """One level of the plan's grid, the same for all own listings, and what it is in money."""

    level: int
    levels: int
    policy: ConstantAction

    @property
    def label(self) -> str:
        """level 5 of 15 (1.57): the first listing's price, or offset and spread, in brackets."""
        values = ", ".join(number(float(x)) for x in self.policy.action[0])
        return f"level {self.level} of {self.levels} ({values})"


def constants(plan: TrainingPlan, market: Market, spec: ParticipantSpec) -> list[ConstantLevel]:
    """Every level of the grid that the plan's learners of that participant choose from, or, where
    they choose numbers, of the grid that they would have."""
    tables = price_grids(market, (spec,), plan.levels, plan.band, plan.grid)
    count = max(len(table) for table in tables)
    return [
        ConstantLevel(
            level,
            count,
            ConstantAction(np.stack([table[min(level, len(table) - 1)] for table in tables])),
        )
        for level in range(count)
    ]


def best_of(
    plan: TrainingPlan,
    market: Market,
    name: str,
    others: Mapping[str, Policy],
    rivals: Sequence[Policy] = (),
) -> tuple[ConstantLevel, bool]:
    """The constant that earns the most in the participant's place, and whether it earns more than
    each of the rivals for that place does; ties go to them."""

    def earned(policy: Policy) -> float:
        found = rollout(
            market,
            {**others, name: policy},
            seed=plan.seed + SELECTION,
            markets=MARKETS,
            on_fault="hold",  # told with the comparison that follows
        )
        return float(found.reward[:, market.layout.participants.index(name)].mean())

    tried = constants(plan, market, market.spec(name))
    rewards = [earned(one.policy) for one in tried]
    best = int(np.argmax(rewards))
    return tried[best], all(rewards[best] > earned(policy) for policy in rivals)
