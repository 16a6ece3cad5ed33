"""Stable-Baselines3: PPO on one participant or two, as a Gymnasium environment or by SuperSuit.

    python -m experiments.clients.sb3

SuperSuit turns a PettingZoo environment, its agents alike, into SB3's vectorised one: all agents
share a policy then. What was trained comes back as a `Network`, which plays in any rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import supersuit
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from experiments.clients import market
from mos_agents.learners import Network, Signature
from mos_agents.training.torch_networks import array_of, layers_of

COPIES, STEPS = 8, 64


def single_agent(actions: str) -> VecEnv:
    """Copies of the market, side by side in one process."""
    return DummyVecEnv([lambda: market.single(actions) for _ in range(COPIES)])


def through_supersuit(actions: str, learners: Sequence[str] = (market.LEARNER,)) -> VecEnv:
    """The same from the PettingZoo environment: a row for each agent of each copy."""
    env = supersuit.pettingzoo_env_to_vec_env_v1(market.parallel(actions, learners))
    return supersuit.concat_vec_envs_v1(env, COPIES, num_cpus=1, base_class="stable_baselines3")


def network(model: PPO, seen: VecNormalize, actions: str) -> Network:
    """A trained PPO policy as plain numbers."""
    env, policy = market.single(actions), model.policy
    log_std = None if actions == "discrete" else array_of(policy.log_std)
    return Network(
        Signature.of(env.participant),
        layers_of(policy.mlp_extractor.policy_net, policy.action_net),
        env.choice.head(log_std=log_std),
        shift=seen.obs_rms.mean,
        scale=np.sqrt(seen.obs_rms.var + seen.epsilon),
        clip=seen.clip_obs,
        provenance={"library": "stable_baselines3", "algo": "PPO"},
    )


def begun(make: Callable[[], VecEnv], seed: int) -> tuple[Any, VecNormalize, Any]:
    """PPO that has learnt nothing, the environments it learns in, and how it acts."""
    torch.set_num_threads(1)
    set_random_seed(seed)  # `PPO(seed=...)` asks the environment too, and SuperSuit's has no answer
    envs = VecNormalize(make(), norm_reward=False)
    model: Any = PPO(
        "MlpPolicy", envs, n_steps=STEPS, gamma=0.9, ent_coef=0.001, learning_rate=1e-3
    )

    def act(seen: Any, greedy: bool = False) -> Any:
        rows = envs.normalize_obs(seen.reshape(-1, seen.shape[-1]))
        chosen = model.predict(rows, deterministic=greedy)[0]
        return chosen.reshape(*seen.shape[:-1], *chosen.shape[1:])

    return model, envs, act


def main(
    iterations: int = 20, seed: int = 0, actions: str = "discrete", supersuited: bool = False
) -> market.TrainingResult:
    """Train so many iterations of COPIES x STEPS ticks; what came of it."""
    make = through_supersuit if supersuited else single_agent
    model, envs, act = begun(lambda: make(actions), seed)
    before = market.reward(act, actions)
    model.learn(iterations * COPIES * STEPS)
    envs.training = False
    return market.TrainingResult(
        f"SB3 PPO, {actions}{', through SuperSuit' if supersuited else ''}",
        before,
        market.reward(act, actions),
        market.reward(lambda seen: act(seen, greedy=True), actions),
        market.optimum(market.single(actions)),
        network(model, envs, actions),
    )


def both(iterations: int = 25, seed: int = 0) -> market.JointTrainingResult:
    """Two firms who learn one policy at once, from the rows of both."""
    model, envs, act = begun(lambda: through_supersuit("discrete", market.BOTH), seed)
    before = market.reward_of_both(act)
    model.learn(iterations * COPIES * STEPS * len(market.BOTH))
    envs.training = False
    shared = network(model, envs, "discrete")
    return market.JointTrainingResult(
        "SB3 PPO, both firms through SuperSuit",
        before,
        market.reward_of_both(act),
        market.reward_of_both(lambda seen: act(seen, greedy=True)),
        market.nash(),
        dict.fromkeys(market.BOTH, shared),
    )


if __name__ == "__main__":
    print(main())
    print(main(actions="continuous"))
    print(main(supersuited=True))
    print(both())
