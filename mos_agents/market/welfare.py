"""Welfare: what shoppers gain from a tick, and how much they buy, in the whole market."""

from __future__ import annotations

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.types import ORDER, QUOTE, Array, Arrivals, Executions, Quotes, State, Step


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
        Money, that of all venues together. NaN in markets where stock ran out in the middle of the
        tick: nobody knows then what the later shoppers could choose among. None where no demand
        model has a surplus. See `mos_agents.market.surplus.shopper_surplus`.
    """
    info = step.info
    return surplus_of_trades(market, before, info.quotes, info.arrivals, info.executions)


def surplus_of_trades(
    market: Market, before: State, quotes: Quotes, arrivals: Arrivals, executions: Executions
) -> Array | None:
    """[B] or None: the consumer surplus of the trades of a tick, as `consumer_surplus` has it."""
    if market.layout.goods:  # venues note it when they are cleared, as stock moves in the tick
        return executions.surplus
    return market.execution.surplus(market, before, quotes, arrivals, executions)


def output(market: Market, executions: Executions) -> Array:
    """[B] units that were sold to the outside: what participants sold one another is left out."""
    kind, total = market.layout.kind, np.zeros(len(executions.sold))
    for i in np.flatnonzero(kind == QUOTE):
        total += executions.sold[:, i]
    for i in np.flatnonzero(kind == ORDER):
        total -= executions.bought[:, i]
    return total
