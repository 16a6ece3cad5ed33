"""skrl: PPO with numbers for actions, on a batch of markets as a Gymnasium vector environment.

python -m experiments.clients.skrl_ppo
"""

from __future__ import annotations

from typing import Any

import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.resources.preprocessors.torch import RunningStandardScaler
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn

from experiments.clients import market
from mos_agents.learners import Network, Signature
from mos_agents.training.torch_networks import array_of, layers_of

MARKETS, STEPS = 16, 32


def body(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)
    )


class PriceNetwork(GaussianMixin, Model):
    """Mean prices from a network, spreads of their own; draws are cut to [-1, 1]."""

    def __init__(self, **spaces: Any) -> None:
        Model.__init__(self, **spaces)
        GaussianMixin.__init__(self, clip_actions=True, min_log_std=-20.0, max_log_std=2.0)
        self.net = body(self.num_observations, self.num_actions)
        self.log_std = nn.Parameter(torch.full((self.num_actions,), -0.5))

    def compute(self, inputs: Any, role: str = "") -> Any:
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class ValueNetwork(DeterministicMixin, Model):
    def __init__(self, **spaces: Any) -> None:
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = body(self.num_observations, 1)

    def compute(self, inputs: Any, role: str = "") -> Any:
        return self.net(inputs["observations"]), {}


def main(iterations: int = 60, seed: int = 0) -> market.TrainingResult:
    """Train so many iterations of STEPS ticks of MARKETS markets; what came of it."""
    torch.set_num_threads(1)
    set_seed(seed)
    env = wrap_env(market.vector("continuous", MARKETS), verbose=False)
    spaces = {
        "observation_space": env.observation_space,
        "action_space": env.action_space,
        "device": env.device,
    }
    policy, scaler = PriceNetwork(**spaces), {"size": env.observation_space, "device": env.device}
    agent = PPO(
        models={"policy": policy, "value": ValueNetwork(**spaces)},
        **spaces,
        memory=RandomMemory(memory_size=STEPS, num_envs=MARKETS, device=env.device),
        cfg=PPO_CFG(
            rollouts=STEPS,
            learning_epochs=10,
            mini_batches=4,
            discount_factor=0.9,
            observation_preprocessor=RunningStandardScaler,
            observation_preprocessor_kwargs=scaler,
            experiment={"write_interval": 0, "checkpoint_interval": 0},
        ),
    )
    seen = agent._observation_preprocessor

    def act(observations: Any, greedy: bool = False) -> Any:
        with torch.no_grad():
            inputs = {"observations": seen(torch.as_tensor(observations))}
            action, outputs = policy.act(inputs, role="policy")
        return (outputs["mean_actions"].clamp(-1.0, 1.0) if greedy else action).numpy()

    before = market.reward(act, "continuous")
    trainer = {
        "timesteps": iterations * STEPS,
        "headless": True,
        "disable_progressbar": True,
        "close_environment_at_exit": False,
    }
    SequentialTrainer(cfg=trainer, env=env, agents=agent).train()
    single = market.single("continuous")
    network = Network(
        Signature.of(single.participant),
        layers_of(policy.net),
        single.choice.head(log_std=array_of(policy.log_std)),
        shift=array_of(seen.running_mean),
        scale=array_of(seen.running_variance.sqrt()) + 1e-8,
        clip=seen.clip_threshold,
        provenance={"library": "skrl", "algo": "PPO"},
    )
    return market.TrainingResult(
        "skrl PPO, continuous",
        before,
        market.reward(act, "continuous"),
        market.reward(lambda rows: act(rows, greedy=True), "continuous"),
        market.optimum(single),
        network,
    )


if __name__ == "__main__":
    print(main())
