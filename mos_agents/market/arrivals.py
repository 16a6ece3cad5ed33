"""Arrivals of demand: a fixed mass, Poisson orders or self-exciting order flow.

Sessions that browse are in `browsing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.market.checks import within_floats
from mos_agents.market.counts import (
    MOST_ORDERS,
    add_orders,
    check_orders,
    grown,
    poisson_counts,
    poisson_mass,
)
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.stages import ArrivalProcess
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, Arrivals, InputError, IntArray, Quotes, State

# Every process also knows its mean, for benchmarks of theory: `mean_mass(market, scale)` is [G],
# the units that buyers want in a tick on average at demand scales [G].

_NONE = np.empty(0)
_NO_INDEX = np.empty(0, np.int64)


def needs(name: str, value: float, low: float, high: float = np.inf) -> None:
    """InputError unless the parameter lies in [low, high]."""
    if not low <= value <= high or np.isnan(value):
        allowed = f">= {low:g}" if high == np.inf else f"in [{low:g}, {high:g}]"
        raise InputError(f"{name}={value!r} must be {allowed}")


def _sides_are_read(market: Market, buy: float, sell: float) -> None:
    """InputError for customers of a kind that nobody here trades with."""
    if sell > 0.0 and not market.bids:
        raise InputError(
            f"arrivals.sell={sell:.10g} changes nothing here: nobody buys from "
            "customers; leave it out"
        )
    if buy > 0.0 and not market.asks:
        raise InputError(
            f"arrivals.buy={buy:.10g} changes nothing here: an auction sells what "
            "arrives on the selling side; set arrivals.buy=0, and "
            "arrivals.sell"
        )
    if sell == 0.0 and not market.asks:
        raise InputError(
            "arrivals.sell=0: nothing would ever be auctioned; set arrivals.sell, the "
            "units of every item"
        )


@dataclass(frozen=True)
@within_floats
class FixedMass(ArrivalProcess):
    """The same outside demand at every tick.

    Parameters
    ----------
    buy : float
        units that buyers want, per tick and choice group, >= 0.
    sell : float
        units that sellers offer to bidders and dealers, per tick and choice group, >= 0.
    """

    ignores_quotes: ClassVar[bool] = True

    buy: float = 1.0
    sell: float = 0.0

    def __post_init__(self) -> None:
        needs("buy", self.buy, 0.0)
        needs("sell", self.sell, 0.0)

    def validate(self, market: Market) -> None:
        _sides_are_read(market, self.buy, self.sell)

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        mass, looks, start = fixed_mass(state.demand_scale, self.buy, self.sell)
        bulk = Arrivals(mass, looks, start, _NO_INDEX, _NO_INDEX, _NONE, _NONE)
        return bulk, state.excitation

    def order_rate(self, market: Market, share: float) -> float:
        return float(self.buy) * share / market.dt

    def mean_mass(self, market: Market, scale: Array) -> Array:
        return self.buy * scale

    def mean_orders(self, market: Market) -> float:
        units = market.layout.G * (self.buy + self.sell)
        return 0.0 if market.execution.trades_mass else units

    def reads_time_step(self) -> bool:
        return type(self) is not FixedMass


@dataclass(frozen=True)
@within_floats
class Poisson(ArrivalProcess):
    """Independent orders at the same rate at all times.

    Sizes are those of `Hawkes`: exponential, rounded up to whole lots; the default is one unit. At
    rates buy = sell = mu / (1 - alpha / beta) and the same sizes the mean volume is that of Hawkes
    orders.

    Parameters
    ----------
    buy : float
        orders of buyers, per unit of time and choice group, >= 0.
    sell : float
        orders of sellers, per unit of time and choice group, >= 0.
    mean_size : float
        mean size of an order before it is rounded, in units; 0 makes every order one lot, >= 0.
    lot : float
        units of a lot, to which sizes are rounded up; 0 leaves them as drawn, >= 0.
    """

    ignores_quotes: ClassVar[bool] = True

    buy: float = 1.0
    sell: float = 0.0
    mean_size: float = 0.0
    lot: float = 1.0

    def __post_init__(self) -> None:
        needs("buy", self.buy, 0.0)
        needs("sell", self.sell, 0.0)
        needs("mean_size", self.mean_size, 0.0)
        needs("lot", self.lot, 0.0)
        if self.mean_size == self.lot == 0.0:
            raise InputError("mean_size=0.0, lot=0.0: orders have no size; give one of them")

    def validate(self, market: Market) -> None:
        _sides_are_read(market, self.buy, self.sell)
        self._check(market, float(market.layout.G))

    def _check(self, market: Market, scale: float, tick: int | None = None) -> None:
        """scale: the demand scales of a market's choice groups together."""
        orders = (self.buy + self.sell) * market.dt * scale
        moved = grown(scale / market.layout.G, tick)
        check_orders(
            f"buy={self.buy!r}, sell={self.sell!r}{moved}", orders, "lower buy, sell or dt"
        )

    @property
    def _single(self) -> bool:
        """Whether every order is one unit: then the numbers of orders say all."""
        return self.mean_size == 0.0 and self.lot == 1.0

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        scale = state.demand_scale
        uniforms = draws.uniforms("arrivals", scale.shape[1] * 2)
        buy, sell = self.buy * market.dt, self.sell * market.dt
        mass, looks, start, large = poisson_mass(scale, uniforms, buy, sell)
        if large:
            self._check(market, float(scale.sum(axis=1).max()), state.tick)
            rates = scale[:, :, None] * np.array([buy, sell])
            mass = poisson_counts(rates, uniforms.reshape(rates.shape))
            looks = mass.sum(-1)
        if not self._single:
            return self._sized(market, mass, draws), state.excitation
        bulk = Arrivals(mass, looks, start, _NO_INDEX, _NO_INDEX, _NONE, _NONE)
        return bulk, state.excitation

    def _sized(self, market: Market, counts: Array, draws: Draws) -> Arrivals:
        """Orders [B, G, 2] one by one, in the order of their times, each with its size."""
        batch, groups, _ = counts.shape
        per_market = counts.reshape(batch, -1)
        self._check_drawn(per_market)
        start = np.concatenate(([0], np.cumsum(per_market.sum(axis=1)))).astype(np.int64)
        cell = np.repeat(np.arange(per_market.size), per_market.ravel().astype(np.int64))
        market_of = cell // (groups * 2)
        order = np.lexsort((draws.ragged("times", start), market_of))
        group, side = np.divmod(cell[order] % (groups * 2), 2)
        return sized(batch, groups, start, group, side, self.mean_size, self.lot, draws)

    def _check_drawn(self, counts: Array) -> None:
        most = float(counts.sum(axis=1).max())
        if not most <= 2.0 * MOST_ORDERS:  # numbers that are drawn scatter around their means
            check_orders(f"buy={self.buy!r}, sell={self.sell!r}", most, "lower buy, sell or dt")

    def order_rate(self, market: Market, share: float) -> float:
        return float(self.buy) * share

    def mean_mass(self, market: Market, scale: Array) -> Array:
        return self.buy * market.dt * mean_order(self.mean_size, self.lot) * scale

    def mean_orders(self, market: Market) -> float:
        return market.layout.G * market.dt * (self.buy + self.sell)


@dataclass(frozen=True)
@within_floats
class Hawkes(ArrivalProcess):
    """Order flow that excites itself: intensity mu + alpha sum exp(-beta (t - t_i)), per side.

    Both sides of every instrument run their own process; sizes are exponential with mean
    `mean_size`, rounded up to whole lots of `lot` (0 leaves them as drawn). Simulated exactly, not
    on a grid, by the two-exponential decomposition of Dassios and Zhao (2013). The stationary rate
    is mu / (1 - alpha / beta); the market opens in it.

    Parameters
    ----------
    mu : float
        base rate, orders per unit of time and side of an instrument, >= 0.
    alpha : float
        by how much one order lifts the rate of further ones, per unit of time, >= 0 and < beta.
    beta : float
        decay of that excitement, per unit of time, > 0.
    mean_size : float
        mean size of an order before it is rounded, in units, > 0.
    lot : float
        units of a lot, to which sizes are rounded up, >= 0.
    """

    ignores_quotes: ClassVar[bool] = True

    mu: float = 20.0
    alpha: float = 0.5
    beta: float = 1.0
    mean_size: float = 10.0
    lot: float = 1.0

    def __post_init__(self) -> None:
        needs("mu", self.mu, 0.0)
        needs("alpha", self.alpha, 0.0)
        needs("lot", self.lot, 0.0)
        if not 0.0 < self.beta < np.inf or self.alpha >= self.beta:
            raise InputError(
                f"alpha={self.alpha!r}, beta={self.beta!r} must have 0 <= alpha < beta: "
                "with alpha >= beta the order flow explodes"
            )
        if not 0.0 < self.mean_size < np.inf:
            raise InputError(f"mean_size={self.mean_size!r} must be > 0 units")

    def opening_excitation(self, market: Market) -> float:
        """Stationary mean of the intensity above mu."""
        return self.mu / (1.0 - self.alpha / self.beta) - self.mu

    def order_rate(self, market: Market, share: float) -> float:
        return (float(self.mu) + self.opening_excitation(market)) * share

    def validate(self, market: Market) -> None:
        self._check(market, float(market.layout.G))

    def _check(self, market: Market, scale: float, tick: int | None = None) -> None:
        """scale: the demand scales of a market's instruments together."""
        orders = market.dt * self.mu / (1.0 - self.alpha / self.beta) * scale * 2
        moved = grown(scale / market.layout.G, tick)
        remedy = "lower mu or dt, or draw alpha away from beta"
        check_orders(f"mu={self.mu!r}{moved}", orders, remedy)

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        batch, groups = state.demand_scale.shape
        mean = market.dt * (self.mu + self.opening_excitation(market)) * groups * 2
        width = int(2 * (mean + 6.0 * np.sqrt(mean)) + 4 * groups) + 8
        while True:  # a longer table repeats the shorter one, so its length changes no number
            drawn = hawkes_events(
                draws.uniforms("arrivals", width),
                state.excitation,
                state.demand_scale,
                self.mu,
                self.alpha,
                self.beta,
                market.dt,
            )
            if drawn[-1]:
                break
            self._check(market, float(state.demand_scale.sum(axis=1).max()), state.tick)
            width *= 2
            if (
                width > 8 * MOST_ORDERS
            ):  # excitation that somebody set: at most two numbers an order
                check_orders(f"alpha={self.alpha!r}", width / 4, "draw alpha away from beta")
        excitation, start, group, side, _, _ = drawn
        sizes = self.mean_size, self.lot
        return sized(batch, groups, start, group, side, *sizes, draws), excitation

    def mean_mass(self, market: Market, scale: Array) -> Array:
        # In the stationary state.
        rate = self.mu / (1.0 - self.alpha / self.beta)
        return rate * market.dt * mean_order(self.mean_size, self.lot) * scale

    def mean_orders(self, market: Market) -> float:
        return 2.0 * market.layout.G * market.dt * self.mu / (1.0 - self.alpha / self.beta)


def sized(
    batch: int,
    groups: int,
    start: IntArray,
    group: IntArray,
    side: IntArray,
    mean_size: float,
    lot: float,
    draws: Draws,
) -> Arrivals:
    """Orders in time order, with exponential sizes rounded up to whole lots (0: as drawn)."""
    size = -mean_size * np.log1p(-draws.ragged("sizes", start))
    if lot > 0.0:
        size = np.maximum(np.ceil(size / lot), 1.0) * lot
    mass = np.zeros((batch, groups, 2))
    market_of = np.repeat(np.arange(batch), np.diff(start))
    add_orders(mass, market_of, group, side, size)
    return Arrivals(mass, mass.sum(-1), start, group, side, size, np.ones(group.size))


def mean_order(mean_size: float, lot: float) -> float:
    """The mean size of an order; an exponential one rounded up to whole lots is geometric."""
    if lot == 0.0:
        return mean_size
    return lot if mean_size == 0.0 else float(lot / -np.expm1(-lot / mean_size))


@kernel
def fixed_mass(scale, buy, sell):  # type: ignore[no-untyped-def]
    """Mass [B, G, 2], exposure [B, G] and start [B + 1] without single arrivals."""
    batch, groups = scale.shape
    mass, exposure = np.empty((batch, groups, 2)), np.empty((batch, groups))
    for b in range(batch):
        for g in range(groups):
            mass[b, g, 0], mass[b, g, 1] = scale[b, g] * buy, scale[b, g] * sell
            exposure[b, g] = mass[b, g, 0] + mass[b, g, 1]
    return mass, exposure, np.zeros(batch + 1, np.int64)


@kernel
def hawkes_events(uniforms, excitation, scale, mu, alpha, beta, dt):  # type: ignore[no-untyped-def]
    """Events of every side of every group in one tick, in time order within each market.

    Returns excitation at the tick's end [B, G, 2], start [B + 1], group, side and time [E], and
    whether the uniforms sufficed.
    """
    batch, groups = scale.shape
    width = uniforms.shape[1]
    after = np.empty_like(excitation)
    start = np.zeros(batch + 1, np.int64)
    most = batch * (width // 2 + 1)
    group, side = np.empty(most, np.int64), np.empty(most, np.int64)
    time = np.empty(most)
    e = 0
    for b in range(batch):
        drawn = 0
        for g in range(groups):
            base = mu * scale[b, g]
            for s in range(2):
                t, excess = 0.0, excitation[b, g, s]
                while True:
                    if drawn + 2 > width:
                        return after, start, group[:0], side[:0], time[:0], False
                    wait = np.inf
                    if base > 0.0:
                        wait = -np.log1p(-uniforms[b, drawn]) / base
                    if excess > 0.0:
                        left = 1.0 + beta * np.log1p(-uniforms[b, drawn + 1]) / excess
                        if left > 0.0:
                            wait = min(wait, -np.log(left) / beta)
                    drawn += 2
                    if t + wait > dt:
                        after[b, g, s] = excess * np.exp(-beta * (dt - t))
                        break
                    t += wait
                    excess = excess * np.exp(-beta * wait) + alpha
                    group[e], side[e], time[e] = g, s, t
                    e += 1
        start[b + 1] = e
        first = start[b]
        if e - first > 1:
            order = np.argsort(time[first:e], kind="mergesort")
            group[first:e] = group[first:e][order]
            side[first:e] = side[first:e][order]
            time[first:e] = time[first:e][order]
    return after, start, group[:e].copy(), side[:e].copy(), time[:e].copy(), True
