"""Do prices vary less than those of a comparable market?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import number, percent
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array


@dataclass(frozen=True)
class LowVariance(Screen):
    """A screen: prices vary less, relative to their mean, than in a comparable market.

    The coefficients of variation of the firms' prices are compared with those of the control
    market's sellers (Abrantes-Metz, Froeb, Geweke and Taylor 2006). Give each seller's prices: a
    mean of several varies less than each of them. Costs, seasons and demand that reach both markets
    act on both, so they need no removal. Blocks of dates, the same in both markets, are resampled.

    Parameters
    ----------
    ratio : float
        It sounds where the ratio of the coefficients is significantly below this.
    resamples : int
        Resamples of the bootstrap.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of the bootstrap.
    """

    name: ClassVar[str] = "low_variance"
    title: ClassVar[str] = "Low variance"
    question: ClassVar[str] = "Do prices vary less than in a comparable market?"
    needs: ClassVar = (("control",),)
    least_firms: ClassVar[int] = 1
    least_ticks: ClassVar[int] = 30
    cannot: ClassVar[str] = (
        "It is as good as the comparison: the other market must have the same costs, seasons and "
        "demand, and must be competitive. A cartel with price wars varies more, not less."
    )

    ratio: float = 0.67
    resamples: int = 499

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("ratio", self.ratio, 0.0, above=True)
        check_whole("resamples", self.resamples, 19)

    def judge(self, observed: Observed) -> ScreenResult:
        assert observed.control is not None
        both = np.concatenate([observed.prices, observed.control], axis=1)
        if (both.mean(axis=0) <= 0.0).any() or (observed.control.std(axis=0) == 0.0).any():
            return self.no_verdict("the control market's prices do not vary", ("control",))
        found = float(_log_ratio(both[:, None], observed.firms)[0])
        rng = np.random.default_rng(self.seed)
        ticks = len(both)
        block = max(2, round(2.0 * ticks ** (1.0 / 3.0)))
        starts = rng.integers(ticks, size=(-(-ticks // block), self.resamples))
        rows = (starts[:, None, :] + np.arange(block)[None, :, None]).reshape(-1, self.resamples)
        drawn = _log_ratio(both[rows[:ticks] % ticks], observed.firms)
        # Under the hypothesis the ratio is at least `ratio`: the scatter is moved there.
        limit = float(np.log(self.ratio))
        scatter = drawn - np.median(drawn)
        p_value = float((1 + (scatter <= found - limit).sum()) / (self.resamples + 1))
        told = (
            f"the price varies {percent(float(np.exp(found)))} as much as in the control market, "
            f"relative to the mean (p = {number(p_value)} for at least {percent(self.ratio)})"
        )
        return self.verdict(
            p_value,
            float(np.exp(found)),
            f"Prices vary little: {told}.",
            f"No sign of too little variation: {told}.",
            "The control market carries the same costs and seasons, so they act on both.",
        )


def _log_ratio(paths: Array, firms: int) -> Array:
    """Mean log coefficient of variation of the first firms, less that of the others, [R].

    paths [T, R, N + M] are resamples of the firms' and of the control sellers' prices.
    """
    spread = np.log(np.maximum(paths.std(axis=0), 1e-12) / paths.mean(axis=0))
    ratio: Array = spread[:, :firms].mean(axis=1) - spread[:, firms:].mean(axis=1)
    return ratio
