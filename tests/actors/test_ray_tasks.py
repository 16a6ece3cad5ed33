"""Tasks on Ray: the room that they take, processes of their own, and a lost head node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mos_agents.actors.ray import tasks as ray_tasks
from mos_agents.actors.ray.tasks import RayTasks
from mos_agents.market.types import InputError
from mos_agents.tasks import Task, TaskProgress, run_tasks
from tests.tasks.worlds import dies_until, fails_at, square

pytestmark = pytest.mark.xdist_group("ray")

NODE, SMALL = {"CPU": 4.0, "GPU": 1.0}, {"CPU": 2.0}


@pytest.mark.parametrize(
    ("resources", "room"),
    [
        (({"CPU": 1.0},), 6),
        (({"CPU": 0.5},), 12),
        (({"CPU": 3.0},), 1),  # two nodes with a core and two left over are no room
        (({"CPU": 1.0, "GPU": 0.5},), 2),
        (({"CPU": 0.0},), 6),
        (({"CPU": 1.0}, {"CPU": 1.0}), 3),
        (({"CPU": 1.0, "GPU": 0.0}, {"CPU": 1.0}, {"CPU": 1.0}), 2),  # over both nodes
    ],
)
def test_room_is_counted_by_nodes(resources: Any, room: int) -> None:
    assert ray_tasks._count(resources, [NODE, SMALL]) == room


def own_process(shared: Any, number: int) -> int:
    return os.getpid()


def asks_another(shared: Any, number: int) -> int:
    """Start a Ray task of its own, with the core that the task has for it."""
    import ray

    return ray.get(ray.remote(num_cpus=1)(square).remote(0, number))


@pytest.mark.usefixtures("own_cluster")
class TestOnACluster:
    def test_results_and_errors_are_those_of_one_process(self) -> None:
        tasks = [Task(f"n{n}", square, 100, (n,)) for n in range(20)]
        most = [0]

        def show(progress: TaskProgress) -> None:
            most[0] = max(most[0], len(progress.running))

        assert run_tasks(tasks, RayTasks(2), progress=TaskProgress(show=show)) == run_tasks(tasks)
        assert most[0] == 2
        with pytest.raises(ZeroDivisionError, match="1 is not liked"):
            run_tasks([Task("n1", fails_at, 1, (1,))], RayTasks())

    def test_a_task_that_ends_its_process_begins_again(self, tmp_path: Path) -> None:
        tasks = [Task(f"n{n}", dies_until, str(tmp_path), (n, 2)) for n in range(2)]
        assert run_tasks(tasks, RayTasks()) == {"n0": 0, "n1": 1}
        assert len(list(tmp_path.iterdir())) == 4

    def test_a_fresh_task_has_a_process_that_nobody_used_or_uses(self) -> None:
        for fresh, processes in ((True, 4), (False, 1)):
            tasks = [Task(f"n{n}", own_process, None, (n,), fresh=fresh) for n in range(4)]
            pids = run_tasks(tasks, RayTasks(1)).values()
            assert len(set(pids)) == processes

    def test_a_task_has_cores_for_the_processes_that_it_starts(self) -> None:
        import ray

        bundles = ({"CPU": 1.0, "GPU": 0.0}, {"CPU": 1.0})
        count = 2 * int(ray.cluster_resources()["CPU"])  # more than there is room for
        tasks = [Task(f"n{n}", asks_another, None, (n,), resources=bundles) for n in range(count)]
        assert list(run_tasks(tasks, RayTasks()).values()) == [n * n for n in range(count)]
        groups = ray.util.placement_group_table().values()
        assert {group["state"] for group in groups} <= {"REMOVED"}

    def test_a_task_that_no_node_has_room_for_is_refused(self) -> None:
        large = Task("n0", square, 0, (0,), resources=({"CPU": 1e5},))
        with pytest.raises(InputError, match="a trial takes 100000 CPU of one node"):
            run_tasks([large], RayTasks(), noun="trial")
