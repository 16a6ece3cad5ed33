"""Structural breaks at an unknown date, by the largest F statistic.

Neither statsmodels (CUSUM and Hansen's test of all coefficients) nor ruptures (dates of changes
without p-values) has this test of Quandt and Andrews, so it stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.numbers import number
from mos_agents.analysis.paths import finite
from mos_agents.analysis.screens.adjusting import adjusted
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array

CRITICAL = {0.10: 7.12, 0.05: 8.68, 0.01: 12.16}
"""Critical values of sup F for one coefficient and 15% trimmed at each end (Andrews 2003)."""


LONGEST_MEMORY = 0.97
"""Largest sum of the weights of own lags in series without a break."""


@short_repr
@dataclass(frozen=True, eq=False)
class BreakTest:
    """The largest F statistic over all dates.

    Parameters
    ----------
    statistic : float
        sup F.
    tick : int
        The first date after the most likely break.
    p_value : float
        By a bootstrap of series without a break.
    shift : float
        Change of the level at the break, in the unit of the series.
    """

    statistic: float
    tick: int
    p_value: float
    shift: float


def quandt_andrews(
    series: ArrayLike,
    lags: int = 1,
    trim: float = 0.15,
    resamples: int = 199,
    seed: int = 0,
) -> BreakTest:
    """Test for one break of a series' level at an unknown date [1]_.

    The series is regressed on a constant and its own lags; the constant may change at one date
    between the trimmed ends. The statistic is the largest F over these dates. Its p-value comes
    from series without a break that have the same autocorrelation: they are built up from the
    estimated lags and resampled residuals, and tested in the same way [2]_. That holds in short
    records too; in long ones the critical value of [1]_ at 5% is 8.68.

    Parameters
    ----------
    series : array [T]
        The series.
    lags : int, optional
        Own lags among the regressors.
    trim : float, optional
        Share of dates at each end where no break is looked for, in [.05, .45].
    resamples : int, optional
        Resamples of the bootstrap.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    BreakTest
        The statistic, the date and the p-value.

    References
    ----------
    .. [1] Andrews, D. W. K. (1993, 2003). Tests for parameter instability and structural change
           with unknown change point. Econometrica 61(4); corrigendum 71(1).
    .. [2] Diebold, F. X. and Chen, C. (1996). Testing structural stability with endogenous
           breakpoint: a size comparison of analytic and bootstrap procedures. Journal of
           Econometrics 70(1).
    """
    values = finite(series, "series")
    check_real("trim", trim, 0.05, 0.45)
    check_whole("resamples", resamples, 19)
    found, beta, residual = _f_statistics(values[:, None], lags, trim)
    first = lags + int(np.ceil(trim * (len(values) - lags)))
    if float(residual.std()) <= 1e-12 * max(float(np.abs(values).max()), 1e-300):
        return BreakTest(0.0, first, 1.0, 0.0)
    best = int(found[:, 0].argmax())
    statistic, tick = float(found[best, 0]), first + best
    rng = np.random.default_rng(seed)
    noise = rng.choice(residual[:, 0], size=(len(values), resamples))
    # Least squares find too little memory; what they lose in copies is given back (Kilian 1998).
    lost = beta[1:, 0] - _f_statistics(_built_up(values, beta[1:, 0], noise), lags, trim)[1][
        1:
    ].mean(axis=1)
    memory = beta[1:, 0] + lost
    if memory.sum() > LONGEST_MEMORY:
        memory = memory * (LONGEST_MEMORY / memory.sum())
    fake = _built_up(values, memory, noise)
    chance = _f_statistics(fake, lags, trim)[0].max(axis=0)
    p_value = float((1 + (chance >= statistic).sum()) / (resamples + 1))
    shift = float(values[tick:].mean() - values[:tick].mean())
    return BreakTest(statistic, tick, p_value, shift)


def _built_up(values: Array, memory: Array, noise: Array) -> Array:
    """Series [T, R] around the mean with own lags of given weights and given noise."""
    lags, mean = len(memory), values.mean()
    away = np.empty(noise.shape)
    away[:lags] = (values[:lags] - mean)[:, None]
    for t in range(lags, len(values)):
        away[t] = noise[t]
        for k in range(lags):
            away[t] += memory[k] * away[t - 1 - k]
    out: Array = away + mean
    return out


def _f_statistics(series: Array, lags: int, trim: float) -> tuple[Array, Array, Array]:
    """F of a step at each date [D, R], coefficients [K, R] and residuals [T - lags, R] of R series.

    A step from a date on is summed from the end, so that all dates cost as much as one regression.
    """
    y = series[lags:]
    ticks = len(y)
    x = np.stack(
        [np.ones_like(y), *(series[lags - k : len(series) - k] for k in range(1, lags + 1))]
    )
    inverse = np.linalg.pinv(np.einsum("ktr,ltr->rkl", x, x), hermitian=True)
    beta = np.einsum("rkl,ltr,tr->kr", inverse, x, y, optimize=True)
    residual = y - np.einsum("ktr,kr->tr", x, beta)
    first, last = int(np.ceil(trim * ticks)), int(np.floor((1.0 - trim) * ticks))
    from_end = np.cumsum(x[:, ::-1], axis=1)[:, ::-1][:, first:last]
    explained_by = np.einsum("kdr,rkl->dlr", from_end, inverse, optimize=True)
    own = np.einsum("dlr,ldr->dr", explained_by, from_end, optimize=True)
    length = (ticks - np.arange(first, last))[:, None]
    score = np.cumsum(residual[::-1], axis=0)[::-1][first:last]
    gain = score**2 / np.maximum(length - own, 1e-9)
    left = (residual**2).sum(axis=0) - gain
    ratio: Array = gain / np.maximum(left / (ticks - lags - 2), 1e-300)
    return ratio, beta, residual


def self_normalised(series: ArrayLike, trim: float = 0.15) -> float:
    """Return the p-value of a test for a change of the mean that needs no model of the memory [1]_.

    The change is measured by the scatter of partial sums before and after it, so that noise whose
    slow part is hidden under a fast one does not pass for a break.

    Parameters
    ----------
    series : array [T]
        The series.
    trim : float, optional
        Share of dates at each end where no break is looked for.

    Returns
    -------
    float
        The p-value, from noise of the same length that fades slowly (`SLOW`).

    References
    ----------
    .. [1] Shao, X. and Zhang, X. (2010). Testing for change points in time series. Journal of the
           American Statistical Association 105(491).
    """
    values = finite(series, "series")
    found = _self_normalised(values[:, None], trim)[0]
    return float((1 + (_chance(len(values), trim) >= found).sum()) / (CHANCES + 1))


CHANCES = 999

SLOW = 0.9
"""Autocorrelation of the noise that a break is compared with: shocks that fade this slowly pass for
no break."""


@lru_cache(maxsize=32)
def _chance(ticks: int, trim: float) -> Array:
    noise = np.random.default_rng(0).standard_normal((ticks, CHANCES))
    noise[1:] *= np.sqrt(1.0 - SLOW**2)
    for t in range(1, ticks):
        noise[t] += SLOW * noise[t - 1]
    return _self_normalised(noise, trim)


def _self_normalised(series: Array, trim: float) -> Array:
    """The statistic of Shao and Zhang of each series [T, R]."""
    ticks, count = series.shape
    forward = np.cumsum(series, axis=0)
    whole = forward[-1]
    t = np.arange(1, ticks + 1)[:, None]
    best = np.zeros(count)
    first, last = int(np.ceil(trim * ticks)), int(np.floor((1.0 - trim) * ticks))
    for k in range(max(first, 1), last):
        before = forward[:k] - t[:k] / k * forward[k - 1]
        left = ticks - k
        behind = whole - forward[k - 1 : -1]  # sums from date t + 1 to the end
        after = behind - (ticks - t[k:] + 1) / left * behind[0]
        scatter = ((before**2).sum(axis=0) + (after**2).sum(axis=0)) / ticks**2
        gap = (forward[k - 1] - k / ticks * whole) / np.sqrt(ticks)
        best = np.maximum(best, gap**2 / np.maximum(scatter, 1e-300))
    return best


@dataclass(frozen=True)
class StructuralBreak(Screen):
    """A screen: the level of prices changed at some date, without a recorded reason.

    It tests the mean price without costs, seasons and common series, by the test of Quandt and
    Andrews (`quandt_andrews`) and by one that needs no model of the memory (`self_normalised`).
    Both p-values must be small: unrecorded shocks that fade slowly, hidden under noise, mislead the
    first one.

    Parameters
    ----------
    lags : int
        Own lags of the mean price among the regressors.
    trim : float
        Share of dates at each end where no break is looked for.
    resamples : int
        Resamples of the bootstrap.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of the bootstrap.
    """

    name: ClassVar[str] = "structural_break"
    title: ClassVar[str] = "Structural break"
    question: ClassVar[str] = "Did the level of prices change without a recorded reason?"
    conduct: ClassVar[bool] = False
    needs: ClassVar = (("cost", "control", "common"),)
    least_firms: ClassVar[int] = 1
    least_ticks: ClassVar[int] = 40
    cannot: ClassVar[str] = (
        "A merger, a new rival or a cost that is not on record breaks the level, too, so it is a "
        "pattern and no evidence of collusion. A cartel that lasted all the time shows no break."
    )

    lags: int = 4
    trim: float = 0.15
    resamples: int = 199

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("lags", self.lags, 0)
        check_real("trim", self.trim, 0.05, 0.45)
        check_whole("resamples", self.resamples, 19)

    def judge(self, observed: Observed) -> ScreenResult:
        clean = adjusted(observed)
        if clean.seasons_left:
            return self.no_verdict(
                "the record is too short to tell the season on record from a break", ("dates",)
            )
        mean = clean.prices.mean(axis=1)
        found = quandt_andrews(mean, self.lags, self.trim, self.resamples, self.seed)
        p_value = max(found.p_value, self_normalised(mean, self.trim))
        way = "higher" if found.shift > 0.0 else "lower"
        told = (
            f"from {observed.date(found.tick)} on the mean price is {number(abs(found.shift))} "
            f"{way} (largest F {number(found.statistic)}, p = {number(p_value)})"
        )
        return self.verdict(
            p_value,
            found.statistic,
            f"The level of prices changed: {told}.",
            f"No significant change of the level of prices; the most likely one: {told}.",
            clean.removed,
            tick=float(found.tick),
            shift=found.shift,
        )
