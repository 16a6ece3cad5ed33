"""Long series in few points: means over bins of ticks, the range of each bin shaded.

Every n-th value of a long series is no picture of it: what happens between those ticks is lost, and
a line through them shows moves that nobody made.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from mos_agents.market.types import Array, IntArray

SHADE = 0.18
"""Opacity of the band from the lowest to the highest value of a bin."""


class Binned(NamedTuple):
    """A series by bins of ticks: their middles [P]; mean, lowest and highest value [P, ...]."""

    x: Array
    mean: Array
    low: Array
    high: Array


def per_point(ticks: int, points: int) -> int:
    """Ticks that one point of the picture stands for: 1 where all fit.

    Otherwise there are half as many bins as points, each with a lowest, a mean and a highest value.
    """
    return 1 if ticks <= points else -(-ticks // max(points // 2, 1))


def binned(ticks: IntArray, values: Array, points: int) -> Binned:
    """[T, ...] values in at most `points` bins of equally many ticks (the last may have fewer).

    NaN is left out; a bin of NaN alone is NaN.
    """
    size = per_point(len(ticks), points)
    if size == 1:
        return Binned(ticks.astype(float), values, values, values)
    starts = np.arange(0, len(ticks), size)
    good = np.isfinite(values)
    count = np.add.reduceat(good, starts, axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(good, values, 0.0), starts, axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    low = np.minimum.reduceat(np.where(good, values, np.inf), starts, axis=0)
    high = np.maximum.reduceat(np.where(good, values, -np.inf), starts, axis=0)
    low, high = (np.where(count > 0, part, np.nan) for part in (low, high))
    ends = np.append(starts[1:], len(ticks)) - 1
    return Binned(0.5 * (ticks[starts] + ticks[ends]), mean, low, high)


def draw_series(
    axes: Axes,
    ticks: IntArray,
    values: Array,
    points: int,
    colour: str,
    drawstyle: str = "default",
    **how: Any,
) -> None:
    """A line of [T] values: every tick where they fit, else the means of bins with their range.

    drawstyle: of the line where every tick is drawn; means of bins are no steps.
    """
    found = binned(ticks, values, points)
    if len(found.x) == len(ticks):
        axes.plot(found.x, found.mean, color=colour, drawstyle=drawstyle, **how)
        return
    axes.fill_between(found.x, found.low, found.high, color=colour, alpha=SHADE, linewidth=0)
    axes.plot(found.x, found.mean, color=colour, **how)


def point_note(ticks: int, points: int, ranged: bool = True) -> str:
    """What a point of the picture is where it stands for several ticks, as a sentence."""
    size = per_point(ticks, points)
    if size == 1:
        return ""
    shade = ", the shade about it runs from their lowest to their highest value" if ranged else ""
    return f" Each point is a mean over {size:,} recorded ticks{shade}."
