"""How bidders bid in a sealed-bid auction: their value, less than it, or at random.

A bidder's value of the item is what its observation calls `cost`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mos_agents.market.checks import check_whole
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import (
    Deterministic,
    Policy,
    check_fits,
    check_number,
    quoted,
    register,
    same,
)


@register("truthful")
@dataclass(frozen=True)
class Truthful(Deterministic):
    """Bids the value of the item: dominant in second-price auctions (Vickrey 1961)."""

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "bid", "cost")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        return quoted(spec, spec.read(observation, "cost"))


@register("shaded")
@dataclass(frozen=True)
class Shaded(Deterministic):
    """The symmetric equilibrium of the first-price auction with uniform values from 0 up.

    With n bidders and reserve r, a value v >= r bids v (n - 1)/n + r^n / (n v^(n - 1))
    (Riley and Samuelson 1981); below the reserve it bids its value and does not win.

    Parameters
    ----------
    bidders : int or None
        how many bid, this one included; None counts those of its market, item by item, >= 1.
    reserve : float or None
        least bid that can win, in money, >= 0; None takes that of its market.
    """

    bidders: int | None = None
    reserve: float | None = None

    def __post_init__(self) -> None:
        if self.reserve is not None:
            check_number(self, "reserve", 0.0)
        if self.bidders is not None:
            check_whole("shaded.bidders", self.bidders, 1, note=", or null to count")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "bid", "cost")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        value = spec.read(observation, "cost")
        n = self._bidders(spec)
        reserve = spec.reserve if self.reserve is None else self.reserve
        above = np.maximum(value, max(reserve, 1e-300))
        # r (r/v)^(n-1) and not r^n / v^(n-1): the powers alone overflow with many bidders.
        bid = above * (n - 1) / n + reserve * (reserve / above) ** (n - 1) / n
        return quoted(spec, np.where(value < reserve, value, np.minimum(bid, value)))

    def _bidders(self, spec: ParticipantSpec) -> Array:
        if self.bidders is not None:
            return np.full(spec.action_shape[0], float(self.bidders))
        instrument = spec.layout.instrument
        return np.bincount(instrument)[instrument[spec.listings]].astype(np.float64)


@register("random_bid")
@dataclass(frozen=True)
class RandomBid(Policy):
    """Bids a share of the value drawn at random, item by item.

    Parameters
    ----------
    low : float
        least share of the value that is bid, >= 0 and < high.
    high : float
        greatest share of the value that is bid, > 0.
    """

    kind: ClassVar[str]

    low: float = 0.0
    high: float = 1.0

    @property
    def atomic(self) -> bool:
        return False

    def __post_init__(self) -> None:
        check_number(self, "low", 0.0)
        check_number(self, "high", 0.0)
        if not self.low < self.high:
            raise InputError(f"random_bid.low={self.low!r} must be below high={self.high!r}")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "bid", "cost")

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        low, high = self._range(spec, observation)
        uniforms = draws.uniforms("bid", low.shape[1])
        return quoted(spec, low + uniforms * (high - low)), memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        low, high = self._range(spec, observation)
        bid = action[:, :, 0]
        # A range without width (a value of 0) is a certain bid, not a density.
        point = high == low
        density = np.where(point, 1.0, 1.0 / np.where(point, 1.0, high - low))
        possible = np.where(point, bid == low, (bid >= low) & (bid <= high)).all(axis=1)
        if "size" in spec.features:
            possible &= same(action[:, :, -1], np.broadcast_to(spec.high[:, -1], bid.shape))
        return np.where(possible, density.prod(axis=1), 0.0)

    def _range(self, spec: ParticipantSpec, observation: Array) -> tuple[Array, Array]:
        value = spec.read(observation, "cost")
        floor, ceiling = spec.low[:, 0], spec.high[:, 0]
        return np.clip(self.low * value, floor, ceiling), np.clip(self.high * value, floor, ceiling)
