"""Clearing a run again from its journal alone: the same actions must lead to the same market."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from mos_agents.actors.driver import Tick, put_together, summed
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.actors.shard import Shard, ShardPlan
from mos_agents.market.tick import Market
from mos_agents.runs.files import RunError
from mos_agents.runs.hashing import combined


class JournalReplay:
    """A run's journal, cleared again. Nobody decides anything: no policy is asked for.

    first: the tick from which all shards' journals go on, 0 where they hold the whole run.
    Iterate for the ticks; then `hash`, `counts` and `withdrawn` are those of the run's end.
    """

    def __init__(self, plan: ShardPlan, market: Market, markets: int, count: int) -> None:
        """Raises RunError where a journal or snapshot is damaged or missing."""
        plans = [plan.part(s, count, markets) for s in range(count)]
        for one in plans:
            if one.folder is None or not Path(one.folder).is_dir():
                raise RunError(
                    f"{one.folder}: missing; without its journal the run cannot be verified"
                )
        self._sizes = [len(one.markets) for one in plans]
        self._shards = [Shard(one, LocalRuntime(), (market, {})) for one in plans]
        self._begins = [shard.go_back() for shard in self._shards]
        self.first = max(self._begins)

    def __iter__(self) -> Iterator[Tick]:
        sources = [shard.replay() for shard in self._shards]
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
            yield put_together(at, there, self._sizes)
            at += 1

    @property
    def hash(self) -> str:
        """The hash of the trajectory so far."""
        return combined(np.concatenate([shard.digest.digests for shard in self._shards]))

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """By participant, who was missing or refused how often, and restarted."""
        return {
            name: kinds
            for name, kinds in summed([shard.trouble() for shard in self._shards]).items()
            if kinds
        }

    @property
    def withdrawn(self) -> list[str]:
        """Who was withdrawn for good, in some shard."""
        return sorted({name for shard in self._shards for name in shard.clearing_house.withdrawn})


UNEVEN = "the shards' journals end at different ticks: damaged"
