"""The story of an auction: what items were worth, what was bid, and who kept the difference."""

from __future__ import annotations

import numpy as np

from mos_agents.market.types import Array
from mos_agents.report import style, verdicts
from mos_agents.report.data import Data
from mos_agents.report.drawing import (
    Picture,
    Story,
    Table,
    cumulative_pnl,
    enumerated,
    group_colours,
    listed,
    over_time,
    rolling,
    shares_over_time,
    thin,
    window_of,
)
from mos_agents.report.style import number, percent

MOST_DOTS = 700
"""Bids that a panel shows; of more, every n-th."""


def story(data: Data, points: int) -> Story:
    pictures = (
        shading(data, points), paid(data, points), surplus(data),
        shares_over_time(data, points, "items won"), cumulative_pnl(data, points, "surplus"),
    )  # fmt: skip
    return Story(sentences(data), table(data), pictures)


def _bids(data: Data) -> Array:
    """[T, R, L] bids; NaN where there is none."""
    return np.where(data.listings["bid_size"] > 0, data.listings["bid"], np.nan)


def shading(data: Data, points: int) -> Picture:
    """Bids against worths, bidder by bidder."""
    shown = data.named[:6]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure, grid = style.canvas(style.WIDE, 0.3 + 3.1 * rows, rows, columns, sharex=True,
                                sharey=True)  # fmt: skip
    top = float(max(data.listings["cost"].max(), np.nanmax(np.nan_to_num(_bids(data)))))
    for axes, n in zip(grid.flat, shown, strict=False):
        own = data.seller == n
        worth, bid = (v[:, 0, own].ravel() for v in (data.listings["cost"], _bids(data)))
        won = data.listings["bought"][:, 0, own].ravel() > 0
        keep = np.arange(len(worth)) % max(1, len(worth) // min(MOST_DOTS, 4 * points)) == 0
        colour = group_colours(data)[data.named.index(n)]
        axes.plot([0, top], [0, top], color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 2)))
        lose, win = keep & ~won, keep & won
        axes.scatter(worth[lose], bid[lose], s=9, facecolor="none", edgecolor=colour,
                     linewidth=0.5, alpha=0.6)  # fmt: skip
        axes.scatter(worth[win], bid[win], s=12, color=colour, linewidth=0, alpha=0.9)
        style.title(axes, data.names[n])
        axes.grid(axis="x", visible=True)
        axes.set_xlim(0, top * 1.02)
        axes.set_ylim(0, top * 1.02)
    for axes in grid[-1]:
        axes.set_xlabel("worth to the bidder", labelpad=1)
    for axes in grid[:, 0]:
        axes.set_ylabel("bid")
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    return Picture(
        "shading", "Bids against worths",
        "Each dot is a bid"
        + (" in the first market" if data.run.facts["markets"] > 1 else "")
        + "; filled ones won. On the dashed line a bid equals the worth and winning earns nothing; "
        "the distance below it is the shading.",
        style.svg(figure, "shading", "Bids against worths per bidder"), True,
        (("won", style.INK, "dots"), ("lost", style.INK, "ring"),
         ("bid = worth", style.SOFT, "dash")),
    )  # fmt: skip


def _per_unit(data: Data) -> tuple[Array, Array, Array]:
    """[T] price paid, the winner's worth and the highest worth, per unit sold in market 0."""
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


def paid(data: Data, points: int) -> Picture:
    price, _, best = _per_unit(data)
    figure, grid = style.canvas(style.HALF, 3.3)
    axes, window = grid[0, 0], window_of(data)
    dots = thin(data.ticks, price, points)
    axes.scatter(*dots, s=6, color=style.REST, linewidth=0, alpha=0.8)
    for values, colour, dash in ((price, style.INK, "-"), (best, style.SOFT, (0, (4, 2)))):
        x, y = thin(data.ticks, rolling(values, window), points)
        axes.plot(x, y, color=colour, linestyle=dash)
    marks = [("price paid", style.REST, "dots"), (f"mean over {window} ticks", style.INK, "line"),
             ("highest worth", style.SOFT, "dash")]  # fmt: skip
    reserve = data.run.facts["market"].get("reserve") or 0.0
    if reserve > 0:
        axes.axhline(reserve, color=style.INK, linewidth=0.8, linestyle=(0, (1, 1.6)))
        marks.append(("reserve", style.INK, "dot"))
    over_time(axes, data)
    axes.set_ylim(0, None)
    return Picture(
        "paid", "Prices paid",
        "The price of each item sold, its moving mean, and the mean of the highest worth among the "
        "bidders: the seller's most.",
        style.svg(figure, "paid", "Prices paid over time"), False, tuple(marks),
    )  # fmt: skip


def _division(data: Data) -> tuple[float, float, float]:
    """Sums per recorded market: the seller's revenue, the winners' surplus, what was wasted."""
    price, worth, best = _per_unit(data)
    sold = data.listings["bought"].sum(axis=(1, 2)) / data.R
    return tuple(  # type: ignore[return-value]
        float(np.nansum(v * sold)) for v in (price, worth - price, best - worth)
    )


def surplus(data: Data) -> Picture:
    """Who got the worth of the items sold."""
    revenue, kept, wasted = _division(data)
    figure, grid = style.canvas(style.HALF, 3.3)
    axes = grid[0, 0]
    pnl = data.participants["pnl"]
    own = [float(pnl[:, :, members].sum()) / data.R for _, members in data.groups]
    labels = ["seller's revenue", *(name for name, _ in data.groups), "wasted"]
    values = [revenue, *own, wasted]
    colours = [style.PARTS["spread_capture"], *group_colours(data), style.FAINT]
    rows = np.arange(len(labels))[::-1]
    whole = max(revenue + kept + wasted, 1e-300)
    axes.barh(rows, values, height=0.56, color=colours, linewidth=0)
    for row, value in zip(rows, values, strict=True):
        axes.annotate(percent(value / whole), (max(value, 0), row), xytext=(4, 0),
                      textcoords="offset points", va="center", color=style.SOFT)  # fmt: skip
    axes.set_yticks(rows, [style.shortened(label, 22) for label in labels])
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    axes.margins(x=0.14)
    axes.set_xlabel("money", labelpad=1)
    return Picture(
        "surplus", "Who got the surplus",
        "The highest worths of the items sold, divided: what the seller was paid, what each bidder "
        "kept, and what was wasted because the item went to somebody who valued it less.",
        style.svg(figure, "surplus", "Division of the surplus"), False,
    )  # fmt: skip


def table(data: Data) -> Table:
    bids, worth = _bids(data), data.listings["cost"]
    ratio = np.divide(bids, worth, out=np.full_like(bids, np.nan), where=worth > 0)
    won, money, pnl = data.total("bought"), data.total("cost"), data.by_market("pnl")
    rows = []
    for n in listed(data):
        own = ratio[:, :, data.seller == n]
        prices = data.listings["bought"] * data.listings["bought_price"]
        units = data.listings["bought"][:, :, data.seller == n].sum()
        mean = prices[:, :, data.seller == n].sum() / units if units else float("nan")
        rows.append((
            data.names[n], verdicts.money(data, pnl[:, n]), verdicts.deviation(pnl[:, n]),
            number(won[n]),
            percent(won[n] / max(won.sum(), 1e-300)), number(money[n]), number(mean),
            percent(float(np.nanmean(own)) if np.isfinite(own).any() else float("nan")),
            number(data.total("refused")[n]),
        ))  # fmt: skip
    head = (
        "bidder",
        "surplus",
        "sd of surplus",
        "items won",
        "share of items",
        "paid",
        "mean price paid",
        "bid over worth",
        "bids refused",
    )
    return Table(head, tuple(rows), "Sums over all ticks" + (
        ", per market (mean over all markets)" if data.run.facts["markets"] > 1 else ""
    ) + (". sd: standard deviation over markets." if data.R > 1 else ".")
        + verdicts.interval_note(data))  # fmt: skip


def sentences(data: Data) -> tuple[str, ...]:
    won = data.total("bought")
    revenue, kept, wasted = _division(data)
    whole = max(revenue + kept + wasted, 1e-300)
    price, _, _ = _per_unit(data)
    shares = [f"{data.names[n]} won {percent(won[n] / max(won.sum(), 1e-300))}" for n in data.named]
    return (
        *verdicts.profit(data, "surplus"),
        f"Of {number(won.sum())} items, {enumerated(shares)}.",
        f"Of the worth of the items sold the seller received {percent(revenue / whole)}, the "
        f"bidders kept {percent(kept / whole)}, and {percent(wasted / whole)} was wasted on "
        "winners who did not value the item most.",
        f"An item sold for {number(float(np.nanmean(price)))} on average."
        if np.isfinite(price).any() else "No item was sold.",
    )  # fmt: skip
