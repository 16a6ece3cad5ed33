"""The story of sellers who post prices: who asked what over cost, who sold, and who ran out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mos_agents.market.types import Array
from mos_agents.report import style
from mos_agents.report.charts import (
    DENSE,
    ReportFigure,
    colour_of,
    cumulative_pnl,
    group_colours,
    legend,
    lines,
    over_markets,
    over_time,
    parts_of_pnl,
    percents,
    rolling,
    shares_over_time,
    thinned,
    window_of,
)
from mos_agents.report.data import Data
from mos_agents.report.measures import markups, sold_out
from mos_agents.report.series import draw_series, point_note

MOST_PANELS = 12

ZOOM = 100
"""Ticks that the close view of one product shows."""


def pictures_of(data: Data, points: int) -> tuple[ReportFigure, ...]:
    pictures = [
        prices(data, points),
        over_cost(data, points),
        shares_over_time(data, points),
        cumulative_pnl(data, points),
        parts_of_pnl(data, "margin on sales"),
    ]
    if len(data.instruments) > MOST_PANELS or not _rivals(data):
        pictures.insert(1, against_cost(data))
    if _rivals(data) and len(data.ticks) > ZOOM:
        pictures.insert(1, close_by(data))
    if data.run.facts["market"]["held"]:
        pictures.append(stock(data, points))
    if data.means["lost"].sum() > 0:
        pictures.append(lost(data, points))
    return tuple(pictures)


def _rivals(data: Data) -> bool:
    """Whether several participants sell the same instrument."""
    return len(data.seller) > len(set(data.instrument.tolist()))


def prices(data: Data, points: int) -> ReportFigure:
    """Prices by product where sellers compete product by product; else the mean by participant."""
    if not _rivals(data) or len(data.names) > 8:
        return mean_prices(data, points)
    revenue = (data.listings["sold"] * data.listings["sold_price"]).sum(axis=(0, 1))
    worth = np.bincount(data.instrument, revenue, len(data.instruments))
    shown = sorted(np.argsort(-worth, kind="stable")[:MOST_PANELS].tolist())
    columns = min(len(shown), 4 if len(shown) in (4, 7, 8, 11, 12) else 5 if len(shown) > 3 else 3)
    rows = -(-len(shown) // columns)
    figure, grid = style.canvas(
        style.WIDE, 0.35 + (3.2 if rows == 1 else 1.75 * rows), rows, columns, sharex=True
    )
    crowd = len(shown) * len(data.names) * min(points, len(data.ticks)) > 4 * DENSE
    fewer = max(60, 4 * DENSE // (len(shown) * len(data.names))) if crowd else points
    palette = colour_of(data)
    for axes, k in zip(grid.flat, shown, strict=False):
        for i in np.flatnonzero(data.instrument == k)[::-1]:
            ask = np.where(
                data.listings["ask_size"][:, 0, i] > 0, data.listings["ask"][:, 0, i], np.nan
            )
            colour = palette[int(data.seller[i])]
            draw_series(axes, data.ticks, ask, fewer, colour, "steps-post", linewidth=1)
        for values, colour, dash in levels(data, k):
            draw_series(
                axes, data.ticks, values, fewer, colour, linestyle=dash, linewidth=0.9, zorder=1
            )
        style.title(axes, data.instruments[k])
        over_time(axes, data, label=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("tick", labelpad=1)
    which = (
        ""
        if len(shown) == len(data.instruments)
        else (f" The {len(shown)} of {len(data.instruments)} products with the largest revenue.")
    )
    where = ", in the first market" if data.run.facts["markets"] > 1 else ""
    return ReportFigure(
        "prices",
        "Prices",
        f"What each seller asks for each product{where}. Look for who moves first, who follows, "
        f"and how near the prices come to cost.{which}{point_note(len(data.ticks), fewer)}",
        style.svg(figure, "prices", "Prices per product and seller over time"),
        True,
        (*legend(data), ("cost", style.INK, "dash"), ("reference price", style.INK, "dot")),
    )


def levels(data: Data, k: int) -> Iterator[tuple[Array, str, Any]]:
    """Costs and reference prices [T] of product k in the first market, with colour and dashes.

    One line where all its sellers have the same; else each seller's in the seller's colour.
    """
    own, palette = np.flatnonzero(data.instrument == k), colour_of(data)
    for column, dash in (("cost", (0, (4, 2))), ("reference", (0, (1, 1.6)))):
        values = data.listings[column][:, 0]
        alike = bool((values[:, own] == values[:, own[:1]]).all())
        for i in own[:1] if alike else own:
            yield values[:, i], style.INK if alike else palette[int(data.seller[i])], dash


def close_by(data: Data) -> ReportFigure:
    """The product with the largest revenue, where its prices moved the most."""
    revenue = (data.listings["sold"] * data.listings["sold_price"]).sum(axis=(0, 1))
    k = int(np.argmax(np.bincount(data.instrument, revenue, len(data.instruments))))
    own = np.flatnonzero(data.instrument == k)
    ask = data.listings["ask"][:, 0]
    stir = np.abs(np.diff(ask[:, own], axis=0, prepend=ask[:1, own])).sum(axis=1)
    begin = int(np.argmax(np.convolve(stir, np.ones(min(ZOOM, len(stir))), "valid")))
    view = slice(begin, begin + ZOOM)
    figure, grid = style.canvas(style.WIDE, 3.6)
    one_product(grid[0, 0], data, k, view)
    first, last = data.ticks[view][[0, -1]]
    return ReportFigure(
        "close",
        f"{data.instruments[k]}, ticks {first:,} to {last:,}",
        "The product with the largest revenue, where its prices moved the most"
        + (", in the first market" if data.run.facts["markets"] > 1 else "")
        + ". A dot is a tick with a sale, its area the units sold. Who is cheapest sells; who "
        "follows whom can be read off from tick to tick.",
        style.svg(figure, "close", "Prices of one product, close by"),
        True,
        (*legend(data), ("cost", style.INK, "dash"), ("reference price", style.INK, "dot")),
    )


def one_product(axes: Axes, data: Data, k: int, view: slice, sales: bool = True) -> None:
    """Prices of every seller of product k in the first market, its cost and reference price."""
    ticks, palette = data.ticks[view], colour_of(data)
    own = np.flatnonzero(data.instrument == k)
    sold = data.listings["sold"][view, 0]
    most = max(sold[:, own].max(), 1e-300)
    for i in own[::-1]:
        ask = data.listings["ask"][view, 0, i]
        stands = data.listings["ask_size"][view, 0, i] > 0
        colour = palette[int(data.seller[i])]
        axes.plot(ticks, np.where(stands, ask, np.nan), color=colour, drawstyle="steps-mid")
        traded = sold[:, i] > 0
        if sales:
            axes.scatter(
                ticks[traded],
                ask[traded],
                s=30 * sold[traded, i] / most,
                color=colour,
                linewidth=0.3,
                edgecolor="white",
                zorder=3,
            )
    for values, colour, dash in levels(data, k):
        axes.plot(ticks, values[view], color=colour, linestyle=dash, linewidth=0.9, zorder=1)
    over_time(axes, data)
    axes.set_xlim(ticks[0] - 0.5, ticks[-1] + 0.5)


def mean_prices(data: Data, points: int) -> ReportFigure:
    """Prices weighted by units sold, per participant: as differences where levels are far apart."""
    sold = data.listings["sold"]
    by = data.by_group(data.by_seller(sold))
    money = data.by_group(data.by_seller(sold * data.listings["sold_price"]))
    # Where few units are sampled a tick, what happens to be sold would drown the prices.
    window = window_of(data) if _rivals(data) else 1
    money, by = rolling(money, window), rolling(by, window)
    mean = np.divide(money, by, out=np.full_like(money, np.nan), where=by > 0)
    figure, grid = style.canvas(style.WIDE, 3.4, 1, 2, width_ratios=(1.45, 1))
    lines(grid[0, 0], data, mean, points, band=window == 1)
    grid[0, 0].set_title("mean price paid")
    first = np.isfinite(mean).argmax(axis=0)
    opening = np.take_along_axis(mean, first[None], axis=0)
    lines(grid[0, 1], data, mean / opening - 1.0, points, band=window == 1)
    grid[0, 1].set_title("change since the first tick")
    percents(grid[0, 1])
    return ReportFigure(
        "prices",
        "Mean prices, weighted by units sold",
        f"What a participant's customers paid on average{_moving(window)}"
        f"{over_markets(data, band=window == 1)}. The "
        "mean also moves "
        f"when customers change between its cheap and its dear products.{thinned(data, points)}",
        style.svg(figure, "prices", "Mean prices per participant over time"),
        True,
        legend(data),
    )


def _moving(window: int) -> str:
    return "" if window == 1 else f", a moving mean over {window} recorded ticks"


def against_cost(data: Data) -> ReportFigure:
    """Every listing's mean price against its cost."""
    ask, cost = data.listings["ask"].mean(axis=(0, 1)), data.listings["cost"].mean(axis=(0, 1))
    sold = data.listings["sold"].mean(axis=(0, 1))
    area = 12 + 150 * sold / max(sold.max(), 1e-300)
    figure, grid = style.canvas(style.WIDE, 4.0, 1, 2)
    left, right = grid[0]
    order = np.argsort(-area)
    member = {m: g for g, (_, ms) in enumerate(data.groups) for m in ms}
    palette = group_colours(data)
    tint = np.array([palette[member[int(n)]] for n in data.seller])
    dense = len(order) > DENSE // 3
    for axes, values in ((left, ask), (right, ask - cost)):
        axes.scatter(
            cost[order],
            values[order],
            s=area[order],
            c=tint[order],
            alpha=0.75,
            linewidth=0.4,
            edgecolor="white",
            rasterized=dense,
        )
        axes.grid(axis="x", visible=True)
        axes.set_xlabel("unit cost", labelpad=1)
    top = max(ask.max(), cost.max()) * 1.04
    left.plot([0, top], [0, top], color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 2)))
    left.set_xlim(0, None)
    left.set_ylim(0, None)
    right.set_xlim(0, None)
    left.set_title("price against cost")
    right.set_title("mark-up, in money")
    return ReportFigure(
        "against-cost",
        "Price and cost of every product",
        "A dot is a product at its mean price and cost; its area is the units sold. The dashed "
        "line is price = cost. Products of one participant in one row earn one mark-up.",
        style.svg(figure, "against-cost", "Price against unit cost of every product"),
        True,
        legend(data, "dots"),
    )


def over_cost(data: Data, points: int) -> ReportFigure:
    """The mean mark-up of each participant."""
    over, window = markups(data), window_of(data)
    mean = np.stack([_mean_of(over[:, :, members]) for _, members in data.groups], axis=2)
    figure, grid = style.canvas(style.HALF, 3.1)
    lines(grid[0, 0], data, rolling(mean, min(window, 5)), points)
    percents(grid[0, 0])
    return ReportFigure(
        "over-cost",
        "Price over cost",
        "The mean of price over unit cost of all products on offer"
        f"{over_markets(data)}. Prices that fall or rise together do not by themselves show a "
        "price war or collusion: a common cost, common demand or chance can move them together."
        + thinned(data, points),
        style.svg(figure, "over-cost", "Mean price over cost per participant"),
        False,
        legend(data),
    )


def _mean_of(values: Array) -> Array:
    """[T, R] mean over members, leaving out NaN."""
    good = np.isfinite(values)
    count = good.sum(axis=2)
    total = np.where(good, values, 0).sum(axis=2)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def stock(data: Data, points: int) -> ReportFigure:
    share = sold_out(data)
    rows = 2 if np.nan_to_num(share).any() else 1
    heights = {"height_ratios": (2.2, 1)} if rows == 2 else {}
    figure, grid = style.canvas(style.HALF, 3.1, rows, 1, sharex=True, **heights)
    lines(grid[0, 0], data, data.by_group(data.by_seller(data.listings["inventory"])), points)
    caption = "Nothing was ever sold out."
    if rows == 2:
        grid[0, 0].set_xlabel("")
        grid[0, 0].set_title("units in stock")
        out = np.stack([_mean_of(share[:, :, members]) for _, members in data.groups], axis=2)
        lines(grid[1, 0], data, rolling(out, window_of(data)), points, band=False)
        grid[1, 0].set_title("share of products sold out")
        grid[1, 0].set_ylim(0, None)
        percents(grid[1, 0])
        caption = (
            "Below, the share of a seller's stocked products with nothing left (moving mean): its "
            "customers then go to the rivals or leave."
        )
    return ReportFigure(
        "stock",
        "Stock and stock-outs" if rows == 2 else "Stock",
        f"Units held over all products{over_markets(data)}. {caption}{thinned(data, points)}",
        style.svg(figure, "stock", "Stock and stock-outs per participant"),
        False,
        legend(data),
    )


def lost(data: Data, points: int) -> ReportFigure:
    figure, grid = style.canvas(style.HALF, 3.1)
    turned = np.cumsum(data.by_group(data.by_seller(data.listings["lost"])), axis=0)
    lines(grid[0, 0], data, turned * data.run.facts["every"], points)
    return ReportFigure(
        "lost",
        "Lost demand",
        "Units that chose a seller first and were turned away because its stock was gone, so far"
        f"{over_markets(data)}.",
        style.svg(figure, "lost", "Cumulative lost demand per participant"),
        False,
        legend(data),
    )
