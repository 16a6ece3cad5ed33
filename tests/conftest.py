"""What tests all over share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.clusters import OwnCluster

pytest.register_assert_rewrite("tests.commands")

# No example is too slow: whatever else the machine does at the time is none of a test's business.
settings.register_profile("mos", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mos")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands are given in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[OwnCluster]:
    """The tests' shared cluster, which may be closed at the moment."""
    shared = OwnCluster()
    yield shared
    shared.close()


@pytest.fixture
def own_cluster(shared_cluster: OwnCluster) -> None:
    """The tests' shared cluster, open."""
    shared_cluster.open()


@pytest.fixture(scope="module")
def no_other_cluster(shared_cluster: OwnCluster) -> None:
    """The tests' shared cluster is closed: this module brings up or joins clusters of its own."""
    shared_cluster.close()
