"""Environments over actors: the same market to the bit, whoever hosts those who play inside."""

import os

import numpy as np
import psutil
import pytest

from envs import auction_v0, market_making_v0, marketplace_v0, retail_v0
from envs.batched import BatchedMarket
from mos_agents import scenarios
from mos_agents.market.types import InputError, QuoteRefused
from mos_agents.policies.base import Policy
from mos_agents.rollout import PolicyFault
from mos_agents.testing import BehaviourSuite, RenderSuite
from mos_agents.testing.environments import same, sample, seeded_sampler
from tests.waiting import eventually


class FailsLater(Policy):
    """The rest of a policy whose `act` fails."""

    kind, atomic = "fails", True

    def __init__(self, how):
        self.how = how

    def start(self, spec, batch):
        return None

    def propensity(self, spec, observation, action, memory):
        return np.ones(len(observation))


CASES = {
    "retail": (retail_v0, {"agents": ["firm_2"], "products": 2}),
    "retail-all": (retail_v0, {"firms": 1, "products": 1}),
    "autos": (retail_v0, {"scenario": "autos_1990"}),
    "makers": (market_making_v0, {"agents": ["maker_1", "maker_3"]}),
    "auction": (auction_v0, {"agents": ["bidder_2"]}),
    "marketplace": (marketplace_v0, {"agents": ["platform", "maker_2", "firm_1"]}),
}


@pytest.mark.parametrize("case", CASES)
class TestOverActorsInThisProcess(BehaviourSuite):
    horizon = 4

    @pytest.fixture(autouse=True)
    def _case(self, case):
        module, settings = CASES[case]
        self.make = lambda **more: module.parallel_env(runtime="actors", **{**settings, **more})


class TestThePictureOverActors(RenderSuite):
    horizon = 4

    def make(self, **settings):
        return retail_v0.parallel_env(runtime="actors", firms=1, products=1, **settings)


def walked(module, **settings):
    """Wanderers and rules inside, so that random numbers and memories have something to do."""
    return module.parallel_env(horizon=10, **settings)


def alike(one, other, seeds=(0, 7, None)):
    """Whether two environments give the same bits over several episodes."""
    draw = seeded_sampler(one)
    for seed in seeds:
        if seed is None:
            first = one.reset()
            second = other.reset(seed=one.episode_seed)
        else:
            first, second = one.reset(seed=seed), other.reset(seed=seed)
        assert same(first, second)
        while one.agents:
            actions = draw()
            assert same(one.step(actions), other.step(actions))
            assert one.state().tobytes() == other.state().tobytes()
        assert other.agents == [] and one.faults == other.faults
    return True


WANDER = {
    "retail": (
        retail_v0,
        {"agents": ["platform"], "products": 2, "policies": {"firm_1": {"kind": "random_walk"}}},
    ),
    "autos": (retail_v0, {"scenario": "autos_1990", "agents": ["honda"]}),
    "makers": (market_making_v0, {"agents": ["maker_2"]}),
    "auction": (auction_v0, {"agents": ["bidder_1"]}),
    "marketplace": (marketplace_v0, {"agents": ["firm_3"]}),
}


@pytest.mark.parametrize("case", WANDER)
def test_actors_in_this_process_give_the_bits_of_the_loop(case):
    module, settings = WANDER[case]
    assert alike(walked(module, **settings), walked(module, runtime="actors", **settings))


def test_a_batch_of_markets_over_actors_has_the_bits_of_the_loop():
    scenario = scenarios.load("market_making")
    one, two = (
        BatchedMarket(scenario, 5, agents=["maker_2"], runtime=runtime)
        for runtime in ("local", "actors")
    )
    assert one.reset(seed=4).tobytes() == two.reset(seed=4).tobytes()
    quotes = np.zeros(one.action_shape)
    quotes[..., 1] = 0.3
    for _ in range(6):
        for a, b in zip(one.step(quotes)[:3], two.step(quotes)[:3], strict=True):
            assert a.tobytes() == b.tobytes()


def test_a_wrong_action_raises_and_nothing_has_happened():
    env, twin = (walked(retail_v0, agents=["firm_1"], runtime="actors") for _ in range(2))
    env.reset(seed=0), twin.reset(seed=0)
    good = sample(env)
    for bad in (
        {},
        {"firm_1": good["firm_1"][:1]},
        {"firm_1": np.nan * good["firm_1"]},
        {"firm_1": -good["firm_1"]},
        {**good, "firm_2": good["firm_1"]},
    ):
        with pytest.raises((QuoteRefused, InputError)):
            env.step(bad)
    assert same(env.step(good), twin.step(good))


def test_what_fails_inside_is_counted_as_in_the_loop():
    rival = {"firm_1": {"kind": "random_walk"}}
    made = {
        runtime: walked(
            retail_v0, agents=["platform"], policies=rival, runtime=runtime, on_fault="hold"
        )
        for runtime in ("local", "actors")
    }
    for env in made.values():
        env._episode.start(0)
    local, acting = made["local"]._episode, made["actors"]._episode
    broken = type("Broken", (), {"act": lambda *_: 1 / 0})()
    local.hosted.policies = tuple(
        broken if spec.name == "firm_1" else policy
        for spec, policy in zip(local.hosted.specs, local.hosted.policies, strict=True)
    )
    hosts = acting._server._workers._runtime._workers
    next(h for h in hosts if "firm_1" in h._of)._of["firm_1"].policy = broken
    actions = np.ones((1, local.market.layout.L, 1))
    for _ in range(3):
        one, two = local.advance(actions.copy()), acting.advance(actions.copy())
        assert one.observation.tobytes() == two.observation.tobytes()
    assert local.faults == acting.faults
    assert [(f.participant, f.decisions) for f in acting.faults] == [("firm_1", 3)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runtime": "threads"}, "runtime='threads' must be one of local, actors, ray"),
        ({"deadline": 1.0}, "only actors in processes of their own can be late"),
        ({"runtime": "actors", "deadline": 1.0}, "deadline=1.0: only actors in processes of their"),
        ({"runtime": "ray", "deadline": -1.0}, "deadline=-1.0 must be > 0"),
    ],
)
def test_a_runtime_that_cannot_be_is_refused_in_one_line(settings, message):
    with pytest.raises(InputError, match=message) as caught:
        retail_v0.parallel_env(**settings)
    assert "\n" not in str(caught.value)


def test_after_close_the_next_reset_begins_anew():
    env = walked(retail_v0, agents=["firm_1"], runtime="actors")
    first = env.reset(seed=0)
    env.close()
    with pytest.raises(InputError, match="closed"):
        env.step(sample(env))
    env.close()
    assert same(first, env.reset(seed=0))


# --- over Ray -------------------------------------------------------------------------------------


def children():
    return {p.pid for p in psutil.Process().children(recursive=True)}


@pytest.fixture(scope="module")
def over_ray(no_other_cluster):
    """Environments over one cluster of their own, which ends with the last."""
    pytest.importorskip("ray")
    before, made = children(), []

    def make(module, **settings):
        made.append(walked(module, runtime="ray", **settings))
        return made[-1]

    import ray

    assert not ray.is_initialized()
    keeper = make(auction_v0, agents=["bidder_1"])
    keeper.reset(seed=0)
    assert children() - before
    yield make
    for env in made:
        env.close()
    assert not ray.is_initialized()
    eventually(lambda: not children() - before, "processes are left")


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("case", ["retail", "makers"])
def test_processes_of_a_cluster_give_the_bits_of_the_loop(case, over_ray):
    module, settings = WANDER[case]
    env = over_ray(module, **settings)
    assert alike(walked(module, **settings), env, seeds=(0, 7))
    with pytest.raises(InputError, match="cannot be copied"):
        __import__("copy").deepcopy(env)


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("how", ["raises", "NaN"])
def test_a_rival_that_fails_in_another_process_ends_the_episode_here(how, over_ray):
    class FailsWhileLocal(
        FailsLater
    ):  # local: it travels by value, as a user's own from a notebook does
        def act(self, spec, observation, memory, draws):
            price = observation[:, spec.where["own_ask"], None]
            if draws.tick < 2:
                return price, memory
            return (price / {}["zero"] if self.how == "raises" else price * float("nan")), memory

    env = over_ray(
        retail_v0,
        agents=["platform"],
        firms=1,
        products=1,
        policies={"firm_1": FailsWhileLocal(how)},
    )
    text = (
        r"KeyError: 'zero' \(test_actor_episode.py:\d+\)"
        if how == "raises"
        else "not a finite number"
    )
    for _ in range(2):
        env.reset(seed=0)
        env.step(sample(env)), env.step(sample(env))
        with pytest.raises(PolicyFault, match=rf"firm_1: its policy failed at tick 2: {text}"):
            env.step(sample(env))
        assert env.agents == []


@pytest.mark.xdist_group("ray")
def test_a_clearing_house_that_dies_is_told_of_and_the_next_episode_has_a_new_one(over_ray):
    import ray

    module, settings = WANDER["retail"]
    env, twin = over_ray(module, **settings), walked(module, **settings)
    env.reset(seed=0)
    _, pid = ray.get(env._episode._server._actor.location.remote())
    assert pid != os.getpid()
    os.kill(pid, 9)
    with pytest.raises(InputError, match=r"clearing house died; reset\(\)"):
        env.step(sample(env))
    assert alike(twin, env, seeds=(3,))
