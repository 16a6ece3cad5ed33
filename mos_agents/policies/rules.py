"""Sellers' rules of thumb: fixed prices, mark-ups, random walks, followers and undercutters.

What a rule proposes is a wish: the market rounds it, keeps it above the margin floor and within the
largest change per tick. A rival without an open quote is not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import (
    Deterministic,
    Policy,
    by_listing,
    cheapest_rival,
    check_fits,
    check_number,
    check_numbers,
    quoted,
    register,
    within_limits,
)
from mos_agents.policies.platform import RULES, set_now


@register("hold")
@dataclass(frozen=True)
class Hold(Deterministic):
    """Keeps the opening price; what a platform sets stays as it is."""

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        if spec.action_shape[0] and spec.features[0] not in RULES:
            check_fits(self, spec, "price")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        if spec.features[0] in RULES:
            return set_now(spec, observation)
        return quoted(
            spec, np.broadcast_to(spec.opening_price, (len(observation), *spec.low.shape[:1]))
        )


@register("fixed_price")
@dataclass(frozen=True)
class FixedPrice(Deterministic):
    """Asks the same price whatever happens.

    Parameters
    ----------
    price : float or tuple of float
        money, one number or one per listing, >= 0.
    """

    price: float | tuple[float, ...]

    def __post_init__(self) -> None:
        check_numbers(self, "price", 0.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price")
        within_limits(self, spec, "price", 0)

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        price = by_listing(self, spec, "price")
        return quoted(spec, np.broadcast_to(price, (len(observation), price.size)))


@register("cost_plus")
@dataclass(frozen=True)
class CostPlus(Deterministic):
    """Own unit cost plus a share of it, plus an amount of money.

    Parameters
    ----------
    margin : float
        what is added, as a share of the unit cost, >= -1.
    amount : float
        what is added, in money per unit.
    """

    margin: float = 0.3
    amount: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "margin", -1.0)
        check_number(self, "amount")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price", "cost")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        return quoted(spec, spec.read(observation, "cost") * (1.0 + self.margin) + self.amount)


@register("static_markup")
@dataclass(frozen=True)
class StaticMarkup(Deterministic):
    """The same mark-up at all times, over the own unit cost or over the reference price.

    Parameters
    ----------
    markup : float
        what is added, as a share of what it is over, >= -1.
    over : str
        what the mark-up is over: the own unit "cost" or the "reference" price.
    """

    markup: float = 0.1
    over: str = "cost"

    def __post_init__(self) -> None:
        check_number(self, "markup", -1.0)
        if self.over not in ("cost", "reference"):
            raise InputError(f"static_markup.over={self.over!r} must be 'cost' or 'reference'")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price", self.over)

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        return quoted(spec, spec.read(observation, self.over) * (1.0 + self.markup))


@register("reactive")
@dataclass(frozen=True)
class Reactive(Deterministic):
    """The scripted competitor, against the cheapest of its rivals.

    It follows the cheapest rival part of the way, near the reference price. Undercut by too much,
    it starts a price war.

    Parameters
    ----------
    weight : float
        share of the way from its price in force to the cheapest rival's that it moves, in [0,
        1].
    band : float
        how far from the reference price it follows, as a share of that price, in [0, 1].
    trigger : float
        undercut by more than this share of its own price it starts a price war, in [0, 1].
    cut : float
        in a price war it asks this share less than the cheapest rival, in [0, 1].
    """

    weight: float = 0.3
    band: float = 0.1
    trigger: float = 0.15
    cut: float = 0.2

    def __post_init__(self) -> None:
        for name in ("weight", "band", "trigger", "cut"):
            check_number(self, name, 0.0, 1.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price", "own_ask", "reference")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        own = spec.read(observation, "own_ask")
        reference = spec.read(observation, "reference")
        rival = cheapest_rival(spec, observation)
        followed = np.where(np.isfinite(rival), rival, own)
        calm = np.clip(
            own + self.weight * (followed - own),
            reference * (1.0 - self.band),
            reference * (1.0 + self.band),
        )
        undercut = followed < own * (1.0 - self.trigger)
        return quoted(spec, np.where(undercut, followed * (1.0 - self.cut), calm))


@register("undercut")
@dataclass(frozen=True)
class Undercut(Deterministic):
    """Below the cheapest open rival; with no rival open, the reference price.

    Parameters
    ----------
    share : float
        how far below, as a share of the rival's price, in [0, 1].
    amount : float
        how far below, in money on top of the share, >= 0.
    floor : float
        least margin over the own unit cost, where it is seen, as a share of it, >= -1.
    """

    share: float = 0.01
    amount: float = 0.0
    floor: float = 0.05

    def __post_init__(self) -> None:
        check_number(self, "share", 0.0, 1.0)
        check_number(self, "amount", 0.0)
        check_number(self, "floor", -1.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price", "reference")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        rival = cheapest_rival(spec, observation)
        alone = np.isinf(rival)
        below = np.where(alone, 0.0, rival) * (1.0 - self.share) - self.amount
        price = np.where(alone, spec.read(observation, "reference"), below)
        return quoted(spec, _above_cost(spec, observation, price, self.floor))


@register("match_cheapest")
@dataclass(frozen=True)
class MatchCheapest(Deterministic):
    """The cheapest open rival's price; with no rival open, the reference price.

    Parameters
    ----------
    floor : float
        least margin over the own unit cost, where it is seen, as a share of it, >= -1.
    """

    floor: float = 0.05

    def __post_init__(self) -> None:
        check_number(self, "floor", -1.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price", "reference")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        rival = cheapest_rival(spec, observation)
        price = np.where(np.isinf(rival), spec.read(observation, "reference"), rival)
        return quoted(spec, _above_cost(spec, observation, price, self.floor))


def _above_cost(spec: ParticipantSpec, observation: Array, price: Array, floor: float) -> Array:
    if "cost" not in spec.where:
        return price
    return np.maximum(price, spec.read(observation, "cost") * (1.0 + floor))


@dataclass(frozen=True)
class LogStep(Policy):
    """A price drawn log-normally around a centre, within the limits of the action.

    Subclasses write `centre`: the mean of the log price [B, L_n]. The normal distribution is cut
    off at the limits, not clipped: the price has a density everywhere, without lumps at the ends.

    Parameters
    ----------
    volatility : float
        standard deviation of the step of the log price, about a share of the price, > 0.
    """

    kind: ClassVar[str]

    volatility: float = 0.02

    @property
    def atomic(self) -> bool:
        return False

    def __post_init__(self) -> None:
        check_number(self, "volatility", 1e-9)

    def centre(self, spec: ParticipantSpec, observation: Array) -> Array:
        raise NotImplementedError

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price", "own_ask", "reference")

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        centre, low, high = self._law(spec, observation)
        uniforms = draws.uniforms("step", centre.shape[1]) + 2.0**-54  # never 0: its quantile
        z = np.clip(ndtri(ndtr(low) + uniforms * (ndtr(high) - ndtr(low))), low, high)
        return quoted(spec, np.exp(centre + self.volatility * z)), memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        centre, low, high = self._law(spec, observation)
        price = np.maximum(action[:, :, 0], 1e-300)
        z = (np.log(price) - centre) / self.volatility
        log_density = -0.5 * z * z - np.log(np.sqrt(2.0 * np.pi) * self.volatility * price)
        log_mass = np.log(ndtr(high) - ndtr(low))
        possible = ((action >= spec.low) & (action <= spec.high)).all(axis=(1, 2))
        if "size" in spec.features:
            possible &= (action[:, :, -1] == spec.high[:, -1]).all(axis=1)
        return np.where(possible, np.exp((log_density - log_mass).sum(axis=1)), 0.0)

    def _law(self, spec: ParticipantSpec, observation: Array) -> tuple[Array, Array, Array]:
        """Mean of the log price, and the limits in standard deviations from it. [B, L_n] each.

        A centre outside the limits is moved to the nearer one.
        """
        with np.errstate(divide="ignore"):  # a lowest price of 0 has no logarithm: no lower limit
            low, high = np.log(spec.low[:, 0]), np.log(spec.high[:, 0])
        centre = np.clip(self.centre(spec, observation), low, high)
        return centre, (low - centre) / self.volatility, (high - centre) / self.volatility


@register("random_walk")
@dataclass(frozen=True)
class RandomWalk(LogStep):
    """The price in force moves by a normal percentage at each tick.

    Parameters
    ----------
    drift : float
        mean step of the log price, about a share of the price.
    """

    volatility: float = 0.02
    drift: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "drift")

    def centre(self, spec: ParticipantSpec, observation: Array) -> Array:
        return _log(spec.read(observation, "own_ask")) + self.drift


@register("mean_reverting")
@dataclass(frozen=True)
class MeanReverting(LogStep):
    """A random walk that is drawn back to the reference price.

    log p' = log p + drift + reversion (log reference - log p) + volatility z.

    Parameters
    ----------
    drift : float
        mean step of the log price, about a share of the price.
    reversion : float
        share of the way back to the reference price that it goes at each tick, in [0, 1].
    """

    volatility: float = 0.02
    drift: float = 0.0
    reversion: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "drift")
        check_number(self, "reversion", 0.0, 1.0)

    def centre(self, spec: ParticipantSpec, observation: Array) -> Array:
        own = _log(spec.read(observation, "own_ask"))
        reference = _log(spec.read(observation, "reference"))
        return own + self.drift + self.reversion * (reference - own)


def _log(prices: Array) -> Array:
    return np.log(np.maximum(prices, 1e-12))
