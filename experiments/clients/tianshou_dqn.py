"""Tianshou: DQN on one participant as a Gymnasium environment.

python -m experiments.clients.tianshou_dqn
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Batch, Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

from experiments.clients import market
from mos_agents.learners import Network, Signature
from mos_agents.training.torch_layers import layers_of

COPIES, STEPS, EPSILON = 8, 512, 0.3


def main(iterations: int = 20, seed: int = 0) -> market.Learnt:
    """Train so many iterations of STEPS ticks, over COPIES markets; what came of it."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Tianshou explores with numpy's global generator
    envs, single = DummyVectorEnv([market.single] * COPIES), market.single()
    space = single.action_space
    net = Net(state_shape=(single.seat.size,), action_shape=space.n, hidden_sizes=(64, 64))
    policy: Any = DiscreteQLearningPolicy(
        model=net, action_space=space, observation_space=single.observation_space,
        eps_training=EPSILON,
    )  # fmt: skip
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
    dqn.run_training(OffPolicyTrainerParams(
        training_collector=collector, max_epochs=iterations, epoch_num_steps=STEPS,
        collection_step_num_env_steps=COPIES * 8, update_step_num_gradient_steps_per_sample=0.25,
        batch_size=128, test_in_training=False, verbose=False, show_progress=sys.stdout.isatty(),
    ))  # fmt: skip
    network = Network(
        Signature.of(single.seat), layers_of(*net.model.model), single.choice.head(values=True),
        provenance={"library": "tianshou", "algo": "DQN"},
    )  # fmt: skip
    return market.Learnt(
        "Tianshou DQN, discrete", before, market.reward(act),
        market.reward(lambda seen: act(seen, greedy=True)), market.optimum(single), network,
    )  # fmt: skip


if __name__ == "__main__":
    print(main())
