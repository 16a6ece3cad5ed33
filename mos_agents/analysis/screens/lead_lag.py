"""Lead and lag: does one firm's price change come before another's?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import number
from mos_agents.analysis.screens.adjusting import adjusted
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.regression import least_squares
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.types import Array


@dataclass(frozen=True)
class LeadLag(Screen):
    """A screen: one firm's price changes come a date before those of another firm.

    For each pair it compares how the first firm's last innovation goes with the second firm's
    present one, and the reverse. Innovations are what a firm's own last two prices do not predict.
    A shock that reaches both at the same date goes both ways alike and drops out, recorded or not.
    p-values are corrected for the number of pairs.

    Parameters
    ----------
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "lead_lag"
    title: ClassVar[str] = "Lead and lag"
    question: ClassVar[str] = "Does one firm change its price before another one?"
    conduct: ClassVar[bool] = False
    least_ticks: ClassVar[int] = 30
    cannot: ClassVar[str] = (
        "A firm that reprices more often, or hears of costs earlier, leads without any collusion. "
        "Two firms that answer each other alike have no leader."
    )

    def judge(self, observed: Observed) -> ScreenResult:
        from scipy import stats  # large, and seldom needed

        clean = adjusted(observed)
        news = innovations(clean.prices)
        found, pairs = (1.0, 0, 1, 0.0), 0
        for i in range(observed.firms):
            for j in range(i + 1, observed.firms):
                pairs += 1
                lead = news[:-1, i] * news[1:, j] - news[:-1, j] * news[1:, i]
                fit = least_squares(lead, np.ones((len(lead), 1)), lags=2)
                mean, error = fit.combined(np.ones(1))
                p = 2.0 * float(stats.t.sf(abs(mean) / max(error, 1e-12), fit.freedom))
                if p <= found[0]:
                    found = (p, i, j, mean) if mean >= 0.0 else (p, j, i, -mean)
        p_value = min(1.0, pairs * found[0])
        first, second = observed.name(found[1]), observed.name(found[2])
        return self.verdict(
            p_value,
            found[3],
            f"{first} changes its price before {second} does (p = {number(p_value)}).",
            f"No firm changes its price before another one, beyond chance (p = {number(p_value)}).",
            clean.removed,
            leader=float(found[1]),
            follower=float(found[2]),
        )


def innovations(prices: Array) -> Array:
    """What a firm's own last two prices do not predict, standardised.

    Parameters
    ----------
    prices : array [T, N]
        Prices.

    Returns
    -------
    array [T - 2, N]
        Innovations with mean 0 and standard deviation 1; 0 where a firm's price never changes.
    """
    out = np.zeros((len(prices) - 2, prices.shape[1]))
    for i, path in enumerate(prices.T):
        x = np.column_stack([np.ones(len(path) - 2), path[1:-1], path[:-2]])
        rest = path[2:] - x @ np.linalg.lstsq(x, path[2:], rcond=None)[0]
        spread = rest.std()
        if spread > 1e-9 * max(np.abs(path).max(), 1e-300):
            out[:, i] = rest / spread
    return out
