"""Following: rivals answer lone price changes, up or down, by more than a static best reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mos_agents.analysis.screens.answers import answers
from mos_agents.analysis.screens.edgeworth import price_cycle
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.analysis.screens.wars import CYCLE, answered


@dataclass(frozen=True)
class Following(Screen):
    """A screen: rivals follow lone cuts or lone rises further than competitors would.

    Both directions are tested (see `answers`), each at half the level. A rise that all follow is
    price leadership; a cut that all follow is a punishment, or a price war.

    Parameters
    ----------
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "following"
    title: ClassVar[str] = "Following"
    question: ClassVar[str] = (
        "Do rivals follow a firm's lone price change further than competitors?"
    )
    needs: ClassVar = (("cost", "control", "common"),)
    cannot: ClassVar[str] = (
        "It does not see firms that move at the same date, as a cartel with one agreed price does. "
        "It takes slow adjustment to a shock that is not on record for following. It gives no "
        "verdict on price cycles."
    )

    def judge(self, observed: Observed) -> ScreenResult:
        if price_cycle(observed).found:
            return self.no_verdict(CYCLE)
        down, up = answers(observed, -1), answers(observed, 1)
        surer = down if down.p_value <= up.p_value else up
        told = f"{answered(down, 'cut')}. {answered(up, 'rise')}"
        return self.verdict(
            min(1.0, 2.0 * surer.p_value),
            surer.share,
            f"{told}. Competitors would answer by less.",
            f"{told}. There is no evidence that rivals answer by more than competitors.",
            surer.removed,
            cuts=float(down.changes),
            rises=float(up.changes),
        )
