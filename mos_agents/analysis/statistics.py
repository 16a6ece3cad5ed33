"""How sure an estimate is: intervals from the spread of independent episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from mos_agents.market.types import Array, InputError


def check_confidence(confidence: float) -> None:
    """InputError unless the confidence lies strictly between 0 and 1."""
    if not isinstance(confidence, float | int | np.number) or not 0.0 < confidence < 1.0:
        raise InputError(f"confidence={confidence!r} must be between 0 and 1, such as 0.95")


def check_resamples(resamples: int) -> None:
    """InputError unless there are enough resamples to have quantiles."""
    whole = isinstance(resamples, int | np.integer) and not isinstance(resamples, bool)
    if not whole or resamples < 10:
        raise InputError(f"resamples={resamples!r} must be a whole number >= 10, such as 2000")


def normal_interval(
    estimate: float, influence: Array, confidence: float
) -> tuple[float, float, float]:
    """Standard error and limits of an estimate from its episodes' influences [E], by Student's t.

    An influence is what one episode adds to the estimate: for a mean, the value less the mean.
    """
    check_confidence(confidence)
    episodes = influence.size
    if episodes < 2:
        return float("inf"), float("-inf"), float("inf")
    error = float(influence.std(ddof=1) / np.sqrt(episodes))
    reach = float(stats.t.ppf(0.5 + 0.5 * confidence, episodes - 1)) * error
    return error, estimate - reach, estimate + reach


def bootstrap_interval(
    columns: tuple[Array, ...],
    statistic: Callable[..., Any],
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float, float]:
    """Standard error and limits of a statistic of columns [E], by resampling whole episodes.

    The statistic takes the columns and `axis`. The limits are bias-corrected and accelerated
    (Efron 1987); a statistic that does not vary has the limits of its one value.
    """
    check_confidence(confidence)
    check_resamples(resamples)
    if columns[0].size < 2:
        return float("inf"), float("-inf"), float("inf")
    if all(np.ptp(column) <= 1e-12 * max(1.0, abs(float(column[0]))) for column in columns):
        value = float(statistic(*columns, axis=-1))  # nothing varies: nothing to resample
        return 0.0, value, value
    found = stats.bootstrap(
        columns, statistic, paired=True, vectorized=True, confidence_level=confidence,
        n_resamples=resamples, method="BCa", rng=np.random.default_rng(seed),
        batch=max(1, 5_000_000 // (columns[0].size * len(columns))),
    )  # fmt: skip
    low, high = (float(x) for x in found.confidence_interval)
    if np.isnan(low) or np.isnan(high):
        low = high = float(statistic(*columns, axis=-1))
    return float(found.standard_error), low, high
