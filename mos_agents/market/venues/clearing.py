"""Clears the venues of a market one after the other within a tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mos_agents.market.holdings import holdings_of
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, Arrivals, Executions, IntArray, Quotes, State
from mos_agents.market.venues.charging import charge, paid_prices
from mos_agents.market.venues.matching import (
    ASK,
    ASK_SIZE,
    BID,
    BID_SIZE,
    BOUGHT,
    BOUGHT_MONEY,
    SOLD,
    SOLD_MONEY,
    match_orders,
)
from mos_agents.market.venues.placements import place_fees
from mos_agents.market.venues.segments import segments
from mos_agents.market.venues.venue import VenueView, some

EVERY_ORDER = np.empty(0, np.int64)


def clear_venues(
    market: Market,
    views: Sequence[VenueView],
    state: State,
    quotes: Quotes,
    arrivals: Arrivals,
    draws: Draws,
    transit: Any,
) -> Executions:
    """Trade in all venues, in their order.

    Parameters
    ----------
    market : Market
        The whole market.
    views : sequence of VenueView
        Its venues.
    state : State
        The state before the tick.
    quotes : Quotes
        The quotes and orders of the tick.
    arrivals : Arrivals
        The outside demand of all venues.
    draws : Draws
        The random numbers of the tick.
    transit : array [B, H] or 0.0
        Units held that are not at hand.

    Returns
    -------
    Executions
        The trades of all slots. A slot of an order has the mean price of what it traded.
    """
    owned = state.positions.inventory.copy()
    floor = _Floor(market, owned, owned - transit, np.stack(quotes[:4]))
    for view in views:
        floor.open(view, state.tick, quotes)
        floor.trade(view, state, quotes, view.arrivals(arrivals), view.draws(draws))
        floor.charge(view)
    return floor.executions(quotes)


class _Floor:
    """What is left of quotes and goods while the venues of one tick are cleared."""

    def __init__(self, market: Market, owned: Array, at_hand: Array, book: Array) -> None:
        self.market, self.held = market, holdings_of(market)
        self.owned, self.at_hand, self.book = owned, at_hand, book
        self.by_orders = np.zeros(book.shape)
        self.outside = np.zeros((6, *book.shape[1:]))
        self.shown: Array | None = None
        self.rates: Array | None = None  # of the venue that is open; None where nothing is charged
        self.fees: Array | None = None
        self.surplus: Array | None = None

    def open(self, view: VenueView, tick: int, quotes: Quotes) -> None:
        """Begin with a venue: look up its fees."""
        charged = view.venue.fees.is_charged
        self.rates = view.rates(tick, quotes.ask, quotes.bid) if charged else None

    def charge(self, view: VenueView) -> None:
        """End with a venue: note who owes which fees."""
        if self.rates is None:
            return
        if self.fees is None:
            self.fees = np.zeros(self.book.shape[1:])
        layout, platform = self.market.layout, self.market.collector
        charge(self.fees, view, self.rates, self.by_orders, self.outside, layout.seller, platform)

    def trade(
        self, view: VenueView, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> None:
        """Let a venue's orders and outsiders trade."""
        if not view.orders.size:
            self.serve_outside(view, state, quotes, arrivals, draws)
            return
        times = draws.uniforms("order times", view.ranks.size).take(view.ranks, axis=1)
        if view.venue.order_time == "among":
            self.serve_in_turn(view, state, quotes, arrivals, draws, times)
        elif view.venue.order_time == "first":
            self.match(view, times)
            self.serve_outside(view, state, quotes, arrivals, draws)
        else:
            self.serve_outside(view, state, quotes, arrivals, draws)
            self.match(view, times)

    def serve_in_turn(
        self,
        view: VenueView,
        state: State,
        quotes: Quotes,
        arrivals: Arrivals,
        draws: Draws,
        times: Array,
    ) -> None:
        """Serve those from outside and fill orders as they come, at their times in the tick."""
        orders = times[:, : view.orders.size]
        queue = np.argsort(orders, axis=1, kind="stable")
        ordered = np.take_along_axis(orders, queue, axis=1)
        trades_mass = view.venue.execution.trades_mass
        for s, part in enumerate(segments(arrivals, ordered, draws, trades_mass)):
            self.serve_outside(view, state, quotes, part.arrivals, part.draws)
            if s < queue.shape[1]:
                self.match(view, times, queue[:, s])

    def match(self, view: VenueView, times: Array, chosen: IntArray = EVERY_ORDER) -> None:
        """Fill the orders of a venue, or the chosen one of each market."""
        layout, held = self.market.layout, self.held
        match_orders(
            self.by_orders,
            self.at_hand,
            self.owned,
            self.book,
            times,
            view.orders,
            view.listings,
            layout.seller,
            layout.instrument,
            layout.holding,
            held.made_to_order,
            held.lower,
            held.upper,
            view.venue.delivery > 0,
            np.ascontiguousarray(chosen),
        )

    def serve_outside(
        self, view: VenueView, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> None:
        """Trade with those who come to a venue from outside."""
        own, holdings = view.listings, view.holdings
        left = [some(side, own) for side in self.book]
        # Limits bind what is held, wherever it is.
        room = (self.held.upper - self.owned).take(holdings, axis=1)
        left[BID_SIZE] = np.minimum(left[BID_SIZE], np.maximum(room, 0.0))
        # Rounding may leave a hair less than nothing, of which nobody could sell any.
        at_hand = np.maximum(self.at_hand, self.held.lower)
        if self.rates is not None and view.venue.fees.payer == "taker":
            left[ASK], left[BID] = paid_prices(self.rates, left[ASK], left[BID])
        met = Quotes(left[BID], left[BID_SIZE], left[ASK], left[ASK_SIZE], quotes.age)
        found, rule = view.state(state, at_hand), view.venue.execution
        done = rule.execute(view.market, found, met, arrivals, draws)
        if rule.has_surplus(view.market):
            gained = rule.surplus(view.market, found, met, arrivals, done)
            if gained is None:  # references have moved apart: prices have no common unit any more
                gained = np.full(len(done.sold), np.nan)
            self.surplus = gained if self.surplus is None else self.surplus + gained
        if view.places.size:
            offered = (met.ask_size > 0.0) & (
                at_hand.take(holdings, axis=1) > self.held.lower[holdings]
            )
            self._charge_places(view, some(quotes.ask, view.places), offered, done)
        if done.shown is not None:
            if self.shown is None:  # a venue without a rule of prominence shows every offer
                self.shown = np.ones(self.book.shape[1:])
            self.shown[:, own] = done.shown
        add_trades(
            self.outside,
            self.book,
            self.at_hand,
            self.owned,
            own,
            holdings,
            self.held.made_to_order,
            *done.arrays,
        )

    def _charge_places(self, view: VenueView, bids: Array, offered: Any, done: Executions) -> None:
        """Note what sellers owe for the places in which their offers were shown."""
        assert done.shown is not None
        if self.fees is None:
            self.fees = np.zeros(self.book.shape[1:])
        owed = place_fees(view, bids, offered, done.shown, done.sold)
        owed[:, self.market.layout.seller[view.listings] == self.market.collector] = 0.0
        self.fees[:, view.listings] += owed

    def executions(self, quotes: Quotes) -> Executions:
        """All trades of the tick."""
        sold, sold_price, bought, bought_price, demand, lost = self.outside
        by_orders = self.by_orders
        return Executions(
            sold + by_orders[SOLD],
            _mean_price(sold, sold_price, by_orders[SOLD], by_orders[SOLD_MONEY], quotes.ask),
            bought + by_orders[BOUGHT],
            _mean_price(
                bought, bought_price, by_orders[BOUGHT], by_orders[BOUGHT_MONEY], quotes.bid
            ),
            demand + by_orders[SOLD],
            lost,
            self.shown,
            self.fees,
            self.surplus,
        )


@kernel
def add_trades(  # type: ignore[no-untyped-def]
    outside,
    book,
    at_hand,
    owned,
    own,
    holdings,
    endless,
    sold,
    sold_price,
    bought,
    bought_price,
    demand,
    lost,
):
    """Add trades with outsiders to those before them, and take them from quotes and goods.

    Parameters
    ----------
    outside
        [6, B, L] units and prices sold and bought, demand and units lost, added to.
    book
        [4, B, L] quotes, whose sizes are reduced.
    at_hand, owned
        [B, H] units, moved along.
    own, holdings
        The slots of the trades, and their holdings.
    endless
        [H] whether nothing is held.
    sold, sold_price, bought, bought_price, demand, lost
        [B, slots of the venue] what was traded.
    """
    for b in range(sold.shape[0]):
        for j in range(own.shape[0]):
            i, h = own[j], holdings[j]
            outside[1, b, i] = joint_price(
                outside[0, b, i], outside[1, b, i], sold[b, j], sold_price[b, j]
            )
            outside[0, b, i] += sold[b, j]
            outside[3, b, i] = joint_price(
                outside[2, b, i], outside[3, b, i], bought[b, j], bought_price[b, j]
            )
            outside[2, b, i] += bought[b, j]
            outside[4, b, i] += demand[b, j]
            outside[5, b, i] += lost[b, j]
            book[ASK_SIZE, b, i] -= sold[b, j]
            book[BID_SIZE, b, i] -= bought[b, j]
            if not endless[h]:
                net = bought[b, j] - sold[b, j]
                at_hand[b, h] += net
                owned[b, h] += net


@kernel
def joint_price(units, price, more, its_price):  # type: ignore[no-untyped-def]
    """Mean price of two lots of units; to the bit that of the only one that traded."""
    if units > 0.0 and more > 0.0 and price != its_price:
        return (units * price + more * its_price) / (units + more)
    return its_price if more > 0.0 or units == 0.0 else price


def _mean_price(units: Array, price: Array, more: Array, money: Array, quoted: Array) -> Array:
    """Price of all units traded; the outside price alone where orders traded nothing."""
    total = units + more
    mean = np.divide(units * price + money, total, out=quoted.copy(), where=total > 0.0)
    found: Array = np.where((more == 0.0) & (units > 0.0), price, mean)
    return found
