"""The page of sellers who learn: their prices against theory's, the wars between them, what a cut
costs who dares it, and the controls beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.report import style
from mos_agents.report.charts import ReportFigure, SummaryTable, plain
from mos_agents.report.page import document, figure, table
from mos_agents.runs.files import write_whole

WAR, NASH, JOINT, TRIAL = "#F3D9C9", "#4D5359", "#8A9099", "#1B1E21"


@dataclass(frozen=True, eq=False)
class Learning:
    """What the page shows. Prices in money; N firms.

    Parameters
    ----------
    period, path : array
        [P] and [P, N] block means of one session's prices from first to last period.
    close_from, close : int or array
        period number and [T, N] prices of a stretch after the learning;
    tried : array of bool
        [T, N] who explored in it;
    wars : tuple of tuples of 2 int
        the wars that followed its low trials, as (first, last + 1) rows.
    response : mapping
        {name: [T, 2]} mean relative price change of who deviates and of its rivals, tau = 1 in
        row `shock`;
    band : array
        [T, 2] 95% limits of the rivals' in the first of them.
    rows : tuple of tuples of str
        the controls' table, a row of texts each.
    """

    title: str
    headline: str
    sentences: tuple[str, ...]
    lead: str
    firms: tuple[str, ...]
    nash: float
    joint: float
    period: Array
    path: Array
    close_from: int
    close: Array
    tried: IntArray
    wars: tuple[tuple[int, int], ...]
    response: dict[str, Array]
    band: Array
    shock: int
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    facts: tuple[tuple[str, str], ...]


def html(made: Learning) -> str:
    """The page, self-contained."""
    with style.styled():
        pictures = (learning(made), close_up(made), punishment(made))
    return document(
        made.title,
        [
            "<header>",
            f"<h1>{escape(made.title)}</h1>",
            f'<p class="lead">{escape(made.lead)}</p>',
            "</header>",
            "<section>",
            "<h2>In short</h2>",
            f'<p class="summary"><strong>{escape(made.headline)}</strong></p>',
            *(f"<p>{escape(sentence)}</p>" for sentence in made.sentences),
            "</section>",
            *table(SummaryTable(made.head, made.rows, made.note), "Beside its controls"),
            '<section class="gallery">',
            *(figure(one) for one in pictures),
            "</section>",
            '<section class="provenance">',
            "<h2>How this was made</h2>",
            '<table class="facts">',
            *(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in made.facts),
            "</table>",
            "</section>",
        ],
    )


def picture(made: Learning, path: Path) -> Path:
    """The page's pictures as one, for a README: SVG or PNG by suffix."""
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"file {path.name!r} must end in .svg or .png")
    with style.styled():
        drawn, grid = style.canvas(style.WIDE, 6.2, 2, 2, width_ratios=(1.5, 1))
        whole = grid[0, 0].get_gridspec()
        for axes in grid[1]:
            axes.remove()
        below = drawn.add_subplot(whole[1, :])
        draw_path(grid[0, 0], made)
        grid[0, 0].set_title("Prices while two sellers learn")
        draw_response(grid[0, 1], made)
        grid[0, 1].set_title("Answer to one forced cut")
        draw_close(below, made)
        below.set_title("After the learning, period by period: trials marked, price wars shaded")
        if path.suffix == ".png":
            write_whole(path, style.png(drawn))
        else:
            write_whole(path, style.standalone(drawn, "demo").encode())
    return path


def learning(made: Learning) -> ReportFigure:
    drawn, grid = style.canvas(style.WIDE, 3.3)
    draw_path(grid[0, 0], made)
    return ReportFigure(
        "learning",
        "Prices over a session",
        "Means over blocks of periods in one session (of those with many price wars that came to "
        "rest, the one nearest the median profit gain), from random prices to the strategies that "
        "no longer change. Dashed: the price of competition (Bertrand-Nash) below, that of joint "
        "profit above.",
        style.svg(drawn, "learning", "Prices of the firms over a session of learning"),
        True,
        legend(made),
    )


def close_up(made: Learning) -> ReportFigure:
    drawn, grid = style.canvas(style.WIDE, 3.3)
    draw_close(grid[0, 0], made)
    count = len(made.wars)
    wars = "no price war" if not count else "1 price war" if count == 1 else f"{count} price wars"
    return ReportFigure(
        "wars",
        "After the learning, period by period",
        f"{len(made.close):,} periods of the same session. Each seller still tries a random price "
        f"now and then (marked). {wars.capitalize()}, shaded: after a low trial the mean price is "
        "below its level by a quarter of the way between the dashed lines, for three periods or "
        "more in which nobody explores. The table has their share, after calm periods too, and in "
        "the controls.",
        style.svg(drawn, "wars", "Prices period by period with price wars shaded"),
        True,
        (*legend(made), ("trial", TRIAL, "dots"), ("price war", WAR, "box")),
    )


def punishment(made: Learning) -> ReportFigure:
    drawn, grid = style.canvas(style.WIDE, 3.1)
    draw_response(grid[0, 0], made)
    names = list(made.response)
    marks = tuple(
        (f"{who}, {name}", colour, kind)
        for name, kind in zip(names, ("line", "dash"), strict=False)
        for who, colour in (("who cuts", style.PALETTE[1]), ("the rival", style.PALETTE[0]))
    )
    return ReportFigure(
        "punishment",
        "What follows a forced cut",
        "Learning and trying are switched off; one firm is made to ask its best short-run price "
        "for one period (tau = 1). Mean change of prices against the same play left alone, over "
        "all sessions and both firms; the band is the 95% interval for the rival's mean, over "
        "sessions.",
        style.svg(drawn, "punishment", "Relative price changes after a forced price cut"),
        True,
        marks,
    )


# --- the drawings ---------------------------------------------------------------------------------


def draw_path(axes: Axes, made: Learning) -> None:
    for i in range(len(made.firms)):
        axes.plot(made.period, made.path[:, i], color=style.PALETTE[i % len(style.PALETTE)])
    benchmarks(axes, made)
    axes.set_xlim(0, made.period[-1])
    axes.set_xlabel("period", labelpad=1)
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))


def draw_close(axes: Axes, made: Learning) -> None:
    rows = made.close_from + np.arange(len(made.close))
    for first, end in made.wars:
        axes.axvspan(rows[0] + first - 0.5, rows[0] + end - 0.5, color=WAR, linewidth=0)
    for i in range(len(made.firms)):
        colour = style.PALETTE[i % len(style.PALETTE)]
        axes.step(rows, made.close[:, i], color=colour, where="mid")
        tries = made.tried[:, i]
        axes.plot(rows[tries], made.close[tries, i], "o", color=TRIAL, markersize=4, zorder=3)
    benchmarks(axes, made)
    axes.set_xlim(rows[0], rows[-1])
    axes.set_xlabel("period", labelpad=1)
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))


def draw_response(axes: Axes, made: Learning) -> None:
    first = next(iter(made.response.values()))
    tau = np.arange(len(first)) - made.shock + 1
    axes.fill_between(
        tau,
        100 * made.band[:, 0],
        100 * made.band[:, 1],
        color=style.PALETTE[0],
        alpha=0.15,
        linewidth=0,
    )
    for values, dashes in zip(made.response.values(), ("-", "--"), strict=False):
        axes.plot(tau, 100 * values[:, 0], color=style.PALETTE[1], linestyle=dashes, marker=".")
        axes.plot(tau, 100 * values[:, 1], color=style.PALETTE[0], linestyle=dashes, marker=".")
    axes.axhline(0, color=style.SOFT, linewidth=0.6)
    axes.set_xlabel("tau, periods from the cut on", labelpad=1)
    axes.set_xlim(tau[0], tau[-1])
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: plain(value) + "%")


def benchmarks(axes: Axes, made: Learning) -> None:
    for value, name, colour in ((made.nash, "Nash", NASH), (made.joint, "joint profit", JOINT)):
        axes.axhline(value, color=colour, linestyle=(0, (5, 3)), linewidth=0.9, zorder=1)
        axes.annotate(
            name,
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8.2,
            annotation_clip=False,
        )


def legend(made: Learning) -> tuple[tuple[str, str, str], ...]:
    firms: Sequence[str] = made.firms
    lines = tuple(
        (name, style.PALETTE[i % len(style.PALETTE)], "line") for i, name in enumerate(firms)
    )
    return (*lines, ("theory", NASH, "dash"))
