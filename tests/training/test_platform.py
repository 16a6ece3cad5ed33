"""Scenarios with trained policies: venues name participants, and a platform may sell nothing."""

from __future__ import annotations

from pathlib import Path

from mos_agents import scenarios
from mos_agents.training.folder import trained_scenario
from mos_agents.training.plan import TrainingPlan

FILE = Path(__file__).parents[1] / "scenarios" / "files" / "fee_game.yaml"


def test_a_trained_scenario_of_venues_is_the_same_market():
    scenario = scenarios.load(str(FILE))
    plan = TrainingPlan(scenario, agents=("platform",))
    learnt = {"platform": {"kind": "fixed_fee", "fee": 0.3}}
    made = scenarios.parse(trained_scenario(plan, learnt))
    market, before = made.market(), scenario.market()
    assert market.layout.slot_names == before.layout.slot_names
    assert made.policies()["platform"].fee == 0.3
    assert made.venues[0].quoting == ["firm_1", "firm_2"]


def test_a_trained_platform_without_offers_still_sells_nothing():
    scenario = scenarios.load("commission_game")
    made = scenarios.parse(trained_scenario(TrainingPlan(scenario, agents=("firm_1",)), {}))
    assert made.market().layout.L == scenario.market().layout.L == 2
