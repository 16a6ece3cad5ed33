"""Clearing a run again from its journal alone: the same actions must lead to the same market."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mos_agents.actors.runtime import LocalRuntime
from mos_agents.actors.shard import Shard, ShardPlan
from mos_agents.runs.files import RunError
from mos_agents.runs.hashing import Digests, combined


class Replayed(NamedTuple):
    """What a journal gave: the ticks that it covered and the hash that it led to."""

    first: int
    last: int
    hash: str


def replay(plan: ShardPlan, markets: int, count: int) -> Replayed:
    """Clear every shard again from the first tick if the journal goes back to it, else from the
    newest snapshot. Raises RunError where journal or snapshot is damaged or missing.
    """
    found = [_shard(plan.part(s, count, markets)) for s in range(count)]
    reached = {last for _, last, _ in found}
    if len(reached) > 1:
        raise RunError(f"{plan.folder}: the shards' journals end at different ticks: damaged")
    digests = np.concatenate([d for _, _, d in found])
    return Replayed(min(first for first, _, _ in found), reached.pop(), combined(digests))


def _shard(plan: ShardPlan) -> tuple[int, int, Digests]:
    if plan.folder is None or not Path(plan.folder).is_dir():
        raise RunError(f"{plan.folder}: missing; without its journal the run cannot be verified")
    shard = Shard(plan, LocalRuntime())
    first, last = shard.replay()
    return first, last, shard.digest.digests
