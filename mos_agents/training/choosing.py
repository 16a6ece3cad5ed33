"""From a network's last numbers to what is done: draws, their log chances, and the best choice.

Draws come from uniforms handed in, so that random numbers have addresses as everywhere. Rows R
are the agents of a policy in all markets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.special import ndtri

from mos_agents.market.types import Array
from mos_agents.policies.base import uniform_choice
from mos_agents.training.assignment import PolicyAssignment

Numbers32 = NDArray[np.float32]
HALF_STEP = 2.0**-54
"""Keeps the normal quantile of a uniform finite."""


class Chooser(Protocol):
    """How one policy chooses.

    space: of the actions that RLlib's modules learn from. draws: uniforms needed for a choice.
    """

    @property
    def space(self) -> spaces.Space[Any]: ...
    @property
    def draws(self) -> int: ...

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        """[R, ...] actions drawn from outputs [R, K]."""

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        """[R, ...] actions without exploring."""

    def log_chance(self, outputs: Numbers32, actions: NDArray[Any]) -> Numbers32:
        """[n] log probability or density of actions [n, ...] under outputs [n, K]."""

    def placed(self, actions: NDArray[Any]) -> NDArray[Any]:
        """What the market takes: levels [R, L_n] or numbers [R, L_n, A]."""


@dataclass(frozen=True, eq=False)
class Levels:
    """A logit for each level of each listing."""

    policy: PolicyAssignment

    @property
    def space(self) -> spaces.Space[Any]:
        count = self.policy.levels
        if self.policy.listings == 1:
            return spaces.Discrete(count)
        return spaces.MultiDiscrete(np.full(self.policy.listings, count))

    @property
    def draws(self) -> int:
        return self.policy.listings

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        until = _chances(self._split(outputs)).cumsum(axis=-1)
        passed = until <= uniforms[:, :, None] * until[:, :, -1:]
        return self._shaped(np.minimum(passed.sum(axis=-1), self.policy.levels - 1))

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        return self._shaped(self._split(outputs).argmax(axis=-1))

    def log_chance(self, outputs: Numbers32, actions: NDArray[Any]) -> Numbers32:
        logits = self._split(outputs)
        logits = logits - logits.max(axis=-1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        chosen = np.take_along_axis(logs, actions.reshape(len(actions), -1, 1), axis=-1)
        total: Numbers32 = chosen[:, :, 0].sum(axis=-1).astype(np.float32)
        return total

    def placed(self, actions: NDArray[Any]) -> NDArray[Any]:
        return actions.reshape(len(actions), -1)

    def _split(self, outputs: Numbers32) -> Array:
        shape = (len(outputs), self.policy.listings, self.policy.levels)
        wide: Array = outputs.astype(np.float64).reshape(shape)
        return wide

    def _shaped(self, levels: NDArray[Any]) -> NDArray[Any]:
        return levels[:, 0] if self.policy.listings == 1 else levels


@dataclass(frozen=True, eq=False)
class Worths(Levels):
    """A worth for each level of the one listing; any level is tried with chance `epsilon`."""

    epsilon: float = 0.0

    @property
    def draws(self) -> int:
        return 2

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        tried = uniform_choice(uniforms[:, 1], self.policy.levels)
        chosen: NDArray[Any] = np.where(uniforms[:, 0] < self.epsilon, tried, self.best(outputs))
        return chosen


@dataclass(frozen=True, eq=False)
class Normals:
    """Means and log standard deviations, on a scale on which bounds are -1 and 1.

    Beyond the bounds a draw is cut for the market; what is learnt from is the draw itself.
    """

    policy: PolicyAssignment

    @property
    def space(self) -> spaces.Space[Any]:
        return spaces.Box(-1.0, 1.0, (self.draws,), np.float32)

    @property
    def draws(self) -> int:
        return int(self.policy.low.size)

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=-1)
        drawn = mean + np.exp(log_std) * ndtri(np.maximum(uniforms, HALF_STEP))
        return drawn.astype(np.float32)

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        return outputs[:, : self.draws]

    def log_chance(self, outputs: Numbers32, actions: NDArray[Any]) -> Numbers32:
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=-1)
        z = (actions - mean) / np.exp(log_std)
        logs = -0.5 * z * z - log_std - 0.5 * np.log(2.0 * np.pi)
        total: Numbers32 = logs.sum(axis=-1).astype(np.float32)
        return total

    def placed(self, actions: NDArray[Any]) -> NDArray[Any]:
        return self.policy.placed(actions.astype(np.float64))


@dataclass(frozen=True, eq=False)
class Squashed(Normals):
    """The same through tanh, as SAC has it; RLlib cuts its log standard deviations."""

    log_std_range: tuple[float, float] = (-5.0, 2.0)

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=-1)
        std = np.exp(np.clip(log_std, *self.log_std_range))
        return np.tanh(mean + std * ndtri(np.maximum(uniforms, HALF_STEP))).astype(np.float32)

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        squashed: NDArray[Any] = np.tanh(outputs[:, : self.draws])
        return squashed


def chooser(algo: str, policy: PolicyAssignment, epsilon: float = 0.0) -> Chooser:
    """How an algorithm's policy chooses."""
    if algo == "dqn":
        return Worths(policy, epsilon)
    if policy.grid is not None:
        return Levels(policy)
    return Squashed(policy) if algo == "sac" else Normals(policy)


def _chances(logits: Array) -> Array:
    weights: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights
