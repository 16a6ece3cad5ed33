"""What trained policies and constant actions earn in markets that no learner has met.

The best constant action of a grid is a floor for what a learner should reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from envs.actions import price_grids
from mos_agents.analysis.numbers import number
from mos_agents.learners.network import Network
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.market.faults import Fault
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array
from mos_agents.policies.base import Policy, same
from mos_agents.rollout import ParticipantPool, rollout, transitions
from mos_agents.training import hosted_learners
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.plan import TrainingPlan


def everybody(
    assignment: TrainingAssignment,
    networks: Mapping[str, Network],
    memories: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Policy], int]:
    """What every participant plays, and in how many markets.

    Learners play their networks. memories: of those among the others who learn by themselves; they
    play them and learn no more, each market its own, in as many as they have learnt in. Others who
    learn begin again.
    """
    kept = memories or {}
    learnt = hosted_learners.played(assignment, kept)
    trained = {
        agent: TrainedNetwork.of(networks[p.name])
        for p in assignment.policies
        for agent in p.agents
    }
    count = (
        hosted_learners.markets(assignment, kept) if learnt else assignment.plan.evaluation_markets
    )
    return {**assignment.participants.policies, **learnt, **trained}, count


def evaluated(
    assignment: TrainingAssignment,
    networks: Mapping[str, Network],
    memories: Mapping[str, Any] | None = None,
) -> tuple[dict[str, float], tuple[Fault, ...]]:
    """Mean reward per tick and market of each learner over one episode, the same random numbers
    each time; and what policies did wrong in it."""
    return _earned(assignment, *everybody(assignment, networks, memories))


def without_training(assignment: TrainingAssignment) -> dict[str, float]:
    """What each learner's own policy in the scenario earns in the markets of an evaluation, with
    the same random numbers; of those whose policies do not learn by themselves."""
    policies = assignment.plan.scenario.policies()
    own = [agent for agent in assignment.agents if not hosted_learners.learns(policies[agent])]
    if not own:
        return {}
    found, _ = _earned(
        assignment,
        {**policies, **assignment.participants.policies},
        assignment.plan.evaluation_markets,
    )
    return {agent: found[agent] for agent in own}


def _earned(
    assignment: TrainingAssignment, policies: Mapping[str, Policy], markets: int
) -> tuple[dict[str, float], tuple[Fault, ...]]:
    market, seed = assignment.playing, assignment.seed("evaluation")
    total, ticks = np.zeros(market.layout.N), 0
    pool = ParticipantPool.of(market, policies, seed, markets, on_fault="hold")
    for transition in transitions(market, policies, seed=seed, markets=markets, pool=pool):
        total += transition.step.reward.mean(axis=0)
        ticks += 1
    names = market.layout.participants
    earned = {agent: float(total[names.index(agent)]) / ticks for agent in assignment.agents}
    return earned, tuple(pool.faults.values())


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
            on_fault="hold",  # reported with the comparison that follows
        )
        return float(found.reward[:, market.layout.participants.index(name)].mean())

    tried = constants(plan, market, market.spec(name))
    rewards = [earned(one.policy) for one in tried]
    best = int(np.argmax(rewards))
    return tried[best], all(rewards[best] > earned(policy) for policy in rivals)
