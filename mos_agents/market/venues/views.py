"""Makes each venue a market of its own quotes, with the whole market's other stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.checks import naming
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
from mos_agents.market.venues.venue import Venue, VenueView


def views_of(market: Market, venues: Sequence[Venue]) -> tuple[VenueView, ...]:
    """The venues of a market as markets of their own, in their order.

    Raises
    ------
    InputError
        If the layout is that of other venues, or a venue's stages do not fit together.
    """
    named = [name for venue in venues for name in venue.instruments]
    if named != list(market.layout.instruments):
        raise InputError(
            f"venues trade {named}, and the layout has {list(market.layout.instruments)}; make it "
            "with venue_layout"
        )
    return tuple(_view(market, venue) for venue in venues)


def _view(market: Market, venue: Venue) -> VenueView:
    layout, listed = market.layout, market.catalogue
    instruments = np.array([layout.instruments.index(name) for name in venue.instruments])
    here = np.isin(layout.instrument, instruments)
    listings = np.flatnonzero(here & (layout.kind == QUOTE))
    orders = np.flatnonzero(here & (layout.kind == ORDER))
    number = np.full(layout.K, -1)
    number[instruments] = np.arange(instruments.size)
    inside = Layout(
        layout.participants,
        layout.roles,
        venue.instruments,
        layout.seller[listings],
        number[layout.instrument[listings]],
        venue.execution.choice,
    )
    catalogue = Catalogue(
        listed.cost[listings],
        listed.reference_price[listings],
        listed.quality[listings],
        listed.stock[listings],
        listed.nest[listings] if listed.nest is not None else None,
    )
    with naming(f"venues.{venue.name}"):
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
        low, high = venue.orders.limits(listed.reference_price[orders], alone.bids)
    return VenueView(
        venue,
        alone,
        listings,
        orders,
        instruments,
        np.unique(market.layout.instrument_group[instruments]),
        layout.holding[listings],
        layout.good[instruments],
        _ranks(layout, np.concatenate([orders, listings])),
        layout.seller[orders],
        np.isin(np.arange(layout.N), layout.seller[listings]),
        low,
        high,
        np.flatnonzero(here & (layout.kind == FEE)),
        _weights(layout, np.flatnonzero(here & (layout.kind == WEIGHT)), listings),
        np.flatnonzero(here & (layout.kind == PLACE)),
    )


def _weights(layout: Layout, weights: IntArray, listings: IntArray) -> IntArray:
    """The slot with the weight of each listing: those stand by good, then by seller."""
    found = np.empty(weights.size, np.int64)
    if weights.size:
        found[np.lexsort((layout.seller[listings], layout.instrument[listings]))] = weights
    return found


def _ranks(layout: Layout, slots: IntArray) -> IntArray:
    """Places of the slots by the names of their owners: the roster's order leaves no trace."""
    names = [
        (
            layout.participants[layout.seller[i]],
            int(layout.kind[i]),
            layout.instruments[layout.instrument[i]],
        )
        for i in slots
    ]
    ranks = np.empty(slots.size, np.int64)
    ranks[sorted(range(slots.size), key=names.__getitem__)] = np.arange(slots.size)
    return ranks
