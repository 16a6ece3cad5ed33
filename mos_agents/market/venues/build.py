"""Builds a market of several venues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.market import Market
from mos_agents.market.types import ORDER, QUOTE, InputError, Layout
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
        Slots by participant, then venue, then quotes before orders, then good.

    Raises
    ------
    InputError
        If a name stands twice, or a venue names somebody who does not play.
    """
    names = [venue.name for venue in venues]
    if len(set(names)) != len(names) or not names:
        raise InputError(f"venues={names} must be distinct names, one or more")
    goods = tuple(dict.fromkeys(good for venue in venues for good in venue.goods))
    slots: list[tuple[int, int, int, int]] = []
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
        for kind, senders in ((QUOTE, venue.quoting), (ORDER, venue.ordering)):
            for who in senders:
                number = list(participants).index(who)
                slots += [(number, first, kind, first + k) for k in range(len(venue.goods))]
        instruments += venue.instruments
        good += [goods.index(one) for one in venue.goods]
        many = len(venue.goods) if venue.execution.choice == "within" else 1
        group += [groups + (k if many > 1 else 0) for k in range(len(venue.goods))]
        groups += many
    slots.sort()
    seller, _, kinds, instrument = np.array(slots).T
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
    )


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
    columns = {n: np.zeros(layout.L) for n in ("cost", "reference_price", "quality", "stock")}
    nest = np.zeros(layout.L, np.int64)
    for venue in venues:
        own = [layout.instruments.index(name) for name in venue.instruments]
        slots = np.flatnonzero(np.isin(layout.instrument, own))
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
    is_order = layout.kind == ORDER
    for name in ("cost", "stock"):
        columns[name] = np.where(is_order, columns[name][first], columns[name])
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
