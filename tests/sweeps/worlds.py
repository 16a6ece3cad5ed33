"""Small sweeps for the tests, and kinds of trials of the tests' own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario
from mos_agents.sweeps import SweepPlan, TrialResult
from mos_agents.sweeps.trials import BaseTrial

RETAIL = scenarios.override(scenarios.load("retail"), ["ticks=6", "instruments=1"])
GRID = ("firms=1,2", "arrivals.sessions=5,10,20")
QUICK = (
    "participants.firm.policy.prices=5",
    "participants.firm.policy.beta=2e-3",
    "participants.firm.policy.initial=5.0",
)
GAME = scenarios.override(scenarios.load("pricing_game"), QUICK)


@dataclass(frozen=True)
class ScriptedTrial(BaseTrial):
    """Says what it was given; fails where it is told to. One measure is there now and then only."""

    kind: ClassVar[str] = "told"
    headline: ClassVar[tuple[str, ...]] = ("firms",)

    fails_at: tuple[int, ...] = ()

    def check(self, scenario: Scenario) -> None:
        if scenario.ticks > 1000:
            raise InputError(f"ticks={scenario.ticks} must be <= 1000")

    def __call__(self, scenario: Scenario, seed: int) -> TrialResult:
        if seed in self.fails_at:
            raise ZeroDivisionError(f"seed {seed}\nis\tnot liked")
        firms = len(scenario.policies()) - 1
        rare = {"rare": 1.0} if seed % 2 else {}
        return TrialResult.of(
            {"firms": firms, "value": firms + 10.0 * seed, "nothing": float("nan"), **rare}
        )


@dataclass(frozen=True)
class Slow(ScriptedTrial):
    """Takes its time; and, for some seeds, the whole process with it."""

    kind: ClassVar[str] = "slow"

    seconds: float = 0.3
    kills_at: tuple[int, ...] = ()

    def __call__(self, scenario: Scenario, seed: int) -> TrialResult:
        time.sleep(self.seconds)
        if seed in self.kills_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(scenario, seed)


def plan(
    grid: Sequence[str] = GRID, seeds: Any = 3, spec: Any = None, scenario: Scenario = RETAIL
) -> SweepPlan:
    return SweepPlan.of(scenario, grid, seeds, ScriptedTrial() if spec is None else spec)
