"""What shoppers gain from the trades of a tick, by their demand model and a rule of prominence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.stages import Demand, Prominence
from mos_agents.market.types import BUY, Array, Arrivals, Executions, Quotes, State


def shopper_surplus(
    market: Market,
    demand: Demand,
    rule: Prominence,
    state: State,
    quotes: Quotes,
    arrivals: Arrivals,
    executions: Executions,
) -> Array | None:
    """Consumer surplus of a tick.

    Parameters
    ----------
    market : Market
        The market, or a venue of it.
    demand : Demand
        The shoppers' demand model.
    rule : Prominence
        What they are shown.
    state : State
        The state before the tick.
    quotes : Quotes
        The quotes that they met.
    arrivals : Arrivals
        Who came.
    executions : Executions
        What they bought.

    Returns
    -------
    array [B] or None
        Money. NaN in markets where stock ran out in the middle of the tick: nobody knows then what
        the later shoppers could choose among. None where the demand model has no surplus.

    Notes
    -----
    It is what shoppers expect before their tastes are drawn: the logarithm of the sum of logit
    demand, the integral of linear demand [1]_. Shoppers who search pay their cost of search. A
    boost draws attention and is no gain: it is taken off again.

    References
    ----------
    .. [1] Small, K. and Rosen, H. (1981). Applied welfare economics with discrete choice models.
           Econometrica 49(1).
    """
    seen = _Seen(market, demand, rule, state, quotes, executions.shown)
    found = seen.surplus(quotes.ask)
    if found is None:
        return None
    total = _in_order(found * arrivals.mass[:, :, BUY])
    if arrivals.returning is not None:
        found = seen.surplus(market.arrivals.standing_prices(market, state, quotes))
        assert found is not None
        total += _in_order(found * arrivals.returning[:, :, 0])
    total[(executions.lost > 0.0).any(axis=1)] = np.nan
    return total


@short_repr
class _Seen(NamedTuple):
    """How the shoppers of a tick see its offers."""

    market: Market
    demand: Demand
    rule: Prominence
    state: State
    quotes: Quotes
    prominent: Array | None

    def surplus(self, prices: Array) -> Array | None:
        """[B, G] consumer surplus per unit of mass at these prices [B, L]."""
        market, demand, rule, state, quotes, prominent = self
        reference = market.marks_of_listings(state.reference)
        room = market.positions.capacity(market, state.positions)[0]
        offered = (quotes.ask_size > 0.0) & (room > 0.0)
        follow = rule.followers
        found = np.zeros(state.demand_scale.shape)
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
        return found


def _in_order(by_group: Array) -> Array:
    """[B] sums over the groups, one after the other: the same bits in any batch."""
    total = np.zeros(len(by_group))
    for column in by_group.T:
        total += column
    return total
