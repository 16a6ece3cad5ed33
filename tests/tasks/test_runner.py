"""The runner: the same results on every pool, each kept at once, whatever dies meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mos_agents.market.types import InputError
from mos_agents.tasks import (
    InProcess,
    ProcessPool,
    Task,
    TaskOutcome,
    TaskProgress,
    TasksStopped,
    ThreadPool,
    WorkerLost,
    WorkerPool,
    run_tasks,
)
from mos_agents.tasks.runner import TRIES
from tests.tasks.worlds import dies_until, fails_at, square, waits_for


class Dictionary:
    """Keeps results in a dictionary, and remembers what was written."""

    def __init__(self, kept: dict[str, Any] | None = None) -> None:
        self.kept = kept or {}
        self.written: list[str] = []

    def read(self, task: Task) -> Any | None:
        return self.kept.get(task.key)

    def write(self, task: Task, outcome: TaskOutcome) -> Any:
        self.written.append(task.key)
        self.kept[task.key] = outcome.value
        return outcome.value


def squares(count: int) -> list[Task]:
    return [Task(f"n{n}", square, 100, (n,)) for n in range(count)]


@pytest.mark.parametrize("pool", [InProcess(), ThreadPool(3), ProcessPool(2)])
def test_every_pool_gives_the_same_results_in_the_order_of_the_tasks(pool: WorkerPool) -> None:
    found = run_tasks(squares(7), pool)
    assert list(found.items()) == [(f"n{n}", 100 + n * n) for n in range(7)]
    assert run_tasks(squares(3), pool) == {"n0": 100, "n1": 101, "n2": 104}  # it is used again


def test_kept_results_are_found_and_only_the_others_are_run_and_kept() -> None:
    memory, steps = Dictionary({"n1": -1, "n3": -3}), []
    progress = TaskProgress(show=lambda state: steps.append((state.done, state.found)))
    found = run_tasks(squares(5), ThreadPool(1), memory, progress)
    assert found == {"n0": 100, "n1": -1, "n2": 104, "n3": -3, "n4": 116}
    assert memory.written == ["n0", "n2", "n4"]
    assert steps[0] == (2, 2) and steps[-1] == (5, 2)
    assert not progress.running and progress.latest == "n4"


def test_the_progress_counts_sizes() -> None:
    tasks = [Task(f"n{n}", square, 0, (n,), size=10 * n) for n in (1, 2)]
    progress = TaskProgress()
    run_tasks(tasks, progress=progress)
    assert (progress.total, progress.done, progress.found) == (30, 30, 0)


def test_two_tasks_with_one_key_are_refused() -> None:
    with pytest.raises(InputError, match="trial n0: is there twice"):
        run_tasks(squares(2) + squares(1), noun="trial")


@pytest.mark.parametrize("pool", [InProcess(), ThreadPool(1), ProcessPool(1)])
def test_what_a_task_raises_ends_all_and_what_had_ended_is_kept(pool: WorkerPool) -> None:
    memory = Dictionary()
    tasks = [Task(f"n{n}", fails_at, 2, (n,)) for n in range(5)]
    with pytest.raises(ZeroDivisionError, match="2 is not liked"):
        run_tasks(tasks, pool, memory)
    assert memory.written == ["n0", "n1"]


def test_a_task_whose_process_is_killed_begins_again(tmp_path: Path) -> None:
    tasks = [Task("n0", dies_until, str(tmp_path), (0, 1)), Task("n1", dies_until, "", (1, 0))]
    assert run_tasks(tasks, ProcessPool(1)) == {"n0": 0, "n1": 1}
    assert [mark.name for mark in tmp_path.iterdir()] == ["0-0"]


class Deadly(InProcess):
    """Loses the worker of one task, every time."""

    def __init__(self, key: str) -> None:
        self.key, self.attempts = key, 0

    def outcome(self, handle: Task) -> TaskOutcome:
        if handle.key == self.key:
            self.attempts += 1
            raise WorkerLost("the node is gone")
        return super().outcome(handle)


def test_a_task_whose_process_always_dies_is_given_up_behind_all_others() -> None:
    pool, memory = Deadly("n0"), Dictionary()
    with pytest.raises(
        InputError, match=f"^trial n0: its process died {TRIES} times: the node is gone$"
    ):
        run_tasks(squares(3), pool, memory, noun="trial")
    assert pool.attempts == TRIES and memory.written == ["n1", "n2"]


def test_a_task_that_is_given_up_may_have_a_value_of_its_own() -> None:
    found = run_tasks(squares(2), Deadly("n1"), tries=2, on_lost=lambda task, why: (task.key, why))
    assert found == {"n0": 100, "n1": ("n1", "its process died 2 times: the node is gone")}


def test_a_wish_to_stop_leaves_the_rest_and_gives_what_there_is() -> None:
    progress = TaskProgress()
    progress.stop_requested = lambda: progress.done == 2
    with pytest.raises(TasksStopped) as stopped:
        run_tasks(squares(5), InProcess(), None, progress)
    assert stopped.value.found == {"n0": 100, "n1": 101}


@pytest.mark.parametrize("finish", [True, False])
def test_tasks_under_way_are_finished_before_a_stop_or_given_up_as_wanted(finish: bool) -> None:
    event = threading.Event()
    progress = TaskProgress(finish_running=finish)

    def stop() -> bool:
        if len(progress.running) < 2:
            return False
        if finish:
            event.set()
        return True

    stopping = [False]
    progress.stop_requested = lambda: stopping[0] or stopping.__setitem__(0, stop()) or stopping[0]
    tasks = [Task(f"n{n}", waits_for, event, (n,)) for n in range(4)]
    with pytest.raises(TasksStopped) as stopped:
        run_tasks(tasks, ThreadPool(2), None, progress)
    event.set()  # lets go of the threads
    assert stopped.value.found == ({"n0": 0, "n1": 1} if finish else {})
    assert not progress.running


def test_nothing_is_started_where_all_results_are_kept() -> None:
    class Untouched(InProcess):
        def start(self, tasks: Any, noun: str) -> None:
            pytest.fail("started")

    memory = Dictionary({"n0": 1})
    assert run_tasks(squares(1), Untouched(), memory) == {"n0": 1}


@pytest.mark.parametrize("count", [0, -1, True, 1.5])
def test_a_number_of_workers_is_whole(count: Any) -> None:
    for pool in (ThreadPool, ProcessPool):
        with pytest.raises(InputError, match=f"workers={count!r} must be a whole number >= 1"):
            pool(count)
