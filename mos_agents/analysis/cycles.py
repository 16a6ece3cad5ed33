"""Do prices go round in circles, how long is a round, and does it saw-tooth?

Learners of finite memory that no longer explore end in a limit cycle: a rest point is one of
period 1. An *Edgeworth cycle* is a round of many small undercuts and one sudden rise (Edgeworth
1925; Maskin and Tirole 1988, "A Theory of Dynamic Oligopoly II", Econometrica 56(3); the median
first difference as its mark: Lewis 2009, "Temporary Wholesale Gasoline Price Spikes Have
Long-Lasting Retail Effects", Journal of Law and Economics 52(3)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.paths import finite, paths
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.frames import Framed
from mos_agents.market.kernels import kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray

# --- limit cycles ---------------------------------------------------------------------------------


@short_repr
@dataclass(frozen=True, eq=False)
class LimitCycles(Framed):
    """Where each session's path begins to repeat itself.

    Parameters
    ----------
    period : array of int [S]
        Ticks; 1 is a rest point, 0 says that no repetition was found.
    start : array of int [S]
        The first tick of the cycle; T where there is none.
    """

    row_name: ClassVar[str] = "session"

    period: IntArray
    start: IntArray


def limit_cycle(states: ArrayLike, repeats: int = 2, covers: int | None = None) -> LimitCycles:
    """Find the shortest period with which each path repeats itself exactly up to its end.

    Parameters
    ----------
    states : array [T, S] or [T, S, N]
        Discrete numbers: actions, joint actions, or prices on a grid. Two ticks are the same only
        if all N numbers are.
    repeats : int, optional
        Full rounds that must be seen, >= 2.
    covers : int, optional
        Ticks up to the end that the repetition must cover; by default half of the path. For a path
        of complete states (all that the strategies remember) 0 will do, since there a state seen
        again is a cycle. Without the memory in the state, two equal ticks at the end prove nothing.

    Returns
    -------
    LimitCycles
        Period and start of each session's cycle.

    Raises
    ------
    InputError
        If the states are no numbers of that shape.
    """
    array = np.asarray(states)
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "iufb":
        raise InputError(
            f"states has shape {array.shape} and type {array.dtype}, needs numbers "
            "[ticks, sessions] or [ticks, sessions, firms]"
        )
    ticks, sessions = array.shape[:2]
    check_whole("repeats", repeats, 2)
    least = ticks // 2 if covers is None else check_whole("covers", covers, 0)
    rows = np.ascontiguousarray(np.swapaxes(array.reshape(ticks, sessions, -1), 0, 1)[:, ::-1])
    found = shortest_periods(rows, repeats, least)
    return LimitCycles(found[0], found[1])


@kernel
def shortest_periods(rows, repeats, least):  # type: ignore[no-untyped-def]
    """Period and start [2, S] of paths [S, T, N] given from their end backwards.

    A path has period d over its last d + z[d] ticks, z[d] being how far the reversed path agrees
    with itself d ticks on: the Z function (Gusfield 1997), linear in T.
    """
    sessions, ticks, width = rows.shape
    out = np.zeros((2, sessions), dtype=np.int64)
    z = np.zeros(ticks, dtype=np.int64)
    for s in range(sessions):
        out[1, s] = ticks
        left, right = 0, 0
        for d in range(1, ticks):
            z[d] = 0
            if d < right:
                z[d] = min(right - d, z[d - left])
            while d + z[d] < ticks:
                same = True
                for i in range(width):
                    if rows[s, z[d], i] != rows[s, d + z[d], i]:
                        same = False
                        break
                if not same:
                    break
                z[d] += 1
            if d + z[d] > right:
                left, right = d, d + z[d]
            if z[d] >= (repeats - 1) * d and d + z[d] >= least:
                out[0, s], out[1, s] = d, ticks - d - z[d]
                break
    return out


def cycle_shares(periods: ArrayLike) -> dict[int, float]:
    """Return the share of sessions with each period, the commonest first.

    Parameters
    ----------
    periods : array of int [S]
        Periods in ticks, such as `LimitCycles.period`; 0 stands for no cycle found.

    Returns
    -------
    dict of int to float
        Shares, which sum to 1, by period.

    Raises
    ------
    InputError
        If the periods are no whole numbers [S].
    """
    lengths = np.asarray(periods)
    if lengths.ndim != 1 or lengths.size == 0 or lengths.dtype.kind not in "iu":
        raise InputError(f"periods has shape {lengths.shape}, needs whole numbers [sessions]")
    values, counts = np.unique(lengths, return_counts=True)
    order = np.lexsort((values, -counts))
    return {int(values[i]): float(counts[i] / lengths.size) for i in order}


def cycle_means(values: ArrayLike, cycles: LimitCycles) -> Array:
    """Average a path over each session's limit cycle.

    Parameters
    ----------
    values : array [T, S, N]
        Prices or profits along the path in which the cycles were found.
    cycles : LimitCycles
        The cycles.

    Returns
    -------
    array [S, N]
        Means over one full round at the end of the path, in the unit of the values; NaN where there
        is no cycle.

    Raises
    ------
    InputError
        If the cycles are of another number of sessions.
    """
    array = paths(values, "values")
    if cycles.period.shape != (array.shape[1],):
        raise InputError(f"cycles are of {cycles.period.size} sessions, not {array.shape[1]}")
    out = np.full(array.shape[1:], np.nan)
    for s, period in enumerate(cycles.period):
        if period > 0:
            out[s] = array[-period:, s].mean(axis=0)
    return out


# --- saw teeth ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SawTooth:
    """What counts as an Edgeworth cycle.

    Parameters
    ----------
    every : int
        Look at every so many ticks. With alternating moves of two firms take 2, so that each firm's
        own moves are compared: a price that stands still at every second tick has a median change
        of 0.
    longest : int, optional
        Longest period looked for, in looks; by default a third of them.
    least_period : int
        Shortest period, in looks, >= 2.
    error : float
        Chance that a series of unconnected changes is given a period, in (0, 0.5].
    alike : float
        Least autocorrelation of changes at the period, in [0, 1]. Below a half, a few large jumps
        at chance distances pass for a rhythm.
    """

    every: int = 1
    longest: int | None = None
    least_period: int = 2
    error: float = 0.01
    alike: float = 0.5

    def __post_init__(self) -> None:
        check_whole("every", self.every, 1)
        check_whole("least_period", self.least_period, 2)
        if self.longest is not None:
            check_whole("longest", self.longest, self.least_period)
        check_real("error", self.error, 0.0, 0.5, above=True)
        check_real("alike", self.alike, 0.0, 1.0)


@short_repr
@dataclass(frozen=True, eq=False)
class EdgeworthTest:
    """The marks of an Edgeworth cycle, each of the shape of one tick of the series.

    Parameters
    ----------
    median_change : array
        Median of the first differences, in money.
    mean_rise, mean_fall : array
        Mean of the rises and of the falls, in money. A fall is positive; NaN without one.
    period : array of int
        Period in ticks; 0 for none.
    found : array of bool
        Whether all three marks are there.
    """

    median_change: Array
    mean_rise: Array
    mean_fall: Array
    period: IntArray
    found: IntArray


def edgeworth(series: ArrayLike, definition: SawTooth | None = None) -> EdgeworthTest:
    """Test whether each series is an Edgeworth cycle [1]_: many small falls and steep rises, in a
    rhythm.

    The marks are a median first difference < 0 [2]_, a mean rise > mean fall, and a period > 1. The
    period is that of an exact repetition over half of the series, else that of `period_estimate`.

    Parameters
    ----------
    series : array [T, ...]
        Each column is a series of its own: firms' prices [T, S, N], or averages or minima over
        firms [T, S]. Use ticks after learning: a long transient hides the cycle.
    definition : SawTooth, optional
        What counts as a cycle.

    Returns
    -------
    EdgeworthTest
        The marks of each series.

    Raises
    ------
    InputError
        If the series has fewer than 3 looks.

    References
    ----------
    .. [1] Maskin, E. and Tirole, J. (1988). A theory of dynamic oligopoly, II. Econometrica 56(3).
    .. [2] Lewis, M. (2009). Temporary wholesale gasoline price spikes have long-lasting retail
           effects. Journal of Law and Economics 52(3).
    """
    definition = definition or SawTooth()
    prices = _series(series)[:: definition.every]
    if len(prices) < 3:
        raise InputError(f"series has {len(prices)} looks, needs at least 3")
    change = np.diff(prices, axis=0)
    with np.errstate(invalid="ignore"):
        rise = np.where(change > 0, change, 0.0).sum(axis=0) / (change > 0).sum(axis=0)
        fall = -np.where(change < 0, change, 0.0).sum(axis=0) / (change < 0).sum(axis=0)
    median = np.median(change, axis=0)
    columns = prices.reshape(len(prices), -1)
    period = limit_cycle(columns).period
    estimated = period_estimate(columns, definition.longest, definition.error, definition.alike)
    period = np.where(period > 0, period, estimated).reshape(prices.shape[1:])
    found = (median < 0.0) & (rise > fall) & (period >= definition.least_period)
    return EdgeworthTest(median, rise, fall, period * definition.every, found)


def period_estimate(
    series: ArrayLike, longest: int | None = None, error: float = 0.01, alike: float = 0.5
) -> IntArray:
    """Estimate the period of each noisy series.

    The period is the lag at which the first differences are most alike: the largest local maximum
    of their autocorrelation, or its divisor if that does nearly as well (.9). Differences are used
    so that a trend or a random walk has no period. The maximum must be at least `alike` and pass
    Bartlett's bound [1]_ for lags that mean nothing, with the `error` shared among the lags. A
    period so long that two rounds are not seen is not found.

    Parameters
    ----------
    series : array [T, ...]
        Each column is a series of its own.
    longest : int, optional
        Longest lag; by default a third of the ticks.
    error : float, optional
        Chance that a series of unconnected changes is given a period.
    alike : float, optional
        Least autocorrelation of changes at the period, in [0, 1].

    Returns
    -------
    array of int [...]
        Periods in ticks; 0 for none.

    References
    ----------
    .. [1] Bartlett, M. S. (1946). On the theoretical specification and sampling properties of
           autocorrelated time-series. Supplement to the JRSS 8(1).
    """
    from scipy import stats  # large, and seldom needed

    prices = _series(series)
    columns = prices.reshape(len(prices), -1)
    most = len(columns) // 3 if longest is None else check_whole("longest", longest, 2)
    most = min(most, len(columns) - 3)
    out = np.zeros(columns.shape[1], dtype=np.int64)
    if most < 2:
        return out.reshape(prices.shape[1:])
    change = np.diff(columns, axis=0)
    change = change - change.mean(axis=0)
    scale = np.abs(columns).max(axis=0)
    alive = np.abs(change).max(axis=0) > 1e-9 * scale  # else constant, or a straight line
    length = len(change)
    unit = np.where(alive, change, 1.0)
    spectrum = np.abs(np.fft.rfft(unit, n=2 * length, axis=0)) ** 2
    products = np.fft.irfft(spectrum, n=2 * length, axis=0)[: most + 2]
    r = products / products[0]
    r *= (length / (length - np.arange(len(r))))[:, None]  # else long periods count for less
    lags = np.arange(2, most + 1)
    spread = np.concatenate([np.zeros((1, r.shape[1])), np.cumsum(r[1:] ** 2, axis=0)])
    bound = stats.norm.isf(error / lags.size) * np.sqrt(
        (1.0 + 2.0 * spread[lags - 1]) / (length - lags)[:, None]
    )
    peak = (
        (r[lags] >= r[lags - 1]) & (r[lags] >= r[lags + 1]) & (r[lags] > np.maximum(bound, alike))
    )
    for j in np.flatnonzero(alive & peak.any(axis=0)):
        height = np.where(peak[:, j], r[lags, j], -np.inf)
        best = int(lags[height.argmax()])
        good = lags[height >= 0.9 * height.max()]
        # Twice the period fits as well as the period; between unrelated lags the higher one wins.
        divisors = good[np.abs(best / good - np.round(best / good)) < 0.1]
        out[j] = divisors.min()
    return out.reshape(prices.shape[1:])


def _series(series: ArrayLike) -> Array:
    array = finite(series, "series")
    if array.ndim == 0 or array.size == 0:
        raise InputError(f"series has shape {array.shape}, needs [ticks, ...]")
    return array
