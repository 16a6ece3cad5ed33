"""A participant as an actor: it holds its policy and memory, and answers calls for quotes.

Nothing here knows how messages travel. A participant has its spec, its policy and random streams of
its own; the market's state, its random numbers and the other participants never reach it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mos_agents.actors.messages import Call, MessageError, Reply
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array
from mos_agents.policies.base import Policy
from mos_agents.policies.guard import decide, reason_of
from mos_agents.trees import flatten, restored, template_of


class Snapshot(NamedTuple):
    """A participant's memory after it decided on `tick`; tick -1 is before the first."""

    tick: int
    memory: list[Array]


def checked_memories(value: Any, names: Sequence[str], tick: int) -> dict[str, Snapshot]:
    """A worker's snapshots after `tick`, checked: only plain arrays of numbers reach the disk.

    Raises
    ------
    MessageError
        If they are anything else.
    """
    if type(value) is not dict or set(map(type, value)) - {str} or set(value) != set(names):
        raise MessageError(f"{', '.join(names)}: the snapshots are missing or of others")
    for name, snapshot in value.items():
        if type(snapshot) is not Snapshot or type(snapshot.memory) is not list:
            raise MessageError(f"{name}: sent a {type(snapshot).__name__} as its snapshot")
        if type(snapshot.tick) is not int or snapshot.tick != tick:
            raise MessageError(f"{name}: sent a snapshot of another tick than {tick}")
        if any(type(a) is not np.ndarray or a.dtype.kind not in "fiub" for a in snapshot.memory):
            raise MessageError(f"{name}: sent a snapshot that holds more than arrays of numbers")
    return value


class Participant:
    """One economic entity in all markets of a shard.

    A tick is answered once: the same tick again gets the same reply, an older one is refused, and
    a gap is an error (the participant would have missed what it should remember).
    """

    def __init__(
        self,
        run: str,
        spec: ParticipantSpec,
        policy: Policy,
        streams: Streams,
        generation: int = 0,
    ) -> None:
        """`streams` holds the random numbers of this participant alone: the run's
        seed, from which all others follow, stays with the clearing house."""
        self.run, self.spec, self.policy, self.generation = run, spec, policy, generation
        self.streams = streams
        self.memory = policy.start(spec, len(streams.markets))
        self._template = template_of(self.memory)  # a policy may write to its own lists
        self.tick = -1
        self._last: Reply | None = None

    def decide(self, call: Call) -> Reply:
        """The reply to a call. Raises MessageError if the call is not for now, or not for us."""
        self._addressed(call)
        if call.tick == self.tick and self._last is not None:
            return self._last
        if call.tick <= self.tick:
            raise MessageError(f"{self.spec.name}: tick {call.tick} is over, now is {self.tick}")
        if call.tick != self.tick + 1:
            raise MessageError(
                f"{self.spec.name}: tick {call.tick} after {self.tick} leaves a gap; catch up first"
            )
        action, fault = self._act(call)
        self.tick = call.tick
        self._last = Reply(self.run, call.tick, self.spec.name, self.generation, action, fault)
        return self._last

    def catch_up(self, calls: Sequence[Call]) -> int:
        """Decide on past calls again without answering; returns the tick reached."""
        for call in calls:
            if call.tick == self.tick + 1:
                self._act(call)
                self.tick, self._last = call.tick, None
            elif call.tick > self.tick:
                raise MessageError(f"{self.spec.name}: tick {call.tick} after {self.tick}: a gap")
        return self.tick

    def snapshot(self) -> Snapshot:
        """The memory as plain arrays, which later decisions do not touch.

        Raises InputError where it would not come back as it is.
        """
        arrays = flatten(self.memory)
        restored(self._template, arrays)
        return Snapshot(self.tick, [array.copy() for array in arrays])

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; random numbers need no restoring, they go by tick."""
        # Copies: what came in a message may be read-only, and a policy may write to its own.
        self.memory = restored(self._template, [array.copy() for array in snapshot.memory])
        self.tick, self._last = snapshot.tick, None

    def _act(self, call: Call) -> tuple[Array | None, str]:
        draws = self.streams.at(call.tick)
        made = decide(self.policy, self.spec, call.observation, call.reward, self.memory, draws)
        self.memory = made.memory
        if made.action is None:  # a failure costs it a move, and no other participant
            assert made.error is not None
            return None, reason_of(made.error)
        return made.action, ""

    def _addressed(self, call: Call) -> None:
        for name, own in (
            ("run", self.run),
            ("participant", self.spec.name),
            ("generation", self.generation),
        ):
            if getattr(call, name) != own:
                raise MessageError(
                    f"{self.spec.name}: call with {name}={getattr(call, name)!r}, but it is {own!r}"
                )


class Worker:
    """One or several participants in one process.

    They share the process and its failures. Each still gets its own calls only.
    """

    def __init__(self, participants: Sequence[Participant]) -> None:
        self._of = {p.spec.name: p for p in participants}

    def begin(self, parts: Sequence[tuple[Any, ...]]) -> None:
        """Replace the participants by those of another run."""
        self._of = {p.spec.name: p for p in (Participant(*part) for part in parts)}

    def ready(self) -> list[str]:
        """The participants' names. A first draw compiles what the ticks need."""
        for participant in self._of.values():
            participant.streams.at(0).uniforms("ready", 1)
        return list(self._of)

    def decide(self, calls: Sequence[Call]) -> list[Reply]:
        """The replies to the calls, in their order."""
        return [self._called(call).decide(call) for call in calls]

    def catch_up(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self._called(call).catch_up([call])

    def _called(self, call: Call) -> Participant:
        if call.participant not in self._of:
            raise MessageError(
                f"{call.participant!r} is not in this worker, which holds {list(self._of)}"
            )
        return self._of[call.participant]

    def snapshot(self) -> dict[str, Snapshot]:
        return {name: p.snapshot() for name, p in self._of.items()}

    def restore(self, snapshots: dict[str, Snapshot]) -> None:
        for name, snapshot in snapshots.items():
            self._of[name].restore(snapshot)


def worker_of(parts: Sequence[tuple[Any, ...]]) -> Worker:
    """A worker that holds participants made from the arguments of `Participant`."""
    return Worker([Participant(*part) for part in parts])
