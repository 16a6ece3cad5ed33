"""Supervises the workers of a shard: asks them for replies, and restarts those that fail.

A participant that is late, dead or sends nonsense loses its move, and nothing else happens. A
worker that stays away is restarted: its participants get their last snapshots and decide on all
calls since then again. After too many restarts they are withdrawn for good.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.messages import Call, MessageError, Reply, checked_reply
from mos_agents.actors.participant import Snapshot, checked_memories
from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.runtime import Answer, Runtime
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy
from mos_agents.policies.faults import describe, is_own_fault, one_line
from mos_agents.trees import flatten

CALL_BYTES = 600
"""Memory that a kept call takes besides its observation: Python objects around two arrays."""


@dataclass(eq=False)
class WorkerRecord:
    """What the supervisor knows of one worker.

    Attributes
    ----------
    name : str
        The worker's name.
    participants : list of str
        Who is in it.
    handle : Any
        The runtime's handle of its process.
    started_at : float or None
        When its process was started; None once it has replied.
    restarts : int
        How often it was restarted.
    missed : int
        Ticks in a row without a valid reply.
    failed_snapshots : int
        How often it answered a request for its memories with something else.
    """

    name: str
    participants: list[str]
    handle: Any = None
    started_at: float | None = None
    restarts: int = 0
    missed: int = 0
    failed_snapshots: int = 0


class Supervisor:
    """The workers of a shard.

    Parameters
    ----------
    plan : ShardPlan
        Deadline, patience, number of restarts.
    runtime : Runtime
        Where the workers run.
    policies : Mapping of str to Policy
        The policies of the hosted participants. Participants without a policy have no worker.
    clearing_house : ClearingHouse
        It counts restarts, and withdraws participants whose worker is given up.

    Attributes
    ----------
    generations : dict
        By participant, the generation of its current process.
    snapshots : dict
        By participant, its last snapshot.
    calls : list
        The calls of each tick since those snapshots.
    seconds : dict
        By participant, the slowest reply since `seconds` was last emptied.
    reasons : dict
        By participant, the first words on why a decision failed.

    Raises
    ------
    InputError
        If a policy cannot start.
    """

    def __init__(
        self,
        plan: ShardPlan,
        runtime: Runtime,
        policies: Mapping[str, Policy],
        clearing_house: ClearingHouse,
    ) -> None:
        market = clearing_house.market
        for name, policy in policies.items():  # an error here is clearer than one from an actor
            _check_start(market.spec(name), policy)
        self.plan, self.runtime, self.policies = plan, runtime, policies
        self.clearing_house = clearing_house
        hosted = [name for name in market.layout.participants if name in policies]
        self.generations = dict.fromkeys(hosted, 0)
        self.records = [
            WorkerRecord(f"worker-{i}", names)
            for i, names in enumerate(placement(hosted, plan.workers))
        ]
        self.snapshots: dict[str, Snapshot] = {}
        self.calls: list[list[Call]] = []
        self.seconds: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def present(self) -> list[WorkerRecord]:
        """The workers that still take part. Participants of one worker are withdrawn together."""
        withdrawn = self.clearing_house.withdrawn
        return [record for record in self.records if not withdrawn & set(record.participants)]

    def start(self) -> None:
        """Start all workers. They start up while the caller does something else."""
        for record in self.present():
            self._start(record)

    def catch_up(self) -> None:
        """Bring all workers to the next tick, and wait until they are ready.

        Raises
        ------
        InputError
            If a worker cannot restore its memory.
        """
        for record in self.present():
            bad = self._restore(record, self.calls)
            if bad is not None and not bad.dead:
                raise InputError(f"{', '.join(record.participants)}: cannot go on: {bad.error}")
            if bad is not None:
                self.restart(record, self.calls)
        # Ticks have a deadline, but the first one must not start before all had time to start up.
        limit = None if self.plan.deadline is None else self.plan.starting
        self.runtime.ask([(record.handle, "ready", ()) for record in self.present()], limit)

    def next_calls(self) -> list[Call]:
        """The calls of the next tick, which are kept for restarts."""
        calls = self.clearing_house.calls(self.generations)
        self.calls.append(calls)
        return calls

    def replies(self, calls: Sequence[Call]) -> dict[str, Reply | str]:
        """By participant, the reply to its call, or one of MISSING. Dead workers are restarted."""
        by_name = {call.participant: call for call in calls}
        replies: dict[str, Reply | str] = {}
        begin, waiting = time.monotonic(), self.present()
        while waiting:
            groups = [self._current([by_name[n] for n in r.participants]) for r in waiting]
            left = self.plan.deadline
            if left is not None:
                left = max(0.0, left - (time.monotonic() - begin))
            asks = [(r.handle, "decide", (g,)) for r, g in zip(waiting, groups, strict=True)]
            answers = self.runtime.ask(asks, left)
            dead = []
            for record, group, answer in zip(waiting, groups, answers, strict=True):
                if answer.dead:
                    dead.append(record)
                else:
                    self._take(record, group, answer, replies)
            # The last of the kept calls are this tick's: a restarted worker is asked them again.
            waiting = [record for record in dead if self.restart(record, self.calls[:-1])]
        return replies

    def _take(
        self,
        record: WorkerRecord,
        calls: Sequence[Call],
        answer: Answer,
        replies: dict[str, Reply | str],
    ) -> None:
        """Check a worker's answer. One that gives no valid reply too often is restarted."""
        if answer.ok:
            for call, reply in zip(calls, _listed(answer.value, calls), strict=True):
                name = call.participant
                try:
                    checked = replies[name] = checked_reply(reply, call)
                    if checked.action is None:
                        self._note_reason(name, checked.fault)
                except MessageError as error:
                    replies[name] = "misaddressed"
                    self._note_reason(name, str(error))
                self.seconds[name] = max(answer.seconds, self.seconds.get(name, 0.0))
            record.started_at = None
        else:
            replies |= {c.participant: "late" if answer.late else "failed" for c in calls}
            for call in calls if not answer.late else ():
                self._note_reason(call.participant, answer.error)
        good = all(isinstance(replies[call.participant], Reply) for call in calls)
        if good or (answer.late and self._is_starting(record)):
            record.missed = 0
            return
        record.missed += 1
        if record.missed >= self.plan.patience:
            self.restart(record, self.calls)

    def _note_reason(self, name: str, words: str) -> None:
        """Keep the first words on why a participant's decision failed, for the user."""
        if words:
            self.reasons.setdefault(name, f"{one_line(words)} (tick {self.clearing_house.tick:,})")

    # --- starting and restarting ------------------------------------------------------------------

    def _is_starting(self, record: WorkerRecord) -> bool:
        started = record.started_at
        return started is not None and time.monotonic() - started < self.plan.starting

    def _start(self, record: WorkerRecord) -> None:
        """Start a worker. It gets its participants' specs, policies and streams, and no others."""
        house = self.clearing_house
        parts = [
            (
                self.plan.run,
                house.market.spec(name),
                self.policies[name],
                Streams.of(self.plan.seed, house.streams.markets, owner=name),
                self.generations[name],
            )
            for name in record.participants
        ]
        record.handle = self.runtime.start(parts, record.name)
        record.started_at, record.missed, record.failed_snapshots = time.monotonic(), 0, 0

    def restart(self, record: WorkerRecord, calls: Sequence[Sequence[Call]]) -> bool:
        """Restart a worker and let it catch up with past calls.

        Returns
        -------
        bool
            Whether it runs again. If not, its participants are withdrawn.
        """
        self.runtime.kill(record.handle)
        while record.restarts < self.plan.restarts:
            record.restarts += 1
            for name in record.participants:
                self.generations[name] += 1
                self.clearing_house.counts[name]["restarted"] += 1
            self._start(record)
            if self._restore(record, calls) is None:
                return True
            self.runtime.kill(record.handle)
        for name in record.participants:
            self.clearing_house.withdraw(name)
        return False

    def _restore(self, record: WorkerRecord, calls: Sequence[Sequence[Call]]) -> Answer | None:
        """Give a new worker its last snapshots and the calls since then.

        Returns
        -------
        Answer or None
            The answer that was not ok, if any. With a deadline nobody waits for answers: a worker
            that has not caught up is late, and one that cannot fails its next call.
        """
        own = set(record.participants)
        kept = {name: s for name, s in self.snapshots.items() if name in own}
        past = self._current([c for tick in calls for c in tick if c.participant in own])
        for verb, argument in (("restore", kept), ("catch_up", past)):
            if not argument:
                continue
            if self.plan.deadline is not None:
                self.runtime.send(record.handle, verb, argument)
                continue
            answer = self.runtime.ask([(record.handle, verb, (argument,))], None)[0]
            if not answer.ok:
                return answer
        return None

    def _current(self, calls: Sequence[Call]) -> list[Call]:
        """The calls, addressed to the current generations."""
        return [c._replace(generation=self.generations[c.participant]) for c in calls]

    # --- snapshots --------------------------------------------------------------------------------

    def trim_calls(self) -> None:
        """Replace kept calls by snapshots once they take more memory than the plan allows."""
        if not self.calls:
            return
        calls = self.calls[-1]
        size = sum(c.observation.nbytes + CALL_BYTES for c in calls) * len(self.calls)
        if size <= self.plan.keep_calls * 2**20:
            return
        if not any(record.missed or record.started_at is not None for record in self.present()):
            self.collect_snapshots()

    def collect_snapshots(self) -> bool:
        """Ask all workers for snapshots.

        Returns
        -------
        bool
            Whether all answered. If not, the older snapshots and the calls since then are kept.
        """
        if not self.calls and self.snapshots:
            return True
        present = self.present()
        memories: dict[str, Snapshot] = {}
        asks = [(record.handle, "snapshot", ()) for record in present]
        complete = True
        for record, answer in zip(present, self.runtime.ask(asks, self.plan.deadline), strict=True):
            try:
                if not answer.ok:
                    raise MessageError(answer.error)
                memories |= checked_memories(
                    answer.value, record.participants, self.clearing_house.tick - 1
                )
            except MessageError as error:
                complete = False
                if answer.late or answer.dead:
                    continue
                for name in record.participants:
                    self._note_reason(name, str(error))
                record.failed_snapshots += 1
                if record.failed_snapshots >= self.plan.patience:
                    self.restart(record, self.calls)
        if complete:
            self.snapshots, self.calls = memories, []
        return complete


def placement(participants: Sequence[str], workers: int) -> list[list[str]]:
    """Which participants share a worker: they are dealt out in their order; 0: one each."""
    workers = min(workers or len(participants), len(participants))
    return [list(participants[i::workers]) for i in range(workers)]


def _check_start(spec: ParticipantSpec, policy: Policy) -> None:
    """Raise InputError if a policy cannot start, or cannot be restored from its memory."""
    try:
        flatten(policy.start(spec, 1))
    except InputError as error:
        text = str(error)
        raise InputError(text if spec.name in text else f"{spec.name}: {text}") from None
    except BaseException as error:
        if not is_own_fault(error):
            raise
        raise InputError(f"{spec.name}: its policy cannot start: {describe(error)}") from None


def _listed(value: Any, calls: Sequence[Call]) -> list[Any]:
    """A worker's replies. Anything but a list of the right length is a reply to no call."""
    return value if type(value) is list and len(value) == len(calls) else [None] * len(calls)
