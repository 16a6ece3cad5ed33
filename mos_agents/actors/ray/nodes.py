"""On which node of the cluster an actor starts, and with which options of Ray's."""

from __future__ import annotations

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ACTOR: dict[str, Any] = {
    "num_cpus": 0,  # they wait for each other most of the time
    "max_restarts": 0,  # the supervisor restarts: Ray would lose their memories
    "max_task_retries": 0,
    "enable_task_events": False,  # else the head node keeps a record of every call
}
"""The options of all actors."""


def on_node(node: str) -> dict[str, Any]:
    """Options that start an actor on this node."""
    # Not soft: Ray ignores a soft affinity of an actor that asks for no cores.
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def this_node() -> str:
    """The node of this process."""
    return str(ray.get_runtime_context().get_node_id())


class Nodes:
    """The nodes of the cluster in turn.

    Parameters
    ----------
    first : str
        The node to begin with, if it is there.
    """

    def __init__(self, first: str = "") -> None:
        self._first, self._turn = first, -1

    def next(self) -> dict[str, Any]:
        """Options that start an actor on the next node that is alive."""
        nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
        self._turn += 1
        begin = nodes.index(self._first) if self._first in nodes else 0
        return on_node(nodes[(begin + self._turn) % len(nodes)])
