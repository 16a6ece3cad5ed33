"""Holdings: a participant's stock of a good, one number however many venues the good is traded in.

In a market of several venues the accounts are kept by holding. The trades of all slots of a holding
are added up, and then the same loops settle them as in a market of one venue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
class Holdings(NamedTuple):
    """What the accounts know of each holding. [H] each, but for `first`."""

    first: IntArray  # [N + 1] participant n owns the holdings first[n]:first[n + 1]
    good: IntArray
    slot: IntArray  # the slot whose cost and mark are the holding's
    made_to_order: NDArray[np.bool_]
    base_stock: Array
    lower: Array  # lowest inventory
    upper: Array


def holdings_of(market: Market) -> Holdings:
    """The holdings of a market, made once."""
    found: Holdings = market.cached("holdings", lambda: _holdings(market))
    return found


def _holdings(market: Market) -> Holdings:
    layout = market.layout
    # A holding's own slot is its first quote, or its first order where it is never quoted.
    order = np.lexsort((np.arange(layout.L), layout.kind))
    slot = order[np.unique(layout.holding[order], return_index=True)[1]]
    for name in ("cost", "stock"):
        values = getattr(market.catalogue, name)
        differ = values != values[slot][layout.holding]
        if differ.any():
            i = int(np.argmax(differ))
            owner = layout.participants[layout.seller[i]]
            raise InputError(
                f"catalogue.{name}: {owner!r} has one holding of "
                f"{layout.goods[layout.holding_good[layout.holding[i]]]!r}, and its {name} is "
                f"{values[slot][layout.holding[i]]:g} in "
                f"{layout.instruments[layout.instrument[slot[layout.holding[i]]]]} and "
                f"{values[i]:g} in {layout.instruments[layout.instrument[i]]}; give both the same"
            )
    made_to_order = market.made_to_order[slot]
    lower, upper = (limit[slot] for limit in market.position_limits)
    return Holdings(
        layout.holding_first,
        layout.holding_good,
        slot,
        made_to_order,
        market.base_stocks[slot],
        lower,
        upper,
    )


def trades_by_holding(
    market: Market, trades: tuple[Array, Array, Array, Array, Array]
) -> tuple[Array, Array, Array, Array, Array]:
    """Add up the trades of each holding's slots.

    Parameters
    ----------
    market : Market
        A market of several venues.
    trades : tuple
        Units and prices of sales and purchases, and units turned away, as `positions.trades_of`
        gives them. [B, L] each

    Returns
    -------
    tuple
        The same by holding, with mean prices. [B, H] each
    """
    layout = market.layout
    made = np.empty((5, len(trades[0]), layout.H))
    add_up(made, trades, layout.holding, holdings_of(market).slot)
    sold, sold_price, bought, bought_price, lost = made
    return sold, sold_price, bought, bought_price, lost


def looks_by_holding(market: Market, exposure: Array) -> Array:
    """[B, H] looks at the offers of each holding, from those of the choice groups [B, G]."""
    layout = market.layout
    looks = np.zeros((len(exposure), layout.H))
    for i in np.flatnonzero(layout.kind == 0):
        looks[:, layout.holding[i]] += exposure[:, layout.group[i]]
    return looks


@kernel
def add_up(made, trades, holding, slot):  # type: ignore[no-untyped-def]
    """Fill in the trades of each holding [5, B, H] from those of the slots.

    A price is that of the only slot that traded, or the mean over several, weighed by units. Where
    nothing was sold it is the price of an offer that turned somebody away, or the own slot's.
    """
    sold, sold_price, bought, bought_price, lost = trades
    n_holdings = slot.shape[0]
    for b in range(sold.shape[0]):
        for h in range(n_holdings):
            made[0, b, h] = made[2, b, h] = made[4, b, h] = 0.0
            made[1, b, h], made[3, b, h] = sold_price[b, slot[h]], bought_price[b, slot[h]]
        for i in range(holding.shape[0]):
            h = holding[i]
            # Written out for both sides: a loop over arrays would count references to each.
            if sold[b, i] > 0.0:
                before = made[0, b, h]
                if before > 0.0:
                    money = before * made[1, b, h] + sold[b, i] * sold_price[b, i]
                    made[1, b, h] = money / (before + sold[b, i])
                else:
                    made[1, b, h] = sold_price[b, i]
                made[0, b, h] = before + sold[b, i]
            if bought[b, i] > 0.0:
                before = made[2, b, h]
                if before > 0.0:
                    money = before * made[3, b, h] + bought[b, i] * bought_price[b, i]
                    made[3, b, h] = money / (before + bought[b, i])
                else:
                    made[3, b, h] = bought_price[b, i]
                made[2, b, h] = before + bought[b, i]
            if lost[b, i] > 0.0:
                if made[0, b, h] == 0.0 and made[4, b, h] == 0.0:
                    made[1, b, h] = sold_price[b, i]
                made[4, b, h] += lost[b, i]
