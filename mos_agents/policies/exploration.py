"""Trying things out: prices drawn at random, now and then in place of a policy's own.

A policy that explores can be evaluated against others from its own records alone, because every
action had a known chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mos_agents.market.checks import check_whole
from mos_agents.market.grids import check_levels
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws, PrefixedDraws
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import (
    Policy,
    check_number,
    from_config,
    register,
    uniform_choice,
)

Bound = float | tuple[float, ...] | None


@register("uniform")
@dataclass(frozen=True)
class Uniform(Policy):
    """Every action between `low` and `high` with equal chance, independently by listing.

    Parameters
    ----------
    low, high : float, tuple of float or None
        least and greatest action: one number, or one per feature of the action (such as offset
        and spread); None is the limit of the action itself.
    levels : int or None
        draw from a grid of so many equal steps, ends included; None draws continuously, >= 2.
    relative : bool
        low and high are multiples of the opening price, not money.
    """

    kind: ClassVar[str]

    levels: int | None = None
    low: Bound = None
    high: Bound = None
    relative: bool = False

    def __post_init__(self) -> None:
        if self.levels is not None:
            check_whole(f"{self.kind}.levels", self.levels, 2, note=", or null")
        if not isinstance(self.relative, bool):
            raise InputError(f"{self.kind}.relative={self.relative!r} must be true or false")
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, list | tuple):
                object.__setattr__(self, name, tuple(value))
            try:
                finite = value is None or bool(np.isfinite(np.asarray(value, np.float64)).all())
            except (TypeError, ValueError):
                finite = False
            if not finite:
                raise InputError(
                    f"{self.kind}.{name}={value!r} "
                    "must be one finite number, one per feature, or null"
                )

    @property
    def atomic(self) -> bool:
        return self.levels is not None

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        low, high = self.bounds(spec)
        if (low > high).any():
            raise InputError(
                f"{spec.name}: {self.kind}.low={self.low!r}, high={self.high!r} leave no action "
                f"between {low.min():g} and {high.max():g}; limits are {spec.low.min():g} to "
                f"{spec.high.max():g}"
            )
        if self.levels is not None and "spread" not in spec.features:
            for i in range(len(low)):
                points = np.tile(low[i], (self.levels, 1))
                points[:, 0] += np.arange(self.levels) / (self.levels - 1) * (high - low)[i, 0]
                check_levels(spec, i, points, f"{self.kind}.levels")

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        low, high = self.bounds(spec)
        uniforms = draws.uniforms("uniform", low.size).reshape(-1, *low.shape)
        if self.levels is not None:
            uniforms = uniform_choice(uniforms, self.levels) / (self.levels - 1)
        return np.clip(low + uniforms * (high - low), low, high), memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        low, high = self.bounds(spec)
        width = high - low
        free = width > 0.0  # a feature without width is fixed and has no part in the chance
        slack = 1e-9 * np.maximum(1.0, np.abs(high)) if self.levels is not None else 0.0
        possible = (action >= low - slack) & (action <= high + slack)
        if self.levels is None:
            chance = float(np.prod(1.0 / width[free]))
        else:
            step = np.where(free, width, 1.0) / (self.levels - 1)
            nearest = low + np.rint((action - low) / step) * step
            possible &= np.abs(action - nearest) <= slack
            chance = float(self.levels) ** -int(free.sum())
        return np.where(possible.all(axis=(1, 2)), chance, 0.0)

    def bounds(self, spec: ParticipantSpec) -> tuple[Array, Array]:
        """Lowest and highest action drawn, [L_n, A] each."""
        scale = spec.opening_price[:, None] if self.relative else 1.0
        low = (
            spec.low if self.low is None else np.maximum(self._each(spec, "low") * scale, spec.low)
        )
        high = (
            spec.high
            if self.high is None
            else np.minimum(self._each(spec, "high") * scale, spec.high)
        )
        return low, high

    def grid(self, spec: ParticipantSpec) -> Array:
        """[levels, L_n, A] the points of the grid."""
        if self.levels is None:
            raise InputError(f"{self.kind}.levels=None: a continuous range has no grid; set levels")
        low, high = self.bounds(spec)
        return low + (np.arange(self.levels) / (self.levels - 1))[:, None, None] * (high - low)

    def _each(self, spec: ParticipantSpec, name: str) -> Array:
        value = np.asarray(getattr(self, name), dtype=np.float64)
        if value.ndim and value.shape != (spec.action_shape[1],):
            raise InputError(
                f"{spec.name}: {self.kind}.{name}={getattr(self, name)!r} must be one number "
                f"or one for each of {'/'.join(spec.features)}"
            )
        return np.broadcast_to(value, spec.action_shape)


@register("epsilon_greedy")
@dataclass(frozen=True)
class EpsilonGreedy(Policy):
    """Follows another policy, but now and then draws all its quotes as `uniform` does.

    The chance of an action is (1 - epsilon) x the policy's + epsilon x the draw's. Where one is a
    probability and the other a density (a fixed price, explored around continuously), the action
    that the policy may choose has its probability and every other its density.

    Parameters
    ----------
    policy : Policy
        whom it follows: a policy, by its kind and parameters.
    epsilon : float
        chance of a draw at a tick, in [0, 1].
    levels : int or None
        points of the grid that is drawn from; None draws continuously, >= 2.
    low, high, relative
        what is drawn, as in `uniform`.
    """

    kind: ClassVar[str]

    policy: Policy
    epsilon: float = 0.1
    levels: int | None = None
    low: Bound = None
    high: Bound = None
    relative: bool = False
    draw: Uniform = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_number(self, "epsilon", 0.0, 1.0)
        object.__setattr__(self, "policy", from_config(self.policy))
        draw = Uniform(self.levels, self.low, self.high, self.relative)
        object.__setattr__(self, "draw", draw)
        object.__setattr__(self, "low", draw.low)
        object.__setattr__(self, "high", draw.high)

    @property
    def learns(self) -> bool:
        return self.policy.learns

    @property
    def inner(self) -> Policy | None:
        return self.policy

    @property
    def atomic(self) -> bool:
        return self.policy.atomic and self.draw.atomic

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        self.draw.start(spec, batch)
        return self.policy.start(spec, batch)

    def learn(
        self, spec: ParticipantSpec, observation: Array, reward: Array, memory: Any, draws: Draws
    ) -> Any:
        return self.policy.learn(spec, observation, reward, memory, PrefixedDraws(draws, "inner/"))

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        own, memory = self.policy.act(spec, observation, memory, PrefixedDraws(draws, "inner/"))
        drawn, _ = self.draw.act(spec, observation, None, draws)
        explores = draws.uniforms("explore", 1) < self.epsilon
        return np.where(explores[:, :, None], drawn, own), memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        own = (1.0 - self.epsilon) * self.policy.propensity(spec, observation, action, memory)
        drawn = self.epsilon * self.draw.propensity(spec, observation, action, None)
        if self.policy.atomic == self.draw.atomic:
            return own + drawn
        atom, rest = (own, drawn) if self.policy.atomic else (drawn, own)
        return np.where(atom > 0.0, atom, rest)
