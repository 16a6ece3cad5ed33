"""Who did better than all others by more than chance: paired comparisons over markets or sessions.

Participants of one market meet the same arrivals and the same prices, so it is their difference
within a market that is compared, market by market.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.statistics import (
    Interval,
    check_confidence,
    normal_interval,
    unbounded_interval,
)
from mos_agents.market.types import Array, InputError

FEWEST = 6
"""Markets below which nobody is named: N equal signs of a difference have the chance 2 / 2^N, which
is above one in twenty for five markets whatever the figures are."""

FEWEST_FOR_RISK = 20
"""Markets below which nobody is named for the smallest standard deviation: of fewer, and with rare
large losses, the interval of a ratio of deviations leaves out 1 in one of ten cases."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Who is ahead, and whether chance could have put it there.

    Parameters
    ----------
    leader : int
        the participant with the best figure.
    named : bool
        whether it is better than each other one, each difference significantly above zero.
        Among N identical participants somebody is named at most about as often as 1 -
        confidence.
    margins : tuple of Interval or None
        leader less other, None for the leader itself; all together they hold at the stated
        confidence, see `all_pairs`.
    nearest : int
        the other participant whose difference has the fewest standard errors.
    replicates : int
        markets or sessions compared.
    """

    leader: int
    named: bool
    margins: tuple[Interval | None, ...]
    nearest: int
    replicates: int
    confidence: float


def best_mean(values: ArrayLike, confidence: float = 0.95) -> Ranking:
    """Whose mean over replicates is the largest, from values [R, N] paired by row.

    Student's t of the paired differences. The figures themselves chose the leader, so that each
    difference is held to the level of all pairs at once (`all_pairs`).
    """
    table = _table(values)
    replicates, width = table.shape
    leader = int(np.argmax(table.mean(axis=0)))
    level = all_pairs(confidence, width)
    margins = tuple(
        None if n == leader else paired_difference(table[:, leader], table[:, n], level)
        for n in range(width)
    )
    others = [one for one in margins if one is not None]
    apart = bool(others) and all(min(one.low, one.high) > 0.0 for one in others)
    standard_errors = [
        np.inf if one is None else one.estimate / max(one.standard_error, 1e-300) for one in margins
    ]
    named = apart and replicates >= FEWEST
    nearest = int(np.argmin(standard_errors))
    return Ranking(leader, named, margins, nearest, replicates, confidence)


def paired_difference(one: ArrayLike, two: ArrayLike, confidence: float = 0.95) -> Interval:
    """mean(one) - mean(two) of [R] paired replicates, by Student's t."""
    gap = np.asarray(one, dtype=np.float64) - np.asarray(two, dtype=np.float64)
    return normal_interval(float(gap.mean()), gap - gap.mean(), confidence)


def deviation_ratio(one: ArrayLike, two: ArrayLike, confidence: float = 0.95) -> Interval:
    """sd(one) / sd(two) of [R] paired replicates, by the jackknife of its logarithm (Miller 1968).

    Unlike the F test it holds for paired figures, and without a normal distribution.
    """
    pair = np.stack([np.asarray(x, dtype=np.float64) for x in (one, two)])
    return jackknifed(pair, _log_ratio, confidence, np.exp)


def mean_over_deviation(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """mean / sd over [R] replicates, by the jackknife."""
    return jackknifed(np.asarray(values, dtype=np.float64)[None], _sharpe, confidence)


def jackknifed(
    columns: Array,
    statistic: Callable[[Array], Any],
    confidence: float = 0.95,
    back: Callable[[Any], Any] = lambda value: value,
) -> Interval:
    """A statistic of columns [C, R], with limits by Student's t of its R pseudo-values.

    The statistic reduces the last axis of [C, ..., R]. back: turns the estimate and its limits from
    the scale on which the statistic is about normal to that in which it is reported.
    """
    from scipy import stats  # large, and seldom needed

    check_confidence(confidence)
    replicates = columns.shape[1]
    value = float(statistic(columns))
    if replicates < 3 or not np.isfinite(value):
        return unbounded_interval(float(back(value)))
    others = np.where(~np.eye(replicates, dtype=bool))[1].reshape(replicates, -1)
    without = columns[:, others]
    with np.errstate(invalid="ignore"):  # one value may be all of the spread
        pseudo = replicates * value - (replicates - 1) * statistic(without)
        error = float(pseudo.std(ddof=1) / np.sqrt(replicates))
    if not np.isfinite(error):
        return unbounded_interval(float(back(value)))
    reach = float(stats.t.ppf(0.5 + 0.5 * confidence, replicates - 1)) * error
    return Interval(
        float(back(value)), float(back(value - reach)), float(back(value + reach)), error
    )


def _log_ratio(pair: Array) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(pair[0].std(axis=-1, ddof=1)) - np.log(pair[1].std(axis=-1, ddof=1))


def _sharpe(column: Array) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return column[0].mean(axis=-1) / column[0].std(axis=-1, ddof=1)


@dataclass(frozen=True)
class SignificantPair:
    """Two participants who differ by more than chance: the margin of `better` to `worse`."""

    better: int
    worse: int
    margin: Interval


def pairs_by_deviation(values: ArrayLike, confidence: float = 0.95) -> tuple[SignificantPair, ...]:
    """Pairs whose standard deviations over replicates differ, from values [R, N] paired by row.

    Margins are ratios, the calmer's over the other's. All pairs are compared at once: with P of
    them, each interval has the level 1 - (1 - confidence) / P (Bonferroni), so that among
    identical participants any pair is found at most about as often as 1 - confidence.
    """
    return _pairs(_table(values), deviation_ratio, _calm, confidence)


def pairs_by_sharpe(values: ArrayLike, confidence: float = 0.95) -> tuple[SignificantPair, ...]:
    """Pairs whose means over standard deviations differ; else as `pairs_by_deviation`."""
    return _pairs(_table(values), sharpe_difference, _money, confidence)


def sharpe_difference(one: ArrayLike, two: ArrayLike, confidence: float = 0.95) -> Interval:
    """mean / sd of one less that of two, [R] paired replicates, by the jackknife."""
    pair = np.stack([np.asarray(x, dtype=np.float64) for x in (one, two)])
    return jackknifed(pair, lambda c: _sharpe(c[:1]) - _sharpe(c[1:]), confidence)


def all_pairs(confidence: float, participants: int) -> float:
    """The confidence of one pair so that all pairs hold at once (Bonferroni)."""
    return 1.0 - (1.0 - confidence) / max(participants * (participants - 1) / 2, 1.0)


def _pairs(
    table: Array,
    margin: Callable[[Array, Array, float], Interval],
    lead: Callable[[float], float],
    confidence: float,
) -> tuple[SignificantPair, ...]:
    check_confidence(confidence)
    width = table.shape[1]
    if len(table) < FEWEST_FOR_RISK or width < 2:
        return ()
    level = all_pairs(confidence, width)
    found = []
    for i in range(width):
        for j in range(i):
            one = margin(table[:, i], table[:, j], level)
            better, worse = (i, j) if lead(one.estimate) > 0.0 else (j, i)
            one = one if better == i else margin(table[:, j], table[:, i], level)
            if min(lead(one.low), lead(one.high)) > 0.0:
                found.append(SignificantPair(better, worse, one))
    return tuple(found)


def _money(difference: float) -> float:
    return difference


def _calm(ratio: float) -> float:
    return -float(np.log(ratio)) if ratio > 0.0 else (np.inf if ratio == 0.0 else -np.inf)


def _table(values: ArrayLike) -> Array:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise InputError(
            f"values of shape {table.shape} must be [replicates, participants], all finite"
        )
    return table
