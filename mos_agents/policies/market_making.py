"""How dealers quote: around the mid price, leaning against their own inventory.

All ignore other makers, as in the papers; what competition does to them is for the market to show.
Quotes are an offset of the middle from the mid price, and a spread, brought within limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import (
    Deterministic,
    by_listing,
    check_fits,
    check_number,
    check_numbers,
    quoted,
    register,
    within_limits,
)


@register("fixed_spread")
@dataclass(frozen=True)
class FixedSpread(Deterministic):
    """The same spread around the mid price at all times.

    Parameters
    ----------
    spread : float or tuple of float
        ask less bid, in money, one number or one per listing, >= 0.
    offset : float
        the middle of bid and ask less the mid price, in money.
    """

    spread: float | tuple[float, ...] = 0.1
    offset: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, "spread", 0.0)
        check_number(self, "offset")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "offset")
        within_limits(self, spec, "offset", 0)
        within_limits(self, spec, "spread", 1)

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        spread = np.broadcast_to(
            by_listing(self, spec, "spread"), (len(observation), spec.action_shape[0])
        )
        return quoted(spec, np.full(spread.shape, self.offset), spread)


@register("avellaneda_stoikov")
@dataclass(frozen=True)
class AvellanedaStoikov(Deterministic):
    """Quotes of Avellaneda and Stoikov (2008), equations 3.16 to 3.18.

    The middle of the quotes is s - q gamma sigma^2 (T - t), the spread
    gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / kappa), q being the inventory in the asset.

    Parameters
    ----------
    gamma : float
        absolute risk aversion, per unit of money, > 0.
    sigma : float or None
        volatility of the mid price, in money per square root of time, >= 0; None takes the
        market's (`ParticipantSpec.sigma`), times the mid price where that is given in shares of
        it. On a replayed price that is the volatility of the recorded rows: of all of them
        unless `sigma_rows` says otherwise, so that the maker knows something of the future.
        Where the price has no volatility (constant, redrawn, moved by a shock) sigma must be
        given; 0 says that there is no risk, and no lean.
    kappa : float or None
        decay of the order flow per unit of money, > 0; None takes the market's.
    horizon : float or None
        T in units of time, >= 0; None is the market's episode. After T, T - t is 0.
    """

    gamma: float = 0.1
    sigma: float | None = None
    kappa: float | None = None
    horizon: float | None = None

    def __post_init__(self) -> None:
        check_number(self, "gamma", 1e-12)
        _optional(self, "sigma", "kappa", "horizon")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "offset", "inventory", "reference", "clock")
        _known(self, spec, "kappa", spec.order_decay)
        _risky(self, spec)

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        inventory = spec.read(observation, "inventory")
        kappa = spec.order_decay if self.kappa is None else self.kappa
        risk = self.gamma * variance(spec, observation, self.sigma) * self._left(spec, observation)
        spread = risk + (2.0 / self.gamma) * np.log1p(self.gamma / kappa)
        return quoted(spec, -inventory * risk, spread)

    def _left(self, spec: ParticipantSpec, observation: Array) -> Array:
        """[B, 1] T - t."""
        episode = spec.horizon * spec.dt
        horizon = episode if self.horizon is None else self.horizon
        return np.maximum(horizon - spec.read(observation, "clock") * episode, 0.0)


@register("glft")
@dataclass(frozen=True)
class Glft(Deterministic):
    """Stationary quotes of Gueant, Lehalle and Fernandez-Tapia (2013), for orders of `lot` units.

    With gamma' = gamma lot and n = inventory / lot, the bid stands below the mid by
    (1 / gamma') ln(1 + gamma' / kappa) + (2 n + 1) / 2 width, and the ask above it by the same with
    (1 - 2 n), where width = sqrt(sigma^2 gamma' / (2 kappa A) (1 + gamma' / kappa)^(1 + kappa /
    gamma')) (their section 4.3). This is the limit far from the end of the episode and from any
    limit on inventory.

    Parameters
    ----------
    gamma : float
        absolute risk aversion, per unit of money, > 0.
    sigma : float or None
        volatility of the mid price, in money per square root of time; None takes the market's,
        >= 0.
    kappa : float or None
        decay of the order flow per unit of money; None takes the market's, > 0.
    rate : float or None
        A, orders per unit of time and side that trade at the mid price; None takes the
        market's, > 0.
    lot : float
        units of an order, > 0.
    """

    gamma: float = 0.1
    sigma: float | None = None
    kappa: float | None = None
    rate: float | None = None
    lot: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "gamma", 1e-12)
        check_number(self, "lot", 1e-12)
        _optional(self, "sigma", "kappa", "rate")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "offset", "inventory", "reference")
        _known(self, spec, "kappa", spec.order_decay)
        _known(self, spec, "rate", spec.order_rate)
        _risky(self, spec)

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        kappa = spec.order_decay if self.kappa is None else self.kappa
        rate = spec.order_rate if self.rate is None else self.rate
        gamma = self.gamma * self.lot
        # exp and log1p: the power itself loses its digits where gamma is small beside kappa.
        growth = np.exp((1.0 + kappa / gamma) * np.log1p(gamma / kappa))
        squared = variance(spec, observation, self.sigma)
        width = np.sqrt(squared * gamma / (2.0 * kappa * rate) * growth)
        lots = spec.read(observation, "inventory") / self.lot
        return quoted(spec, -lots * width, (2.0 / gamma) * np.log1p(gamma / kappa) + width)


@register("amihud_mendelson")
@dataclass(frozen=True)
class AmihudMendelson(Deterministic):
    """Quotes of Amihud and Mendelson (1980): a dealer with room for so many units.

    Buyers come at the rate D0 - D1 ask, sellers at the rate S0 + S1 bid. Both quotes fall as the
    stock rises (`market.equilibrium.chain.amihud_mendelson`). A full dealer bids what no seller
    takes, -S0 / S1, and an empty one asks what no buyer pays, D0 / D1. Between two whole lots the
    quotes are those of the smaller stock.

    Parameters
    ----------
    demand : tuple of float
        D0 and D1, the units that buyers want per unit of time at a price of 0, and by how much
        that falls per unit of money; both are positive.
    supply : tuple of float
        S0 and S1, the units that sellers offer per unit of time at a price of 0 (negative where
        they have costs), and by how much that rises per unit of money, which is positive.
    capacity : float
        largest stock, in units, a multiple of the lot, > 0; .inf quotes the same at any stock.
    lot : float
        units of an order, > 0.
    """

    demand: tuple[float, float]
    supply: tuple[float, float]
    capacity: float = 10.0
    lot: float = 1.0

    def __post_init__(self) -> None:
        for name in ("demand", "supply"):
            check_numbers(self, name)
            if np.size(getattr(self, name)) != 2:
                raise InputError(
                    f"amihud_mendelson.{name}={getattr(self, name)!r} must be two numbers: a rate "
                    "at a price of 0, and a slope"
                )
        check_number(self, "lot", 1e-12)
        if self.capacity != np.inf:
            check_number(self, "capacity", 1e-12)
            if round(self.capacity / self.lot) * self.lot != self.capacity:
                raise InputError(
                    f"amihud_mendelson.capacity={self.capacity!r} must be a multiple of "
                    f"lot={self.lot!r}"
                )
        quotes_by_stock(self)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "offset", "inventory", "reference")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        asks, bids = quotes_by_stock(self)
        lots = np.floor(spec.read(observation, "inventory") / self.lot)
        stock = np.clip(lots, 0.0, asks.size - 1.0).astype(np.int64)
        ask, bid = asks[stock], bids[stock]
        return quoted(spec, 0.5 * (ask + bid) - spec.read(observation, "reference"), ask - bid)


@lru_cache(maxsize=64)
def quotes_by_stock(policy: AmihudMendelson) -> tuple[Array, Array]:
    """[K + 1] asks and bids at a stock of 0, 1, ... K lots."""
    from mos_agents.market.equilibrium.chain.dealers import amihud_mendelson

    (wanted, falls), (offered, rises) = policy.demand, policy.supply
    lots = policy.capacity / policy.lot
    lots = lots if lots == np.inf else round(lots)
    made = amihud_mendelson(
        (wanted / policy.lot, falls / policy.lot), (offered / policy.lot, rises / policy.lot), lots
    )
    if lots == np.inf:
        return made.asks, made.bids
    return np.r_[wanted / falls, made.asks], np.r_[made.bids, -offered / rises]


def variance(spec: ParticipantSpec, observation: Array, sigma: float | None) -> Array:
    """[B, L_n] variance of the mid price per unit of time, in money squared."""
    mid = spec.read(observation, "reference")
    if sigma is not None:
        return np.full(mid.shape, sigma * sigma)
    money = np.where(spec.sigma_relative, spec.sigma * mid, spec.sigma)
    return money * money


def _optional(policy: Any, *names: str) -> None:
    for name in names:
        if getattr(policy, name) is not None:
            check_number(policy, name, 0.0)
        if name in ("kappa", "rate") and getattr(policy, name) == 0.0:
            raise InputError(f"{policy.kind}.{name}=0.0 must be > 0, or null for the market's own")


def _risky(policy: Any, spec: ParticipantSpec) -> None:
    """InputError where sigma is not given and the price of some own listing has none."""
    if policy.sigma is None and not ((spec.sigma > 0.0) & np.isfinite(spec.sigma)).all():
        raise InputError(
            f"{spec.name}: {policy.kind}.sigma is not given, and a mid price here has no "
            "volatility of its own (constant, redrawn, or moved by a shock only), so that the "
            "quotes would never lean against the inventory; set sigma, in money per square root "
            "of time, or sigma=0 for quotes that do not lean"
        )


def _known(policy: Any, spec: ParticipantSpec, name: str, market: float) -> None:
    if getattr(policy, name) is None and not (np.isfinite(market) and market > 0.0):
        raise InputError(
            f"{spec.name}: {policy.kind}.{name} is not given and this market does not say it; "
            f"set {name}"
        )
