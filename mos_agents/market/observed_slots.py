"""Which slots and holdings the fields of a participant's observation are about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mos_agents.market.holdings import holdings_of
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.types import ORDER, QUOTE, IntArray, Layout


@short_repr
class ObservedSlots(NamedTuple):
    """Slots by what they are to one participant."""

    layout: Layout
    quotes: IntArray  # own quotes
    asks: IntArray  # those with an ask
    bids: IntArray
    buying: IntArray  # own orders that may buy
    selling: IntArray
    holdings: IntArray  # own holdings
    cost: IntArray  # the slot with each one's cost
    goods: tuple[str, ...]  # names of the holdings
    reference: IntArray  # one own slot for each instrument
    rivals: IntArray  # others' public quotes that it meets
    rival_bids: IntArray

    def of(self, slots: IntArray) -> tuple[IntArray, tuple[str, ...]]:
        """Slots, and the names of their instruments."""
        names = self.layout.instruments
        return slots, tuple(names[k] for k in self.layout.instrument[slots])


def observed_slots(market: Market, n: int) -> ObservedSlots:
    """The slots that participant n observes."""
    layout = market.layout
    own = np.arange(layout.first[n], layout.first[n + 1])
    if not layout.goods:
        names = tuple(layout.instruments[k] for k in layout.instrument[own])
        none, rivals = own[:0], _rivals(layout, layout.group[own], own)
        return ObservedSlots(
            layout, own, own, own, none, none, own, own, names, own, rivals, rivals
        )
    asks, bids = market.cached("sides", lambda: market.quotes.sides(market))
    quotes, orders = (own[layout.kind[own] == kind] for kind in (QUOTE, ORDER))
    traded = own[layout.kind[own] <= ORDER]
    first = np.sort(np.unique(layout.holding[traded], return_index=True)[1])
    holdings = layout.holding[traded][first]  # in the order of the slots
    rivals = _rivals(layout, market.quotes.groups_met(market, n), own)
    rivals = rivals[layout.kind[rivals] == QUOTE]
    return ObservedSlots(
        layout,
        quotes,
        quotes[asks[quotes]],
        quotes[bids[quotes]],
        orders[bids[orders]],
        orders[asks[orders]],
        holdings,
        holdings_of(market).slot[holdings],
        tuple(layout.goods[g] for g in layout.holding_good[holdings]),
        own[np.unique(layout.instrument[own], return_index=True)[1]],
        rivals,
        rivals[bids[rivals]],
    )


def _rivals(layout: Layout, groups: IntArray, own: IntArray) -> IntArray:
    """The listings of others that somebody meets: all, or those of these choice groups."""
    shown = np.ones(layout.L, np.bool_)
    if layout.choice != "across":
        shown = np.isin(layout.group, groups)
    shown[own] = False
    return np.flatnonzero(shown)
