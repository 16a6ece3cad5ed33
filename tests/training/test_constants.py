"""What is said of a place where nothing was gained, and what the best constant action finds.

The learners here are scripted, so that nothing is trained: PyTorch is not needed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.market.equilibrium import benchmarks
from mos_agents.policies import make
from mos_agents.rollout import rollout
from mos_agents.training import best_response, requirements
from mos_agents.training.best_response import Exploitability, Gain, exploitability
from mos_agents.training.evaluation import ConstantAction, best_of, constants
from mos_agents.training.plan import TrainingPlan

MARKET = scenarios.pricing_game()
THEORY = benchmarks(MARKET)
Found = Callable[..., Exploitability]


def fixed(price: float) -> dict[str, Any]:
    return {"kind": "fixed_price", "price": float(price)}


def plan(scenario: str = "pricing_game", **changes: Any) -> TrainingPlan:
    return TrainingPlan(scenario, **{"horizon": 16, "band": (0.9, 1.4), **changes})


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """`exploitability` whose learner ends up with the policy that it is handed."""

    def exploited(learner: Any, policies: dict[str, Any], **how: Any) -> Exploitability:
        monkeypatch.setattr(requirements, "check_packages", lambda: None)
        monkeypatch.setattr(best_response, "_together", lambda *_: contextlib.nullcontext())
        monkeypatch.setattr(best_response, "_trained", lambda *_: make(**learner))
        given = plan(how.pop("scenario", "pricing_game"), **how.pop("plan", {}))
        return exploitability(given, policies, **{"markets": 2, "seeds": 2, **how})

    return exploited


def test_a_learner_that_does_worse_is_no_evidence_and_no_zero_is_printed(found: Found) -> None:
    nash = {name: fixed(THEORY.p_N[0]) for name in MARKET.layout.participants}
    result = found(fixed(0.5), nash)
    text = str(result)
    assert not result.evidence and not any(one.evidence for one in result.gains)
    assert "NashConv: no evidence. Nowhere did a learner or a constant action earn more" in text
    assert "0.0000" not in text.splitlines()[-1] and "[0.0000, 0.0000]" not in text
    assert text.count("no evidence") == 5  # both responses of both firms, and the sum


def test_a_constant_of_the_grid_is_a_floor_for_a_learner_that_found_less(found: Found) -> None:
    joint = {name: fixed(THEORY.p_M[0]) for name in MARKET.layout.participants}
    result = found(fixed(0.5), joint)
    assert all(not one.evidence for one in result.gains)
    assert all(one.gain > 0.02 for one in result.constants)
    assert result.nash_conv == pytest.approx(sum(one.gain for one in result.constants))
    assert re.search(
        r"NashConv at least 0\.\d+ .*\(firm_1: level \d+ of 15 \(1\.\d+\), firm_2: ", str(result)
    )


def test_a_learner_that_found_more_than_any_constant_counts(found: Found) -> None:
    joint = {name: fixed(THEORY.p_M[0]) for name in MARKET.layout.participants}
    best = max(np.linspace(1.3, 1.9, 601), key=lambda p: alone(p, THEORY.p_M[0]))
    result = found(fixed(best), joint, participants=["firm_1"])
    (gain,), (constant,) = result.gains, result.constants
    assert gain.gain >= constant.gain > 0.0
    assert [one.response for one in result.counted] == ["learner"]
    assert result.nash_conv == pytest.approx(gain.gain)


def alone(price: float, rival: float) -> float:
    played = rollout(
        MARKET, {"firm_1": make(**fixed(price)), "firm_2": make(**fixed(rival))}, ticks=1
    )
    return float(played.reward[0, 0])


def test_a_place_without_evidence_is_named_beside_one_that_has_some(found: Found) -> None:
    mixed = {"firm_1": fixed(THEORY.p_N[0]), "firm_2": fixed(1.9)}
    result = found(fixed(0.5), mixed)
    assert result.evidence
    assert {one.participant for one in result.counted} >= {"firm_2"}
    if len(result.counted) == 1:
        assert "no evidence in place of firm_1" in str(result)


def test_what_does_not_vary_is_told_as_that_and_not_as_an_interval_of_no_width(
    found: Found,
) -> None:
    joint = {name: fixed(THEORY.p_M[0]) for name in MARKET.layout.participants}
    text = str(found(fixed(1.6), joint, participants=["firm_1"]))
    assert "the same in all 4 markets" in text
    for low, high in re.findall(r"\[([-+.\d]+), ([-+.\d]+)\]", text):
        assert low != high


@pytest.mark.parametrize(
    ("gain", "low", "high", "message"),
    [
        (-0.5, -0.6, -0.4, "-0.5000 [-0.6000, -0.4000]: no evidence"),
        (0.0, 0.0, 0.0, "+0.0000 (the same in all 8 markets): no evidence"),
        (0.5, 0.4, 0.6, "+0.5000 [+0.4000, +0.6000]"),
        (0.1, -0.2, 0.4, "+0.1000 [-0.2000, +0.4000], perhaps by chance"),
    ],
)
def test_a_gain_is_told_with_what_it_shows(
    gain: float, low: float, high: float, message: str
) -> None:
    policy: Any = make("hold")
    assert str(Gain("firm", 1.0, 1.0 + gain, gain, low, high, policy, np.zeros(8))) == message


def test_constants_are_the_levels_of_the_plans_grid() -> None:
    tried = constants(plan(levels=5), MARKET, MARKET.specs[0])
    prices = [float(one.policy.action[0, 0]) for one in tried]
    reference = float(MARKET.catalogue.reference_price[0])
    assert prices == pytest.approx(np.linspace(0.9, 1.4, 5) * reference)
    assert tried[2].label == "level 2 of 5 (1.69)"


def test_dealers_try_every_offset_with_every_spread() -> None:
    market = scenarios.load("market_making").market()
    tried = constants(plan("market_making", levels=(3, 4), band=None), market, market.specs[0])
    assert len(tried) == 12
    assert tried[0].policy.action.shape == market.specs[0].action_shape


def test_the_best_constant_is_the_best_of_all_when_played() -> None:
    rival = {"firm_2": make(**fixed(1.7))}
    one, short = plan(levels=9), scenarios.preset("pricing_game", ticks=40).market()
    best, beats = best_of(one, short, "firm_1", rival, [make(**fixed(0.5))])
    rewards = [
        rollout(short, {**rival, "firm_1": c.policy}, ticks=4).reward[0, 0]
        for c in constants(one, short, short.specs[0])
    ]
    assert best.level == int(np.argmax(rewards)) and beats
    assert not best_of(one, short, "firm_1", rival, [best.policy])[1]  # ties go to the rival


def test_a_constant_action_states_its_chance() -> None:
    spec = MARKET.specs[0]
    policy = ConstantAction(np.full(spec.action_shape, 1.6))
    action, memory = policy.act(spec, np.zeros((3, spec.size)), None, None)  # type: ignore[arg-type]
    assert action.shape == (3, *spec.action_shape) and memory is None
    assert policy.propensity(spec, np.zeros((3, spec.size)), action, None).tolist() == [1.0] * 3
    other = policy.propensity(spec, np.zeros((3, spec.size)), action + 0.1, None)
    assert other.tolist() == [0.0] * 3
