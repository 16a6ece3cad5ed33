"""Searches for the largest profit: over the whole range of one price, then close by.

Profits of price competition have kinks (where two prices tie, where a rival drops out), flat
stretches (where nothing is sold) and sometimes several peaks. So no search here follows a slope
alone: one price is varied over its whole range, the best peaks are narrowed down, and only what
improves on that is taken. Choice groups do not touch each other and are searched side by side: a
row of trial prices holds one trial for every group.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mos_agents.market.equilibrium.peaks import peak
from mos_agents.market.equilibrium.stage import EVERYBODY, PriceGame
from mos_agents.market.types import Array, IntArray

__all__ = ["respond", "together"]

MOST_AT_ONCE = 64
"""Listings up to which second derivatives are worth their price."""


def respond(game: PriceGame, n: int, prices: Array, sweeps: int = 50) -> Array:
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
        for first, second in pairwise(slots):
            best = _exchanged(game, n, best, first, second)
        if sweep == 0:
            best = together(game, n, best)
        best = local(game, n, best)
        if np.abs(best - before).max() <= 1e-10 * np.abs(best).max():
            break
    return best


def local(game: PriceGame, n: int, prices: Array) -> Array:
    """[L] prices with participant n's own moved uphill from where they are, all at once."""
    reached = _newton(game, n, prices)
    if reached is None:
        climbed = _better(game, n, prices, _uphill(game, n, prices))
        reached = _newton(game, n, climbed)
        return climbed if reached is None else reached
    return reached


def _uphill(game: PriceGame, n: int, prices: Array) -> Array:
    """[L] prices at the end of a quasi-Newton climb within the bounds, to half the digits."""
    own = game.own(n)
    unit = max(abs(float(game.by_group(n, prices[None]).sum())), 1e-300)

    def loss_and_slope(trial: Array) -> tuple[float, Array]:
        now = prices.copy()
        now[own] = trial
        return -float(game.by_group(n, now[None]).sum()) / unit, -_slope(game, n, now, own) / unit

    from scipy.optimize import minimize  # large, and needed for searches alone

    found = minimize(
        loss_and_slope,
        prices[own],
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([game.low[own], game.high[own]], -1),
        options={"maxiter": 200},
    )
    moved = prices.copy()
    moved[own] = np.clip(found.x, game.low[own], game.high[own])
    return moved


def _newton(game: PriceGame, n: int, prices: Array) -> Array | None:
    """[L] prices after Newton's steps in all of participant n's that are not at a bound.

    None where that is no maximum near by: the profit curves upwards, or the steps are long or lead
    downhill, as they do at kinks.
    """
    own = game.own(n)
    free = own[(prices[own] > 1.001 * game.low[own]) & (prices[own] < 0.999 * game.high[own])]
    if not 0 < free.size <= MOST_AT_ONCE:
        return None
    most = float(game.by_group(n, prices[None]).sum())
    for _ in range(6):
        slope, bend = _slope(game, n, prices, free), _bend(game, n, prices, free)
        if not np.isfinite(bend).all():
            return None
        curvatures = np.linalg.eigvalsh(bend)
        if curvatures[-1] >= 1e-12 * curvatures[0]:  # the least is negative, and so must all be
            return None
        step = np.linalg.solve(bend, -slope)
        moved = prices.copy()
        moved[free] += step
        inside = (moved >= game.low) & (moved <= game.high)
        value = float(game.by_group(n, moved[None]).sum())
        if not inside.all() or (np.abs(step) > 0.2 * prices[free]).any():
            return None
        if value < most - 1e-13 * abs(most):
            return None
        prices, most = moved, max(value, most)
        if (np.abs(step) <= 1e-12 * prices[free]).all():
            break
    return prices


def _slope(game: PriceGame, n: int, prices: Array, own: IntArray) -> Array:
    """Derivatives of participant n's profit in the prices of some listings, of fourth order."""
    steps = 1e-4 * np.maximum(prices[own], 1e-3 * game.reference[own])
    rows = np.repeat(prices[None], 4 * own.size, axis=0)
    for k, far in enumerate((-2.0, -1.0, 1.0, 2.0)):
        rows[np.arange(own.size) * 4 + k, own] += far * steps
    a, b, c, d = game.by_group(n, rows).sum(-1).reshape(-1, 4).T
    slopes: Array = (8.0 * (c - b) - (d - a)) / (12.0 * steps)
    return slopes


def _bend(game: PriceGame, n: int, prices: Array, own: IntArray) -> Array:
    """Second derivatives of participant n's profit in the prices of some listings."""
    size = own.size
    steps = 1e-4 * np.maximum(prices[own], 1e-3 * game.reference[own])
    i, j = np.triu_indices(size)
    rows = np.repeat(prices[None], 4 * i.size, axis=0)
    for k, (first, second) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
        at = np.arange(i.size) * 4 + k
        np.add.at(rows, (at, own[i]), first * steps[i])
        np.add.at(rows, (at, own[j]), second * steps[j])
    a, b, c, d = game.by_group(n, rows).sum(-1).reshape(-1, 4).T
    table = np.empty((size, size))
    table[i, j] = table[j, i] = (a - b - c + d) / (4.0 * steps[i] * steps[j])
    return table


def together(game: PriceGame, n: int, prices: Array) -> Array:
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


def _in_step(game: PriceGame, n: int, prices: Array, each: Array, grid: Array) -> Array:
    """[L] prices with participant n's own at the best common multiple of `each` in every group."""
    own = game.own(n)
    group = game.market.layout.group[own]

    def row(t: Array) -> Array:
        return np.clip(t[..., group] * each, game.low[own], game.high[own])

    def value(t: Array) -> Array:
        rows = np.repeat(prices[None], len(t), axis=0)
        rows[:, own] = row(t)
        return game.by_group(n, rows)

    best, _ = peak(value, grid)
    moved = prices.copy()
    moved[own] = row(best)
    return _better(game, n, prices, moved)


def _one_price(game: PriceGame, n: int, prices: Array, listings: IntArray) -> Array:
    """[L] prices with one listing a group (-1 for none) at its best over the whole range."""
    groups = np.flatnonzero(listings >= 0)
    own = listings[groups]

    def value(t: Array) -> Array:
        rows = np.repeat(prices[None], len(t), axis=0)
        rows[:, own] = t[:, groups]
        return game.by_group(n, rows)

    grid = _grid(game, prices, listings)
    best, most = peak(value, grid)
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


def _exchanged(game: PriceGame, n: int, prices: Array, first: IntArray, second: IntArray) -> Array:
    """[L] prices after one listing a group has risen by what another has fallen.

    Where a firm prices a rival just out of the market, its prices stand on an edge along which
    their sum does not change: no price alone can move along it.
    """
    groups = np.flatnonzero((first >= 0) & (second >= 0))
    if not groups.size:
        return prices
    up, down = first[groups], second[groups]
    total = prices[up] + prices[down]
    low = np.maximum(game.low[up], total - game.high[down])
    high = np.minimum(game.high[up], total - game.low[down])
    if (high <= low).any():
        return prices

    def value(t: Array) -> Array:
        rows = np.repeat(prices[None], len(t), axis=0)
        rows[:, up] = t[:, groups]
        rows[:, down] = np.clip(total - t[:, groups], game.low[down], game.high[down])
        return game.by_group(n, rows)

    steps = np.geomspace(1e-7, 1.0, 36) * game.scale[groups][:, None]
    near = np.concatenate([-steps[:, ::-1], np.zeros((groups.size, 1)), steps], axis=1).T
    grid = np.ones((len(near), game.market.layout.G))
    grid[:, groups] = np.clip(prices[up] + near, low, high)
    best, _ = peak(value, grid)
    moved = prices.copy()
    moved[up] = best[groups]
    moved[down] = np.clip(total - best[groups], game.low[down], game.high[down])
    return _better(game, n, prices, moved)


def _grid(game: PriceGame, prices: Array, listings: IntArray) -> Array:
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


def _rivals(game: PriceGame, prices: Array) -> list[Array]:
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


def _better(game: PriceGame, n: int, prices: Array, moved: Array) -> Array:
    """Group by group, the one of two price vectors [L] that earns participant n more."""
    value = game.by_group(n, np.stack([prices, moved]))
    gains = value[1] > value[0]
    return np.where(gains[game.market.layout.group], moved, prices)
