"""Whether memory and open files stay flat over a long run of actors, process by process.

    python -m experiments.benchmarks.flatness [--ticks 100000] [--backend ray|inside] [--minutes M]
        [--markets B]

`ray`: a platform and two firms, an actor each, one clearing house with a journal and a checkpoint
every 500 ticks, as `mos run` has it. `inside`: the loop in this process. Not part of `make bench`:
it takes minutes. At even distances in ticks it reads the memory that no other process shares (USS:
resident memory counts the pages of shared libraries as they are touched) and the open descriptors.
The first quarter is left out: caches fill, and the allocator finds its size. The slope of what is
left is that of Theil and Sen, the median of all pairs, with its distribution-free 95 % interval
(Sen, JASA 1968): memory comes in steps, which would bend a least-squares line and belie its errors.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import psutil
from scipy.stats import theilslopes

from experiments.benchmarks.actors import family, plan_of
from mos_agents import scenarios
from mos_agents.actors.driver import Driver
from mos_agents.actors.ray.cluster import cluster
from mos_agents.actors.ray.shards import ActorDied, RayShards
from mos_agents.rollout import play
from mos_agents.runs.hashing import TrajectoryHash

LOOKS = 80
"""How many times one looks."""

GOAL = 1.0
"""MB an hour."""

WHO = {
    "ray::ShardActor": "clearing house",
    "ray::WorkerActor": "participant",
    "gcs_server": "Ray: table",
    "raylet": "Ray: node",
}


class ProcessSample(NamedTuple):
    """One process at one moment."""

    megabytes: float
    files: int


Looks = dict[str, ProcessSample]  # by process


class SampleTime(NamedTuple):
    tick: int
    seconds: float
    looks: Looks


def sample_process() -> Looks:
    """Every process of the run, by what it is and its number; what else Ray starts is a helper."""
    found: Looks = {}
    for process in family():
        try:
            title = process.cmdline()[0].split("/")[-1]
            look = ProcessSample(process.memory_full_info().uss / 2**20, process.num_fds())
        except (psutil.Error, IndexError):
            continue
        kind = next((who for begin, who in WHO.items() if title.startswith(begin)), "Ray: helper")
        found["driver" if process.pid == os.getpid() else f"{kind} {process.pid}"] = look
    return found


def over_ray(ticks: int, markets: int) -> Generator[SampleTime]:
    """A run of actors, looked at as it goes on."""
    with cluster(), tempfile.TemporaryDirectory() as folder:
        plan = replace(plan_of(3, 1, folder), folder=folder)
        driver = Driver(RayShards(), plan, ticks, markets, died=ActorDied)
        begin = time.monotonic()
        for made in driver.run():
            if (made.tick + 1) % max(1, ticks // LOOKS) == 0:
                yield SampleTime(made.tick + 1, time.monotonic() - begin, sample_process())


def inside(ticks: int, markets: int) -> Generator[SampleTime]:
    """The loop in this process, with the hash of every tick."""
    scenario, digest = scenarios.preset("retail", firms=2, products=1), TrajectoryHash()
    begin, steps = (
        time.monotonic(),
        play(scenario.market(), scenario.policies(), seed=0, ticks=ticks, markets=markets),
    )
    for tick, step in enumerate(steps):
        digest.add(step)
        if (tick + 1) % max(1, ticks // LOOKS) == 0:
            yield SampleTime(tick + 1, time.monotonic() - begin, sample_process())


class Trend(NamedTuple):
    """What one process did after the first quarter."""

    first: float  # MB
    last: float
    slope: float  # MB an hour
    low: float
    high: float
    slope_by_ticks: float  # MB in 100,000 ticks
    files: int  # descriptors more at the end

    @property
    def grows(self) -> bool:
        """By more than the goal, as surely as the interval says."""
        return self.low > GOAL


def trends(moments: Sequence[SampleTime]) -> dict[str, Trend]:
    """By process, over all but the first quarter; only of those that were there all the time."""
    kept = moments[len(moments) // 4 :]
    names = [name for name in kept[0].looks if all(name in m.looks for m in kept)]
    hours = np.array([m.seconds for m in kept]) / 3600.0
    ticks = np.array([m.tick for m in kept]) / 1e5
    found = {}
    for name in names:
        memory = np.array([m.looks[name].megabytes for m in kept])
        slope = theilslopes(memory, hours, 0.95)
        found[name] = Trend(
            float(memory[0]),
            float(memory[-1]),
            float(slope[0]),
            float(slope[2]),
            float(slope[3]),
            float(theilslopes(memory, ticks)[0]),
            kept[-1].looks[name].files - kept[0].looks[name].files,
        )
    return found


def print_trends(moments: Sequence[SampleTime]) -> None:
    begun, ended = moments[len(moments) // 4], moments[-1]
    seconds = ended.seconds - begun.seconds
    print(
        f"{ended.tick:,} ticks in {ended.seconds:.0f} s; slopes from tick {begun.tick:,} on, "
        f"over {seconds:.0f} s"
    )
    print("| process | MB then | MB at the end | MB an hour | 95 % | MB in 100,000 ticks | files |")
    print("| --- " + "| ---: " * 6 + "|")
    for name, one in sorted(trends(moments).items()):
        print(
            f"| {name} | {one.first:.1f} | {one.last:.1f} | {one.slope:+.2f} "
            f"| {one.low:+.2f} to {one.high:+.2f} | {one.slope_by_ticks:+.3f} | {one.files:+d} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.flatness")
    parser.add_argument("--ticks", type=int, default=100_000, help="how long the run is")
    parser.add_argument("--backend", choices=("ray", "inside"), default="ray")
    parser.add_argument("--markets", type=int, default=1, help="how many side by side")
    parser.add_argument("--minutes", type=float, help="end then, however far it has come")
    given = parser.parse_args(arguments)
    if given.ticks < LOOKS:
        parser.error(f"--ticks={given.ticks} must be >= {LOOKS}: that is how often one looks")
    runs: dict[str, Any] = {"ray": over_ray, "inside": inside}
    moments: list[SampleTime] = []
    going = runs[given.backend](given.ticks, given.markets)
    for moment in going:
        moments.append(moment)
        if len(moments) % (LOOKS // 8) == 0:
            whole = sum(look.megabytes for look in moment.looks.values())
            files = sum(look.files for look in moment.looks.values())
            at = f"tick {moment.tick:>10,} {moment.seconds:7.1f} s"
            print(f"{at}: {whole:8.1f} MB, {files} files", flush=True)
        if given.minutes is not None and moment.seconds > 60.0 * given.minutes:
            going.close()
            break
    print_trends(moments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
