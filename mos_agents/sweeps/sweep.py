"""Play the trials of a plan that are missing from its folder, keep each as it ends, and add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mos_agents.market.types import InputError
from mos_agents.policies.faults import describe
from mos_agents.runs.files import RunError
from mos_agents.runs.folder import SWEEP
from mos_agents.sweeps.folder import SweepFolder, TrialOutcome
from mos_agents.sweeps.plan import Cell, PortableCell, SweepPlan, Trial
from mos_agents.sweeps.table import SweepResult
from mos_agents.sweeps.trial_folder import TrialFolder
from mos_agents.sweeps.trials import TrialResult
from mos_agents.tasks import (
    InProcess,
    Task,
    TaskOutcome,
    TaskProgress,
    TasksStopped,
    WorkerPool,
    run_tasks,
)


def sweep(
    plan: SweepPlan,
    folder: Path | str,
    pool: WorkerPool | None = None,
    progress: TaskProgress | None = None,
) -> SweepResult:
    """Play the trials of a plan that are missing in `folder`, and write its tables.

    A folder of the same plan is resumed: failed trials are played again, others are not. Where the
    progress asks to stop, the result has trials missing.

    Parameters
    ----------
    plan : SweepPlan
        The plan.
    folder : Path or str
        The sweep's folder; it is made where it is missing.
    pool : WorkerPool, optional
        Where trials run. None is the Ray cluster that this process has joined
        (`actors.ray.cluster.cluster`), or this process where it has joined none.
    progress : TaskProgress, optional
        It is called after each trial, and may ask to stop.

    Returns
    -------
    SweepResult
        How all trials ended.

    Raises
    ------
    RunError
        For a folder of another sweep, one that cannot be written, or one in use.
    HeadLost
        Where the head node of the cluster is lost; what has ended is kept.
    """
    progress = progress or TaskProgress()
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{path}: a sweep cannot be kept here: {error.strerror or error}; give another folder"
        ) from None
    with SWEEP.locked(path):
        opened = SweepFolder.made(plan, path)
        opened.clean()
        tasks = [task_of(opened, trial) for trial in plan.trials]
        try:
            found = run_tasks(
                tasks,
                pool or _usual_pool(),
                _KeptTrials(opened, progress),
                progress,
                on_lost=lambda task, reason: TrialOutcome(TrialResult({}), reason),
                noun="trial",
            )
        except TasksStopped as stopped:
            found = stopped.found
        ended = {t.number: found[t.name] for t in plan.trials if t.name in found}
        result = SweepResult(plan, ended)
        if ended:
            for name, data in result.files().items():
                opened.write(name, data)
    return result


def _usual_pool() -> WorkerPool:
    from mos_agents.actors.ray.cluster import joined

    if not joined():
        return InProcess()
    from mos_agents.actors.ray.tasks import RayTasks

    return RayTasks()


def task_of(folder: SweepFolder, trial: Trial) -> Task:
    """A trial as a task."""
    plan = folder.plan
    cell = plan.cells[trial.cell]
    return Task(
        trial.name,
        play_trial,
        cell,
        (folder.trial_folder(trial), trial.seed),
        resources=tuple(cell.spec.bundles(plan.cpus, plan.gpus)),
        # A new process takes two seconds, as long as a short trial; what a training leaves behind
        # in its process is for nobody else.
        fresh=cell.spec.kind == "train",
    )


def play_trial(cell: Cell | PortableCell, folder: TrialFolder, seed: int) -> TrialOutcome:
    """Play one trial. What goes wrong in it is stated in one line and stops no other trial."""
    try:
        return TrialOutcome(cell.spec.at(folder)(cell.scenario, seed))
    except Exception as problem:
        error = (
            " ".join(str(problem).split()) if isinstance(problem, InputError) else describe(problem)
        )
        return TrialOutcome(TrialResult({}), error)


class _KeptTrials:
    """The trials of a sweep's folder as results of tasks: those that failed are played again."""

    def __init__(self, folder: SweepFolder, progress: TaskProgress) -> None:
        self._folder, self._progress = folder, progress
        self._trials = {trial.name: trial for trial in folder.plan.trials}

    def read(self, task: Task) -> TrialOutcome | None:
        kept = self._folder.find(self._trials[task.key])
        return None if kept is None or kept.error else kept

    def write(self, task: Task, outcome: TaskOutcome) -> TrialOutcome:
        ended = replace(outcome.value, node=outcome.node)
        kept = self._folder.keep(self._trials[task.key], ended, outcome.seconds)
        self._progress.failed += kept.error is not None
        return kept
