"""How sure an estimate is: intervals from the spread of independent episodes or sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.checks import check_whole, is_whole
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError


class Interval(NamedTuple):
    """An estimate with its confidence limits and its standard error.

    Parameters
    ----------
    estimate : float
        The estimate.
    low, high : float
        Confidence limits; infinite where a single observation says nothing of its error.
    standard_error : float
        Standard error; NaN where none is made.
    """

    estimate: float
    low: float
    high: float
    standard_error: float


def check_confidence(confidence: float) -> None:
    """InputError unless the confidence lies strictly between 0 and 1."""
    if not isinstance(confidence, float | int | np.number) or not 0.0 < confidence < 1.0:
        raise InputError(f"confidence={confidence!r} must be between 0 and 1, such as 0.95")


def check_resamples(resamples: int) -> None:
    """InputError unless there are enough resamples to have quantiles."""
    check_whole("resamples", resamples, 10, note=", such as 2000")


def normal_interval(estimate: float, influence: Array, confidence: float) -> Interval:
    """An estimate with limits from its episodes' influences [E], by Student's t.

    An influence is what one episode adds to the estimate: for a mean, the value less the mean.
    """
    from scipy import stats  # large, and seldom needed

    check_confidence(confidence)
    episodes = influence.size
    if episodes < 2:
        return unbounded_interval(estimate)
    error = float(influence.std(ddof=1) / np.sqrt(episodes))
    reach = float(stats.t.ppf(0.5 + 0.5 * confidence, episodes - 1)) * error
    return Interval(estimate, estimate - reach, estimate + reach, error)


def unbounded_interval(estimate: float) -> Interval:
    """An estimate from a single episode: it says nothing of its error."""
    return Interval(estimate, float("-inf"), float("inf"), float("inf"))


def bootstrap_interval(
    columns: tuple[Array, ...],
    statistic: Callable[..., Any],
    confidence: float,
    resamples: int,
    seed: int,
    paired: bool = True,
    method: str = "BCa",
) -> Interval:
    """Return a statistic with limits from resampling whole episodes.

    The limits are bias-corrected and accelerated [1]_. A statistic that does not vary has the
    limits of its one value.

    Parameters
    ----------
    columns : tuple of array [E]
        Observations, one an episode.
    statistic : callable
        Takes the columns and `axis`.
    confidence : float
        Confidence of the interval, in (0, 1).
    resamples : int
        Resamples of the bootstrap.
    seed : int
        Seed of the bootstrap.
    paired : bool, optional
        Whether the columns belong to the same episodes. If not, they are groups [E1], [E2], each
        resampled by itself.
    method : str, optional
        A method of `scipy.stats.bootstrap`.

    Returns
    -------
    Interval
        The statistic with its limits.

    Raises
    ------
    InputError
        If the confidence or the number of resamples is not allowed.

    References
    ----------
    .. [1] Efron, B. (1987). Better bootstrap confidence intervals. JASA 82(397).
    """
    from scipy import stats  # large, and seldom needed

    check_confidence(confidence)
    check_resamples(resamples)
    value = float(statistic(*columns, axis=-1))
    if min(column.size for column in columns) < 2:
        return unbounded_interval(value)
    if all(np.ptp(column) <= 1e-12 * max(1.0, abs(float(column[0]))) for column in columns):
        return Interval(value, value, value, 0.0)  # nothing varies: nothing to resample
    found = stats.bootstrap(
        columns,
        statistic,
        paired=paired,
        vectorized=True,
        confidence_level=confidence,
        n_resamples=resamples,
        method=method,
        rng=np.random.default_rng(seed),
        batch=max(1, 5_000_000 // sum(column.size for column in columns)),
    )
    low, high = (float(x) for x in found.confidence_interval)
    if np.isnan(low) or np.isnan(high):
        low = high = value
    return Interval(value, low, high, float(found.standard_error))


# --- over sessions --------------------------------------------------------------------------------


def mean_interval(
    values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean over sessions, by the bias-corrected and accelerated bootstrap.

    Parameters
    ----------
    values : array [S]
        One value for each session.
    confidence : float, optional
        Confidence of the interval, in (0, 1).
    resamples : int, optional
        Resamples of the bootstrap.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    Interval
        The mean with its limits.

    Raises
    ------
    InputError
        If the values are not one finite number a session.
    """
    sample = _sample(values, "values")
    return bootstrap_interval((sample,), np.mean, confidence, resamples, seed)


def share_interval(flags: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the share of sessions with a property, with Clopper and Pearson's exact limits.

    The limits never leave [0, 1], and of none or all they still have a width: 0 of 20 excludes a
    share of more than 17%, not every share but 0.

    Parameters
    ----------
    flags : array of bool [S]
        Whether each session has the property.
    confidence : float, optional
        Confidence of the interval, in (0, 1).

    Returns
    -------
    Interval
        The share with its limits.

    Raises
    ------
    InputError
        If the flags are not True or False, one a session.
    """
    sample = _flags(flags)
    share = float(sample.mean())
    low, high = clopper_pearson(int(sample.sum()), sample.size, confidence)
    return Interval(share, low, high, float(np.sqrt(share * (1.0 - share) / sample.size)))


def bounded_interval(
    values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean over sessions of values [S] in [0, 1], such as a share within each session.

    By the bootstrap, whose limits stay between the least and the largest value. Where all are 0 (or
    all 1) there is nothing to resample: the limit is then that of Clopper and Pearson for the share
    of sessions with a value above 0, which no mean of values in [0, 1] exceeds. Values that are all
    0 or 1 are flags.
    """
    sample = _sample(values, "values")
    if sample.min() < 0.0 or sample.max() > 1.0:
        raise InputError(
            f"values from {sample.min():g} to {sample.max():g} must be shares in [0, 1]"
        )
    if np.isin(sample, (0.0, 1.0)).all():
        return share_interval(sample, confidence)
    return bootstrap_interval((sample,), np.mean, confidence, resamples, seed)


def wilson_interval(
    share: float, error: float, sessions: int, confidence: float = 0.95
) -> Interval:
    """A share with its standard error from `sessions` sessions: Wilson's (1927) score interval.

    It is that of as many independent cases as would have the same error, so that cases of one
    session may be alike. It never leaves [0, 1]. A share of 0 or 1 (whose error is 0) has the
    limits of Clopper and Pearson for the number of sessions.
    """
    from scipy import stats  # large, and seldom needed

    check_confidence(confidence)
    if not 0.0 <= share <= 1.0:
        raise InputError(f"share={share!r} must be in [0, 1]")
    if not np.isfinite(error):
        return unbounded_interval(share)
    if error <= 0.0 or share in (0.0, 1.0):
        low, high = clopper_pearson(round(share * sessions), sessions, confidence)
        return Interval(share, min(low, share), max(high, share), error)
    z = float(stats.norm.ppf(0.5 + 0.5 * confidence))
    cases = share * (1.0 - share) / error**2
    middle = (share + 0.5 * z * z / cases) / (1.0 + z * z / cases)
    reach = z * np.sqrt(error**2 + 0.25 * (z / cases) ** 2) / (1.0 + z * z / cases)
    return Interval(share, float(middle - reach), float(middle + reach), error)


def quantile_interval(
    values: ArrayLike,
    quantile: float,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a quantile over sessions, by the percentile bootstrap.

    It is not accelerated: the jackknife, from which the acceleration comes, fails for quantiles
    [1]_ (section 11.6). Extreme quantiles of few sessions are not covered.

    Parameters
    ----------
    values : array [S]
        One value for each session.
    quantile : float
        In (0, 1); the median is 0.5.
    confidence : float, optional
        Confidence of the interval, in (0, 1).
    resamples : int, optional
        Resamples of the bootstrap.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    Interval
        The quantile with its limits.

    Raises
    ------
    InputError
        If the quantile is not in (0, 1), or the values are not one finite number a session.

    References
    ----------
    .. [1] Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman and Hall.
    """
    if not isinstance(quantile, float | int | np.number) or not 0.0 < quantile < 1.0:
        raise InputError(f"quantile={quantile!r} must be between 0 and 1; the median is 0.5")

    def statistic(sample: Array, axis: int = -1) -> Any:
        return np.quantile(sample, quantile, axis=axis)

    sample = _sample(values, "values")
    return bootstrap_interval(
        (sample,), statistic, confidence, resamples, seed, method="percentile"
    )


def difference_interval(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    paired: bool = False,
) -> Interval:
    """Return statistic(first) - statistic(second) over two groups of sessions.

    By the percentile bootstrap for other statistics than the mean, whose acceleration may not
    exist.

    Parameters
    ----------
    first, second : array [S1], [S2]
        One value for each session.
    statistic : callable, optional
        Takes values and `axis`. The mean also compares shares (flags as numbers).
    confidence : float, optional
        Confidence of the interval, in (0, 1).
    resamples : int, optional
        Resamples of the bootstrap.
    seed : int, optional
        Seed of the bootstrap.
    paired : bool, optional
        Whether session s of both had the same random numbers. Sessions are then resampled together.

    Returns
    -------
    Interval
        The difference with its limits.

    Raises
    ------
    InputError
        If paired groups have different numbers of sessions.
    """
    columns = _sample(first, "first"), _sample(second, "second")
    if paired and columns[0].size != columns[1].size:
        raise InputError(
            f"first and second have {columns[0].size} and {columns[1].size} sessions; paired ones "
            "need as many of each"
        )

    def difference(a: Array, b: Array, axis: int = -1) -> Any:
        return statistic(a, axis=axis) - statistic(b, axis=axis)

    method = "BCa" if statistic is np.mean else "percentile"
    return bootstrap_interval(columns, difference, confidence, resamples, seed, paired, method)


def clopper_pearson(
    successes: int, trials: int, confidence: float = 0.95, side: str = "both"
) -> tuple[float, float]:
    """Return the exact limits of a share [1]_: they never cover less than promised.

    Parameters
    ----------
    successes, trials : int
        0 <= successes <= trials, trials >= 1.
    confidence : float, optional
        Confidence of the limits, in (0, 1).
    side : {"both", "upper", "lower"}, optional
        "upper" or "lower" gives a one-sided limit of the whole confidence; the other limit is then
        0 or 1. For a false-alarm rate ask for the upper one.

    Returns
    -------
    tuple of float
        Lower and upper limit.

    Raises
    ------
    InputError
        If the counts, the confidence or the side are not allowed.

    References
    ----------
    .. [1] Clopper, C. J. and Pearson, E. S. (1934). The use of confidence or fiducial limits.
           Biometrika 26(4).
    """
    from scipy import stats  # large, and seldom needed

    check_confidence(confidence)
    for name, value in (("trials", trials), ("successes", successes)):
        if not is_whole(value):
            raise InputError(f"{name}={value!r} must be a whole number")
    if not 0 <= successes <= trials or trials < 1:
        raise InputError(f"successes={successes!r} of trials={trials!r}: need 0 <= s <= t, t >= 1")
    if side not in ("both", "upper", "lower"):
        raise InputError(f"side={side!r} must be 'both', 'upper' or 'lower'")
    tail = 0.5 * (1.0 - confidence) if side == "both" else 1.0 - confidence
    low, high = 0.0, 1.0
    if side != "upper" and successes > 0:
        low = float(stats.beta.ppf(tail, successes, trials - successes + 1))
    if side != "lower" and successes < trials:
        high = float(stats.beta.isf(tail, successes + 1, trials - successes))
    return low, high


@short_repr
@dataclass(frozen=True, eq=False)
class Survival(Framed):
    """How long things last when some were not seen to end.

    Parameters
    ----------
    time : array [J]
        The distinct durations at which one ended.
    share : array [J]
        The share lasting longer.
    median : float or None
        The first time at which the share is at most a half; None if it never is.
    mean : float
        The area under the curve up to the longest duration seen.
    """

    time: Array
    share: Array
    median: float | None
    mean: float


def survival(durations: ArrayLike, ended: ArrayLike) -> Survival:
    """Return the product-limit estimate [1]_ of how long things last.

    Parameters
    ----------
    durations : array [E]
        Durations, > 0.
    ended : array of bool [E]
        Whether each was seen to end.

    Returns
    -------
    Survival
        The curve, its median and its mean.

    Raises
    ------
    InputError
        If a duration is not > 0, or there is not one flag for each.

    References
    ----------
    .. [1] Kaplan, E. L. and Meier, P. (1958). Nonparametric estimation from incomplete
           observations. JASA 53(282).
    """
    length = _sample(durations, "durations")
    over = np.asarray(ended, dtype=bool)
    if over.shape != length.shape or (length <= 0.0).any():
        raise InputError(
            f"durations must be > 0, and ended one flag for each: shapes {length.shape}, "
            f"{over.shape}, shortest {length.min():g}"
        )
    time = np.unique(length[over])
    ends = np.array([(length[over] == t).sum() for t in time])
    # One that is cut off at t was still there at t.
    there = np.array([(length >= t).sum() for t in time])
    share = np.cumprod(1.0 - ends / np.maximum(there, 1))
    steps = np.concatenate([[0.0], time, [length.max()]])
    mean = float((np.diff(steps) * np.concatenate([[1.0], share])).sum())
    half = np.flatnonzero(share <= 0.5 + 1e-12)
    return Survival(time, share, float(time[half[0]]) if half.size else None, mean)


def _sample(values: ArrayLike, name: str) -> Array:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise InputError(
            f"{name} has shape {sample.shape}, needs one finite number per session, [sessions]"
        )
    return sample


def _flags(flags: ArrayLike) -> Array:
    array = np.asarray(flags)
    if array.ndim != 1 or array.size == 0 or not np.isin(array, (0, 1)).all():
        raise InputError(f"flags of shape {array.shape} must be True or False, one per session")
    return array.astype(np.float64)
