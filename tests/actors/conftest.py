"""What the tests of actors share."""

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
