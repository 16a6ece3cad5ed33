"""Small runs of actors that the tests share: scenarios, participants of every kind, references."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from mos_agents import scenarios
from mos_agents.actors import shard as shard_module
from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.driver import Driver, LocalShards
from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.runtime import Answer, LocalRuntime
from mos_agents.actors.shard import Shard
from mos_agents.policies.base import Policy
from mos_agents.rollout import ParticipantPool, play
from mos_agents.runs.hashing import TrajectoryHash

SHOP = scenarios.preset("retail", firms=2, products=2)
"""A platform and two firms, two products."""

parse = lru_cache(maxsize=64)(shard_module.scenarios.parse)
"""Reading YAML takes longer than a few ticks; a scenario is frozen, so once is enough."""


def with_policy(name, kind, scenario=SHOP, **settings):
    """The scenario with another policy for one of its participants, and settings by path."""
    config = {"kind": kind} if isinstance(kind, str) else kind
    if name == "platform":
        settings["participants__0__policy"] = config
    else:  # firm_1 and firm_2 are dealt theirs in turn
        policies = [*scenario.participants[1].policy]
        policies[int(name.removeprefix("firm_")) - 1] = config
        settings["participants__1__policy"] = policies
    changed = scenarios.dump(scenario)
    data = scenarios.yaml_text.yaml.safe_load(changed)
    for path, value in settings.items():
        *above, last = path.split("__")
        at = data
        for key in above:
            at = at[int(key)] if isinstance(at, list) else at[key]
        at[last] = value
    return scenarios.Scenario.model_validate(data)


def undisturbed(scenario, ticks, markets, seed=None):
    """The hash of the loop in one process, which every run of actors must come to."""
    digest = TrajectoryHash()
    seed = scenario.seed if seed is None else seed
    for step in play(
        scenario.market(), scenario.policies(), seed=seed, ticks=ticks, markets=markets
    ):
        digest.add(step)
    return digest.hexdigest()


def plan_of(scenario, **options):
    options = {"seed": scenario.seed, "recorded": 1} | options
    return ShardPlan(run="a-run", scenario=scenarios.dump(scenario), markets=(0,), **options)


def driver(
    scenario,
    ticks,
    markets,
    shards=None,
    *,
    count=1,
    checkpoint_every=1000,
    died=(),
    restarts=3,
    **options,
):
    """A driver that has not yet begun; `options` are the shard plan's."""
    return Driver(
        shards or LocalShards(),
        plan_of(scenario, **options),
        ticks,
        markets,
        count,
        checkpoint_every=checkpoint_every,
        died=died,
        restarts=restarts,
    )


def driven(scenario, ticks, markets, shards=None, **options):
    """The driver after its run."""
    made = driver(scenario, ticks, markets, shards, **options)
    given = [tick.tick for tick in made.run()]
    assert given == list(range(ticks))
    return made


def one_shard(scenario, runtime, markets=3, **options):
    """A shard of markets 0..markets-1 over a runtime of the test's own."""
    plan = plan_of(scenario, **options)
    return Shard(ShardPlan(**{**plan.__dict__, "markets": tuple(range(markets))}), runtime)


def record_of(shard, name):
    """What the shard's supervisor knows of the worker of one participant."""
    return next(r for r in shard.supervisor.records if name in r.participants)


def with_silence(
    scenario, ticks, markets, silent: Mapping[str, Any], gone: Mapping[str, int] | None = None
):
    """The hash where some participants say nothing at some ticks, and some are withdrawn at one.

    What anybody else may do to its own message must come to this and to nothing else.
    """
    market, digest = scenario.market(), TrajectoryHash()
    pool = ParticipantPool.of(market, scenario.policies(), scenario.seed, markets)
    house = ClearingHouse("reference", market, scenario.seed, np.arange(markets))
    for at in range(ticks):
        for name, when in (gone or {}).items():
            if when == at:
                house.withdraw(name)
        actions = pool.decide(house.observation, house.reward, at)
        for n, name in enumerate(market.layout.participants):
            if at in silent.get(name, ()) or name in house.withdrawn:
                actions[:, market.layout.own(n)] = np.nan
        digest.add(house.clear(at, actions, {}))
    return digest.hexdigest()


# --- participants ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recalls(Policy):
    """Remembers what it saw, in every shape that a memory may have, and acts on it at random."""

    kind = "recalls"
    atomic = False

    def start(self, spec, batch):
        looks, up = np.zeros(batch, np.int32), np.zeros((batch, 2), bool)
        seen = np.zeros((batch, *spec.action_shape))
        return {"seen": seen, "count": 0, "deep": (None, [looks], up)}

    def act(self, spec, observation, memory, draws):
        own = spec.read(observation, "own_ask")[:, :, None]
        seen = 0.7 * memory["seen"] + 0.3 * own
        noise = draws.normals("recalls", own.shape[1])[:, :, None]
        looks = memory["deep"][1][0] + (noise[:, 0, 0] > 0.0).astype(np.int32)
        price = own * np.exp(0.05 * noise) + 0.1 * (seen - own) + 0.01 * looks[:, None, None]
        memory = {
            "seen": seen,
            "count": memory["count"] + 1,
            "deep": (None, [looks], noise[:, 0] > np.array([0.0, 1.0])),
        }
        return np.clip(price, spec.low, spec.high), memory

    def propensity(self, spec, observation, action, memory):
        return np.ones(len(observation))


@dataclass(frozen=True)
class WritesOver(Recalls):
    """As `Recalls`, but it writes into the arrays that it remembers."""

    kind = "writes_over"

    def act(self, spec, observation, memory, draws):
        action, fresh = super().act(spec, observation, memory, draws)
        memory["seen"][...] = fresh["seen"]
        memory["deep"][1][0][...] = fresh["deep"][1][0]
        memory["deep"][2][...] = fresh["deep"][2]
        memory["count"] = fresh["count"]
        return action, memory


@dataclass(frozen=True)
class Stalls(Policy):
    """Sleeps (or loops) for so many seconds at tick `at`, or from it on; holds its price."""

    at: int = 5
    seconds: float = 1e9
    loops: bool = False
    always: bool = False
    kind = "stalls"
    atomic = True

    def start(self, spec, batch):
        return None

    def act(self, spec, observation, memory, draws):
        if draws.tick == self.at or (self.always and draws.tick > self.at):
            until = time.monotonic() + self.seconds
            while time.monotonic() < until:
                if not self.loops:
                    time.sleep(min(self.seconds, 3600.0))
        return spec.read(observation, "own_ask")[:, :, None], memory

    def propensity(self, spec, observation, action, memory):
        return np.ones(len(observation))


PARTICIPANTS = {cls.kind: cls for cls in (Recalls, WritesOver, Stalls)}


# --- a runtime with a liar in it ------------------------------------------------------------------


@dataclass
class Bent(LocalRuntime):
    """Hosts in this process; `bend(answer, verb, arguments)` puts another answer in place of that
    of the workers that hold `names`, at the ticks `when` (None: always)."""

    names: tuple[str, ...] = ()
    bend: Any = None
    verbs: tuple[str, ...] = ("decide",)
    when: Any = None
    started: list[Any] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def start(self, parts, name):
        handle = super().start(parts, name)
        self.started.append(parts)
        return handle

    def ask(self, asks, deadline):
        answers = super().ask(asks, deadline)
        for i, (handle, verb, arguments) in enumerate(asks):
            there = {part[1].name for part in self.started[handle]}
            at = arguments[0][0].tick if verb == "decide" else None
            meant = self.when is None or at is None or at in self.when
            if verb in self.verbs and there & set(self.names) and meant:
                answers[i] = self.bend(answers[i], verb, arguments)
        return answers


def instead(value):
    """A bend that answers something else."""
    return lambda answer, verb, arguments: Answer(value)
