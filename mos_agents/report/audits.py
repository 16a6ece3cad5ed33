"""The page of an audit: what each screen says about observed prices, with pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mos_agents.analysis.audit import ScreenVerdict, ScreenVerdicts
from mos_agents.market.printing import printable
from mos_agents.market.types import Array
from mos_agents.report import style
from mos_agents.report.charts import ReportFigure, plain
from mos_agents.report.page import closing_facts, document, gallery, opening
from mos_agents.report.series import binned, point_note

MOST_DRAWN = 4
"""Products whose prices are drawn: those about which screens are surest, then the first."""

POINTS = 600
MOST_COLOURED = len(style.PALETTE)


class ProductPrices(NamedTuple):
    """The prices of one product that the page draws: [T, N], with costs where they are known."""

    name: str
    sellers: tuple[str, ...]
    prices: Array
    cost: Array | None


class AuditPage(NamedTuple):
    """What the page of an audit shows.

    Parameters
    ----------
    title : str
        the file or run.
    headline : sequence of str
        the outcome in sentences.
    labels : sequence of str
        [T] the date of each tick.
    tick, price : str
        what a tick and what the price is.
    digests : sequence of tuple of 3 str
        what, path and SHA-256 of each input.
    made : sequence of tuple of 2 str
        how the audit was made, name and value.
    """

    title: str
    headline: Sequence[str]
    alarm: bool
    found: ScreenVerdicts
    products: Sequence[ProductPrices]
    labels: Sequence[str]
    tick: str
    price: str
    notes: Sequence[str]
    digests: Sequence[tuple[str, str, str]]
    made: Sequence[tuple[str, str]]


def audit_html(page: AuditPage) -> str:
    """The page; it asks for nothing from outside, and every word in it is escaped."""
    with style.styled(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of ticks that nobody observed
        prices = tuple(_prices(page, one, number) for number, one in enumerate(_drawn(page)))
        answers = tuple(_answers(page))
    sellers = len(dict.fromkeys(name for one in page.products for name in one.sellers))
    facts = [
        ("sellers", f"{sellers:,}"),
        ("products", f"{len(page.products):,}"),
        (f"{page.tick}s", f"{len(page.labels):,}"),
        ("from", page.labels[0]),
        ("to", page.labels[-1]),
        ("screens that apply", f"{len(page.found.verdicts)} of {_screens(page)}"),
    ]
    return document(
        f"Audit of {page.title}",
        [
            *opening(f"Audit of {page.title}", _lead(page), facts),
            *_outcome(page),
            *gallery(prices),
            *_verdicts(page.found.verdicts),
            *gallery(answers),
            *_left(page),
            *_made(page),
        ],
    )


def _lead(page: AuditPage) -> str:
    return (
        "An audit puts screens to observed prices. A screen is a statistical test: it asks whether "
        f"the {page.price}s look as they would if the sellers competed."
    )


def _screens(page: AuditPage) -> int:
    return len(page.found.verdicts) + len(page.found.not_applied)


def _outcome(page: AuditPage) -> list[str]:
    first, *rest = page.headline
    kind = "alarm" if page.alarm else "quiet"
    return [
        "<section>",
        "<h2>In short</h2>",
        f'<p class="summary outcome {kind}"><b>{escape(first)}</b></p>',
        f'<p class="summary">{escape(" ".join(rest))}</p>',
        "</section>",
    ]


def _verdicts(verdicts: Sequence[ScreenVerdict]) -> list[str]:
    if not verdicts:
        return []
    lines = ["<section>", "<h2>What each screen says</h2>"]
    for one in verdicts:
        kind = "alarm" if one.alarm and one.conduct else "quiet"
        lines.append(f'<article class="verdict {kind}" id="{escape(one.screen)}">')
        lines.append(f"<h3>{escape(one.title)}</h3>")
        lines.append(f'<p class="question">{escape(one.question)}</p>')
        own = one.sentence.removeprefix(f"{one.title}: ")
        lines.append(f"<p>{escape(own[:1].upper() + own[1:])}</p>")
        for text in (one.more, one.removed, one.cannot):
            lines += [f'<p class="caption">{escape(text)}</p>'] if text else []
        lines.append("</article>")
    return [*lines, "</section>"]


def _left(page: AuditPage) -> list[str]:
    if not page.found.not_applied:
        return []
    rows = "".join(
        f"<tr><th>{escape(one.title)}</th><td>{escape(one.question)} "
        f"{escape(one.sentence.removeprefix(one.title + ': ').capitalize())}</td></tr>"
        for one in page.found.not_applied
    )
    return [
        "<section>",
        "<h2>Screens that do not apply, and what they would need</h2>",
        f'<table class="facts">{rows}</table>',
        "</section>",
    ]


def _made(page: AuditPage) -> list[str]:
    inputs = [(f"SHA-256 of the {what}", f"{sha}  {path}") for what, path, sha in page.digests]
    return [
        '<section class="provenance">',
        "<h2>How this audit was made</h2>",
        *closing_facts([*page.made, *inputs]),
        "<h3>What was recognised in the record</h3>",
        "<ul>",
        *(f"<li>{escape(note)}</li>" for note in page.notes),
        "</ul>",
        "</section>",
    ]


def _drawn(page: AuditPage) -> list[ProductPrices]:
    """Products about which a screen is surest, then the first of the others."""
    sure: dict[str, float] = {}
    for verdict in page.found.verdicts:
        for name, p_value, _ in verdict.products:
            sure[name] = min(p_value, sure.get(name, 1.0))
    order = sorted(
        range(len(page.products)), key=lambda k: (sure.get(page.products[k].name, 1.0), k)
    )
    return [page.products[k] for k in order[:MOST_DRAWN]]


def _prices(page: AuditPage, one: ProductPrices, number: int) -> ReportFigure:
    """The price of each seller, and the mean cost."""
    figure, grid = style.canvas(style.WIDE, 3.3)
    axes = grid[0, 0]
    ticks = np.arange(len(one.prices))
    size = binned(ticks, one.prices, POINTS)
    many = len(one.sellers) > MOST_COLOURED
    legend: list[tuple[str, str, str]] = []
    for n, seller in enumerate(one.sellers):
        colour = style.REST if many else style.PALETTE[n]
        axes.plot(size.x, size.mean[:, n], color=colour, alpha=0.6 if many else 1.0)
        if not many:
            legend.append((printable(seller), colour, "line"))
    if many:
        axes.plot(size.x, np.nanmean(size.mean, axis=1), color=style.INK, linewidth=1.6)
        legend += [
            (f"each of {len(one.sellers)} sellers", style.REST, "line"),
            ("mean price", style.INK, "line"),
        ]
    if one.cost is not None and np.nanmax(one.cost) > 0:
        cost = binned(ticks, np.nanmean(one.cost, axis=1), POINTS)
        axes.plot(cost.x, cost.mean, color=style.SOFT, linestyle="--", linewidth=1.0)
        legend.append(("mean unit cost", style.SOFT, "dash"))
    _dates(axes, page.labels)
    of = "" if len(page.products) == 1 else f" of {one.name}"
    gaps = int(np.isnan(one.prices).sum())
    gone = f" {gaps:,} prices are missing: the lines have gaps there." if gaps else ""
    return ReportFigure(
        f"prices-{number}",
        f"{page.price.capitalize()}s{of}",
        f"The {page.price} of each seller, in money, {page.tick} by {page.tick}.{gone}"
        + point_note(len(ticks), POINTS, ranged=False),
        style.svg(figure, f"prices-{number}", f"{page.price} of each seller over time"),
        True,
        tuple(legend),
    )


def _dates(axes: Any, labels: Sequence[str]) -> None:
    """Dates below the axis, as many as fit."""
    places = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), 7)).astype(int))
    axes.set_xticks(places, [printable(labels[i]) for i in places])
    axes.set_xlim(0, max(len(labels) - 1, 1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def _answers(page: AuditPage) -> list[ReportFigure]:
    """How sure each screen is, and how far it can be trusted in markets like this one."""
    conduct = [one for one in page.found.verdicts if one.conduct]
    if not conduct:
        return []
    return [_sureness(page, conduct), *_trust(conduct)]


def _sureness(page: AuditPage, conduct: Sequence[ScreenVerdict]) -> ReportFigure:
    figure, grid = style.canvas(style.HALF, 0.9 + 0.32 * len(conduct))
    axes = grid[0, 0]
    rows = np.arange(len(conduct))[::-1]
    values = [max(one.p_corrected, 1e-4) for one in conduct]
    colours = [style.PALETTE[1] if one.alarm else style.PALETTE[0] for one in conduct]
    axes.hlines(rows, values, 1.0, color=style.FAINT, linewidth=1.0)
    axes.scatter(values, rows, s=30, color=colours, zorder=3, linewidth=0)
    axes.axvline(page.found.level, color=style.INK, linewidth=0.9, linestyle="--")
    axes.set_xscale("log")
    axes.set_xlim(min(0.0008, 0.7 * min(values)), 1.15)
    shares = [0.001, 0.01, 0.05, 0.2, 1.0]
    axes.set_xticks(shares, [f"{plain(100 * share)}%" for share in shares])
    axes.minorticks_off()
    _rows(axes, rows, conduct)
    return ReportFigure(
        "sureness",
        "How often competitors would give such a record",
        "In up to so many of 100 markets of competing sellers, after the correction for the number "
        f"of screens. Left of the dashed line, at {plain(100 * page.found.level)}%, a screen "
        "raises an alarm.",
        style.svg(figure, "sureness", "Corrected p-value of each screen"),
        False,
        (("alarm", style.PALETTE[1], "dots"), ("no alarm", style.PALETTE[0], "dots")),
    )


def _trust(conduct: Sequence[ScreenVerdict]) -> list[ReportFigure]:
    known = [one for one in conduct if one.power is not None and one.false_alarm_rate is not None]
    if not known:
        return []
    figure, grid = style.canvas(style.HALF, 0.9 + 0.32 * len(known))
    axes = grid[0, 0]
    rows = np.arange(len(known))[::-1]
    powers = [float(one.power or 0.0) for one in known]
    wrong = [float(one.false_alarm_rate or 0.0) for one in known]
    axes.barh(rows + 0.16, powers, height=0.3, color=style.PALETTE[2], linewidth=0)
    axes.barh(rows - 0.16, wrong, height=0.3, color=style.PALETTE[1], linewidth=0)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{plain(round(100 * v, 6))}%"))
    _rows(axes, rows, known)
    return [
        ReportFigure(
            "trust",
            "How far each screen can be trusted in markets like this one",
            "Shares of alarms in simulated markets of about this length and this number of "
            "sellers. Power is the share of markets with collusion or price wars in which the "
            "screen raises an alarm.",
            style.svg(figure, "trust", "Power and false alarms of each screen"),
            False,
            (("power", style.PALETTE[2], "box"), ("false alarms", style.PALETTE[1], "box")),
        )
    ]


def _rows(axes: Any, rows: Array, verdicts: Sequence[ScreenVerdict]) -> None:
    axes.set_yticks(rows, [style.shortened(one.title, 26) for one in verdicts])
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.set_ylim(-0.6, len(verdicts) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
