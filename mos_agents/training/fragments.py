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

from mos_agents.market.printing import short_repr


@short_repr
class PolicyFragment(NamedTuple):
    """One policy's part: T ticks, R rows (its agents, each in all markets)."""

    observations: NDArray[np.float32]  # [T + 1, R, D]
    actions: NDArray[Any]  # [T, R, ...]
    rewards: NDArray[np.float32]  # [T, R]
    outputs: NDArray[np.float32]  # [T, R, K] of the network that acted
    log_chance: NDArray[np.float32]  # [T, R]
    own: NDArray[np.bool_] | None = None  # [T, R] moves to learn from; None: all of them


@short_repr
@dataclass(frozen=True, eq=False)
class Fragment:
    """T ticks of B markets, by policy. Where participants take turns, a part begins earlier: with
    the moves that were not over when the fragment before ended."""

    policies: Mapping[str, PolicyFragment]
    ticks: int
    markets: int

    def __len__(self) -> int:
        """Market ticks: what RLlib counts as environment steps."""
        return self.ticks * self.markets

    def env_steps(self) -> int:
        return len(self)

    def agent_steps(self) -> int:
        return sum(self.ticks * rollout.rewards.shape[1] for rollout in self.policies.values())


# --- turns ----------------------------------------------------------------------------------------


def until_next(
    rewards: NDArray[np.float32], own: NDArray[np.bool_], gamma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """[T, R] from each tick until the next own move: discounted rewards, ticks, and whether it is
    in sight. A move is one step of a semi-Markov decision process (Sutton et al. 1999, section 1):
    what it earns until the next, which is worth gamma^ticks."""
    earned, ticks = np.empty_like(rewards), np.empty_like(rewards)
    sight = np.empty_like(own)
    ends, seen = np.ones_like(own[0]), np.zeros_like(own[0])
    later, count = np.zeros_like(rewards[0]), np.zeros_like(rewards[0])
    for t in range(len(own) - 1, -1, -1):
        later = rewards[t] + gamma * np.where(ends, 0.0, later).astype(rewards.dtype)
        count = 1.0 + np.where(ends, 0.0, count).astype(rewards.dtype)
        earned[t], ticks[t], sight[t] = later, count, seen
        ends, seen = own[t], seen | own[t]
    return earned, ticks, sight


def pending(part: PolicyFragment) -> PolicyFragment | None:
    """The end of a part, from its first move on that is not over: only such are marked."""
    assert part.own is not None
    ticks = len(part.own)
    moved = np.flatnonzero(part.own.any(axis=0))
    if not moved.size:
        return None
    last = ticks - 1 - part.own[::-1].argmax(axis=0)[moved]
    own = np.zeros_like(part.own)
    own[last, moved] = True
    first = last.min()
    arrays: Any = part._replace(own=own)
    return PolicyFragment(*(array[first:] for array in arrays))


def followed(earlier: PolicyFragment, later: PolicyFragment) -> PolicyFragment:
    """One part out of two: what was seen last in the first is what is seen first in the second."""
    seen = np.concatenate([earlier.observations[:-1], later.observations])
    pairs: Any = zip(earlier[1:], later[1:], strict=True)
    return PolicyFragment(seen, *(np.concatenate(pair) for pair in pairs))
