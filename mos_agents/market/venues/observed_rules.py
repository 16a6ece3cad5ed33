"""What participants observe of the rules of venues."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mos_agents.market.fields import (
    OWN_WEIGHT,
    VENUE_FEE,
    VENUE_SALES,
    VENUE_UNIT_FEE,
    ObservationField,
)
from mos_agents.market.market import Market
from mos_agents.market.types import Array, Executions, IntArray, State
from mos_agents.market.venues.venue import VenueView, some


def venue_fields(
    market: Market, views: Sequence[VenueView], n: int
) -> tuple[ObservationField, ...]:
    """The fields of participant n: fees, and for a platform the sales and its own weights."""
    layout = market.layout
    own = np.arange(layout.first[n], layout.first[n + 1])
    run = [v for v, view in enumerate(views) if _has(own, view.rules)]
    here = [v for v, view in enumerate(views) if _has(own, view.listings, view.orders)]
    changing = [v for v in sorted({*here, *run}) if views[v].venue.fees.can_change]
    weighed = own[np.isin(own, np.concatenate([view.weights for view in views]))]

    def field(
        name: str, meaning: str, unit: str, high: float, source: int, which: list[int]
    ) -> ObservationField:
        names = tuple(views[v].venue.name for v in which)
        low = -np.inf if source == VENUE_UNIT_FEE else 0.0
        return ObservationField(
            name, meaning, unit, low, high, source, np.array(which, np.int64), names
        )

    found = [
        field("fee", "share of the money of trades that is charged", "1", 1.0, VENUE_FEE, changing),
        field(
            "unit_fee",
            "money per unit that is charged",
            "money per unit",
            np.inf,
            VENUE_UNIT_FEE,
            changing,
        ),
        field(
            "venue_sold", "units sold by participants, last tick", "units", np.inf, VENUE_SALES, run
        ),
    ]
    if weighed.size:
        labels = tuple(layout.slot_names[i].partition(".weights.")[2] for i in weighed)
        found.append(
            ObservationField(
                "weight", "own weight of the offer", "1", 0.0, 1.0, OWN_WEIGHT, weighed, labels
            )
        )
    bids = own[np.isin(own, np.concatenate([view.places for view in views]))]
    if bids.size:
        labels = tuple(layout.slot_names[i].partition(".places.")[2] for i in bids)
        meaning, unit = "own bid for a prominent place", "money per unit"
        found.append(
            ObservationField("placement", meaning, unit, 0.0, np.inf, OWN_WEIGHT, bids, labels)
        )
    return tuple(one for one in found if one.size)


def _has(own: IntArray, *slots: IntArray) -> bool:
    return any(np.isin(one, own).any() for one in slots)


def observe_venues(views: Sequence[VenueView], state: State, executions: Executions) -> Array:
    """[B, 3 x venues + L] fees, fees per unit, sales by venue; and what stands in every slot."""
    ask, bid = state.quotes.ask, state.quotes.bid
    found = np.zeros((len(ask), 3 * len(views) + ask.shape[1]))
    for v, view in enumerate(views):
        rates = view.rates(state.tick, ask, bid)
        found[:, v], found[:, len(views) + v] = rates[:, 0], rates[:, 1]
        sold = some(executions.sold, np.concatenate([view.listings, view.orders]))
        for column in sold.T:  # in order: the same bits in a batch of any size
            found[:, 2 * len(views) + v] += column
    found[:, 3 * len(views) :] = ask
    return found
