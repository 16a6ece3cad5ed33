"""RLlib's learners, fed with fragments instead of episodes.

RLlib turns episodes into a batch by a pipeline of connectors, episode after episode. From fragments
the same batch is a handful of array operations; everything after it (losses, optimisers, target
networks) is RLlib's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.algorithms.appo.torch.appo_torch_learner import APPOTorchLearner
from ray.rllib.algorithms.dqn.torch.dqn_torch_learner import DQNTorchLearner
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.algorithms.sac.torch.sac_torch_learner import SACTorchLearner
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from mos_agents.runs.files import RunError
from mos_agents.training.fragments import Fragment, PolicyFragment, Transitions, until_next

Columns = dict[str, NDArray[Any]]


class _FromArrays:
    """Makes the batch of an update itself where it is given fragments or transitions."""

    config: Any
    module: Any
    _device: Any

    def _make_batch_if_necessary(self, training_data: Any) -> Any:
        given = training_data.episodes
        if not given or not isinstance(given[0], Fragment | Transitions):
            return super()._make_batch_if_necessary(training_data)  # type: ignore[misc]
        names = list(given[0].policies)
        columns = {
            name: self.columns(name, [one.policies[name] for one in given]) for name in names
        }
        return MultiAgentBatch(
            {
                name: SampleBatch({k: torch.tensor(v).to(self._device) for k, v in own.items()})
                for name, own in columns.items()
            },
            env_steps=sum(len(one) for one in given),
        )

    def columns(self, name: str, parts: Sequence[Any]) -> Columns:
        """The columns that the policy's loss asks for."""
        raise NotImplementedError

    def extra_state(self) -> dict[str, Any]:
        """What RLlib's own state of a learner leaves out."""
        found: dict[str, Any] = {}
        for name, key in EXTRA.items():
            kept = getattr(self, name, None)
            if kept:
                found[key] = {k: _numbers(v) for k, v in kept.items()}
        return found

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        for name, key in EXTRA.items():
            for policy, value in state.get(key, {}).items():
                held = getattr(self, name)[policy]
                if isinstance(held, torch.Tensor):
                    held.data.copy_(torch.as_tensor(value).reshape(held.shape))
                else:
                    getattr(self, name)[policy] = value


EXTRA = {
    "curr_log_alpha": "log_alpha",  # SAC's temperature
    "last_update_ts_by_mid": "target_updated",  # when DQN's target network was last renewed
    "curr_kl_coeffs_per_module": "kl_coeff",
}


def _numbers(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else int(value)


class PPOFromArrays(_FromArrays, PPOTorchLearner):  # type: ignore[misc]
    """PPO: advantages by generalised advantage estimation (Schulman et al. 2016, equation 16)."""

    def columns(self, name: str, parts: Sequence[PolicyFragment]) -> Columns:
        config = self.config.get_config_for_module(name)
        advantages, targets, learnt = [], [], []
        for part in parts:
            values = self.values(name, part.observations)
            if part.own is None:
                found = estimated(part.rewards, values, config.gamma, config.lambda_)
                over = np.ones(found.shape, np.bool_)
            else:
                found, over = estimated_in_turn(
                    part.rewards, values, part.own, config.gamma, config.lambda_
                )
            advantages.append(found[over])
            targets.append(found[over] + values[:-1][over])
            learnt.append(over)
        joined = np.concatenate(advantages)
        if not joined.size:
            raise RunError(f"{name}: nobody has moved twice; train with more ticks or markets")
        joined = (joined - joined.mean()) / max(1e-4, float(joined.std()))

        def all_of(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([a[over] for a, over in zip(arrays, learnt, strict=True)])

        return {
            "obs": all_of(part.observations[:-1] for part in parts),
            "actions": all_of(part.actions for part in parts),
            "action_logp": all_of(part.log_chance for part in parts),
            "action_dist_inputs": all_of(part.outputs for part in parts),
            "advantages": joined,
            "value_targets": np.concatenate(targets),
        }

    def values(self, name: str, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """[T + 1, R] the critic's values of observations [T + 1, R, D]."""
        rows = torch.tensor(observations.reshape(-1, observations.shape[-1])).to(self._device)
        with torch.no_grad():
            found = self.module[name].unwrapped().compute_values({"obs": rows})
        values: NDArray[np.float32] = found.cpu().numpy().reshape(observations.shape[:2])
        return values


class APPOFromArrays(_FromArrays, APPOTorchLearner):  # type: ignore[misc]
    """APPO: rows of ticks one after another, each with one more that holds the last observation.

    V-trace runs along them; the mask ends it at the extra one.
    """

    def columns(self, name: str, parts: Sequence[PolicyFragment]) -> Columns:
        return {
            "obs": in_rows(part.observations for part in parts),
            "actions": in_rows(_extended(part.actions) for part in parts),
            "rewards": in_rows(_extended(part.rewards, 0.0) for part in parts),
            "action_logp": in_rows(_extended(part.log_chance) for part in parts),
            "action_dist_inputs": in_rows(_extended(part.outputs) for part in parts),
            "terminateds": in_rows(np.zeros(p.observations.shape[:2], np.bool_) for p in parts),
            "loss_mask": in_rows(
                _extended(np.ones(part.rewards.shape, np.bool_), False) for part in parts
            ),
        }


class DQNFromArrays(_FromArrays, DQNTorchLearner):  # type: ignore[misc]
    """DQN, from transitions drawn from the memory."""

    def columns(self, name: str, parts: Sequence[Mapping[str, Any]]) -> Columns:
        return dict(parts[0])


class SACFromArrays(_FromArrays, SACTorchLearner):  # type: ignore[misc]
    """SAC, from transitions drawn from the memory."""

    def columns(self, name: str, parts: Sequence[Mapping[str, Any]]) -> Columns:
        return dict(parts[0])


def estimated(
    rewards: NDArray[np.float32], values: NDArray[np.float32], gamma: float, lambda_: float
) -> NDArray[np.float32]:
    """[T, R] advantages; `values` [T + 1, R] carries on beyond the last tick."""
    delta = rewards + gamma * values[1:] - values[:-1]
    advantages = np.empty_like(delta)
    last = np.zeros(delta.shape[1], delta.dtype)
    for t in range(len(delta) - 1, -1, -1):
        last = delta[t] + gamma * lambda_ * last
        advantages[t] = last
    return advantages


def estimated_in_turn(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    own: NDArray[np.bool_],
    gamma: float,
    lambda_: float,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """[T, R] advantages of own moves, and which of them are over: a step goes from one own move to
    the next, so that nothing is learnt from ticks at which nothing was decided."""
    earned, ticks, sight = until_next(rewards, own, gamma)
    discount = (gamma**ticks).astype(rewards.dtype)
    advantages, over = np.zeros_like(rewards), own & sight
    value, last = np.zeros_like(rewards[0]), np.zeros_like(rewards[0])
    for t in range(len(rewards) - 1, -1, -1):
        delta = earned[t] + discount[t] * value - values[t]
        found = np.where(over[t], delta + discount[t] * lambda_ * last, 0.0).astype(rewards.dtype)
        advantages[t] = found
        value, last = np.where(own[t], values[t], value), np.where(own[t], found, last)
    return advantages, over


def in_rows(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """[n, ...] all of [T, R, ...], row after row."""
    return np.concatenate([part.swapaxes(0, 1).reshape(-1, *part.shape[2:]) for part in parts])


def _extended(array: NDArray[Any], last: Any = None) -> NDArray[Any]:
    """One tick more: the last one again, or a value."""
    more = array[-1:] if last is None else np.full_like(array[-1:], last)
    return np.concatenate([array, more])
