"""Facts about a market by which its stages refuse settings that would change nothing.

Each stage refuses its own settings in `validate`, in one line with the reason.
"""

from __future__ import annotations

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.reference import Constant, Fundamentals
from mos_agents.market.stages import TradeCosts


def nothing_held(market: Market) -> bool:
    """Whether every listing is made to order."""
    return bool(market.made_to_order.all())


def nothing_lost(market: Market) -> bool:
    """Whether no customer can ever be turned away: endless goods and quotes of endless size.

    An auction turns nobody away: what no bid takes is not sold.
    """
    if market.sealed:
        return True
    return nothing_held(market) and market.quotes.is_endless


def nobody_else_trades(market: Market) -> bool:
    """Whether all listings are the collector's own, who pays no fees."""
    return bool((market.layout.seller == market.collector).all())


def no_rivals(market: Market) -> bool:
    """Whether no participant sees another's quotes."""
    layout = market.layout
    if market.sealed:
        return True
    pairs = np.unique(np.stack([layout.group, layout.seller]), axis=1)
    return bool(np.bincount(pairs[0], minlength=1).max(initial=0) < 2)


def stands_still(market: Market, process: str) -> bool:
    """Whether a fundamental ("price", "cost" or "demand") is known never to move."""
    rule = market.reference
    return isinstance(rule, Fundamentals) and type(getattr(rule, process)) is Constant


def always_zero(market: Market) -> dict[str, str]:
    """The metrics that are 0 for all participants at every tick of this market, and why.

    The cost of holding goods is not among them where goods are held and it is set to 0: that is a
    value like any other, with which a study compares.
    """
    found: dict[str, str] = {}
    rule, held, lost = market.positions, not nothing_held(market), not nothing_lost(market)
    made = "all goods are made to order (stock=.inf), and nothing is held"
    unknown = TradeCosts(*[float("nan")] * len(TradeCosts._fields))  # is never 0
    charges = rule.trade_costs() or unknown

    if not held:
        found |= dict.fromkeys(("holding_cost", "inventory_pnl", "inventory_risk"), made)
    else:
        mark = rule.valuation()
        if mark in ("cost", "reference") and stands_still(
            market, "cost" if mark == "cost" else "price"
        ):
            found["inventory_pnl"] = f"inventory is valued at the {mark}, which never moves"
        if stands_still(market, "price"):
            found["inventory_risk"] = "the reference price never moves"
    if not lost:
        found["lost_opportunity"] = (
            "no customer is ever turned away (an auction, or endless stock and quotes)"
        )
    if not held and (charges.shortage_cost == 0.0 or not lost):
        found["position_cost"] = "nothing is held, and it costs nothing to be short of goods"
    if nobody_else_trades(market) or (
        not market.execution.charges_fees and charges.fee == charges.unit_fee == 0.0
    ):
        found["fees"] = "no fee is charged (positions.fee, positions.unit_fee)"
    if not market.asks:
        found["conversion"] = "no participant sells to customers"
    if held and not market.made_to_order.any():
        if not market.buys and not market.base_stocks.any():
            found["cost"] = "no participant buys or orders anything"
        if not market.asks:
            found["revenue"] = "no participant sells anything"
    return found
