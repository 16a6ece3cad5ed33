"""Clears a run again from its journal alone: the same actions must lead to the same market."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from mos_agents.actors.driver import Tick, merged, summed
from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.recovery import Recovery
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.actors.shard import Shard
from mos_agents.market.market import Market
from mos_agents.runs.files import RunError
from mos_agents.runs.hashing import combined


class JournalReplay:
    """The ticks of a run's journal, cleared again. No policy is needed.

    Iterate over it for the ticks. Then `hash`, `counts` and `withdrawn` are those of the run's end.

    Parameters
    ----------
    plan : ShardPlan
        The run's plan, without its markets.
    market : Market
        The market, as a value.
    markets : int
        How many markets the run has.
    count : int
        How many shards.

    Attributes
    ----------
    first : int
        The tick at which the replay begins: 0 if the journals hold the whole run.

    Raises
    ------
    RunError
        If a journal or snapshot is damaged or missing.
    """

    def __init__(self, plan: ShardPlan, market: Market, markets: int, count: int) -> None:
        plans = [plan.part(s, count, markets) for s in range(count)]
        for one in plans:
            if one.folder is None or not Path(one.folder).is_dir():
                raise RunError(
                    f"{one.folder}: missing; without its journal the run cannot be verified"
                )
        self._sizes = [len(one.markets) for one in plans]
        self._shards = [Shard(one, LocalRuntime(), (market, {})) for one in plans]
        self._begins = [_recovery(shard).rewind() for shard in self._shards]
        self.first = max(self._begins)

    def __iter__(self) -> Iterator[Tick]:
        sources = [_recovery(shard).replayed() for shard in self._shards]
        for source, begin in zip(sources, self._begins, strict=True):
            for _ in range(self.first - begin):
                if next(source, None) is None:
                    raise RunError(f"{self._shards[0].plan.folder}: {UNEVEN}")
        at = self.first
        while True:
            parts = [next(source, None) for source in sources]
            there = [part for part in parts if part is not None]
            if not there:
                return
            if len(there) < len(parts):
                raise RunError(f"{self._shards[0].plan.folder}: {UNEVEN}")
            yield merged(at, there, self._sizes)
            at += 1

    @property
    def hash(self) -> str:
        """The hash of the trajectory so far."""
        return combined(np.concatenate([shard.digest.digests for shard in self._shards]))

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """By participant, how many decisions were missing or refused, and restarts."""
        return {
            name: kinds
            for name, kinds in summed([shard.trouble() for shard in self._shards]).items()
            if kinds
        }

    @property
    def withdrawn(self) -> list[str]:
        """Participants that were withdrawn for good in some shard."""
        return sorted({name for shard in self._shards for name in shard.clearing_house.withdrawn})


UNEVEN = "the shards' journals end at different ticks: damaged"


def _recovery(shard: Shard) -> Recovery:
    assert shard.recovery is not None
    return shard.recovery
