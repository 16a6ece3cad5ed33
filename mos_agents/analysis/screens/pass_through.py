"""Do prices follow costs, and do they follow rises of costs faster than falls?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import number, percent
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.regression import lagged, least_squares
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array

LEAST_COST_VARIATION = 1e-3
"""Standard deviation of cost changes, as a share of the mean price, below which costs are taken as
constant."""

DIFFERENCES = "Price changes are compared with cost changes, so levels and slow trends drop out"


@dataclass(frozen=True)
class Rigidity(Screen):
    """A screen: prices follow costs less than competitors' prices would.

    The mean price change is regressed on the mean cost changes of the date and of `lags` dates
    before. The sum of the coefficients is the share of a cost change that is passed on. It sounds
    where that share is significantly below `least`. Agreed prices are often rigid, since each
    change needs a new agreement (Harrington and Chen 2006).

    Parameters
    ----------
    least : float
        Least share of a common cost change that competitors pass on. It is 1/2 for a monopolist
        with linear demand and more for competitors; .91 for the two sellers of the logit base
        market.
    lags : int
        Dates within which costs are passed on.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "rigidity"
    title: ClassVar[str] = "Rigid prices"
    question: ClassVar[str] = "Do prices follow costs less than competitors' prices would?"
    needs: ClassVar = (("cost",),)
    least_firms: ClassVar[int] = 1
    cannot: ClassVar[str] = (
        "Prices that are costly to change, or contracts, make prices rigid, too. It does not see a "
        "cartel that passes costs on."
    )

    least: float = 0.25
    lags: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("least", self.least, 0.0)
        check_whole("lags", self.lags, 0)

    def judge(self, observed: Observed) -> ScreenResult:
        from scipy import stats  # large, and seldom needed

        price, cost = _means(observed)
        if not _varies(cost, price):
            return self.no_verdict("costs hardly change", ("cost changes",))
        moves = lagged(np.diff(cost), self.lags)
        shared = _common_changes(observed, self.lags)
        x = np.column_stack([np.ones(len(moves)), moves, shared])
        fit = least_squares(np.diff(price)[self.lags :], x)
        weights = np.zeros(x.shape[1])
        weights[1 : 2 + self.lags] = 1.0
        passed, error = fit.combined(weights)
        error = max(error, 1e-12)
        p_value = float(stats.t.cdf((passed - self.least) / error, fit.freedom))
        told = (
            f"prices pass on {percent(passed)} of a change of costs within {self.lags + 1} dates "
            f"(standard error {percent(error)}; competitors at least {percent(self.least)})"
        )
        return self.verdict(
            p_value,
            passed,
            f"Prices are rigid: {told}.",
            f"No sign of rigid prices: {told}.",
            f"{DIFFERENCES}.",
            standard_error=error,
            unchanged_share=float((np.diff(observed.prices, axis=0) == 0.0).mean()),
        )


@dataclass(frozen=True)
class AsymmetricPassThrough(Screen):
    """A screen: rises of costs are passed on faster than falls ("rockets and feathers").

    The mean price change is regressed on rises and falls of the mean cost, apart, with lags
    (Borenstein, Cameron and Gilbert 1997). It sounds where rises are passed on by significantly
    more than falls within `within` dates.

    Parameters
    ----------
    within : int
        Dates, the date of the change included, within which the shares are compared.
    lags : int
        Further lags in the regression.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "asymmetric_pass_through"
    title: ClassVar[str] = "Asymmetric pass-through"
    question: ClassVar[str] = "Are rises of costs passed on faster than falls?"
    conduct: ClassVar[bool] = False
    needs: ClassVar = (("cost",),)
    least_firms: ClassVar[int] = 1
    least_ticks: ClassVar[int] = 30
    cannot: ClassVar[str] = (
        "Search costs of shoppers make competitors' prices asymmetric, too, so it is a pattern and "
        "no evidence of collusion."
    )

    within: int = 2
    lags: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("lags", self.lags, 0)
        check_whole("within", self.within, 1, self.lags + 1)

    def judge(self, observed: Observed) -> ScreenResult:
        from scipy import stats  # large, and seldom needed

        price, cost = _means(observed)
        change = np.diff(cost)
        if not _varies(cost, price) or not ((change > 0).any() and (change < 0).any()):
            return self.no_verdict("costs do not both rise and fall", ("cost changes",))
        rises = lagged(np.maximum(change, 0.0), self.lags)
        falls = lagged(np.minimum(change, 0.0), self.lags)
        x = np.column_stack(
            [np.ones(len(rises)), rises, falls, _common_changes(observed, self.lags)]
        )
        fit = least_squares(np.diff(price)[self.lags :], x)
        weights = np.zeros(x.shape[1])
        weights[1 : 1 + self.within] = 1.0
        up, _ = fit.combined(weights)
        weights[2 + self.lags : 2 + self.lags + self.within] = -1.0
        gap, error = fit.combined(weights)
        plain = least_squares(np.diff(price)[self.lags :], x, lags=0)
        error = max(error, plain.combined(weights)[1], 1e-12)
        p_value = float(stats.t.sf(gap / error, fit.freedom))
        told = (
            f"within {self.within} dates prices pass on {percent(up)} of a rise of costs and "
            f"{percent(up - gap)} of a fall (p = {number(p_value)})"
        )
        return self.verdict(
            p_value,
            gap,
            f"Rises of costs are passed on faster than falls: {told}.",
            f"No sign that rises of costs are passed on faster than falls: {told}.",
            f"{DIFFERENCES}.",
            rises=up,
            falls=up - gap,
            standard_error=error,
        )


def _means(observed: Observed) -> tuple[Array, Array]:
    assert observed.cost is not None
    return observed.prices.mean(axis=1), observed.cost.mean(axis=1)


def _varies(cost: Array, price: Array) -> bool:
    return float(np.diff(cost).std()) > LEAST_COST_VARIATION * float(np.abs(price).mean())


def _common_changes(observed: Observed, first: int) -> Array:
    """Changes of the common series, [T - 1 - first, M]."""
    columns = [np.diff(series)[first:] for series in observed.common.values()]
    length = observed.ticks - 1 - first
    return np.column_stack(columns) if columns else np.zeros((length, 0))
