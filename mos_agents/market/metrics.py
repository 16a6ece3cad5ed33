"""Metrics of each participant and tick: its profit, and the parts of the profit."""

from __future__ import annotations

import numpy as np

from mos_agents.market.kernels import flat, kernel

MEANINGS = {
    "pnl": ("money", "change of cash plus inventory at its mark"),
    "revenue": ("money", "received for units sold"),
    "cost": ("money", "paid for units bought, sourced or delivered"),
    "units_traded": ("units", "units sold and bought"),
    "position_cost": ("money", "holding and shortage costs"),
    "lost_opportunity": ("money", "margin on the units turned away"),
    "spread_capture": ("money", "sum of sold (ask - mark) and bought (mark - bid)"),
    "inventory_pnl": ("money", "revaluation of what is held, from mark to next mark"),
    "fees": ("money", "fees paid; negative if received"),
    "volatility": ("money", "running standard deviation of pnl per tick"),
    "inventory_risk": ("(sigma units)^2", "sum of (sigma q)^2 / 2 over own listings"),
    "conversion": ("units per look", "units sold per look at an own offer"),
    "holding_cost": ("money", "paid for inventory held"),
}
"""The metrics of a participant and tick: unit and meaning of each."""

MARKET_MEANINGS = {
    "consumer_surplus": ("money", "what shoppers gain in the whole market, beyond what they pay"),
    "output": ("units", "units sold to the outside in the whole market"),
}
"""Metrics of the whole market, the same for all participants; they are there where rewards count
them."""
TERMS = {"fee_revenue": {"fees": -1.0}, "own_profit": {"pnl": 1.0, "fees": 1.0}}
"""What rewards can count besides, as sums of weight x metric: fees received, other profit."""
METRICS = tuple(MEANINGS)
N_METRICS = len(METRICS)
(
    PNL,
    REVENUE,
    COST,
    UNITS_TRADED,
    POSITION_COST,
    LOST_OPPORTUNITY,
    SPREAD_CAPTURE,
    INVENTORY_PNL,
    FEES,
    VOLATILITY,
    INVENTORY_RISK,
    CONVERSION,
    HOLDING_COST,
) = (np.uint64(m) for m in range(N_METRICS))
"""Columns of the metrics, in the order of `METRICS`."""
MEMORY = 0.94  # weight of the past in the running moments of PnL (RiskMetrics 1996)


def metric(name: str) -> int:
    """Column of a metric."""
    return METRICS.index(name)


@kernel
def account(metrics, after, flows, trades, goods, exposure, layout, moments, sigma):  # type: ignore[no-untyped-def]
    """Fill in the metrics of a tick.

    The identity behind it: pnl = spread capture + inventory pnl - holding - shortage - fees, where
    deliveries count at the mark less what they cost.

    Parameters
    ----------
    metrics
        [B, N, M] is filled in.
    after
        [B, N, 2] the moments of PnL after the tick, filled in.
    flows
        The six arrays of `Flows`.
    trades
        As `positions.trades_of` gives them.
    goods
        Inventory after the tick, unit costs, marks, and the next tick's marks. [B, L] each
    exposure
        [B, G] looks.
    layout
        first [N + 1], group [L], made to order [L].
    moments
        [B, N, 2] the moments of PnL before the tick.
    sigma
        [L] volatilities.
    """
    revenue, spending, holding, shortage, fees, delivered = flows
    sold, sold_price, bought, bought_price, lost = trades
    inventory, cost, mark, next_mark = goods
    first, group, made_to_order = layout
    batch, n_participants = np.uint64(revenue.shape[0]), np.uint64(revenue.shape[1])
    n_listings, one = np.uint64(cost.shape[1]), np.uint64(1)
    # Tables as one long row each: one place p serves all that is [B, N], one place i all [B, L].
    revenue, spending, holding = flat(revenue), flat(spending), flat(holding)
    shortage, fees, delivered, sold = flat(shortage), flat(fees), flat(delivered), flat(sold)
    sold_price, bought, bought_price = flat(sold_price), flat(bought), flat(bought_price)
    lost, cost, inventory, mark = flat(lost), flat(cost), flat(inventory), flat(mark)
    next_mark, metrics, moments, after = flat(next_mark), flat(metrics), flat(moments), flat(after)
    width = np.uint64(N_METRICS)
    for b in range(batch):
        for n in range(n_participants):
            capture = revaluation = opportunity = units = risk = looks = sales = 0.0
            for j in range(np.uint64(first[n]), np.uint64(first[n + one])):
                i = b * n_listings + j
                mark_now = cost[i] if made_to_order[j] else mark[i]
                capture += sold[i] * (sold_price[i] - mark_now)
                capture += bought[i] * (mark_now - bought_price[i])
                capture += delivered[i] * (mark_now - cost[i])
                revaluation += inventory[i] * (next_mark[i] - mark[i])
                opportunity += lost[i] * abs(sold_price[i] - mark_now)
                units += sold[i] + bought[i]
                risk += 0.5 * (sigma[j] * inventory[i]) ** 2
                looks += exposure[b, np.uint64(group[j])]
                sales += sold[i]
            p = b * n_participants + n
            costs = holding[p] + shortage[p]
            pnl = capture + revaluation - costs - fees[p]
            # West's (1979) running mean and variance with fading memory.
            mean, variance = np.uint64(2) * p, np.uint64(2) * p + one
            gap = pnl - moments[mean]
            after[mean] = moments[mean] + (1.0 - MEMORY) * gap
            after[variance] = MEMORY * (moments[variance] + (1.0 - MEMORY) * gap * gap)
            # Not through a view of the row: making one costs as much as all of the above.
            m = p * width
            metrics[m + PNL], metrics[m + REVENUE], metrics[m + COST] = pnl, revenue[p], spending[p]
            metrics[m + UNITS_TRADED], metrics[m + POSITION_COST] = units, costs
            metrics[m + LOST_OPPORTUNITY], metrics[m + SPREAD_CAPTURE] = opportunity, capture
            metrics[m + INVENTORY_PNL], metrics[m + FEES] = revaluation, fees[p]
            metrics[m + VOLATILITY], metrics[m + INVENTORY_RISK] = after[variance] ** 0.5, risk
            metrics[m + CONVERSION] = sales / looks if looks > 0.0 else 0.0
            metrics[m + HOLDING_COST] = holding[p]
