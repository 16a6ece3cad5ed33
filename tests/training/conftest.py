"""What the tests of training share."""

import pytest


@pytest.fixture(scope="session")
def on_cluster():
    """One cluster for all trainings of this process: bringing one up takes seconds."""
    from mos_agents.actors.ray_runtime import cluster, joined

    if joined():
        yield
    else:
        with cluster():
            yield
