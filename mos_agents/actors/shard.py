"""A shard at work: call the participants, clear the tick, keep the journal, mend what breaks.

A participant that is late, dead or talks nonsense loses its move and nothing else happens. One that
stays away is started anew from its last snapshot and lives through its own past calls again; after
`restarts` new lives it is withdrawn for good, and the market goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mos_agents import scenarios
from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.journal import Journal, mend_tail, newest_snapshot, records
from mos_agents.actors.messages import Call, MessageError, Reply, checked_reply, flatten, restored
from mos_agents.actors.participant import Snapshot
from mos_agents.actors.runtime import Runtime
from mos_agents.market.types import Array, InputError, IntArray, State, Step
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.runs.tables import Row, aggregate, row


@dataclass(frozen=True)
class ShardPlan:
    """What a shard needs to begin, or to begin again: plain values only.

    scenario: resolved, as YAML. markets: the numbers of its markets. hosts: how many actors hold
    the participants (0: one each). deadline: seconds a tick waits for a reply (None: for ever).
    patience: late ticks in a row before a participant is started anew. restarts: new lives a host
    gets. keep_calls: megabytes of past calls kept for that.
    folder: where snapshots and journal go (None: nowhere, and nothing survives the process).
    """

    run: str
    scenario: str
    seed: int
    markets: tuple[int, ...]
    hosts: int = 0
    deadline: float | None = None
    patience: int = 3
    restarts: int = 3
    keep_calls: float = 64.0
    folder: str | None = None
    audit: bool = False
    recorded: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        for name, low in (("hosts", 0), ("patience", 1), ("restarts", 0)):
            if getattr(self, name) < low:
                raise InputError(f"{name}={getattr(self, name)!r} must be >= {low}")
        if self.deadline is not None and not self.deadline > 0.0:
            raise InputError(f"deadline={self.deadline!r} must be > 0 seconds")


class Summary(NamedTuple):
    """What is recorded of a tick: rows of the recorded markets, and means over all of the shard."""

    row: Row | None
    means: Array  # [values, N]
    rewards: Array  # [B, N], for quantiles over shards


class Progress(NamedTuple):
    """What the driver learns of some ticks: what to record, and who gave trouble."""

    tick: int  # next to be cleared
    summaries: list[Summary]  # one a tick
    digests: Any  # [B, 2]
    counts: dict[str, dict[str, int]]
    seconds: dict[str, float]  # latency of the slowest reply, by participant
    withdrawn: tuple[str, ...]


class Shard:
    """The markets of one shard, their clearing house, and the hosts of their participants."""

    def __init__(self, plan: ShardPlan, runtime: Runtime) -> None:
        self.plan, self.runtime, self.digest = plan, runtime, TrajectoryHash()
        scenario = scenarios.parse(plan.scenario)
        self.market, self.policies = scenario.market(), scenario.policies()
        self.markets = np.array(plan.markets)
        self.house = ClearingHouse(plan.run, self.market, plan.seed, self.markets)
        self._roster = self._housing()
        self._incarnation = {name: 0 for name in self.market.layout.participants}
        self._lives = [0] * len(self._roster)
        self._misses = [0] * len(self._roster)
        self._handles: list[Any] = [None] * len(self._roster)
        self._snapshots: dict[str, Snapshot] = {}
        self._past: list[list[Call]] = []
        self._seconds: dict[str, float] = {}
        shape = (len(self.markets), self.market.layout.L, len(self.market.quotes.features))
        self.journal: Journal | None = None
        if plan.folder is not None:
            Path(plan.folder).mkdir(parents=True, exist_ok=True)
            self.journal = Journal(Path(plan.folder), shape, plan.audit)
        self._shape = shape

    def start(self) -> int:
        """Bring up the hosts, and go on from the disk if there is something; the next tick."""
        for i in range(len(self._roster)):
            self._raise(i)
        if self.journal is not None:
            self._recover()
        return self.house.tick

    def advance(self, ticks: int) -> Progress:
        """Clear so many ticks."""
        self._seconds = {}
        summaries = [self._tick() for _ in range(ticks)]
        return self._progress(summaries)

    def caught_up(self) -> Progress:
        """What recovery brought back: the ticks replayed since the snapshot."""
        summaries, self._replayed = self._replayed, []
        return self._progress(summaries)

    def close(self) -> None:
        """End the hosts; everything is on the disk."""
        if self.journal is not None:
            self.journal.close()
        self.runtime.close()

    # --- one tick ---------------------------------------------------------------------------------

    def _tick(self) -> Summary:
        house = self.house
        calls = house.calls(self._incarnation)
        self._past.append(calls)
        replies = self._replies(calls)
        actions = house.stacked(replies, [call.participant for call in calls])
        at, state = house.tick, house.state
        if self.journal is not None:
            self.journal.append(at, actions, self._note())
        step = house.clear(at, actions)
        self.digest.add(step)
        self._keep_house()
        return self._summary(state, step)

    def _summary(self, before: State, step: Step) -> Summary:
        recorded = self.plan.recorded and before.tick % self.plan.every == 0
        kept = row(self.market, before, step, self.plan.recorded) if recorded else None
        return Summary(kept, aggregate(self.market, step), step.reward)

    def _replies(self, calls: Sequence[Call]) -> list[Reply | None]:
        """One reply a call, or None; hosts that do not answer are mended."""
        by_name = {call.participant: call for call in calls}
        groups = [[by_name[n] for n in names if n in by_name] for names in self._roster]
        asked = [i for i, group in enumerate(groups) if group]
        answers = self.runtime.ask(
            [(self._handles[i], "decide", (groups[i],)) for i in asked], self.plan.deadline
        )
        replies: dict[str, Reply] = {}
        for i, answer in zip(asked, answers, strict=True):
            if answer.dead and self._again(i):
                # The tick's own call is the last of the past ones: ask it anew.
                fresh = [
                    call._replace(incarnation=self._incarnation[call.participant])
                    for call in groups[i]
                ]
                answer = self.runtime.ask(
                    [(self._handles[i], "decide", (fresh,))], self.plan.deadline
                )[0]
                groups[i] = fresh
            self._misses[i] = 0 if answer.good else self._misses[i] + 1
            if answer.good:
                for call, reply in zip(groups[i], _listed(answer.value, groups[i]), strict=True):
                    self._seconds[call.participant] = max(
                        answer.seconds, self._seconds.get(call.participant, 0.0)
                    )
                    try:
                        replies[call.participant] = checked_reply(reply, call)
                    except MessageError:
                        self.house.counts[call.participant]["misaddressed"] += 1
            elif self._misses[i] >= self.plan.patience:
                self._again(i)
        return [replies.get(call.participant) for call in calls]

    # --- lives ------------------------------------------------------------------------------------

    def _housing(self) -> list[list[str]]:
        """Who lives with whom: participants dealt out over the hosts in roster order."""
        names = list(self.market.layout.participants)
        hosts = min(self.plan.hosts or len(names), len(names))
        return [names[i::hosts] for i in range(hosts)]

    def _raise(self, i: int) -> None:
        parts = [
            (self.plan.run, self.market.seat(name), self.policies[name], self.plan.seed,
             self.markets, self._incarnation[name])
            for name in self._roster[i]
        ]  # fmt: skip
        self._handles[i] = self.runtime.host(parts, f"host-{i}")

    def _again(self, i: int) -> bool:
        """A new life for a host, or its participants' withdrawal. Whether it lives."""
        self.runtime.kill(self._handles[i])
        self._misses[i] = 0
        while self._lives[i] < self.plan.restarts:
            self._lives[i] += 1
            for name in self._roster[i]:
                self._incarnation[name] += 1
                self.house.counts[name]["restarted"] += 1
            self._raise(i)
            if self._remember(i):
                return True
            self.runtime.kill(self._handles[i])
        for name in self._roster[i]:
            self.house.withdraw(name)
        return False

    def _remember(self, i: int) -> bool:
        """Give a new life its memory back: the last snapshot, and the calls since then."""
        own = set(self._roster[i])
        kept = {n: s for n, s in self._snapshots.items() if n in own}
        limit = None if self.plan.deadline is None else max(30.0, 10.0 * self.plan.deadline)
        asks: list[tuple[Any, str, tuple[Any, ...]]] = []
        if kept:
            asks.append((self._handles[i], "restore", (kept,)))
        past = [c for calls in self._past[:-1] for c in calls if c.participant in own]
        if past:
            asks.append((self._handles[i], "catch_up", (self._renamed(past),)))
        return all(self.runtime.ask([ask], limit)[0].good for ask in asks)

    def _renamed(self, calls: Sequence[Call]) -> list[Call]:
        return [c._replace(incarnation=self._incarnation[c.participant]) for c in calls]

    # --- the disk ---------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        """Let go of past calls when they grow: the participants' memories take their place."""
        size = sum(c.observation.nbytes for c in self._past[-1]) * len(self._past)
        if size > self.plan.keep_calls * 2**20:
            self._remember_all()

    def _remember_all(self) -> bool:
        """Ask everybody for their memories as of now; whether all gave them."""
        if not self._past and self._snapshots:
            return True
        present = [
            i for i in range(len(self._roster)) if set(self._roster[i]) - self.house.withdrawn
        ]
        asks: list[tuple[Any, str, tuple[Any, ...]]] = [
            (self._handles[i], "snapshot", ()) for i in present
        ]
        answers = self.runtime.ask(asks, self.plan.deadline)
        if not all(answer.good for answer in answers):
            return False  # somebody is away: the older memories and the calls since still serve
        memories = {name: s for answer in answers for name, s in answer.value.items()}
        if any(s.tick != self.house.tick - 1 for s in memories.values()):
            return False
        self._snapshots, self._past = memories, []
        return True

    def checkpoint(self) -> int:
        """Put the state before the next tick on the disk; the journal before it may go.

        Called once all that happened before is recorded elsewhere. Where a participant is away,
        nothing is put down now: the older checkpoint and the journal since then still serve.
        """
        if self.journal is not None and self._remember_all():
            self.journal.snapshot(self.house.tick, self._arrays())
        return self.house.tick

    def _note(self) -> dict[str, Any]:
        return {"withdrawn": sorted(self.house.withdrawn)} if self.house.withdrawn else {}

    def _arrays(self) -> dict[str, Any]:
        house = self.house
        arrays: dict[str, Any] = {f"state_{i}": a for i, a in enumerate(flatten(tuple(house.state)))}
        arrays |= {
            "observation": house.observation,
            "reward": house.reward,
            "digests": self.digest.digests,
            "note": np.array(json.dumps({
                "run": self.plan.run,
                "withdrawn": sorted(house.withdrawn),
                "counts": {name: dict(c) for name, c in house.counts.items()},
                "incarnations": self._incarnation,
            })),
        }  # fmt: skip
        for n, name in enumerate(self.market.layout.participants):
            if name in self._snapshots:
                for j, array in enumerate(self._snapshots[name].memory):
                    arrays[f"memory_{n}_{j}"] = array
        return arrays

    def _recover(self) -> None:
        """The state of the newest snapshot, and the journal's ticks since then, lived again."""
        assert self.journal is not None
        self._replayed: list[Summary] = []
        found = newest_snapshot(self.journal.folder)
        if found is not None:
            self._return_to(*found)
        since = self.house.tick
        mend_tail(self.journal.folder, self._shape)
        for record in records(self.journal.folder, self._shape, since):
            for name in record.note.get("withdrawn", ()):
                self.house.withdraw(name)
            calls = self.house.calls(self._incarnation)
            self._past.append(calls)
            state = self.house.state
            step = self.house.clear(record.tick, record.actions)
            self.digest.add(step)
            self._replayed.append(self._summary(state, step))
        for i in range(len(self._roster)):
            own = set(self._roster[i])
            asks: list[tuple[Any, str, tuple[Any, ...]]] = []
            kept = {n: s for n, s in self._snapshots.items() if n in own}
            if kept:
                asks.append((self._handles[i], "restore", (kept,)))
            past = [c for calls in self._past for c in calls if c.participant in own]
            if past:
                asks.append((self._handles[i], "catch_up", (past,)))
            for ask in asks:
                answer = self.runtime.ask([ask], None)[0]
                if not answer.good:
                    raise InputError(f"{', '.join(own)}: cannot go on: {answer.error}")
        self.journal.open(self.house.tick)  # a new life writes a segment of its own

    def _return_to(self, tick: int, arrays: dict[str, Any]) -> None:
        note = json.loads(str(arrays["note"]))
        if note["run"] != self.plan.run:
            raise InputError(f"the snapshot is of run {note['run']!r}, not {self.plan.run!r}")
        house = self.house
        count = sum(name.startswith("state_") for name in arrays)
        parts = [arrays[f"state_{i}"] for i in range(count)]
        house.state = type(house.state)(*restored(tuple(house.state), parts))
        house.observation, house.reward = arrays["observation"], arrays["reward"]
        for name in note["withdrawn"]:
            house.withdraw(name)
        for name, counts in note["counts"].items():
            house.counts[name].update(counts)
        self.digest = TrajectoryHash(arrays["digests"])
        for n, name in enumerate(self.market.layout.participants):
            memory = []
            while f"memory_{n}_{len(memory)}" in arrays:
                memory.append(arrays[f"memory_{n}_{len(memory)}"])
            self._snapshots[name] = Snapshot(tick - 1, memory)

    _replayed: list[Summary] = []

    def _progress(self, summaries: list[Summary]) -> Progress:
        return Progress(
            self.house.tick,
            summaries,
            self.digest.digests,
            {name: dict(c) for name, c in self.house.counts.items() if c},
            dict(self._seconds),
            tuple(sorted(self.house.withdrawn)),
        )


def _listed(value: Any, calls: Sequence[Call]) -> list[Any]:
    """A host's replies; anything but a list of the right length is no reply to any call."""
    return list(value) if isinstance(value, list) and len(value) == len(calls) else [None] * len(calls)


def markets_of(shard: int, shards: int, markets: int) -> IntArray:
    """The market numbers of one shard: consecutive, as even as can be."""
    edges = np.linspace(0, markets, shards + 1).astype(np.int64)
    return np.arange(edges[shard], edges[shard + 1])


__all__ = ["Array", "Progress", "Shard", "ShardPlan", "markets_of"]
