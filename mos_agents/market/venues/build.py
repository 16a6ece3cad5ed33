"""Builds a market of several venues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.market import Market
from mos_agents.market.types import (
    FEE,
    ORDER,
    PLACE,
    QUOTE,
    WEIGHT,
    InputError,
    IntArray,
    Layout,
)
from mos_agents.market.venues.router import VenueRouter
from mos_agents.market.venues.venue import Venue

CatalogueOf = Callable[[Layout], Catalogue]
"""Makes the catalogue [L] of the quotes of a venue."""


def venue_layout(
    participants: Sequence[str], roles: Sequence[str], venues: Sequence[Venue]
) -> Layout:
    """Lay out the slots of a market of several venues.

    Parameters
    ----------
    participants : sequence of str
        Names, in roster order.
    roles : sequence of str
        A role for each participant.
    venues : sequence of Venue
        In the order in which they are cleared.

    Returns
    -------
    Layout
        Slots by participant, then venue, then by kind (quotes before orders before rules before
        bids for a place), then good.

    Raises
    ------
    InputError
        If a name stands twice, or a venue names a participant that does not play.
    """
    names = [venue.name for venue in venues]
    if len(set(names)) != len(names) or not names:
        raise InputError(f"venues={names} must be distinct names, one or more")
    goods = tuple(dict.fromkeys(good for venue in venues for good in venue.goods))
    slots: list[tuple[int, int, int, int, int]] = []
    platform = roles.index("platform") if "platform" in roles else -1
    instruments: list[str] = []
    good: list[int] = []
    group: list[int] = []
    groups = 0
    for venue in venues:
        for who in (*venue.quoting, *venue.ordering):
            if who not in participants:
                raise InputError(
                    f"venue {venue.name}: {who!r} is not one of the participants "
                    f"{list(participants)}"
                )
        first = len(instruments)
        bidding = venue.quoting if venue.highest_placement > 0.0 else ()
        for kind, senders in ((QUOTE, venue.quoting), (ORDER, venue.ordering), (PLACE, bidding)):
            for who in senders:
                number = list(participants).index(who)
                slots += [(number, first, kind, first + k, 0) for k in range(len(venue.goods))]
        if venue.fees.features or venue.is_steered:
            if platform < 0:
                raise InputError(
                    f"venue {venue.name}: {_platform_setting(venue)} lets the platform decide, and "
                    "there is none among the participants: give one of them role: platform"
                )
            if venue.fees.features:
                slots.append((platform, first, FEE, first, 0))
            if venue.is_steered:
                slots += [
                    (platform, first, WEIGHT, first + k, list(participants).index(who))
                    for k in range(len(venue.goods))
                    for who in venue.quoting
                ]
        instruments += venue.instruments
        good += [goods.index(one) for one in venue.goods]
        many = len(venue.goods) if venue.execution.choice == "within" else 1
        group += [groups + (k if many > 1 else 0) for k in range(len(venue.goods))]
        groups += many
    slots.sort()
    seller, _, kinds, instrument, about = np.array(slots).T
    return Layout(
        tuple(participants),
        tuple(roles),
        tuple(instruments),
        seller,
        instrument,
        "venues",
        goods,
        np.array(good),
        np.ascontiguousarray(kinds),
        np.array(group),
        _slot_names(participants, venues, kinds, instrument, about),
    )


def _platform_setting(venue: Venue) -> str:
    return "fees.kind=set_by_platform" if venue.fees.features else "prominence.kind=steered"


def _slot_names(
    participants: Sequence[str],
    venues: Sequence[Venue],
    kinds: IntArray,
    instrument: IntArray,
    about: IntArray,
) -> tuple[str, ...]:
    """[L] names of slots for tables: a quote's and an order's is that of its instrument."""
    traded = [(venue.name, good) for venue in venues for good in venue.goods]

    def name(kind: int, k: int, who: int) -> str:
        venue, good = traded[k]
        if kind == WEIGHT:
            return f"{venue}.weights.{participants[who]}.{good}"
        names = {FEE: f"{venue}.fees", PLACE: f"{venue}.places.{good}"}
        return names.get(kind, f"{venue}.{good}")

    return tuple(name(*one) for one in zip(kinds, instrument, about, strict=True))


def join_catalogues(
    layout: Layout, venues: Sequence[Venue], made: Mapping[str, CatalogueOf] | CatalogueOf
) -> Catalogue:
    """Join the venues' catalogues into one of all slots.

    Cost and stock belong to a holding: they are those of the first venue in which its owner quotes
    the good, or only orders it where it is quoted nowhere.

    Parameters
    ----------
    layout : Layout
        As `venue_layout` makes it.
    venues : sequence of Venue
        The venues.
    made : mapping or callable
        Makes the catalogue of a layout; or one by the name of each venue.

    Returns
    -------
    Catalogue
        Of all slots. [L] each
    """
    columns = {n: np.zeros(layout.L) for n in ("cost", "reference_price", "quality")}
    columns["stock"] = np.full(layout.L, np.inf)
    nest = np.zeros(layout.L, np.int64)
    for venue in venues:
        own = [layout.instruments.index(name) for name in venue.instruments]
        # A rule of the platform trades nothing: it has no cost, and no stock that could run out.
        slots = np.flatnonzero(np.isin(layout.instrument, own) & (layout.kind <= ORDER))
        inside = Layout(
            layout.participants,
            layout.roles,
            venue.goods,
            layout.seller[slots],
            layout.instrument[slots] - own[0],
        )
        catalogue = (made[venue.name] if isinstance(made, Mapping) else made)(inside)
        for name, column in columns.items():
            column[slots] = getattr(catalogue, name)
        nest[slots] = 0 if catalogue.nest is None else catalogue.nest
    order = np.lexsort((np.arange(layout.L), layout.kind))
    first = order[np.unique(layout.holding[order], return_index=True)[1]][layout.holding]
    for name in ("cost", "stock"):
        columns[name] = np.where(layout.kind != QUOTE, columns[name][first], columns[name])
    rules, prices = layout.kind > ORDER, np.zeros(layout.K)
    prices[layout.instrument[~rules][::-1]] = columns["reference_price"][~rules][::-1]
    columns["reference_price"][rules] = prices[layout.instrument[rules]]
    return Catalogue(**columns, nest=nest)


def venue_market(
    participants: Sequence[str],
    roles: Sequence[str],
    venues: Sequence[Venue],
    catalogue: Mapping[str, CatalogueOf] | CatalogueOf,
    **others: Any,
) -> Market:
    """Make a market of several venues.

    Parameters
    ----------
    participants : sequence of str
        Names, in roster order.
    roles : sequence of str
        A role for each participant.
    venues : sequence of Venue
        In the order in which they are cleared.
    catalogue : mapping or callable
        Makes the catalogue of a layout; or one by the name of each venue.
    **others
        The stages that all venues share, and the numbers of a `Market`.

    Returns
    -------
    Market
        A venue in which nobody sends orders trades exactly as it would alone.

    Raises
    ------
    InputError
        If a name is unknown or the stages do not fit together, in one line.
    """
    layout = venue_layout(participants, roles, venues)
    rule = VenueRouter(tuple(venues))
    return make_market(
        layout,
        join_catalogues(layout, venues, catalogue),
        rule,
        quotes=rule,
        arrivals=rule,
        reference=rule,
        **others,
    )
