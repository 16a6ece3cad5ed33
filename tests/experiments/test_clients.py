"""Other libraries learn on the easy market, and what they learnt plays the same as a policy here.

Chance does not reach the margins: who draws any of the 15 prices earns .115 a tick on average over
hundreds of draws, .319 being the optimum, and one price in 15 comes within 2% of it.
"""

import importlib

import numpy as np
import pytest

from mos_agents.learners import TrainedNetwork
from mos_agents.market.equilibrium import benchmarks, stage_profits
from mos_agents.rollout import rollout

pytestmark = pytest.mark.train

CLIENTS = {
    "SB3": ("sb3", {"iterations": 15}),
    "SB3 through SuperSuit": ("sb3", {"iterations": 15, "supersuited": True}),
    "skrl": ("skrl_ppo", {"iterations": 40}),
    "Tianshou": ("tianshou_dqn", {"iterations": 8}),
    "TorchRL": ("torchrl_ppo", {"iterations": 10}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_learns_the_best_response_and_its_network_plays_it(client):
    from experiments.clients import market

    name, settings = CLIENTS[client]
    found = importlib.import_module(f"experiments.clients.{name}").main(seed=0, **settings)
    assert found.before < 0.5 * found.optimum
    assert found.after > 0.75 * found.optimum
    assert found.greedy > 0.98 * found.optimum
    one_market = market.scenario()
    policies = one_market.policies() | {market.LEARNER: TrainedNetwork.of(found.network)}
    played = rollout(one_market.market(), policies, seed=1, markets=16)
    assert played.faults == ()
    assert played.reward[:, 0].mean() / market.TICKS == pytest.approx(found.greedy, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("client", "share"), [("sb3", 0.2), ("torchrl_ppo", 0.4)])
def test_two_firms_who_learn_at_once_come_near_to_bertrand_nash_and_their_networks_play_it(
    client, share
):
    """share: of the distance at random play. With seeds 0 to 2, SB3 leaves .08 of it at most, and
    TorchRL .24; .45 are left where SB3 has met nobody but a rival who keeps its price."""
    from experiments.clients import market

    found = importlib.import_module(f"experiments.clients.{client}").both(seed=0)
    nash = benchmarks(market.scenario().market()).nash.profits.mean()
    assert found.nash == pytest.approx(nash)
    at_random = abs(found.before - nash)
    assert at_random > 0.25 * nash
    assert abs(found.after - nash) < share * at_random
    assert abs(found.greedy - nash) < share * at_random
    policies = {name: TrainedNetwork.of(one) for name, one in found.networks.items()}
    played = rollout(market.scenario().market(), policies, seed=1, markets=16)
    assert played.faults == ()
    assert played.reward.mean() / market.TICKS == pytest.approx(found.greedy, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_two_firms_learn_through_tianshous_own_wrapper_and_their_networks_play_it():
    """Where two learn what each other's trial and error pays, there is no one figure to reach."""
    from experiments.clients import market, tianshou_dqn

    message, other = (tianshou_dqn.both(seed=0, iterations=2) for _ in range(2))
    assert (message.before, message.after, message.greedy) == (
        other.before,
        other.after,
        other.greedy,
    )
    assert message.after != message.before
    policies = {name: TrainedNetwork.of(one) for name, one in message.networks.items()}
    played = rollout(market.scenario().market(), policies, seed=1, markets=16)
    assert played.faults == ()
    assert played.reward.mean() / market.TICKS == pytest.approx(message.greedy, rel=1e-4)
    first, second = (message.networks[name].layers[0].weights for name in market.BOTH)
    assert not np.array_equal(first, second)  # a network each


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "module", ["retail_v0", "market_making_v0", "auction_v0", "marketplace_v0"]
)
def test_tianshous_buffer_has_no_holes_where_infos_are_kept(module):
    """Its trainers stop at holes: every info must have the entries of every other."""
    from pettingzoo.utils.conversions import parallel_to_aec
    from tianshou.algorithm.multiagent.marl import MultiAgentOffPolicyAlgorithm
    from tianshou.algorithm.random import MARLRandomDiscreteMaskedOffPolicyAlgorithm
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv, PettingZooEnv

    settings = {
        "retail_v0": {"firms": 1, "products": 1},
        "market_making_v0": {"makers": 2, "assets": 1},
        "auction_v0": {"bidders": 3},
        # Tianshou takes agents of the same spaces: one role.
        "marketplace_v0": {"goods": 1, "agents": ["maker_1", "maker_2"]},
    }[module]
    made = importlib.import_module(f"envs.{module}").parallel_env

    def make():
        env = made(actions="discrete", levels=5, horizon=20, **settings)
        return PettingZooEnv(parallel_to_aec(env))

    one = make()
    players = [
        MARLRandomDiscreteMaskedOffPolicyAlgorithm(action_space=one.action_space)
        for _ in one.agents
    ]
    collector = Collector(
        MultiAgentOffPolicyAlgorithm(algorithms=players, env=one),
        DummyVectorEnv([make, make]),
        VectorReplayBuffer(600, 2),
    )
    collector.reset()
    collector.collect(n_step=150)
    assert len(collector.buffer) == 150 and not collector.buffer.hasnull()
    kept = collector.buffer[:].info
    assert kept.reward_terms.pnl.dtype == float and set(kept.refused) == {""}
    assert kept.true_demand.shape == (150, 1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["copied with a seed", "copied without", "numbered"])
def test_copies_of_a_seeded_environment_differ_as_the_page_says(how):
    """The way that the page on clients shows, beside what SuperSuit does by itself."""
    import supersuit
    from supersuit.vector import ConcatVecEnv
    from supersuit.vector.sb3_vector_wrapper import SB3VecEnvWrapper

    from envs import market_making_v0

    def vectorised(**settings):
        env = market_making_v0.parallel_env(
            makers=3, assets=1, actions="discrete", levels=5, horizon=8, dtype="float32", **settings
        )
        return supersuit.pettingzoo_env_to_vec_env_v1(env)

    def distinct():
        if how == "numbered":
            makers = [lambda i=i: vectorised(seed=0, number=i) for i in range(4)]
            envs = SB3VecEnvWrapper(ConcatVecEnv(makers))
        else:
            settings = {"seed": 0} if how == "copied with a seed" else {}
            envs = supersuit.concat_vec_envs_v1(
                vectorised(**settings), 4, num_cpus=1, base_class="stable_baselines3"
            )
        envs.reset()
        steps = [envs.step(np.zeros(envs.num_envs, int))[1] for _ in range(24)]
        return np.array([rewards.reshape(4, -1)[:, 0] for rewards in steps]).T

    paths = distinct()
    assert len({tuple(path) for path in paths}) == (1 if how == "copied with a seed" else 4)
    assert np.array_equal(paths, distinct()) == (how != "copied without")


@pytest.mark.filterwarnings("ignore")
def test_a_client_sees_a_row_for_each_who_learns_and_each_earns_its_own():
    import torch

    from experiments.clients import market, sb3, torchrl_ppo

    dear, fair = 14, 4  # levels: twice the price of Nash, and that price
    prices = market.single().choice.table[0, [dear, fair], 0]
    low, high = stage_profits(market.scenario().market(), prices[None])[0]
    envs = sb3.through_supersuit("discrete", market.BOTH)
    assert envs.num_envs == sb3.COPIES * 2
    assert np.isfinite(envs.reset()).all()
    _, earned, _, _ = envs.step(np.array([dear, fair] * sb3.COPIES))
    assert earned == pytest.approx(np.array([low, high] * sb3.COPIES), rel=1e-5)

    env = torchrl_ppo.wrapped(market.BOTH)
    assert env.group_map == {"firm": ["firm_1", "firm_2"]}
    begun = env.reset()
    begun["firm", "action"] = torch.tensor([dear, fair])
    earned = env.step(begun)["next", "firm", "reward"].flatten().tolist()
    assert earned == pytest.approx([low, high], rel=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("actions", ("discrete", "continuous"))
def test_an_sb3_policy_plays_in_a_rollout_what_sb3_predicts(actions):
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecNormalize

    from experiments.clients import market, sb3

    seen = VecNormalize(sb3.single_agent(actions), norm_reward=False)
    model = PPO("MlpPolicy", seen, n_steps=32, seed=3)
    model.learn(512)
    with torch.no_grad():  # away from the nearly constant policy that training begins with
        model.policy.action_net.weight.mul_(30.0 if actions == "discrete" else 5.0)
        model.policy.action_net.bias.zero_()
    network = sb3.network(model, seen, actions)
    one_market, env = market.scenario(), market.single(actions)
    policies = one_market.policies() | {market.LEARNER: TrainedNetwork.of(network)}
    played = rollout(one_market.market(), policies, seed=4, series=("action",))
    observation, _ = env.reset(seed=4)
    chosen = set()
    for at in range(market.TICKS):
        action, _ = model.predict(seen.normalize_obs(observation), deterministic=True)
        observation, *_ = env.step(action)
        quoted = env.market_env._actions[0, 0, 0]
        assert played.series["action"][at, 0, 0, 0] == pytest.approx(quoted, rel=1e-5)
        chosen.add(float(np.round(quoted, 3)))
    assert len(chosen) > 1  # the policy looks at what it sees
