"""The compiled loops of the rules in `quotes`."""

from __future__ import annotations

import numpy as np

from mos_agents.market.kernels import kernel
from mos_agents.market.refusals import (
    BELOW_FLOOR,
    CROSSED,
    NOT_FINITE,
    OFF_GRID,
    OUTSIDE,
    TAKEN,
    TOO_FAST,
)
from mos_agents.market.types import Array, IntArray, Quotes


def blank_quotes(n: int, standing: Quotes) -> tuple[Array, Array, IntArray]:
    """Room for n arrays [B, L], for ages and for refusals [B, N]."""
    return (
        np.empty((n, *standing.bid.shape)),
        np.empty(standing.age.shape),
        np.empty(standing.age.shape, np.int64),
    )


@kernel
def post_prices(  # type: ignore[no-untyped-def]
    posted,
    ages,
    refused,
    standing,
    standing_size,
    age,
    cost,
    actions,
    moves,
    first,
    min_margin,
    max_change,
    low,
    high,
    steps,
    largest_size,
    refuse,
    withdraw,
    max_age,
):
    """Fill in posted prices and their sizes [2, B, L], ages [B, N], refusals [B, N].

    `low`, `high` and `steps` are [L].
    """
    batch = standing.shape[0]
    n_participants = first.shape[0] - 1
    sized = actions.shape[2] == 2
    prices, sizes = posted[0], posted[1]
    for b in range(batch):
        for n in range(n_participants):
            ages[b, n], refused[b, n] = age[b, n] + 1.0, TAKEN
            begin, end = np.uint64(first[n]), np.uint64(first[n + 1])
            for i in range(begin, end):
                prices[b, i], sizes[b, i] = standing[b, i], standing_size[b, i]
            if moves[b if moves.shape[0] > 1 else 0, n]:
                reason = TAKEN
                for i in range(begin, end):
                    price = actions[b, i, 0]
                    size = actions[b, i, 1] if sized else largest_size
                    if not np.isfinite(price) or (sized and not np.isfinite(size)):
                        reason = NOT_FINITE
                        break
                    if price < low[i] or price > high[i] or size < 0.0 or size > largest_size:
                        reason = OUTSIDE
                        break
                    # The floor wins, also over the highest price.
                    floor = max(low[i], cost[b, i] * (1.0 + min_margin))
                    ceiling = max(high[i], floor)
                    near = price
                    if max_change < np.inf:
                        near = min(
                            max(price, standing[b, i] * (1.0 - max_change)),
                            standing[b, i] * (1.0 + max_change),
                        )
                    lawful = min(max(near, floor), ceiling)
                    if steps[i] > 0.0:
                        # A hair of slack: a floor that is itself on the grid is not rounded away.
                        point = np.rint(lawful * steps[i])
                        if point > ceiling * steps[i] + 1e-9 * point:
                            point -= 1.0
                        if point < floor * steps[i] - 1e-9 * point:
                            point += 1.0
                        lawful = point / steps[i]
                    if refuse:
                        if price < floor:
                            reason = BELOW_FLOOR
                        elif near != price:
                            reason = TOO_FAST
                        elif abs(lawful - price) > 1e-9 * high[i]:
                            reason = OFF_GRID
                        if reason != TAKEN:
                            break
                    prices[b, i] = lawful
                    sizes[b, i] = size
                refused[b, n] = reason
                if reason == TAKEN:
                    ages[b, n] = 0.0
                else:
                    for i in range(begin, end):
                        prices[b, i] = standing[b, i]
                        sizes[b, i] = 0.0 if withdraw else standing_size[b, i]
            if max_age > 0 and ages[b, n] > max_age:
                for i in range(begin, end):
                    sizes[b, i] = 0.0


@kernel
def post_two_sided(  # type: ignore[no-untyped-def]
    posted,
    ages,
    refused,
    bid,
    bid_size,
    ask,
    ask_size,
    age,
    mid,
    actions,
    moves,
    first,
    min_spread,
    max_spread,
    max_offset,
    steps,
    largest_size,
    refuse,
    withdraw,
    max_age,
):
    """Fill in bids, their sizes, asks, theirs [4, B, L], ages [B, N], refusals [B, N].

    The spreads, `max_offset` and `steps` are [L].
    """
    batch = bid.shape[0]
    n_participants = first.shape[0] - 1
    sized = actions.shape[2] == 3
    bids, bid_sizes, asks, ask_sizes = posted[0], posted[1], posted[2], posted[3]
    for b in range(batch):
        for n in range(n_participants):
            ages[b, n], refused[b, n] = age[b, n] + 1.0, TAKEN
            begin, end = np.uint64(first[n]), np.uint64(first[n + 1])
            for i in range(begin, end):
                bids[b, i], bid_sizes[b, i] = bid[b, i], bid_size[b, i]
                asks[b, i], ask_sizes[b, i] = ask[b, i], ask_size[b, i]
            if moves[b if moves.shape[0] > 1 else 0, n]:
                reason = TAKEN
                for i in range(begin, end):
                    offset, spread = actions[b, i, 0], actions[b, i, 1]
                    size = actions[b, i, 2] if sized else largest_size
                    if not (
                        np.isfinite(offset)
                        and np.isfinite(spread)
                        and (not sized or np.isfinite(size))
                    ):
                        reason = NOT_FINITE
                        break
                    if spread <= 0.0:
                        reason = CROSSED
                        break
                    if (
                        abs(offset) > max_offset[i]
                        or spread < min_spread[i]
                        or spread > max_spread[i]
                        or size < 0.0
                        or size > largest_size
                    ):
                        reason = OUTSIDE
                        break
                    middle = mid[b, i] + offset
                    low, high = middle - 0.5 * spread, middle + 0.5 * spread
                    if steps[i] > 0.0:
                        low_point = np.floor(low * steps[i] + 1e-6)
                        high_point = np.ceil(high * steps[i] - 1e-6)
                        if refuse and (
                            abs(low_point - low * steps[i]) > 1e-5
                            or abs(high_point - high * steps[i]) > 1e-5
                        ):
                            reason = OFF_GRID
                            break
                        low, high = low_point / steps[i], high_point / steps[i]
                    if not low < high:  # a spread too thin for the grid or for float64
                        reason = CROSSED
                        break
                    bids[b, i], asks[b, i] = low, high
                    bid_sizes[b, i] = size if low > 0.0 else 0.0
                    ask_sizes[b, i] = size if high > 0.0 else 0.0
                refused[b, n] = reason
                if reason == TAKEN:
                    ages[b, n] = 0.0
                else:
                    for i in range(begin, end):
                        bids[b, i], asks[b, i] = bid[b, i], ask[b, i]
                        bid_sizes[b, i] = 0.0 if withdraw else bid_size[b, i]
                        ask_sizes[b, i] = 0.0 if withdraw else ask_size[b, i]
            if max_age > 0 and ages[b, n] > max_age:
                for i in range(begin, end):
                    bid_sizes[b, i] = ask_sizes[b, i] = 0.0
