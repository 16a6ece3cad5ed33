"""Assigns policies to the participants that learn, and makes the batch of markets they play in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.actions import price_grids
from envs.assignment import Assignment, assign
from envs.batched import BatchedMarket
from mos_agents.learners.network import Signature
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import key_number
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.runs.names import file_stem
from mos_agents.training.plan import TrainingPlan
from mos_agents.wording import change

PURPOSES = {"training": 0, "calibration": 1, "evaluation": 2}


@short_repr
@dataclass(frozen=True, eq=False)
class PolicyAssignment:
    """One policy and those who share it: alike in all that a network could tell.

    Parameters
    ----------
    low, high : array
        [L_n, A] what -1 and 1 stand for where actions are numbers.
    grid : array or None
        [L_n, m, A] where they are levels, else None.
    turns : tuple of tuples of 2 int
        (period, first tick) of its agents, each that there is once; a period of 0 is by chance.
    """

    name: str
    agents: tuple[str, ...]
    spec: ParticipantSpec
    low: Array
    high: Array
    grid: Array | None
    turns: tuple[tuple[int, int], ...] = ((1, 0),)

    @property
    def size(self) -> int:
        """D, the length of an observation."""
        return self.spec.size

    @property
    def levels(self) -> int:
        """m, points of each listing's grid."""
        return 0 if self.grid is None else int(self.grid.shape[1])

    @property
    def in_turn(self) -> bool:
        """Whether there are ticks at which its agents may not move."""
        return self.turns != ((1, 0),)

    def waits(self, horizon: int) -> tuple[int, int] | None:
        """Ticks until a move is over, at first and at most: until the next one in its episode has
        come. None where there is no next one. By chance: one tick, as far as is known."""
        found = []
        for period, first in self.turns:
            if not period:
                return 1, 1
            over = range(first % period + period, horizon, period)
            if over:
                found.append((over[0] + 1, max(over[0] + 1, period, horizon - over[-1] + over[0])))
        return (min(a for a, _ in found), min(b for _, b in found)) if found else None

    @property
    def listings(self) -> int:
        return self.spec.action_shape[0]

    def placed(self, unit: Array) -> Array:
        """[R, L_n, A] actions from numbers [R, L_n * A] on the scale on which bounds are -1, 1."""
        unit = np.clip(unit, -1.0, 1.0).reshape(len(unit), *self.low.shape)
        asked = self.low + (unit + 1.0) * (0.5 * (self.high - self.low))
        bounded: Array = np.clip(asked, self.low, self.high)
        return bounded


@short_repr
@dataclass(frozen=True, eq=False)
class TrainingAssignment:
    """The plan's learners: their policies, in the order of the first of each.

    Parameters
    ----------
    participants : Assignment
        the market as it is trained in, who learns, and what the others play.
    """

    plan: TrainingPlan
    participants: Assignment
    policies: tuple[PolicyAssignment, ...]

    @property
    def playing(self) -> Market:
        """The market as it is trained in."""
        return self.participants.market

    @property
    def agents(self) -> tuple[str, ...]:
        """Who learns, in roster order."""
        return self.participants.names

    @classmethod
    def of(cls, plan: TrainingPlan) -> TrainingAssignment:
        """Assign every participant. Raises InputError in one line where the plan does not fit its
        market."""
        assignment = assign(plan.scenario, plan.agents, plan.policies, plan.horizon)
        lines = [name for name in assignment.names if name in plan.policies]
        if lines and plan.agents is None:  # a participant with a given policy does not learn
            agents = tuple(name for name in assignment.names if name not in lines)
            if not agents:
                raise InputError(
                    f"policies: all of {', '.join(lines)} are given; none is left to learn"
                )
            plan = plan.changed(agents=agents)
            assignment = assign(plan.scenario, agents, plan.policies, plan.horizon)
        elif lines:
            raise InputError(
                f"policies: {lines[0]!r} learns, and has a policy in `policies` as well; leave it "
                "out of one of the two"
            )
        market = assignment.market
        grids = price_grids(market, assignment.external, plan.levels, plan.band, plan.grid)
        own: dict[str, tuple[ParticipantSpec, list[Array]]] = {}
        for spec in assignment.external:
            count = spec.action_shape[0]
            own[spec.name], grids = (spec, grids[:count]), grids[count:]
        made = []
        for name, specs in _groups(plan.sharing, assignment.external).items():
            _check_alike(plan, name, specs, own)
            spec, tables = own[specs[0].name]
            turns = tuple(sorted({s.turn for s in specs}))
            names = tuple(s.name for s in specs)
            made.append(_policy(plan, name, names, spec, tables, turns, market.horizon))
        return cls(plan, assignment, tuple(made))

    def seed(self, purpose: str) -> int:
        """The seed of the first episode of a purpose: learners never see the evaluation's."""
        key = (key_number("training"), PURPOSES[purpose])
        sequence = np.random.SeedSequence(self.plan.seed, spawn_key=key)
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def markets(self, purpose: str, numbers: int | Sequence[int] | IntArray) -> BatchedMarket:
        """A batch of the plan's market, its first episode seeded by purpose."""
        plan = self.plan
        grid: Any = None
        if plan.discrete:
            grid = {a: p.grid for p in self.policies for a in p.agents}
        return BatchedMarket(
            plan.scenario,
            numbers,
            agents=plan.agents,
            actions=plan.actions or "continuous",
            grid=grid,
            policies=plan.policies,
            horizon=plan.horizon,
            seed=self.seed(purpose),
            reveal=False,
            keep_memories=plan.keep_memories and purpose == "training",
            on_fault="hold",  # a training of hours goes on; faults are counted and reported
        )


def _groups(
    sharing: str, external: Sequence[ParticipantSpec]
) -> Mapping[str, list[ParticipantSpec]]:
    groups: dict[str, list[ParticipantSpec]] = {}
    for spec in external:
        own = _module(spec.name)
        name = {"independent": own, "shared": "shared", "by-role": spec.role}[sharing]
        groups.setdefault(name, []).append(spec)
    return groups


def _module(name: str) -> str:
    """A participant's name as RLlib takes it for a module: it refuses characters that some file
    systems do not take."""
    strange = set(name) & set('<>:"|?*%') or name[-1] in " ."
    return file_stem(name) if strange else name


def _check_alike(
    plan: TrainingPlan, name: str, specs: Sequence[ParticipantSpec], own: Mapping[str, Any]
) -> None:
    first = specs[0]
    for spec in specs[1:]:
        different = Signature.of(first).difference(Signature.of(spec))
        if different is None:
            ours, theirs = own[first.name][1], own[spec.name][1]
            if any(a.shape != b.shape or (a != b).any() for a, b in zip(ours, theirs, strict=True)):
                different = "another range of actions"
        if different is not None:
            found = different.replace(" when trained", f" at {first.name}").replace(
                " here", f" at {spec.name}"
            )
            raise InputError(
                f"policies={plan.sharing!r}: {first.name} and {spec.name} cannot share one: "
                f"{found}; try {'by-role or ' * (plan.sharing == 'shared')}independent"
            )


def _policy(
    plan: TrainingPlan,
    name: str,
    agents: tuple[str, ...],
    spec: ParticipantSpec,
    tables: Sequence[Array],
    turns: tuple[tuple[int, int], ...],
    horizon: int,
) -> PolicyAssignment:
    low = np.array([table.min(axis=0) for table in tables])
    high = np.array([table.max(axis=0) for table in tables])
    grid = np.stack(tables) if plan.discrete else None
    if plan.algo == "dqn" and len(tables) > 1:
        raise InputError(
            f"algo='dqn' chooses one level at a time, and {spec.name} has {len(tables)} listings; "
            f"train with ppo or appo, or on one instrument ({change('products', 1)})"
        )
    made = PolicyAssignment(name, agents, spec, low, high, grid, turns)
    if made.in_turn:
        _check_turns(plan, made, horizon)
    return made


def _check_turns(plan: TrainingPlan, policy: PolicyAssignment, horizon: int) -> None:
    name, longest = policy.name, max(period for period, _ in policy.turns)
    if plan.algo == "appo":
        raise InputError(
            f"algo='appo' learns from every tick, and {name} may not move at each; train with "
            "ppo, dqn or sac"
        )
    waits = policy.waits(horizon)
    why = f"{name} moves every {longest} ticks, and a move is over when the next one comes"
    if waits is None:
        least = min(first % period + period for period, first in policy.turns) + 1
        raise InputError(f"horizon={horizon} must be >= {least}: {why} in the same episode")
    if plan.algo == "ppo" and plan.ticks < waits[1]:
        raise InputError(f"ticks={plan.ticks} must be >= {waits[1]}: {why}")
