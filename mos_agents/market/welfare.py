"""Welfare: what shoppers gain from a tick, where their demand model says it."""

from __future__ import annotations

import numpy as np

from mos_agents.market.execution import ShopperChoice
from mos_agents.market.market import Market
from mos_agents.market.types import BUY, Array, State, Step


def consumer_surplus(market: Market, before: State, step: Step) -> Array | None:
    """Consumer surplus of a tick.

    Parameters
    ----------
    market : Market
        The market.
    before : State
        The state before the tick.
    step : Step
        What the tick came to.

    Returns
    -------
    array [B] or None
        Money. NaN in markets where stock ran out in the middle of the tick: nobody knows then what
        the later shoppers could choose among. None where the demand model has no surplus.

    Notes
    -----
    It is what shoppers expect before their tastes are drawn: the logarithm of the sum of logit
    demand, the integral of linear demand. Shoppers who search pay their cost of search. A boost
    draws attention and is no gain: it is taken off again.

    References
    ----------
    Small and Rosen (1981), "Applied Welfare Economics with Discrete Choice Models", Econometrica
    49(1).
    """
    execution = market.execution
    if not isinstance(execution, ShopperChoice):
        return None
    demand, rule, quotes = execution.demand, execution.prominence, step.info.quotes
    prices, reference = quotes.ask, market.marks_of_listings(before.reference)
    room = market.positions.capacity(market, before.positions)[0]
    offered = (quotes.ask_size > 0.0) & (room > 0.0)
    prominent = step.info.executions.shown
    follow = rule.followers
    found = np.zeros(before.demand_scale.shape)
    if follow > 0.0:
        looks, visible = prices, offered
        if prominent is not None:
            visible = rule.chosen(offered, prominent > 0.0).visible & offered
            looks = prices - rule.boost * prominent if rule.boost else prices
        gained = demand.surplus(market, looks, visible, reference)
        if gained is None:
            return None
        if prominent is not None and rule.boost:
            shares = demand.shares(market, looks, visible, reference) * prominent
            for listing, group in enumerate(market.layout.group):
                gained[:, group] -= rule.boost * shares[:, listing]
        found += follow * gained
    if follow < 1.0:
        gained = demand.surplus(market, prices + rule.search_cost, offered, reference)
        if gained is None:
            return None
        found += (1.0 - follow) * gained
    surplus: Array = (found * step.info.arrivals.mass[:, :, BUY]).sum(axis=1)
    surplus[(step.info.executions.lost > 0.0).any(axis=1)] = np.nan
    return surplus
