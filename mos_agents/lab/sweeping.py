"""A scenario over a grid of settings and seeds: played or trained, kept, and added up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mos_agents.lab.actor_runs import cluster_note
from mos_agents.lab.feedback import (
    Feedback,
    Interrupted,
    OnMessage,
    compile_note,
    stop_requests,
)
from mos_agents.lab.folders import of_kind
from mos_agents.lab.settings import ScenarioLike, resolve
from mos_agents.market.faults import FAULTS_OF
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError
from mos_agents.scenarios import inline
from mos_agents.scenarios.changes import Changes
from mos_agents.sweeps import folder as folders
from mos_agents.sweeps.folder import SweepFolder
from mos_agents.sweeps.plan import SweepPlan
from mos_agents.sweeps.sweep import sweep as play_missing
from mos_agents.sweeps.table import SweepResult
from mos_agents.sweeps.trials import TrialSpec, trial_spec
from mos_agents.tasks import InProcess, TaskProgress, WorkerPool
from mos_agents.wording import plural, resuming, setting, shown

OnTrials = Callable[[TaskProgress, SweepPlan], object]
"""Called after each trial with how far the sweep is, and its plan."""


@short_repr
@dataclass(frozen=True, eq=False)
class SweepRun:
    """A sweep whose trials have all ended.

    Attributes
    ----------
    folder : Path
        The sweep's folder, with `table.csv` and `trials.parquet`.
    result : SweepResult
        The trials, and the measures over them.
    """

    folder: Path
    result: SweepResult

    @property
    def report(self) -> Path | None:
        """The page `report.html`; None where none was written."""
        page = self.folder / "report.html"
        return page if page.is_file() else None

    def write_report(self) -> Path:
        """Write `report.html` again, whole or not at all; its path."""
        from mos_agents.lab import sweep_page  # draws with matplotlib

        return sweep_page.write(self.result, self.folder)

    def _repr_html_(self) -> str:
        return self.result._repr_html_()

    def __str__(self) -> str:
        return str(self.result)


def sweep(
    scenario: ScenarioLike,
    grid: Mapping[str, Sequence[Any]] | Sequence[str] = (),
    *,
    seeds: int = 10,
    changes: Changes = (),
    ticks: int | None = None,
    markets: int | None = None,
    seed: int | None = None,
    burn_in: int | None = None,
    sessions: int | None = None,
    train: str | Mapping[str, Any] | None = None,
    theory: bool = False,
    name: str | None = None,
    out: str | os.PathLike[str] = "runs",
    backend: str = "ray",
    workers: int | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    address: str | None = None,
    insecure: bool = False,
    report: bool = True,
    on_progress: OnTrials | None = None,
    on_message: OnMessage | None = None,
) -> SweepRun:
    """Play or train a scenario over a grid of settings and seeds.

    A trial is a cell of the grid with one seed. Every finished trial is kept in the sweep's folder.

    Parameters
    ----------
    scenario : str, path or Scenario
        A preset's name, the path of a scenario file, or a scenario.
    grid : mapping or sequence of str
        The values that a setting takes, {"firms": [1, 2, 4]} or ["firms=1,2,4"]; several are
        crossed.
    seeds : int
        How many seeds; every cell has the same ones, from `seed` on.
    changes, ticks, markets, seed
        As in `run`.
    burn_in : int, optional
        Ticks left out of the means.
    sessions : int, optional
        Play so many compiled sessions of Q-learners to convergence, in place of the ticks.
    train : str or mapping, optional
        Train deep learners and evaluate them, in place of the ticks: {"algo": "ppo"}.
    theory : bool
        Whether profit gain, RPDI and Lerner index are measured as well.
    name : str, optional
        The name of the sweep's folder; the next free one where left out.
    out : str or path
        The folder that holds the sweep's folder.
    backend : str
        "ray" plays the trials on Ray; "local" one after another in this process.
    workers : int, optional
        Trials at a time.
    cpus, gpus : float
        Cores and GPUs that a trial takes.
    address, insecure
        The Ray cluster to join, and whether it may lack a token.
    report : bool
        Whether `report.html` is written.
    on_progress, on_message : callable, optional
        Called after each trial, and with lines of text.

    Returns
    -------
    SweepRun
        The measures of all trials, and the folder.

    Raises
    ------
    InputError, RunError
        One line about a setting or a file that is wrong.
    Interrupted
        On Ctrl-C or SIGTERM. What is done is kept, and `resume` goes on.
    """
    how = SweepBackend(backend, workers, address, insecure)
    trial = spec_of(train, sessions, theory, burn_in, ticks, markets)
    resolved = resolve(scenario, changes, ticks, markets, seed)
    texts = (
        [f"{path}={','.join(map(inline, values))}" for path, values in grid.items()]
        if isinstance(grid, Mapping)
        else list(grid)
    )
    plan = SweepPlan.of(resolved, texts, seeds, trial, cpus, gpus)
    folder = folders.new_folder(Path(out), plan, name)
    return _play(plan, folder, how, report, on_progress, Feedback.of(None, on_message))


def resume_sweep(
    sweep: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] = "runs",
    backend: str = "ray",
    workers: int | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    address: str | None = None,
    insecure: bool = False,
    report: bool = True,
    on_progress: OnTrials | None = None,
    on_message: OnMessage | None = None,
) -> SweepRun:
    """Play the missing trials of a sweep, and try failed ones again; otherwise as `sweep`."""
    how = SweepBackend(backend, workers, address, insecure)
    folder = of_kind(folders.locate_sweep(os.fspath(sweep), Path(root)), "sweep")
    plan = SweepFolder.read(folder, cpus, gpus).plan
    return _play(plan, folder, how, report, on_progress, Feedback.of(None, on_message))


@dataclass(frozen=True)
class SweepBackend:
    """Where a sweep is played.

    Parameters
    ----------
    workers : int or None
        trials at a time, None: as many as there is room for.
    """

    backend: str = "ray"
    workers: int | None = None
    address: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.backend not in ("local", "ray"):
            raise InputError(f"backend={self.backend!r} must be 'local' or 'ray'")
        if self.workers is not None and not 1 <= self.workers <= 4096:
            raise InputError(f"workers={self.workers!r} must be a whole number in [1, 4096]")
        given = [name for name in ("workers", "address", "insecure") if getattr(self, name)]
        if self.backend == "local" and given:
            raise InputError(
                f"{setting(given[0])} is for Ray: leave {setting('backend', 'local')} out"
            )


def spec_of(
    train: str | Mapping[str, Any] | None,
    sessions: int | None,
    theory: bool,
    burn_in: int | None,
    ticks: int | None,
    markets: int | None,
) -> TrialSpec:
    """What a trial does; InputError for settings that do not go together."""
    if train is not None and sessions is not None:
        raise InputError(f"give {setting('sessions')} or {setting('train')}, not both")
    if train is None and sessions is None:
        return trial_spec("play", burn_in=burn_in or 0, theory=theory)
    apart = {"burn_in": burn_in, "markets": markets, "theory": theory or None}
    if sessions is not None:
        apart["ticks"] = ticks
    for name, value in apart.items():
        if value is not None:
            other = "sessions" if train is None else "train"
            raise InputError(
                f"{setting(name)} is for play tick by tick; leave it out with {setting(other)}"
            )
    if train is None:
        return trial_spec("sessions", sessions=sessions)
    from mos_agents.sweeps.training import TrainingTrial

    if isinstance(train, Mapping):
        train = " ".join(f"{key}={inline(value)}" for key, value in train.items())
    return TrainingTrial.parsed(train)


def _play(
    plan: SweepPlan,
    folder: Path,
    how: SweepBackend,
    report: bool,
    on_progress: OnTrials | None,
    feedback: Feedback,
) -> SweepRun:

    def show(state: TaskProgress) -> None:
        if on_progress is not None:
            on_progress(state, plan)

    begun = (folder / "sweep.json").exists()
    opened = SweepFolder.made(plan, folder) if begun else None
    done = opened.done() if opened else {}
    left = [t for t in plan.trials if t.number not in done or done[t.number].error]
    feedback.message(
        f"{plan.scenario.name}: {plural(len(plan.cells), 'cell')} x "
        f"{plural(len(plan.seeds), 'seed')} = {plural(len(plan.trials), 'trial')}"
        + (f", {len(plan.trials) - len(left):,} of them there" if begun else "")
    )
    if opened and opened.other_versions:
        feedback.message(f"versions differ, and results may: {opened.other_versions}")
    note = compile_note("the market's kernels", "once on every machine")
    if left and note:
        feedback.message(note)
    try:
        with (
            stop_requests() as asked,
            cluster(plan, how, feedback) if left else contextlib.nullcontext(),
        ):
            state = TaskProgress(show=show, stop_requested=lambda: bool(asked))
            with resumable(plan, folder, how):
                result = play_missing(plan, folder, worker_pool(how), state)
    except KeyboardInterrupt:  # a second Ctrl-C: at once
        raise stopped(plan, folder, signal.SIGINT) from None
    if asked and result.missing:
        raise stopped(plan, folder, asked[0])
    played = SweepRun(folder, result)
    if report:
        played.write_report()
    return played


@contextlib.contextmanager
def cluster(plan: SweepPlan, how: SweepBackend, feedback: Feedback) -> Iterator[None]:
    """The Ray cluster of a sweep; its own has a core for each trial at a time."""
    if how.backend == "local" and plan.spec.kind != "train":
        yield
        return
    from mos_agents.actors.ray import cluster as ray_cluster

    feedback.message(cluster_note(how.address))
    needed = sum(bundle["CPU"] for bundle in plan.bundles)
    cores = max(os.cpu_count() or 1, int(-(-needed * (how.workers or 1) // 1)))
    with ray_cluster.cluster(how.address, insecure=how.insecure, cpus=cores):
        yield


def worker_pool(how: SweepBackend) -> WorkerPool:
    """Where trials run: in this process, or on the cluster that it has joined."""
    if how.backend == "local":
        return InProcess()
    from mos_agents.actors.ray.tasks import RayTasks

    return RayTasks(how.workers)


@contextlib.contextmanager
def resumable(plan: SweepPlan, folder: Path, how: SweepBackend) -> Iterator[None]:
    """Where the cluster's head node is lost: what is kept, and how to go on."""
    if how.backend == "local":
        yield
        return
    from mos_agents.actors.ray.head import HeadLost

    try:
        yield
    except HeadLost as error:
        raise InputError(
            f"{error}; {kept(plan, folder)}; {resuming('sweep', shown(folder))} goes on, with "
            f"{setting('address', 'HEAD:PORT')} on another cluster"
        ) from None


def kept(plan: SweepPlan, folder: Path) -> str:
    """How many trials a folder has."""
    done = sum(1 for one in SweepFolder.made(plan, folder).done().values() if not one.error)
    return f"{done:,} of {len(plan.trials):,} trials kept in {shown(folder)}"


def stopped(plan: SweepPlan, folder: Path, number: int) -> Interrupted:
    """Where the sweep stands, and how to go on."""
    if not (folder / "sweep.json").exists():
        return Interrupted("stopped before anything was played", number)
    return Interrupted(
        f"stopped: {kept(plan, folder)}; {resuming('sweep', shown(folder))} goes on",
        number,
        folder,
    )


def notes(result: SweepResult) -> Counter[str]:
    """Notes of the trials, and how many have each; without the faults of policies."""
    return Counter(
        note
        for one in result.done.values()
        for note in one.result.notes
        if not note.startswith(FAULTS_OF)
    )


def fault_lines(result: SweepResult, most: int = 10) -> list[str]:
    """Faults of policies in the trials: the first lines of every summary."""
    found = Counter(
        note
        for one in result.done.values()
        for note in one.result.notes
        if note.startswith(FAULTS_OF)
    )
    more = [f"FAULTS: {len(found) - most} more such lines"] if len(found) > most else []
    lines = [f"{note} ({plural(count, 'trial')})" for note, count in found.most_common(most)]
    return lines + more
