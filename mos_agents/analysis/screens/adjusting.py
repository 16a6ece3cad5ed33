"""Takes out of prices what costs, seasons and common series explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.analysis.numbers import join_names
from mos_agents.analysis.screens.observed import Observed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray

COST_LAGS = 2
"""Earlier dates whose costs may still move a price."""

MOST_REGRESSORS = 0.25
"""Largest share of regressors among dates. With more, least squares explain any record; and where a
season label occurs twice only, what is left of the two dates is the same with opposite signs."""


@short_repr
@dataclass(frozen=True, eq=False)
class AdjustedPrices:
    """Prices without what costs, seasons and common series explain.

    Parameters
    ----------
    prices : array [T, N]
        The residuals, at the mean of each firm's prices, in money.
    removed : str
        What was removed and how, as a sentence; empty if there was nothing to remove.
    seasons_left : bool
        Whether there are season labels that could not be removed.
    """

    prices: Array
    removed: str
    seasons_left: bool = False


def adjusted(observed: Observed, lags: int = COST_LAGS) -> AdjustedPrices:
    """Remove costs, seasons and common series from each firm's prices.

    Where competitive prices are given for each date, they are subtracted: they contain the costs.
    All else is removed by least squares, firm by firm: the cost of the date and of `lags` dates
    before, the mean cost of the rivals, each common series and the mean control price with as many
    lags, and one level for each season label. A label that occurs once, and a series that is
    constant, cannot be removed. Seasons, and then lags, are left out where they would make more
    regressors than a quarter of the dates.

    Parameters
    ----------
    observed : Observed
        The record.
    lags : int, optional
        Dates before whose costs and common series count.

    Returns
    -------
    AdjustedPrices
        The residuals and a sentence.
    """
    key = f"adjusted, {lags} lags"
    if key not in observed.found:
        observed.found[key] = _adjusted(observed, lags)
    kept: AdjustedPrices = observed.found[key]
    return kept


def _adjusted(observed: Observed, lags: int) -> AdjustedPrices:
    prices, ticks = observed.prices, observed.ticks
    words: list[str] = []
    base = np.zeros_like(prices)
    moving_nash = observed.price_nash is not None and not _constant(observed.price_nash)
    if moving_nash:
        assert observed.price_nash is not None
        base = observed.price_nash - observed.price_nash.mean(axis=0)
        words.append("the competitive price of each date (subtracted)")
    shared: list[tuple[str, Array]] = []
    if observed.control is not None:
        shared.append(("the control market's mean price", observed.control.mean(axis=1)))
    shared += [(f"the series {name}", series) for name, series in observed.common.items()]
    seasons = {f"the levels of {name}": _levels(codes) for name, codes in observed.seasons.items()}
    out = np.empty_like(prices)
    left_out: list[str] = []
    for i in range(observed.firms):
        wanted = list(shared)
        if observed.cost is not None and not moving_nash:
            wanted.insert(0, ("costs", observed.cost[:, i]))
            others = np.delete(observed.cost, i, axis=1)
            if others.size and not np.allclose(others.mean(axis=1), observed.cost[:, i]):
                wanted.insert(1, ("the rivals' mean cost", others.mean(axis=1)))
        wanted = [one for one in wanted if np.ptp(one[1]) > 1e-12 * (1.0 + np.abs(one[1]).max())]
        columns, used, skipped = _regressors(wanted, seasons, ticks, lags)
        words += [word for word in used if word not in words]
        left_out += [word for word in skipped if word not in left_out]
        left = prices[:, i] - base[:, i]
        design = np.column_stack([np.ones(ticks), *columns])
        fit = design @ np.linalg.lstsq(design, left, rcond=None)[0]
        out[:, i] = left - fit + prices[:, i].mean()
    return AdjustedPrices(out, _sentence(words, left_out), bool(left_out))


def _regressors(
    wanted: list[tuple[str, Array]], seasons: dict[str, list[Array]], ticks: int, lags: int
) -> tuple[list[Array], list[str], list[str]]:
    """Columns in order of importance, what they are, and the seasons that did not fit."""
    columns = [series for _, series in wanted]
    used = [word for word, _ in wanted]
    skipped = []
    for word, levels in seasons.items():
        if levels and len(columns) + len(levels) <= MOST_REGRESSORS * ticks:
            columns += levels
            used.append(word)
        else:
            skipped.append(word)
    for lag in range(1, lags + 1):
        for _, series in wanted:
            if len(columns) < MOST_REGRESSORS * ticks:
                columns.append(np.concatenate([np.full(lag, series[0]), series[: ticks - lag]]))
    return columns, used, skipped


def _levels(codes: IntArray) -> list[Array]:
    """One column for each label that occurs twice or more, but the most frequent."""
    counts = np.bincount(codes)
    if counts.size < 2:
        return []
    kept = [code for code in np.argsort(-counts, kind="stable")[1:] if counts[code] >= 2]
    return [(codes == code).astype(np.float64) for code in kept]


def _constant(values: Array) -> bool:
    return bool((np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max()).all())


def _sentence(words: list[str], left_out: list[str]) -> str:
    parts = []
    if words:
        parts.append(f"Removed from each firm's prices, by least squares: {join_names(words)}.")
    if left_out:
        parts.append(f"Not removed, as the record is too short: {join_names(left_out)}.")
    return " ".join(parts)
