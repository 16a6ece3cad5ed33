"""A cluster of two nodes: shards are spread, a node may be lost, and nobody is let in unasked."""

import threading
import time
from pathlib import Path

import psutil
import pytest

from mos_agents import scenarios
from mos_agents.actors.driver import Driver
from mos_agents.actors.ray import cluster as ray_cluster
from mos_agents.actors.ray import nodes as ray_nodes
from mos_agents.actors.ray.shards import ActorDied, RayShards
from mos_agents.cli import run
from mos_agents.market.types import InputError
from tests.actors.worlds import SHOP, plan_of, undisturbed
from tests.clusters import SMALL, is_up, living, lose, up

MAKERS = scenarios.load("market_making")
pytestmark = pytest.mark.xdist_group("ray")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "asks for a token and this session shows none"),
        ({"RAY_AUTH_TOKEN": "x" * 64}, "does not take this session's token"),
    ],
)
def test_without_the_clusters_token_nobody_joins_and_is_told_so(
    environment, told, two_nodes, monkeypatch
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(InputError, match=told) as caught,
        ray_cluster.cluster(two_nodes.address, insecure=True),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense", "a b:80"])
def test_an_address_where_no_cluster_is_gives_one_line(address):
    with (
        pytest.raises(InputError, match=f"^address='{address}'") as caught,
        ray_cluster.cluster(address),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_ray_that_does_not_start_in_time_is_one_line(monkeypatch):
    def init(**_):
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray_cluster.ray, "init", init)
    with (
        pytest.raises(InputError, match=r"Ray does not start: .*timed out during") as caught,
        ray_cluster.cluster(),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_shards_are_spread_and_the_loss_of_a_node_moves_no_bit(two_nodes, tmp_path):
    ticks, markets = 400, 4
    with ray_cluster.cluster(two_nodes.address):
        plan = plan_of(MAKERS, folder=str(tmp_path), restarts=1000, workers=1)
        driver = Driver(
            RayShards(), plan, ticks, markets, 2, checkpoint_every=50, restarts=1000, died=ActorDied
        )
        given = []
        for tick in driver.run():
            given.append(tick.tick)
            if tick.tick == 120:
                nodes = [two_nodes.head_node, *two_nodes.worker_nodes]
                assert [len(living(node, "ShardActor")) for node in nodes] == [1, 1]
                assert [len(living(node, "WorkerActor")) for node in nodes] == [1, 1]
                lose(nodes[1])
        assert given == list(range(ticks))
        assert driver.health.shard_restarts >= 1
        assert driver.hash == undisturbed(MAKERS, ticks, markets)


def test_six_actors_of_a_marketplace_lose_a_node_and_no_bit(two_nodes, tmp_path):
    """A platform, three firms and two makers, with goods in transit and orders among arrivals."""
    scenario = scenarios.load("marketplace", changes={"venues.wholesale.delivery": 2})
    ticks, markets = 90, 2
    with ray_cluster.cluster(two_nodes.address):
        plan = plan_of(scenario, folder=str(tmp_path), restarts=1000)
        shards = RayShards(spread=True)
        driver = Driver(
            shards, plan, ticks, markets, checkpoint_every=20, restarts=1000, died=ActorDied
        )
        for tick in driver.run():
            if tick.tick == 40:
                nodes = [two_nodes.head_node, *two_nodes.worker_nodes]
                lived = [len(living(node, "WorkerActor")) for node in nodes]
                assert sum(lived) == 6 and min(lived) >= 2
                lose(nodes[1])
        restarted = sum(c.get("restarted", 0) for c in driver.health.counts.values())
        assert restarted + driver.health.shard_restarts >= 1
        assert driver.hash == undisturbed(scenario, ticks, markets)


@pytest.mark.parametrize(
    ("first", "told"), [("", "abcab"), ("a", "abcab"), ("c", "cabca"), ("lost", "abcab")]
)
def test_nodes_take_turns_from_the_first_on(first, told, monkeypatch):
    """Else the first participants of all shards would live on one node."""
    there = [{"NodeID": n, "Alive": n != "d"} for n in "cdab"]
    monkeypatch.setattr(ray_nodes.ray, "nodes", lambda: there)
    monkeypatch.setattr(ray_nodes, "on_node", lambda node: {"on": node})
    nodes = ray_nodes.Nodes(first)
    given = [nodes.next()["on"] for _ in told]
    assert given == list(told)


def test_participants_live_beside_their_clearing_house_or_on_all_nodes(two_nodes):
    """Those on the other node may die and come back: no bit is moved."""
    node = two_nodes.add_node(num_cpus=2, **SMALL)
    with ray_cluster.cluster(two_nodes.address):
        for spread in (False, True):
            play_and_kill_those_on_another_node(two_nodes, spread)
    two_nodes.remove_node(node)


def play_and_kill_those_on_another_node(two_nodes, spread, ticks=200):
    driver = Driver(RayShards(spread), plan_of(SHOP), ticks, 2, checkpoint_every=50, died=ActorDied)
    for tick in driver.run():
        if tick.tick == 60:
            there = [two_nodes.head_node, *two_nodes.worker_nodes]
            nodes = sorted(  # the clearing house's own last
                filter(is_up, there), key=lambda n: len(living(n, "ShardActor"))
            )
            lived = [living(n, "WorkerActor") for n in nodes]
            even = [3 // len(nodes) + (n < 3 % len(nodes)) for n in range(len(nodes))]
            alone = [0] * (len(nodes) - 1) + [3]
            assert len(nodes) >= 2 and (spread or not lived[0])
            assert sorted(map(len, lived)) == (sorted(even) if spread else alone)
            for pid in lived[0]:
                psutil.Process(pid).kill()
    assert driver.hash == undisturbed(SHOP, ticks, 2)
    # Nobody else was started again. On a busy machine a start may fail and be made once more.
    restarted = [c["restarted"] for c in driver.health.counts.values() if c.get("restarted")]
    assert len(restarted) == len(lived[0]) and driver.health.shard_restarts == 0


def test_a_replication_on_a_cluster_that_keeps_no_sessions_has_the_figures_of_one_machine(
    two_nodes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    order = ["replicate", "calvano_2020", "--sessions", "12", "--set", "levels=5"]
    order += ["--set", "beta=2e-3", "--set", "window=2000"]
    assert run([*order, "--json", "here.json"]) == 0
    where = ["--backend", "ray", "--address", two_nodes.address]
    assert run([*order, *where, "--json", "there.json"]) == 0
    assert Path("there.json").read_bytes() == Path("here.json").read_bytes()


def test_a_replication_over_two_nodes_of_which_one_is_lost_has_the_figures_of_one_machine(
    two_nodes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    order = ["replicate", "calvano_2020", "--sessions", "40", "--set", "beta=1e-5"]
    assert run([*order, "--json", "here.json"]) in (0, 1)
    node = two_nodes.add_node(num_cpus=2, **SMALL)
    lost = []

    def lose_it_while_it_plays():
        while not lost:
            if living(node, "_executed") and list(tmp_path.rglob("*.npz")):
                lost.append(len(list(tmp_path.rglob("*.npz"))))
                lose(node)
            time.sleep(0.01)

    threading.Thread(target=lose_it_while_it_plays, daemon=True).start()
    where = ["--backend", "ray", "--address", two_nodes.address, "--folder", "kept"]
    assert run([*order, *where, "--json", "there.json"]) in (0, 1)
    assert lost and lost[0] < 36
    assert Path("there.json").read_bytes() == Path("here.json").read_bytes()


def test_a_cluster_that_lets_anybody_in_is_refused_unless_that_is_wanted(
    no_other_cluster, monkeypatch
):
    open_to_all = up(monkeypatch, "disabled", 1)
    try:
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        with (
            pytest.raises(InputError, match="asks for no token") as caught,
            ray_cluster.cluster(open_to_all.address),
        ):
            pass
        assert "\n" not in str(caught.value)
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        with ray_cluster.cluster(open_to_all.address, insecure=True) as address:
            assert address == open_to_all.address
    finally:
        open_to_all.shutdown()
