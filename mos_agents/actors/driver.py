"""Drives a run of actors: shards advance side by side, and the driver merges their summaries.

Shards run ahead of each other by at most one checkpoint. At each checkpoint all earlier ticks are
recorded first. So whatever process dies, no tick is lost and none is recorded twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.actors.shard import Shard
from mos_agents.actors.summaries import Progress, TickSummary
from mos_agents.market.types import Array, InputError
from mos_agents.runs.hashing import combined
from mos_agents.runs.tables import TickRecord, combined_aggregate, combined_row
from mos_agents.wording import setting

CHUNK_SECONDS = 0.3
"""About how long a shard advances before it reports to the driver."""


class Shards(Protocol):
    """Where shards run: in this process or on a cluster."""

    def begin(self, plan: ShardPlan) -> Any: ...
    def ask(self, handle: Any, verb: str, *arguments: Any) -> Any: ...
    def wait(self, pending: Sequence[Any], seconds: float) -> list[Any]: ...
    def result(self, reference: Any) -> Any: ...
    def kill(self, handle: Any) -> None: ...


class LocalShards:
    """Shards in this process, one after the other."""

    def __init__(self, order: Callable[[int], Sequence[int]] = range) -> None:
        self._order = order

    def begin(self, plan: ShardPlan) -> Shard:
        return Shard(plan, LocalRuntime(self._order))

    def ask(self, handle: Shard, verb: str, *arguments: Any) -> Any:
        return _Done(getattr(handle, verb)(*arguments))

    def wait(self, pending: Sequence[Any], seconds: float) -> list[Any]:
        return list(pending)

    def result(self, reference: Any) -> Any:
        return reference.value

    def kill(self, handle: Shard) -> None:
        handle.close()


@dataclass(eq=False)
class _Done:
    value: Any


class Tick(NamedTuple):
    """One tick of the whole batch, merged from its shards."""

    tick: int
    row: TickRecord | None
    means: Array


@dataclass
class Health:
    """What a live view shows of a run."""

    tick: int = 0
    ticks_per_second: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    withdrawn: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    shard_restarts: int = 0


@dataclass
class Driver:
    """A run over shards. Iterate over `run()` and record its ticks.

    Parameters
    ----------
    shards : Shards
        Where the shards run.
    plan : ShardPlan
        The plan of all shards, without their markets.
    ticks, markets : int
        The size of the run.
    count : int
        How many shards.
    checkpoint_every : int
        Ticks between two checkpoints.
    restarts : int
        How often a dead clearing house is restarted.
    died : exception class or tuple of them
        What `shards.result` raises if a clearing house is dead.
    health : Health
        What a live view shows; updated during the run.

    Raises
    ------
    InputError
        If there are more shards than markets.
    """

    shards: Shards
    plan: ShardPlan
    ticks: int
    markets: int
    count: int = 1
    checkpoint_every: int = 500
    restarts: int = 3
    died: type[BaseException] | tuple[type[BaseException], ...] = ()
    health: Health = field(default_factory=Health)

    def __post_init__(self) -> None:
        if not 1 <= self.count <= self.markets:
            raise InputError(
                f"shards={self.count} must be in [1, {self.markets}]: every shard needs a market; "
                f"raise {setting('markets')}"
            )
        self._plans = [self.plan.part(s, self.count, self.markets) for s in range(self.count)]
        self._handles: list[Any] = [None] * self.count
        self._progress: list[Progress | None] = [None] * self.count
        self._waiting: list[dict[int, TickSummary]] = [{} for _ in range(self.count)]
        self._restarts = [0] * self.count
        self._reached = [0] * self.count
        self._chunk = [1] * self.count

    @property
    def hash(self) -> str:
        """The hash of the trajectory so far."""
        return combined(np.concatenate([p.digests for p in self._progress if p is not None]))

    def run(self, recorded: int = 0) -> Iterator[Tick]:
        """Every tick from `recorded` on, in order and once each.

        A checkpoint follows each tick for which `Tick.tick + 1` is a multiple of
        `checkpoint_every`. Before the caller asks for the next tick, it must have written all
        earlier ticks to the disk.
        """
        try:
            self._next = recorded
            for s in range(self.count):
                self._start(s)
            while self._next < self.ticks:
                stop = min(
                    (self._next // self.checkpoint_every + 1) * self.checkpoint_every, self.ticks
                )
                yield from self._until(stop)
                if stop < self.ticks:  # the last stretch stays in the journal, to be verified
                    self._all("checkpoint")
            self._all("close")
        finally:
            for handle in self._handles:
                if handle is not None:
                    self.shards.kill(handle)

    def _until(self, stop: int) -> Iterator[Tick]:
        """Advance all shards to tick `stop`; yield a tick once all shards have reported it."""
        pending: dict[Any, int] = {}
        begun: dict[int, float] = {}
        last, last_tick = time.monotonic(), self._next
        yield from self._merged()
        while True:
            for s in range(self.count):
                if self._reached[s] < stop and s not in pending.values():
                    ticks = min(self._chunk[s], stop - self._reached[s])
                    begun[s] = time.monotonic()
                    pending[self.shards.ask(self._handles[s], "advance", ticks)] = s
            if not pending:
                return
            for reference in self.shards.wait(list(pending), 1.0):
                s = pending.pop(reference)
                try:
                    progress = self.shards.result(reference)
                except self.died:
                    self._restart(s)
                else:
                    self._take(s, progress)
                    self._pace(s, time.monotonic() - begun[s])
            yield from self._merged()
            now = time.monotonic()
            if now - last > 0.5:
                self.health.ticks_per_second = (self._next - last_tick) / (now - last)
                last, last_tick = now, self._next

    def _pace(self, s: int, seconds: float) -> None:
        if seconds < CHUNK_SECONDS / 2:
            self._chunk[s] = min(self._chunk[s] * 2, 4096)
        elif seconds > CHUNK_SECONDS * 2:
            self._chunk[s] = max(self._chunk[s] // 2, 1)

    def _merged(self) -> Iterator[Tick]:
        """The ticks that every shard has reported."""
        while all(self._next in waiting for waiting in self._waiting):
            made = merged(
                self._next,
                [waiting.pop(self._next) for waiting in self._waiting],
                [len(plan.markets) for plan in self._plans],
            )
            self._next += 1
            self.health.tick = self._next
            yield made

    def _take(self, s: int, progress: Progress) -> None:
        first = progress.tick - len(progress.summaries)
        for i, summary in enumerate(progress.summaries):
            if first + i >= self._next:
                self._waiting[s][first + i] = summary
        self._reached[s], self._progress[s] = progress.tick, progress
        health = self.health
        health.seconds |= progress.seconds
        health.reasons = progress.reasons | health.reasons
        health.counts = summed([p.counts for p in self._progress if p is not None])
        health.withdrawn = tuple(
            sorted({name for p in self._progress if p is not None for name in p.withdrawn})
        )

    # --- starting and restarting shards -----------------------------------------------------------

    def _start(self, s: int) -> None:
        self._handles[s] = self.shards.begin(self._plans[s])
        self.shards.result(self.shards.ask(self._handles[s], "start"))
        self._take(s, self.shards.result(self.shards.ask(self._handles[s], "recovered")))
        if self._reached[s] < self._next:
            raise InputError(
                f"shard {s}: its journal ends at tick {self._reached[s]:,}, before the recorded "
                f"{self._next:,}: the journal is not this run's"
            )

    def _restart(self, s: int) -> None:
        """Restart a dead clearing house. It goes on from its snapshot and journal."""
        if self.plan.folder is None:
            raise InputError(
                f"shard {s}: its clearing house died and keeps no journal; the run cannot go on"
            )
        while True:
            self._restarts[s] += 1
            self.health.shard_restarts += 1
            if self._restarts[s] > self.restarts:
                raise InputError(
                    f"shard {s}: its clearing house died {self._restarts[s]} times; "
                    "resume the run when the cause is mended"
                )
            self.shards.kill(self._handles[s])
            try:
                self._start(s)
                return
            except self.died:
                continue

    def _all(self, verb: str) -> None:
        """Ask all shards the same. Dead shards are restarted and asked again."""
        asked = [(s, self.shards.ask(self._handles[s], verb)) for s in range(self.count)]
        for s, reference in asked:
            while True:
                try:
                    self.shards.result(reference)
                    break
                except self.died:
                    self._restart(s)
                    reference = self.shards.ask(self._handles[s], verb)


def merged(tick: int, parts: Sequence[TickSummary], sizes: Sequence[int]) -> Tick:
    """A tick of the whole batch from its shards' summaries; the shards have `sizes` markets."""
    rows = [part.row for part in parts if part.row is not None]
    rewards = [part.rewards for part in parts if part.rewards is not None]
    means = combined_aggregate([part.means for part in parts], sizes, rewards)
    return Tick(tick, combined_row(rows), means)


def summed(counts: Sequence[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    total: dict[str, dict[str, int]] = {}
    for one in counts:
        for name, kinds in one.items():
            there = total.setdefault(name, {})
            for kind, number in kinds.items():
                there[kind] = there.get(kind, 0) + number
    return total
