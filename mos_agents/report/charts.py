"""The pictures that all kinds of markets share: lines with a band, shares, PnL and its parts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mos_agents.market.types import Array, IntArray
from mos_agents.report import style
from mos_agents.report.data import Data
from mos_agents.report.series import binned, draw_series, point_note
from mos_agents.report.summary import SummaryTable as SummaryTable

BAND = 5
"""Markets from which on a 5-95% band says more than nothing."""

DENSE = 6_000
"""Points of one picture above which lines or dots are drawn as an image inside it."""


class ReportFigure(NamedTuple):
    """A drawing, what it is called, and what to look at."""

    name: str
    title: str
    caption: str
    svg: str
    wide: bool
    legend: tuple[tuple[str, str, str], ...] = ()  # (label, colour, "line"/"dash"/"dots"/"box")


def thin(ticks: IntArray, values: Array, points: int) -> tuple[Array, Array]:
    """At most `points` ticks: the values at evenly spaced ticks, first and last among them.

    For what hardly moves between them, such as sums so far and moving means; see `series.binned`.
    """
    if len(ticks) <= points:
        return ticks.astype(float), values
    keep = np.unique(np.round(np.linspace(0, len(ticks) - 1, points)).astype(int))
    return ticks[keep].astype(float), values[keep]


def rolling(values: Array, window: int) -> Array:
    """Means over the last `window` rows (fewer at the start); NaN rows are left out."""
    good = np.isfinite(values)
    sums = np.cumsum(np.where(good, values, 0.0), axis=0)
    counts = np.cumsum(good, axis=0).astype(float)
    sums[window:] = sums[window:] - sums[:-window]
    counts[window:] = counts[window:] - counts[:-window]
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def window_of(data: Data) -> int:
    """Recorded ticks that a moving mean covers: a twenty-fifth of the run, at least 5."""
    return max(min(5, len(data.ticks)), len(data.ticks) // 25)


def group_colours(data: Data) -> list[str]:
    return style.colours(data.named, len(data.groups))


def colour_of(data: Data) -> dict[int, str]:
    """A colour per participant."""
    pairs = zip(data.groups, group_colours(data), strict=True)
    return {member: colour for (_, members), colour in pairs for member in members}


def legend(data: Data, mark: str = "line") -> tuple[tuple[str, str, str], ...]:
    pairs = zip(data.groups, group_colours(data), strict=True)
    return tuple((name, colour, mark) for (name, _), colour in pairs)


def lines(
    axes: Axes, data: Data, values: Array, points: int, band: bool = True, **how: Any
) -> None:
    """A line per group of [T, R, groups]: the mean over markets, and where 90% of them lie.

    Of one market, and more ticks than points, the shade is the range within each bin instead.
    """
    with np.errstate(invalid="ignore"):
        middle = _nanmean(values)
    drawn = binned(data.ticks, middle, points)
    for g, colour in reversed(list(enumerate(group_colours(data)))):
        if data.R == 1 and len(drawn.x) < len(data.ticks):
            draw_series(axes, data.ticks, middle[:, g], points, colour, **how)
        else:
            axes.plot(drawn.x, drawn.mean[:, g], color=colour, **how)
    if band and data.R >= BAND:
        with np.errstate(invalid="ignore"):
            low, high = np.nanpercentile(values, (5, 95), axis=1)
        few = min(points, 150)
        bottom, top = (binned(data.ticks, limit, few) for limit in (low, high))
        for g, colour in enumerate(group_colours(data)):
            axes.fill_between(
                bottom.x, bottom.mean[:, g], top.mean[:, g], color=colour, alpha=0.13, linewidth=0
            )
    over_time(axes, data)


def over_time(axes: Axes, data: Data, label: bool = True) -> None:
    axes.set_xlim(data.ticks[0], max(data.ticks[-1], data.ticks[0] + 1))
    low, high = axes.get_ylim()
    if high - low < 1e-3 * abs(high):  # a constant: no noise of the last digits is blown up
        axes.set_ylim(low - 0.05 * abs(high), high + 0.05 * abs(high))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    if label:
        axes.set_xlabel("tick", labelpad=1)


def plain(value: float) -> str:
    """An axis figure: 12,000; 0.25; −3."""
    if abs(value) >= 1e7:
        return f"{value:.1e}".replace("-", "−")
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return (text if text not in ("-0", "") else "0").replace("-", "−")


def percents(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(round(100 * v, 6)) + "%"))


def cumulative_pnl(data: Data, points: int, what: str = "PnL") -> ReportFigure:
    """What each participant has earned so far."""
    figure, axes = style.canvas(style.HALF, 3.1)
    every = data.run.facts["every"]
    if data.R == data.run.facts["markets"] and every == 1 and len(data.ticks) == data.run.ticks:
        totals = np.cumsum(data.by_group(data.participants["pnl"]), axis=0)
        lines(axes[0, 0], data, totals, points)
    else:  # of a large run, the means over all markets, which are kept at every tick
        sums = np.cumsum(data.means["pnl"], axis=0)
        x, y = thin(np.arange(len(sums)), sums, points)
        for (_, members), colour in zip(data.groups, group_colours(data), strict=True):
            axes[0, 0].plot(x, y[:, members].sum(axis=1), color=colour)
        over_time(axes[0, 0], data)
    axes[0, 0].axhline(0, color=style.SOFT, linewidth=0.6)
    return ReportFigure(
        "pnl",
        f"Cumulative {what}",
        f"{what[0].upper()}{what[1:]} so far, in money{over_markets(data)}. Steady slopes are "
        "steady margins; a kink is a change of regime.",
        style.svg(figure, "pnl", f"Cumulative {what} per participant over time"),
        False,
        legend(data),
    )


def parts_of_pnl(data: Data, first: str) -> ReportFigure:
    """A stacked bar per participant: earned to the right, paid to the left, the sum as a dot."""
    parts = [
        ("spread_capture", first, data.total("spread_capture")),
        ("inventory_pnl", "inventory revaluation", data.total("inventory_pnl")),
        ("holding_cost", "holding cost", -data.total("holding_cost")),
        ("shortage", "shortage cost", data.total("holding_cost") - data.total("position_cost")),
        ("fees", "fees", -data.total("fees")),
    ]
    groups, scale = data.groups, 1e-9 * max(np.abs(data.total("pnl")).max(), 1e-9)
    parts = [p for p in parts if np.abs(p[2]).max() > scale] or parts[:1]
    figure, grid = style.canvas(style.HALF, max(3.1, 0.28 * len(groups) + 0.9))
    axes = grid[0, 0]
    rows = np.arange(len(groups))[::-1]
    above, below = np.zeros(len(groups)), np.zeros(len(groups))
    for key, _, values in parts:
        sums = np.array([values[members].sum() for _, members in groups])
        begin = np.where(sums >= 0, above, below)
        axes.barh(rows, sums, left=begin, height=0.56, color=style.PARTS[key], linewidth=0)
        above, below = above + np.maximum(sums, 0), below + np.minimum(sums, 0)
    net = np.array([data.total("pnl")[members].sum() for _, members in groups])
    axes.scatter(net, rows, s=26, color=style.INK, zorder=3, linewidth=0)
    axes.axvline(0, color=style.SOFT, linewidth=0.7)
    axes.set_yticks(rows, [style.shortened(name, 22) for name, _ in groups])
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axes.set_xlabel("money", labelpad=1)
    shown = tuple((label, style.PARTS[key], "box") for key, label, _ in parts)
    return ReportFigure(
        "parts",
        "What the PnL is made of",
        "Earnings to the right of zero, costs to the left; the dot is their sum, the PnL.",
        style.svg(figure, "parts", "Parts of the PnL per participant"),
        False,
        (*shown, ("PnL", style.INK, "dots")),
    )


def shares_over_time(data: Data, points: int, of: str = "units sold") -> ReportFigure:
    """Stacked shares of what was traded, as a moving mean."""
    units = data.by_group(data.by_seller(data.units)).sum(axis=1)
    window = window_of(data)
    moving = rolling(units, window)
    total = moving.sum(axis=1, keepdims=True)
    shares = np.divide(moving, total, out=np.full_like(moving, np.nan), where=total > 0)
    x, y = thin(data.ticks, shares, min(points, 250))
    figure, grid = style.canvas(style.HALF, 3.1)
    axes = grid[0, 0]
    axes.stackplot(
        x,
        np.nan_to_num(y.T),
        colors=group_colours(data),
        linewidth=0.6,
        edgecolor="white",
        alpha=0.85,
    )
    over_time(axes, data)
    axes.set_ylim(0, 1)
    percents(axes)
    return ReportFigure(
        "shares",
        f"Shares of {of}",
        f"Each band is a participant's share of all {of}, a moving mean over {window} recorded "
        f"tick{'s' * (window > 1)}{over_markets(data, band=False)}.",
        style.svg(figure, "shares", f"Shares of {of} over time"),
        False,
        legend(data, "box"),
    )


def thinned(data: Data, points: int) -> str:
    """What a point of `lines` is where it stands for several ticks, as a sentence."""
    return point_note(len(data.ticks), points, ranged=data.R == 1)


def over_markets(data: Data, band: bool = True) -> str:
    """What a line means where there are several markets, as the end of a sentence."""
    if data.R == 1:
        return "" if data.run.facts["markets"] == 1 else ", in the first market"
    text = "; the band holds 90% of them" if band and data.R >= BAND else ""
    return f", mean over {data.R:,} markets{text}"


def _nanmean(values: Array) -> Array:
    good = np.isfinite(values)
    count = good.sum(axis=1)
    total = np.where(good, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
