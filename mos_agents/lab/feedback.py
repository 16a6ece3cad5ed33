"""What a piece of work reports while it runs, and how it is stopped in good order."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from mos_agents.market.lazy import LazyModule

if TYPE_CHECKING:
    from mos_agents.actors import driver
else:
    driver = LazyModule("mos_agents.actors.driver")


class WorkProgress(NamedTuple):
    """How far a piece of work is.

    Attributes
    ----------
    part : str
        The part of the work: "ticks" of a run, else what is played, such as "learners".
    done, total : int
        How much of the part is done, and how much there is.
    health : Health or None
        The participants' latencies, faults and restarts, in a run over actors.
    """

    part: str
    done: int
    total: int
    health: driver.Health | None = None


OnProgress = Callable[[WorkProgress], object]
"""Called after each tick or session."""

OnMessage = Callable[[str], object]
"""Called with one line of text, such as what was recognised in the scenario's files."""


def _ignore(_: object) -> None:
    return None


@dataclass(frozen=True)
class Feedback:
    """The two callbacks of a piece of work; the default ones do nothing."""

    progress: OnProgress = _ignore
    message: OnMessage = _ignore

    @classmethod
    def of(cls, on_progress: OnProgress | None, on_message: OnMessage | None) -> Feedback:
        """The callbacks of a caller; None does nothing."""
        return cls(on_progress or _ignore, on_message or _ignore)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM stopped the work in good order.

    The message is one line: what is kept, and the command that goes on. In Python,
    `mos_agents.lab.resume(error.folder)` goes on.

    Attributes
    ----------
    number : int
        The number of the signal.
    folder : Path or None
        The folder that holds what was done; None where nothing is kept.
    at_once : bool
        Whether a second Ctrl-C came while work was still under way.
    """

    def __init__(
        self, message: str, number: int, folder: Path | None = None, at_once: bool = False
    ) -> None:
        super().__init__(message)
        self.number = number
        self.folder = folder
        self.at_once = at_once

    @property
    def code(self) -> int:
        """The exit code of a process that this signal stopped."""
        return 128 + self.number


@contextlib.contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collect the first Ctrl-C or SIGTERM, to be looked at between ticks; raise the second one.

    Where signals cannot be caught (outside the main thread) the list stays empty.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)  # raises KeyboardInterrupt
        asked.append(number)

    former = {}
    with contextlib.suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            former[number] = signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def compile_note(what: str, when: str = "once") -> str | None:
    """A line that says that compiling takes time; None where the kernels are compiled already."""
    folder = Path(__file__).parent.parent / "market" / "__pycache__"
    if any(folder.glob("*.nbi")) or "NUMBA_CACHE_DIR" in os.environ:
        return None
    return f"compiling {what}: up to a minute, {when}"
