"""A shard at work: call the participants, clear the tick, keep the journal, mend what breaks.

A participant that is late, dead or talks nonsense loses its move and nothing else happens. One that
stays away is started anew from its last snapshot and lives through its own past calls again; after
`restarts` new lives it is withdrawn for good, and the market goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents import registry, scenarios
from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.journal import (
    Journal,
    Record,
    complete,
    mend_tail,
    newest_snapshot,
    records,
)
from mos_agents.actors.memories import flatten, restored
from mos_agents.actors.messages import Call, MessageError, Reply, checked_reply
from mos_agents.actors.participant import Snapshot, checked_memories
from mos_agents.actors.runtime import Answer, Runtime
from mos_agents.actors.summaries import Progress, Summaries, TickSummary
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.tick import Market
from mos_agents.market.types import Array, InputError, IntArray, State, Step
from mos_agents.policies.base import Policy
from mos_agents.policies.faults import describe, is_own_fault, one_line
from mos_agents.runs.files import RunError
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.runs.tables import aggregate, row

CALL_BYTES = 600
"""What a call kept takes besides its observation: objects around two small arrays."""

TOGETHER = 64
"""How many markets' ticks are written up together."""


@dataclass(frozen=True)
class ShardPlan:
    """What a shard needs to begin, or to begin again: plain values only.

    scenario: resolved, as YAML. markets: the numbers of its markets. workers: how many actors hold
    the participants (0: one each). deadline: seconds a tick waits for replies (None: for ever).
    patience: ticks in a row without a reply before a worker is started anew. restarts: new lives a
    worker gets. starting: seconds in which a new life may be late without running out of patience.
    keep_calls: megabytes of past calls kept for new lives.
    folder: where snapshots and journal go (None: nowhere, and nothing survives the process).
    rewards: whether the driver gets all rewards of all ticks (quantiles over several shards).
    classes: what the driver's own script has registered, which no other process can import.
    """

    run: str
    scenario: str
    seed: int
    markets: tuple[int, ...]
    workers: int = 0
    deadline: float | None = None
    patience: int = 3
    restarts: int = 3
    starting: float = 30.0
    keep_calls: float = 64.0
    folder: str | None = None
    audit: bool = False
    recorded: int = 0
    every: int = 1
    rewards: bool = True
    classes: tuple[registry.Entry, ...] = field(default_factory=registry.of_this_script)

    def __post_init__(self) -> None:
        for name, low in (("workers", 0), ("patience", 1), ("restarts", 0), ("starting", 0.0)):
            if getattr(self, name) < low:
                raise InputError(f"{name}={getattr(self, name)!r} must be >= {low}")
        if self.deadline is not None and not self.deadline > 0.0:
            raise InputError(f"deadline={self.deadline!r} must be > 0 seconds")

    def part(self, shard: int, shards: int, markets: int) -> ShardPlan:
        """The plan of one shard of a run of so many markets, in a folder of its own."""
        numbers = markets_of(shard, shards, markets)
        recorded = int(np.clip(self.recorded - numbers[0], 0, numbers.size))
        folder = None if self.folder is None else f"{self.folder}/shard-{shard:04d}"
        return replace(
            self,
            markets=tuple(int(m) for m in numbers),
            recorded=recorded,
            folder=folder,
            rewards=shards > 1,
        )

    def kept_nowhere(self) -> ShardPlan:
        """The plan without a folder: nothing is written."""
        return replace(self, folder=None)


class Shard:
    """The markets of one shard, their clearing house, and the workers of their participants."""

    def __init__(
        self,
        plan: ShardPlan,
        runtime: Runtime,
        made: tuple[Market, Mapping[str, Policy]] | None = None,
    ) -> None:
        """`made`: market and policies in place of the plan's scenario; who has no policy there has
        no worker."""
        self.plan, self.runtime, self.digest = plan, runtime, TrajectoryHash()
        if made is None:
            registry.adopt(plan.classes)
            scenario = scenarios.parse(plan.scenario, trusted=True)
            made = scenario.market(), scenario.policies()
        self.market, self.policies = made
        self.markets = np.array(plan.markets)
        self.clearing_house = ClearingHouse(plan.run, self.market, plan.seed, self.markets)
        for name, policy in self.policies.items():  # told at once, not by its actor
            _check_start(self.market.spec(name), policy)
        self._roster = self._housing()
        self._generations = dict.fromkeys(self.market.layout.participants, 0)
        self._lives = [0] * len(self._roster)
        self._misses = [0] * len(self._roster)
        self._mute = [0] * len(self._roster)
        self._born: list[float | None] = [None] * len(self._roster)
        self._handles: list[Any] = [None] * len(self._roster)
        self._snapshots: dict[str, Snapshot] = {}
        self._past: list[list[Call]] = []
        self._seconds: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._replayed = Summaries()
        self._written = Summaries()
        self._unwritten: list[tuple[State, Step]] = []
        runtime.while_waiting = self._while_waiting
        self._shape = (len(self.markets), self.market.layout.L, len(self.market.quotes.features))
        self.journal: Journal | None = None
        if plan.folder is not None:
            self.journal = Journal(Path(plan.folder), self._shape, plan.audit)

    def start(self) -> int:
        """Bring up the workers, and go on from the disk if there is something; the next tick."""
        if self.journal is not None:
            self.journal.hold()
            found = newest_snapshot(self.journal.folder)
            if found is not None:
                self._return_to(*found)
        for i in self._present():
            self._raise(i)  # they start while the journal is read
        if self.journal is not None:
            self._replay(self.journal)
        for i in self._present():
            bad = self._remember(i, self._past)
            if bad is not None and not bad.dead:
                raise InputError(f"{', '.join(self._roster[i])}: cannot go on: {bad.error}")
            if bad is not None:
                self._again(i, self._past)
        # Ticks have a deadline, but the first one does not run before everybody has had its time.
        limit = None if self.plan.deadline is None else self.plan.starting
        self.runtime.ask([(self._handles[i], "ready", ()) for i in self._present()], limit)
        if self.journal is not None:
            self.journal.open(self.clearing_house.tick)  # a new life writes a segment of its own
        return self.clearing_house.tick

    def advance(self, ticks: int) -> Progress:
        """Clear so many ticks."""
        self._seconds, self._written = {}, Summaries()
        for _ in range(ticks):
            self._tick()
        self._write_up(least=1)
        return self._progress(self._written)

    def recovered(self) -> Progress:
        """What recovery brought back: the ticks replayed since the snapshot."""
        summaries, self._replayed = self._replayed, Summaries()
        return self._progress(summaries)

    def close(self) -> None:
        """End the workers; everything is on the disk."""
        if self.journal is not None:
            self.journal.close()
        self.runtime.close()

    # --- one tick ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._past:  # first, so that this tick's record tells whom it brought back or lost
            self._keep_house()
        clearing_house = self.clearing_house
        calls = clearing_house.calls(self._generations)
        self._past.append(calls)
        actions, missing = clearing_house.stacked(self._replies(calls))
        self._write_up()
        at, state = clearing_house.tick, clearing_house.state
        if self.journal is not None:
            self.journal.append(at, actions, self._note(missing))
        self._unwritten.append((state, clearing_house.clear(at, actions, missing)))

    def _while_waiting(self) -> None:
        """What a runtime whose workers work elsewhere has done while those decide upon a tick."""
        self.clearing_house.draw_ahead()
        self._write_up()

    def _write_up(self, least: int | None = None) -> None:
        """Digests and summaries of the last ticks, for which nobody waits.

        least: of so many ticks or not yet; several ticks of a few markets take hardly longer than
        one, as what they need is then at hand.
        """
        if len(self._unwritten) < (least or max(1, TOGETHER // len(self.markets))):
            return
        for before, step in self._unwritten:
            self.digest.add(step)
            self._written.append(self._summary(before, step))
        self._unwritten.clear()

    def _summary(self, before: State, step: Step) -> TickSummary:
        recorded = self.plan.recorded and before.tick % self.plan.every == 0
        kept = row(self.market, before, step, self.plan.recorded) if recorded else None
        rewards = step.reward if self.plan.rewards else None
        return TickSummary(kept, aggregate(self.market, step), rewards)

    def _replies(self, calls: Sequence[Call]) -> dict[str, Reply | str]:
        """By name, the reply to each call or why there is none; the dead are started anew."""
        by_name = {call.participant: call for call in calls}
        replies: dict[str, Reply | str] = {}
        begin, waiting = time.monotonic(), self._present()
        while waiting:
            asked = [self._renamed([by_name[n] for n in self._roster[i]]) for i in waiting]
            left = self.plan.deadline
            if left is not None:
                left = max(0.0, left - (time.monotonic() - begin))
            asks = [
                (self._handles[i], "decide", (group,))
                for i, group in zip(waiting, asked, strict=True)
            ]
            answers = self.runtime.ask(asks, left)
            dead = []
            for i, group, answer in zip(waiting, asked, answers, strict=True):
                if answer.dead:
                    dead.append(i)
                else:
                    self._heard(i, group, answer, replies)
            # The tick's own call is the last of the past ones: a new life is asked it anew.
            waiting = [i for i in dead if self._again(i, self._past[:-1])]
        return replies

    def _heard(
        self, i: int, calls: Sequence[Call], answer: Answer, replies: dict[str, Reply | str]
    ) -> None:
        """Take a worker's answer for what it is; one that is no good too often is started anew."""
        if answer.ok:
            given = _listed(answer.value, calls)
            for call, reply in zip(calls, given, strict=True):
                try:
                    checked = replies[call.participant] = checked_reply(reply, call)
                    if checked.action is None:
                        self._note_reason(call.participant, checked.fault)
                except MessageError as error:
                    replies[call.participant] = "misaddressed"
                    self._note_reason(call.participant, str(error))
                seconds = max(answer.seconds, self._seconds.get(call.participant, 0.0))
                self._seconds[call.participant] = seconds
            self._born[i] = None
        else:
            replies |= {c.participant: "late" if answer.late else "failed" for c in calls}
            for call in calls if not answer.late else ():
                self._note_reason(call.participant, answer.error)
        good = all(isinstance(replies[call.participant], Reply) for call in calls)
        if good or (answer.late and self._is_starting(i)):
            self._misses[i] = 0
            return
        self._misses[i] += 1
        if self._misses[i] >= self.plan.patience:
            self._again(i, self._past)

    def _note_reason(self, name: str, words: str) -> None:
        """Keep the first words on why a participant's decision failed: a person will ask for it."""
        if words:
            self._reasons.setdefault(name, f"{one_line(words)} (tick {self.clearing_house.tick:,})")

    # --- lives ------------------------------------------------------------------------------------

    def _housing(self) -> list[list[str]]:
        """Who lives with whom: participants dealt out over the workers in roster order."""
        names = [name for name in self.market.layout.participants if name in self.policies]
        workers = min(self.plan.workers or len(names), len(names))
        return [names[i::workers] for i in range(workers)]

    def _present(self) -> list[int]:
        """The workers whose participants take part; those of one worker are withdrawn together."""
        return [
            i
            for i, names in enumerate(self._roster)
            if not self.clearing_house.withdrawn & set(names)
        ]

    def _is_starting(self, i: int) -> bool:
        born = self._born[i]
        return born is not None and time.monotonic() - born < self.plan.starting

    def _raise(self, i: int) -> None:
        """A worker with its participants' specs, policies and random streams: nothing of anybody
        else's."""
        parts = [
            (
                self.plan.run,
                self.market.spec(name),
                self.policies[name],
                Streams.of(self.plan.seed, self.markets, owner=name),
                self._generations[name],
            )
            for name in self._roster[i]
        ]
        self._handles[i] = self.runtime.start(parts, f"worker-{i}")
        self._born[i], self._misses[i], self._mute[i] = time.monotonic(), 0, 0

    def _again(self, i: int, past: Sequence[Sequence[Call]]) -> bool:
        """A new life for a worker, or its participants' withdrawal. Whether it lives."""
        self.runtime.kill(self._handles[i])
        while self._lives[i] < self.plan.restarts:
            self._lives[i] += 1
            for name in self._roster[i]:
                self._generations[name] += 1
                self.clearing_house.counts[name]["restarted"] += 1
            self._raise(i)
            if self._remember(i, past) is None:
                return True
            self.runtime.kill(self._handles[i])
        for name in self._roster[i]:
            self.clearing_house.withdraw(name)
        return False

    def _remember(self, i: int, past: Sequence[Sequence[Call]]) -> Answer | None:
        """Give a new life its memory back: the last snapshot, and the calls since then.

        The answer that was no good, if any. With a deadline nobody waits for it: a life that has
        not caught up is late, and one that cannot fails its next call.
        """
        own = set(self._roster[i])
        kept = {name: s for name, s in self._snapshots.items() if name in own}
        calls = self._renamed([c for calls in past for c in calls if c.participant in own])
        for verb, argument in (("restore", kept), ("catch_up", calls)):
            if not argument:
                continue
            if self.plan.deadline is not None:
                self.runtime.send(self._handles[i], verb, argument)
                continue
            answer = self.runtime.ask([(self._handles[i], verb, (argument,))], None)[0]
            if not answer.ok:
                return answer
        return None

    def _renamed(self, calls: Sequence[Call]) -> list[Call]:
        return [c._replace(generation=self._generations[c.participant]) for c in calls]

    # --- the disk ---------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        """Let go of past calls when they grow: the participants' memories take their place."""
        calls = self._past[-1]
        size = sum(c.observation.nbytes + CALL_BYTES for c in calls) * len(self._past)
        if size <= self.plan.keep_calls * 2**20:
            return
        if not any(self._misses[i] or self._born[i] is not None for i in self._present()):
            self._remember_all()

    def _remember_all(self) -> bool:
        """Ask everybody for their memories as of now; whether all gave them."""
        if not self._past and self._snapshots:
            return True
        present = self._present()
        memories: dict[str, Snapshot] = {}
        asks = [(self._handles[i], "snapshot", ()) for i in present]
        whole = True
        for i, answer in zip(present, self.runtime.ask(asks, self.plan.deadline), strict=True):
            try:
                if not answer.ok:
                    raise MessageError(answer.error)
                memories |= checked_memories(
                    answer.value, self._roster[i], self.clearing_house.tick - 1
                )
            except MessageError as error:
                whole = False  # the older memories and the calls since still serve
                for name in self._roster[i] if not answer.late and not answer.dead else ():
                    self._note_reason(name, str(error))
                self._mute[i] += not (answer.late or answer.dead)
                if self._mute[i] >= self.plan.patience:
                    self._again(i, self._past)
        if whole:
            self._snapshots, self._past = memories, []
        return whole

    def checkpoint(self) -> int:
        """Put the state before the next tick on the disk; the journal before it may go.

        Called once all that happened before is recorded elsewhere. Where a participant is away,
        nothing is put down now: the older checkpoint and the journal since then still serve.
        """
        if self.journal is not None and self._remember_all():
            self.journal.snapshot(self.clearing_house.tick, self._arrays())
        return self.clearing_house.tick

    def _note(self, missing: dict[str, str]) -> dict[str, Any]:
        """What a record says beside the actions: absences at this tick, lives and losses so far."""
        counts = self.clearing_house.counts
        restarted = {name: c["restarted"] for name, c in counts.items() if c["restarted"]}
        withdrawn = sorted(self.clearing_house.withdrawn)
        told = {"missing": missing, "restarted": restarted, "withdrawn": withdrawn}
        return {name: what for name, what in told.items() if what}

    def _arrays(self) -> dict[str, Any]:
        clearing_house = self.clearing_house
        state = flatten(tuple(clearing_house.state))
        arrays: dict[str, Any] = {f"state_{i}": array for i, array in enumerate(state)} | {
            "observation": clearing_house.observation,
            "reward": clearing_house.reward,
            "digests": self.digest.digests,
            "note": np.array(
                json.dumps(
                    {
                        "run": self.plan.run,
                        "withdrawn": sorted(clearing_house.withdrawn),
                        "counts": {name: dict(c) for name, c in clearing_house.counts.items()},
                        "generations": self._generations,
                        "remembered": sorted(self._snapshots),
                    }
                )
            ),
        }
        for n, name in enumerate(self.market.layout.participants):
            if name in self._snapshots:
                for j, array in enumerate(self._snapshots[name].memory):
                    arrays[f"memory_{n}_{j}"] = array
        return arrays

    def _replay(self, journal: Journal) -> None:
        """Live the journal's ticks since the snapshot again."""
        mend_tail(journal.folder, self._shape)
        for record in records(journal.folder, self._shape, self.clearing_house.tick):
            self._past.append(self.clearing_house.calls(self._generations))
            state = self.clearing_house.state
            self._replayed.append(self._summary(state, self._clear_again(record)))

    def _clear_again(self, record: Record) -> Step:
        """A tick from its record: what was withdrawn or missing then is so again."""
        clearing_house, note = self.clearing_house, record.note
        for name in note.get("withdrawn", ()):
            clearing_house.withdraw(name)
        for name, lives in note.get("restarted", {}).items():
            clearing_house.counts[name]["restarted"] = lives
        step = clearing_house.clear(record.tick, record.actions, note.get("missing", {}))
        self.digest.add(step)
        return step

    def go_back(self) -> int:
        """Put the market where the journal begins, and nobody into it; the tick there.

        That is the first tick if the journal goes back to it, else that of the newest snapshot.
        Raises RunError where there is neither.
        """
        assert self.journal is not None
        folder = self.journal.folder
        if not complete(folder):
            found = newest_snapshot(folder)
            if found is None:
                raise RunError(f"{folder}: holds neither the first tick nor a snapshot: damaged")
            self._return_to(*found)
        return self.clearing_house.tick

    def replay(self) -> Iterator[TickSummary]:
        """What the journal's ticks come to from there on, cleared again without asking anybody.

        Raises RunError where the journal is damaged.
        """
        assert self.journal is not None
        for record in records(self.journal.folder, self._shape, self.clearing_house.tick):
            before = self.clearing_house.state
            yield self._summary(before, self._clear_again(record))

    def _return_to(self, tick: int, arrays: dict[str, Any]) -> None:
        """Put the state of a snapshot in the place of the first one. RunError where it is none."""
        try:
            note = json.loads(str(arrays["note"]))
            run = note["run"]
            if run == self.plan.run:
                self._take_over(tick, arrays, note)
        except (LookupError, ValueError, TypeError, AttributeError):
            raise RunError(
                f"{self.plan.folder}: the snapshot of tick {tick:,} is none of this run's: damaged "
                "or edited"
            ) from None
        if run != self.plan.run:
            raise InputError(f"the snapshot is of run {run!r}, not {self.plan.run!r}")

    def _take_over(self, tick: int, arrays: dict[str, Any], note: dict[str, Any]) -> None:
        """The state, counts and memories of a snapshot; an error of any kind where it is none."""
        clearing_house = self.clearing_house
        count = sum(name.startswith("state_") for name in arrays)
        parts = [arrays[f"state_{i}"] for i in range(count)]
        due = [
            *flatten(tuple(clearing_house.state))[1:],
            clearing_house.observation,
            clearing_house.reward,
        ]
        found = [*parts[1:], arrays["observation"], arrays["reward"]]
        alike = [(a.shape, a.dtype) for a in found] == [(a.shape, a.dtype) for a in due]
        if not alike or arrays["digests"].shape != (len(self.markets), 2):
            raise ValueError("of another market")
        clearing_house.state = type(clearing_house.state)(
            *restored(tuple(clearing_house.state), parts)
        )
        clearing_house.observation, clearing_house.reward = arrays["observation"], arrays["reward"]
        for name in note["withdrawn"]:
            clearing_house.withdraw(name)
        for name, counts in note["counts"].items():
            clearing_house.counts[name].update(counts)
        self._generations = {name: life + 1 for name, life in note["generations"].items()}
        self.digest = TrajectoryHash(arrays["digests"])
        for n, name in enumerate(self.market.layout.participants):
            if name in note["remembered"]:
                count = sum(key.startswith(f"memory_{n}_") for key in arrays)
                memory = [arrays[f"memory_{n}_{j}"] for j in range(count)]
                self._snapshots[name] = Snapshot(tick - 1, memory)

    def trouble(self) -> dict[str, dict[str, int]]:
        """By participant, how many of its decisions were missing, for what reason, or refused."""
        return {name: dict(c) for name, c in self.clearing_house.counts.items() if c}

    def _progress(self, summaries: Summaries) -> Progress:
        return Progress(
            self.clearing_house.tick,
            summaries,
            self.digest.digests,
            self.trouble(),
            dict(self._seconds),
            tuple(sorted(self.clearing_house.withdrawn)),
            dict(self._reasons),
        )


def _check_start(spec: ParticipantSpec, policy: Policy) -> None:
    """InputError where a policy cannot begin, or would not come back from what it remembers."""
    try:
        flatten(policy.start(spec, 1))
    except InputError as error:
        told = str(error)
        raise InputError(told if spec.name in told else f"{spec.name}: {told}") from None
    except BaseException as error:
        if not is_own_fault(error):
            raise
        raise InputError(f"{spec.name}: its policy cannot start: {describe(error)}") from None


def _listed(value: Any, calls: Sequence[Call]) -> list[Any]:
    """A worker's replies; anything but a list of the right length is no reply to any call."""
    return value if type(value) is list and len(value) == len(calls) else [None] * len(calls)


def markets_of(shard: int, shards: int, markets: int) -> IntArray:
    """The market numbers of one shard: consecutive, as even as can be."""
    edges = np.linspace(0, markets, shards + 1).astype(np.int64)
    return np.arange(edges[shard], edges[shard + 1])


__all__ = ["Array", "Progress", "Shard", "ShardPlan", "markets_of"]
