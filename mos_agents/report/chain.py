"""The story of a chain of venues: who earns what of the last price, and what each level does."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from mos_agents.report import style
from mos_agents.report.chain_flows import (
    DEPTH,
    FEE,
    QUOTE,
    VenueFlows,
    asks_of,
    at_war,
    division_of,
    flows_of,
    stocks_of,
    wars_of,
)
from mos_agents.report.charts import (
    ReportFigure,
    colour_of,
    cumulative_pnl,
    legend,
    over_markets,
    over_time,
    parts_of_pnl,
    percents,
    rolling,
    thin,
    window_of,
)
from mos_agents.report.data import Data
from mos_agents.report.price_wars import WAR
from mos_agents.report.series import draw_series, point_note

LEVELS = ("#8C6D46", "#3E7CB1", "#E08E45", "#7A5195", "#5B8C5A", "#A9A9A6")
"""A colour for each level of the chain, which no participant has."""


def pictures_of(data: Data, points: int) -> tuple[ReportFigure, ...]:
    """The pictures of a run with several venues."""
    pictures = [division(data), prices(data, points), stocks(data, points)]
    pictures += [
        cumulative_pnl(data, points),
        parts_of_pnl(data, "margin on trades"),
    ]
    if (data.kinds == FEE).any():
        pictures.append(fees(data, points))
    if _chooses(data):
        pictures.append(prominence(data, points))
    return tuple(one for one in pictures if one is not None)


def division(data: Data) -> ReportFigure | None:
    """One bar: the last price, divided among the levels."""
    parts = division_of(data)
    if not parts:
        return None
    whole = sum(part.money for part in parts)
    figure, grid = style.canvas(style.WIDE, 1.5)
    axes = grid[0, 0]
    right, left = 0.0, 0.0
    for part, colour in zip(parts, LEVELS, strict=False):
        begin = right if part.money >= 0.0 else left
        axes.barh(0, part.money, left=begin, height=0.6, color=colour, linewidth=0)
        share = part.money / whole if whole > 0.0 else 0.0
        if share > 0.05:
            label = f"{part.name}\n{part.money:.4g} ({share:.0%})"
            axes.text(begin + 0.5 * part.money, 0, label, ha="center", va="center", color="white")
        right, left = right + max(part.money, 0.0), left + min(part.money, 0.0)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_xlim(left, right)
    axes.set_xlabel("money per unit", labelpad=1)
    return ReportFigure(
        "division",
        "Who earns what of the last price",
        "The mean price that shoppers paid, divided: what producers received, and what each level "
        "kept, that is its selling price less its buying price and fees"
        f"{over_markets(data, band=False)}. Costs of holding stock are not taken off.",
        style.svg(figure, "division", "Parts of the last price by level of the chain"),
        True,
        tuple(
            (f"{part.name}: {part.money:.4g}", colour, "box")
            for part, colour in zip(parts, LEVELS, strict=False)
        ),
    )


def main_instrument(data: Data, flow: VenueFlows) -> int:
    """The instrument of a venue with the most money traded."""
    sold = data.listings["sold"] * data.listings["sold_price"]
    money = [
        sold[:, :, flow.quotes[data.instrument[flow.quotes] == k]].sum() for k in flow.instruments
    ]
    return int(flow.instruments[int(np.argmax(money))])


def prices(data: Data, points: int) -> ReportFigure:
    """The quotes at every level, a row each, with price wars shaded."""
    flows = [flow for flow in flows_of(data) if flow.quotes.size]
    figure, grid = style.canvas(style.WIDE, 0.5 + 1.9 * len(flows), len(flows), 1, sharex=True)
    for axes, flow in zip(grid[:, 0], flows, strict=True):
        _quotes(axes, data, flow, points)
    grid[-1, 0].set_xlabel("tick", labelpad=1)
    where = ", in the first market" if data.run.facts["markets"] > 1 else ""
    return ReportFigure(
        "prices",
        "Prices at each level",
        f"Asks (and, dashed, bids) in each venue{where}, of the good with the most sales there. "
        "Shaded: a price war, that is two or more sellers cut within three ticks and the mean ask "
        f"falls by {DEPTH:.0%}. Look for whether a war at one level reaches the others."
        + point_note(len(data.ticks), points),
        style.svg(figure, "prices", "Quotes per venue over time, with price wars shaded"),
        True,
        (*legend(data), ("price war", WAR, "box")),
    )


def _quotes(axes: Axes, data: Data, flow: VenueFlows, points: int) -> None:
    instrument, palette = main_instrument(data, flow), colour_of(data)
    sellers, asks = asks_of(data, instrument)
    rows = np.flatnonzero((data.instrument == instrument) & (data.kinds == QUOTE))
    war = at_war(wars_of(data, instrument), len(asks))
    edges = np.flatnonzero(np.diff(np.r_[0, war.astype(int), 0]))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        axes.axvspan(
            data.ticks[begin], data.ticks[min(end, len(war) - 1)], color=WAR, linewidth=0, zorder=0
        )
    for n, row, ask in list(zip(sellers, rows, asks.T, strict=True))[::-1]:
        draw_series(axes, data.ticks, ask, points, palette[n], "steps-post", linewidth=1)
        has_bid = data.listings["bid_size"][:, 0, row] > 0.0
        if has_bid.any():
            bid = np.where(has_bid, data.listings["bid"][:, 0, row], np.nan)
            dashed = {"linewidth": 0.8, "linestyle": (0, (3, 2))}
            draw_series(axes, data.ticks, bid, points, palette[n], "steps-post", **dashed)
    style.title(axes, data.instruments[instrument])
    over_time(axes, data, label=False)


def stocks(data: Data, points: int) -> ReportFigure | None:
    """Units held at each level."""
    held = stocks_of(data)
    if not held:
        return None
    figure, grid = style.canvas(style.HALF, 3.1)
    axes = grid[0, 0]
    window = window_of(data)
    for units, colour in zip(held.values(), LEVELS[1:], strict=False):
        axes.plot(*thin(data.ticks, rolling(units, window), points), color=colour)
    over_time(axes, data)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    return ReportFigure(
        "stocks",
        "Stocks at each level",
        f"Units of all goods that a level holds, with those in transit; a moving mean over {window}"
        f" recorded tick{'s' * (window > 1)}{over_markets(data, band=False)}.",
        style.svg(figure, "stocks", "Units held by each level of the chain over time"),
        False,
        tuple((name, colour, "line") for name, colour in zip(held, LEVELS[1:], strict=False)),
    )


def fees(data: Data, points: int) -> ReportFigure:
    """The fees that the platform sets, in the first market."""
    rows = np.flatnonzero(data.kinds == FEE)
    figure, grid = style.canvas(style.HALF, 3.1)
    axes = grid[0, 0]
    names = []
    for row, colour in zip(rows, LEVELS, strict=False):
        share = data.listings["ask"][:, 0, row]
        draw_series(axes, data.ticks, share, points, colour, "steps-post", linewidth=1)
        names.append((data.instruments[data.instrument[row]].split(".")[0], colour, "line"))
    over_time(axes, data)
    percents(axes)
    axes.set_ylim(bottom=0.0)
    return ReportFigure(
        "fees",
        "Fees set by the platform",
        "The share of the money that the platform takes of each sale, by venue, in the first "
        "market.",
        style.svg(figure, "fees", "Fees by venue over time"),
        False,
        tuple(names),
    )


def _chooses(data: Data) -> bool:
    """Whether a rule of prominence showed some offers and not others."""
    rows = np.flatnonzero(data.kinds == QUOTE)
    shown = data.listings["shown"][:, :, rows]
    offered = data.listings["ask_size"][:, :, rows] > 0.0
    return bool(((shown > 0.0) != offered).any())


def prominence(data: Data, points: int) -> ReportFigure:
    """Whose offers shoppers were shown, as shares of all that were shown."""
    rows = flows_of(data)[-1].quotes
    shown = data.listings["shown"][:, :, rows].mean(axis=1)
    sellers = list(dict.fromkeys(int(n) for n in data.seller[rows]))
    by = np.stack([shown[:, data.seller[rows] == n].sum(axis=1) for n in sellers], axis=1)
    window = window_of(data)
    moving = rolling(by, window)
    total = moving.sum(axis=1, keepdims=True)
    shares = np.divide(moving, total, out=np.zeros_like(moving), where=total > 0.0)
    x, y = thin(data.ticks, shares, min(points, 250))
    figure, grid = style.canvas(style.HALF, 3.1)
    axes, palette = grid[0, 0], colour_of(data)
    colours = [palette[n] for n in sellers]
    axes.stackplot(x, y.T, colors=colours, linewidth=0.6, edgecolor="white", alpha=0.85)
    over_time(axes, data)
    axes.set_ylim(0, 1)
    percents(axes)
    return ReportFigure(
        "prominence",
        "Whose offers shoppers were shown",
        f"Each band is a seller's share of the offers that the platform showed first, a moving "
        f"mean over {window} recorded tick{'s' * (window > 1)}{over_markets(data, band=False)}.",
        style.svg(figure, "prominence", "Shares of the offers shown over time"),
        False,
        tuple((data.names[n], palette[n], "box") for n in sellers),
    )
