"""The story of market makers: quotes around the mid, spreads, inventory, and what they earned."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from mos_agents.report import style
from mos_agents.report.charts import (
    ReportFigure,
    colour_of,
    group_colours,
    legend,
    lines,
    over_markets,
    over_time,
    parts_of_pnl,
    rolling,
    shares_over_time,
    thin,
    thinned,
    window_of,
)
from mos_agents.report.data import Data
from mos_agents.report.measures import inside, or_nan, quoted
from mos_agents.report.series import draw_series, point_note

ZOOM = 60
"""Ticks that the close view of one asset shows."""

MOST_PANELS = 6


def pictures_of(data: Data, points: int) -> tuple[ReportFigure, ...]:
    pictures = (
        zoom(data),
        earnings(data, points),
        spreads(data, points),
        shares_over_time(data, points, "units traded"),
        inventories(data, points),
        mids(data, points),
        parts_of_pnl(data, "spread capture"),
    )
    return pictures


def zoom(data: Data) -> ReportFigure:
    """One asset close by: the one most traded, where most was traded."""
    units = data.units[:, 0]
    k = int(np.argmax(np.bincount(data.instrument, units.sum(axis=0), len(data.instruments))))
    own = np.flatnonzero(data.instrument == k)
    busy = np.convolve(units[:, own].sum(axis=1), np.ones(min(ZOOM, len(units))), "valid")
    begin = int(np.argmax(busy))
    view = slice(begin, begin + ZOOM)
    ticks = data.ticks[view]
    figure, grid = style.canvas(style.WIDE, 4.2)
    axes = grid[0, 0]
    palette = colour_of(data)
    for i in own[::-1]:
        colour = palette[int(data.seller[i])]
        for price, size, units_of, mark in (
            ("ask", "ask_size", "sold", "^"),
            ("bid", "bid_size", "bought", "v"),
        ):
            stands = data.listings[size][view, 0, i] > 0
            y = np.where(stands, data.listings[price][view, 0, i], np.nan)
            axes.plot(ticks, y, color=colour, drawstyle="steps-mid", linewidth=1, alpha=0.9)
            traded = data.listings[units_of][view, 0, i] > 0
            axes.scatter(
                ticks[traded],
                data.listings[f"{units_of}_price"][view, 0, i][traded],
                marker=mark,
                s=16,
                color=colour,
                linewidth=0.3,
                edgecolor="white",
                zorder=3,
            )
    mid = data.listings["reference"][view, 0, own[0]]
    axes.plot(ticks, mid, color=style.INK, linewidth=1.3, drawstyle="steps-mid")
    axes.set_xlim(ticks[0] - 0.5, ticks[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.set_xlabel("tick", labelpad=1)
    return ReportFigure(
        "quotes",
        f"Mid and quotes: {data.instruments[k]}, ticks {ticks[0]:,} to {ticks[-1]:,}",
        "Bids and asks of every maker around the mid price, where most was traded"
        + (", in the first market" if data.run.facts["markets"] > 1 else "")
        + "; triangles up are sales at the ask, down are purchases at the bid. Quotes that lean to "
        "one side of the mid shed inventory.",
        style.svg(figure, "quotes", "Mid price with every maker's bid and ask"),
        True,
        (*legend(data), ("mid", style.INK, "line")),
    )


def earnings(data: Data, points: int) -> ReportFigure:
    """Spread capture against inventory PnL, maker by maker."""
    shown = data.named[:MOST_PANELS]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure, grid = style.canvas(
        style.WIDE, 0.3 + 2.7 * rows, rows, columns, sharex=True, sharey=True
    )
    sums = {c: np.cumsum(data.means[c], axis=0) for c in ("spread_capture", "inventory_pnl", "pnl")}
    ticks = np.arange(len(sums["pnl"]))
    looks = {
        "spread_capture": (style.PARTS["spread_capture"], (0, (4, 1.5)), 1.5),
        "inventory_pnl": (style.PARTS["inventory_pnl"], (0, (1.2, 1.2)), 1.5),
    }
    for axes, n in zip(grid.flat, shown, strict=False):
        for column, (colour, dash, width) in looks.items():
            x, y = thin(ticks, sums[column][:, n], points)
            axes.plot(x, y, color=colour, linestyle=dash, linewidth=width)
        x, y = thin(ticks, sums["pnl"][:, n], points)
        axes.plot(x, y, color=group_colours(data)[data.named.index(n)], linewidth=1.4)
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        style.title(axes, data.names[n])
        over_time(axes, data)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    marks = (
        ("PnL (in the maker's colour)", style.INK, "line"),
        ("spread capture", looks["spread_capture"][0], "dash"),
        ("inventory PnL", looks["inventory_pnl"][0], "dot"),
    )
    return ReportFigure(
        "earnings",
        "Spread capture against inventory PnL",
        "What trading against the mid has earned so far, and what the mid's moves did to the "
        f"inventory held{_mean(data)}. A maker earns the first and is at the mercy of the second.",
        style.svg(figure, "earnings", "Cumulative spread capture, inventory PnL and PnL"),
        True,
        marks,
    )


def _mean(data: Data) -> str:
    markets = data.run.facts["markets"]
    return f", mean over {markets:,} markets" if markets > 1 else ""


def spreads(data: Data, points: int) -> ReportFigure:
    figure, grid = style.canvas(style.HALF, 3.1)
    axes = grid[0, 0]
    window = max(1, window_of(data) // 4)
    wide = np.stack(
        [np.nanmean(or_nan(quoted(data)[:, :, ms]), axis=2) for _, ms in data.groups], axis=2
    )
    lines(axes, data, rolling(wide, window), points)
    x, y = thin(data.ticks, rolling(inside(data), window), points)
    axes.plot(x, y, color=style.INK, linewidth=1.2, linestyle=(0, (1.2, 1.2)))
    top = float(np.nanmax(np.append(axes.get_ylim()[1], y)))
    axes.set_ylim(min(0.0, float(np.nanmin(y, initial=0.0))), 1.05 * top)
    return ReportFigure(
        "spreads",
        "Quoted spread",
        "Ask minus bid of each maker's own quotes, and of the best bid and ask of all (dotted), "
        f"mean over assets{over_markets(data)}. Below zero, one maker bids more than another asks: "
        "both lean far to shed inventory." + thinned(data, points),
        style.svg(figure, "spreads", "Quoted spreads over time"),
        False,
        (*legend(data), ("best of all", style.INK, "dot")),
    )


def inventories(data: Data, points: int) -> ReportFigure:
    """Inventory per asset, in the first market."""
    held = np.abs(data.listings["inventory"][:, 0]).sum(axis=0)
    by_asset = np.bincount(data.instrument, held, len(data.instruments))
    shown = sorted(np.argsort(-by_asset, kind="stable")[:MOST_PANELS].tolist())
    columns = len(shown) if len(shown) < 6 else 3
    rows = -(-len(shown) // columns)
    figure, grid = style.canvas(
        style.WIDE,
        0.3 + (2.8 if rows == 1 else 2.1 * rows),
        rows,
        columns,
        sharex=True,
        sharey=True,
    )
    limit = data.run.facts["market"].get("limit")
    palette = colour_of(data)
    largest = np.abs(data.listings["inventory"][:, 0]).max()
    for axes, k in zip(grid.flat, shown, strict=False):
        for i in np.flatnonzero(data.instrument == k)[::-1]:
            units = data.listings["inventory"][:, 0, i]
            colour = palette[int(data.seller[i])]
            draw_series(axes, data.ticks, units, points, colour, linewidth=0.9)
        for level in (limit, -limit) if limit and largest > 0.5 * limit else ():
            axes.axhline(level, color=style.SOFT, linewidth=0.7, linestyle=(0, (4, 2)))
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        style.title(axes, data.instruments[k])
        over_time(axes, data, label=False)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    for axes in grid[-1]:
        axes.set_xlabel("tick", labelpad=1)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    bound = (("position limit", style.SOFT, "dash"),) if limit and largest > 0.5 * limit else ()
    return ReportFigure(
        "inventory",
        "Inventory",
        "Units held (below zero: short) of each asset"
        + (", in the first market" if data.run.facts["markets"] > 1 else "")
        + ". A line that stays away from zero carries the risk of the mid's next move; at the "
        "limit, one side of the quote is taken away." + point_note(len(data.ticks), points),
        style.svg(figure, "inventory", "Inventory per asset and maker over time"),
        True,
        (*legend(data), *bound),
    )


def mids(data: Data, points: int) -> ReportFigure:
    figure, grid = style.canvas(style.HALF, 3.1)
    axes = grid[0, 0]
    firsts = [int(np.flatnonzero(data.instrument == k)[0]) for k in sorted(set(data.instrument))]
    shades = np.linspace(0.25, 0.72, len(firsts))
    ends = {}
    for i, shade in zip(firsts[:12], shades, strict=False):
        path = data.listings["reference"][:, 0, i]
        draw_series(axes, data.ticks, path, points, str(shade), linewidth=1)
        ends[i] = (float(path[-1]), shade)
    gap, above = 0.04 * np.diff(axes.get_ylim())[0], -np.inf
    for i, (end, shade) in sorted(ends.items(), key=lambda one: one[1][0]):
        above = max(end, above + gap)  # names do not lie upon each other
        name = style.shortened(data.instruments[data.instrument[i]], 14)
        axes.annotate(
            name,
            (data.ticks[-1], above),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=str(shade),
            annotation_clip=False,
        )
    over_time(axes, data)
    return ReportFigure(
        "mids",
        "Mid prices",
        "The reference price of each asset"
        + (", in the first market." if data.run.facts["markets"] > 1 else ".")
        + point_note(len(data.ticks), points),
        style.svg(figure, "mids", "Mid prices over time"),
        False,
    )
