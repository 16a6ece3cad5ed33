"""The story of an auction: what items were worth, what was bid, and who kept the difference."""

from __future__ import annotations

import numpy as np

from mos_agents.analysis.numbers import percent
from mos_agents.report import style
from mos_agents.report.charts import (
    ReportFigure,
    cumulative_pnl,
    group_colours,
    over_time,
    rolling,
    shares_over_time,
    thin,
    window_of,
)
from mos_agents.report.data import Data
from mos_agents.report.measures import bids_of, division, paid_per_unit
from mos_agents.report.series import per_point
from mos_agents.runs.plan import ordinal

MOST_DOTS = 700
"""Bids that a panel shows; of more, every n-th."""


def pictures_of(data: Data, points: int) -> tuple[ReportFigure, ...]:
    pictures = (
        shading(data, points),
        paid(data, points),
        surplus(data),
        shares_over_time(data, points, "items won"),
        cumulative_pnl(data, points, "surplus"),
    )
    return pictures


def shading(data: Data, points: int) -> ReportFigure:
    """Bids against values, bidder by bidder."""
    shown = data.named[:6]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure, grid = style.canvas(
        style.WIDE, 0.3 + 3.1 * rows, rows, columns, sharex=True, sharey=True
    )
    top = float(max(data.listings["cost"].max(), np.nanmax(np.nan_to_num(bids_of(data)))))
    for axes, n in zip(grid.flat, shown, strict=False):
        own = data.seller == n
        worth, bid = (v[:, 0, own].ravel() for v in (data.listings["cost"], bids_of(data)))
        won = data.listings["bought"][:, 0, own].ravel() > 0
        keep = np.arange(len(worth)) % max(1, len(worth) // min(MOST_DOTS, 4 * points)) == 0
        colour = group_colours(data)[data.named.index(n)]
        axes.plot([0, top], [0, top], color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 2)))
        lose, win = keep & ~won, keep & won
        axes.scatter(
            worth[lose],
            bid[lose],
            s=9,
            facecolor="none",
            edgecolor=colour,
            linewidth=0.5,
            alpha=0.6,
        )
        axes.scatter(worth[win], bid[win], s=12, color=colour, linewidth=0, alpha=0.9)
        style.title(axes, data.names[n])
        axes.grid(axis="x", visible=True)
        axes.set_xlim(0, top * 1.02)
        axes.set_ylim(0, top * 1.02)
    for axes in grid[-1]:
        axes.set_xlabel("value to the bidder", labelpad=1)
    for axes in grid[:, 0]:
        axes.set_ylabel("bid")
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    return ReportFigure(
        "shading",
        "Bids against values",
        "Each dot is a bid"
        + (" in the first market" if data.run.facts["markets"] > 1 else "")
        + "; filled ones won. On the dashed line a bid equals the value and winning earns nothing; "
        "the distance below it is the shading.",
        style.svg(figure, "shading", "Bids against values per bidder"),
        True,
        (
            ("won", style.INK, "dots"),
            ("lost", style.INK, "ring"),
            ("bid = value", style.SOFT, "dash"),
        ),
    )


def paid(data: Data, points: int) -> ReportFigure:
    price, _, best = paid_per_unit(data)
    figure, grid = style.canvas(style.HALF, 3.3)
    axes, window = grid[0, 0], window_of(data)
    size = per_point(len(data.ticks), points)
    dots = data.ticks[::size], price[::size]
    axes.scatter(*dots, s=6, color=style.REST, linewidth=0, alpha=0.8)
    for values, colour, dash in ((price, style.INK, "-"), (best, style.SOFT, (0, (4, 2)))):
        x, y = thin(data.ticks, rolling(values, window), points)
        axes.plot(x, y, color=colour, linestyle=dash)
    marks = [
        ("price paid", style.REST, "dots"),
        (f"mean over {window} ticks", style.INK, "line"),
        ("highest value", style.SOFT, "dash"),
    ]
    reserve = data.run.facts["market"].get("reserve") or 0.0
    if reserve > 0:
        axes.axhline(reserve, color=style.INK, linewidth=0.8, linestyle=(0, (1, 1.6)))
        marks.append(("reserve", style.INK, "dot"))
    over_time(axes, data)
    axes.set_ylim(0, None)
    return ReportFigure(
        "paid",
        "Prices paid",
        "The price of each item sold, its moving mean, and the mean of the highest value among the "
        "bidders: the seller's most."
        + (f" Dots are every {ordinal(size)} recorded tick." if size > 1 else ""),
        style.svg(figure, "paid", "Prices paid over time"),
        False,
        tuple(marks),
    )


def surplus(data: Data) -> ReportFigure:
    """Who got the value of the items sold."""
    revenue, kept, fees, wasted = division(data)
    figure, grid = style.canvas(style.HALF, 3.3)
    axes = grid[0, 0]
    pnl = data.participants["pnl"]
    own = [float(pnl[:, :, members].sum()) / data.R for _, members in data.groups]
    labels = ["seller's revenue", *(name for name, _ in data.groups), "wasted"]
    values = [revenue, *own, wasted]
    colours = [style.PARTS["spread_capture"], *group_colours(data), style.FAINT]
    if fees:
        labels.insert(-1, "fees")
        values.insert(-1, fees)
        colours.insert(-1, style.PARTS["fees"])
    rows = np.arange(len(labels))[::-1]
    whole = max(revenue + kept + fees + wasted, 1e-300)
    axes.barh(rows, values, height=0.56, color=colours, linewidth=0)
    for row, value in zip(rows, values, strict=True):
        axes.annotate(
            percent(value / whole),
            (max(value, 0), row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=style.SOFT,
        )
    axes.set_yticks(rows, [style.shortened(label, 22) for label in labels])
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    axes.margins(x=0.14)
    axes.set_xlabel("money", labelpad=1)
    return ReportFigure(
        "surplus",
        "Who got the surplus",
        "The highest values of the items sold, divided: what the seller was paid, what each bidder "
        "kept, and what was wasted because the item went to a bidder that valued it less.",
        style.svg(figure, "surplus", "Division of the surplus"),
        False,
    )
