"""Retraining: does a firm that is trained again, alone, get what a price cut promises?

Prices may be high because rivals would answer a cut, or because the firm's algorithm never learnt
that a cut pays. Calvano, Calzolari, Denicolo and Pastorello (2023), "Algorithmic Collusion: Genuine
or Spurious?", and Abada and Lambin (2023), "Artificial Intelligence: Can Seemingly Collusive
Outcomes Be Avoided?", tell the two apart: train one firm again, with ample exploration, against the
others' unchanged rules. Where the high price was a failure to learn, the firm now earns what its
static best reply promises. Where others would answer, it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import number, percent
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_real


@dataclass(frozen=True)
class Retraining(Screen):
    """A screen: a firm trained again, alone, earns less than static best replies promise.

    `Observed.retrained` holds the outcomes of several trainings of one firm against the others'
    unchanged rules. It sounds where the profit after the training falls significantly short of what
    static best replies to the others' unchanged prices would bring: the answers of the others keep
    the firm from it.

    Parameters
    ----------
    margin : float
        Shortfall that counts as none, as a share of the profit before.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "retraining"
    title: ClassVar[str] = "Retraining"
    question: ClassVar[str] = (
        "Do answers of others keep a firm, trained again alone, from undercutting?"
    )
    needs: ClassVar = (("retrained",),)
    least_firms: ClassVar[int] = 1
    least_ticks: ClassVar[int] = 1
    cannot: ClassVar[str] = (
        "It needs the firms' algorithms, or a copy of them. Rules of learners are untrained off "
        "the path, and a firm trained again often finds a way to exploit them: then nothing falls "
        "short, although answers held up the price before."
    )

    margin: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("margin", self.margin, 0.0)

    def judge(self, observed: Observed) -> ScreenResult:
        from scipy import stats  # large, and seldom needed

        assert observed.retrained is not None
        before, promised, after = observed.retrained.T
        if len(before) < 3:
            return self.no_verdict("it needs at least 3 trainings", ("retrained",))
        if (before <= 0.0).any():
            return self.no_verdict("the firm earned nothing before", ("retrained",))
        short = (promised - after) / before
        error = max(float(short.std(ddof=1)) / np.sqrt(len(short)), 1e-12)
        mean = float(short.mean())
        p_value = float(stats.t.sf((mean - self.margin) / error, len(short) - 1))
        hoped = percent(float((promised / before).mean()) - 1.0)
        got = percent(float((after / before).mean()) - 1.0)
        told = (
            f"static best replies promise {hoped} more profit, and {len(short)} trainings bring "
            f"{got} more (p = {number(p_value)})"
        )
        return self.verdict(
            p_value,
            mean,
            f"The others' answers keep a firm from undercutting: {told}.",
            f"No sign that answers of the others keep a firm from undercutting: {told}.",
            "All profits are those of the same market, so costs and seasons act on all.",
        )
