"""What tests all over share."""

import gc
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.clusters import SharedClusters

pytest.register_assert_rewrite("tests.commands")

# Hundreds of processes import the package here. They share its compiled files, also where the
# environment keeps Python from writing them: else each would compile the package again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# No example is too slow: whatever else the machine does at the time is none of a test's business.
settings.register_profile("mos", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mos")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands are given in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def shared_clusters() -> Iterator[SharedClusters]:
    """The tests' shared clusters, which may be closed at the moment."""
    shared = SharedClusters()
    yield shared
    shared.close()


@pytest.fixture
def own_cluster(shared_clusters: SharedClusters) -> None:
    """The tests' shared cluster of this process's own, open."""
    shared_clusters.own()


@pytest.fixture
def two_nodes(shared_clusters: SharedClusters) -> Iterator[Any]:
    """The tests' shared cluster of two nodes, open, and a lost node replaced.

    This process is not on it yet.
    """
    with shared_clusters.two_nodes() as made:
        yield made


@pytest.fixture(scope="module")
def no_other_cluster(shared_clusters: SharedClusters) -> None:
    """The tests' shared clusters are closed: this module brings up or joins clusters of its own."""
    shared_clusters.close()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the market's code once, before several processes would each do so."""
    compiled = ROOT.glob("mos_agents/market/__pycache__/*.nbi")
    if getattr(session.config.option, "numprocesses", None) and not any(compiled):
        subprocess.run([sys.executable, "-m", "tests.warm"], cwd=ROOT, check=True)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files of training alone where their tests are left out: to load PyTorch takes long."""
    left_out = "not train" in config.option.markexpr and collection_path.suffix == ".py"
    return True if left_out and ONLY_TRAINING.search(collection_path.read_text()) else None


ROOT = Path(__file__).parent.parent
ONLY_TRAINING = re.compile(r"^pytestmark = (\[\n    )?pytest\.mark\.train\b", re.MULTILINE)


def pytest_collection_finish() -> None:
    """Let Python look for garbage seldom, and not among the thousands of tests that stay."""
    gc.set_threshold(100_000, 50, 100)
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on one shared cluster follow each other, so that it comes up once."""
    items.sort(key=cluster_of_test)


def cluster_of_test(item: pytest.Item) -> int:
    """The place of a test in the order: by the shared cluster that it uses."""
    used = getattr(item, "fixturenames", ())
    if "two_nodes" in used:
        return 1
    params = getattr(getattr(item, "callspec", None), "params", {})
    if "no_other_cluster" in used or not (
        "shared_clusters" in used or str(params.get("runtime", "")).startswith("ray")
    ):
        return 2
    return 0
