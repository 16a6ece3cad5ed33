"""What the tests of actors share."""

import pytest

from mos_agents.actors import shard
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
