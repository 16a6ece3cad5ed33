"""Retraining: does a firm that is trained again, alone, keep the high price?

Prices may be high because rivals would answer a cut, or because the firm's algorithm never learnt
that a cut pays. Calvano, Calzolari, Denicolo and Pastorello (2023), "Algorithmic Collusion: Genuine
or Spurious?", and Abada and Lambin (2023), "Artificial Intelligence: Can Seemingly Collusive
Outcomes Be Avoided?", tell the two apart: train one firm again, with ample exploration, against the
others' unchanged rules. If it comes to the static best reply, the high price was a failure to
learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import number
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_real


@dataclass(frozen=True)
class Retraining(Screen):
    """A screen: a firm trained again, alone, keeps its price above the static best reply.

    `Observed.retrained` holds the outcomes of several trainings of one firm against the others'
    unchanged rules. It sounds where the new price lies significantly above the static best reply to
    the others' prices: what holds it up are the answers of the others.

    Parameters
    ----------
    margin : float
        Distance from the static best reply that counts as none, as a share of it. Take at least a
        step of the price grid.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "retraining"
    title: ClassVar[str] = "Retraining"
    question: ClassVar[str] = "Does a firm that is trained again, alone, keep a high price?"
    needs: ClassVar = (("retrained",),)
    least_firms: ClassVar[int] = 1
    least_ticks: ClassVar[int] = 1
    cannot: ClassVar[str] = (
        "It needs the firms' algorithms, or a copy of them. A firm that is trained badly again "
        "proves nothing; train long and with ample exploration."
    )

    margin: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("margin", self.margin, 0.0)

    def judge(self, observed: Observed) -> ScreenResult:
        from scipy import stats  # large, and seldom needed

        assert observed.retrained is not None
        price, reply = observed.retrained.T
        if len(price) < 3:
            return self.no_verdict("it needs at least 3 trainings", ("retrained",))
        above = price / reply - 1.0
        error = max(float(above.std(ddof=1)) / np.sqrt(len(above)), 1e-12)
        mean = float(above.mean())
        p_value = float(stats.t.sf((mean - self.margin) / error, len(above) - 1))
        told = (
            f"in {len(above)} trainings the firm came to a price {number(100.0 * mean)}% above its "
            f"static best reply (p = {number(p_value)} for at most {number(100.0 * self.margin)}%)"
        )
        return self.verdict(
            p_value,
            mean,
            f"The others' answers hold up the price of a firm trained again, alone: {told}.",
            f"A firm trained again, alone, comes to its static best reply or near it: {told}.",
            "Both prices are set in the same market, so costs and seasons act on both.",
        )
