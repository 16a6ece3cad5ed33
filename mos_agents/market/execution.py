"""How arrivals become trades: expected or sampled choice among posted prices, sealed-bid auctions.

Orders against two-sided quotes are in `dealing`.

Stock is respected in time order: once a seller is sold out, later customers choose again among the
rest. `demand` counts first choices with stock set aside; `lost` is the part of it turned away, so
that no seller sells less than `demand - lost`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.checks import within_floats
from mos_agents.market.counts import FEWER_UNITS, check_orders, one_by_one
from mos_agents.market.demand import Linear, check_shape, somebody_buys
from mos_agents.market.filling import (
    NO_CHANCES,
    ROUNDING,
    auction_units,
    sell_until_sold_out,
    serve,
    serve_first,
)
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.prominence import ShowEverything, seen_shares, shown_offers
from mos_agents.market.stages import Demand, ExecutionRule, Prominence, Shown
from mos_agents.market.streams import Draws, PrefixedDraws, source
from mos_agents.market.surplus import shopper_surplus
from mos_agents.market.types import (
    BUY,
    SELL,
    Array,
    Arrivals,
    Executions,
    Info,
    InputError,
    Quotes,
    State,
)


@dataclass(frozen=True)
class ShopperChoice(ExecutionRule):
    """Trades of shoppers who choose among posted prices: what `Expected` and `Sampled` share.

    Parameters
    ----------
    demand : Demand
        the demand model, which gives the chance of each offer.
    prominence : Prominence
        which offers shoppers see first.
    """

    serves_returning: ClassVar[bool] = True

    demand: Demand
    prominence: Prominence = field(default_factory=ShowEverything)

    def validate(self, market: Market) -> None:
        needs_quotes(market, "price", "posted prices")
        self.prominence.validate(market)
        somebody_buys(market, self.demand)

    @property
    def choice(self) -> str:
        return self.demand.choice

    def demand_model(self) -> Demand | None:
        return None if self.prominence.is_active else self.demand

    def prominence_rule(self) -> Prominence | None:
        return self.prominence if self.prominence.is_active else None

    def memory(self, market: Market) -> Mapping[str, Array]:
        return self.prominence.memory(market)

    def remember(
        self, market: Market, state: State, info: Info, draws: Draws
    ) -> Mapping[str, Array]:
        return self.prominence.remember(market, state, info, draws)

    def surplus(
        self,
        market: Market,
        state: State,
        quotes: Quotes,
        arrivals: Arrivals,
        executions: Executions,
    ) -> Array | None:
        view = market, self.demand, self.prominence
        return shopper_surplus(*view, state, quotes, arrivals, executions)

    def has_surplus(self, market: Market) -> bool:
        def known() -> bool:
            prices = np.ascontiguousarray(market.opening_prices[None])
            offered = np.ones(prices.shape, np.bool_)
            return self.demand.surplus(market, prices, offered, prices) is not None

        return bool(market.cached("surplus", known))

    def shown(
        self, market: Market, state: State, quotes: Quotes, room: Array, draws: Draws
    ) -> Shown | None:
        """What shoppers see of the offers that can be bought; None: everything."""
        if not self.prominence.is_active:
            return None
        offered = (quotes.ask_size > 0.0) & (room > 0.0)
        return shown_offers(self.prominence, market, state, quotes, offered, draws)

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        room = market.positions.capacity(market, state.positions)[0]
        shown = self.shown(market, state, quotes, room, draws)
        view = self.prominence, shown, market, self.demand
        reference = market.marks_of_listings(state.reference)
        offers = TickOffers(quotes.ask, quotes.ask_size > 0.0, quotes.ask_size, room, reference)
        if arrivals.returning is None:
            price = quotes.ask
            sold, demand, lost = self.serve(view, offers, arrivals, draws)
        else:
            standing = market.arrivals.standing_prices(market, state, quotes)
            sold, price, demand, lost = self._serve_both(view, offers, standing, arrivals, draws)
        nothing, prominent = np.zeros_like(sold), _prominent(shown)
        return Executions(sold, price, nothing, quotes.bid, demand, lost, prominent)

    @abstractmethod
    def serve(
        self, view: View, offers: TickOffers, arrivals: Arrivals, draws: Draws
    ) -> tuple[Array, Array, Array]:
        """Units sold, units chosen first, and those of them turned away, [B, L] each."""

    def _serve_both(
        self, view: View, offers: TickOffers, standing: Array, arrivals: Arrivals, draws: Draws
    ) -> tuple[Array, Array, Array, Array]:
        """Serve those who return, at the prices that stand for them, and then everybody else.

        Returns units sold, the mean price, units chosen first, and those of them turned away.
        """
        assert arrivals.returning is not None
        mass = np.zeros(arrivals.mass.shape)
        mass[:, :, BUY] = arrivals.returning[:, :, 0]
        start = np.zeros(len(mass) + 1, np.int64)
        nobody, nothing = np.empty(0, np.int64), np.empty(0)
        back = Arrivals(mass, arrivals.exposure, start, nobody, nobody, nothing, nothing)
        own_draws = PrefixedDraws(draws, "returning ")
        early = self.serve(view, offers._replace(price=standing), back, own_draws)
        left = offers._replace(size=offers.size - early[0], room=offers.room - early[0])
        late = self.serve(view, left, arrivals, draws)
        sold = np.minimum(early[0] + late[0], np.minimum(offers.size, offers.room))
        revenue = early[0] * standing + late[0] * offers.price
        mixed = (sold > 0.0) & (standing != offers.price)
        price = np.where(mixed, revenue / np.where(mixed, sold, 1.0), offers.price)
        return sold, price, early[1] + late[1], early[2] + late[2]


View = tuple[Prominence, Shown | None, Market, Demand]
"""How shoppers see offers: the first arguments of `seen_shares`."""


@short_repr
class TickOffers(NamedTuple):
    """The offers of a tick, [B, L] each."""

    price: Array
    offered: NDArray[np.bool_]
    size: Array  # units offered
    room: Array  # units that can be sold
    reference: Array  # reference prices


@dataclass(frozen=True)
@within_floats
class Expected(ShopperChoice):
    """Trades of a crowd on average: shares times mass, as in the repeated-game literature.

    Stock runs out in the middle of a tick: from that moment on the rest of the mass chooses among
    the sellers left (the fluid limit of `Sampled`).

    Parameters
    ----------
    demand : Demand
        the demand model, which gives the chance of each offer.
    prominence : Prominence
        which offers shoppers see first.
    """

    trades_mass: ClassVar[bool] = True

    def serve(
        self, view: View, offers: TickOffers, arrivals: Arrivals, draws: Draws
    ) -> tuple[Array, Array, Array]:
        market, reference = view[2], offers.reference
        capacity = np.minimum(offers.size, offers.room)
        first = seen_shares(*view, offers.price, offers.offered, reference)
        demand = first * arrivals.mass[:, market.layout.group, BUY]
        if (demand <= capacity).all():
            return demand, demand, np.zeros_like(demand)
        book = offers.price, offers.offered, capacity, reference
        shares = partial(seen_shares, *view)
        sold, lost = sold_in_turn(market, shares, book, arrivals.mass, demand)
        return sold, demand, lost


@dataclass(frozen=True)
@within_floats
class Sampled(ShopperChoice):
    """Each arrival chooses, in time order, from what is still in stock.

    Parameters
    ----------
    demand : Demand
        the demand model, which gives the chance of each offer.
    prominence : Prominence
        which offers shoppers see first.
    """

    def validate(self, market: Market) -> None:
        """Refuse shares that are no probabilities, such as demand of more than one unit an arrival.

        They are looked at at the reference prices and far below, and again at every tick.
        """
        needs_quotes(market, "price", "posted prices")
        check_units(market)
        self._check_chances(market)
        super().validate(market)
        demand = self.demand
        if isinstance(demand, Linear):
            most = int(np.diff(market.layout.group_start).max())
            units = most * demand.intercept / (demand.own + (most - 1) * demand.cross)
            if units > 1.0:
                raise InputError(
                    f"intercept={demand.intercept!r} lets an arrival buy up to {units:.3g} units: "
                    "lower it (and raise the mass of arrivals), or use expected execution"
                )

    def _check_chances(self, market: Market) -> None:
        demand = self.demand
        if isinstance(demand, Linear):  # it has a message of its own
            return
        reference = np.ascontiguousarray(market.opening_prices[None])
        everybody = np.ones(reference.shape, np.bool_)
        low, _ = market.quotes.limits(market)
        lowest = low[:, market.quotes.features.index("price")]
        for multiple in (1.0, 0.5, 0.1):
            prices = np.maximum(multiple * reference, lowest)
            shares = demand.shares(market, prices, everybody, reference)
            check_shape(demand, shares, prices)
            if not _are_chances(market, shares):
                raise _no_chances(market, demand, shares)

    def serve(
        self, view: View, offers: TickOffers, arrivals: Arrivals, draws: Draws
    ) -> tuple[Array, Array, Array]:
        market, (price, offered, ask_size, room, reference) = view[2], offers
        layout = market.layout
        if not arrivals.group.size:
            arrivals = one_by_one(arrivals, draws)
        first = seen_shares(*view, price, offered, reference)
        counts = np.empty((5, *room.shape))
        start, group, side, size, intent = arrivals[2:7]
        groups = layout.group_start, layout.group_listing
        unfinished = np.empty((2, len(room)), np.int64)
        stopped = serve_first(
            offered,
            ask_size,
            room,
            first,
            start,
            group,
            side,
            size,
            intent,
            counts,
            unfinished,
            *groups,
            *source(draws, "choices", start),
        )
        if stopped == NO_CHANCES:
            raise _no_chances(market, self.demand, first)
        left, sold, _, demand, lost = counts
        if stopped:
            customers = start, group, side, size, intent, draws.ragged("choices", start)
            cursor, rows = unfinished[0], unfinished[1, :stopped]
            while rows.size:
                available = offered[rows] & (left[rows] > 0.0)
                shares = seen_shares(*view, price[rows], available, reference[rows], rows)
                rows = serve(
                    rows, shares, first, cursor, *customers, left, sold, demand, lost, *groups
                )
        return sold, demand, lost


@dataclass(frozen=True)
@within_floats
class Auction(ExecutionRule):
    """A sealed-bid auction of every instrument's supply, unit by unit (Vickrey 1961).

    The highest bid of at least the reserve wins a unit. Equal bids draw lots. The supply is what
    arrives on the selling side.

    Parameters
    ----------
    price : str
        what the winner pays: its own bid ("first"), or the larger of the next bid and the
        reserve ("second").
    reserve : float
        least bid that can win, in money, >= 0.
    """

    price: str = "first"
    reserve: float = 0.0

    choice = "within"

    def __post_init__(self) -> None:
        if self.price not in ("first", "second"):
            raise InputError(f"price={self.price!r} must be 'first' or 'second'")
        if not 0.0 <= self.reserve < np.inf:
            raise InputError(f"reserve={self.reserve!r} must be >= 0")

    def validate(self, market: Market) -> None:
        needs_quotes(market, "bid", "sealed bids")
        check_units(market)
        most = market.quotes.limits(market)[1][:, market.quotes.features.index("bid")]
        if (self.reserve > most).any():
            raise InputError(
                f"execution.reserve={self.reserve:.10g} is above the highest bid allowed "
                f"({most.min():.10g}): nothing would be sold; lower it, or raise quotes.high"
            )

    def reserve_price(self) -> float:
        return self.reserve

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        if not arrivals.group.size:
            arrivals = one_by_one(arrivals, draws)
        else:  # a unit at a time, however many an order has
            units = float(arrivals.mass[:, :, SELL].sum(axis=1).max())
            check_orders("a supply in sized orders", units, "lower the arrivals' mean_size or rate")
        layout = market.layout
        room = np.minimum(quotes.bid_size, market.positions.capacity(market, state.positions)[1])
        bought, price, demand, lost = auction_units(
            arrivals.start,
            arrivals.group,
            arrivals.side,
            arrivals.size,
            draws.ragged("choices", arrivals.start),
            quotes.bid,
            quotes.bid_size,
            room,
            layout.group_start,
            layout.group_listing,
            self.reserve,
            self.price == "second",
        )
        return Executions(np.zeros_like(bought), quotes.ask, bought, price, demand, lost)


def sold_in_turn(
    market: Market,
    shares_of: Callable[[Array, Any, Array, Any], Array],
    book: tuple[Array, Any, Array, Array],
    mass: Array,
    demand: Array,
) -> tuple[Array, Array]:
    """Sell a mass of demand until stock runs out, and then to the rest at their new shares.

    Parameters
    ----------
    market : Market
        The rules.
    shares_of : callable
        Gives the shares among what is left, of prices, availability, reference prices and the
        numbers of the markets that they are of.
    book : tuple of array [B, L]
        Prices, whether there is a quote, units that can be sold, and reference prices.
    mass : array [B, G, 2]
        Units wanted; the first of each pair buy.
    demand : array [B, L]
        Units that choose each listing while all have stock.

    Returns
    -------
    tuple of array [B, L]
        Units sold, and units turned away.
    """
    ask, offered, capacity, reference = book
    layout = market.layout
    sold = np.zeros_like(demand)
    elapsed = np.zeros((len(sold), layout.G))
    left = capacity.copy()
    until = np.where(left > 0.0, 1.0, 0.0)  # share of the tick with something to sell
    rows = np.arange(len(sold))
    while rows.size:
        available = offered[rows] & (left[rows] > 0.0)
        shares = shares_of(ask[rows], available, reference[rows], rows)
        again = sell_until_sold_out(
            rows,
            shares,
            mass,
            elapsed,
            left,
            sold,
            layout.group_start,
            layout.group_listing,
        )
        gone = available & (left[rows] <= 0.0)
        until[rows] = np.where(gone, elapsed[rows][:, layout.group], until[rows])
        if (again & ~gone.any(axis=1)).any():  # it would go on for ever
            raise InputError(
                f"the shares of demand model {type(market.execution.demand_model()).__name__} are "
                "above 0 for a listing that is sold out or not offered: multiply the shares by "
                "`available`"
            )
        rows = rows[again]
    return sold, demand * (1.0 - until)


def _are_chances(market: Market, shares: Array) -> bool:
    """Whether the shares [R, L] of each group are probabilities: none negative, at most one in all.

    Shares that are not numbers are none.
    """
    return bool((shares >= 0.0).all() and (_by_group(market, shares) <= 1.0 + ROUNDING).all())


def _by_group(market: Market, shares: Array) -> Array:
    """[R, G] sums."""
    layout = market.layout
    return np.stack([np.bincount(layout.group, row, layout.G) for row in shares])


def _no_chances(market: Market, demand: Demand, shares: Array) -> InputError:
    name = type(demand).__name__
    if (shares >= 0.0).all():
        worst = f"add up to {_by_group(market, shares).max():.4g} in a choice group"
    else:
        worst = f"include {shares[~(shares >= 0.0)][0]:.4g}"
    return InputError(
        f"the shares of demand model {name} {worst}: sampled execution needs probabilities, >= 0 "
        "and at most 1 together; scale them down, or use expected execution"
    )


def needs_quotes(market: Market, feature: str, kind: str) -> None:
    if feature not in market.quotes.features:
        raise InputError(
            f"execution of {kind} cannot trade quotes of {'/'.join(market.quotes.features)}: "
            "give quotes and execution of the same kind"
        )


def check_units(market: Market) -> None:
    """Refuse a fixed mass that has more units than can be dealt out one by one."""
    arrivals = market.arrivals
    if isinstance(arrivals, FixedMass):
        units = (arrivals.buy + arrivals.sell) * market.layout.G
        check_orders(f"buy={arrivals.buy!r}, sell={arrivals.sell!r}", units, FEWER_UNITS)


def _prominent(shown: Shown | None) -> Array | None:
    return None if shown is None else np.asarray(shown.prominent, np.float64)
