"""The memory of DQN and SAC: transitions of all markets in flat arrays, drawn evenly.

RLlib's buffers keep episodes and make an object of every transition drawn; here a draw is one
indexing per array. All policies were there at the same ticks, and are drawn at the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from mos_agents.market.types import Array
from mos_agents.training.fragments import Fragment

PARTS = ("observations", "actions", "rewards", "after", "steps")


@dataclass(frozen=True, eq=False)
class Transitions:
    """What was drawn: the columns of each policy's loss."""

    policies: Mapping[str, Mapping[str, NDArray[Any]]]
    count: int

    def __len__(self) -> int:
        return self.count


class Replay:
    """A ring of the last `capacity` market ticks. What RLlib asks of a buffer: add and sample."""

    def __init__(self, capacity: int, n_step: int, gamma: float, rng: np.random.Generator) -> None:
        self.capacity, self.n_step, self.gamma = capacity, n_step, gamma
        self.rng = rng
        self.size = self.next = 0
        self.arrays: dict[str, dict[str, NDArray[Any]]] = {}
        self._metrics = MetricsLogger()

    def __len__(self) -> int:
        return self.size

    def add(self, fragments: Sequence[Fragment]) -> None:
        """Take in fragments; the oldest are forgotten. Rewards are added up over n steps."""
        for fragment in fragments:
            steps = min(self.n_step, fragment.ticks)
            kept = fragment.ticks - steps + 1
            for name, part in fragment.policies.items():
                earned = np.zeros_like(part.rewards[:kept])
                for i in range(steps):
                    earned += self.gamma**i * part.rewards[i : i + kept]
                agents = part.rewards.shape[1] // fragment.markets
                values = (
                    part.observations[:kept], part.actions[:kept], earned,
                    part.observations[steps:], np.full_like(earned, steps),
                )  # fmt: skip
                self._put(name, agents, dict(zip(PARTS, values, strict=True)))
            count = kept * fragment.markets
            self.next = (self.next + count) % self.capacity
            self.size = min(self.size + count, self.capacity)

    def _put(self, name: str, agents: int, parts: Mapping[str, NDArray[Any]]) -> None:
        """Each market tick is one place [agents, ...] of the ring."""
        kept = self.arrays.setdefault(name, {})
        for part, values in parts.items():
            ticks, rows = values.shape[:2]
            split = values.reshape(ticks, agents, rows // agents, *values.shape[2:])
            places = split.swapaxes(1, 2).reshape(-1, agents, *values.shape[2:])[-self.capacity :]
            if part not in kept:
                kept[part] = np.zeros((self.capacity, *places.shape[1:]), places.dtype)
            kept[part][(self.next + np.arange(len(places))) % self.capacity] = places

    def sample(self, num_items: int, **_: Any) -> list[Transitions]:
        """So many market ticks, each as likely as any other."""
        chosen = self.rng.integers(self.size, size=num_items)
        policies = {}
        for name, parts in self.arrays.items():
            drawn = {part: values[chosen] for part, values in parts.items()}
            drawn = {part: v.reshape(-1, *v.shape[2:]) for part, v in drawn.items()}
            count = len(drawn["rewards"])
            policies[name] = {
                "obs": drawn["observations"],
                "actions": drawn["actions"],
                "rewards": drawn["rewards"],
                "new_obs": drawn["after"],
                "terminateds": np.zeros(count, np.bool_),
                "weights": np.ones(count, np.float32),
                "n_step": drawn["steps"],
            }
        return [Transitions(policies, num_items)]

    def get_metrics(self) -> Any:
        self._metrics.log_value("market_ticks", self.size, window=1)
        return self._metrics.reduce()

    # --- for checkpoints --------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, Array]:
        """All that is remembered, by name."""
        found = {
            f"{name}/{part}": values[: self.size]
            for name, parts in self.arrays.items()
            for part, values in parts.items()
        }
        return {"ring": np.array([self.size, self.next]), **found}

    def from_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take back what `to_arrays` gave."""
        self.size, self.next = (int(n) for n in arrays["ring"])
        self.arrays = {}
        for key, values in arrays.items():
            if key == "ring":
                continue
            name, _, part = key.rpartition("/")
            whole = np.zeros((self.capacity, *values.shape[1:]), values.dtype)
            whole[: self.size] = values
            self.arrays.setdefault(name, {})[part] = whole
