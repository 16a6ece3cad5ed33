"""Every preset, three seeds, every layout over a real cluster: one hash. `make matrix`.

The short form has two seeds and three layouts: `make short`.

The processes are lent from one run to the next, as an environment lends them from one episode to
the next: starting them takes ten times as long as the run. Messages, workers, clearing houses are
those of every run over Ray; runs in processes of their own are in test_ray.py.
"""

import time

import pytest
import ray

from mos_agents import scenarios
from mos_agents.actors.env_server import PersistentRuntime
from mos_agents.actors.ray.nodes import ACTOR
from mos_agents.actors.ray.runtime import RayRuntime
from mos_agents.actors.ray.shards import ActorDied, RayShards
from mos_agents.actors.shard import Shard
from tests.actors.processes import descendants
from tests.actors.worlds import driven, undisturbed

pytestmark = [pytest.mark.matrix, pytest.mark.xdist_group("ray")]

TICKS, MARKETS = 12, 5
LAYOUTS = [(1, 0), *((count, workers) for count in (1, 2, 5) for workers in (1, 2))]
"""Shards, and workers of each; 0: every participant an actor of its own."""


class House:
    """A clearing house in a process that outlives the run, with workers that do, too."""

    def __init__(self):
        self._workers = PersistentRuntime(RayRuntime())

    def begin(self, plan):
        self._shard = Shard(plan, self._workers)

    def start(self):
        return self._shard.start()

    def recovered(self):
        return self._shard.recovered()

    def advance(self, ticks):
        return self._shard.advance(ticks)

    def checkpoint(self):
        return self._shard.checkpoint()

    def close(self):
        self._shard.recovery.close()  # the workers stay


class Again(RayShards):
    """Shards in processes that are there already."""

    def __init__(self):
        super().__init__()
        self.houses, self._busy = [], []

    def begin(self, plan):
        idle = [house for house in self.houses if house not in self._busy]
        if not idle:
            idle = [ray.remote(**ACTOR)(House).remote()]
            self.houses += idle
        self._busy.append(idle[0])
        self.result(idle[0].begin.remote(plan))
        return idle[0]

    def kill(self, handle):
        self._busy.remove(handle)


@pytest.fixture(scope="module")
def again(shared_clusters):
    shared_clusters.own()
    made = Again()
    yield made
    for house in made.houses:
        ray.kill(house)


@pytest.mark.parametrize(
    ("seeds", "layouts"),
    [
        pytest.param((0, 20_261), [(1, 0), (2, 1), (5, 2)], marks=pytest.mark.short, id="short"),
        pytest.param((0, 1, 20_261), LAYOUTS, id="long"),
    ],
)
@pytest.mark.parametrize("preset", scenarios.presets())
def test_every_layout_over_ray_has_the_hash_of_the_loop(preset, seeds, layouts, again, tmp_path):
    begin, hashes = time.monotonic(), {}
    for seed in seeds:
        scenario = scenarios.load(preset).model_copy(update={"seed": seed})
        expected = undisturbed(scenario, TICKS, MARKETS)
        for count, workers in layouts:
            folder = tmp_path / f"{seed}-{count}-{workers}"
            made = driven(
                scenario,
                TICKS,
                MARKETS,
                again,
                count=count,
                workers=workers,
                folder=str(folder),
                checkpoint_every=8,
                died=ActorDied,
            )
            assert made.hash == expected, (seed, count, workers)
            assert not made.health.counts and made.health.shard_restarts == 0
            assert set(made.health.seconds) == set(scenario.policies())
            hashes[seed, count, workers] = made.hash
    assert len(hashes) == len(seeds) * len(layouts)
    assert len(set(hashes.values())) == len(seeds)
    titles = list(descendants().values())
    hosting = sum(title.startswith("ray::WorkerActor") for title in titles)
    assert (
        len(again.houses) == 5 <= sum(title.startswith("ray::House") for title in titles) < hosting
    )
    print(f"\n{preset}: {len(hashes)} runs over Ray in {time.monotonic() - begin:.0f} s")


def test_the_comparison_sees_another_seed(again, tmp_path):
    scenario = scenarios.load("retail")
    made = driven(
        scenario,
        TICKS,
        MARKETS,
        again,
        count=2,
        workers=1,
        folder=str(tmp_path),
        died=ActorDied,
        seed=7,
    )
    assert made.hash == undisturbed(scenario, TICKS, MARKETS, seed=7)
    assert made.hash != undisturbed(scenario, TICKS, MARKETS, seed=8)
