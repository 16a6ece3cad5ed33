"""Lead and lag: does one firm's price change come before another's?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import number
from mos_agents.analysis.screens.adjusting import adjusted
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.types import Array

SHORTEST_BLOCK = 4
FLIPS = 1999


@dataclass(frozen=True)
class LeadLag(Screen):
    """A screen: one firm's price changes come a date before those of another firm.

    For each pair it compares how the first firm's last innovation goes with the second firm's
    present one, and the reverse. Innovations are what a firm's own last two prices do not predict.
    A shock that reaches both at the same date goes both ways alike and drops out, recorded or not.
    Where nobody leads, the signs of the differences are chance: they are turned, in blocks of a few
    dates. p-values are corrected for the number of pairs.

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
        # A season reaches all firms at the same date and needs no removal; what its removal leaves
        # would repeat itself from year to year.
        clean = adjusted(replace(observed, seasons={}))
        news = innovations(clean.prices)
        first, second = np.triu_indices(observed.firms, 1)
        lead = news[:-1, first] * news[1:, second] - news[:-1, second] * news[1:, first]
        block = max(SHORTEST_BLOCK, round(0.5 * np.sqrt(observed.ticks)))
        blocks = np.add.reduceat(lead, np.arange(0, len(lead), block), axis=0)
        signs = np.random.default_rng(self.seed).integers(2, size=(FLIPS, len(blocks)))
        total = blocks.sum(axis=0)
        chance = np.abs((2.0 * signs - 1.0) @ blocks)
        p = (1 + (chance >= np.abs(total) * (1.0 - 1e-9)).sum(axis=0)) / (FLIPS + 1)
        pairs, best = len(p), int(p.argmin())
        leader, follower = int(first[best]), int(second[best])
        if total[best] < 0.0:
            leader, follower = follower, leader
        found = (float(p[best]), leader, follower, abs(float(total[best])) / len(lead))
        p_value = min(1.0, pairs * found[0])
        one, other = observed.name(found[1]), observed.name(found[2])
        return self.verdict(
            p_value,
            found[3],
            f"{one} changes its price before {other} does (p = {number(p_value)}).",
            f"No firm changes its price before another one, beyond chance (p = {number(p_value)}).",
            clean.removed,
            leader=float(found[1]),
            follower=float(found[2]),
        )


def innovations(prices: Array) -> Array:
    """What a firm's last two prices do not predict, by one rule for all firms, standardised.

    Parameters
    ----------
    prices : array [T, N]
        Prices.

    Returns
    -------
    array [T - 2, N]
        Innovations with mean 0 and standard deviation 1; 0 where a firm's price never changes.
    """
    # One filter for all firms: filters of their own would shift a common season by other phases.
    path = prices - prices.mean(axis=0)
    spread = path.std(axis=0)
    moves = spread > 1e-9 * np.maximum(np.abs(prices).max(axis=0), 1e-300)
    path = np.where(moves, path / np.where(moves, spread, 1.0), 0.0)
    x = np.stack([path[1:-1].ravel(), path[:-2].ravel()], axis=1)
    filtered = np.linalg.lstsq(x, path[2:].ravel(), rcond=None)[0]
    rest = path[2:] - filtered[0] * path[1:-1] - filtered[1] * path[:-2]
    rest = rest - rest.mean(axis=0)
    size = rest.std(axis=0)
    out: Array = np.where(size > 1e-9, rest / np.where(size > 1e-9, size, 1.0), 0.0)
    return out
