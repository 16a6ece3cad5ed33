"""What a runner hands to a learner: fragments of play, and the replay buffer of DQN and SAC.

RLlib's own episodes hold one market and one agent each and are taken apart again before the loss is
computed. A fragment is what they would come to: tick by row by number, for each policy. It lies
within one episode of the markets, and its last observation is kept, so that a value can be carried
back from there: episodes are cut off at their horizon and never end otherwise.
The replay buffer holds transitions in arrays, which go into checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array
from mos_agents.runs.files import RunError
from mos_agents.training.assignment import PolicyAssignment
from mos_agents.training.torch_networks import Chooser


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
