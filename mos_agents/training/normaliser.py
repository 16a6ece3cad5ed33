"""What is seen and earned, brought to one size: shift and scale measured once, before training.

A calibration run plays every learner with actions drawn evenly from its range, in markets of its
own random numbers, and takes mean and standard deviation of every number seen and of the rewards.
They stay as they are from then on: every runner has the same, a resumed training too, and they
leave with the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array
from mos_agents.policies.base import uniform_choice
from mos_agents.training.assignment import PolicyAssignment, TrainingAssignment

MARKETS, TICKS = 64, 500
"""Of the calibration run, at most."""
CLIP = 10.0
"""Where a number seen is cut, in standard deviations of the calibration run."""
SMALL = 1e-8
"""Standard deviations below this share of the size of a number are rounding."""


@short_repr
class Normaliser(NamedTuple):
    """Seen is (x - shift) / scale, cut to [-clip, clip]; earned, (r - shift) / scale of rewards."""

    shift: Array  # [D]
    scale: Array  # [D]
    clip: float
    reward_shift: float
    reward_scale: float

    def seen(self, observation: Array) -> NDArray[np.float32]:
        """[R, D] what the network is shown."""
        standard = (observation - self.shift) / self.scale
        return np.clip(standard, -self.clip, self.clip).astype(np.float32)

    def earned(self, reward: Array) -> NDArray[np.float32]:
        """The reward that the algorithm gets, from rewards of any shape."""
        return ((reward - self.reward_shift) / self.reward_scale).astype(np.float32)


def plain(size: int) -> Normaliser:
    """Nothing is changed."""
    return Normaliser(np.zeros(size), np.ones(size), np.inf, 0.0, 1.0)


def unchanged(assignment: TrainingAssignment) -> dict[str, Normaliser]:
    """Normalisers of every policy that change nothing."""
    return {p.name: plain(p.size) for p in assignment.policies}


def calibrate(assignment: TrainingAssignment) -> dict[str, Normaliser]:
    """The normalisers of every policy, measured; or plain ones where the plan says so."""
    if assignment.plan.normalise == "none":
        return unchanged(assignment)
    batch = assignment.markets("calibration", MARKETS)
    observation = batch.reset()
    streams = {
        a: Streams.of(assignment.seed("calibration"), batch.numbers, f"pilot/{a}")
        for a in batch.agents
    }
    seen: dict[str, list[Array]] = {a: [] for a in batch.agents}
    earned: dict[str, list[Array]] = {a: [] for a in batch.agents}
    for at in range(min(TICKS, batch.market.horizon)):
        actions = {
            a: _evenly(p, streams[a].at(at).uniforms("action", p.low.size))
            for p in assignment.policies
            for a in p.agents
        }
        for a in batch.agents:
            seen[a].append(observation[:, batch.columns[a]])
        observation, reward, _, _ = batch.step(actions)
        for n, a in enumerate(batch.agents):
            earned[a].append(reward[:, n])
    return {
        p.name: _normaliser(
            np.concatenate([one for a in p.agents for one in seen[a]]),
            np.concatenate([one for a in p.agents for one in earned[a]]),
        )
        for p in assignment.policies
    }


def _evenly(policy: PolicyAssignment, uniforms: Array) -> NDArray[Any]:
    """Actions [B, L_n, A], or levels [B, L_n], each as likely as any other."""
    if policy.grid is None:
        return policy.placed(2.0 * uniforms - 1.0)
    return uniform_choice(uniforms[:, : policy.listings], policy.levels)


def _normaliser(seen: Array, earned: Array) -> Normaliser:
    shift, scale = seen.mean(axis=0), seen.std(axis=0)
    # What never changes in the calibration run is shown in its own size: it may change later.
    constant = scale <= SMALL * np.maximum(1.0, np.abs(shift))
    scale = np.where(constant, np.maximum(1.0, np.abs(shift)), scale)
    spread = float(earned.std())
    centre = float(earned.mean())
    if spread <= SMALL * max(1.0, abs(centre)):
        spread = max(1.0, abs(centre))
    return Normaliser(shift, scale, CLIP, centre, spread)


def to_arrays(normalisers: Mapping[str, Normaliser]) -> dict[str, Array]:
    """As arrays by name, for a file."""
    return {
        f"{name}/{part}": np.asarray(value, np.float64)
        for name, normaliser in normalisers.items()
        for part, value in normaliser._asdict().items()
    }


def from_arrays(arrays: Mapping[str, Array], names: list[str]) -> dict[str, Normaliser]:
    """What `to_arrays` wrote; KeyError where something is missing."""
    found = {}
    for name in names:
        parts = {part: arrays[f"{name}/{part}"] for part in Normaliser._fields}
        found[name] = Normaliser(
            parts["shift"],
            parts["scale"],
            float(parts["clip"]),
            float(parts["reward_shift"]),
            float(parts["reward_scale"]),
        )
    return found
