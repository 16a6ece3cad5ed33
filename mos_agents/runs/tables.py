"""The three tables of a run: every quote, every participant's tick, and the mean over all markets.

`listings` holds the quotes that traded and the reference and cost at which they traded, the
inventory after settlement, and 1 where shoppers were shown the offer first (every offer, where no
rule of prominence chooses); `participants` holds money and metrics; `aggregates` holds per-tick
means over ALL markets of the run, also of those that are not recorded. A mean price is null where
nobody quotes that side; NaN stands in no column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.metrics import METRICS
from mos_agents.market.refusals import REASONS
from mos_agents.market.types import Array, IntArray, Layout, State, Step
from mos_agents.market.welfare import consumer_surplus

LISTING_VALUES = (
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "sold",
    "sold_price",
    "bought",
    "bought_price",
    "demand",
    "lost",
    "exposure",
    "inventory",
    "cost",
    "reference",
    "shown",
)
PARTICIPANT_VALUES = ("cash", "reward", *METRICS)
AGGREGATE_VALUES = (
    "reward",
    "reward_p05",
    "reward_p95",
    *METRICS,
    "mean_ask",
    "mean_bid",
    "sold",
    "bought",
    "lost",
    "refused",
)

TABLES = {
    "listings": ("tick", "market", "participant", "instrument", *LISTING_VALUES),
    "participants": ("tick", "market", "participant", *PARTICIPANT_VALUES, "moved", "refused"),
    "aggregates": ("tick", "participant", *AGGREGATE_VALUES),
}
"""Columns of each table, in order. Written in this order, so that the last vouches for the rest."""

SURPLUS = "consumer_surplus"
"""Last column of `participants` where a demand model has a surplus: that of the whole market."""
NULLABLE = ("mean_ask", "mean_bid", SURPLUS)
"""Columns that may have no value: where nobody quotes that side, or stock ran out in the tick."""


class TickRecord(NamedTuple):
    """What is kept of one tick, for the recorded markets."""

    tick: int
    listings: Array  # [values, R, L]
    participants: Array  # [values, R, N]
    moved: IntArray  # [R, N]
    refused: IntArray  # [R, N] index of the reason


def row(market: Market, before: State, step: Step, kept: int) -> TickRecord:
    """The tick's rows for the first `kept` markets; `before` is the state that the tick met."""
    info, layout = step.info, market.layout
    quotes, executions = info.quotes, info.executions
    listings = np.empty((len(LISTING_VALUES), kept, layout.L))
    for out, value in zip(
        listings,
        (
            quotes.bid,
            quotes.bid_size,
            quotes.ask,
            quotes.ask_size,
            executions.sold,
            executions.sold_price,
            executions.bought,
            executions.bought_price,
            executions.demand,
            executions.lost,
            info.arrivals.exposure[:kept][:, layout.group],
            _by_slot(layout, step.state.positions.inventory),
            before.cost,
            market.marks_of_listings(before.reference[:kept]),
            quotes.ask_size > 0.0 if executions.shown is None else executions.shown,
        ),
        strict=True,
    ):
        out[:] = value[:kept]
    participants = np.empty((len(participant_values(market)), kept, layout.N))
    participants[0], participants[1] = step.state.positions.cash[:kept], step.reward[:kept]
    last = 2 + len(METRICS)
    participants[2:last] = step.metrics[:kept, :, : len(METRICS)].transpose(2, 0, 1)
    if market.execution.has_surplus(market):
        gained = consumer_surplus(market, before, step)
        participants[last] = np.nan if gained is None else gained[:kept, None]
    shape = participants.shape[1:]
    moved = info.moved[:kept] if len(info.moved) > 1 else np.broadcast_to(info.moved, shape)
    return TickRecord(before.tick, listings, participants, moved, info.refused[:kept].copy())


def participant_values(market: Market) -> tuple[str, ...]:
    """The numbers of a row of `participants`."""
    return (*PARTICIPANT_VALUES, *((SURPLUS,) if market.execution.has_surplus(market) else ()))


def _by_slot(layout: Layout, holdings: Array) -> Array:
    """[B, L] the holding of each slot, from those of all holdings [B, H]."""
    return holdings.take(layout.holding, axis=1) if layout.goods else holdings


def aggregate(market: Market, step: Step) -> Array:
    """[values, N] means over all markets of one tick; NaN where nobody quotes that side."""
    quotes, executions = step.info.quotes, step.info.executions
    means = np.empty((len(AGGREGATE_VALUES), step.reward.shape[1]))
    means[0] = step.reward.mean(axis=0)
    means[1], means[2] = _quantiles(step.reward, (0.05, 0.95))
    _average(
        means[3:],
        np.ascontiguousarray(step.metrics[:, :, : len(METRICS)]),
        quotes.ask,
        quotes.ask_size,
        quotes.bid,
        quotes.bid_size,
        executions.sold,
        executions.bought,
        executions.lost,
        step.info.refused,
        market.layout.first,
    )
    return means


@kernel
def _average(out, metrics, ask, ask_size, bid, bid_size, sold, bought, lost, refused, first):  # type: ignore[no-untyped-def]
    """The rows of an aggregate behind the reward's; `average_reference` in the tests is its
    reference.

    A tick of one market takes longer to be averaged by a dozen calls of numpy than to be cleared.
    """
    batch, players, width = metrics.shape
    out[:] = 0.0
    for b in range(batch):
        for n in range(players):
            for m in range(width):
                out[m, n] += metrics[b, n, m]
    for n in range(players):
        for m in range(width):
            out[m, n] /= batch
        asked, bidden = 0.0, 0.0
        for b in range(batch):
            for i in range(first[n], first[n + 1]):
                if ask_size[b, i] > 0.0:
                    out[width, n] += ask[b, i]
                    asked += 1.0
                if bid_size[b, i] > 0.0:
                    out[width + 1, n] += bid[b, i]
                    bidden += 1.0
                out[width + 2, n] += sold[b, i]
                out[width + 3, n] += bought[b, i]
                out[width + 4, n] += lost[b, i]
            if refused[b, n] > 0:
                out[width + 5, n] += 1.0
        out[width, n] = out[width, n] / asked if asked > 0.0 else np.nan
        out[width + 1, n] = out[width + 1, n] / bidden if bidden > 0.0 else np.nan
        for k in range(2, 5):
            out[width + k, n] /= batch


def combined_row(rows: Sequence[TickRecord]) -> TickRecord | None:
    """One tick's rows of several shards, in the order of their markets."""
    if not rows:
        return None
    if len(rows) == 1:
        return rows[0]
    return TickRecord(
        rows[0].tick,
        np.concatenate([r.listings for r in rows], axis=1),
        np.concatenate([r.participants for r in rows], axis=1),
        np.concatenate([r.moved for r in rows]),
        np.concatenate([r.refused for r in rows]),
    )


def combined_aggregate(
    parts: Sequence[Array], sizes: Sequence[int], rewards: Sequence[Array]
) -> Array:
    """One tick's aggregates over shards of `sizes` markets, from theirs and all rewards [B, N].

    Means of means may differ from the mean over the whole batch in the last place; mean prices
    weigh shards by their markets, whoever quotes in them.
    """
    if len(parts) == 1:
        return parts[0]
    values, weights = np.stack(parts), np.asarray(sizes, float)[:, None, None]
    known = ~np.isnan(values)
    total = (np.where(known, values, 0.0) * weights).sum(axis=0)
    weight = (known * weights).sum(axis=0)
    mean = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0.0)
    every = np.concatenate(rewards)
    mean[:3] = np.stack([every.mean(axis=0), *np.percentile(every, (5.0, 95.0), axis=0)])
    mean[-1] = values[:, -1].sum(axis=0)
    return mean


def _quantiles(values: Array, shares: Sequence[float]) -> list[Array]:
    """np.quantile(values, shares, axis=0) to the bit, of finite numbers, in a fraction of the time:
    its many checks cost more than clearing a small market."""
    if len(values) == 1:
        return [values[0]] * len(shares)
    ordered = np.sort(values.T.copy(), axis=1).T  # rows lie together: several times as fast
    last, found = len(ordered) - 1, []
    for share in shares:
        below = int(share * last)
        part = share * last - below
        one, two = ordered[below], ordered[min(below + 1, last)]
        apart = two - one
        found.append(one + apart * part if part < 0.5 else two - apart * (1.0 - part))
    return found


def listings_table(market: Market, rows: Sequence[TickRecord]) -> pa.Table:
    """The listings part of the buffered ticks."""
    layout = market.layout
    traded, listed = slot_numbers(layout)
    shape = len(LISTING_VALUES), *_shape(rows, 0)
    values = np.array([r.listings for r in rows]).reshape(len(rows), *shape)
    ticks, markets, n = len(rows), values.shape[2], layout.L
    columns = {
        "tick": _ticks(rows, markets * n),
        "market": np.tile(np.repeat(np.arange(markets, dtype=np.int32), n), ticks),
        "participant": _named(layout.participants, np.tile(layout.seller, ticks * markets)),
        "instrument": _named(traded, np.tile(listed, ticks * markets)),
    }
    return _table(columns, LISTING_VALUES, values)


def slot_numbers(layout: Layout) -> tuple[tuple[str, ...], IntArray]:
    """Names of the instruments and of the platform's rules, and the number [L] of each slot's."""
    names = tuple(dict.fromkeys((*layout.instruments, *layout.slot_names)))
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[name] for name in layout.slot_names], np.int64)


def participants_table(market: Market, rows: Sequence[TickRecord]) -> pa.Table:
    """The participants part of the buffered ticks."""
    names = participant_values(market)
    shape = len(names), *_shape(rows, 1)
    values = np.array([r.participants for r in rows]).reshape(len(rows), *shape)
    ticks, markets, n = len(rows), values.shape[2], market.layout.N
    columns = {
        "tick": _ticks(rows, markets * n),
        "market": np.tile(np.repeat(np.arange(markets, dtype=np.int32), n), ticks),
        "participant": _named(market.layout.participants, np.tile(np.arange(n), ticks * markets)),
    }
    table = _table(columns, PARTICIPANT_VALUES, values)
    moved = np.array([r.moved for r in rows], dtype=bool).ravel()
    refused = np.array([r.refused for r in rows], dtype=np.int32).ravel()
    reasons = ("", *REASONS[1:])
    table = table.append_column("moved", _column(moved))
    table = table.append_column("refused", _named(reasons, refused))
    if SURPLUS in names:
        gained = np.ascontiguousarray(values[:, -1]).ravel()
        table = table.append_column(SURPLUS, _column(gained, np.isnan(gained)))
    return table


def aggregates_table(market: Market, first_tick: int, means: Sequence[Array]) -> pa.Table:
    """The aggregates part of consecutive ticks from `first_tick` on."""
    n = market.layout.N
    values = np.array(means).reshape(-1, len(AGGREGATE_VALUES), 1, n)
    columns = {
        "tick": np.repeat(np.arange(first_tick, first_tick + len(means)), n),
        "participant": _named(market.layout.participants, np.tile(np.arange(n), len(means))),
    }
    return _table(columns, AGGREGATE_VALUES, values)


def _table(columns: dict[str, object], names: Sequence[str], values: Array) -> pa.Table:
    """`values` is [ticks, values, markets, ...]."""
    arrays = {
        name: _column(column) if isinstance(column, np.ndarray) else column
        for name, column in columns.items()
    }
    for i, name in enumerate(names):
        column = np.ascontiguousarray(values[:, i]).ravel()
        arrays[name] = _column(column, np.isnan(column) if name in NULLABLE else None)
    return pa.table(arrays)


def _column(values: NDArray[Any], null: NDArray[np.bool_] | None = None) -> pa.Array:
    """A column, made from its buffers: `pa.array` would load pandas, which takes half a second.

    Parameters
    ----------
    values : array
        [R] numbers or booleans.
    null : array of bool, optional
        [R] which of them are null.
    """
    held = np.packbits(values, bitorder="little") if values.dtype == bool else values
    valid, nulls = None, 0
    if null is not None and (nulls := int(null.sum())):
        valid = pa.py_buffer(np.packbits(~null, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(held)], nulls)


def _ticks(rows: Sequence[TickRecord], width: int) -> IntArray:
    return np.repeat(np.array([r.tick for r in rows], np.int64), width)


def _named(names: Sequence[str], index: IntArray) -> pa.Array:
    encoded = [name.encode() for name in names]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    texts = pa.StringArray.from_buffers(
        len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    )
    return pa.DictionaryArray.from_arrays(_column(index.astype(np.int32)), texts)


def _shape(rows: Sequence[TickRecord], which: int) -> tuple[int, int]:
    """Markets and columns of the buffered rows; no rows at all make an empty part."""
    if not rows:
        return (0, 0)
    shape = (rows[0].listings if which == 0 else rows[0].participants).shape
    return shape[1], shape[2]
