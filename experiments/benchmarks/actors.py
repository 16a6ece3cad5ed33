"""Participants as actors on Ray, beside a bare Ray fan-out with the same messages and no market.

The fan-out is driven as the clearing house drives: from inside one actor, which sends every other
one an array of an observation's size, waits for arrays of an action's size, and does nothing with
them. The runtime sends its ticks over socket channels (`mos_agents.actors.channel`), not by Ray.
So the fan-out is measured over channels as well, for information. What is above that is the cost of
the market (calls, checks, quotes, clearing, journal, digest, summaries). Times are wall-clock
times, since the work is in other processes.

`python -m experiments.benchmarks.actors --flat 5000` plays one run and looks at the memory and the
open files of all its processes; `--table` measures how a tick grows with participants, markets and
shards (the page CLUSTER.md is made from it).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import psutil
import ray

from experiments.benchmarks.timing import BenchmarkLine as Row
from mos_agents import scenarios
from mos_agents.actors.channel import Channel, Listener, wait
from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.driver import Driver
from mos_agents.actors.messages import Reply
from mos_agents.actors.plan import ShardPlan, markets_of
from mos_agents.actors.ray.cluster import cluster
from mos_agents.actors.ray.nodes import ACTOR
from mos_agents.actors.ray.shards import ActorDied, RayShards
from mos_agents.actors.wire import pack_calls, pack_replies
from mos_agents.market.types import Array

# Of the extra "dev": an installation that only plays markets does without it.

SECONDS = 1.0
"""How long one turn of a benchmark takes, about."""

GOAL = 0.8


def plan_of(participants: int, markets: int, folder: str | None = None) -> ShardPlan:
    """Competing sellers of one product."""
    scenario = scenarios.preset("retail", firms=participants - 1, products=1)
    plan = ShardPlan("benchmark", scenarios.dump(scenario), 0, (0,), folder=folder, recorded=1)
    return plan.part(0, 1, markets)


class Sizes(NamedTuple):
    """Shapes of what goes to each participant and of what comes back."""

    observations: list[tuple[int, ...]]
    actions: list[tuple[int, ...]]

    @classmethod
    def of(cls, plan: ShardPlan) -> Sizes:
        market, batch = scenarios.parse(plan.scenario).market(), len(plan.markets)
        return cls(
            [(batch, spec.size + 1) for spec in market.specs],  # the observation and the reward
            [(batch, *spec.action_shape) for spec in market.specs],
        )


class Echo:
    """Takes an array and gives one back, by Ray or over a channel."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.back: Array = np.zeros(shape)

    def answer(self, array: Array) -> Array:
        return self.back

    def pid(self) -> int:
        return os.getpid()

    def listener(self) -> tuple[str, bytes]:
        self._listener = Listener()
        return self._listener.path, self._listener.secret

    def serve(self) -> None:
        self._listener.serve(lambda block: self.back.tobytes())


class Centre:
    """Owns the echoes and asks them all, tick after tick; every message is one array."""

    def __init__(self, sizes: Sizes, by_channel: bool) -> None:
        echo = ray.remote(**ACTOR)(Echo)
        self.echoes = [echo.remote(shape) for shape in sizes.actions]
        self.messages = [np.zeros(shape) for shape in sizes.observations]
        self._pids = ray.get([echo.pid.remote() for echo in self.echoes])
        self.channels = []
        for echo in self.echoes if by_channel else ():
            self.channels.append(Channel(*ray.get(echo.listener.remote())))
            echo.serve.remote()  # from here on it receives nothing else

    def pids(self) -> list[int]:
        return list(self._pids)

    def advance(self, ticks: int) -> int:
        for _ in range(ticks):
            if self.channels:
                for channel, array in zip(self.channels, self.messages, strict=True):
                    channel.request(array.tobytes())
                wait(self.channels, None)
            else:
                pairs = zip(self.echoes, self.messages, strict=True)
                ray.get([echo.answer.remote(array) for echo, array in pairs])
        return ticks


class Side(NamedTuple):
    """One of the two that are compared."""

    advance: Callable[[int], Any]
    end: Callable[[], None]
    startup: float
    memory: float  # MB that one participant's process has to itself


def ours(plan: ShardPlan) -> Side:
    before, begin = workers("WorkerActor"), time.perf_counter()
    shards = RayShards()
    handle = shards.begin(plan)
    shards.result(shards.ask(handle, "start"))
    startup = time.perf_counter() - begin

    def advance(ticks: int) -> None:
        shards.result(shards.ask(handle, "advance", ticks))

    def end() -> None:
        shards.result(shards.ask(handle, "close"))
        shards.kill(handle)

    advance(3)
    return Side(advance, end, startup, own_memory(workers("WorkerActor") - before))


def bare(plan: ShardPlan, by_channel: bool) -> Side:
    begin = time.perf_counter()
    centre = ray.remote(**ACTOR)(Centre).remote(Sizes.of(plan), by_channel)
    pids = ray.get(centre.pids.remote())
    startup = time.perf_counter() - begin

    def advance(ticks: int) -> None:
        ray.get(centre.advance.remote(ticks))

    advance(3)
    return Side(advance, lambda: ray.kill(centre), startup, own_memory(pids))


def interleaved(sides: Sequence[Side], runs: int) -> list[list[float]]:
    """Ticks per second of each, turn by turn."""
    ticks = []
    for side in sides:
        begin = time.perf_counter()
        side.advance(50)
        ticks.append(max(10, int(50 * SECONDS / (time.perf_counter() - begin))))
    found: list[list[float]] = [[] for _ in sides]
    for _ in range(runs):
        for i, side in enumerate(sides):
            begin = time.perf_counter()
            side.advance(ticks[i])
            found[i].append(ticks[i] / (time.perf_counter() - begin))
    return found


def run(runs: int) -> list[Row]:
    rows = []
    for participants in (2, 4):
        for markets in (1, 1024):
            with cluster(), tempfile.TemporaryDirectory() as folder:
                plan = plan_of(participants, markets, folder)
                sides = [ours(plan), bare(plan, by_channel=False), bare(plan, by_channel=True)]
                rates = [median(found) for found in interleaved(sides, runs)]
                for side in sides:
                    side.end()
            name = f"{participants} actors, {markets} markets"
            other = "bare Ray fan-out, same messages"
            rows += [
                Row(f"Ray runtime, {name}", "ticks", rates[0], other, rates[1], GOAL),
                Row(
                    f"Ray runtime, {name}",
                    "ticks",
                    rates[0],
                    f"{other}, over a channel",
                    rates[2],
                    None,
                ),
            ]
            if markets == 1:
                one, two, _ = sides
                rows += [
                    Row(f"start-up, {name}", "s", one.startup, other, two.startup, None),
                    Row(f"memory of one of {name}", "MB", one.memory, other, two.memory, None),
                ]
    return rows


# --- looking at processes -------------------------------------------------------------------------


def family() -> list[Any]:
    """This process and all that it started."""
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def workers(kind: str) -> set[int]:
    """The processes of actors of a kind."""
    found = set()
    for process in family():
        try:
            if process.cmdline()[0].startswith(f"ray::{kind}"):
                found.add(process.pid)
        except (psutil.Error, IndexError):
            continue
    return found


def own_memory(pids: Sequence[int] | set[int]) -> float:
    """Mean MB that are not shared, per process."""
    return float(np.mean([psutil.Process(pid).memory_full_info().uss for pid in pids])) / 2**20


def footprint() -> dict[str, tuple[int, float, int]]:
    """By kind of process: how many, MB resident in all, open descriptors in all."""
    found: dict[str, tuple[int, float, int]] = {}
    for process in family():
        try:
            name = process.cmdline()[0].split("/")[-1].split(".")[0]
            memory, files = process.memory_info().rss / 2**20, process.num_fds()
        except (psutil.Error, IndexError):
            continue
        count, megabytes, descriptors = found.get(name, (0, 0.0, 0))
        found[name] = count + 1, megabytes + memory, descriptors + files
    return found


def flat(ticks: int) -> None:
    """One run of a platform and two firms over Ray; memory and descriptors as it goes on."""
    with cluster(), tempfile.TemporaryDirectory() as folder:
        plan = replace(plan_of(3, 1, folder), markets=(0,))
        driver = Driver(RayShards(), plan, ticks, 1, died=ActorDied)
        looks = []
        for tick in driver.run():
            if (tick.tick + 1) % max(1, ticks // 5) == 0 or tick.tick == ticks // 10:
                looks.append((tick.tick + 1, footprint()))
    for at, found in looks:
        memory, files = (sum(one[i] for one in found.values()) for i in (1, 2))
        print(f"tick {at:>7,}: {memory:8.1f} MB resident, {files} descriptors")
    (begun, first), (ended, last) = looks[0], looks[-1]
    print(f"MB per 10,000 ticks between tick {begun:,} and {ended:,}, by process:")
    for name, (count, memory, files) in sorted(last.items()):
        former = first.get(name, (0, 0.0, 0))
        slope = (memory - former[1]) / (ended - begun) * 10_000
        print(f"  {name:<28} {count} {slope:+8.2f} MB, {files - former[2]:+d} descriptors")


# --- how a tick grows -----------------------------------------------------------------------------


class Cost(NamedTuple):
    participants: int
    markets: int
    shards: int
    messages: int
    kilobytes: float
    milliseconds: float


def costs(seconds: float = 1.5) -> Iterator[Cost]:
    """Messages, bytes and seconds of a tick of the whole batch."""
    with cluster():
        for participants in (2, 4, 8):
            for markets in (1, 64, 1024):
                for count in (1, 2):
                    if count <= markets:
                        yield _cost(participants, markets, count, seconds)


def _cost(participants: int, markets: int, count: int, seconds: float) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(participants, markets, folder)
        parts = [tuple(int(m) for m in markets_of(s, count, markets)) for s in range(count)]
        shards = RayShards()
        handles = [
            shards.begin(replace(plan, markets=part, folder=f"{folder}/{s}"))
            for s, part in enumerate(parts)
        ]
        for handle in handles:
            shards.result(shards.ask(handle, "start"))

        def advance(ticks: int) -> float:
            begin = time.perf_counter()
            for asked in [shards.ask(handle, "advance", ticks) for handle in handles]:
                shards.result(asked)
            return (time.perf_counter() - begin) / ticks

        advance(20)
        ticks = max(10, int(seconds / 3 / advance(30)))
        taken = median(advance(ticks) for _ in range(3))
        for handle in handles:
            shards.kill(handle)
    size = sum(_bytes(plan, part) for part in parts)
    return Cost(participants, markets, count, 2 * participants * count, size / 1e3, 1e3 * taken)


def _bytes(plan: ShardPlan, markets: tuple[int, ...]) -> int:
    """What the messages of one tick weigh as they are sent."""
    market = scenarios.parse(plan.scenario).market()
    house = ClearingHouse(plan.run, market, 0, np.array(markets))
    total = 0
    for call, spec in zip(
        house.calls(dict.fromkeys(market.layout.participants, 0)), market.specs, strict=True
    ):
        action = np.zeros((len(markets), *spec.action_shape))
        reply = Reply(call.run, call.tick, call.participant, 0, action, "")
        total += len(pack_calls([call])) + len(pack_replies([reply], 0.001))
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.actors")
    parser.add_argument("--flat", type=int, metavar="TICKS", help="memory over so many ticks")
    parser.add_argument("--table", action="store_true", help="how a tick grows")
    given = parser.parse_args(arguments)
    if given.flat:
        flat(given.flat)
    if given.table:
        print("| participants | markets | shards | messages | kB | ms | market ticks a second |")
        print("| ---: " * 7 + "|")
        for one in costs():
            rate = one.markets / one.milliseconds * 1e3
            print(
                f"| {one.participants} | {one.markets:,} | {one.shards} | {one.messages} "
                f"| {one.kilobytes:,.1f} | {one.milliseconds:.2f} | {rate:,.0f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
