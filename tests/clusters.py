"""Clusters of the tests: one of a process's own that many share, and clusters of several nodes."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

TOKEN = secrets.token_hex(32)


class OwnCluster:
    """One cluster of this process's own for many tests: to bring one up takes seconds.

    A process can be in one cluster only. A test that needs another one closes this one first, and
    the next test that uses it opens it again.
    """

    def __init__(self) -> None:
        self._opened = contextlib.ExitStack()

    def open(self) -> None:
        """Bring the cluster up unless this process is on one."""
        import ray

        from mos_agents.actors.ray.cluster import cluster

        if not ray.is_initialized():
            self.close()  # a test may have ended it
            self._opened.enter_context(cluster())

    def close(self) -> None:
        """End the cluster if it is up."""
        self._opened.close()


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

    from mos_agents.actors.ray import cluster as ray_cluster

    assert not ray.is_initialized(), "nodes take the addresses of the cluster that is open here"
    for name, value in (
        ray_cluster.QUIET
        | {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": TOKEN, ray_cluster.NICENESS: "0"}
    ).items():
        patch.setenv(name, value)
    ray_cluster._reload_environment()
    small = {"object_store_memory": 100 * 2**20}
    options = small | {"num_cpus": head, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=options)
    for _ in range(nodes - 1):
        made.add_node(**small, num_cpus=each)
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
