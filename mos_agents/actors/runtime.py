"""How actors are hosted and asked: a small interface, and the runtime within this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from mos_agents.actors.messages import told
from mos_agents.actors.participant import Host, hosted
from mos_agents.policies.faults import is_own_fault


class Answer(NamedTuple):
    """What came back: a value, an error in one line, or nothing in time."""

    value: Any = None
    error: str = ""
    late: bool = False
    dead: bool = False
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.error or self.late or self.dead)


class Runtime(Protocol):
    """Where hosts of participants live.

    meanwhile: what may be done between asking hosts and waiting for them, if they work elsewhere.
    """

    meanwhile: Callable[[], None]

    def host(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        """A new host; `parts` are the arguments of `Participant`. Returns its handle."""

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        """Put (handle, verb, arguments) to all hosts at once; their answers, in order.

        What has not come back after `deadline` seconds is late.
        """

    def tell(self, handle: Any, verb: str, *arguments: Any) -> None:
        """Put it to one host, and wait for nothing. What is asked later is answered later."""

    def kill(self, handle: Any) -> None:
        """End a host at once."""

    def close(self) -> None:
        """End them all."""


def nothing() -> None:
    """Nothing to do meanwhile."""


class LocalRuntime:
    """Hosts in this process, asked one after the other.

    A deadline cannot cut short what runs in the same process: it is not looked at. `order` gives
    the order in which hosts answer (for n hosts), which must make no difference.
    """

    def __init__(self, order: Callable[[int], Sequence[int]] = range) -> None:
        self._order = order
        self._hosts: list[Host | None] = []
        self.meanwhile = nothing  # there is no meanwhile in one process

    def host(self, parts: Sequence[tuple[Any, ...]], name: str) -> int:
        try:
            self._hosts.append(hosted(parts))
        except BaseException as error:  # of a policy's own start
            if not is_own_fault(error):
                raise
            self._hosts.append(None)
        return len(self._hosts) - 1

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        answers: list[Answer] = [Answer()] * len(asks)
        for i in self._order(len(asks)):
            handle, verb, arguments = asks[i]
            host = self._hosts[handle]
            begin = time.perf_counter()
            if host is None:
                answers[i] = Answer(dead=True, error="was killed")
                continue
            try:
                value = getattr(host, verb)(*arguments)
            except BaseException as error:
                if not is_own_fault(error):
                    raise
                answers[i] = Answer(error=told(error))
            else:
                answers[i] = Answer(value, seconds=time.perf_counter() - begin)
        return answers

    def tell(self, handle: Any, verb: str, *arguments: Any) -> None:
        self.ask([(handle, verb, arguments)], None)

    def kill(self, handle: Any) -> None:
        self._hosts[handle] = None

    def close(self) -> None:
        self._hosts = [None] * len(self._hosts)
