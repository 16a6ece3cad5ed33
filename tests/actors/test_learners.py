"""Learners as actors: the hash of the loop, and after a kill the very table they would have had."""

import os
import random
import signal
import zlib
from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest

from mos_agents.actors.runtime import LocalRuntime
from mos_agents.policies import POLICIES
from mos_agents.policies.base import Policy
from mos_agents.rollout import ParticipantPool, transitions
from mos_agents.trees import flatten
from tests.actors.worlds import driven, one_shard, record_of, undisturbed, with_policy
from tests.learners.worlds import KINDS

TICKS, MARKETS = 40, 3


def shop_with(kind):
    """The shop where both firms learn, each for itself."""
    config = {"kind": kind, "prices": 3, "features": "cheapest", **KINDS[kind]}
    return with_policy("firm_2", config, with_policy("firm_1", config))


def looped(scenario, ticks=TICKS):
    """The memories that the loop in one process comes to, by name."""
    market = scenario.market()
    pool = ParticipantPool.of(market, scenario.policies(), scenario.seed, MARKETS)
    for _ in transitions(
        market, scenario.policies(), seed=scenario.seed, ticks=ticks, markets=MARKETS, pool=pool
    ):
        pass
    return {
        spec.name: [array.tobytes() for array in flatten(memory)]
        for spec, memory in zip(market.specs, pool.memories, strict=True)
    }


def remembered(shard):
    """The memories that the participants of a shard have now, by name."""
    assert shard.supervisor.collect_snapshots()
    return {name: [a.tobytes() for a in s.memory] for name, s in shard.supervisor.snapshots.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_learners_have_the_hash_of_the_loop_over_any_shards_and_hosts(kind):
    scenario = shop_with(kind)
    expected = undisturbed(scenario, 20, MARKETS)
    for count, workers in ((1, 0), (3, 2)):
        made = driven(scenario, 20, MARKETS, count=count, workers=workers)
        assert made.hash == expected and not made.health.counts


@pytest.mark.parametrize("checkpoint", [False, True], ids=["from the start", "from a snapshot"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_killed_at_a_random_tick_ends_with_the_same_table(kind, checkpoint):
    scenario, rng = shop_with(kind), random.Random(f"{kind}{checkpoint}")
    runtime = LocalRuntime()
    shard = one_shard(scenario, runtime, MARKETS)
    shard.start()
    done = 0
    for at in sorted(rng.sample(range(1, TICKS), 2)):
        shard.advance(at - done)
        done = at
        if checkpoint and rng.random() < 0.7:
            shard.supervisor.collect_snapshots()
        runtime.kill(record_of(shard, rng.choice(["firm_1", "firm_2"])).handle)
    progress = shard.advance(TICKS - done)
    assert sum(c.get("restarted", 0) for c in progress.counts.values()) == 2
    assert shard.digest.hexdigest() == undisturbed(scenario, TICKS, MARKETS)
    assert remembered(shard) == looped(scenario)


@dataclass(frozen=True)
class Keeps(Policy):
    """Remembers what it saw in plain Python, in some way; its price follows from that."""

    kind = "keeps"
    atomic = False
    how: str = "list"

    def start(self, spec, batch):
        return {
            "list": [],
            "None": None,
            "dict": {},
            "deque": deque(maxlen=3),
            "int": 0,
            "text": "",
            "tuple": (),
            "scalar": np.float32(0),
        }[self.how]

    def act(self, spec, observation, memory, draws):
        seen = float(observation.sum())
        if self.how in ("list", "deque"):
            memory.append(seen)  # a policy may write to its own
        elif self.how == "dict":
            memory[draws.tick] = seen
        else:
            before = memory if self.how == "None" and memory else 0.0
            memory = {
                "None": seen + before,
                "int": 0.5 * seen,
                "text": str(seen),
                "tuple": (seen, memory),
                "scalar": np.float64(seen),
            }[self.how]
        share = zlib.crc32(repr(memory).encode()) / 2**32
        asked = spec.low + (spec.high - spec.low) * share
        return np.broadcast_to(asked, (len(observation), *spec.action_shape)), memory


HOWS = ["list", "None", "dict", "deque", "int", "text", "tuple", "scalar"]


@pytest.mark.parametrize("at", [1, 7, 12])
@pytest.mark.parametrize("how", HOWS)
def test_a_memory_in_plain_python_survives_a_death_in_whatever_form_it_is(how, at, monkeypatch):
    monkeypatch.setitem(POLICIES, "keeps", Keeps)
    scenario, runtime = with_policy("firm_1", {"kind": "keeps", "how": how}), LocalRuntime()
    shard = one_shard(scenario, runtime, MARKETS)
    shard.start()
    shard.advance(at)
    assert shard.supervisor.collect_snapshots()
    shard.advance(3)
    runtime.kill(record_of(shard, "firm_1").handle)
    counts = shard.advance(17 - at).counts
    assert counts == {"firm_1": {"restarted": 1}}
    assert shard.digest.hexdigest() == undisturbed(scenario, 20, MARKETS)


@dataclass(frozen=True)
class TurnsStrange(Keeps):
    """Remembers numbers at first, and a set later."""

    kind = "turns_strange"

    def act(self, spec, observation, memory, draws):
        action, _ = super().act(spec, observation, None, draws)
        return action, {1} if draws.tick > 3 else 0.0


def test_a_memory_that_becomes_what_cannot_come_back_is_told_with_the_reason(monkeypatch):
    monkeypatch.setitem(POLICIES, "turns_strange", TurnsStrange)
    scenario = with_policy("firm_1", {"kind": "turns_strange", "how": "None"})
    shard = one_shard(scenario, LocalRuntime(), MARKETS)
    shard.start()
    shard.advance(8)
    assert not shard.supervisor.collect_snapshots()
    assert "memory holds a set" in shard.advance(1).reasons["firm_1"]


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("own_cluster")
def test_over_ray_a_killed_learner_ends_with_the_same_table():
    from mos_agents.actors.ray.runtime import RayRuntime

    scenario, runtime = shop_with("sarsa"), RayRuntime()
    shard = one_shard(scenario, runtime, MARKETS)
    try:
        shard.start()
        shard.advance(17)
        victim = record_of(shard, "firm_1").handle
        os.kill(runtime.ask([(victim, "location", ())], 20.0)[0].value[1], signal.SIGKILL)
        progress = shard.advance(TICKS - 17)
        assert progress.counts["firm_1"]["restarted"] == 1
        assert shard.digest.hexdigest() == undisturbed(scenario, TICKS, MARKETS)
        assert remembered(shard) == looped(scenario)
    finally:
        shard.close()
