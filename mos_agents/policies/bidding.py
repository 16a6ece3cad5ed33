"""How bidders bid in a sealed-bid auction: their worth, less than it, or at random.

A bidder's worth of the item is what its observation calls `cost`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mos_agents.market.random import Shocks
from mos_agents.market.seat import Seat
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import Deterministic, check_number, quoted, register, same, seated


@register("truthful")
@dataclass(frozen=True)
class Truthful(Deterministic):
    """Bids what the item is worth: dominant in second-price auctions (Vickrey 1961)."""

    def start(self, seat: Seat, batch: int) -> Any:
        seated(self, seat, "bid", "cost")

    def decide(self, seat: Seat, observation: Array) -> Array:
        return quoted(seat, seat.read(observation, "cost"))


@register("shaded")
@dataclass(frozen=True)
class Shaded(Deterministic):
    """The symmetric equilibrium of the first-price auction with uniform worths from 0 up.

    With n bidders and reserve r, a worth v >= r bids v (n - 1)/n + r^n / (n v^(n - 1))
    (Riley and Samuelson 1981); below the reserve it bids its worth and does not win.

    bidders: how many bid, this one included; None counts those of its market, item by item, >= 1.
    reserve: least bid that can win, in money, >= 0.
    """

    bidders: int | None = None
    reserve: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "reserve", 0.0)
        n = self.bidders
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise InputError(f"shaded.bidders={n!r} must be a whole number >= 1, or null to count")

    def start(self, seat: Seat, batch: int) -> Any:
        seated(self, seat, "bid", "cost")

    def decide(self, seat: Seat, observation: Array) -> Array:
        worth = seat.read(observation, "cost")
        n = self._bidders(seat)
        above = np.maximum(worth, max(self.reserve, 1e-300))
        # r (r/v)^(n-1) and not r^n / v^(n-1): the powers alone overflow with many bidders.
        bid = above * (n - 1) / n + self.reserve * (self.reserve / above) ** (n - 1) / n
        return quoted(seat, np.where(worth < self.reserve, worth, np.minimum(bid, worth)))

    def _bidders(self, seat: Seat) -> Array:
        if self.bidders is not None:
            return np.full(seat.action_shape[0], float(self.bidders))
        instrument = seat.layout.instrument
        return np.bincount(instrument)[instrument[seat.listings]].astype(np.float64)


@register("random_bid")
@dataclass(frozen=True)
class RandomBid:
    """Bids a share of the worth drawn at random, item by item.

    low: least share of the worth that is bid, >= 0 and < high.
    high: greatest share of the worth that is bid, > 0.
    """

    kind: ClassVar[str]
    atomic: ClassVar[bool] = False

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "low", 0.0)
        check_number(self, "high", 0.0)
        if not self.low < self.high:
            raise InputError(f"random_bid.low={self.low!r} must be below high={self.high!r}")

    def start(self, seat: Seat, batch: int) -> Any:
        seated(self, seat, "bid", "cost")

    def act(self, seat: Seat, observation: Array, memory: Any, shocks: Shocks) -> tuple[Array, Any]:
        low, high = self._range(seat, observation)
        uniforms = shocks.uniforms("bid", low.shape[1])
        return quoted(seat, low + uniforms * (high - low)), memory

    def propensity(self, seat: Seat, observation: Array, action: Array, memory: Any) -> Array:
        low, high = self._range(seat, observation)
        bid = action[:, :, 0]
        # A range without width (worth nothing) is a certain bid, not a density.
        point = high == low
        density = np.where(point, 1.0, 1.0 / np.where(point, 1.0, high - low))
        possible = np.where(point, bid == low, (bid >= low) & (bid <= high)).all(axis=1)
        if "size" in seat.features:
            possible &= same(action[:, :, -1], np.broadcast_to(seat.high[:, -1], bid.shape))
        return np.where(possible, density.prod(axis=1), 0.0)

    def _range(self, seat: Seat, observation: Array) -> tuple[Array, Array]:
        worth = seat.read(observation, "cost")
        floor, ceiling = seat.low[:, 0], seat.high[:, 0]
        return np.clip(self.low * worth, floor, ceiling), np.clip(self.high * worth, floor, ceiling)
