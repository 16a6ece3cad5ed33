"""What a runner hands to the learner: arrays of a stretch of ticks in all markets at once.

RLlib's own episodes hold one market and one agent each and are taken apart again before the loss is
computed. A fragment is what they would come to: tick by row by number, for each policy. It lies
within one episode of the markets, and its last observation is kept, so that a value can be carried
back from there: episodes are cut off at their horizon and never end otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rollout(NamedTuple):
    """One policy's part: T ticks, R rows (its agents, each in all markets)."""

    observations: NDArray[np.float32]  # [T + 1, R, D]
    actions: NDArray[Any]  # [T, R, ...]
    rewards: NDArray[np.float32]  # [T, R]
    outputs: NDArray[np.float32]  # [T, R, K] of the network that acted
    log_chance: NDArray[np.float32]  # [T, R]


@dataclass(frozen=True, eq=False)
class Fragment:
    """T ticks of B markets, by policy."""

    policies: Mapping[str, Rollout]
    ticks: int
    markets: int

    def __len__(self) -> int:
        """Market ticks: what RLlib counts as environment steps."""
        return self.ticks * self.markets

    def env_steps(self) -> int:
        return len(self)

    def agent_steps(self) -> int:
        return sum(rollout.rewards.size for rollout in self.policies.values())
