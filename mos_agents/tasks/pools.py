"""Where tasks run: in this process, or on threads or processes of this machine.

A worker pool starts tasks and says which have ended. It knows nothing of kept results, of other
attempts or of progress: `runner.run_tasks` sees to these.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol

from mos_agents.market.checks import check_whole
from mos_agents.tasks.task import Task, TaskOutcome, execute


class WorkerLost(Exception):
    """The process of a task is gone, and its work with it. The task itself may be sound."""


class WorkerPool(Protocol):
    """Runs tasks. `start` comes first and `stop` last, once each per `run_tasks`."""

    def start(self, tasks: Sequence[Task], noun: str) -> None:
        """Get ready for these tasks. Raises InputError where one of them can never run."""

    def capacity(self) -> int:
        """How many tasks may be under way at present."""

    def submit(self, task: Task) -> Any:
        """Begin a task; a handle to it."""

    def wait(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        """The handles whose tasks have ended; returns after so many seconds at the latest."""

    def outcome(self, handle: Any) -> TaskOutcome:
        """What a task gave. Raises what the task raised, or WorkerLost."""

    def cancel(self, handle: Any) -> None:
        """Give a task up; its outcome is not asked for."""

    def stop(self) -> None:
        """Let go of all workers."""


class InProcess(WorkerPool):
    """One task after another in this process."""

    def start(self, tasks: Sequence[Task], noun: str) -> None:
        pass

    def capacity(self) -> int:
        return 1

    def submit(self, task: Task) -> Any:
        return task

    def wait(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        return handles

    def outcome(self, handle: Any) -> TaskOutcome:
        return execute(handle.function, handle.shared, handle.arguments)

    def cancel(self, handle: Any) -> None:
        pass

    def stop(self) -> None:
        pass


class _ExecutorPool(WorkerPool):
    """What threads and processes share: the executors of the standard library."""

    def __init__(self, count: int) -> None:
        self.count = check_whole("workers", count, 1)
        self._executor: Executor | None = None
        self._given_up = False

    def start(self, tasks: Sequence[Task], noun: str) -> None:
        self._given_up = False

    def capacity(self) -> int:
        return self.count

    def submit(self, task: Task) -> Any:
        if self._executor is None:
            self._executor = self._made()
        return self._executor.submit(execute, task.function, task.shared, task.arguments)

    def _made(self) -> Executor:
        raise NotImplementedError

    def wait(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        done, _ = concurrent.futures.wait(
            handles, seconds, return_when=concurrent.futures.FIRST_COMPLETED
        )
        return [handle for handle in handles if handle in done]

    def outcome(self, handle: Future[TaskOutcome]) -> TaskOutcome:
        return handle.result()

    def cancel(self, handle: Future[TaskOutcome]) -> None:
        self._given_up = True
        handle.cancel()

    def stop(self) -> None:
        if self._executor is not None:
            # What is under way cannot be ended. No one waits for it where it was given up.
            self._executor.shutdown(wait=not self._given_up, cancel_futures=True)
            self._executor = None


class ThreadPool(_ExecutorPool):
    """A worker pool of threads in this process, for compiled loops that release Python's lock.

    Parameters
    ----------
    count : int
        How many threads.
    """

    def __init__(self, count: int = 2) -> None:
        super().__init__(count)

    def _made(self) -> Executor:
        return ThreadPoolExecutor(self.count)


class ProcessPool(_ExecutorPool):
    """Processes of this machine, each for one task after another.

    Parameters
    ----------
    count
        How many processes.
    begin
        What each process does first; a function of a module.
    """

    def __init__(self, count: int = 2, begin: Callable[[], None] | None = None) -> None:
        super().__init__(count)
        self._begin = begin

    def _made(self) -> Executor:
        return ProcessPoolExecutor(self.count, get_context("spawn"), self._begin)

    def submit(self, task: Task) -> Any:
        try:
            return super().submit(task)
        except BrokenProcessPool:
            self._renew()
            return super().submit(task)

    def outcome(self, handle: Future[TaskOutcome]) -> TaskOutcome:
        try:
            return handle.result()
        except BrokenProcessPool as error:
            raise WorkerLost(str(error)) from None

    def _renew(self) -> None:
        """A lost process takes the executor with it."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = None
