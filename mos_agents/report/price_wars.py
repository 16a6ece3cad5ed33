"""Pictures of price wars: prices over time with the wars shaded, responses to force, effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mos_agents.analysis.numbers import number
from mos_agents.analysis.price_wars import PriceWars
from mos_agents.market.types import Array
from mos_agents.report import style
from mos_agents.report.charts import plain

WAR = "#F3D9CC"


class WarPanel(NamedTuple):
    """One path to look at: prices [T, N], its wars' ticks [T] bool, and what stands above it."""

    title: str
    prices: Array
    at_war: Any
    first_tick: int


class ForcedResponse(NamedTuple):
    """A response to force: relative changes of the firm and of its rivals; row `shock` is tau 1."""

    title: str
    firm: Array
    rivals: Array
    shock: int


class EffectRow(NamedTuple):
    """An effect with its interval; `bold` where it differs from zero."""

    label: str
    group: str
    value: float
    low: float
    high: float
    bold: bool


def prices_and_answers(
    panels: Sequence[WarPanel],
    answers: Sequence[ForcedResponse],
    names: Sequence[str],
    marks: Mapping[str, float],
) -> Figure:
    """Paths with their wars shaded, a row each, and below them the responses to force.

    marks: prices drawn as dashed lines, with their names.
    """
    with style.styled():
        figure = Figure(figsize=(style.WIDE, 1.75 * len(panels) + 2.7))
        columns = max(len(answers), 1)
        heights = _height_ratios(
            [*(panel.prices for panel in panels), np.array(list(marks.values()))]
        )
        grid = figure.add_gridspec(
            len(panels) + 1, columns, height_ratios=[1.0] * len(panels) + [1.25]
        )
        for row, panel in enumerate(panels):
            axes = figure.add_subplot(grid[row, :])
            ticks = panel.first_tick + np.arange(len(panel.prices))
            _shade(axes, ticks, panel.at_war)
            for n in range(panel.prices.shape[1]):
                axes.step(
                    ticks,
                    panel.prices[:, n],
                    where="post",
                    color=style.PALETTE[n],
                    linewidth=0.9,
                    alpha=0.6,
                    label=names[n] if row == 0 else None,
                )
            axes.step(
                ticks,
                panel.prices.mean(axis=1),
                where="post",
                color=style.INK,
                linewidth=1.5,
                label="mean" if row == 0 else None,
            )
            for value in marks.values():
                axes.axhline(value, color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
            for name, value in marks.items():
                axes.annotate(
                    name,
                    (1.0, value),
                    xycoords=("axes fraction", "data"),
                    xytext=(4, 0),
                    textcoords="offset points",
                    fontsize=7.2,
                    color=style.SOFT,
                    va="center",
                )
            axes.set_xlim(ticks[0], ticks[-1] + 1)
            axes.set_ylim(*heights)
            axes.set_title(panel.title)
            axes.set_ylabel("price")
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(v)))
            if row == 0:
                handles, labels = axes.get_legend_handles_labels()
                axes.legend(
                    handles,
                    labels,
                    ncols=len(labels),
                    loc="lower right",
                    bbox_to_anchor=(1.0, 1.0),
                    frameon=False,
                    fontsize=7.6,
                    borderaxespad=0.1,
                )
            if row == len(panels) - 1:
                axes.set_xlabel("tick", labelpad=1)
        limits = _height_ratios([100.0 * np.concatenate([a.firm, a.rivals]) for a in answers])
        for column, answer in enumerate(answers):
            axes = figure.add_subplot(grid[len(panels), column])
            tau = np.arange(len(answer.firm)) - answer.shock + 1
            axes.axhline(0.0, color=style.SOFT, linewidth=0.7)
            axes.step(
                tau,
                100.0 * answer.firm,
                where="mid",
                color=style.PALETTE[1],
                label="the forced firm",
            )
            axes.step(
                tau, 100.0 * answer.rivals, where="mid", color=style.PALETTE[0], label="its rivals"
            )
            axes.set_xlim(tau[0], min(tau[-1], 30))
            axes.set_ylim(*limits)
            axes.set_title(answer.title)
            axes.set_xlabel("ticks since the force", labelpad=1)
            if column == 0:
                axes.set_ylabel("price change, %")
                axes.legend(frameon=False, fontsize=7.4, loc="best")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(round(v, 6))))
        return figure


def effects(columns: Mapping[str, Sequence[EffectRow]], base: Mapping[str, float]) -> Figure:
    """A dot plot: a column a quantity, a row a condition, the difference from its comparison.

    Orange differs from zero, by the correction for all rows.
    Rows are the same in all columns. base: the quantity's value in the base, for the titles.
    """
    with style.styled():
        rows = next(iter(columns.values()))
        figure = Figure(figsize=(style.WIDE, 0.205 * len(rows) + 1.1))
        axes_of = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        at = np.arange(len(rows))[::-1]
        for axes, (name, dots) in zip(axes_of, columns.items(), strict=True):
            axes.axvline(0.0, color=style.SOFT, linewidth=0.8)
            for y, dot in zip(at, dots, strict=True):
                colour = style.PALETTE[1] if dot.bold else style.REST
                axes.plot([dot.low, dot.high], [y, y], color=colour, linewidth=1.4)
                axes.plot([dot.value], [y], marker="o", markersize=4.2, color=colour)
            for i in range(1, len(rows)):
                if rows[i].group != rows[i - 1].group:
                    axes.axhline(at[i] + 0.5, color=style.FAINT, linewidth=0.7)
            axes.set_title(f"{name} (base {number(base[name])})")
            axes.set_xlabel("difference, 95% interval over sessions", labelpad=1)
            axes.grid(axis="y", visible=False)
            axes.grid(axis="x", visible=True)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(round(v, 6))))
            axes.set_ylim(-0.7, len(rows) - 0.3)
        axes_of[0].set_yticks(at, [dot.label for dot in rows])
        axes_of[0].tick_params(axis="y", labelcolor=style.INK)
        return figure


def write(figure: Figure, name: str) -> dict[str, bytes]:
    """The figure as files by name: SVG and PNG."""
    with style.styled():
        return {
            f"{name}.svg": style.standalone(figure, name).encode(),
            f"{name}.png": style.png(figure, dpi=110),
        }


def shaded(wars: PriceWars, path: int) -> Any:
    """[T] bool: the ticks at war of one path."""
    return wars.under_way()[:, path]


def _shade(axes: Any, ticks: Array, at_war: Any) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], at_war.astype(np.int8), [0]))))
    for begin, end in edges.reshape(-1, 2):
        axes.axvspan(ticks[begin], ticks[0] + end, color=WAR, linewidth=0, zorder=0)


def _height_ratios(values: Sequence[Array]) -> tuple[float, float]:
    low = min((float(v.min()) for v in values if v.size), default=0.0)
    high = max((float(v.max()) for v in values if v.size), default=1.0)
    pad = 0.08 * max(high - low, 1e-9)
    return low - pad, high + pad
