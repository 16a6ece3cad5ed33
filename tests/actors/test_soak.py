"""Memory and descriptors stay flat: in one process, through actors, over many environments.

The long forms play millions of ticks (`make soak`), the short ones thousands (`make short`).
"""

import gc
import os
from pathlib import Path

import psutil
import pytest

from envs import retail_v0
from mos_agents import scenarios
from mos_agents.actors.driver import Driver
from mos_agents.rollout import play
from tests.actors.processes import titled
from tests.actors.worlds import SHOP, plan_of

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("ray")]

SHORT = pytest.mark.short
MEGABYTE = 2**20


def held(pids=None):
    """Bytes of memory and number of descriptors of some processes, by default of this one."""
    gc.collect()
    processes = [psutil.Process(pid) for pid in pids or [os.getpid()]]
    return (
        sum(p.memory_info().rss for p in processes),
        sum(len(list(Path(f"/proc/{p.pid}/fd").iterdir())) for p in processes),
    )


def flat(readings, most):
    """The later half of the readings took at most so many more bytes, and no more descriptors."""
    later = readings[len(readings) // 2 :]
    grown = later[-1][0] - later[0][0]
    print(
        f"\n{len(later)} readings, {grown / MEGABYTE:+.2f} MB, descriptors {later[0][1]} to "
        f"{later[-1][1]}"
    )
    return grown < most and len({descriptors for _, descriptors in later}) == 1


@pytest.mark.parametrize(
    ("ticks", "most"),
    [pytest.param(60_000, 2 * MEGABYTE, marks=SHORT), (10_000_000, 4 * MEGABYTE)],
)
@pytest.mark.parametrize("preset", ["retail", "market_making"])
def test_the_loop_keeps_nothing_of_the_ticks_it_has_played(preset, ticks, most):
    """A hundred bytes a tick would be six megabytes in the short form."""
    scenario = scenarios.load(preset)
    if preset == "retail":
        scenario = SHOP
    readings, objects = [], []
    steps = play(scenario.market(), scenario.policies(), seed=0, ticks=ticks, markets=1)
    for at, _ in enumerate(steps):
        if (at + 1) % (ticks // 10) == 0:
            readings.append(held())
            objects.append(len(gc.get_objects()))
    assert flat(readings, most) and abs(objects[-1] - objects[4]) < 100


@pytest.mark.usefixtures("own_cluster")
@pytest.mark.parametrize(
    ("ticks", "most"),
    [pytest.param(8_000, 4 * MEGABYTE, marks=SHORT), (100_000, 8 * MEGABYTE)],
)
def test_actors_keep_nothing_of_the_ticks_they_have_played(ticks, most, tmp_path):
    """Between checkpoints a clearing house keeps the past calls; right after one it has none."""
    from mos_agents.actors.ray.shards import ActorDied, RayShards

    driver = Driver(
        RayShards(),
        plan_of(SHOP, folder=str(tmp_path)),
        ticks,
        1,
        checkpoint_every=ticks // 16,
        died=ActorDied,
    )
    readings = {"ray::ShardActor": [], "ray::WorkerActor": [], "driver": []}
    for tick in driver.run():
        if tick.tick % (ticks // 16) == 0:
            for title, kept in readings.items():
                kept.append(held(titled(title) if title != "driver" else None))
    assert driver.health.counts == {}
    for title, kept in readings.items():
        assert flat(kept, most), (title, kept)


@pytest.mark.parametrize("number", [pytest.param(100, marks=SHORT), 2_000])
@pytest.mark.parametrize("runtime", ["local", "actors"])
def test_environments_that_were_closed_leave_nothing(runtime, number):
    readings = []
    for n in range(number):
        env = retail_v0.parallel_env(firms=1, products=1, horizon=3, runtime=runtime)
        env.reset(seed=n)
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        env.close()
        if n % (number // 10) == 0:
            readings.append(held())
    assert flat(readings, 4 * MEGABYTE)
