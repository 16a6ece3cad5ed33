"""How many arrive: whole numbers around a mean, Poisson numbers, bulk demand unit by unit."""

from __future__ import annotations

import numpy as np
from scipy.special import pdtrik

from mos_agents.market.kernels import kernel
from mos_agents.market.streams import Draws
from mos_agents.market.types import BUY, SELL, Array, Arrivals, InputError

MOST_ORDERS = 1e6
"""Single orders, sessions' views or units of a tick that are played in one market."""


def check_orders(cause: str, orders: float, remedy: str) -> None:
    """InputError where something makes more orders a tick and market than are played."""
    if not 0.0 <= orders <= MOST_ORDERS:
        raise InputError(
            f"{cause} makes {orders:.3g} orders a tick and market, at most {MOST_ORDERS:.0e} are "
            f"played: {remedy}".replace("1e+06", "1e6")
        )


def grown(scale: float, tick: int | None) -> str:
    """What a message says of a demand scale that moved during play; nothing before it."""
    return "" if tick is None else f" at tick {tick}, where demand has grown {scale:.3g} times,"


def whole(mean: Array, uniforms: Array) -> Array:
    """Whole numbers around `mean`: 2.4 is two, and a third with probability 0.4."""
    counts: Array = np.floor(mean) + (uniforms < mean - np.floor(mean))
    return counts


def poisson_counts(rates: Array, uniforms: Array) -> Array:
    """Poisson numbers by inversion, so that a higher rate never gives fewer arrivals."""
    counts = np.empty(rates.shape)
    _poisson_inverse(rates.ravel(), uniforms.ravel(), counts.ravel())
    large = rates > 400.0
    if large.any():
        counts[large] = np.ceil(np.maximum(pdtrik(uniforms[large], rates[large]), 0.0))
    return counts


def in_units(arrivals: Arrivals, draws: Draws) -> Arrivals:
    """Bulk demand in whole units, with `start` where each market's would stand in a list of all."""
    mass = arrivals.mass
    start = np.empty(len(mass) + 1, np.int64)
    counted = count_units(mass, start)
    if counted == NOT_WHOLE:
        parts = draws.uniforms("parts", mass.shape[1] * 2).reshape(mass.shape)
        mass = whole(mass, parts)
        counted = count_units(mass, start)
    if counted != COUNTED:
        most = float(mass.sum(axis=(1, 2)).max())
        check_orders("demand that comes unit by unit", most, FEWER_UNITS)
        raise InputError(f"demand of {most:g} units cannot be dealt out: it must be a number")
    return Arrivals(mass, arrivals.exposure, start, *arrivals[3:])


def one_by_one(arrivals: Arrivals, draws: Draws) -> Arrivals:
    """Split bulk demand into single customers of one unit, buyers and sellers in turn."""
    mass, exposure, start = in_units(arrivals, draws)[:3]
    group, side = np.empty((2, int(start[-1])), np.int64)
    list_units(mass, start, group, side)
    ones = np.ones(group.size)
    return Arrivals(mass, exposure, start, group, side, ones, ones, arrivals.returning)


@kernel
def poisson_mass(scale, uniforms, buy, sell):  # type: ignore[no-untyped-def]
    """As `fixed_mass` with Poisson numbers, and whether a rate was too large for that."""
    batch, groups = scale.shape
    mass, exposure = np.empty((batch, groups, 2)), np.empty((batch, groups))
    # Rates are mostly alike: the quantiles of the last one are kept, and counted without a branch,
    # the rarer ones only where all of the first are passed.
    table, length, last, large = np.empty(64), 0, -1.0, False
    for b in range(batch):
        for g in range(groups):
            for s in (BUY, SELL):
                rate, uniform = scale[b, g] * (buy if s == BUY else sell), uniforms[b, 2 * g + s]
                if rate > 400.0:
                    large = True
                    continue
                if rate > 8.0:
                    mass[b, g, s] = _inverse(rate, np.exp(-rate), uniform)
                    continue
                if rate != last:
                    last, length = rate, _quantiles(rate, table)
                count = 0
                for k in range(min(length, 4)):
                    count += uniform >= table[k]
                if count == 4:
                    for k in range(4, length):
                        count += uniform >= table[k]
                mass[b, g, s] = count
            exposure[b, g] = mass[b, g, BUY] + mass[b, g, SELL]
    return mass, exposure, np.zeros(batch + 1, np.int64), large


@kernel
def _quantiles(rate, table):  # type: ignore[no-untyped-def]
    """Fill in the cumulative Poisson probabilities that `_inverse` would meet; how many."""
    probability = cumulative = np.exp(-rate)
    k = 0
    while k < rate or probability > 1e-18:
        table[k] = cumulative
        k += 1
        probability *= rate / k
        cumulative += probability
    return k


@kernel
def _poisson_inverse(rates, uniforms, counts):  # type: ignore[no-untyped-def]
    for i in range(rates.shape[0]):
        if rates[i] <= 400.0:  # beyond, exp(-rate) would soon underflow
            counts[i] = _inverse(rates[i], np.exp(-rates[i]), uniforms[i])


@kernel
def _inverse(rate, none, uniform):  # type: ignore[no-untyped-def]
    """The Poisson number at a quantile, given the probability of none."""
    k, probability, cumulative = 0, none, none
    # Rounding can leave the cumulative just below 1: the tail's end is where terms vanish.
    while uniform >= cumulative and (k < rate or probability > 1e-18):
        k += 1
        probability *= rate / k
        cumulative += probability
    return k


NOT_WHOLE, COUNTED, TOO_MANY_UNITS = range(3)
"""What `count_units` found."""
TOO_MANY = 2 * MOST_ORDERS  # counts that are drawn scatter around their means
FEWER_UNITS = "lower the arrivals' rate, dt or the demand's scale, or use expected execution"


@kernel
def count_units(mass, start):  # type: ignore[no-untyped-def]
    """Where each market's units start, into start [B + 1]; whether they could be counted."""
    start[0] = 0
    for b in range(mass.shape[0]):
        total = 0.0
        for g in range(np.uint64(mass.shape[1])):
            buys, sells = mass[b, g, BUY], mass[b, g, SELL]
            if buys != np.floor(buys) or sells != np.floor(sells):
                return NOT_WHOLE
            total += buys + sells
        if not total <= TOO_MANY:
            return TOO_MANY_UNITS
        start[b + 1] = start[b] + np.int64(total)
    return COUNTED


@kernel
def units_of(mass, b, g):  # type: ignore[no-untyped-def]
    """How many units a group has, how many of them take turns (buyers first), the rest's side."""
    buys, sells = np.int64(mass[b, g, BUY]), np.int64(mass[b, g, SELL])
    return buys + sells, 2 * min(buys, sells), 1 if sells > buys else 0


@kernel
def list_units(mass, start, group, side):  # type: ignore[no-untyped-def]
    """Group and side of each unit of all markets, group by group."""
    for b in range(mass.shape[0]):
        e = start[b]
        for g in range(mass.shape[1]):
            number, in_turn, rest = units_of(mass, b, g)
            for unit in range(number):
                group[e] = g
                side[e] = unit & 1 if unit < in_turn else rest
                e += 1


@kernel
def add_orders(mass, market_of, group, side, size):  # type: ignore[no-untyped-def]
    """Add the sizes of single orders to the mass [B, G, 2], in their order."""
    for e in range(size.shape[0]):
        mass[market_of[e], group[e], side[e]] += size[e]
