"""Where a profit is largest: over the whole range of one price first, then close by.

Profits of price competition have kinks (where two prices tie, where a rival drops out), flat
stretches (where nothing is sold) and sometimes several peaks. So no search here follows a slope
alone: one price is varied over its whole range, the best peaks are narrowed down, and only what
improves on that is taken. Choice groups do not touch each other and are searched side by side: a
row of trial prices holds one trial for every group.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mos_agents.market.equilibrium.stage import EVERYBODY, StageGame
from mos_agents.market.types import Array, IntArray

__all__ = ["respond", "together"]

PEAKS = 3
"""How many of the highest peaks of the coarse search are narrowed down."""

_FRACTIONS = np.linspace(0.0, 1.0, 33)
_STENCIL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


def respond(game: StageGame, n: int, prices: Array, sweeps: int = 50) -> Array:
    """[L] prices with participant n's own (or EVERYBODY's) where its profit is largest.

    With one listing a group this is a search over its whole range, whatever its price was. With
    several, one after the other is searched over its range and all are moved together, until
    nothing changes.
    """
    slots = game.slots(n)
    best = prices
    for sweep in range(sweeps):
        before = best
        for listings in slots:
            best = _one_price(game, n, best, listings)
        if len(slots) == 1:
            break
        if sweep == 0:
            best = together(game, n, best)
        best = local(game, n, best)
        if np.abs(best - before).max() <= 1e-10 * np.abs(best).max():
            break
    return best


def local(game: StageGame, n: int, prices: Array) -> Array:
    """[L] prices with participant n's own moved uphill from where they are, all at once."""
    own = game.own(n)

    def loss_and_slope(trial: Array) -> tuple[float, Array]:
        steps = 1e-4 * np.maximum(trial, 1e-3 * game.reference[own])
        rows = np.repeat(prices[None], 4 * own.size + 1, axis=0)
        rows[:, own] = trial
        for k, far in enumerate((-2.0, -1.0, 1.0, 2.0)):
            rows[np.arange(own.size) * 4 + k, own] += far * steps
        value = game.by_group(n, rows).sum(-1)
        a, b, c, d = value[:-1].reshape(-1, 4).T
        slope = (8.0 * (c - b) - (d - a)) / (12.0 * steps)
        return -float(value[-1]) / unit, -slope / unit

    unit = max(abs(float(game.by_group(n, prices[None]).sum())), 1e-300)
    found = minimize(
        loss_and_slope, prices[own], jac=True, method="L-BFGS-B",
        bounds=np.stack([game.low[own], game.high[own]], -1),
        options={"ftol": 0.0, "gtol": 1e-13, "maxiter": 200, "maxcor": 20},
    )  # fmt: skip
    moved = prices.copy()
    moved[own] = np.clip(found.x, game.low[own], game.high[own])
    return _better(game, n, prices, moved)


def together(game: StageGame, n: int, prices: Array) -> Array:
    """[L] prices after moves of participant n's (or EVERYBODY's) listings of a group in step.

    Tried are one price for all, one mark-up for all, and the present prices up or down by a factor:
    moves that listings make together although none would make them alone.
    """
    layout = game.market.layout
    own = game.own(n)
    group = layout.group[own]
    leader = np.full(layout.G, -1)
    leader[group[::-1]] = own[::-1]
    factors = np.concatenate([np.geomspace(0.2, 1.0, 40), np.geomspace(1.0, 5.0, 41)[1:]])
    factors = np.repeat(factors[:, None], layout.G, axis=1)
    level = _grid(game, prices, leader)
    for base, grid in ((np.ones(own.size), level), (game.floor[own], factors), (None, factors)):
        each = prices[own] if base is None else base
        if (each > 0.0).all():
            prices = _in_step(game, n, prices, each, grid)
    return prices


def _in_step(game: StageGame, n: int, prices: Array, each: Array, grid: Array) -> Array:
    """[L] prices with participant n's own at the best common multiple of `each` in every group."""
    own = game.own(n)
    group = game.market.layout.group[own]

    def row(t: Array) -> Array:
        return np.clip(t[..., group] * each, game.low[own], game.high[own])

    def value(t: Array) -> Array:
        rows = np.repeat(prices[None], len(t), axis=0)
        rows[:, own] = row(t)
        return game.by_group(n, rows)

    best, _ = _peak(value, grid)
    moved = prices.copy()
    moved[own] = row(best)
    return _better(game, n, prices, moved)


def _one_price(game: StageGame, n: int, prices: Array, listings: IntArray) -> Array:
    """[L] prices with one listing a group (-1 for none) at its best over the whole range."""
    groups = np.flatnonzero(listings >= 0)
    own = listings[groups]

    def value(t: Array) -> Array:
        rows = np.repeat(prices[None], len(t), axis=0)
        rows[:, own] = t[:, groups]
        return game.by_group(n, rows)

    grid = _grid(game, prices, listings)
    best, most = _peak(value, grid)
    if n != EVERYBODY:
        # Whoever cannot earn anything asks what covers its cost, as is usual where that is said.
        idle = np.flatnonzero((most <= 0.0) & (listings >= 0))
        if idle.size:
            floor = np.zeros(listings.size)
            floor[groups] = game.floor[own]
            at_floor = value(floor[None])[0]
            best[idle] = np.where(at_floor[idle] >= most[idle], floor[idle], best[idle])
    moved = prices.copy()
    moved[own] = best[groups]
    return moved


def _grid(game: StageGame, prices: Array, listings: IntArray) -> Array:
    """[T, G] trial prices in rising order: even, geometric, and at and around rivals' prices."""
    columns = np.maximum(listings, 0)
    low, high = game.low[columns], game.high[columns]
    scale = game.scale
    start = np.maximum(low, 1e-6 * np.minimum(high, scale))
    near = np.clip(4.0 * scale, low, high)
    even = low + (near - low) * np.linspace(0.0, 1.0, 97)[:, None]
    wide = start * (high / start) ** np.linspace(0.0, 1.0, 96)[:, None]
    ends = np.stack([low, high, np.clip(game.cost[columns], low, high), prices[columns]])
    parts = [even, wide, ends, *_rivals(game, prices)]
    grid: Array = np.sort(np.clip(np.concatenate(parts), low, high), axis=0)
    return grid


def _rivals(game: StageGame, prices: Array) -> list[Array]:
    """[r, G] the prices in each group, and those just below and above them: kinks and cliffs."""
    layout = game.market.layout
    counts = np.diff(layout.group_start)
    most = min(int(counts.max()), 24)
    table = np.full((most, layout.G), np.nan)
    for g in range(layout.G):
        inside = prices[layout.group_listing[layout.group_start[g] : layout.group_start[g + 1]]]
        inside = np.unique(inside)[:most]
        table[: inside.size, g] = inside
    filled = np.where(np.isnan(table), table[0], table)
    filled = np.where(np.isnan(filled), 0.0, filled)  # a group without listings
    return [filled, filled * (1.0 - 1e-9), filled * (1.0 + 1e-9)]


def _peak(value: Callable[[Array], Array], grid: Array) -> tuple[Array, Array]:
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


def _better(game: StageGame, n: int, prices: Array, moved: Array) -> Array:
    """Group by group, the one of two price vectors [L] that earns participant n more."""
    value = game.by_group(n, np.stack([prices, moved]))
    gains = value[1] > value[0]
    return np.where(gains[game.market.layout.group], moved, prices)
