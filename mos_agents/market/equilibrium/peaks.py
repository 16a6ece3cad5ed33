"""Maximises functions of one number: coarse search, narrowing, and Newton's last steps.

Several functions are searched side by side, one a column; none needs to be smooth.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.types import Array

__all__ = ["peak"]

PEAKS = 3
"""How many of the highest peaks of the coarse search are narrowed down."""

_FRACTIONS = np.linspace(0.0, 1.0, 33)
_STENCIL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


def peak(value: Callable[[Array], Array], grid: Array) -> tuple[Array, Array]:
    """[G] where each group's value is largest, and that value; grid [T, G] rises along T."""
    length, groups = grid.shape
    found = value(grid)
    padded = np.pad(found, ((1, 1), (0, 0)), constant_values=-np.inf)
    is_peak = (found >= padded[:-2]) & (found >= padded[2:])
    order = np.argsort(-np.where(is_peak, found, -np.inf), axis=0, kind="stable")[:PEAKS]
    columns = np.arange(groups)
    around = [grid[np.clip(order + d, 0, length - 1), columns] for d in (-1, 0, 1)]
    bracket = (around[0], around[2], around[1], found[order, columns])
    for _ in range(5):
        bracket = _narrowed(value, *bracket)
    winner = bracket[3].argmax(0)
    left, right, best, most = (part[winner, columns] for part in bracket)
    best, most, smooth = _on_the_top(value, best, most, grid[0], grid[-1])
    if not smooth.all():  # kinks and edges are narrowed down to the end
        bracket = (left[None], right[None], best[None], most[None])
        for _ in range(4):
            bracket = _narrowed(value, *bracket)
        best = np.where(smooth, best, bracket[2][0])
        most = np.where(smooth, most, bracket[3][0])
    return best, most


def _narrowed(
    value: Callable[[Array], Array], left: Array, right: Array, best: Array, most: Array
) -> tuple[Array, Array, Array, Array]:
    """Brackets around peaks, with the best point and value so far, a sixteenth as wide. [P, G]."""
    peaks, groups = left.shape
    trials = left + (right - left) * _FRACTIONS[:, None, None]
    values = value(trials.reshape(-1, groups)).reshape(trials.shape)
    at = values.argmax(0)
    rows, columns = np.arange(peaks)[:, None], np.arange(groups)
    top = values[at, rows, columns]
    return (
        trials[np.maximum(at - 1, 0), rows, columns],
        trials[np.minimum(at + 1, len(_FRACTIONS) - 1), rows, columns],
        np.where(top > most, trials[at, rows, columns], best),
        np.maximum(top, most),
    )


def _on_the_top(
    value: Callable[[Array], Array], best: Array, most: Array, low: Array, high: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Newton's steps on the slope: comparing values finds a smooth peak only to half the digits.

    Returns where [G], the value there, and whether the peak is smooth so that this succeeded.
    """
    trial, step = best, 1e-4 * best
    smooth = np.ones(best.shape, np.bool_)
    for _ in range(4):
        inside = (trial - 2.0 * step > low) & (trial + 2.0 * step < high) & (step > 0.0)
        step = np.where(inside, step, 0.0)
        a, b, c, d, e = value(trial + _STENCIL[:, None] * step)
        # At a kink the step before led off the top, which shows at once in the value.
        smooth &= inside & (c >= most - 1e-13 * np.abs(most))
        best, most = np.where(smooth, trial, best), np.where(smooth, np.maximum(c, most), most)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (8.0 * (d - b) - (e - a)) / (12.0 * step)
            bend = (16.0 * (b + d) - a - e - 30.0 * c) / (12.0 * step**2)
            wanted = np.sqrt(1e-7 * np.abs(most / bend))
            following = best - slope / bend
        smooth &= (bend < 0.0) & (np.abs(following - best) < 2.0 * step)
        trial = np.where(smooth, following, best)
        step = np.where(smooth, np.clip(wanted, 1e-6 * best, 1e-2 * best), 0.0)
    return best, most, smooth
