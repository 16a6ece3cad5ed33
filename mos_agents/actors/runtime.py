"""How workers are started and asked: a small interface, and the runtime within this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from mos_agents.actors.participant import Worker, worker_of
from mos_agents.policies.faults import describe, is_own_fault


class Answer(NamedTuple):
    """What a worker answered.

    Attributes
    ----------
    value : Any
        The result.
    error : str
        One line on what failed; "" if nothing did.
    late : bool
        Whether the deadline passed first.
    dead : bool
        Whether the worker's process is gone.
    seconds : float
        How long the worker took.
    """

    value: Any = None
    error: str = ""
    late: bool = False
    dead: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not (self.error or self.late or self.dead)


class Runtime(Protocol):
    """Where workers run.

    Attributes
    ----------
    while_waiting : Callable
        Work to do after the workers are asked and before their answers are awaited.
    """

    while_waiting: Callable[[], None]

    def start(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        """Start a worker; `parts` are the arguments of `Participant`. Returns its handle."""

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        """Ask several workers at once.

        Parameters
        ----------
        asks : Sequence of (handle, verb, arguments)
            Whom to ask what.
        deadline : float or None
            Seconds after which an answer is late; None: never.

        Returns
        -------
        list of Answer
            One for each of `asks`, in their order.
        """

    def send(self, handle: Any, verb: str, *arguments: Any) -> None:
        """Send a request and do not wait for its answer. Later requests are answered later."""

    def kill(self, handle: Any) -> None:
        """End a worker now."""

    def close(self) -> None:
        """End all workers."""


def no_work() -> None:
    """Do nothing while waiting."""


class LocalRuntime:
    """Workers in this process, asked one after the other.

    Parameters
    ----------
    order : Callable
        Maps n to the order in which n workers answer. It must make no difference.

    Notes
    -----
    Deadlines are ignored: nothing can interrupt code of the same process.
    """

    def __init__(self, order: Callable[[int], Sequence[int]] = range) -> None:
        self._order = order
        self._workers: list[Worker | None] = []
        self.while_waiting = no_work  # in one process nobody waits

    def start(self, parts: Sequence[tuple[Any, ...]], name: str) -> int:
        try:
            self._workers.append(worker_of(parts))
        except BaseException as error:  # raised by a policy's start
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
