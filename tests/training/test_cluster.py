"""Training on a cluster of two nodes: it plays back, and neither a lost runner nor node ends it."""

import os
import signal

import pytest

pytestmark = pytest.mark.train
pytest.importorskip("torch")

from mos_agents import scenarios  # noqa: E402
from mos_agents.market.types import InputError  # noqa: E402
from mos_agents.rollout import rollout  # noqa: E402
from mos_agents.training import folder as folders  # noqa: E402
from mos_agents.training import resume, train  # noqa: E402
from mos_agents.training.assignment import TrainingAssignment  # noqa: E402
from mos_agents.training.normaliser import to_arrays, unchanged  # noqa: E402
from tests.clusters import cluster_of, living  # noqa: E402
from tests.training.worlds import small  # noqa: E402


@pytest.fixture(scope="module")
def two_nodes(no_other_cluster):
    """A head that plays nothing and a node that does."""
    with cluster_of(2, head=1, each=1) as made:
        yield made


def runners(node):
    """The processes of env runners on a node."""
    return living(node, "BatchRunner")


def test_a_cluster_without_a_token_is_refused(two_nodes, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 64)
    with pytest.raises(InputError, match="does not take this session's token"):
        train(small(), address=two_nodes.address)


def test_more_workers_than_there_are_cores_are_refused_and_not_waited_for(two_nodes):
    with pytest.raises(InputError, match="workers=3: each takes a core, and there is room for 2"):
        train(small(workers=3), address=two_nodes.address)


def test_a_training_that_goes_on_is_not_told_to_take_fewer_workers(two_nodes, tmp_path):
    plan = small(workers=3)
    folder = folders.create(plan, tmp_path, "it", to_arrays(unchanged(TrainingAssignment.of(plan))))
    text = "room for 2; it was begun with them: add nodes to the cluster, or start one with more --"
    with pytest.raises(InputError, match=text):
        resume(folder, address=two_nodes.address)


@pytest.mark.parametrize("algo", ["ppo", "appo"])
def test_a_training_on_two_nodes_outlives_a_runner_and_plays_back(algo, two_nodes, tmp_path):
    killed = []

    def kill(record):
        if record["iteration"] == 2:
            pids = [p for node in two_nodes.list_all_nodes() for p in runners(node)]
            assert len(pids) == 2
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

    plan = small(algo, workers=2, iterations=6)
    trained = train(plan, tmp_path, address=two_nodes.address, on_progress=kill)
    assert killed and trained.ended == "iterations"
    assert [r["iteration"] for r in trained.history] == [1, 2, 3, 4, 5, 6]
    steps = [r["steps"] for r in trained.history]
    assert steps == sorted(set(steps))
    scenario = scenarios.load(trained.folder / "trained.yaml")
    assert not rollout(scenario.market(), scenario.policies(), ticks=5).faults


def test_a_node_lost_does_not_end_a_training(two_nodes):
    def lose(record):
        if record["iteration"] == 2:
            node = next(n for n in two_nodes.list_all_nodes() if n is not two_nodes.head_node)
            assert runners(node)
            two_nodes.remove_node(node, allow_graceful=False)

    trained = train(small(workers=2, iterations=6), address=two_nodes.address, on_progress=lose)
    assert trained.ended == "iterations"
    assert trained.history[-1]["steps"] > trained.history[2]["steps"]
