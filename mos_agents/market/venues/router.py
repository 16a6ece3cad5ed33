"""Routes every stage of a market of several venues to its venues, in their order.

Each venue has its own rules for quotes, orders, arrivals, execution and fundamentals. All venues
share the roster, the clock, the ledger, the quote history and the rewards. What trades in one venue
is at hand in those cleared later in the same tick. A venue's random numbers have their own keys.

An action has as many numbers as the widest slot needs; a narrower slot reads its own first numbers
and ignores the rest (whose limits are 0). A participant's action is refused in all venues or taken
in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.fields import ObservationField
from mos_agents.market.holdings import holdings_of
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.refusals import BEYOND_CREDIT, TAKEN
from mos_agents.market.stages import (
    ArrivalProcess,
    ExecutionRule,
    Prominence,
    QuoteRule,
    ReferenceRule,
    Slots,
)
from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    FEE,
    ORDER,
    PLACE,
    QUOTE,
    WEIGHT,
    Array,
    Arrivals,
    Executions,
    Info,
    IntArray,
    Quotes,
    State,
)
from mos_agents.market.venues.clearing import clear_venues
from mos_agents.market.venues.observed_rules import observe_venues, venue_fields
from mos_agents.market.venues.placements import admit_placements, keep_placements
from mos_agents.market.venues.platform import (
    admit_rules,
    keep_rules,
    opening_rules,
    rule_limits,
)
from mos_agents.market.venues.venue import Venue, VenueView, some
from mos_agents.market.venues.views import views_of

IN_TRANSIT = "in_transit"
"""What the market remembers: units bought that are at hand in a later tick, the next first."""


@short_repr
@dataclass(frozen=True)
class VenueRouter(QuoteRule, ArrivalProcess, ExecutionRule, ReferenceRule):
    """The quotes, arrivals, execution and reference of a market of several venues.

    `venue_market` makes such a market.
    """

    venues: tuple[Venue, ...]

    choice = "venues"
    sigma = float("nan")  # there is none for all; `sigmas` has one a slot

    def validate(self, market: Market) -> None:
        holdings_of(market)
        self.views(market)  # where each venue is checked against the market that it makes by itself

    def views(self, market: Market) -> tuple[VenueView, ...]:
        """The venues as markets of their own."""
        found: tuple[VenueView, ...] = market.cached(
            "venues", lambda: views_of(market, self.venues)
        )
        return found

    def venue_of(self, market: Market, n: int) -> Market:
        """The venue in which participant n quotes and does nothing else; or the whole market."""
        slots = self.slots_of(market, n)
        if len(slots) == 1 and slots[0].kind == QUOTE:
            return self.market_of(market, slots[0].venue)
        return market

    def market_of(self, market: Market, venue: str) -> Market:
        return next(v.market for v in self.views(market) if v.venue.name == venue)

    def slots_of(self, market: Market, n: int) -> tuple[Slots, ...]:
        """Participant n's slots by venue and kind."""
        found = []
        for view in self.views(market):
            venue = view.venue
            rules = (
                (QUOTE, view.listings, venue.quotes.features, 1),
                (ORDER, view.orders, venue.orders.features, 1),
                (FEE, view.fee, venue.fees.features, venue.fees.period),
                (WEIGHT, np.sort(view.weights), ("weight",), 1),
                (PLACE, view.places, ("placement",), 1),
            )
            for kind, slots, features, period in rules:
                own = slots[market.layout.seller[slots] == n]
                if own.size:
                    where = slice(int(own[0]), int(own[-1]) + 1)
                    found.append(Slots(venue.name, kind, where, features, period))
        return tuple(found)

    @property
    def is_endless(self) -> bool:
        return all(venue.quotes.is_endless for venue in self.venues)

    @property
    def n_venues(self) -> int:
        return len(self.venues)

    def groups_met(self, market: Market, n: int) -> IntArray:
        """Those in which participant n trades, and all of the venues in which it sets rules."""
        layout, views = market.layout, self.views(market)
        own = np.arange(layout.first[n], layout.first[n + 1])
        met = [layout.group[own]]
        met += [view.groups for view in views if np.isin(view.rules, own).any()]
        return np.unique(np.concatenate(met))

    def groups_of(self, market: Market, venue: str) -> IntArray:
        return next(v.groups for v in self.views(market) if v.venue.name == venue)

    def venue_fields(self, market: Market, n: int) -> tuple[ObservationField, ...]:
        """Fees that may change, of the venues in which it trades; sales of those that it runs."""
        return venue_fields(market, self.views(market), n)

    def observe_venues(self, market: Market, state: State, executions: Executions) -> Array:
        return observe_venues(self.views(market), state, executions)

    # --- what is remembered

    @cached_property
    def transit_ticks(self) -> int:
        """Ticks for which units in transit are remembered after the tick that bought them."""
        return max(max(venue.delivery for venue in self.venues) - 1, 0)

    def memory(self, market: Market) -> dict[str, Array]:
        """Units in transit, and what the venues' stages remember: names begin with the venue's."""
        found = {
            f"{view.venue.name}/{key}": array
            for view in self.views(market)
            for stage in view.stages
            for key, array in stage.memory(view.market).items()
        }
        if self.transit_ticks:
            found[IN_TRANSIT] = np.zeros((self.transit_ticks, market.layout.H))
        return found

    def remember(self, market: Market, state: State, info: Info, draws: Draws) -> dict[str, Array]:
        """Every venue's stages remember what happened there."""
        found: dict[str, Array] = {}
        for view in self.views(market):
            for stage in view.stages:
                kept = stage.remember(
                    view.market, view.state(state), view.info(info), view.draws(draws)
                )
                found |= {f"{view.venue.name}/{key}": array for key, array in kept.items()}
        if self.transit_ticks:
            found[IN_TRANSIT] = self._moved_on(market, state, info.executions)
        return found

    def _moved_on(self, market: Market, state: State, executions: Executions) -> Array:
        """[B, D, H] units in transit after a tick."""
        before, layout = state.memory[IN_TRANSIT], market.layout
        after = np.zeros(before.shape)
        after[:, :-1] = before[:, 1:]
        for view in self.views(market):
            row = view.venue.delivery - 2  # what is there at the next tick is not in transit
            if row >= 0:
                for i in view.orders:
                    after[:, row, layout.holding[i]] += executions.bought[:, i]
        return after

    @property
    def has_transit(self) -> bool:
        return self.transit_ticks > 0

    def in_transit(self, market: Market, state: State, executions: Executions) -> Array:
        units: Array = self._moved_on(market, state, executions).sum(axis=1)
        return units

    # --- quotes and orders

    @cached_property
    def features(self) -> tuple[str, ...]:
        """A column's name in every venue, where they differ: "price/offset"."""
        rules = [venue.quotes.features for venue in self.venues]
        rules += [venue.orders.features for venue in self.venues if venue.ordering]
        rules += [venue.fees.features for venue in self.venues]
        rules += [("weight",) for venue in self.venues if venue.is_steered]
        rules += [("placement",) for venue in self.venues if venue.highest_placement > 0.0]
        columns: list[list[str]] = [[] for _ in range(max(len(names) for names in rules))]
        for names in rules:
            for column, name in zip(columns, names, strict=False):
                if name not in column:
                    column.append(name)
        return tuple("/".join(column) for column in columns)

    def limits(self, market: Market) -> tuple[Array, Array]:
        low, high = np.zeros((2, market.layout.L, len(self.features)))
        for view in self.views(market):
            lows, highs = view.venue.quotes.limits(view.market)
            low[view.listings, : lows.shape[1]] = lows
            high[view.listings, : highs.shape[1]] = highs
            if view.orders.size:
                low[view.orders, : view.low.shape[1]] = view.low
                high[view.orders, : view.high.shape[1]] = view.high
        rule_limits(self.views(market), low, high)
        return low, high

    def sides(self, market: Market) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        asks, bids = np.zeros((2, market.layout.L), np.bool_)
        for view in self.views(market):
            asks[view.listings], bids[view.listings] = view.market.asks, view.market.bids
            asks[view.orders], bids[view.orders] = view.low[:, 0] < 0.0, view.high[:, 0] > 0.0
        return asks, bids

    def tick_sizes(self, market: Market) -> Array:
        """[L] step of each quote's price grid, by its own venue's rule."""
        found = np.zeros(market.layout.L)
        for view in self.views(market):
            found[view.listings] = view.venue.quotes.tick_sizes(view.market)
        return found

    def opening(self, market: Market, batch: int) -> Quotes:
        sides = np.zeros((4, batch, market.layout.L))
        for view in self.views(market):
            made = view.venue.quotes.opening(view.market, batch)
            sides[:, :, view.listings] = made[:4]
        opening_rules(self.views(market), sides)
        return Quotes._make([*sides, made.age])

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        views, layout = self.views(market), market.layout
        made = [_admit(view, state, actions, moves) for view in views]
        orders = np.zeros((4, len(actions), layout.L))
        ordered = [self._orders(view, orders, actions, moves) for view in views]
        ruled = admit_rules(market, views, state.tick, state.quotes, actions, moves, orders)
        ordered += [] if ruled is None else [ruled]
        ordered += admit_placements(market, views, state.quotes, actions, moves, orders)
        refused = np.maximum.reduce([r for _, r in made] + ordered)
        if layout.has_orders:
            self._check_credit(market, state, orders, refused)
        if refused.any():
            made = self._refused_everywhere(market, state, actions, moves, made, refused)
            orders[:, (refused != TAKEN)[:, layout.seller]] = 0.0
            keep_rules(market, views, state.quotes, refused, orders)
            keep_placements(market, views, state.quotes, refused, orders)
        for view, (quotes, _) in zip(views, made, strict=True):
            orders[:, :, view.listings] = quotes[:4]
        # Whoever quotes nothing in a venue counts as taken there, with age 0.
        age = np.maximum.reduce([quotes.age for quotes, _ in made])
        age = np.where(refused != TAKEN, state.quotes.age + 1.0, age)
        return Quotes._make([*orders, age]), refused

    def _refused_everywhere(
        self,
        market: Market,
        state: State,
        actions: Array,
        moves: Any,
        made: list[tuple[Quotes, IntArray]],
        refused: IntArray,
    ) -> list[tuple[Quotes, IntArray]]:
        """The venues' quotes where those who are refused in one are refused in all."""
        views = self.views(market)
        taken_somewhere = np.logical_or.reduce(
            [(r == TAKEN) & view.quoting for view, (_, r) in zip(views, made, strict=True)]
        )
        half = (refused != TAKEN) & taken_somewhere
        if not half.any():
            return made
        spoilt = actions.copy()
        spoilt[half[:, market.layout.seller]] = np.nan
        return [_admit(view, state, spoilt, moves) for view in views]

    def _orders(self, view: VenueView, orders: Array, actions: Array, moves: Any) -> Any:
        """[B, N] refusals of a venue's orders, which are put into [4, B, L]."""
        if not view.orders.size:
            return np.full((len(actions), view.market.layout.N), TAKEN)
        rule, own = view.venue.orders, view.orders
        wanted = np.ascontiguousarray(some(actions, own)[:, :, : len(rule.features)])
        orders[:, :, own], refused = rule.admit(wanted, moves, view.senders, view.low, view.high)
        return refused

    def _check_credit(self, market: Market, state: State, orders: Array, refused: IntArray) -> None:
        """Refuse the orders of those who could not pay for them. Changes `refused`."""
        credit = market.positions.credit_limit()
        if credit == np.inf:
            return
        layout = market.layout
        owed = np.zeros(refused.shape)
        for view in self.views(market):
            rates = np.zeros((1, 2))
            if view.venue.fees.is_charged and view.venue.fees.payer != "seller":
                rates = np.maximum(view.rates(state.tick, orders[2], orders[0]), 0.0)
            for i in view.orders:
                limit = orders[0, :, i] * (1.0 + rates[:, 0]) + rates[:, 1]
                owed[:, layout.seller[i]] += limit * orders[1, :, i]
        beyond = (owed > state.positions.cash + credit) & (owed > 0.0) & (refused == TAKEN)
        refused[beyond] = BEYOND_CREDIT

    # --- arrivals and trades

    def opening_excitation(self, market: Market) -> Array:
        """[G, 1] at which each venue's order flow opens."""
        opening = np.zeros((market.layout.G, 1))
        for view in self.views(market):
            opening[view.groups] = view.venue.arrivals.opening_excitation(view.market)
        return opening

    @property
    def ignores_quotes(self) -> bool:  # type: ignore[override]
        return all(
            vars(type(venue.arrivals)).get("ignores_quotes") is True for venue in self.venues
        )

    def mean_orders(self, market: Market) -> float:
        return sum(v.venue.arrivals.mean_orders(v.market) for v in self.views(market))

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        views = self.views(market)
        made = [
            v.venue.arrivals.arrive(v.market, v.state(state), v.quotes(quotes), v.draws(draws))
            for v in views
        ]
        columns = [v.groups for v in views]
        excitation = _together(columns, [excited for _, excited in made])
        return _merged(columns, [arrivals for arrivals, _ in made]), excitation

    def standing_prices(self, market: Market, state: State, quotes: Quotes) -> Array:
        prices = quotes.ask.copy()
        for v in self.views(market):
            own = v.venue.arrivals.standing_prices(v.market, v.state(state), v.quotes(quotes))
            prices[:, v.listings] = own
        return prices

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        transit = state.memory[IN_TRANSIT].sum(axis=1) if self.transit_ticks else 0.0
        return clear_venues(market, self.views(market), state, quotes, arrivals, draws, transit)

    @property
    def charges_fees(self) -> bool:
        return any(v.fees.is_charged or v.highest_placement > 0.0 for v in self.venues)

    def has_surplus(self, market: Market) -> bool:
        return any(v.venue.execution.has_surplus(v.market) for v in self.views(market))

    def prominence_rule(self) -> Prominence | None:
        rules = (venue.execution.prominence_rule() for venue in self.venues)
        return next((rule for rule in rules if rule is not None), None)

    # --- fundamentals

    def sigmas(self, market: Market) -> Array:
        """[L] volatility of what each slot trades."""
        sigmas = np.zeros(market.layout.L)
        for view in self.views(market):
            by_instrument = np.zeros(market.layout.K)
            by_instrument[view.instruments[view.market.layout.instrument]] = view.market.sigmas
            slots = np.concatenate([view.listings, view.orders])
            sigmas[slots] = by_instrument[market.layout.instrument[slots]]
        return sigmas

    def sigma_relative(self, market: Market) -> NDArray[np.bool_]:
        """[L] whether each slot's volatility is in shares of its price."""
        shares: NDArray[np.bool_] = np.zeros(market.layout.L, np.bool_)
        for view in self.views(market):
            shares[view.listings] = view.market.sigmas_relative
        return shares

    def opening_levels(self, market: Market) -> tuple[Array, Array, Array]:
        """Levels before the first tick, each venue's from its own rule."""
        reference, cost = market.opening_reference.copy(), market.catalogue.cost.copy()
        demand = market.opening_demand.copy()
        for view in self.views(market):
            levels = view.market.opening_levels
            reference[view.instruments], cost[view.listings] = levels[0], levels[1]
            demand[view.groups] = levels[2]
        return reference, cost[_cost_slots(market)], demand

    def move(self, market: Market, state: State, draws: Draws) -> tuple[Array, Array, Array]:
        views = self.views(market)
        made = [v.venue.reference.move(v.market, v.state(state), v.draws(draws)) for v in views]
        cost = state.cost.copy()
        for view, (_, costs, _) in zip(views, made, strict=True):
            cost[:, view.listings] = costs
        return (
            _together([v.instruments for v in views], [reference for reference, _, _ in made]),
            cost.take(_cost_slots(market), axis=1),
            _together([v.groups for v in views], [scale for _, _, scale in made]),
        )

    def reads_time_step(self) -> bool:
        return any(
            venue.arrivals.reads_time_step() or venue.reference.reads_time_step()
            for venue in self.venues
        )


def _cost_slots(market: Market) -> IntArray:
    """[L] the slot from which each slot has its cost: that of its holding."""
    return holdings_of(market).slot[market.layout.holding]


def _admit(view: VenueView, state: State, actions: Array, moves: Any) -> tuple[Quotes, IntArray]:
    rule = view.venue.quotes
    own = np.ascontiguousarray(some(actions, view.listings)[:, :, : len(rule.features)])
    return rule.admit(view.market, view.state(state), own, moves)


def _together(columns: Sequence[IntArray], arrays: Sequence[Array]) -> Array:
    """Arrays put side by side along axis 1, each into its own columns."""
    width = sum(c.size for c in columns)
    whole = np.empty((arrays[0].shape[0], width, *arrays[0].shape[2:]))
    for own, array in zip(columns, arrays, strict=True):
        whole[:, own] = array
    return whole


def _merged(columns: Sequence[IntArray], made: Sequence[Arrivals]) -> Arrivals:
    """The venues' arrivals in one; a market's single arrivals stand venue by venue."""
    batch = made[0].mass.shape[0]
    market_of = np.concatenate([np.repeat(np.arange(batch), np.diff(a.start)) for a in made])
    order = np.argsort(market_of, kind="stable")
    group = np.concatenate([own[a.group] for own, a in zip(columns, made, strict=True)])
    counts = sum(np.diff(a.start) for a in made)
    returning = None
    if any(a.returning is not None for a in made):
        nobody = [np.zeros_like(a.mass) if a.returning is None else a.returning for a in made]
        returning = _together(columns, nobody)
    return Arrivals(
        _together(columns, [a.mass for a in made]),
        _together(columns, [a.exposure for a in made]),
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        group[order].astype(np.int64),
        np.concatenate([a.side for a in made])[order],
        np.concatenate([a.size for a in made])[order],
        np.concatenate([a.intent for a in made])[order],
        returning,
    )
