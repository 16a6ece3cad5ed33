"""Fields of an observation: where each number comes from, and the loop that gathers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mos_agents.market.kernels import kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.types import IntArray


@short_repr
class ObservationField(NamedTuple):
    """A named run of numbers in a participant's observation."""

    name: str
    meaning: str
    unit: str
    low: float
    high: float
    source: int  # such as ASK
    index: IntArray  # type: ignore[assignment]  # which listings, instruments, participants
    labels: tuple[str, ...]

    @property
    def size(self) -> int:
        return int(self.index.size)


(
    ASK,
    BID,
    SOLD,
    BOUGHT,
    EXPOSURE,
    INVENTORY,
    COST,
    REFERENCE,
    CASH,
    CLOCK,
    RIVAL_ASK,
    RIVAL_BID,
    RIVAL_OPEN,
    SHOWN,
    IN_TRANSIT,
    VENUE_FEE,
    VENUE_UNIT_FEE,
    VENUE_SALES,
    OWN_WEIGHT,
) = range(19)
"""Sources of numbers, as `gather` reads them; those from SHOWN on are filled in after it."""
OF_VENUES = (VENUE_FEE, VENUE_UNIT_FEE, VENUE_SALES)
"""Sources whose numbers are of venues: their index is the venue's number."""
PRICES = (ASK, BID, COST, RIVAL_ASK, RIVAL_BID)
"""Sources whose numbers are prices."""
SOURCE, FIRST, LENGTH, COLUMN = range(4)
"""Columns of a `plan`."""
HISTORY_ASK, HISTORY_BID, HISTORY_ASK_SIZE, HISTORY_BID_SIZE = range(4)
"""Rows of a tick in the quote history."""
BLOCK = np.uint64(32)
"""Markets that are gathered together: few enough for the cache."""


def plan(fields: Sequence[ObservationField]) -> IntArray:
    """[R, 4] the fields as runs of neighbouring numbers: source, first index, length, column."""
    shown = [one for one in fields if one.size]
    if not shown:
        return np.empty((0, 4), np.int64)
    index = np.concatenate([np.asarray(one.index, np.int64) for one in shown])
    sizes = np.array([one.size for one in shown])
    begins = np.zeros(index.size, np.bool_)
    begins[np.cumsum(sizes) - sizes] = True
    begins[1:] |= np.diff(index) != 1
    first = np.flatnonzero(begins)
    source = np.repeat([one.source for one in shown], sizes)[first]
    length = np.diff(first, append=index.size)
    return np.stack([source, index[first], length, first], axis=1).astype(np.int64)


@kernel
def _copy(out, table, run, begin, end):  # type: ignore[no-untyped-def]
    i, n, column = np.uint64(run[FIRST]), np.uint64(run[LENGTH]), np.uint64(run[COLUMN])
    if n == 1:  # a loop of one costs twice its content
        for b in range(begin, end):
            out[b, column] = table[b, i]
        return
    for b in range(begin, end):
        for j in range(n):
            out[b, column + j] = table[b, i + j]


@kernel
def _copy_history(out, quote_history, row, run, begin, end):  # type: ignore[no-untyped-def]
    i, n, column = np.uint64(run[FIRST]), np.uint64(run[LENGTH]), np.uint64(run[COLUMN])
    for b in range(begin, end):
        for j in range(n):
            out[b, column + j] = quote_history[b, quote_history.shape[1] - 1, row, i + j]


@kernel
def _copy_reference(out, reference, premium, instrument, run, begin, end):  # type: ignore[no-untyped-def]
    i, n, column = np.uint64(run[FIRST]), np.uint64(run[LENGTH]), np.uint64(run[COLUMN])
    for b in range(begin, end):
        for j in range(n):
            out[b, column + j] = reference[b, np.uint64(instrument[i + j])] * premium[i + j]


@kernel
def _copy_open(out, ask_size, bid_size, quote_history, lagged, run, begin, end):  # type: ignore[no-untyped-def]
    i, n, column = np.uint64(run[FIRST]), np.uint64(run[LENGTH]), np.uint64(run[COLUMN])
    for b in range(begin, end):
        for j in range(n):
            if lagged:
                size = (
                    quote_history[b, -1, HISTORY_ASK_SIZE, i + j]
                    + quote_history[b, -1, HISTORY_BID_SIZE, i + j]
                )
            else:
                size = ask_size[b, i + j] + bid_size[b, i + j]
            out[b, column + j] = 1.0 if size > 0.0 else 0.0


@kernel
def gather(out, runs, quotes, trades, exposure, goods, reference, cash, clock, layout):  # type: ignore[no-untyped-def]
    """Fill in observations, run by run. Markets go by in blocks small enough for the cache.

    Parameters
    ----------
    out
        [B, sum of D_n] is filled in.
    runs
        [R, 4] a `plan`.
    quotes
        Asks, bids, ask sizes and bid sizes [B, L], and the quote history [B, delay, 4, L]: the same
        of past ticks, newest first. Without a delay the quotes in force take its place.
    trades
        Units sold and bought. [B, L] each
    exposure
        [B, G] looks.
    goods
        Inventory [B, H] and unit costs [B, L].
    reference
        [B, K] reference prices.
    cash
        [B, N].
    clock
        Share of the horizon that has passed.
    layout
        Premium [L] of a listing over its instrument's reference price, and instrument [L].
    """
    ask, bid, ask_size, bid_size, quote_history = quotes
    sold, bought = trades
    inventory, cost = goods
    premium, instrument = layout
    batch, lagged = np.uint64(out.shape[0]), quote_history.shape[1] > 0
    for begin in range(np.uint64(0), batch, BLOCK):
        end = min(begin + BLOCK, batch)
        for r in range(runs.shape[0]):
            run = runs[r]
            source = run[SOURCE]
            if source == ASK or (source == RIVAL_ASK and not lagged):
                _copy(out, ask, run, begin, end)
            elif source == BID or (source == RIVAL_BID and not lagged):
                _copy(out, bid, run, begin, end)
            elif source == SOLD:
                _copy(out, sold, run, begin, end)
            elif source == BOUGHT:
                _copy(out, bought, run, begin, end)
            elif source == EXPOSURE:
                _copy(out, exposure, run, begin, end)
            elif source == INVENTORY:
                _copy(out, inventory, run, begin, end)
            elif source == COST:
                _copy(out, cost, run, begin, end)
            elif source == REFERENCE:
                _copy_reference(out, reference, premium, instrument, run, begin, end)
            elif source == CASH:
                _copy(out, cash, run, begin, end)
            elif source == CLOCK:
                for b in range(begin, end):
                    out[b, np.uint64(run[COLUMN])] = clock
            elif source == RIVAL_ASK:
                _copy_history(out, quote_history, HISTORY_ASK, run, begin, end)
            elif source == RIVAL_BID:
                _copy_history(out, quote_history, HISTORY_BID, run, begin, end)
            elif source == RIVAL_OPEN:
                _copy_open(out, ask_size, bid_size, quote_history, lagged, run, begin, end)
