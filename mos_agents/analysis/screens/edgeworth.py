"""Price cycles: many small undercuts, then a steep rise, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.numbers import number
from mos_agents.analysis.screens.adjusting import adjusted
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import IntArray

MOST_FLIPS = 12
"""Cycles up to which all sign patterns are counted; beyond, FLIPS are drawn."""

FLIPS = 4095


@short_repr
@dataclass(frozen=True, eq=False)
class PriceCycle:
    """The swings of a price between its highs and lows.

    Parameters
    ----------
    falling, rising : array of int [C]
        Looks that each fall took, and the rise after it (see `swings`).
    p_value : float
        Chance of falls so much longer than the rises after them in a series that looks the same
        forwards and backwards in time.
    ratio : float
        Geometric mean of falling / rising; NaN without a swing.
    found : bool
        Whether the p-value is at most the level and the ratio at least the margin.
    """

    falling: IntArray
    rising: IntArray
    p_value: float
    ratio: float
    found: bool


def swings(series: ArrayLike, size: float) -> tuple[IntArray, IntArray]:
    """Time the falls and rises of a series between an upper and a lower line.

    The lines lie `size` apart in the middle of the range from the 5% to the 95% quantile. A fall
    lasts from the last look above the upper line to the first look below the lower one. The time
    that the series spends beyond the lines does not count: after a promotion, or in a season, it
    says nothing about how fast prices move.

    Parameters
    ----------
    series : array [T]
        Prices.
    size : float
        Distance of the lines, as a share of the range.

    Returns
    -------
    tuple of array of int [C]
        Looks that each fall took, and the rise after it.
    """
    values = np.asarray(series, dtype=np.float64)
    low, high = np.quantile(values, [0.05, 0.95])
    edge = 0.5 * (1.0 - size) * (high - low)
    side = np.where(values >= high - edge, 1, np.where(values <= low + edge, -1, 0))
    look = np.flatnonzero(side)
    passes = np.flatnonzero(np.diff(side[look]))
    length = look[passes + 1] - look[passes]
    falls = side[look[passes]] > 0
    first = 0 if falls.size == 0 or falls[0] else 1
    count = (length.size - first) // 2
    fall = length[first : first + 2 * count : 2]
    rise = length[first + 1 : first + 2 * count : 2]
    return fall, rise


def cycle_test(
    series: ArrayLike,
    swing: float = 0.5,
    margin: float = 1.5,
    level: float = 0.05,
    seed: int = 0,
) -> PriceCycle:
    """Test whether the falls of a series last longer than its rises.

    In a season, a promotion or an autoregressive shock a fall lasts as long as the rise after it,
    on average: exchanging the two changes nothing. The p-value is the share of exchanges with a
    mean log ratio at least as large as the observed one. No strict period is asked for.

    Parameters
    ----------
    series : array [T]
        Prices.
    swing : float, optional
        Size of a swing, as a share of the range from the 5% to the 95% quantile (see `swings`).
    margin : float, optional
        Least ratio of falling to rising time.
    level : float, optional
        Largest p-value.
    seed : int, optional
        Seed of the exchanges, if there are too many to count them all.

    Returns
    -------
    PriceCycle
        The swings and the test.
    """
    values = np.asarray(series, dtype=np.float64)
    low, high = np.quantile(values, [0.05, 0.95])
    none = np.zeros(0, dtype=np.int64)
    if not high - low > 1e-9 * np.abs(values).max():
        return PriceCycle(none, none, 1.0, float("nan"), False)
    fall, rise = swings(values, swing)
    if fall.size == 0:
        return PriceCycle(none, none, 1.0, float("nan"), False)
    log_ratio = np.log(fall / rise)
    total = float(log_ratio.sum())
    if fall.size <= MOST_FLIPS:
        signs = 1.0 - 2.0 * ((np.arange(2**fall.size)[:, None] >> np.arange(fall.size)) & 1)
        p_value = float((signs @ log_ratio >= total - 1e-9).mean())
    else:
        rng = np.random.default_rng(seed)
        signs = 1.0 - 2.0 * rng.integers(2, size=(FLIPS, fall.size))
        p_value = (1.0 + (signs @ log_ratio >= total - 1e-9).sum()) / (FLIPS + 1.0)
    ratio = float(np.exp(log_ratio.mean()))
    return PriceCycle(fall, rise, float(p_value), ratio, bool(p_value <= level and ratio >= margin))


def price_cycle(observed: Observed, level: float = 0.05) -> PriceCycle:
    """Test the mean price of the firms, without costs, seasons and common series.

    Parameters
    ----------
    observed : Observed
        The record.
    level : float, optional
        Largest p-value.

    Returns
    -------
    PriceCycle
        The test.
    """
    key = f"price cycle, level {level}"
    if key not in observed.found:
        mean = adjusted(observed).prices.mean(axis=1)[:: observed.every]
        observed.found[key] = cycle_test(mean, level=level)
    kept: PriceCycle = observed.found[key]
    return kept


@dataclass(frozen=True)
class EdgeworthCycle(Screen):
    """A screen: the firms' mean price falls slowly and rises fast, again and again [1]_.

    It looks at one series of each market. Cycles need not have the same length. At least five of
    them are needed: fewer cannot be significant at 5%.

    Parameters
    ----------
    swing : float
        Size of a fall or rise, as a share of the range of the mean price, in (0, 1].
    margin : float
        Least ratio of falling to rising time, >= 1.
    every : int
        Look at every so many dates. With alternating moves of two firms take 2, so that each firm's
        own moves are compared.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.

    References
    ----------
    .. [1] Maskin, E. and Tirole, J. (1988). A theory of dynamic oligopoly, II. Econometrica 56(3).
    """

    name: ClassVar[str] = "edgeworth_cycle"
    title: ClassVar[str] = "Price cycle"
    question: ClassVar[str] = "Do prices fall in many small steps and rise in a few large ones?"
    conduct: ClassVar[bool] = False
    least_firms: ClassVar[int] = 1
    cannot: ClassVar[str] = (
        "A price cycle is no evidence of collusion: competitors that sell the same good undercut "
        "each other in such cycles. Fewer than five cycles are never found. A season that falls "
        "slowly and rises fast is taken for a cycle unless its labels are on record."
    )

    swing: float = 0.5
    margin: float = 1.5
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("swing", self.swing, 0.0, 1.0, above=True)
        check_real("margin", self.margin, 1.0)
        check_whole("every", self.every, 1)

    def judge(self, observed: Observed) -> ScreenResult:
        clean = adjusted(observed)
        mean = clean.prices.mean(axis=1)[:: max(self.every, observed.every)]
        found = cycle_test(mean, self.swing, self.margin, self.level, self.seed)
        cycles = int(found.falling.size)
        if cycles == 0:
            told = "the mean price has no full swing from a high to a low and back"
        else:
            told = (
                f"in {cycles} {'swing' if cycles == 1 else 'swings'} a fall took "
                f"{number(float(found.falling.mean()))} dates on average and a rise "
                f"{number(float(found.rising.mean()))}"
            )
        # A ratio below the margin is no cycle, however sure one may be that it exceeds 1.
        p_value = found.p_value if found.ratio >= self.margin else 1.0
        return self.verdict(
            p_value,
            found.ratio,
            f"Prices go round in a cycle of undercuts: {told}.",
            f"No price cycle: {told}.",
            clean.removed,
            cycles=float(cycles),
        )
