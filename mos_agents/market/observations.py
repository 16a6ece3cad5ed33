"""What each participant observes: its own quotes and positions, rivals' quotes and reference
prices.

True demand is nobody's to observe: it stands only in the step's info.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mos_agents.market import unused_settings
from mos_agents.market.checks import changes_nothing, within_floats
from mos_agents.market.fields import (
    ASK,
    BID,
    BOUGHT,
    CASH,
    CLOCK,
    COST,
    EXPOSURE,
    IN_TRANSIT,
    INVENTORY,
    OF_VENUES,
    OWN_WEIGHT,
    PRICES,
    REFERENCE,
    RIVAL_ASK,
    RIVAL_BID,
    RIVAL_OPEN,
    SHOWN,
    SOLD,
    ObservationField,
    gather,
)
from mos_agents.market.market import Market
from mos_agents.market.observed_slots import ObservedSlots, observed_slots
from mos_agents.market.stages import ObservationRule
from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    InputError,
    IntArray,
    Layout,
    State,
)

_NOBODYS = np.empty(0, np.int64)
NOISE, FIRST_NOISE = "tape", "first tape"
"""Keys of the random errors in rivals' quotes: addresses, which must stay as they are."""


@dataclass(frozen=True)
@within_floats
class MarketView(ObservationRule):
    """A participant's own quotes and positions, and the public quotes of its rivals.

    Parameters
    ----------
    quote_delay : int
        ticks by which rivals' quotes lag behind the last ones, >= 0.
    quote_noise : float
        relative error of the rivals' prices seen, redrawn for each observer and tick, >= 0.
    show_rivals : bool
        False hides rivals' quotes altogether.
    show_cost : bool
        False hides the own unit cost (or private value).
    show_cash : bool
        False hides the own cash: a learner of a game without end should not act upon it.
    show_clock : bool
        False hides the share of the horizon that has passed: a learner of a game without end should
        not act upon it.
    relative : bool
        asks, bids and the cost are observed as distances from the instrument's reference price
        (`own_ask_gap` and so on): what a network needs where that price wanders.
    """

    quote_delay: int = 0
    quote_noise: float = 0.0
    show_rivals: bool = True
    show_cost: bool = True
    show_cash: bool = True
    show_clock: bool = True
    relative: bool = False

    def __post_init__(self) -> None:
        if self.quote_delay < 0 or self.quote_delay != int(self.quote_delay):
            raise InputError(f"quote_delay={self.quote_delay!r} must be a whole number >= 0")
        if not 0.0 <= self.quote_noise < np.inf:
            raise InputError(f"quote_noise={self.quote_noise!r} must be >= 0")

    def validate(self, market: Market) -> None:
        """InputError for settings of rivals' quotes where there are none to see."""
        nobody = unused_settings.no_rivals(market)
        reason = "bids are sealed" if market.sealed else "nobody meets a rival's quotes"
        if nobody and not self.show_rivals:
            raise changes_nothing("observations.show_rivals", self.show_rivals, reason)
        for name in ("quote_delay", "quote_noise"):
            if getattr(self, name) and (nobody or not self.show_rivals):
                raise changes_nothing(
                    f"observations.{name}",
                    getattr(self, name),
                    reason if nobody else "show_rivals=false",
                )

    def shows_rivals(self) -> bool:
        return self.show_rivals

    @property
    def delay(self) -> int:
        return int(self.quote_delay)

    def fields(self, market: Market, n: int) -> tuple[ObservationField, ...]:
        layout, inf = market.layout, np.inf
        own = observed_slots(market, n)
        bids = market.bids
        found: list[ObservationField] = []

        def add(
            name: str,
            meaning: str,
            unit: str,
            low: float,
            high: float,
            source: int,
            index: IntArray,
            labels: tuple[str, ...],
        ) -> None:
            if not index.size and layout.goods:
                return
            if self.relative and source in PRICES:
                name, meaning, low = f"{name}_gap", f"{meaning}, less the reference", -inf
            found.append(ObservationField(name, meaning, unit, low, high, source, index, labels))

        money = "money per unit"
        lowest = -inf if bids else 0.0  # quotes around a mid price may fall below 0 with it
        if market.asks:
            add("own_ask", "own ask in force", money, lowest, inf, ASK, *own.of(own.asks))
            add("own_sold", "own units sold, last tick", "units", 0, inf, SOLD, *own.of(own.asks))
        if bids:
            add("own_bid", "own bid in force", money, -inf, inf, BID, *own.of(own.bids))
            add(
                "own_bought",
                "own units bought, last tick",
                "units",
                0,
                inf,
                BOUGHT,
                *own.of(own.bids),
            )
        if layout.has_orders:
            self._add_orders(add, own)
        add(
            "exposure",
            "looks at (or orders for) the instrument, last tick",
            "looks",
            0,
            inf,
            EXPOSURE,
            layout.group[own.quotes],
            own.of(own.quotes)[1],
        )
        add("inventory", "own inventory", "units", -inf, inf, INVENTORY, own.holdings, own.goods)
        if market.quotes.has_transit:
            add(
                "in_transit",
                "part of the own inventory that is not at hand",
                "units",
                0,
                inf,
                IN_TRANSIT,
                own.holdings,
                own.goods,
            )
        if self.show_cash:
            add("cash", "own cash", "money", -inf, inf, CASH, np.array([n]), ("",))
        if self.show_cost:
            add(
                "cost",
                "own unit cost (a bidder's value of the item)",
                money,
                0,
                inf,
                COST,
                own.cost,
                own.goods,
            )
        add(
            "reference",
            "reference or mid price",
            money,
            -inf,
            inf,
            REFERENCE,
            *own.of(own.reference),
        )
        if self.show_rivals:
            rivals = own.rivals
            if (
                self.relative
                and not np.isin(layout.instrument[rivals], layout.instrument[own.reference]).all()
            ):
                raise InputError(
                    f"relative=True: {layout.participants[n]!r} sees offers of goods that it does "
                    "not trade, and no reference price of theirs; leave it false"
                )
            offers = market.cached("offers", lambda: _offers(layout))
            names = tuple(offers[rivals].tolist())
            if rivals.size and market.asks:
                add(
                    "rival_ask",
                    "rivals' public asks",
                    money,
                    lowest,
                    inf,
                    RIVAL_ASK,
                    rivals,
                    names,
                )
            if rivals.size and bids and not market.sealed:
                add(
                    "rival_bid",
                    "rivals' public bids",
                    money,
                    -inf,
                    inf,
                    RIVAL_BID,
                    own.rival_bids,
                    tuple(offers[own.rival_bids].tolist()),
                )
            if rivals.size and not market.sealed:
                add(
                    "rival_open",
                    "1 if the rival quotes (mask)",
                    "0 or 1",
                    0,
                    1,
                    RIVAL_OPEN,
                    rivals,
                    names,
                )
        found += market.quotes.venue_fields(market, n)
        if market.execution.prominence_rule() is not None:
            shown = "1 if the {} was shown, last tick"
            add("own_shown", shown.format("own offer"), "0 or 1", 0, 1, SHOWN, *own.of(own.quotes))
            if self.show_rivals and rivals.size:
                text = shown.format("rival's offer")
                add("rival_shown", text, "0 or 1", 0, 1, SHOWN, rivals, names)
        if self.show_clock:
            add(
                "clock",
                "share of the horizon that has passed",
                "1",
                0,
                1,
                CLOCK,
                np.array([0]),
                ("",),
            )
        return tuple(found)

    def _add_orders(self, add: Any, own: ObservedSlots) -> None:
        """The fields of a participant's own orders."""
        inf = np.inf
        add(
            "order_bought",
            "units bought by own orders, last tick",
            "units",
            0,
            inf,
            BOUGHT,
            *own.of(own.buying),
        )
        add(
            "order_sold",
            "units sold by own orders, last tick",
            "units",
            0,
            inf,
            SOLD,
            *own.of(own.selling),
        )

    def observe(
        self,
        market: Market,
        state: State,
        arrivals: Arrivals,
        executions: Executions,
        draws: Draws,
    ) -> Array:
        quotes, positions = state.quotes, state.positions
        seen = np.empty((len(state.cost), market.observation_width))
        gather(
            seen,
            market.observation_plan,
            (quotes.ask, quotes.bid, quotes.ask_size, quotes.bid_size, state.quote_history),
            (executions.sold, executions.bought),
            arrivals.exposure,
            (positions.inventory, state.cost),
            state.reference,
            positions.cash,
            min(state.tick / market.horizon, 1.0),
            (market.premium, market.layout.instrument),
        )
        if market.quotes.has_transit:
            transit = market.quotes.in_transit(market, state, executions)
            columns, holdings = market.cached("in transit", lambda: _transit(market))
            seen[:, columns] = transit[:, holdings]
        if market.quotes.n_venues:
            columns, entries = market.cached("rules seen", lambda: _of_venues(market))
            if columns.size:
                rules = market.quotes.observe_venues(market, state, executions)
                seen[:, columns] = rules[:, entries]
        return self.completed(market, state.tick, seen, executions, draws)

    def completed(
        self, market: Market, tick: int, seen: Array, executions: Executions, draws: Draws
    ) -> Array:
        """The observations with what `gather` leaves out. Overwrites `seen`.

        That is which offers were shown, and the errors in rivals' quotes.
        """
        columns, listings = market.shown_columns
        if columns.size:
            seen[:, columns] = 0.0 if executions.shown is None else executions.shown[:, listings]
        noisy = market.rival_price_columns if self.quote_noise > 0.0 else _NOBODYS
        if noisy.size:
            errors = draws.normals(NOISE if tick else FIRST_NOISE, noisy.size)
            seen[:, noisy] *= np.exp(self.quote_noise * errors)
        if self.relative:
            prices, references = market.cached("gaps", lambda: _gaps(market))
            seen[:, prices] -= seen[:, references]
        return seen


def _transit(market: Market) -> tuple[IntArray, IntArray]:
    """Columns of everybody's observations that hold units in transit, and their holdings."""
    columns: list[int] = []
    holdings: list[int] = []
    for spec in market.specs:
        for one in spec.fields:
            if one.source == IN_TRANSIT:
                begin = spec.columns.start + spec.where[one.name].start
                columns += range(begin, begin + one.size)
                holdings += one.index.tolist()
    return np.array(columns, np.int64), np.array(holdings, np.int64)


def _of_venues(market: Market) -> tuple[IntArray, IntArray]:
    """Columns of everybody's observations that hold rules of venues, and what fills them."""
    columns: list[int] = []
    entries: list[int] = []
    first = {source: i * market.quotes.n_venues for i, source in enumerate(OF_VENUES)}
    first[OWN_WEIGHT] = len(OF_VENUES) * market.quotes.n_venues
    for spec in market.specs:
        for one in spec.fields:
            if one.source in first:
                begin = spec.columns.start + spec.where[one.name].start
                columns += range(begin, begin + one.size)
                entries += (first[one.source] + one.index).tolist()
    return np.array(columns, np.int64), np.array(entries, np.int64)


def _offers(layout: Layout) -> NDArray[np.object_]:
    """[L] names of all listings, participant.instrument."""
    names = [
        f"{layout.participants[n]}.{layout.instruments[k]}"
        for n, k in zip(layout.seller, layout.instrument, strict=True)
    ]
    found = np.empty(layout.L, np.object_)
    found[:] = names
    return found


def _gaps(market: Market) -> tuple[IntArray, IntArray]:
    """Columns of everybody's observations that hold prices, and those of their references."""
    prices: list[int] = []
    references: list[int] = []
    instrument = market.layout.instrument
    for spec in market.specs:
        (shown,) = (one for one in spec.fields if one.source == REFERENCE)
        first = spec.columns.start + spec.where[shown.name].start
        column = {int(k): first + i for i, k in enumerate(instrument[shown.index])}
        for one in spec.fields:
            if one.source in PRICES:
                begin = spec.columns.start + spec.where[one.name].start
                prices += range(begin, begin + one.size)
                references += [column[int(k)] for k in instrument[one.index]]
    return np.array(prices, np.int64), np.array(references, np.int64)
