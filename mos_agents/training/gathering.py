"""What one policy sees, does and earns over a stretch, until it is handed to the learner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.types import Array
from mos_agents.training.assignment import PolicyAssignment
from mos_agents.training.choosing import Chooser
from mos_agents.training.fragments import PolicyFragment


class Gathered:
    """What a policy gathers while a stretch is played."""

    def __init__(
        self,
        policy: PolicyAssignment,
        ticks: int,
        markets: int,
        columns: list[slice],
        chances: bool,
    ) -> None:
        """chances: whether the algorithm asks for the log chances of actions."""
        self.policy, self.columns, self.markets, self.chances = policy, columns, markets, chances
        rows = len(policy.agents) * markets
        self.observations = np.empty((ticks + 1, rows, policy.size), np.float32)
        self.rewards = np.empty((ticks, rows), np.float32)
        self.outputs: list[NDArray[np.float32]] = []
        self.actions: list[NDArray[Any]] = []
        self.own: list[NDArray[np.bool_]] = []

    def rows_of(self, observation: Array) -> Array:
        """[R, D] the policy's rows, agent after agent."""
        if len(self.columns) == 1:
            return observation[:, self.columns[0]]
        return np.concatenate([observation[:, one] for one in self.columns])

    def by_agent(self, placed: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The actions of each agent in all markets."""
        b = self.markets
        return {a: placed[i * b : (i + 1) * b] for i, a in enumerate(self.policy.agents)}

    def rollout(self, how: Chooser) -> PolicyFragment:
        """All of it, chosen as `how` says."""
        outputs, actions = np.stack(self.outputs), np.stack(self.actions)
        logs = np.zeros_like(self.rewards)
        if self.chances:
            flat = outputs.reshape(-1, outputs.shape[-1])
            found = how.log_chance(flat, actions.reshape(len(flat), *actions.shape[2:]))
            logs = found.reshape(logs.shape)
        own = np.stack(self.own) if self.own else None
        return PolicyFragment(self.observations, actions, self.rewards, outputs, logs, own)
