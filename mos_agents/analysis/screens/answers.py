"""Do rivals answer a firm's lone price change with more than a static best reply?

A common cost, season or demand shock moves all firms at the same date. A *lone* change is one that
a firm makes relative to the others. Competitors answer it too, but by a part only: with linear
demand whose own price effect is at least the sum of the cross effects, the static best reply to a
fall of all rivals is half of it, and with logit demand it is the firm's own share at most. Learners
that punish, and cartels, answer by more.

The test adds up, over all lone changes, how far the rivals moved in the dates after them, less the
static best reply. It compares the sum with sums over as many *calm* dates, at which no lone change
is near, drawn at random. If the changes have nothing to do with the rivals' paths, a change is as
likely to fall on a calm date as on its own. Dates within a price war are left out: they would hide
the war among its own dates. Rises must also stand out against the pattern turned round in time:
in a cycle of undercuts, all follow the rise that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.analysis.screens.adjusting import adjusted
from mos_agents.analysis.screens.observed import Observed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray

BEFORE = 3
"""Dates whose mean is a firm's level before a change."""

WINDOW = 5
"""Dates after a change within which rivals answer."""

STATIC_REPLY = 0.5
"""Largest static best reply to a change of rivals' prices, as a share of it."""

OUTLIER = 2.5
"""A lone change is so many standard deviations of relative changes, or more."""

CALM_BEFORE = 2
"""Dates before a lone change that are not calm: the window after them reaches into the answer."""

DRAWS = 999
"""Draws of calm dates."""

LEAST_CHANGE = 0.01
"""A lone change is this share of the mean price, or more."""


@short_repr
@dataclass(frozen=True, eq=False)
class Answers:
    """The lone changes of one direction, and how rivals answered.

    Parameters
    ----------
    tick, firm : array of int [E]
        Date and firm of each lone change.
    own : array [E]
        How far the firm's own price moved, in money, in the direction of the change: its mean over
        the window less its level before.
    rivals : array [E]
        How far the rivals' mean price moved in the same direction, one date later.
    p_value : float
        Chance of so large answers if rivals give static best replies; 1 without a lone change.
    removed : str
        How costs, seasons and common shocks were removed.
    exact : bool
        Whether the static best replies come from a demand model. Else half of the change is taken.
    """

    tick: IntArray
    firm: IntArray
    own: Array
    rivals: Array
    p_value: float
    removed: str
    exact: bool

    @property
    def changes(self) -> int:
        """Lone changes."""
        return int(self.tick.size)

    @property
    def share(self) -> float:
        """The rivals' answer as a share of the changes; NaN without a lone change."""
        total = float(self.own.sum())
        return float(self.rivals.sum()) / total if total > 0.0 else float("nan")


def answers(observed: Observed, direction: int = -1, window: int = WINDOW) -> Answers:
    """Test how rivals answer lone changes of one direction.

    Parameters
    ----------
    observed : Observed
        The record. With `best_reply` the static best reply of each date is subtracted from prices;
        without it half of each change counts as static reply.
    direction : {-1, 1}
        Cuts or rises.
    window : int, optional
        Dates within which rivals answer.

    Returns
    -------
    Answers
        The changes, the answers and the p-value.
    """
    key = f"answers, {direction}, {window}"
    if key not in observed.found:
        observed.found[key] = _answers(observed, direction, window)
    kept: Answers = observed.found[key]
    return kept


def _answers(observed: Observed, direction: int, window: int) -> Answers:
    clean = adjusted(observed)
    move = direction * clean.prices
    excess = direction * _beyond_reply(observed) if observed.best_reply is not None else None
    window *= observed.every
    tick, firm = lone_changes(move, window)
    gone = moved(move, window)  # [T, N], from date t on
    later = np.roll(gone, -1, axis=0)  # from date t + 1 on, against the same level before
    others = (later.sum(axis=1, keepdims=True) - later) / (observed.firms - 1)
    own = np.maximum(gone[tick, firm], 0.0)
    rivals = others[tick, firm]
    if excess is None:
        measured, path = rivals - STATIC_REPLY * own, others
    else:
        after = np.roll(moved(excess, window), -1, axis=0)
        path = (after.sum(axis=1, keepdims=True) - after) / (observed.firms - 1)
        measured = path[tick, firm]
    p_value = calm_p_value(float(measured.sum()), path, tick, firm, window)
    if direction > 0:  # in a cycle of undercuts all follow the rise that ends it, as all would
        p_value = max(p_value, turned_p_value(float(measured.sum()), path, tick, firm, window))
    return Answers(tick, firm, own, rivals, p_value, clean.removed, excess is not None)


def moved(path: Array, window: int) -> Array:
    """How far each price is above its level before date t, on average over t to t + window - 1.

    Parameters
    ----------
    path : array [T, N]
        Prices.
    window : int
        Dates averaged over.

    Returns
    -------
    array [T, N]
        Distances in money; meaningless where the window or the level does not fit.
    """
    total = np.concatenate([np.zeros((1, path.shape[1])), np.cumsum(path, axis=0)])
    ticks = np.arange(len(path))
    end = np.minimum(ticks + window, len(path))
    begin = np.maximum(ticks - BEFORE, 0)
    mean = (total[end] - total[ticks]) / window
    level = (total[ticks] - total[begin]) / BEFORE
    return mean - level


def lone_changes(move: Array, window: int) -> tuple[IntArray, IntArray]:
    """Find rises of one firm relative to the others, with no other lone change before them.

    Parameters
    ----------
    move : array [T, N]
        Prices, or minus prices to find cuts.
    window : int
        Dates that must pass after a lone change, of either sign, before another one counts.

    Returns
    -------
    tuple of array of int [E]
        Dates and firms.
    """
    ticks, firms = move.shape
    step = np.zeros_like(move)
    step[1:] = np.diff(move, axis=0)
    others = (step.sum(axis=1, keepdims=True) - step) / (firms - 1)
    relative = step - others
    spread = 1.4826 * np.median(np.abs(relative[1:] - np.median(relative[1:], axis=0)), axis=0)
    limit = np.maximum(OUTLIER * spread, LEAST_CHANGE * np.abs(move).mean())
    # Where one of two firms rises, the other one falls relative to it: own steps decide.
    large = (relative >= limit) & (step >= np.maximum(limit, 0.5 * relative))
    any_change = ((np.abs(relative) >= limit) & (np.abs(step) >= limit)).any(axis=1)
    seen = np.concatenate([[0], np.cumsum(any_change)])
    first, last = BEFORE, ticks - window - 1
    row = np.arange(first, max(first, last))
    fresh = seen[row] - seen[np.maximum(row - window, 0)] == 0
    row = row[fresh & large[row].any(axis=1)]
    firm: IntArray = np.where(large[row], relative[row], -np.inf).argmax(axis=1)
    return row, firm


def calm_p_value(
    observed: float, path: Array, tick: IntArray, firm: IntArray, window: int, seed: int = 0
) -> float:
    """Return how often as many calm dates give a sum at least as large.

    Parameters
    ----------
    observed : float
        The sum of answers beyond static best replies.
    path : array [T, N]
        What the rivals of each firm did after each date.
    tick, firm : array of int [E]
        Date and firm of each change.
    window : int
        Dates within which rivals answer.
    seed : int, optional
        Seed of the draws.

    Returns
    -------
    float
        The p-value. The dates of the changes count among those that are drawn. It is 1 where there
        are fewer calm dates than changes.
    """
    first, last = BEFORE, len(path) - window - 1
    if tick.size == 0 or last <= first:
        return 1.0
    rows = np.arange(first, last)
    since = rows[:, None] - tick[None, :]
    calm = rows[~((since >= -CALM_BEFORE) & (since <= window)).any(axis=1)]
    if calm.size < tick.size:
        return 1.0
    static = (float(path[tick, firm].sum()) - observed) / tick.size
    rng, sums = np.random.default_rng(seed), np.zeros(DRAWS)
    for t, i in zip(tick, firm, strict=True):
        values = np.append(path[calm, i], path[t, i] - static)
        sums += values[rng.integers(values.size, size=DRAWS)]
    return float((1 + (sums >= observed - 1e-12).sum()) / (1 + DRAWS))


def turned_p_value(
    observed: float, path: Array, tick: IntArray, firm: IntArray, window: int
) -> float:
    """Return the share of turns of the pattern of changes at which the sum is at least as large.

    It keeps its level where prices go round in a cycle, and has little power in short records.

    Parameters
    ----------
    observed : float
        The sum of answers beyond static best replies.
    path : array [T, N]
        What the rivals of each firm did after each date.
    tick, firm : array of int [E]
        Date and firm of each change.
    window : int
        Dates within which rivals answer.

    Returns
    -------
    float
        The p-value; the observed pattern counts as one of the turns.
    """
    first, last = BEFORE, len(path) - window - 1
    length = last - first
    if tick.size == 0 or length < 1:
        return 1.0
    turned = (tick - first + np.arange(1, length)[:, None]) % length + first
    sums = path[turned, firm].sum(axis=1)
    return float((1 + (sums >= observed - 1e-12).sum()) / length)


def _beyond_reply(observed: Observed) -> Array:
    """Prices [T, N] less the static best reply to the prices of the date before."""
    assert observed.best_reply is not None
    before = np.concatenate([observed.prices[:1], observed.prices[:-1]])
    return observed.prices - observed.best_reply(before)
