"""What the tests of training share."""

import contextlib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HELD = contextlib.ExitStack()


@pytest.fixture(scope="module")
def on_cluster():
    """One cluster for all trainings of this folder: bringing one up takes seconds."""
    from mos_agents.actors.ray.cluster import cluster, joined

    if not joined():
        HELD.enter_context(cluster())


def pytest_runtest_teardown(item, nextitem):
    """The cluster ends with the folder: other tests bring up their own."""
    if nextitem is None or HERE not in nextitem.path.parents:
        HELD.close()
