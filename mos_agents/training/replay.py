"""The memory of DQN and SAC: transitions of all markets in flat arrays, drawn evenly.

RLlib's buffers keep episodes and make an object of every transition drawn; here a draw is one
indexing per array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array
from mos_agents.runs.files import RunError
from mos_agents.training.fragments import Fragment, PolicyFragment, until_next

PARTS = ("observations", "actions", "rewards", "after", "steps")


@short_repr
@dataclass(frozen=True, eq=False)
class Transitions:
    """What was drawn: the columns of each policy's loss."""

    policies: Mapping[str, Mapping[str, NDArray[Any]]]
    count: int

    def __len__(self) -> int:
        return self.count


class Ring:
    """The last `capacity` places of one policy, each of one or more rows."""

    def __init__(self, capacity: int, parts: Mapping[str, NDArray[Any]]) -> None:
        """parts: arrays [places, rows, ...] such as it will hold."""
        self.capacity, self.size, self.next = capacity, 0, 0
        self.arrays = {
            name: np.zeros((capacity, *one.shape[1:]), one.dtype) for name, one in parts.items()
        }

    def put(self, parts: Mapping[str, NDArray[Any]]) -> None:
        count = len(parts["rewards"])
        for name, places in parts.items():
            kept = places[-self.capacity :]
            at = (self.next + count - len(kept) + np.arange(len(kept))) % self.capacity
            self.arrays[name][at] = kept
        self.next = (self.next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)


class ReplayBuffer:
    """A ring of the last `capacity` market ticks, or of moves where participants take turns.

    What RLlib asks of a buffer: add and sample.
    """

    def __init__(self, capacity: int, n_step: int, gamma: float, rng: np.random.Generator) -> None:
        self.capacity, self.n_step, self.gamma = capacity, n_step, gamma
        self.rng = rng
        self.rings: dict[str, Ring] = {}
        self._metrics = MetricsLogger()

    def __len__(self) -> int:
        return max((ring.size for ring in self.rings.values()), default=0)

    def add(self, fragments: Sequence[Fragment]) -> None:
        """Take in fragments; the oldest are forgotten. Rewards are added up over n steps."""
        for fragment in fragments:
            for name, part in fragment.policies.items():
                found = self._ticks(part, fragment) if part.own is None else self._moves(part)
                if name not in self.rings:
                    self.rings[name] = Ring(self.capacity, found)
                self.rings[name].put(found)

    def _ticks(self, part: PolicyFragment, fragment: Fragment) -> dict[str, NDArray[Any]]:
        """Each market tick is one place [agents, ...]."""
        steps = min(self.n_step, fragment.ticks)
        kept = fragment.ticks - steps + 1
        earned = np.zeros_like(part.rewards[:kept])
        for i in range(steps):
            earned += self.gamma**i * part.rewards[i : i + kept]
        rows, markets = part.rewards.shape[1], fragment.markets
        values = (
            part.observations[:kept],
            part.actions[:kept],
            earned,
            part.observations[steps:],
            np.full_like(earned, steps),
        )
        found = {}
        for name, value in zip(PARTS, values, strict=True):
            split = value.reshape(kept, rows // markets, markets, *value.shape[2:])
            found[name] = split.swapaxes(1, 2).reshape(-1, rows // markets, *value.shape[2:])
        return found

    def _moves(self, part: PolicyFragment) -> dict[str, NDArray[Any]]:
        """Each own move that is over is one place [1, ...]."""
        assert part.own is not None
        earned, ticks, sight = until_next(part.rewards, part.own, self.gamma)
        t, r = np.nonzero(part.own & sight)
        after = part.observations[t + ticks[t, r].astype(np.int64), r]
        values = (part.observations[t, r], part.actions[t, r], earned[t, r], after, ticks[t, r])
        return {name: value[:, None] for name, value in zip(PARTS, values, strict=True)}

    def sample(self, num_items: int, **_: Any) -> list[Transitions]:
        """So many places of each policy, each as likely as any other."""
        policies = {}
        for name, ring in self.rings.items():
            if not ring.size:
                raise RunError(
                    f"{name}: nobody has moved twice; let learning begin later, with hyper "
                    "num_steps_sampled_before_learning_starts"
                )
            chosen = self.rng.integers(ring.size, size=num_items)
            drawn = {part: values[chosen] for part, values in ring.arrays.items()}
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
        self._metrics.log_value("market_ticks", len(self), window=1)
        return self._metrics.reduce()

    # --- for checkpoints --------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, Array]:
        """All that is remembered, by name."""
        found: dict[str, Array] = {}
        for name, ring in self.rings.items():
            found[f"{name}/ring"] = np.array([ring.size, ring.next])
            found |= {f"{name}/{part}": one[: ring.size] for part, one in ring.arrays.items()}
        return found

    def from_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take back what `to_arrays` gave."""
        self.rings = {}
        for key in arrays:
            name, _, part = key.rpartition("/")
            if part != "ring":
                continue
            parts = {part: arrays[f"{name}/{part}"] for part in PARTS}
            ring = self.rings[name] = Ring(self.capacity, parts)
            ring.put(parts)
            ring.size, ring.next = (int(n) for n in arrays[key])
