"""Experiments of the literature, played again: the published figures beside ours.

Experiments lie beside the package (`experiments`), so they are imported only when asked for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mos_agents.lab.actor_runs import cluster_note
from mos_agents.lab.feedback import (
    Feedback,
    Interrupted,
    OnMessage,
    OnProgress,
    WorkProgress,
    compile_note,
    stop_requests,
)
from mos_agents.lab.folders import check_writable
from mos_agents.market.frames import Printed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError
from mos_agents.scenarios.changes import Changes, as_texts
from mos_agents.tasks import TasksStopped, ThreadPool, WorkerPool
from mos_agents.wording import in_shell, setting, shown

CAPTION = (
    "95% intervals over sessions (paths, where paths are played): the scatter of simulated play "
    "alone. A figure or limit beyond the end of the record is marked"
)
HEADINGS = ("quantity", "published", "ours", "95% interval", "within", "source")
WORDS = ("experiment", "quantity", "source")
"""Columns of words, which stand to the left."""


@short_repr
@dataclass(frozen=True, eq=False)
class Replication(Printed):
    """An experiment of the literature, played again; `print` shows the figures side by side.

    Attributes
    ----------
    name : str
        The experiment.
    settings : object
        The settings that it was played with.
    findings : list of experiments.replication.Finding
        A published figure beside ours, with its interval, for each quantity.
    effort : str
        The seconds that it took, and the sessions that were played and found.
    """

    name: str
    settings: Any
    findings: list[Any]
    effort: str

    @property
    def missed(self) -> list[str]:
        """The quantities whose published figure is not within sampling error of ours."""
        return [one.quantity for one in self.findings if one.within is False]

    def rows(self) -> list[tuple[str, ...]]:
        """The table, without its headings."""
        return [tuple(row) for row in tables_of_findings().table(self.findings)]

    def as_json(self) -> str:
        """Settings and findings as JSON."""
        return str(tables_of_findings().as_json(self.name, self.settings, self.findings))

    def as_csv(self) -> str:
        """The findings as CSV, with all digits."""
        return str(tables_of_findings().as_csv({self.name: self.findings}))

    def as_latex(self) -> str:
        """The findings as a LaTeX tabular."""
        return str(tables_of_findings().as_latex({self.name: self.findings}))

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings of the table."""
        return HEADINGS

    @property
    def captions(self) -> tuple[str, ...]:
        """The lines under the table."""
        return (CAPTION,)

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw ours against the published figures, with intervals, into a .svg or .png file."""
        draw_agreement({self.name: self.findings}, Path(path))

    def __str__(self) -> str:
        return "\n".join([*aligned(self.rows()), *self.captions])


def draw_agreement(tables: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Draw the findings that have a published figure. Raises InputError where there is none."""
    from mos_agents.report.replications import agreement, checked, save

    checked(path)
    rows = {
        f"{name}: {one.quantity}": (one.ours, *one.ci95, one.published, one.within)
        for name, found in tables.items()
        for one in found
        if one.published is not None
    }
    if not rows:
        raise InputError(
            f"{path}: no figure was published for these settings; there is nothing to draw"
        )
    save(agreement(rows), path)


def experiments() -> dict[str, str]:
    """List the experiments that can be replicated.

    Returns
    -------
    dict
        Titles by name.
    """
    return dict(known_experiments().titles())


def replicate(
    name: str,
    *,
    sessions: int | None = None,
    changes: Changes = (),
    seed: int | None = None,
    quick: bool = False,
    workers: int | None = None,
    backend: str = "local",
    address: str | None = None,
    insecure: bool = False,
    folder: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
    on_message: OnMessage | None = None,
) -> Replication:
    """Play a published experiment again, and compare its figures with ours.

    Parameters
    ----------
    name : str
        An experiment; `experiments()` lists them.
    sessions, seed : int, optional
        Sessions to play, the paper's where left out; the seed of all random numbers.
    changes : mapping or sequence of str
        Settings of the experiment: {"n": 3}.
    quick : bool
        Play few sessions: a quick look, with wide intervals. `sessions` and `changes` come on top.
    workers : int, optional
        Threads of this machine, one a core where left out.
    backend, address, insecure
        "local" plays on threads; "ray" on a Ray cluster, one of its own or the one at `address`.
    folder : str or path, optional
        Finished sessions are kept there, and found there by a later call.
    on_progress, on_message : callable, optional
        Called after each session, and with lines of text.

    Returns
    -------
    Replication
        The paper's figures beside ours, with intervals and verdicts.

    Raises
    ------
    InputError, RunError
        One line about a setting that is wrong, before anything is played.
    Interrupted
        On Ctrl-C or SIGTERM. What is in `folder` stays, and the same call goes on.
    """
    known = known_experiments()
    _check(backend, workers, address, insecure)
    kept = None if folder is None else Path(folder)
    given = [*(known.quick(name) if quick else ()), *as_texts(changes)]
    settings = known.settings(name, given, sessions=sessions, seed=seed, keeps=kept is not None)
    if kept is not None:
        check_writable(kept, folder=True)
    feedback = Feedback.of(on_progress, on_message)
    feedback.message(f"{name}: {known.titles()[name]}")
    for line in known.notes(name, settings):
        feedback.message(line)
    if note := compile_note("the games' loops"):
        feedback.message(note)
    with stop_requests() as asked:
        clock = ReplicationProgress(kept, asked, feedback)
        try:
            with hosting(backend, workers, address, insecure, feedback, clock) as pool:
                execution = known.ExecutionConfig(pool, kept, clock.progress)
                findings = known.played(name, settings, execution)
        except TasksStopped:
            raise clock.stopped() from None
        except Interrupted:
            raise
        except KeyboardInterrupt:  # a second Ctrl-C: without the sessions under way
            raise clock.stopped(at_once=True) from None
    return Replication(name, settings, findings, clock.speed())


def _check(backend: str, workers: int | None, address: str | None, insecure: bool) -> None:
    if backend not in ("local", "ray"):
        raise InputError(f"backend={backend!r} must be 'local' or 'ray'")
    if backend == "local" and (address is not None or insecure):
        given = "address" if address is not None else "insecure"
        raise InputError(f"{setting(given)} is for a cluster: add {setting('backend', 'ray')}")
    if backend == "ray" and workers is not None:
        raise InputError(
            f"{setting('workers')} is for this machine; a cluster has the workers it has"
        )
    if workers is not None and not 1 <= workers <= 4096:
        raise InputError(f"workers={workers!r} must be a whole number in [1, 4096]")


def tables_of_findings() -> Any:
    """`experiments.tables`."""
    known_experiments()
    from experiments import tables

    return tables


def known_experiments() -> Any:
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
def hosting(
    backend: str,
    workers: int | None,
    address: str | None,
    insecure: bool,
    feedback: Feedback,
    clock: ReplicationProgress,
) -> Iterator[WorkerPool]:
    """This machine's threads, or a Ray cluster. Raises InputError where its head node is lost."""
    if backend == "local":
        yield ThreadPool(workers or os.cpu_count() or 1)
        return
    from mos_agents.actors.ray.cluster import cluster
    from mos_agents.actors.ray.head import HeadLost
    from mos_agents.actors.ray.tasks import RayTasks

    feedback.message(cluster_note(address))
    with cluster(address, insecure=insecure):
        try:
            yield RayTasks()
        except HeadLost as error:
            raise InputError(f"{error}; {clock.progress_line()}") from None


@dataclass
class ReplicationProgress:
    """The sessions that are done, since when, and the message where the work ends early."""

    folder: Path | None
    asked: list[int]
    feedback: Feedback
    began: float = field(default_factory=time.monotonic)
    parts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    stopping: bool = False

    def progress(self, what: str, done: int, of: int) -> bool:
        """Record the progress of a part, and report it; whether to stop.

        Raises Interrupted on a request to stop where nothing is kept.
        """
        at_first = self.parts.get(what, (done, done, of))[0]
        self.parts[what] = (at_first, done, of)
        self.feedback.progress(WorkProgress(what, done, of))
        if self.asked and self.folder is None and done < of:
            raise self.stopped()
        if self.asked and done < of and not self.stopping:
            self.stopping = True
            self.feedback.message(
                "stopping once what is under way is done; Ctrl-C again stops at once"
            )
        return bool(self.asked)

    def stopped(self, at_once: bool = False) -> Interrupted:
        """Where it stands, and how to go on."""
        number = self.asked[0] if self.asked else signal.SIGINT
        return Interrupted(f"stopped: {self.progress_line()}", number, self.folder, at_once)

    def progress_line(self) -> str:
        """What is played and kept, and how to go on."""
        where = "; ".join(f"{done:,} of {of:,} {w}" for w, (_, done, of) in self.parts.items())
        if self.folder is None:
            return (
                f"{where or 'nothing'} played, nothing kept; with {setting('folder', 'DIR')} a "
                "later call goes on"
            )
        return (
            f"{where or 'nothing'} kept in {shown(self.folder)}; the same "
            f"{'command' if in_shell() else 'call'} goes on from there"
        )

    def speed(self) -> str:
        """Seconds taken, and sessions a second, without those found in the folder."""
        seconds = time.monotonic() - self.began
        text = f"{seconds:.1f} seconds"
        for what, (at_first, done, _) in self.parts.items():
            text += f", {done - at_first:,} {what} played ({(done - at_first) / seconds:.3g}/s)"
            if at_first:
                text += f", {at_first:,} were there"
        return text


def aligned(rows: Sequence[Sequence[str]], headings: Sequence[str] = HEADINGS) -> Iterator[str]:
    """Lines of text under the headings; numbers to the right."""
    whole = [headings, *rows]
    widths = [max(len(row[i]) for row in whole) for i in range(len(headings))]
    left = {i for i, heading in enumerate(headings) if heading in WORDS}
    for row in whole:
        cells = [
            text.ljust(w) if i in left else text.rjust(w)
            for i, (text, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
