"""What the tests of actors share."""

import contextlib

import pytest

from mos_agents.actors import shard
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.policies import POLICIES
from tests.actors.worlds import PARTICIPANTS, parse


@pytest.fixture(autouse=True)
def _read_scenarios_once(monkeypatch):
    monkeypatch.setattr(shard.scenarios, "parse", parse)


@pytest.fixture
def strangers(monkeypatch):
    """Participants of the tests' own, by name, for the duration of one test."""
    for kind, cls in PARTICIPANTS.items():
        monkeypatch.setitem(POLICIES, kind, cls)


class OwnCluster:
    """One cluster of this process's own for many tests: to bring one up takes seconds.

    A process can be in one cluster only. A test that needs another one closes this one first, and
    the next test that uses it opens it again.
    """

    def __init__(self) -> None:
        self._opened = contextlib.ExitStack()

    def open(self) -> None:
        import ray

        from mos_agents.actors.ray.cluster import cluster

        if not ray.is_initialized():
            self.close()  # a test may have ended it
            self._opened.enter_context(cluster())

    def close(self) -> None:
        self._opened.close()


@pytest.fixture(scope="session")
def shared_cluster():
    """The tests' shared cluster, which may be closed at the moment."""
    shared = OwnCluster()
    yield shared
    shared.close()


@pytest.fixture
def own_cluster(shared_cluster):
    """The tests' shared cluster, open."""
    shared_cluster.open()


OVER_RAY = [
    pytest.param(name, marks=pytest.mark.xdist_group("ray"))
    for name in ("ray", "ray without channels")
]


@pytest.fixture(params=["local", *OVER_RAY])
def runtime(request):
    """Each runtime in turn: they keep one contract."""
    if request.param == "local":
        made = LocalRuntime()
    else:
        request.getfixturevalue("own_cluster")
        from mos_agents.actors.ray.runtime import RayRuntime

        made = RayRuntime(channels=request.param == "ray")
    yield made
    made.close()
