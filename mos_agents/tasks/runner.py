"""Run the tasks whose results are not there yet, and keep each result as soon as it is there."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mos_agents.market.types import InputError
from mos_agents.tasks.pools import InProcess, WorkerLost, WorkerPool
from mos_agents.tasks.progress import TaskProgress, TasksStopped
from mos_agents.tasks.task import Task, TaskOutcome

TRIES = 3
"""How often a task's process may die before the task is given up."""

LOOK_SECONDS = 0.25
"""How often the progress is shown, and a wish to stop is looked for, while all tasks are busy."""


class Results(Protocol):
    """Where results are kept between processes."""

    def read(self, task: Task) -> Any | None:
        """The kept result of a task; None where there is none."""

    def write(self, task: Task, outcome: TaskOutcome) -> Any:
        """Keep what a task gave; its result."""


def run_tasks(
    tasks: Sequence[Task],
    pool: WorkerPool | None = None,
    results: Results | None = None,
    progress: TaskProgress | None = None,
    *,
    tries: int = TRIES,
    on_lost: Callable[[Task, str], Any] | None = None,
    noun: str = "task",
) -> dict[str, Any]:
    """Run tasks whose results are not kept yet, and return the results of all.

    Tasks begin in their order. A task whose worker is lost begins again, after all others.

    Parameters
    ----------
    tasks : sequence of Task
        The tasks; their keys are unique.
    pool : WorkerPool, optional
        Where tasks run; this process where left out.
    results : Results, optional
        Where results are found and kept, such as a `ResultFolder`; nowhere where left out.
    progress : TaskProgress, optional
        It is called at every change, and may ask to stop.
    tries : int
        How often a task may lose its worker.
    on_lost : callable, optional
        (task, reason) -> the value of a task that lost its worker so often; None raises InputError.
    noun : str
        The name of a task in messages.

    Returns
    -------
    dict
        The results by the tasks' keys.

    Raises
    ------
    TasksStopped
        Where the progress asks for it before all tasks have ended.
    Exception
        Whatever a task raises. The other tasks under way are given up.
    """
    repeated = [key for key, count in Counter(task.key for task in tasks).items() if count > 1]
    if repeated:
        raise InputError(f"{noun} {repeated[0]}: is there twice")
    run = _Run(pool or InProcess(), results, progress or TaskProgress(), tries, on_lost, noun)
    run.look_up(tasks)
    run.to_the_end()
    return {task.key: run.found[task.key] for task in tasks}


class _Run:
    """The tasks of one call: waiting, under way, or with a result."""

    def __init__(
        self,
        pool: WorkerPool,
        results: Results | None,
        progress: TaskProgress,
        tries: int,
        on_lost: Callable[[Task, str], Any] | None,
        noun: str,
    ) -> None:
        self.pool, self.results, self.progress = pool, results, progress
        self.tries, self.on_lost, self.noun = tries, on_lost, noun
        self.found: dict[str, Any] = {}
        self.waiting: deque[Task] = deque()
        self.running: dict[Any, Task] = {}
        self.lost: Counter[str] = Counter()

    def look_up(self, tasks: Sequence[Task]) -> None:
        """Take the results that are kept."""
        progress = self.progress
        progress.total = sum(task.size for task in tasks)
        for task in tasks:
            kept = None if self.results is None else self.results.read(task)
            if kept is None:
                self.waiting.append(task)
            else:
                self.found[task.key] = kept
                progress.done += task.size
        progress.found = progress.done
        progress.show(progress)

    def to_the_end(self) -> None:
        """Run until no task is left."""
        if not self.waiting:
            return
        self.pool.start(list(self.waiting), self.noun)
        try:
            while self.waiting or self.running:
                stopping = self.progress.stop_requested()
                if stopping and not (self.progress.finish_running and self.running):
                    missing = len(self.waiting) + len(self.running)
                    raise TasksStopped(self.found, missing)
                if not stopping:
                    self._submit()
                for handle in self.pool.wait(list(self.running), LOOK_SECONDS):
                    self._ended(handle)
                if self.running:
                    self.progress.show(self.progress)
        finally:
            for handle in self.running:
                self.pool.cancel(handle)
            self.progress.running.clear()
            self.pool.stop()

    def _submit(self) -> None:
        """Begin as many tasks as there is room for."""
        room = self.pool.capacity() - len(self.running)
        for _ in range(min(room, len(self.waiting))):
            task = self.waiting.popleft()
            self.running[self.pool.submit(task)] = task
            self.progress.begin(task.key)

    def _ended(self, handle: Any) -> None:
        """Keep what a task gave, or put it back where its worker is lost."""
        task = self.running[handle]
        try:
            outcome = self.pool.outcome(handle)
        except WorkerLost as error:
            del self.running[handle]
            self.progress.running.pop(task.key, None)
            self.lost[task.key] += 1
            if self.lost[task.key] < self.tries:
                self.waiting.append(task)
                return
            if self.on_lost is None:
                raise InputError(
                    f"{self.noun} {task.key}: its process died {self.tries} times: {error}"
                ) from None
            outcome = TaskOutcome(
                self.on_lost(task, f"its process died {self.tries} times: {error}")
            )
        else:
            del self.running[handle]
            self.progress.running.pop(task.key, None)
        value = outcome.value if self.results is None else self.results.write(task, outcome)
        self.found[task.key] = value
        self.progress.end(task.key, task.size)
