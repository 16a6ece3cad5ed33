"""A market of several venues, such as a shop and a dealer market.

A venue has its own rules for quotes, arrivals, execution and fundamentals. All venues share the
roster, the clock, the ledger, the quote history and the rewards. Each venue trades exactly as it
would alone: its random numbers have keys of their own (`PrefixedDraws`).

An action has as many numbers as the widest venue needs; a listing of a narrower venue reads its own
first numbers and ignores the rest (whose limits are 0). Somebody who quotes in several venues is
refused in all of them or in none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.reference import Fundamentals
from mos_agents.market.refusals import TAKEN
from mos_agents.market.remembering import remembering
from mos_agents.market.stages import ArrivalProcess, ExecutionRule, QuoteRule, ReferenceRule, Stage
from mos_agents.market.streams import Draws, PrefixedDraws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    Info,
    InputError,
    IntArray,
    Layout,
    Positions,
    Quotes,
    State,
)


@short_repr
@dataclass(frozen=True)
class Venue:
    """Instruments that are quoted, asked for and traded under the same rules."""

    instruments: tuple[str, ...]
    quotes: QuoteRule
    arrivals: ArrivalProcess
    execution: ExecutionRule
    reference: ReferenceRule = field(default_factory=Fundamentals)

    @property
    def name(self) -> str:
        return "+".join(self.instruments)


OWN_STAGES = ("reference", "quotes", "execution", "arrivals")
"""The stages that a venue has of its own; the composite market has the others."""


@short_repr
class VenueView(NamedTuple):
    """A venue as a market of its own, and where its arrays lie in the composite market's."""

    venue: Venue
    market: Market
    listings: IntArray
    instruments: IntArray  # which are the choice groups as well

    def draws(self, draws: Draws) -> PrefixedDraws:
        return PrefixedDraws(draws, f"{self.venue.name}/")

    def quotes(self, quotes: Quotes) -> Quotes:
        return Quotes._make([*(_some(a, self.listings) for a in quotes[:4]), quotes.age])

    def state(self, state: State) -> State:
        """The venue's view of the state."""
        held, own, k = state.positions, self.listings, self.instruments
        return state._replace(
            quotes=self.quotes(state.quotes),
            positions=Positions(
                held.cash,
                _some(held.inventory, own),
                np.take(held.on_order, own, axis=2),
                held.outside_cash,
                _some(held.outside_units, k),
            ),
            reference=_some(state.reference, k),
            cost=_some(state.cost, own),
            demand_scale=_some(state.demand_scale, k),
            excitation=_some(state.excitation, k),
            quote_history=np.take(state.quote_history, own, axis=3),
            memory=self.memory(state.memory) if state.memory else state.memory,
        )

    def memory(self, whole: Mapping[str, Array]) -> dict[str, Array]:
        """What the venue's own stages remember, by the names that they gave."""
        begin = f"{self.venue.name}/"
        return {k.removeprefix(begin): a for k, a in whole.items() if k.startswith(begin)}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The venue's own stages that have a memory."""
        return tuple(stage for _, stage in remembering(self.market, OWN_STAGES))

    def info(self, info: Info) -> Info:
        """The venue's view of what happened in a tick."""
        traded = info.executions
        executions = Executions(*(_some(array, self.listings) for array in traded.arrays))
        if traded.shown is not None:
            executions = executions._replace(shown=_some(traded.shown, self.listings))
        return info._replace(
            quotes=self.quotes(info.quotes),
            arrivals=self.arrivals(info.arrivals),
            executions=executions,
            flows=info.flows._replace(delivered=_some(info.flows.delivered, self.listings)),
        )

    def arrivals(self, whole: Arrivals) -> Arrivals:
        """The venue's arrivals, in their order and with its own numbers of groups."""
        number = np.full(whole.mass.shape[1], -1)
        number[self.instruments] = np.arange(self.instruments.size)
        group = number[whole.group]
        mine = group >= 0
        start = np.concatenate(([0], np.cumsum(mine)))[whole.start]
        return Arrivals(
            _some(whole.mass, self.instruments),
            _some(whole.exposure, self.instruments),
            start,
            group[mine],
            whole.side[mine],
            whole.size[mine],
            whole.intent[mine],
        )


@short_repr
@dataclass(frozen=True)
class VenueRouter(QuoteRule, ArrivalProcess, ExecutionRule, ReferenceRule):
    """Routes every stage of a market to its venues. `composite_market` makes such a market."""

    venues: tuple[Venue, ...]

    choice = "within"
    sigma = float("nan")  # there is none for all; `sigmas` has one a listing

    def validate(self, market: Market) -> None:
        named = [name for venue in self.venues for name in venue.instruments]
        if sorted(named) != sorted(market.layout.instruments):
            raise InputError(
                f"venues name {named}, must name each instrument of the market "
                f"{list(market.layout.instruments)} once"
            )
        for venue in self.venues:
            if venue.quotes.sealed:
                raise InputError(
                    f"venue {venue.name}: sealed bids would be seen by other venues; "
                    "give the auction a market of its own"
                )
        self.views(market)  # where each venue is held against the market that it makes by itself

    def memory(self, market: Market) -> dict[str, Array]:
        """What the venues' stages remember: each name begins with its venue's."""
        return {
            f"{view.venue.name}/{key}": array
            for view in self.views(market)
            for stage in view.stages
            for key, array in stage.memory(view.market).items()
        }

    def remember(self, market: Market, state: State, info: Info, draws: Draws) -> dict[str, Array]:
        """Every venue's stages remember what happened there."""
        found: dict[str, Array] = {}
        for view in self.views(market):
            for stage in view.stages:
                kept = stage.remember(
                    view.market, view.state(state), view.info(info), view.draws(draws)
                )
                found |= {f"{view.venue.name}/{key}": array for key, array in kept.items()}
        return found

    def views(self, market: Market) -> list[VenueView]:
        """The venues as markets of their own."""
        found: list[VenueView] = market.cached(
            "venues", lambda: [_view(market, p) for p in self.venues]
        )
        return found

    def venue_of(self, market: Market, n: int) -> Market:
        """The venue in which participant n trades; the composite market if there are several."""
        layout = market.layout
        found = [p.market for p in self.views(market) if n in layout.seller[p.listings]]
        return found[0] if len(found) == 1 else market

    # --- quotes

    @cached_property
    def features(self) -> tuple[str, ...]:
        """A column's name in every venue, where they differ: "price/offset"."""
        width = max(len(venue.quotes.features) for venue in self.venues)
        columns: list[list[str]] = [[] for _ in range(width)]
        for venue in self.venues:
            for column, name in zip(columns, venue.quotes.features, strict=False):
                if name not in column:
                    column.append(name)
        return tuple("/".join(column) for column in columns)

    def limits(self, market: Market) -> tuple[Array, Array]:
        low, high = np.zeros((2, market.layout.L, len(self.features)))
        for view in self.views(market):
            lows, highs = view.venue.quotes.limits(view.market)
            low[view.listings, : lows.shape[1]] = lows
            high[view.listings, : highs.shape[1]] = highs
        return low, high

    def tick_sizes(self, market: Market) -> Array:
        """[L] step of each listing's price grid, by its own venue's rule."""
        found = np.zeros(market.layout.L)
        for view in self.views(market):
            found[view.listings] = view.venue.quotes.tick_sizes(view.market)
        return found

    def opening(self, market: Market, batch: int) -> Quotes:
        made = [p.venue.quotes.opening(p.market, batch) for p in self.views(market)]
        return self._joined(market, made, made[0].age)

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        views = self.views(market)
        made = [_admit(view, state, actions, moves) for view in views]
        refused = np.maximum.reduce([r for _, r in made])
        half = (refused != TAKEN) & np.logical_or.reduce(
            [(r == TAKEN) & _quotes_in(market, p) for p, (_, r) in zip(views, made, strict=True)]
        )
        if half.any():  # refused in one venue: then in the others as well
            spoilt = actions.copy()
            spoilt[half[:, market.layout.seller]] = np.nan
            made = [_admit(view, state, spoilt, moves) for view in views]
        # Whoever quotes nothing in a venue counts as taken there, with age 0.
        age = np.maximum.reduce([quotes.age for quotes, _ in made])
        return self._joined(market, [quotes for quotes, _ in made], age), refused

    def _joined(self, market: Market, made: Sequence[Quotes], age: Array) -> Quotes:
        sides = [self._listed(market, [quotes[j] for quotes in made]) for j in range(4)]
        return Quotes._make([*sides, age])

    def _listed(self, market: Market, arrays: Sequence[Array]) -> Array:
        """[B, L] from every venue's own listings."""
        return _together([p.listings for p in self.views(market)], arrays)

    # --- arrivals and trades

    def opening_excitation(self, market: Market) -> Array:
        """[G, 1] at which each venue's order flow opens."""
        opening = np.zeros((market.layout.G, 1))
        for view in self.views(market):
            opening[view.instruments] = view.venue.arrivals.opening_excitation(view.market)
        return opening

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        views = self.views(market)
        made = [
            p.venue.arrivals.arrive(p.market, p.state(state), p.quotes(quotes), p.draws(draws))
            for p in views
        ]
        columns = [p.instruments for p in views]
        excitation = _together(columns, [excited for _, excited in made])
        return _merged(columns, [arrivals for arrivals, _ in made]), excitation

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        made = [
            p.venue.execution.execute(
                p.market, p.state(state), p.quotes(quotes), p.arrivals(arrivals), p.draws(draws)
            )
            for p in self.views(market)
        ]
        traded = zip(*(one.arrays for one in made), strict=True)
        joined = Executions(*(self._listed(market, arrays) for arrays in traded))
        if all(one.shown is None for one in made):
            return joined
        # A venue without a rule of prominence shows every offer.
        shown = [np.ones_like(x.sold) if x.shown is None else x.shown for x in made]
        return joined._replace(shown=self._listed(market, shown))

    # --- fundamentals

    def sigmas(self, market: Market) -> Array:
        """[L] volatility of what each listing trades."""
        sigmas = np.zeros(market.layout.L)
        for view in self.views(market):
            sigmas[view.listings] = view.market.sigmas
        return sigmas

    def sigma_relative(self, market: Market) -> NDArray[np.bool_]:
        """[L] whether each listing's volatility is in shares of its price."""
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
            demand[view.instruments] = levels[2]
        return reference, cost, demand

    def move(self, market: Market, state: State, draws: Draws) -> tuple[Array, Array, Array]:
        views = self.views(market)
        made = [p.venue.reference.move(p.market, p.state(state), p.draws(draws)) for p in views]
        columns = [p.instruments for p in views]
        return (
            _together(columns, [reference for reference, _, _ in made]),
            self._listed(market, [cost for _, cost, _ in made]),
            _together(columns, [scale for _, _, scale in made]),
        )


def composite_market(
    layout: Layout, catalogue: Catalogue, venues: Sequence[Venue], **others: Any
) -> Market:
    """Make a market of several venues.

    Parameters
    ----------
    layout : Layout
        Participants, instruments and listings of all venues.
    catalogue : Catalogue
        Costs, reference prices, qualities and stocks. [L] each
    venues : sequence of Venue
        Together they name every instrument once.
    **others
        The stages that all venues share, and the numbers of a `Market`.

    Returns
    -------
    Market
        Each venue in it trades exactly as it would alone.

    Raises
    ------
    InputError
        If an instrument is missing or named twice, or the stages do not fit together.
    """
    rule = VenueRouter(tuple(venues))
    stages: Mapping[str, Any] = {
        "execution": rule,
        "quotes": rule,
        "arrivals": rule,
        "reference": rule,
    }
    return make_market(layout, catalogue, **stages, **others)


def _view(market: Market, venue: Venue) -> VenueView:
    layout, listed = market.layout, market.catalogue
    inside, listings = layout.only(venue.instruments)
    catalogue = Catalogue(
        listed.cost[listings],
        listed.reference_price[listings],
        listed.quality[listings],
        listed.stock[listings],
        listed.nest[listings] if listed.nest is not None else None,
    )
    alone = make_market(
        inside,
        catalogue,
        venue.execution,
        quotes=venue.quotes,
        arrivals=venue.arrivals,
        positions=market.positions,
        reference=venue.reference,
        dt=market.dt,
        horizon=market.horizon,
        name=venue.name,
        standalone=False,
    )
    numbers = np.array([layout.instruments.index(name) for name in inside.instruments])
    return VenueView(venue, alone, listings, numbers)


def _admit(view: VenueView, state: State, actions: Array, moves: Any) -> tuple[Quotes, IntArray]:
    rule = view.venue.quotes
    own = np.ascontiguousarray(_some(actions, view.listings)[:, :, : len(rule.features)])
    return rule.admit(view.market, view.state(state), own, moves)


def _quotes_in(market: Market, view: VenueView) -> Any:
    """[N] who quotes in a venue."""
    return np.isin(np.arange(market.layout.N), market.layout.seller[view.listings])


def _some(array: Array, columns: IntArray) -> Array:
    """The columns of axis 1, C-contiguous."""
    return np.take(array, columns, axis=1)


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
    return Arrivals(
        _together(columns, [a.mass for a in made]),
        _together(columns, [a.exposure for a in made]),
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        group[order].astype(np.int64),
        np.concatenate([a.side for a in made])[order],
        np.concatenate([a.size for a in made])[order],
        np.concatenate([a.intent for a in made])[order],
    )
