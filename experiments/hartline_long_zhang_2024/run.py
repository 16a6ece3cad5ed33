"""An audit by regret: a seller's own data show that it does not optimise against its rival.

Hartline, Long and Zhang, "Regulation of Algorithmic Collusion", 2024 (arXiv 2401.15794), and
Hartline, Wang and Zhang, 2025 (arXiv 2501.09740). `mos replicate hartline_long_zhang_2024`; what
was found, and what is inferred, stands in README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.common_settings import check_settings, even_prices
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from experiments.sessions import sessions_played
from mos_agents.analysis.screens import (
    calibrated_regret,
    deviation_table,
    hindsight_regret,
    plausible_regret,
    regret_error,
    ticks_needed,
)
from mos_agents.analysis.screens.regret import held_out_p_value
from mos_agents.market.checks import is_real
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray

TITLE = "Calibrated regret of sellers that hold a price (Hartline, Long, Zhang 2024)"
QUICK = ("sessions=10", "ticks=1000")
KEEPS = False
MEASURED = "an independent program"
LEVEL = 0.05


@dataclass(frozen=True)
class RegretSettings:
    """Two alike sellers ask `price`, and with chance epsilon any price of the grid.

    price: money; a list is taken in turn, by both at the same ticks. low, high, levels: the grid.
    quality, mu, outside: of logit demand, money. cost: true unit cost. cost_low, cost_high: the
    costs that the auditor holds possible. allowed: largest regret of a competitor, as a share of
    its revenue, in the test. ticks: T, of one record; sessions: records.
    """

    price: float | tuple[float, ...] = 1.9
    epsilon: float = 0.2
    low: float = 1.2
    high: float = 2.1
    levels: int = 10
    quality: float = 2.0
    mu: float = 0.25
    outside: float = 0.0
    cost: float = 1.0
    cost_low: float = 0.8
    cost_high: float = 1.2
    allowed: float = 0.03
    ticks: int = 10_000
    sessions: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "epsilon": (float, 0.0, 1.0),
                "levels": (int, 2, 100),
                "quality": (float, -1e3, 1e3),
                "cost_low": (float, 0.0, 1e3),
                "cost_high": (float, 0.0, 1e3),
                "allowed": (float, 0.0, 1.0),
                "ticks": (int, 20, 10**8),
            },
            above=("epsilon",),
        )
        if not self.cost_low <= self.cost_high:
            raise InputError(
                f"cost_low={self.cost_low!r} must be at most cost_high={self.cost_high!r}"
            )
        self.levels_asked  # noqa: B018 - checks that prices are on the grid

    @property
    def grid(self) -> Array:
        """[K] the prices."""
        return even_prices(self.low, self.high, self.levels)

    @property
    def levels_asked(self) -> IntArray:
        """The prices asked, as positions in the grid."""
        prices = self.price if isinstance(self.price, tuple) else (self.price,)
        if not prices or not all(is_real(one) for one in prices):
            raise InputError(f"price={self.price!r} must be a number, or a list of numbers")
        gaps = np.abs(self.grid - np.array(prices)[:, None])
        if gaps.min(axis=1).max() > 1e-6:
            raise InputError(
                f"price={self.price!r} must be on the grid of {self.levels} prices from "
                f"{self.low:g} to {self.high:g}"
            )
        return gaps.argmin(axis=1)

    @property
    def chances(self) -> Array:
        """[C, K] the probabilities of prices, for each of the prices asked in turn."""
        chances = np.full((len(self.levels_asked), self.levels), self.epsilon / self.levels)
        chances[np.arange(len(chances)), self.levels_asked] += 1.0 - self.epsilon
        return chances

    @property
    def units(self) -> Array:
        """[K, K] what a seller sells by its own and by its rival's price."""
        weight = np.exp((self.quality - self.grid) / self.mu)
        rest = np.exp(self.outside / self.mu)
        sold: Array = weight[:, None] / (rest + weight[:, None] + weight[None, :])
        return sold


Settings = RegretSettings
"""What `mos replicate` sets."""


def notes(s: RegretSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    return [
        "ties: none; demand is smooth, and prices are drawn from stated probabilities",
        f"grid: {s.levels} prices from {s.low:g} to {s.high:g}, steps of "
        f"{(s.high - s.low) / (s.levels - 1):.4g}; unit cost {s.cost:g}, held to be in "
        f"[{s.cost_low:g}, {s.cost_high:g}]",
        "order of moves: both price together at every tick, each with draws of its own; units are "
        "expected demand at the two prices",
        "inferred: the bound is Hoeffding's inequality, since the papers' sample sizes could not "
        "be read; the test on held-out stretches is this project's",
    ]


def exact_table(s: RegretSettings) -> Array:
    """[K, K] what each price would sell on average while another one was meant."""
    turns = [pi[:, None] * (s.units @ pi)[None, :] for pi in s.chances]
    table: Array = np.mean(turns, axis=0)
    return table


def audited(s: RegretSettings, seed: int, sessions: Sequence[int]) -> list[tuple[float, ...]]:
    """Regret, plausible regret and p-value of each record."""
    turn = np.arange(s.ticks) % len(s.chances)
    chances = s.chances[turn]
    found = []
    for session in sessions:
        drawn = np.empty((2, s.ticks), np.int64)
        for i in range(2):
            streams = Streams.of(seed, np.array([session]), owner=f"firm_{i + 1}")
            uniforms = streams.at(0).uniforms("price", s.ticks)[0]
            for k, pi in enumerate(s.chances):
                rows = turn == k
                drawn[i, rows] = np.searchsorted(pi.cumsum()[:-1], uniforms[rows], side="right")
        units = s.units[drawn[0], drawn[1]]
        table = deviation_table(chances, drawn[0], units)
        revenue = float((s.grid[drawn[0]] * units).mean())
        p, _ = held_out_p_value(
            chances, drawn[0], units, s.grid, np.full(s.ticks, s.cost), s.allowed * revenue
        )
        found.append(
            (
                float(calibrated_regret(table, s.grid, s.cost)),
                plausible_regret(table, s.grid, s.cost_low, s.cost_high)[0],
                p,
            )
        )
    return found


MEASURES: tuple[tuple[dict[str, Any], dict[str, float]], ...] = (
    ({}, {"regret": 0.065770, "plausible_regret": 0.035343, "plausible_cost": 1.2}),
    ({"cost_low": 0.0, "cost_high": 2.0}, {"regret": 0.065770, "plausible_regret": 0.020867}),
    ({"price": 1.4}, {"regret": 0.013745, "plausible_regret": 0.011305, "plausible_cost": 0.958}),
    ({"price": (1.9, 1.4)}, {"regret": 0.038550, "hindsight_regret": 0.034237}),
)
"""Changes of the settings, and what an independent program computed."""
ROUNDING = {"plausible_regret": 1e-5, "plausible_cost": 5e-4}
"""The independent program tried costs on a grid."""


def published(s: RegretSettings) -> dict[str, Published]:
    """The independent program's exact figures for these settings."""
    base = RegretSettings(ticks=s.ticks, sessions=s.sessions, seed=s.seed, allowed=s.allowed)
    for changes, values in MEASURES:
        if s == replace(base, **changes):
            found = {
                name: Published(value, MEASURED, ROUNDING.get(name, 5e-7))
                for name, value in values.items()
            }
            if changes == {"price": 1.4} and s.ticks == 1000:
                found["estimated_regret"] = Published(0.047, f"{MEASURED}, T = 1,000", 5e-4)
            return found
    return {}


def replicate(s: RegretSettings, execution: ExecutionConfig) -> list[Finding]:
    """Compute the true regrets, estimate them from records, and judge each record."""
    table, found = exact_table(s), Findings(published(s), s.sessions)
    regret = float(calibrated_regret(table, s.grid, s.cost))
    plausible, cost = plausible_regret(table, s.grid, s.cost_low, s.cost_high)
    found.exact("regret", regret)
    found.exact("plausible_regret", plausible)
    found.exact("plausible_cost", cost)
    found.exact("hindsight_regret", hindsight_regret(table, s.grid, s.cost))
    revenue = float((s.grid * np.diagonal(table)).sum())
    found.exact("regret_share_of_revenue", regret / revenue)
    least = float(s.chances.min())
    found.exact("error_bound", regret_error(s.ticks, least, s.grid, s.cost).regret)
    found.exact("ticks_for_bound", ticks_needed(regret, least, s.grid, s.cost))
    records = np.array(sessions_played(execution, audited, s, s.seed, s.sessions))
    found.mean("estimated_regret", records[:, 0])
    found.mean("estimated_plausible_regret", records[:, 1])
    found.share("alarm_share", records[:, 2] <= LEVEL)
    return found.all()
