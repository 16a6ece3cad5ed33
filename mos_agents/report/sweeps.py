"""The pictures of a sweep: how measures answer to what was varied, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from mos_agents.market.checks import is_real
from mos_agents.report import style
from mos_agents.report.charts import ReportFigure, plain

LOGARITHMIC = 30.0
"""Values that reach over so many times the smallest are drawn on a logarithmic axis."""

FLAT = 0.002
"""The least height of a picture, as a share of what is drawn: less is no difference to be seen."""

MEANING = {
    "profit_gain": "Profit, from 0 (competition, Bertrand-Nash) to 1 (joint profit).",
    "rpdi": "Price, from 0 (competition, Bertrand-Nash) to 1 (joint profit).",
    "cycle_1": "Share of sessions that end with constant prices.",
    "periods": "Periods until the learners' strategies changed no more.",
    "one_shot_nash": "Share of sessions after which nobody gains by one deviation.",
    "reward": "Reward a tick, mean of the participants.",
    "pnl": "Profit (PnL) a tick, mean of the participants.",
    "mean_ask": "Price asked, mean of the participants' listings.",
    "spread": "Ask less bid, mean of the participants' listings.",
}
"""What the measures are that a sweep draws unasked."""


class Point(NamedTuple):
    """A cell's measure; NaN where it is unknown, infinite limits where there is one seed only."""

    x: Any
    mean: float
    low: float
    high: float


class Curves(NamedTuple):
    """A measure over the first axis: by panel (the third axis and on), by line (the second)."""

    measure: str
    axis: str
    line: str  # what lines differ by; empty where there is one
    panels: Mapping[str, Mapping[str, Sequence[Point]]]


def pictures(drawn: Sequence[Curves]) -> tuple[ReportFigure, ...]:
    """One for each measure."""
    with style.styled():
        return tuple(picture(curves) for curves in drawn)


def picture(curves: Curves) -> ReportFigure:
    """A panel for each value of the third axis, a line for each of the second."""
    panels = curves.panels
    wide = len(panels) > 1
    figure, places = style.canvas(
        style.WIDE if wide else style.HALF, 3.1, 1, len(panels), sharey=True
    )
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colours = dict(zip(names, line_colours(len(names)), strict=True))
    for axes, (title, lines) in zip(places[0], panels.items(), strict=True):
        for name, points in lines.items():
            _line(axes, points, colours[name])
        _axis(axes, [p.x for points in lines.values() for p in points])
        axes.set_xlabel(curves.axis, labelpad=1)
        axes.yaxis.set_major_formatter(lambda value, _: plain(value))
        _heighten(axes)
        if title:
            style.title(axes, title)
    what = f", a line for each {curves.line}" if curves.line else ""
    return ReportFigure(
        f"measure-{curves.measure}",
        curves.measure,
        f"{meaning(curves.measure)}Mean over seeds with its 95% interval, by {curves.axis}{what}.",
        style.svg(figure, curves.measure, f"{escape(curves.measure, quote=True)} by setting"),
        wide,
        tuple((f"{curves.line} {name}", colours[name], "line") for name in names)
        if curves.line
        else (),
    )


def meaning(measure: str) -> str:
    """A sentence on what a measure is, of all or of a role; nothing where it is not known."""
    name, _, whose = measure.partition(".")
    text = MEANING.get(name, "")
    if whose:
        text = text.replace("the participants", f"participants with the role {whose}")
    return f"{text} " if text else ""


def line_colours(count: int) -> list[str]:
    """Colours that can be distinguished; in the order of their values where there are many."""
    if count <= len(style.PALETTE):
        return list(style.PALETTE[:count])
    ramp = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.92, count))
    return [matplotlib.colors.to_hex(colour) for colour in ramp]


def _line(axes: Any, points: Sequence[Point], colour: str) -> None:
    known = [p for p in points if np.isfinite(p.mean)]
    x = [p.x for p in known]
    axes.plot(x, [p.mean for p in known], color=colour, marker="o", markersize=3.2)
    sure = [p for p in known if np.isfinite(p.low) and np.isfinite(p.high)]
    axes.vlines(
        [p.x for p in sure],
        [p.low for p in sure],
        [p.high for p in sure],
        color=colour,
        linewidth=1.0,
    )


def _heighten(axes: Any) -> None:
    """A rounding error is not drawn as a slope."""
    low, high = axes.get_ylim()
    middle, least = 0.5 * (low + high), FLAT * max(abs(low), abs(high))
    if high - low < least:
        axes.set_ylim(middle - 0.5 * least, middle + 0.5 * least)


def _axis(axes: Any, xs: Sequence[Any]) -> None:
    values = sorted(set(xs)) if all(is_real(x) for x in xs) else []
    if not values:
        return  # matplotlib places texts side by side
    if values[0] > 0 and values[-1] / values[0] >= LOGARITHMIC:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    if len(values) <= 12:
        axes.set_xticks(values, [f"{value:.4g}" for value in values])
