"""What the tests of training share."""

import pytest


@pytest.fixture(scope="module")
def on_cluster(shared_clusters):
    """The tests' shared cluster, open, for whole modules."""
    shared_clusters.own()
