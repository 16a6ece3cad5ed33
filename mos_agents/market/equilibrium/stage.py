"""One tick of price competition as a game: expected profits at everybody's prices.

The profits come from the market's own parts: its demand model's shares, its arrivals' mean mass,
its ledger's fees, at the costs, reference prices, stocks and demand scales before
the first tick. Where stock or the size of quotes limits sales, the mean mass is sold as `Expected`
execution sells it: whoever comes after a seller has run out chooses among the rest. What it costs
to hold stock is left out. Prices are continuous: the tick size and the largest change per move are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from mos_agents.market.execution import sold_in_turn
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.prominence import ShowEverything, seen_shares
from mos_agents.market.stages import Demand, TradeCosts
from mos_agents.market.types import BUY, Array, InputError, IntArray

__all__ = ["PriceGame", "checked_prices", "stage_profits"]

EVERYBODY = -1
"""In place of a participant's number: all of them together."""


def stage_profits(market: Market, prices: Array) -> Array:
    """Compute expected profits of the first tick at given prices.

    Profit is revenue less unit costs, fees and the cost of demand turned away; the platform's
    fees are taken from the others and counted as its own. Nobody sells more
    than its stock and the size of its quotes; single customers are taken as a mass.

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
    trades = game.trades(rows)
    everyone = range(market.layout.N)
    return np.stack([game.earned(n, rows, trades).sum(-1) for n in everyone], axis=-1)


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
    quote_size, capacity : array
        [L] units behind a quote at most, and units that a listing can sell in the tick, which its
        stock may bound as well.
    shortage_cost : float
        Money per unit of demand that is turned away.
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
    quote_size: Array
    capacity: Array
    shortage_cost: float

    @classmethod
    def of(cls, market: Market, bounded: bool = True) -> PriceGame:
        """The game of a market; `bounded` keeps prices above the margin floor of the market's
        rules."""
        game: PriceGame = market.cached(("stage game", bounded), lambda: _made(market, bounded))
        return game

    def trades(self, prices: Array) -> tuple[Array, Array]:
        """[R, L] units sold per tick, and units of demand turned away."""
        rows = len(prices)
        reference = np.empty((rows, self.reference.size))
        reference[:] = self.reference
        everybody = np.ones(reference.shape, np.bool_)
        demand = self.demand.shares(self.market, prices, everybody, reference) * self.mass
        if not self.is_limited or (demand <= self.capacity).all():
            return demand, np.zeros_like(demand)
        layout = self.market.layout
        buyers = np.zeros((rows, layout.G, 2))
        buyers[:, layout.group, BUY] = self.mass
        capacity = np.broadcast_to(self.capacity, demand.shape)
        book = prices, everybody, capacity, reference
        shares = partial(seen_shares, ShowEverything(), None, self.market, self.demand)
        return sold_in_turn(self.market, shares, book, buyers, demand)

    def earned(self, n: int, prices: Array, trades: tuple[Array, Array]) -> Array:
        """[R, L] what participant n (or EVERYBODY) earns from each listing's trades."""
        sold, lost = trades
        money = sold * (self.of_price[n] * prices - self.of_cost[n] * self.cost)
        if self.shortage_cost:
            money -= self.shortage_cost * lost * (self.of_cost[n] > 0.0)
        return money

    def by_group(self, n: int, prices: Array) -> Array:
        """[R, G] what participant n (or EVERYBODY) earns in each choice group."""
        return self.earned(n, prices, self.trades(prices)) @ self._membership

    def profits(self, prices: Array) -> Array:
        """[N] at prices [L]."""
        trades = self.trades(prices[None])
        everyone = range(self.market.layout.N)
        return np.array([self.earned(n, prices[None], trades).sum() for n in everyone])

    @cached_property
    def is_limited(self) -> bool:
        """Whether stock or the size of quotes bounds what somebody can sell."""
        return bool(np.isfinite(self.capacity).any())

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
    if (rule := market.execution.prominence_rule()) is not None:
        raise InputError(
            f"market {market.name!r} has a rule of prominence ({type(rule).__name__}), and "
            "benchmarks of theory know every offer as shown: set "
            "execution.prominence.kind=everything"
        )
    demand = market.execution.demand_model()
    if demand is None:
        raise InputError(
            f"execution {type(market.execution).__name__} has no demand model to compute profits "
            "from: use Expected or Sampled (where there are several venues, ask each one's market)"
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
        commission = fee
        if unit_fee and (layout.seller != collector).any():
            raise InputError(
                f"unit_fee={unit_fee!r} goes to a platform here, and the benchmarks of theory know "
                "of no such payment: use fee"
            )
    if commission != 0.0:
        others = layout.seller != collector
        of_price[:-1, others] *= 1.0 - commission
        of_price[collector, others] = commission
    sellable = market.positions.capacity(market, opening.positions)[0][0]
    if "size" in market.quotes.features:
        size = limits[1][:, market.quotes.features.index("size")]
    else:
        size = opening.quotes.ask_size[0]
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
        size,
        np.minimum(sellable, size),
        float(charges.shortage_cost),
    )
