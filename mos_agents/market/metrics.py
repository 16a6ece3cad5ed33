"""What a tick came to for each participant: money made, and what it is made of."""

from __future__ import annotations

import numpy as np

from mos_agents.market.kernels import kernel

METRICS = (
    "pnl",  # money: change of cash plus inventory at its mark
    "revenue",  # money received for units sold
    "cost",  # money paid for units bought, sourced or delivered
    "units_traded",  # units sold and bought
    "position_cost",  # money: holding and shortage costs
    "lost_opportunity",  # money: margin on the units turned away
    "spread_capture",  # money: sum of sold (ask - mark) and bought (mark - bid)
    "inventory_pnl",  # money: revaluation of what is held, from mark to next mark
    "fees",  # money: commission paid; negative if received
    "volatility",  # money: running standard deviation of pnl per tick
    "inventory_risk",  # sum of (sigma q)^2 / 2 over own listings
    "conversion",  # units sold per look at an own offer
    "holding_cost",  # money paid for inventory held
)
N_METRICS = len(METRICS)
MEMORY = 0.94  # weight of the past in the running moments of PnL (RiskMetrics 1996)


def metric(name: str) -> int:
    """Column of a metric."""
    return METRICS.index(name)


@kernel
def account(  # type: ignore[no-untyped-def]
    metrics, after, revenue, spending, holding, shortage, fees, delivered, sold, sold_price, bought,
    bought_price, lost, cost, inventory, mark, next_mark, exposure, first, group, made_to_order,
    moments, sigma, memory,
):  # fmt: skip
    """Fill in metrics [B, N, M] and the PnL moments after the tick [B, N, 2]; `sigma` is [L].

    The identity behind it: pnl = spread capture + inventory pnl - holding - shortage - fees, where
    deliveries count at the mark less what they cost.
    """
    batch, n_participants = np.uint64(revenue.shape[0]), np.uint64(revenue.shape[1])
    for b in range(batch):
        for n in range(n_participants):
            capture = revaluation = opportunity = units = risk = looks = sales = 0.0
            for i in range(np.uint64(first[n]), np.uint64(first[n + np.uint64(1)])):
                mark_now = cost[b, i] if made_to_order[i] else mark[b, i]
                capture += sold[b, i] * (sold_price[b, i] - mark_now)
                capture += bought[b, i] * (mark_now - bought_price[b, i])
                capture += delivered[b, i] * (mark_now - cost[b, i])
                revaluation += inventory[b, i] * (next_mark[b, i] - mark[b, i])
                opportunity += lost[b, i] * abs(sold_price[b, i] - mark_now)
                units += sold[b, i] + bought[b, i]
                risk += 0.5 * (sigma[i] * inventory[b, i]) ** 2
                looks += exposure[b, np.uint64(group[i])]
                sales += sold[b, i]
            costs = holding[b, n] + shortage[b, n]
            pnl = capture + revaluation - costs - fees[b, n]
            # West's (1979) running mean and variance with fading memory.
            gap = pnl - moments[b, n, 0]
            after[b, n, 0] = moments[b, n, 0] + (1.0 - memory) * gap
            after[b, n, 1] = memory * (moments[b, n, 1] + (1.0 - memory) * gap * gap)
            # Not through a view of the row: making one costs as much as all of the above.
            metrics[b, n, 0], metrics[b, n, 1] = pnl, revenue[b, n]
            metrics[b, n, 2], metrics[b, n, 3] = spending[b, n], units
            metrics[b, n, 4], metrics[b, n, 5] = costs, opportunity
            metrics[b, n, 6], metrics[b, n, 7], metrics[b, n, 8] = capture, revaluation, fees[b, n]
            metrics[b, n, 9], metrics[b, n, 10] = after[b, n, 1] ** 0.5, risk
            metrics[b, n, 11] = sales / looks if looks > 0.0 else 0.0
            metrics[b, n, 12] = holding[b, n]
