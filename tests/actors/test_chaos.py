"""A hundred killed participants, fifty killed clearing houses and drivers: `make chaos`.

The short form kills ten participants and five clearing houses and drivers: `make short`. It looks
at hashes alone; how long things take is for a machine that does nothing else."""

import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest

from mos_agents.actors.driver import Driver
from mos_agents.actors.ray.shards import ActorDied, RayShards
from tests.actors.processes import descendants, titled
from tests.actors.worlds import SHOP, plan_of, undisturbed
from tests.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("ray")]

TICKS = 4000
SHORT = pytest.mark.short


def disturbed(folder, title, rng, kills, ticks):
    """One run in which processes are killed every second or so; seconds to recover from each."""
    plan = plan_of(SHOP, folder=str(folder), restarts=10**6)
    made = Driver(RayShards(), plan, ticks, 2, checkpoint_every=500, died=ActorDied, restarts=10**6)
    done, killed, arrived = threading.Event(), [], []

    def kill():
        while len(killed) < kills and not done.wait(rng.uniform(1.0, 5.0)):
            victims = titled(title)
            if victims:
                os.kill(rng.choice(victims), signal.SIGKILL)
                killed.append(time.monotonic())

    run = made.run()
    assert next(run).tick == 0
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        given = [0]
        for tick in run:
            given.append(tick.tick)
            arrived.append(time.monotonic())
            time.sleep(0.002)  # give the killer its time
    finally:
        done.set()
        killer.join()
    assert given == list(range(ticks))
    return made.hash, [longest(arrived, a, b) for a, b in pairwise([*killed, float("inf")])]


def longest(arrived, begin, end):
    """The longest time without a tick between a kill and the next one; None if it was overtaken by
    that before any tick came."""
    inside = [t for t in arrived if begin <= t <= end]
    return max(b - a for a, b in pairwise([begin, *inside])) if inside else None


@pytest.mark.parametrize(
    ("title", "kills", "ticks", "median"),
    [
        pytest.param("ray::WorkerActor", 10, 1500, None, marks=SHORT),
        pytest.param("ray::ShardActor", 3, 1500, None, marks=SHORT),
        ("ray::WorkerActor", 100, TICKS, 3.0),
        ("ray::ShardActor", 30, TICKS, 6.0),
    ],
)
def test_killed_processes_leave_no_trace_in_the_hash(
    title, kills, ticks, median, own_cluster, tmp_path
):
    """median: seconds without a tick that half of the kills may cost at most."""
    rng, expected, seconds, runs = random.Random(title), undisturbed(SHOP, ticks, 2), [], 0
    while len(seconds) < kills:
        found, more = disturbed(tmp_path / str(runs), title, rng, kills - len(seconds), ticks)
        assert found == expected
        seconds, runs = seconds + more, runs + 1
    assert table(title, runs, seconds) <= (median or float("inf"))


def table(title, runs, seconds):
    """Print what the kills cost; the median seconds without a tick."""
    went_on = sorted(s for s in seconds if s is not None)
    if not went_on:
        return 0.0
    figures = statistics.median(went_on), went_on[int(0.9 * len(went_on))], went_on[-1]
    print(
        f"\n{title.removeprefix('ray::')}: {len(seconds)} kills in {runs} runs, "
        f"{len(seconds) - len(went_on)} overtaken by the next; seconds without a tick: "
        "median {:.2f}, 9 in 10 {:.2f}, longest {:.2f}".format(*figures)
    )
    return figures[0]


DRIVER = """
import sys
from mos_agents.actors.ray.cluster import cluster
from mos_agents.actors.ray.shards import ActorDied, RayShards
from tests.actors.worlds import SHOP, driver
folder, recorded, ticks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with cluster():
    made = driver(SHOP, ticks, 2, RayShards(), folder=folder, checkpoint_every=100, died=ActorDied)
    for tick in made.run(recorded=recorded):
        print("tick", tick.tick, flush=True)
    print("hash", made.hash, flush=True)
"""


@pytest.mark.parametrize(
    ("kills", "ticks", "most"), [pytest.param(2, 400, 120, marks=SHORT), (20, 20_000, 600)]
)
def test_a_killed_driver_is_resumed_and_nothing_that_it_gave_is_given_twice(
    kills, ticks, most, tmp_path
):
    """Drivers, each a process with a cluster of its own, killed at random; then one ends."""
    rng, recorded, begun, found = random.Random(0), [], [], None
    for trial in range(kills + 1):
        begin = time.monotonic()
        line = [sys.executable, "-c", DRIVER, str(tmp_path), str(len(recorded)), str(ticks)]
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        stop = len(recorded) + rng.randint(1, most)
        for text in process.stdout:
            if text.startswith("tick "):
                if len(begun) == trial:
                    begun.append(time.monotonic() - begin)
                recorded.append(int(text.split()[1]))
                if trial < kills and len(recorded) == stop:
                    below = descendants(process.pid)
                    os.kill(process.pid, signal.SIGKILL)
            elif text.startswith("hash "):
                found = text.split()[1]
        process.wait()
        if trial < kills:
            eventually(lambda below=below: not any(map(works, below)), "left by a killed driver")
    assert recorded == list(range(ticks)) and found == undisturbed(SHOP, ticks, 2)
    table("driver", len(begun), begun)


def works(pid):
    """Whether a process is still there. Ray's two agents do not count: they look for their raylet
    once a minute or so, and then follow it."""
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return bool(words) and b"Agent" not in words
