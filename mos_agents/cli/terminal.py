"""What `mos` shows while it works: plain lines, and bars where a terminal is there."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mos_agents.market.printing import cell, printable

if TYPE_CHECKING:
    from mos_agents.lab.feedback import OnProgress, WorkProgress

WIDTH = 96
"""The widest text, and its width where there is no terminal."""

SECONDS = 5.0
"""Between two plain lines of progress."""


def print_line(line: str) -> None:
    """A plain line on stdout."""
    print(printable(line), flush=True)


def width() -> int:
    """Columns of a text: those of the terminal, at most `WIDTH`."""
    if not sys.stdout.isatty():
        return WIDTH
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)


class Pace:
    """Whether a line of progress is due: at the end, and every few seconds before."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self, end: bool = False) -> bool:
        """Whether to show something now; `end` says that the work is done."""
        now = time.monotonic()
        if not end and now - self._last <= self._seconds:
            return False
        self._last = now
        return True


@contextlib.contextmanager
def progress(text: Callable[[WorkProgress], str] | None = None) -> Iterator[OnProgress]:
    """A bar for each part of the work on a terminal; elsewhere a plain line now and then."""
    if not sys.stdout.isatty():
        paces: dict[str, Pace] = {}

        def line(at: WorkProgress) -> None:
            if paces.setdefault(at.part, Pace()).due(at.done == at.total):
                print_line((text or in_words)(at))

        yield line
        return
    with contextlib.ExitStack() as view:
        shown: list[OnProgress] = []

        def show(at: WorkProgress) -> None:
            if not shown:  # a bar before anything is played would stand below the first lines
                shown.append(view.enter_context(_bars() if at.health is None else _participants()))
            shown[0](at)
            if at.done == at.total and at.part == "ticks":
                view.close()

        yield show


def in_words(at: WorkProgress) -> str:
    """tick 3 of 10; learners 3 of 10."""
    return f"{'tick' if at.part == 'ticks' else at.part} {at.done:,} of {at.total:,}" + _speed(at)


def _speed(at: WorkProgress) -> str:
    if at.health is None or not at.health.ticks_per_second:  # none is measured in the first moments
        return ""
    from mos_agents.analysis.numbers import number

    return f", {number(at.health.ticks_per_second)} a second"


@contextlib.contextmanager
def _bars() -> Iterator[OnProgress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}", markup=False), BarColumn(40), MofNCompleteColumn())
    with Progress(*columns, Remaining(compact=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(at: WorkProgress) -> None:
            if at.part not in tasks:
                tasks[at.part] = bar.add_task(printable(at.part), total=at.total)
            bar.update(tasks[at.part], completed=at.done, total=at.total)

        yield show


@contextlib.contextmanager
def _participants() -> Iterator[OnProgress]:
    """The table of a run over actors, redrawn a few times a second."""
    from rich.live import Live

    with Live(refresh_per_second=4, transient=True) as view:
        pace = Pace(0.25)

        def show(at: WorkProgress) -> None:
            if pace.due(at.done == at.total):
                view.update(participants_table(at))

        yield show


def participants_table(at: WorkProgress) -> Any:
    """Ticks, speed, and for each participant its latency, faults and restarts."""
    from rich.table import Table

    health = at.health
    assert health is not None
    made = Table(title=f"tick {at.done:,} of {at.total:,}{_speed(at)}")
    for heading in ("participant", "latency ms", "late", "failed", "refused", "restarts"):
        made.add_column(heading, justify="left" if heading == "participant" else "right")
    names = sorted(set(health.seconds) | set(health.counts))
    for name in names[:30]:
        counts = health.counts.get(name, {})
        cells = [f"{counts.get(kind, 0):,}" for kind in ("late", "failed", "refused", "restarted")]
        gone = " (withdrawn)" if name in health.withdrawn else ""
        made.add_row(cell(name + gone), f"{1000 * health.seconds.get(name, 0.0):.2f}", *cells)
    if len(names) > 30:
        made.add_row(f"and {len(names) - 30} more", "", "", "", "", "")
    return made
