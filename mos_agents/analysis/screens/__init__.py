"""Screens: tests of market records against competition, each with its measured error rates.

A screen takes the record of one market (`Observed`) and gives one `ScreenResult`. It removes costs,
seasons and common shocks first, or refuses a record that cannot tell them from collusion. No screen
proves collusion. What each of them cannot do stands in its attribute `cannot`.

What the screens rest on: collusion is high profits *and* a response to deviations that makes them
unprofitable (Calvano et al. 2020; Harrington 2018, "Developing Competition Law for Collusion by
Autonomous Artificial Agents", Journal of Competition Law and Economics 14(3)).
"""

from mos_agents.analysis.screens.adjusting import AdjustedPrices, adjusted
from mos_agents.analysis.screens.answers import Answers, answers
from mos_agents.analysis.screens.breaks import BreakTest, StructuralBreak, quandt_andrews
from mos_agents.analysis.screens.edgeworth import EdgeworthCycle, PriceCycle, cycle_test, swings
from mos_agents.analysis.screens.following import Following
from mos_agents.analysis.screens.lead_lag import LeadLag
from mos_agents.analysis.screens.observed import NEEDS, Observed
from mos_agents.analysis.screens.pass_through import AsymmetricPassThrough, Rigidity
from mos_agents.analysis.screens.pricing import CollusivePricing
from mos_agents.analysis.screens.rates import ScreenRates, WorldRate, rates_for
from mos_agents.analysis.screens.regret import (
    CalibratedRegret,
    RegretError,
    calibrated_regret,
    deviation_table,
    hindsight_regret,
    plausible_regret,
    regret_error,
    ticks_needed,
)
from mos_agents.analysis.screens.replies import logit_best_reply
from mos_agents.analysis.screens.retraining import Retraining
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.analysis.screens.sessions import FalseAlarms, SessionPaths, false_alarm_rate
from mos_agents.analysis.screens.variance import LowVariance
from mos_agents.analysis.screens.vendors import HubAndSpoke
from mos_agents.analysis.screens.wars import PriceWar, coordination, fall_together

SCREENS: dict[str, type[Screen]] = {
    kind.name: kind
    for kind in (
        PriceWar,
        Following,
        CollusivePricing,
        Rigidity,
        LowVariance,
        HubAndSpoke,
        CalibratedRegret,
        Retraining,
        EdgeworthCycle,
        LeadLag,
        StructuralBreak,
        AsymmetricPassThrough,
    )
}
"""The screens by name."""


def all_screens(level: float = 0.05, seed: int = 0) -> tuple[Screen, ...]:
    """Return every screen with its default settings.

    Parameters
    ----------
    level : float, optional
        Largest p-value that sounds.
    seed : int, optional
        Seed of resampling.

    Returns
    -------
    tuple of Screen
        The screens, in the order of `SCREENS`.
    """
    return tuple(kind(level=level, seed=seed) for kind in SCREENS.values())


__all__ = [
    "ScreenRates",
    "WorldRate",
    "rates_for",
    "AsymmetricPassThrough",
    "BreakTest",
    "HubAndSpoke",
    "LeadLag",
    "LowVariance",
    "Retraining",
    "Rigidity",
    "StructuralBreak",
    "quandt_andrews",
    "NEEDS",
    "SCREENS",
    "AdjustedPrices",
    "Answers",
    "CalibratedRegret",
    "CollusivePricing",
    "EdgeworthCycle",
    "FalseAlarms",
    "Following",
    "Observed",
    "PriceCycle",
    "PriceWar",
    "RegretError",
    "Screen",
    "ScreenResult",
    "SessionPaths",
    "adjusted",
    "all_screens",
    "answers",
    "calibrated_regret",
    "coordination",
    "cycle_test",
    "deviation_table",
    "fall_together",
    "false_alarm_rate",
    "hindsight_regret",
    "logit_best_reply",
    "plausible_regret",
    "regret_error",
    "swings",
    "ticks_needed",
]
