"""One picture that says what the laboratory is about: who asks what, and who earns what.

`python -m mos_agents.report.picture runs/demo-s0-001 FILE.svg` draws it from a run folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mos_agents.market.types import Array, InputError
from mos_agents.report import style
from mos_agents.report.charts import group_colours, over_time
from mos_agents.report.data import Data
from mos_agents.report.posted_prices import one_product
from mos_agents.runs.files import write_whole
from mos_agents.runs.reading import Run, read

TICKS = 160
"""Ticks shown of the prices: enough to see who follows whom."""


def draw(run: Run, path: Path, product: str | None = None) -> Path:
    """Prices of one product with cost and reference, cumulative PnL beside; SVG or PNG by suffix.

    Without a product, the one that earned the most revenue. Raises InputError for a run of
    another kind of market, an unknown product, or another suffix.
    """
    data = Data.of(run)
    if data.kind != "posted" or data.empty:
        raise InputError(f"run {run.name}: needs recorded ticks of a market of posted prices")
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"file {path.name!r} must end in .svg or .png")
    if product is not None and product not in data.instruments:
        raise InputError(f"product {product!r} is not one of {', '.join(data.instruments)}")
    revenue = (data.listings["sold"] * data.listings["sold_price"]).sum(axis=(0, 1))
    worth = np.bincount(data.instrument, revenue, len(data.instruments))
    k = data.instruments.index(product) if product else int(np.argmax(worth))
    with style.styled():
        figure, grid = style.canvas(style.WIDE, 3.5, 1, 2, width_ratios=(1.75, 1))
        left, right = grid[0]
        view = slice(0, TICKS)
        one_product(left, data, k, view, sales=False)
        left.set_title(f"Prices of {style.shortened(data.instruments[k], 30)}")
        _name_lines(left, data, k, view)
        totals = np.cumsum(data.by_group(data.participants["pnl"])[:, 0], axis=0)
        for g, colour in enumerate(group_colours(data)):
            right.plot(data.ticks, totals[:, g], color=colour)
        over_time(right, data)
        right.set_title("Cumulative PnL")
        _beside(
            right,
            [
                (totals[-1, g], name, colour)
                for g, ((name, _), colour) in enumerate(
                    zip(data.groups, group_colours(data), strict=True)
                )
            ],
        )
        if path.suffix == ".png":
            write_whole(path, style.png(figure))
        else:
            figure.set_facecolor("white")
            write_whole(path, style.standalone(figure, "demo").encode())
    return path


def _name_lines(axes: Axes, data: Data, k: int, view: slice) -> None:
    own = np.flatnonzero(data.instrument == k)
    member = {m: g for g, (_, ms) in enumerate(data.groups) for m in ms}
    last = [
        (
            float(data.listings["ask"][view, 0, i][-1]),
            data.names[int(data.seller[i])],
            group_colours(data)[member[int(data.seller[i])]],
        )
        for i in own
    ]
    for column, label in (("cost", "cost"), ("reference", "reference")):
        last.append((float(data.listings[column][view, 0, own[0]][-1]), label, style.INK))
    _beside(axes, last)


def _beside(axes: Axes, labels: list[tuple[float, str, str]]) -> None:
    """Names at the ends of the lines, moved apart where they would touch."""
    low, high = axes.get_ylim()
    height = axes.figure.get_figheight() * 72 * 0.8
    labels = sorted(labels)
    wanted = np.array([(y - low) / (high - low) * height for y, _, _ in labels])
    placed = apart(wanted, 10.0)
    for (_, name, colour), y in zip(labels, placed, strict=True):
        axes.annotate(
            style.shortened(name, 16),
            (1.0, y / height),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8.2,
            annotation_clip=False,
        )


def apart(wanted: Array, gap: float) -> Array:
    """Positions in the same order, about `gap` apart, as near to those wanted as that allows."""
    placed = wanted.astype(float).copy()
    for _ in range(50):
        for i in range(1, len(placed)):
            short = gap - (placed[i] - placed[i - 1])
            if short > 0:
                placed[i - 1] -= short / 2
                placed[i] += short / 2
    return placed


def main() -> None:
    try:
        run, path, *product = sys.argv[1:]
        draw(read(run), Path(path), *product)
    except ValueError as error:
        text = str(error) if isinstance(error, InputError) else "needs RUN FILE [PRODUCT]"
        sys.exit(f"picture: {text}")


if __name__ == "__main__":
    main()
