"""`mos replicate`: what the literature found, and what comes out here, side by side.

Experiments lie beside the package (`experiments`), so they are imported only when asked for.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mos_agents.games.sessions import Played, Task, Threads, Workers
from mos_agents.lab.folders import check_place
from mos_agents.lab.playing import Interrupted, asked_to_stop, compiled, print_line, shown
from mos_agents.market.printing import cell, printable
from mos_agents.market.types import InputError
from mos_agents.runs.files import write_whole

CAPTION = (
    "95% intervals over sessions (paths, where paths are played): the scatter of simulated play "
    "alone. A figure or limit beyond the end of the record is told as such"
)
HEADINGS = ("quantity", "published", "ours", "95% interval", "within", "source")


@dataclass(frozen=True)
class ReplicationRequest:
    """What is to be replicated, and how.

    workers: threads of this machine, None: one a core. address, insecure: of a Ray cluster to join.
    folder: finished sessions are kept there. json: the findings are written there.
    """

    name: str
    sessions: int | None = None
    changes: Sequence[str] = ()
    seed: int | None = None
    workers: int | None = None
    backend: str = "local"
    address: str | None = None
    insecure: bool = False
    folder: Path | None = None
    json: Path | None = None

    def __post_init__(self) -> None:
        if self.backend not in ("local", "ray"):
            raise InputError(f"backend={self.backend!r} must be 'local' or 'ray'")
        if self.backend == "local" and (self.address is not None or self.insecure):
            given = "--address" if self.address is not None else "--insecure"
            raise InputError(f"{given} is for a cluster: add --backend ray")
        if self.backend == "ray" and self.workers is not None:
            raise InputError("--workers is for this machine; a cluster has the workers it has")
        if self.workers is not None and not 1 <= self.workers <= 4096:
            raise InputError(f"workers={self.workers!r} must be a whole number in [1, 4096]")


def listed() -> None:
    """Every experiment with its title."""
    titles = _experiments().titles()
    width = max(map(len, titles))
    for name, title in titles.items():
        print_line(f"{name:<{width}}  {title}")


def replicate(order: ReplicationRequest) -> int:
    """Carry out an order and print its table; 0, or 1 where a published figure is missed.

    Raises InputError for what cannot be done, before anything is played; Interrupted on Ctrl-C.
    """
    known = _experiments()
    settings = known.settings(
        order.name,
        order.changes,
        sessions=order.sessions,
        seed=order.seed,
        keeps=order.folder is not None,
    )
    for path, folder in ((order.json, False), (order.folder, True)):
        if path is not None:
            check_place(path, folder=folder)
    print_line(f"{order.name}: {known.titles()[order.name]}")
    if not compiled():
        print_line("compiling the games' loops: up to a minute, once")
    try:
        with asked_to_stop() as asked, hosting(order) as crew, progress() as bar:
            clock = ReplicationProgress(order, asked, bar)
            workers = crew if order.folder is None else Stoppable(crew, asked, clock.stopped)
            effort = known.Effort(workers, order.folder, clock.progress)
            findings = known.played(order.name, settings, effort)
    except KeyboardInterrupt:  # a second Ctrl-C: at once, without the sessions under way
        sys.stdout.flush()
        print(printable(str(clock.stopped())), file=sys.stderr, flush=True)
        os._exit(130)  # threads inside compiled loops cannot be told to stop
    show(known.table(findings))
    print_line(CAPTION)
    if order.json is not None:
        write_whole(order.json, known.as_json(order.name, settings, findings).encode())
        print_line(f"written {shown(order.json)}")
    print_line(clock.speed())
    missed = [one.quantity for one in findings if one.within is False]
    if missed:
        print_line(f"not within sampling error of what was published: {', '.join(missed)}")
    return int(bool(missed))


def _experiments() -> Any:
    """`experiments.replication`; they come with the checkout."""
    try:
        from experiments import replication
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "experiments":
            raise
        raise InputError(
            "experiments: not found; they lie in the project's checkout: run mos from there"
        ) from None
    return replication


# --- where sessions are played, and how far they are ----------------------------------------------


@contextlib.contextmanager
def hosting(order: ReplicationRequest) -> Iterator[Workers]:
    """This machine's threads, or a Ray cluster."""
    if order.backend == "local":
        yield Threads(order.workers or os.cpu_count() or 1)
        return
    from mos_agents.actors.ray.cluster import cluster
    from mos_agents.actors.ray.tasks import RayWorkers

    print_line(
        f"Ray: {'joining ' + order.address if order.address else 'starting a local cluster'}"
    )
    with cluster(order.address, insecure=order.insecure):
        yield RayWorkers()


@dataclass
class ReplicationProgress:
    """How many sessions are done, since when, and what to say where it ends early."""

    order: ReplicationRequest
    asked: list[int]
    bar: Callable[[str, int, int], None]
    began: float = field(default_factory=time.monotonic)
    parts: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def progress(self, what: str, done: int, of: int) -> None:
        """Take note of the progress of a part, and show it; stop here where nothing is kept."""
        at_first = self.parts.get(what, (done, done, of))[0]
        self.parts[what] = (at_first, done, of)
        self.bar(what, done, of)
        if self.asked and self.order.folder is None and done < of:
            raise self.stopped()

    def stopped(self) -> Interrupted:
        """Where it stands, and how to go on."""
        code = 128 + (self.asked[0] if self.asked else 2)
        where = "; ".join(f"{done:,} of {of:,} {w}" for w, (_, done, of) in self.parts.items())
        if self.order.folder is None:
            return Interrupted(
                f"mos: stopped: {where or 'nothing'} played, nothing kept; with --folder DIR a "
                "later call goes on",
                code,
            )
        return Interrupted(
            f"mos: stopped: {where or 'nothing'} kept in {shown(self.order.folder)}; the same "
            "command goes on from there",
            code,
        )

    def speed(self) -> str:
        """Seconds taken, and sessions a second, those found in the folder left out."""
        seconds = time.monotonic() - self.began
        text = f"{seconds:.1f} seconds"
        for what, (at_first, done, _) in self.parts.items():
            text += f", {done - at_first:,} {what} played ({(done - at_first) / seconds:.3g}/s)"
            if at_first:
                text += f", {at_first:,} were there"
        return text


@dataclass(frozen=True)
class Stoppable:
    """Workers that get no new tasks once somebody has asked to stop; what is under way is kept."""

    crew: Workers
    asked: list[int]
    stopped: Callable[[], Interrupted]

    def work(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Played]]:
        left = False

        def wanted() -> Iterator[tuple[int, Task]]:
            nonlocal left
            for one in tasks:
                if self.asked:
                    left = True
                    print_line(
                        "stopping once what is under way is done; Ctrl-C again stops at once"
                    )
                    return
                yield one

        yield from self.crew.work(wanted())
        if left:
            raise self.stopped()


@contextlib.contextmanager
def progress(seconds: float = 5.0) -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal; elsewhere a plain line at most every so many seconds."""
    if not sys.stdout.isatty():
        last = [time.monotonic()]

        def line(what: str, done: int, of: int) -> None:
            if done == of or time.monotonic() - last[0] > seconds:
                last[0] = time.monotonic()
                print_line(f"{what} {done:,} of {of:,}")

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(40),
        MofNCompleteColumn(),
        Remaining(compact=True),
    )
    with Progress(*columns, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def move(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield move


# --- the table ------------------------------------------------------------------------------------


def show(rows: Sequence[Sequence[str]]) -> None:
    """The findings: a table on a terminal, aligned text elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        made = Table()
        for heading in HEADINGS:
            made.add_column(
                heading,
                justify="left" if heading in ("quantity", "source") else "right",
                overflow="fold",
            )
        for row in rows:
            made.add_row(*map(cell, row), style="bold red" if row[4] == "NO" else None)
        Console().print(made)
        return
    for line in aligned(rows):
        print_line(line)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of text under the headings; numbers to the right."""
    whole = [HEADINGS, *rows]
    widths = [max(len(row[i]) for row in whole) for i in range(len(HEADINGS))]
    for row in whole:
        cells = [
            text.ljust(w) if i in (0, 5) else text.rjust(w)
            for i, (text, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
