"""Those who learn by themselves beside the trained: what they remember, and how they play it.

A tabular rival changes during a training. What came of it is its memory, one for all markets, and
a policy that plays it and learns no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.learners.base import Learner
from mos_agents.learners.greedy import GreedyPolicy
from mos_agents.learners.saving import save
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import InputError, IntArray
from mos_agents.policies.base import Policy, to_config
from mos_agents.runs.names import file_stem
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.trees import filled, named


def learns(policy: Any) -> bool:
    """Whether a policy, or one within it, changes with what it earns."""
    return bool(policy.learns)


def learners(assignment: TrainingAssignment) -> dict[str, tuple[ParticipantSpec, Policy]]:
    """Who learns among the others, and keeps it from episode to episode."""
    if not assignment.plan.keep_memories:
        return {}
    hosted, policies = assignment.participants.hosted, assignment.participants.policies
    found = {spec.name: (spec, policies[spec.name]) for spec in hosted}
    return {name: (spec, policy) for name, (spec, policy) in found.items() if learns(policy)}


def joined(spec: ParticipantSpec, policy: Any, parts: Sequence[Any]) -> Any:
    """One memory of the markets of all parts, one after another.

    What is the same for any number of markets (a clock, say) is the first part's.
    """
    each, arrays = _rows(spec, policy), [dict(named(part)) for part in parts]
    whole = {}
    for name, array in arrays[0].items():
        if name not in each:
            whole[name] = array.copy()
            continue
        ours = [part[name] for part in arrays]
        if name.rpartition(".")[2] == "row":  # points into the table, which is longer now
            learner = innermost(policy)
            length = learner.choices(spec) * learner.states(spec)
            ours = _moved(ours, each[name], length)
        whole[name] = np.concatenate(ours)
    return filled(parts[0], whole)


def markets(assignment: TrainingAssignment, memories: Mapping[str, Any]) -> int:
    """How many markets memories are of."""
    of = learners(assignment)
    for name, memory in memories.items():
        for key, rows in _rows(*of[name]).items():
            return len(dict(named(memory))[key]) // rows
    raise InputError("no participant remembers anything of a market")


def played(
    assignment: TrainingAssignment, memories: Mapping[str, Any], market: int | None = None
) -> dict[str, GreedyPolicy]:
    """Policies that play the memories and learn no more, of those who have tables.

    market: the one whose memory is played in all markets; None plays each its own.
    """
    of = learners(assignment)
    return {
        name: greedy(of[name][1], memory, market)
        for name, memory in memories.items()
        if isinstance(innermost(of[name][1]), Learner)
    }


def kept(
    assignment: TrainingAssignment, memories: Mapping[str, Any], folder: Path
) -> dict[str, dict[str, Any]]:
    """Save the memories of those who have tables below `folder`/learnt; how to play them from there
    without learning on, by participant: the first market's in all markets."""
    configs: dict[str, dict[str, Any]] = {}
    for name, policy in played(assignment, memories).items():
        assert policy.checkpoint is not None
        (folder / "learnt").mkdir(exist_ok=True)
        path = f"learnt/{file_stem(name)}.npz"
        save(folder / path, policy.checkpoint.memory)
        configs[name] = {
            "kind": policy.kind,
            "policy": to_config(policy.policy),
            "path": path,
            "market": 0,
        }
    return configs


def _rows(spec: ParticipantSpec, policy: Any) -> dict[str, int]:
    """Rows that a market has in the arrays of a memory, but for those that are the same for any
    number of markets."""
    one, two = (dict(named(policy.start(spec, count))) for count in (1, 2))
    return {name: len(one[name]) for name in one if one[name].shape != two[name].shape}


def _moved(rows: Sequence[IntArray], each: int, length: int) -> list[IntArray]:
    """Row numbers (`each` of a market), past the markets of the parts before; -1 is none."""
    moved, before = [], 0
    for part in rows:
        moved.append(np.where(part >= 0, part + before, part))
        before += len(part) // each * length
    return moved


def innermost(policy: Any) -> Any:
    """The learner that another policy explores with or forces."""
    return policy if policy.inner is None else innermost(policy.inner)


def greedy(policy: Any, memory: Any, market: int | None) -> GreedyPolicy:
    """Plays what is remembered: each market its own, or one's in all. InputError if no table."""
    while policy.inner is not None:
        policy, memory = policy.inner, policy.inner_memory(memory)
    return GreedyPolicy.of(policy, memory, market)
