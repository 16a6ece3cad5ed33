"""Shops and dealers under one roof: instruments of several kinds in one market.

A part of the market has its own rules for quotes, arrivals, execution and fundamentals; all parts
share the roster, the clock, the ledger, the tape and the rewards. Each part runs as it would
alone: its random numbers have addresses of their own (`PartDraws`), and its trades have the same
bits.

An action has as many numbers as the widest part needs; a listing of a narrower part reads its own
first numbers and ignores the rest (whose limits are 0). Somebody who quotes in several parts is
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
from mos_agents.market.printing import short_repr
from mos_agents.market.quotes import TAKEN, SealedBid
from mos_agents.market.reference import Fundamentals
from mos_agents.market.stages import ArrivalProcess, ExecutionRule, QuoteRule, ReferenceRule
from mos_agents.market.streams import Draws
from mos_agents.market.tick import Market
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    InputError,
    IntArray,
    Layout,
    Positions,
    Quotes,
    State,
)


@short_repr
@dataclass(frozen=True)
class Part:
    """Instruments that are quoted, asked for and traded under the same rules."""

    instruments: tuple[str, ...]
    quotes: QuoteRule
    arrivals: ArrivalProcess
    execution: ExecutionRule
    reference: ReferenceRule = field(default_factory=Fundamentals)

    @property
    def name(self) -> str:
        return "+".join(self.instruments)


@dataclass(frozen=True)
class PartDraws:
    """A part's share of the market's random numbers: every key carries the part's name."""

    draws: Draws
    part: str

    def uniforms(self, key: str, n: int) -> Array:
        return self.draws.uniforms(f"{self.part}/{key}", n)

    def normals(self, key: str, n: int) -> Array:
        return self.draws.normals(f"{self.part}/{key}", n)

    def block_uniforms(self, key: str, n: int) -> Array:
        return self.draws.block_uniforms(f"{self.part}/{key}", n)

    def ragged(self, key: str, start: IntArray) -> Array:
        return self.draws.ragged(f"{self.part}/{key}", start)


@short_repr
class Place(NamedTuple):
    """A part as a market of its own, and where its arrays lie in the whole one's."""

    part: Part
    market: Market
    listings: IntArray
    instruments: IntArray  # which are the choice groups as well

    def draws(self, draws: Draws) -> PartDraws:
        return PartDraws(draws, self.part.name)

    def quotes(self, quotes: Quotes) -> Quotes:
        return Quotes._make([*(_some(a, self.listings) for a in quotes[:4]), quotes.age])

    def state(self, state: State) -> State:
        """The part's view of the state."""
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
            tape=np.take(state.tape, own, axis=3),
        )

    def arrivals(self, whole: Arrivals) -> Arrivals:
        """The part's arrivals, in their order and with its own numbers of groups."""
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
class SideBySide:
    """Routes every stage of a market to its parts. Make such a market with `side_by_side`."""

    parts: tuple[Part, ...]

    choice = "within"
    sigma = float("nan")  # there is none for all; `sigmas` has one a listing

    def fits(self, market: Market) -> None:
        named = [name for part in self.parts for name in part.instruments]
        if sorted(named) != sorted(market.layout.instruments):
            raise InputError(
                f"parts name {named}, must name each instrument of the market "
                f"{list(market.layout.instruments)} once"
            )
        for part in self.parts:
            if isinstance(part.quotes, SealedBid):
                raise InputError(
                    f"part {part.name}: sealed bids would be seen on the tape that parts share; "
                    "give the auction a market of its own"
                )
        self.places(market)  # where each part is held against the market that it makes by itself

    def places(self, market: Market) -> list[Place]:
        """The parts as markets of their own."""
        found: list[Place] = market.cached("parts", lambda: [_place(market, p) for p in self.parts])
        return found

    def home(self, market: Market, n: int) -> Market:
        """The part in which participant n lives, or the whole market if it lives in several."""
        layout = market.layout
        homes = [p.market for p in self.places(market) if n in layout.seller[p.listings]]
        return homes[0] if len(homes) == 1 else market

    # --- quotes

    @cached_property
    def features(self) -> tuple[str, ...]:
        """A column's name in every part, where they differ: "price/offset"."""
        width = max(len(part.quotes.features) for part in self.parts)
        columns: list[list[str]] = [[] for _ in range(width)]
        for part in self.parts:
            for column, name in zip(columns, part.quotes.features, strict=False):
                if name not in column:
                    column.append(name)
        return tuple("/".join(column) for column in columns)

    def limits(self, market: Market) -> tuple[Array, Array]:
        low, high = np.zeros((2, market.layout.L, len(self.features)))
        for place in self.places(market):
            lows, highs = place.part.quotes.limits(place.market)
            low[place.listings, : lows.shape[1]] = lows
            high[place.listings, : highs.shape[1]] = highs
        return low, high

    def tick_sizes(self, market: Market) -> Array:
        """[L] step of each listing's price grid, by its own part's rule."""
        found = np.zeros(market.layout.L)
        for place in self.places(market):
            hook = getattr(place.part.quotes, "tick_sizes", None)
            if hook is not None:
                found[place.listings] = hook(place.market)
        return found

    def opening(self, market: Market, batch: int) -> Quotes:
        made = [p.part.quotes.opening(p.market, batch) for p in self.places(market)]
        return self._joined(market, made, made[0].age)

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        places = self.places(market)
        made = [_admit(place, state, actions, moves) for place in places]
        refused = np.maximum.reduce([r for _, r in made])
        half = (refused != TAKEN) & np.logical_or.reduce(
            [(r == TAKEN) & _lives(market, p) for p, (_, r) in zip(places, made, strict=True)]
        )
        if half.any():  # refused in one part: then in the others as well
            spoilt = actions.copy()
            spoilt[half[:, market.layout.seller]] = np.nan
            made = [_admit(place, state, spoilt, moves) for place in places]
        # Whoever quotes nothing in a part counts as taken there, with age 0.
        age = np.maximum.reduce([quotes.age for quotes, _ in made])
        return self._joined(market, [quotes for quotes, _ in made], age), refused

    def _joined(self, market: Market, made: Sequence[Quotes], age: Array) -> Quotes:
        sides = [self._listed(market, [quotes[j] for quotes in made]) for j in range(4)]
        return Quotes._make([*sides, age])

    def _listed(self, market: Market, arrays: Sequence[Array]) -> Array:
        """[B, L] from every part's own listings."""
        return _together([p.listings for p in self.places(market)], arrays)

    # --- arrivals and trades

    def opening_excitation(self, market: Market) -> Array:
        """[G, 1] at which each part's order flow opens."""
        opening = np.zeros((market.layout.G, 1))
        for place in self.places(market):
            opening[place.instruments] = getattr(place.part.arrivals, "opening_excitation", 0.0)
        return opening

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        places = self.places(market)
        made = [
            p.part.arrivals.arrive(p.market, p.state(state), p.quotes(quotes), p.draws(draws))
            for p in places
        ]
        columns = [p.instruments for p in places]
        excitation = _together(columns, [excited for _, excited in made])
        return _merged(columns, [arrivals for arrivals, _ in made]), excitation

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        made = [
            p.part.execution.execute(
                p.market, p.state(state), p.quotes(quotes), p.arrivals(arrivals), p.draws(draws)
            )
            for p in self.places(market)
        ]
        return Executions(*(self._listed(market, arrays) for arrays in zip(*made, strict=True)))

    # --- fundamentals

    def sigmas(self, market: Market) -> Array:
        """[L] volatility of what each listing trades."""
        sigmas = np.zeros(market.layout.L)
        for place in self.places(market):
            sigmas[place.listings] = place.market.sigmas
        return sigmas

    def relative(self, market: Market) -> NDArray[np.bool_]:
        """[L] whether each listing's volatility is in shares of its price."""
        shares: NDArray[np.bool_] = np.zeros(market.layout.L, np.bool_)
        for place in self.places(market):
            shares[place.listings] = place.market.sigmas_relative
        return shares

    def first_levels(self, market: Market) -> tuple[Array, Array, Array]:
        """Levels before the first tick, each part's from its own rule."""
        reference, cost = market.opening_reference.copy(), market.catalogue.cost.copy()
        demand = market.opening_demand.copy()
        for place in self.places(market):
            first = getattr(place.part.reference, "first_levels", None)
            if first is not None:
                parts = first(place.market)
                reference[place.instruments], cost[place.listings] = parts[0], parts[1]
                demand[place.instruments] = parts[2]
        return reference, cost, demand

    def move(self, market: Market, state: State, draws: Draws) -> tuple[Array, Array, Array]:
        places = self.places(market)
        made = [p.part.reference.move(p.market, p.state(state), p.draws(draws)) for p in places]
        columns = [p.instruments for p in places]
        return (
            _together(columns, [reference for reference, _, _ in made]),
            self._listed(market, [cost for _, cost, _ in made]),
            _together(columns, [scale for _, _, scale in made]),
        )


def side_by_side(
    layout: Layout, catalogue: Catalogue, parts: Sequence[Part], **others: Any
) -> Market:
    """A market whose parts stand side by side; `others` are those that they share.

    Raises InputError unless the parts name every instrument exactly once.
    """
    rule = SideBySide(tuple(parts))
    stages: Mapping[str, Any] = {
        "execution": rule,
        "quotes": rule,
        "arrivals": rule,
        "reference": rule,
    }
    return Market(layout, catalogue, **stages, **others)


def _place(market: Market, part: Part) -> Place:
    layout, listed = market.layout, market.catalogue
    inside, listings = layout.only(part.instruments)
    catalogue = Catalogue(
        listed.cost[listings],
        listed.reference_price[listings],
        listed.quality[listings],
        listed.stock[listings],
        listed.nest[listings] if listed.nest is not None else None,
    )
    alone = Market(
        inside,
        catalogue,
        part.execution,
        part.quotes,
        arrivals=part.arrivals,
        positions=market.positions,
        reference=part.reference,
        dt=market.dt,
        horizon=market.horizon,
        name=part.name,
        whole=False,
    )
    numbers = np.array([layout.instruments.index(name) for name in inside.instruments])
    return Place(part, alone, listings, numbers)


def _admit(place: Place, state: State, actions: Array, moves: Any) -> tuple[Quotes, IntArray]:
    rule = place.part.quotes
    own = np.ascontiguousarray(_some(actions, place.listings)[:, :, : len(rule.features)])
    return rule.admit(place.market, place.state(state), own, moves)


def _lives(market: Market, place: Place) -> Any:
    """[N] who quotes in a part."""
    return np.isin(np.arange(market.layout.N), market.layout.seller[place.listings])


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
    """The parts' arrivals in one; within a market the parts' single arrivals follow each other."""
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
