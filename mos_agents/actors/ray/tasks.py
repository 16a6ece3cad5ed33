"""Tasks on a Ray cluster, as plain Ray tasks.

Each attempt at a task is one Ray task that Ray does not repeat: `run_tasks` counts the attempts. A
task that starts processes of its own gets a placement group, so that it never waits for their cores
while it holds its own. While the driver waits for results, it looks for the cluster's head node.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from mos_agents.actors.ray.head import CHECK_SECONDS, Head, HeadLost
from mos_agents.market.checks import check_whole
from mos_agents.market.types import InputError
from mos_agents.policies.faults import describe
from mos_agents.tasks import Task, TaskOutcome, WorkerLost
from mos_agents.tasks.task import execute

OPTIONS: dict[str, Any] = {
    "max_retries": 0,
    "enable_task_events": False,  # else the head node keeps a record of every task
}
"""How every task of ours is started."""


class RayTasks:
    """Runs tasks on the cluster that this process has joined (`ray.cluster.cluster`).

    Parameters
    ----------
    at_most
        How many tasks run at a time; None: as many as the cluster has room for.

    Raises
    ------
    HeadLost
        From `capacity`, `wait` and `outcome`, where the cluster's head node is lost.
    """

    def __init__(self, at_most: int | None = None) -> None:
        if at_most is not None:
            check_whole("workers", at_most, 1)
        self._at_most = at_most
        self._head = Head()
        self._lost = False
        self._plays: dict[bool, Any] = {}
        self._groups: dict[Any, PlacementGroup] = {}
        self._shared: dict[int, tuple[Any, Any]] = {}
        self._room: _Room | None = None

    def start(self, tasks: Sequence[Task], noun: str) -> None:
        """Raises InputError where no node has room for a task: Ray would wait for ever."""
        for resources in {id(task.resources): task.resources for task in tasks}.values():
            _check_room(resources, noun)
        self._room = _Room(max((task.resources for task in tasks), key=_cores))
        once: dict[str, Any] = OPTIONS | {"max_calls": 1}  # the process ends with its task
        self._plays = {False: ray.remote(**OPTIONS)(_executed), True: ray.remote(**once)(_executed)}

    def capacity(self) -> int:
        with self._watched():
            self._head.check()
        room = 1 if self._room is None else self._room.tasks
        return max(1, room if self._at_most is None else min(room, self._at_most))

    def submit(self, task: Task) -> Any:
        first, *others = task.resources
        options: dict[str, Any] = {
            "num_cpus": first.get("CPU", 0.0),
            "num_gpus": first.get("GPU", 0.0),
        }
        group = None
        if others:
            bundles = [{k: v for k, v in one.items() if v} for one in task.resources]
            group = placement_group(bundles)
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
            )
        play = self._plays[task.fresh].options(**options)
        reference = play.remote(task.function, self._sent(task.shared), task.arguments)
        if group is not None:
            self._groups[reference] = group
        return reference

    def _sent(self, shared: Any) -> Any:
        """A reference to what tasks share; it goes to each node once."""
        if shared is None:
            return None
        if id(shared) not in self._shared:
            self._shared[id(shared)] = (shared, ray.put(shared))
        return self._shared[id(shared)][1]

    def wait(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:
        with self._watched():
            self._head.check()
        ready, _ = ray.wait(list(handles), num_returns=1, timeout=seconds)
        return list(ready)

    def outcome(self, handle: Any) -> TaskOutcome:
        try:
            return self._fetched(handle)
        except RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise InputError(str(error.cause)) from None
            raise
        except RayError as error:
            raise WorkerLost(describe(error)) from None
        finally:
            self._let_go(handle)

    def _fetched(self, reference: Any) -> TaskOutcome:
        while True:
            try:
                found: TaskOutcome = ray.get(reference, timeout=CHECK_SECONDS)
                return found
            except GetTimeoutError:  # a large result on its way from another node
                with self._watched():
                    self._head.check()

    def cancel(self, handle: Any) -> None:
        if self._lost:  # nobody is there who would answer
            return
        with contextlib.suppress(RayError, ValueError):
            ray.cancel(handle, force=True)
        self._let_go(handle)

    def _let_go(self, reference: Any) -> None:
        group = self._groups.pop(reference, None)
        if group is not None and not self._lost:
            remove_placement_group(group)

    def stop(self) -> None:
        self._shared.clear()
        if self._room is not None:
            self._room.stop()
            self._room = None

    @contextlib.contextmanager
    def _watched(self) -> Any:
        """Remember that the head node is lost: without it Ray blocks."""
        try:
            yield
        except HeadLost:
            self._lost = True
            raise


def _executed(function: Callable[..., Any], shared: Any, arguments: tuple[Any, ...]) -> TaskOutcome:
    """Run a task's function in a worker of the cluster."""
    outcome = execute(function, shared, arguments)
    return outcome._replace(node=ray.get_runtime_context().get_node_id())


# --- what there is room for -----------------------------------------------------------------------


class _Room:
    """How many tasks of a size the cluster has room for at present.

    A thread asks for it: without its head node Ray does not answer, and ends the process after a
    minute.
    """

    def __init__(self, resources: tuple[Mapping[str, float], ...]) -> None:
        self.tasks = _count(resources, _nodes())
        self._resources = resources
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            with contextlib.suppress(Exception):  # Ray may be ending
                self.tasks = _count(self._resources, _nodes())

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(CHECK_SECONDS)


def _nodes() -> list[Mapping[str, float]]:
    """The resources of the nodes that are there."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _cores(resources: Sequence[Mapping[str, float]]) -> float:
    return sum(one.get("CPU", 0.0) for one in resources)


def _count(resources: Sequence[Mapping[str, float]], nodes: Sequence[Mapping[str, float]]) -> int:
    """How many tasks of such a size the nodes have room for; one a core where they take nothing."""
    needed = {
        name: sum(one.get(name, 0.0) for one in resources) for one in resources for name in one
    }
    wanted = {name: value for name, value in needed.items() if value} or {"CPU": 1.0}
    spaces = nodes
    if len(resources) > 1:  # its processes may be on several nodes
        spaces = [{name: sum(node.get(name, 0.0) for node in nodes) for name in wanted}]
    return sum(
        min(math.floor(space.get(name, 0.0) / value + 1e-9) for name, value in wanted.items())
        for space in spaces
    )


def _check_room(resources: Sequence[Mapping[str, float]], noun: str) -> None:
    """InputError where no node that is there could take one of a task's processes, or all nodes
    together not all of them."""
    nodes = _nodes()
    for one in resources:
        if not any(all(node.get(k, 0.0) >= v for k, v in one.items()) for node in nodes):
            wanted = " and ".join(f"{value:g} {name}" for name, value in one.items() if value)
            most = " and ".join(
                f"{max(node.get(name, 0.0) for node in nodes):g} {name}" for name in one
            )
            raise InputError(f"a {noun} takes {wanted} of one node; the nodes have at most {most}")
    for name in resources[0]:
        needed = sum(one.get(name, 0.0) for one in resources)
        if needed > (there := sum(node.get(name, 0.0) for node in nodes)):
            raise InputError(f"a {noun} takes {needed:g} {name} in all; the nodes have {there:g}")
