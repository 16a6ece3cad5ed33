"""How sure shares and quantiles of sessions are: limits from the binomial law, and near it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.statistics import (
    Interval,
    check_confidence,
    mean_interval,
    sample_of,
    unbounded_interval,
)
from mos_agents.market.checks import is_whole
from mos_agents.market.types import Array, InputError


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

    Its limits are those of `mean_interval`, cut off at 0 and 1. Where all are 0 (or all 1), the
    limit is that of Clopper and Pearson for the share of sessions with a value above 0, which no
    mean of values in [0, 1] exceeds. Values that are all 0 or 1 are flags.
    """
    sample = sample_of(values, "values")
    if sample.min() < 0.0 or sample.max() > 1.0:
        raise InputError(
            f"values from {sample.min():g} to {sample.max():g} must be shares in [0, 1]"
        )
    if np.isin(sample, (0.0, 1.0)).all():
        return share_interval(sample, confidence)
    one = mean_interval(sample, confidence, resamples, seed)
    return one._replace(low=max(one.low, 0.0), high=min(one.high, 1.0))


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
) -> Interval:
    """Return a quantile over sessions, with limits at two of the sorted values [1]_.

    They cover at least as often as promised, whatever the law of the values. A side that so few
    sessions cannot bound has no limit: five sessions do not bound the median at 95%.

    Parameters
    ----------
    values : array [S]
        One value for each session.
    quantile : float
        In (0, 1); the median is 0.5.
    confidence : float, optional
        Confidence of the interval, in (0, 1).

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
    .. [1] Conover, W. J. (1999). Practical Nonparametric Statistics, 3rd ed., section 3.2. Wiley.
    """
    from scipy import stats  # large, and seldom needed

    if not isinstance(quantile, float | int | np.number) or not 0.0 < quantile < 1.0:
        raise InputError(f"quantile={quantile!r} must be between 0 and 1; the median is 0.5")
    sample = np.sort(sample_of(values, "values"))
    check_confidence(confidence)
    value = float(np.quantile(sample, quantile))
    tail = 0.5 * (1.0 - confidence)
    # The number of values below the quantile is binomial; limits leave out a tail on either side.
    below = int(stats.binom.ppf(tail, sample.size, quantile))
    above = int(stats.binom.ppf(1.0 - tail, sample.size, quantile)) + 1
    low = float(sample[below - 1]) if below >= 1 else -np.inf
    high = float(sample[above - 1]) if above <= sample.size else np.inf
    return Interval(value, low, high, float("nan"))


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


def _flags(flags: ArrayLike) -> Array:
    array = np.asarray(flags)
    if array.ndim != 1 or array.size == 0 or not np.isin(array, (0, 1)).all():
        raise InputError(f"flags of shape {array.shape} must be True or False, one per session")
    return array.astype(np.float64)
