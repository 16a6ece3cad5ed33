"""How actors are held and asked: a small interface, and the runtime within this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from mos_agents.actors.participant import Worker, worker_of
from mos_agents.policies.faults import describe, is_own_fault


class Answer(NamedTuple):
    """What came back: a value, an error in one line, or nothing in time."""

    value: Any = None
    error: str = ""
    late: bool = False
    dead: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not (self.error or self.late or self.dead)


class Runtime(Protocol):
    """Where workers of participants live.

    while_waiting: work to do after the workers are asked and before their answers are awaited.
    """

    while_waiting: Callable[[], None]

    def start(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        """A new worker; `parts` are the arguments of `Participant`. Returns its handle."""

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        """Put (handle, verb, arguments) to all workers at once; their answers, in order.

        What has not come back after `deadline` seconds is late.
        """

    def send(self, handle: Any, verb: str, *arguments: Any) -> None:
        """Put it to one worker, and wait for nothing. What is asked later is answered later."""

    def kill(self, handle: Any) -> None:
        """End a worker at once."""

    def close(self) -> None:
        """End them all."""


def nothing() -> None:
    """Nothing to do meanwhile."""


class LocalRuntime:
    """Hosts in this process, asked one after the other.

    A deadline cannot cut short what runs in the same process: it is not looked at. `order` gives
    the order in which workers answer (for n workers), which must make no difference.
    """

    def __init__(self, order: Callable[[int], Sequence[int]] = range) -> None:
        self._order = order
        self._workers: list[Worker | None] = []
        self.while_waiting = nothing  # there is no meanwhile in one process

    def start(self, parts: Sequence[tuple[Any, ...]], name: str) -> int:
        try:
            self._workers.append(worker_of(parts))
        except BaseException as error:  # of a policy's own start
            if not is_own_fault(error):
                raise
            self._workers.append(None)
        return len(self._workers) - 1

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        answers: list[Answer] = [Answer()] * len(asks)
        for i in self._order(len(asks)):
            handle, verb, arguments = asks[i]
            worker = self._workers[handle]
            begin = time.perf_counter()
            if worker is None:
                answers[i] = Answer(dead=True, error="was killed")
                continue
            try:
                value = getattr(worker, verb)(*arguments)
            except BaseException as error:
                if not is_own_fault(error):
                    raise
                answers[i] = Answer(error=describe(error))
            else:
                answers[i] = Answer(value, seconds=time.perf_counter() - begin)
        return answers

    def send(self, handle: Any, verb: str, *arguments: Any) -> None:
        self.ask([(handle, verb, arguments)], None)

    def kill(self, handle: Any) -> None:
        self._workers[handle] = None

    def close(self) -> None:
        self._workers = [None] * len(self._workers)
