"""What the pictures, the tables and the summary measure of a run; nothing is drawn here."""

from __future__ import annotations

import numpy as np

from mos_agents.market.types import Array
from mos_agents.report.data import Data

# --- all kinds


def listed(data: Data) -> list[int]:
    """Participants in the order of the table: the roster's, or by PnL where they are many."""
    if len(data.names) <= 8:
        return list(range(len(data.names)))
    return [int(n) for n in np.argsort(-data.total("pnl"), kind="stable")]


# --- posted prices


def offered(data: Data) -> Array:
    return (data.listings["ask_size"] > 0).astype(float)


def markups(data: Data) -> Array:
    """[T, R, N] mean price over cost of the own listings that stand, as a share of cost."""
    ask, cost = data.listings["ask"], data.listings["cost"]
    over = np.divide(ask, cost, out=np.full_like(ask, np.nan), where=cost > 0) - 1.0
    return data.mean_by_seller(np.nan_to_num(over), offered(data) * np.isfinite(over))


def sold_out(data: Data) -> Array:
    """[T, R, N] share of the own listings held in stock of which nothing is left; else NaN."""
    empty = (data.listings["inventory"] <= 0).astype(float)
    return data.mean_by_seller(empty, np.broadcast_to(data.held, empty.shape))


# --- dealers


def two_sided(data: Data) -> Array:
    return ((data.listings["ask_size"] > 0) & (data.listings["bid_size"] > 0)).astype(float)


def quoted(data: Data) -> Array:
    """[T, R, N] mean spread of the own quotes that stand on both sides."""
    return data.mean_by_seller(data.listings["ask"] - data.listings["bid"], two_sided(data))


def inside(data: Data) -> Array:
    """[T] best ask minus best bid, mean over markets and assets."""
    ask = np.where(data.listings["ask_size"] > 0, data.listings["ask"], np.inf)
    bid = np.where(data.listings["bid_size"] > 0, data.listings["bid"], -np.inf)
    gaps = []
    for k in set(data.instrument.tolist()):
        own = data.instrument == k
        gaps.append(ask[:, :, own].min(axis=2) - bid[:, :, own].max(axis=2))
    gap = np.stack(gaps, axis=2)
    good = np.isfinite(gap)
    count = good.sum(axis=(1, 2))
    total = np.where(good, gap, 0).sum(axis=(1, 2))
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def mean_spreads(data: Data) -> Array:
    """[N] mean spread of each participant's own quotes over ticks and markets."""
    return np.nanmean(or_nan(np.moveaxis(quoted(data), 2, 0)[..., None])[..., 0], axis=(1, 2))


def or_nan(values: Array) -> Array:
    """A column of NaN keeps its mean quiet: the market opens before anybody quotes."""
    return np.where(np.isfinite(values).any(axis=2, keepdims=True), values, 0.0)


# --- auctions


def bids_of(data: Data) -> Array:
    """[T, R, L] bids; NaN where there is none."""
    return np.where(data.listings["bid_size"] > 0, data.listings["bid"], np.nan)


def paid_per_unit(data: Data) -> tuple[Array, Array, Array]:
    """[T] price paid, the winner's value and the highest value, per unit sold in market 0."""
    units = data.listings["bought"]
    sold = units.sum(axis=(1, 2))
    price = (units * data.listings["bought_price"]).sum(axis=(1, 2))
    worth = (units * data.listings["cost"]).sum(axis=(1, 2))
    best = np.zeros(len(sold))
    for k in set(data.instrument.tolist()):
        own = data.instrument == k
        highest = data.listings["cost"][:, :, own].max(axis=2)
        best += (highest * units[:, :, own].sum(axis=2)).sum(axis=1)
    per_unit = (
        np.divide(v, sold, out=np.full_like(v, np.nan), where=sold > 0)
        for v in (price, worth, best)
    )
    return tuple(per_unit)  # type: ignore[return-value]


def division(data: Data) -> tuple[float, float, float, float]:
    """Sums per recorded market: the seller's revenue, what the winners kept of their items' value,
    the fees that they paid, and what was wasted."""
    price, worth, best = paid_per_unit(data)
    sold = data.listings["bought"].sum(axis=(1, 2)) / data.R
    revenue, surplus, wasted = (
        float(np.nansum(v * sold)) for v in (price, worth - price, best - worth)
    )
    fees = float(data.participants["fees"].sum()) / data.R
    return revenue, surplus - fees, fees, wasted
