"""One tick of price competition as a game: expected profits at everybody's prices.

The profits come from the market's own parts: its demand model's shares, its arrivals' mean mass,
its ledger's commission and fees, at the costs, reference prices and demand scales before the
first tick. Nobody is sold out, and what it costs to hold stock does not depend on prices. Prices
are continuous: the tick size and the largest change per move are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.stages import Demand, TradeCosts
from mos_agents.market.types import Array, InputError, IntArray

__all__ = ["PriceGame", "checked_prices", "stage_profits"]

EVERYBODY = -1
"""In place of a participant's number: all of them together."""


def stage_profits(market: Market, prices: Array) -> Array:
    """Compute expected profits at given prices, with nobody sold out.

    Profit is revenue less unit costs and fees; the platform's commission and its fees are taken
    from the others and counted as its own.

    Parameters
    ----------
    market : Market
        With posted prices, a demand model, and arrivals that have a mean.
    prices : array [R, L]
        Money per unit.

    Returns
    -------
    array [R, N]
        Money per tick.

    Raises
    ------
    InputError
        For another kind of market, and for prices that are not finite or of another shape.
    """
    game = PriceGame.of(market)
    rows = checked_prices(market, prices, "prices", rows=True)
    sold = game.quantities(rows)
    return np.stack([game.earned(n, rows, sold).sum(-1) for n in range(market.layout.N)], axis=-1)


def checked_prices(market: Market, prices: Array, name: str, rows: bool = False) -> Array:
    """The prices as float64 of shape [L], or [R, L] with `rows`; InputError otherwise."""
    try:
        array = np.ascontiguousarray(prices, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be numbers, one a listing") from None
    size = market.layout.L
    if array.ndim != 1 + rows or array.shape[-1] != size:
        wanted = f"(rows, {size})" if rows else f"({size},)"
        raise InputError(f"{name} of shape {array.shape} must be {wanted}: one price a listing")
    if not np.isfinite(array).all() or (array < 0.0).any():
        worst = array[~(np.isfinite(array) & (array >= 0.0))][0]
        raise InputError(f"{name} has a value {worst:g}: prices must be finite and >= 0")
    return array


@short_repr
@dataclass(frozen=True, eq=False)
class PriceGame:
    """The market before its first tick, seen as a game in prices.

    Parameters
    ----------
    cost, reference, mass : array
        [L] unit cost, reference price, and units wanted in the listing's group. Where fees go
        to the outside world, a unit costs what has to be asked to be left with its cost.
    low, high : array
        [L] lowest and highest price.
    of_price, of_cost : array
        [N + 1, L] what a participant gets of the price of a unit sold, and how much of its cost
        it bears; the last row is everybody.
    commission : float
        share of the price that goes to the platform, fees included; 0 where there is none.
    """

    market: Market
    demand: Demand
    cost: Array
    reference: Array
    mass: Array
    low: Array
    high: Array
    of_price: Array
    of_cost: Array
    commission: float

    @classmethod
    def of(cls, market: Market, bounded: bool = True) -> PriceGame:
        """The game of a market; `bounded` keeps prices above the margin floor of the market's
        rules."""
        game: PriceGame = market.cached(("stage game", bounded), lambda: _made(market, bounded))
        return game

    def quantities(self, prices: Array) -> Array:
        """[R, L] units sold per tick."""
        rows = len(prices)
        reference = np.empty((rows, self.reference.size))
        reference[:] = self.reference
        everybody = np.ones(reference.shape, np.bool_)
        return self.demand.shares(self.market, prices, everybody, reference) * self.mass

    def earned(self, n: int, prices: Array, sold: Array) -> Array:
        """[R, L] what participant n (or EVERYBODY) earns from each listing's sales."""
        return sold * (self.of_price[n] * prices - self.of_cost[n] * self.cost)

    def by_group(self, n: int, prices: Array) -> Array:
        """[R, G] what participant n (or EVERYBODY) earns in each choice group."""
        return self.earned(n, prices, self.quantities(prices)) @ self._membership

    def profits(self, prices: Array) -> Array:
        """[N] at prices [L]."""
        sold = self.quantities(prices[None])
        everyone = range(self.market.layout.N)
        return np.array([self.earned(n, prices[None], sold).sum() for n in everyone])

    def own(self, n: int) -> IntArray:
        """Listings of participant n, or of EVERYBODY."""
        return np.flatnonzero(self.of_cost[n])

    def slots(self, n: int) -> list[IntArray]:
        """Listings of participant n (or EVERYBODY) as rows [G]: one a group, -1 where none is left.

        Choice groups do not touch each other, so the listings of one row can be varied together.
        """
        layout = self.market.layout
        table: list[IntArray] = []
        filled = np.zeros(layout.G, np.int64)
        for i in self.own(n):
            g = layout.group[i]
            if filled[g] == len(table):
                table.append(np.full(layout.G, -1))
            table[filled[g]][g] = i
            filled[g] += 1
        return table

    @cached_property
    def sellers(self) -> list[int]:
        """Participants with something to price."""
        layout = self.market.layout
        return [n for n in range(layout.N) if layout.first[n] < layout.first[n + 1]]

    @cached_property
    def worth_of_a_unit(self) -> Array:
        """[L] the price at which a sale leaves its seller nothing: cost over what it keeps."""
        own = self.market.layout.seller, np.arange(self.cost.size)
        return self.of_cost[own] * self.cost / self.of_price[own]

    @cached_property
    def floor(self) -> Array:
        """[L] the lowest price that is allowed and loses nothing."""
        return np.clip(self.worth_of_a_unit, self.low, self.high)

    @cached_property
    def scale(self) -> Array:
        """[G] the size of prices in a group: its largest reference price or floor."""
        scale = np.zeros(self.market.layout.G)
        np.maximum.at(scale, self.market.layout.group, np.maximum(self.reference, self.floor))
        return np.where(scale > 0.0, scale, 1.0)

    @cached_property
    def _membership(self) -> Array:
        """[L, G] one where the listing belongs to the group."""
        layout = self.market.layout
        return (layout.group[:, None] == np.arange(layout.G)).astype(np.float64)


def _made(market: Market, bounded: bool) -> PriceGame:
    layout = market.layout
    if "price" not in market.quotes.features:
        raise InputError(
            f"market {market.name!r} quotes {'/'.join(market.quotes.features)}: benchmarks of "
            "theory need posted prices in all of the market (use PostedPrice)"
        )
    demand = market.execution.demand_model()
    if demand is None:
        raise InputError(
            f"execution {type(market.execution).__name__} has no demand model to compute profits "
            "from: use Expected or Sampled (of a composite market, ask each venue's own market)"
        )
    opening = market.start(1)
    mass = np.asarray(market.arrivals.mean_mass(market, opening.demand_scale[0]), np.float64)
    if not (mass > 0.0).any():
        raise InputError("arrivals bring no buyers: profits are 0 at all prices")
    limits = market.quotes.limits(market)
    column = market.quotes.features.index("price")
    low, high = limits[0][:, column], limits[1][:, column]
    cost = opening.cost[0]
    if bounded:
        low = np.maximum(low, market.quotes.floor(market, cost))
        high = np.maximum(high, low)  # the floor wins, as it does in play
    own = layout.seller == np.arange(layout.N)[:, None]
    of_price, of_cost = np.ones((2, layout.N + 1, layout.L))
    of_price[:-1] = of_cost[:-1] = own
    collector = market.collector
    charges = market.positions.trade_costs() or TradeCosts()
    fee, unit_fee = float(charges.fee), float(charges.unit_fee)
    if collector < 0:
        # (1 - f) p - c - u = (1 - f) (p - (c + u) / (1 - f)): another cost, and a smaller scale.
        cost = (cost + unit_fee) / (1.0 - fee)
        of_price *= 1.0 - fee
        of_cost *= 1.0 - fee
        commission = 0.0
    else:
        commission = float(charges.commission) + fee
        if unit_fee and (layout.seller != collector).any():
            raise InputError(
                f"unit_fee={unit_fee!r} goes to a platform here, and the benchmarks of theory know "
                "of no such payment: use fee or commission"
            )
    if commission != 0.0:
        others = layout.seller != collector
        of_price[:-1, others] *= 1.0 - commission
        of_price[collector, others] = commission
    return PriceGame(
        market,
        demand,
        cost,
        market.marks_of_listings(opening.reference)[0],
        mass[layout.group],
        low,
        high,
        of_price,
        of_cost,
        commission,
    )
