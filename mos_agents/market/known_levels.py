"""Prices and costs that are known before anything is played: opening levels, replays and shocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.reference import Fundamentals, Replay, Shock, UniformDraw
from mos_agents.market.stages import Process
from mos_agents.market.types import Array


@short_repr
class KnownLevels(NamedTuple):
    """Opening level and known range of every listing: [L] each, money per unit.

    Only replays, shocks and uniform draws tell more than the opening level. Random paths do not.
    """

    price_low: Array  # reference price
    price_high: Array
    cost: Array  # unit cost before the first tick
    cost_high: Array


def known_levels(market: Market) -> KnownLevels:
    """The levels of a market, made once."""
    found: KnownLevels = market.cached("known levels", lambda: _known(market))
    return found


def _known(market: Market) -> KnownLevels:
    prices, costs, rule = market.opening_prices, market.opening_costs, market.reference
    if not isinstance(rule, Fundamentals):
        return KnownLevels(prices, prices, costs, costs)
    low, high = _range(rule.price, market.opening_reference, market.horizon)
    low, high = (market.marks_of_listings(one[None])[0] for one in (low, high))
    low, high = np.minimum(low, prices), np.maximum(high, prices)
    _, dearest = _range(rule.cost, market.catalogue.cost, market.horizon)
    # A price redrawn may be 0; as a scale it would stand for no price at all.
    return KnownLevels(np.where(low > 0.0, low, prices), high, costs, np.maximum(dearest, costs))


def _range(process: Process, opening: Array, horizon: int) -> tuple[Array, Array]:
    """Lowest and highest level [M] of the ticks to come, as far as the process tells."""
    if isinstance(process, Replay):
        path = process.path[: horizon + 1]
        shape = opening.shape
        return np.broadcast_to(path.min(axis=0), shape), np.broadcast_to(path.max(axis=0), shape)
    if isinstance(process, UniformDraw):
        return np.full(opening.shape, process.low), np.full(opening.shape, process.high)
    if isinstance(process, Shock) and process.at < horizon:
        hit = opening.copy()
        hit[list(process.only) if process.only else slice(None)] *= process.factor
        return np.minimum(hit, opening), np.maximum(hit, opening)
    return opening, opening
