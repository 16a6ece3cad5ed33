"""What the platform sets in the venues: fees and the weights of offers, as slots of its own.

A rule stands in `Quotes` like a quote that nobody can take: a fee or a weight as the ask, a fee per
unit as the bid, with sizes of 0. So it is recorded, observed and restored as quotes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.refusals import NOT_FINITE, OUTSIDE, SHOWS_NOBODY, TAKEN
from mos_agents.market.types import Array, IntArray, Quotes
from mos_agents.market.venues.venue import VenueView, some

ASKED, BID = 2, 0
"""Rows of the four arrays of `Quotes` that hold what is set."""
FEATURES = {"fee": ASKED, "unit_fee": BID}


def opening_rules(views: Sequence[VenueView], sides: Array) -> None:
    """Fill in what is set before the first tick, in the four arrays [4, B, L] of quotes."""
    for view in views:
        for slot in view.fee:
            sides[ASKED, :, slot], sides[BID, :, slot] = view.venue.fees.opening
        sides[ASKED][:, view.weights] = 1.0


def rule_limits(views: Sequence[VenueView], low: Array, high: Array) -> None:
    """Fill in the limits [L, A] of the platform's slots."""
    for view in views:
        lowest, highest = view.venue.fees.limits()
        low[view.fee, : lowest.size], high[view.fee, : highest.size] = lowest, highest
        high[view.weights, 0] = 1.0
        high[view.places, 0] = view.venue.highest_placement


def admit_rules(
    market: Market,
    views: Sequence[VenueView],
    tick: int,
    standing: Quotes,
    actions: Array,
    moves: Any,
    sides: Array,
) -> IntArray | None:
    """Take the platform's rules, which are put into [4, B, L], or refuse them.

    Parameters
    ----------
    market : Market
        The whole market.
    views : sequence of VenueView
        Its venues.
    tick : int
        The tick.
    standing : Quotes
        Quotes and rules in force before it.
    actions : array [B, L, A]
        Everybody's actions.
    moves : array of bool [B, N] or [1, N]
        Who may move.
    sides : array [4, B, L]
        Filled in where the platform has slots.

    Returns
    -------
    array [B, N] or None
        Reasons of refusals; None where the platform has no slots.
    """
    slots = _rules(market, views)
    if not slots.size:
        return None
    sides[ASKED][:, slots], sides[BID][:, slots] = (
        some(standing.ask, slots),
        some(standing.bid, slots),
    )
    batch, n = len(actions), market.collector
    reason = np.full(batch, TAKEN)
    moved = np.broadcast_to(moves[:, n], (batch,))
    for view in views:
        if view.fee.size and tick % view.venue.fees.period == 0:
            slot = int(view.fee[0])
            _, highest = view.venue.fees.limits()
            wanted = actions[:, slot, : highest.size]
            _refuse(reason, ~np.isfinite(wanted).all(axis=1), NOT_FINITE)
            _refuse(reason, ((wanted < 0.0) | (wanted > highest)).any(axis=1), OUTSIDE)
            for column, name in enumerate(view.venue.fees.features):
                side = sides[FEATURES[name]]
                side[:, slot] = np.where(moved, wanted[:, column], side[:, slot])
        if view.weights.size:
            wanted = actions[:, view.weights, 0]
            _refuse(reason, ~np.isfinite(wanted).all(axis=1), NOT_FINITE)
            _refuse(reason, ((wanted < 0.0) | (wanted > 1.0)).any(axis=1), OUTSIDE)
            _refuse(reason, _shows_nobody(view, wanted), SHOWS_NOBODY)
            sides[ASKED][:, view.weights] = np.where(
                moved[:, None], wanted, sides[ASKED][:, view.weights]
            )
    refused = np.full((batch, market.layout.N), TAKEN)
    refused[:, n] = np.where(moved, reason, TAKEN)
    return refused


def keep_rules(
    market: Market, views: Sequence[VenueView], standing: Quotes, refused: IntArray, sides: Array
) -> None:
    """Put the rules in force back where the platform's action was refused."""
    slots = _rules(market, views)
    if slots.size:
        rows = np.flatnonzero(refused[:, market.collector] != TAKEN)
        at = np.ix_(rows, slots)
        sides[ASKED][at], sides[BID][at] = standing.ask[at], standing.bid[at]


def _rules(market: Market, views: Sequence[VenueView]) -> IntArray:
    """The platform's slots."""

    def found() -> IntArray:
        return np.concatenate([view.rules for view in views])

    slots: IntArray = market.cached("rules", found)
    return slots


def _refuse(reason: IntArray, wrong: Any, because: int) -> None:
    """Enter a reason where there is none yet."""
    reason[wrong & (reason == TAKEN)] = because


def _shows_nobody(view: VenueView, weights: Array) -> Any:
    """[B] whether all offers of some choice group have no weight."""
    layout = view.market.layout
    nobody = np.zeros(len(weights), np.bool_)
    for g in range(layout.G):
        members = layout.group_listing[layout.group_start[g] : layout.group_start[g + 1]]
        if members.size:
            nobody |= ~(weights[:, members] > 0.0).any(axis=1)
    return nobody
