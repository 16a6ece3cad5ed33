"""How sure an estimate is: intervals from the spread of independent episodes or sessions.

Means, differences of means and smooth statistics have one interval, that of `mean_interval`. Its
coverage at 95% was measured by simulation (`tests/analysis/test_coverage.py`): from 5 sessions on
it is at least .93 for normal, exponential, log-normal (standard deviation of the logarithm 1),
counted and paired values. Of 2 to 4 sessions it is Student's, which is right for normal values
only: of 3 exponential values it covers .885, of 3 log-normal ones .837. Texts call it a rough
range.
Shares of sessions have exact limits, see `shares.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.checks import check_whole
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
    check_confidence(confidence)
    episodes = influence.size
    if episodes < 2:
        return unbounded_interval(estimate)
    error = float(influence.std(ddof=1) / np.sqrt(episodes))
    reach = student(episodes, confidence) * error
    return Interval(estimate, estimate - reach, estimate + reach, error)


def student(count: float, confidence: float = 0.95) -> float:
    """Standard errors on either side of a mean of so many values, by Student's t; NaN of one."""
    from scipy import stats  # large, and seldom needed

    return float(stats.t.ppf(0.5 + 0.5 * confidence, count - 1.0)) if count > 1 else float("nan")


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
    """Return a smooth statistic with limits from resampling whole episodes.

    Of up to 100 episodes the limits are those of `mean_interval` for the jackknife's pseudo-values
    [2]_, of more they are bias-corrected and accelerated [1]_, which covers too little where
    episodes are few. A statistic that does not vary has the limits of its one value.

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
    .. [2] Tukey, J. W. (1958). Bias and confidence in not quite large samples. Annals of
           Mathematical Statistics 29(2).
    """
    from scipy import stats  # large, and seldom needed

    check_confidence(confidence)
    check_resamples(resamples)
    value = float(statistic(*columns, axis=-1))
    if min(column.size for column in columns) < 2:
        return unbounded_interval(value)
    if all(np.ptp(column) <= 1e-12 * max(1.0, abs(float(column[0]))) for column in columns):
        return Interval(value, value, value, 0.0)  # nothing varies: nothing to resample
    if paired and method == "BCa" and columns[0].size <= FEW_EPISODES:
        pseudo = _pseudo_values(columns, statistic, value)
        if np.isfinite(pseudo).all():
            one = mean_interval(pseudo, confidence, resamples, seed)
            return Interval(value, min(one.low, value), max(one.high, value), one.standard_error)
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
    """Return the mean over sessions with limits that hold for few and for skewed sessions.

    The limits are the wider, on each side, of Student's t and of the bootstrap-t [1]_, which
    follows the skewness of the values. Its tails are those of the confidence times
    1 - 5/n, at least 0.4, since resamples of few values are less skewed than their law. Of fewer
    than 5 sessions, of which resamples say nothing, and of more than 2000, of which the mean is
    normal, the limits are Student's alone.

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
        The mean with its limits: infinite of one session, no width where all values are alike.

    Raises
    ------
    InputError
        If the values are not one finite number a session.

    References
    ----------
    .. [1] Hall, P. (1988). Theoretical comparison of bootstrap confidence intervals. Annals of
           Statistics 16(3).
    """
    sample = sample_of(values, "values")
    check_resamples(resamples)
    mean = float(sample.mean())
    if sample.size > 1 and np.ptp(sample) <= 1e-12 * max(1.0, abs(mean)):
        return Interval(mean, mean, mean, 0.0)
    one = normal_interval(mean, sample - mean, confidence)
    if not FEWEST_SESSIONS <= sample.size <= MOST_RESAMPLED:
        return one
    low, high = _bootstrap_t((sample - mean,), confidence, resamples, seed)
    error = one.standard_error
    below, above = mean - high * error, mean - low * error
    return one._replace(low=min(one.low, below), high=max(one.high, above))


FEWEST_SESSIONS = 5
"""Sessions below which an interval is a rough range."""

MOST_RESAMPLED = 2000
"""Sessions above which a mean is normal whatever the law of the values."""

FEW_EPISODES = 100
"""Episodes up to which a statistic is left out one by one."""


def _bootstrap_t(
    groups: tuple[Array, ...], confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Quantiles of Student's statistic of resampled groups (centred [S]; the second subtracted).

    Resamples without any spread have no such statistic and are left out.
    """
    rng = np.random.default_rng(seed)
    smallest = min(group.size for group in groups)
    tail = 0.5 * (1.0 - confidence) * max(0.4, 1.0 - 5.0 / smallest)
    gap, variance = np.zeros((2, resamples))
    batch = max(1, 2_000_000 // max(group.size for group in groups))
    for sign, group in zip((1.0, -1.0), groups, strict=False):
        for begin in range(0, resamples, batch):
            rows = slice(begin, min(begin + batch, resamples))
            drawn = group[rng.integers(0, group.size, (rows.stop - begin, group.size))]
            gap[rows] += sign * drawn.mean(axis=1)
            variance[rows] += drawn.var(axis=1, ddof=1) / group.size
    some = variance > 1e-24 * max(float(np.abs(group).max()) for group in groups) ** 2
    found = np.sort(gap[some] / np.sqrt(variance[some]))
    if not found.size:
        return 0.0, 0.0
    at = max(int(tail * (found.size + 1)) - 1, 0)
    return float(found[at]), float(found[-1 - at])


def _pseudo_values(
    columns: tuple[Array, ...], statistic: Callable[..., Any], value: float
) -> Array:
    """[E] what each episode stands for in a statistic: E times all less E - 1 times the others."""
    size = columns[0].size
    others = np.where(~np.eye(size, dtype=bool))[1].reshape(size, size - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        without = np.asarray(statistic(*[column[others] for column in columns], axis=-1))
    pseudo: Array = size * value - (size - 1) * without
    return pseudo


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

    For means the limits are the wider of Welch's t and of the bootstrap-t, as in `mean_interval`.
    For other statistics they are those of the percentile bootstrap, which covers too little of few:
    of fewer than 10 sessions in a group there are none.

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
    columns = sample_of(first, "first"), sample_of(second, "second")
    if paired and columns[0].size != columns[1].size:
        raise InputError(
            f"first and second have {columns[0].size} and {columns[1].size} sessions; paired ones "
            "need as many of each"
        )

    def difference(a: Array, b: Array, axis: int = -1) -> Any:
        return statistic(a, axis=axis) - statistic(b, axis=axis)

    if statistic is np.mean and paired:
        return mean_interval(columns[0] - columns[1], confidence, resamples, seed)
    if statistic is np.mean:
        return _welch(*columns, confidence, resamples, seed)
    value = float(difference(*columns))
    if min(column.size for column in columns) < FEWEST_RESAMPLED:
        return unbounded_interval(value)
    kind = "percentile"
    return bootstrap_interval(columns, difference, confidence, resamples, seed, paired, kind)


FEWEST_RESAMPLED = 10
"""Sessions of a group below which percentiles of resamples say too little of its scatter."""


def _welch(first: Array, second: Array, confidence: float, resamples: int, seed: int) -> Interval:
    """The difference of two means, by Welch's t and the bootstrap-t of both groups."""
    from scipy import stats  # large, and seldom needed

    check_confidence(confidence)
    check_resamples(resamples)
    value = float(first.mean() - second.mean())
    if min(first.size, second.size) < 2:
        return unbounded_interval(value)
    parts = np.array([group.var(ddof=1) / group.size for group in (first, second)])
    error = float(np.sqrt(parts.sum()))
    if error <= 1e-12 * max(1.0, abs(float(first.mean())), abs(float(second.mean()))):
        return Interval(value, value, value, 0.0)
    sizes = np.array([first.size, second.size])
    freedom = float(parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum())
    reach = float(stats.t.ppf(0.5 + 0.5 * confidence, freedom)) * error
    low, high = value - reach, value + reach
    if FEWEST_SESSIONS <= sizes.min() and sizes.max() <= MOST_RESAMPLED:
        centred = first - first.mean(), second - second.mean()
        least, most = _bootstrap_t(centred, confidence, resamples, seed)
        low, high = min(low, value - most * error), max(high, value - least * error)
    return Interval(value, low, high, error)


def sample_of(values: ArrayLike, name: str) -> Array:
    """Values [S] as floats; InputError unless they are one finite number a session."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise InputError(
            f"{name} has shape {sample.shape}, needs one finite number per session, [sessions]"
        )
    return sample
