"""Tianshou: DQN on one participant as a Gymnasium environment, and on two as a PettingZoo one.

python -m experiments.clients.tianshou_dqn

Tianshou's own wrapper takes PettingZoo's interface in turns, in which a tick of the market is one
step for each agent, and rewards come with the last one's. An agent's return therefore looks as many
steps ahead as there are agents: to its own next turn.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from pettingzoo.utils.conversions import parallel_to_aec
from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.multiagent.marl import MultiAgentOffPolicyAlgorithm
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Batch, Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv, PettingZooEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

from experiments.clients import market
from mos_agents.learners import Network, Signature
from mos_agents.training.torch_networks import layers_of

COPIES, STEPS, EPSILON = 8, 512, 0.3


def main(iterations: int = 20, seed: int = 0) -> market.TrainingResult:
    """Train so many iterations of STEPS ticks, over COPIES markets; what came of it."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Tianshou explores with numpy's global generator
    envs, single = DummyVectorEnv([market.single] * COPIES), market.single()
    space = single.action_space
    net = Net(state_shape=(single.participant.size,), action_shape=space.n, hidden_sizes=(64, 64))
    policy: Any = DiscreteQLearningPolicy(
        model=net,
        action_space=space,
        observation_space=single.observation_space,
        eps_training=EPSILON,
    )
    dqn = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), gamma=0.9, target_update_freq=100)

    def act(seen: Any, greedy: bool = False) -> Any:
        with torch.no_grad():
            levels = policy(Batch(obs=seen, info={})).act
        tries = np.random.random(len(levels)) < (0.0 if greedy else EPSILON)  # noqa: NPY002
        return np.where(tries, np.random.randint(0, space.n, len(levels)), levels)  # noqa: NPY002

    before = market.reward(act)
    collector = Collector[Any](
        dqn, envs, VectorReplayBuffer(20_000, COPIES), exploration_noise=True
    )
    collector.reset()
    dqn.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            max_epochs=iterations,
            epoch_num_steps=STEPS,
            collection_step_num_env_steps=COPIES * 8,
            update_step_num_gradient_steps_per_sample=0.25,
            batch_size=128,
            test_in_training=False,
            verbose=False,
            show_progress=sys.stdout.isatty(),
        )
    )
    network = Network(
        Signature.of(single.participant),
        layers_of(*net.model.model),
        single.choice.head(values=True),
        provenance={"library": "tianshou", "algo": "DQN"},
    )
    return market.TrainingResult(
        "Tianshou DQN, discrete",
        before,
        market.reward(act),
        market.reward(lambda seen: act(seen, greedy=True)),
        market.optimum(single),
        network,
    )


def wrapped() -> PettingZooEnv:
    """The market, both of whose sellers learn, as Tianshou has environments of several agents."""
    return PettingZooEnv(parallel_to_aec(market.parallel(learners=market.BOTH)))


def both(iterations: int = 10, seed: int = 0) -> market.JointTrainingResult:
    """The same of two firms who learn at once, each with a network of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Tianshou explores with numpy's global generator
    agents, single, env = len(market.BOTH), market.single(), wrapped()
    space = single.action_space
    nets = [
        Net(state_shape=(single.participant.size,), action_shape=space.n, hidden_sizes=(64, 64))
        for _ in range(agents)
    ]
    policies: list[Any] = [
        DiscreteQLearningPolicy(
            model=net,
            action_space=space,
            observation_space=single.observation_space,
            eps_training=EPSILON,
        )
        for net in nets
    ]
    learners: Any = MultiAgentOffPolicyAlgorithm(
        algorithms=[
            DQN(
                policy=policy,
                optim=AdamOptimizerFactory(lr=1e-3),
                gamma=0.9 ** (1 / agents),
                n_step_return_horizon=agents,
                target_update_freq=100,
            )
            for policy in policies
        ],
        env=env,
    )

    def act(seen: Any, greedy: bool = False) -> Any:
        with torch.no_grad():
            chosen = [p(Batch(obs=seen[:, n], info={})).act for n, p in enumerate(policies)]
        levels = np.stack(chosen, axis=1)
        tries = np.random.random(levels.shape) < (0.0 if greedy else EPSILON)  # noqa: NPY002
        return np.where(tries, np.random.randint(0, space.n, levels.shape), levels)  # noqa: NPY002

    before = market.reward_of_both(act)
    collector = Collector[Any](
        learners,
        DummyVectorEnv([wrapped] * COPIES),
        VectorReplayBuffer(20_000, COPIES),
        exploration_noise=True,
    )
    collector.reset()
    learners.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            max_epochs=iterations,
            epoch_num_steps=STEPS * agents,
            collection_step_num_env_steps=COPIES * 8 * agents,
            update_step_num_gradient_steps_per_sample=0.25 / agents,
            batch_size=128 * agents,
            test_in_training=False,
            verbose=False,
            show_progress=sys.stdout.isatty(),
        )
    )
    networks = {
        name: Network(
            Signature.of(env.env.unwrapped.market.spec(name)),
            layers_of(*net.model.model),
            single.choice.head(values=True),
            provenance={"library": "tianshou", "algo": "DQN"},
        )
        for name, net in zip(market.BOTH, nets, strict=True)
    }
    return market.JointTrainingResult(
        "Tianshou DQN, both firms",
        before,
        market.reward_of_both(act),
        market.reward_of_both(lambda seen: act(seen, greedy=True)),
        market.nash(),
        networks,
    )


if __name__ == "__main__":
    print(main())
    print(both())
