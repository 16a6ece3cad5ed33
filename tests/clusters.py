"""Clusters of the tests: those that many tests share, and clusters of several nodes."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

TOKEN = secrets.token_hex(32)


class SharedClusters:
    """One cluster of this process's own, and one of two nodes, for many tests: each takes seconds.

    A process can be in one cluster only, so at most one of them is up. The next test that uses the
    other one opens it again; the tests run in such an order that this is seldom.
    """

    def __init__(self) -> None:
        self._opened = contextlib.ExitStack()
        self._nodes: Any = None

    def own(self) -> None:
        """Bring up this process's own cluster, unless this process is on one."""
        import ray

        from mos_agents.actors.ray.cluster import cluster

        if not ray.is_initialized():
            self.close()  # a test may have ended it
            self._opened.enter_context(cluster())

    @contextlib.contextmanager
    def two_nodes(self) -> Iterator[Any]:
        """The cluster of two nodes; the environment has its token until the end."""
        with pytest.MonkeyPatch.context() as patch:
            if self._nodes is None:
                self.close()
                self._nodes = up(patch, "token", 2)
                self._opened.callback(self._nodes.shutdown)
            else:
                show(patch, "token")
                for node in [*self._nodes.worker_nodes]:
                    if len(self._nodes.worker_nodes) > 1 or not is_up(node):
                        self._nodes.remove_node(node, allow_graceful=False)
                if not self._nodes.worker_nodes:
                    self._nodes.add_node(**SMALL, num_cpus=2)
                # Until the cluster has noticed that the lost node is gone, it gives it work.
                self._nodes.wait_for_nodes(timeout=120)
            yield self._nodes

    def close(self) -> None:
        """End the cluster that is up."""
        self._nodes = None
        self._opened.close()


SMALL = {"object_store_memory": 100 * 2**20}
"""Of each node of a cluster of several."""


def show(patch: pytest.MonkeyPatch, mode: str) -> None:
    """Give this process and its children the token of the tests' clusters."""
    from mos_agents.actors.ray import cluster as ray_cluster

    for name, value in (
        ray_cluster.QUIET
        | {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": TOKEN, ray_cluster.NICENESS: "0"}
    ).items():
        patch.setenv(name, value)
    ray_cluster._reload_environment()


def up(patch: pytest.MonkeyPatch, mode: str, nodes: int, head: int = 2, each: int = 2) -> Any:
    """A cluster of several nodes on this machine; no cluster may be open in this process.

    Parameters
    ----------
    patch : pytest.MonkeyPatch
        Sets the environment of the cluster and of whoever joins it.
    mode : {"token", "disabled"}
        What the cluster asks for, as RAY_AUTH_MODE has it.
    nodes : int
        Nodes, the head among them.
    head, each : int
        Cores of the head and of each further node.

    Returns
    -------
    ray.cluster_utils.Cluster
        The cluster.
    """
    import ray
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized(), "nodes take the addresses of the cluster that is open here"
    show(patch, mode)
    # Without the processes that read logs and ask for more machines: nobody here needs them.
    options = SMALL | {"num_cpus": head, "include_dashboard": False}
    options |= {"include_log_monitor": False, "no_monitor": True}
    made = Cluster(initialize_head=True, head_node_args=options)
    for _ in range(nodes - 1):
        made.add_node(**SMALL, num_cpus=each)
    return made


@contextlib.contextmanager
def cluster_of(nodes: int, **cores: int) -> Iterator[Any]:
    """A cluster of several nodes that asks for a token; the environment has it until the end."""
    with pytest.MonkeyPatch.context() as patch:
        made = up(patch, "token", nodes, **cores)
        yield made
        made.shutdown()


def living(node: Any, kind: str) -> list[int]:
    """The processes of actors or tasks of a kind on a node."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    found = []
    for process in raylet.children(recursive=True):
        try:
            if process.cmdline()[0].startswith(f"ray::{kind}"):
                found.append(process.pid)
        except (psutil.Error, IndexError):
            continue
    return found


def is_up(node: Any) -> bool:
    """Whether a node has not been lost."""
    raylet = node.all_processes["raylet"][0].process.pid
    return psutil.pid_exists(raylet) and psutil.Process(raylet).status() != psutil.STATUS_ZOMBIE


def lose(node: Any) -> None:
    """End a node as when its machine fails: everything on it at once."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        process.kill()
