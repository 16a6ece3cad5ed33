"""Bids of sellers for a prominent place, as slots of their own, and what the places cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.refusals import NOT_FINITE, OUTSIDE, TAKEN
from mos_agents.market.types import Array, IntArray, Quotes
from mos_agents.market.venues.platform import ASKED
from mos_agents.market.venues.venue import VenueView


def admit_placements(
    market: Market,
    views: Sequence[VenueView],
    standing: Quotes,
    actions: Array,
    moves: Any,
    sides: Array,
) -> list[IntArray]:
    """Take the sellers' bids for places, which are put into [4, B, L], or refuse them.

    Returns
    -------
    list of array [B, N]
        Reasons of refusals, of each venue in which sellers bid.
    """
    found = []
    for view in views:
        if not view.places.size:
            continue
        refused = np.full((len(actions), market.layout.N), TAKEN)
        for slot in view.places:
            n, wanted = market.layout.seller[slot], actions[:, slot, 0]
            moved = np.broadcast_to(moves[:, n], wanted.shape)
            reason = np.where(np.isfinite(wanted), TAKEN, NOT_FINITE)
            outside = (wanted < 0.0) | (wanted > view.venue.highest_placement)
            reason = np.where(outside, OUTSIDE, reason)
            refused[:, n] = np.maximum(refused[:, n], np.where(moved, reason, TAKEN))
            sides[ASKED, :, slot] = np.where(moved, wanted, standing.ask[:, slot])
        found.append(refused)
    return found


def keep_placements(
    market: Market, views: Sequence[VenueView], standing: Quotes, refused: IntArray, sides: Array
) -> None:
    """Put the bids in force back where their seller's action was refused."""
    for view in views:
        for slot in view.places:
            out = refused[:, market.layout.seller[slot]] != TAKEN
            sides[ASKED, out, slot] = standing.ask[out, slot]


def place_fees(view: VenueView, bids: Array, offered: Any, shown: Array, sold: Array) -> Array:
    """[B, listings] what the shown offers owe for their places.

    Parameters
    ----------
    view : VenueView
        The venue.
    bids : array [B, listings]
        Money per unit.
    offered : array of bool [B, listings]
        Which offers could be bought.
    shown : array [B, listings]
        1 where an offer was shown.
    sold : array [B, listings]
        Units.
    """
    layout, owed = view.market.layout, np.zeros(bids.shape)
    losing = np.where(offered & (shown == 0.0), bids, 0.0)
    for g in range(layout.G):
        members = layout.group_listing[layout.group_start[g] : layout.group_start[g + 1]]
        if members.size:
            price = losing[:, members].max(axis=1, keepdims=True)
            owed[:, members] = price * (sold * shown)[:, members]
    return owed
