"""Brown and MacKay (2023): closed forms by hand, predictions, learners, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from experiments.brown_mackay_2023 import run as study
from experiments.brown_mackay_2023.theory import (
    LinearDemand,
    LogitDemand,
    best_replies,
    equilibrium,
    profits,
)
from experiments.replication import ExecutionConfig, played, settings
from mos_agents.cli import run
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.types import InputError

NAME = "brown_mackay_2023"


@trials(max_examples=30, deadline=None)
@given(
    st.floats(0.5, 3.0),
    st.floats(0.5, 2.0),
    st.floats(0.0, 0.9),
    st.floats(0.0, 0.4),
    st.floats(0, 1),
)
def test_one_slow_and_one_fast_firm_with_linear_demand_have_the_closed_form(a, b, share, c, lead):
    d = share * b
    found = equilibrium(LinearDemand(1, 1, a, b, d, c), lead)
    slow = a * (2 * b + d) + c * (2 * b**2 + b * d - lead * d**2)
    slow /= 4 * b**2 - d**2 * (1 + lead)
    assert found.slow_price == pytest.approx(slow, abs=1e-9)
    assert found.fast_price == pytest.approx((a + b * c + d * slow) / (2 * b), abs=1e-9)


@pytest.mark.parametrize(
    ("demand", "lead", "expected"),
    [
        (LinearDemand(1, 1), 0.0, (0.666667, 0.666667)),
        (LinearDemand(1, 1), 0.5, (0.689655, 0.672414)),
        (LinearDemand(1, 1), 1.0, (0.714286, 0.678571)),
    ],
)
def test_the_solved_prices_of_linear_demand(demand, lead, expected):
    found = equilibrium(demand, lead)
    assert (found.slow_price, found.fast_price) == pytest.approx(expected, abs=1e-6)


def test_the_solved_prices_of_logit_demand():
    at = {lead: equilibrium(LogitDemand(1, 1), lead) for lead in (0.0, 0.5, 1.0)}
    assert at[0.0].slow_price == pytest.approx(1.47293, abs=5e-6)
    prices = [(at[x].slow_price, at[x].fast_price) for x in (0.5, 1.0)]
    assert prices[0] == pytest.approx((1.54122, 1.50211), abs=5e-6)
    assert prices[1] == pytest.approx((1.63844, 1.54457), abs=5e-6)
    earned = [(at[x].slow_profit, at[x].fast_profit) for x in (0.5, 1.0)]
    assert earned[0] == pytest.approx((0.232387, 0.252105), abs=5e-7)
    assert earned[1] == pytest.approx((0.237236, 0.294568), abs=5e-7)


@pytest.mark.parametrize("kind", [LogitDemand, LinearDemand])
@pytest.mark.parametrize(("slow", "fast"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_nobody_gains_by_another_price(kind, slow, fast):
    # By trying, not by the conditions that the solver uses.
    demand = kind(slow, fast) if kind is LogitDemand else kind(slow, fast, d=0.3)
    lead, found = 0.75, equilibrium(demand, 0.75)
    prices = np.array([found.slow_price] * slow + [found.fast_price] * fast)
    kept = profits(demand, prices)

    def answered(made):
        made = made.copy()
        for _ in range(300):
            for i in range(slow, slow + fast):
                made[i] = demand.best_reply(made, i)
        return made

    for change in (-0.05, -1e-3, 1e-3, 0.05):
        made = prices.copy()
        made[-1] += change
        assert profits(demand, made)[-1] < kept[-1]
        made = prices.copy()
        made[0] += change
        counted = (1 - lead) * profits(demand, made)[0] + lead * profits(demand, answered(made))[0]
        assert counted < kept[0]


def test_without_leadership_prices_are_those_of_bertrand():
    demand = LogitDemand(2, 1, quality=1.5, mu=0.4, cost=0.5)
    nash = LogitMarket.from_scale([1.5] * 3, [0.5] * 3, [0, 1, 2], 0.4).bertrand_nash()
    found = equilibrium(demand, 0.0)
    assert found.slow_price == pytest.approx(nash.prices[0], abs=1e-8)
    assert found.fast_price == pytest.approx(nash.prices[2], abs=1e-8)


@pytest.mark.parametrize("demand", [LogitDemand(1, 1), LogitDemand(1, 2), LinearDemand(1, 1)])
def test_both_gain_and_the_fast_firm_gains_more(demand):
    bertrand = equilibrium(demand, 0.0)
    before = bertrand
    for lead in (0.25, 0.5, 0.75, 1.0):
        found = equilibrium(demand, lead)
        assert found.slow_price > found.fast_price > bertrand.slow_price
        assert found.slow_price > before.slow_price and found.fast_profit > before.fast_profit
        assert found.fast_profit > found.slow_profit > bertrand.slow_profit
        before = found


def figures(*changes, sessions=2):
    s = settings(NAME, changes, sessions=sessions)
    return {one.quantity: one.ours for one in played(NAME, s, ExecutionConfig())}


def test_only_the_share_of_answered_ticks_matters():
    few = figures("slow_period=2", "learners=false")
    assert figures("slow_period=10", "fast_period=5", "learners=false") == few
    assert figures("slow_period=2000000000", "fast_period=1000000000", "learners=false") == few


def test_a_slow_firm_that_best_replies_brings_bertrand():
    for demand in (LogitDemand(1, 2), LinearDemand(2, 1, d=0.4)):
        prices = best_replies(demand, 6, 2)
        assert prices == pytest.approx([equilibrium(demand, 0.0).slow_price] * 3, abs=1e-9)


def test_learners_find_the_price_that_theory_has_on_their_grid():
    found = figures("slow_period=4", "levels=9")
    s = settings(NAME, ["slow_period=4", "levels=9"])
    assert found["learnt_slow_price"] == pytest.approx(study.on_the_grid(s), abs=1e-9)
    assert found["myopic_learnt_slow_price"] < found["learnt_slow_price"]
    low, high = study.ends(s)
    assert abs(found["myopic_learnt_slow_price"] - found["bertrand_price"]) <= (high - low) / 8


def test_the_command_names_the_order_of_moves_and_writes_its_quantities(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = ("slow_period=4", "fast_period=1", "slow=1", "fast=2")
    changes = [f"--set={one}" for one in given]
    assert run(["replicate", NAME, *changes, "--json", "found.json"]) == 0
    out = capsys.readouterr().out
    assert "order of moves: 1 slow every 4 ticks, 2 fast every 1" in out
    ours = {
        one["quantity"]: one["ours"]
        for one in json.loads((tmp_path / "found.json").read_text())["results"]
    }
    assert ours["slow_price"] == pytest.approx(1.409458, abs=1e-6)
    assert ours["fast_price"] == pytest.approx(1.377389, abs=1e-6)
    assert ours["bertrand_price"] == pytest.approx(1.370163, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["slow_period=5", "fast_period=2"], "slow_period=5 must be a multiple of fast_period=2"),
        (["fast_period=4"], "slow_period=2 must be a multiple of fast_period=4"),
        (["mu=0.5", "demand=linear"], "mu=0.5: demand=linear has no such setting; leave it out"),
        (["demand=linear", "fast=3", "d=0.9"], "prices would rise without end; lower d"),
        (["demand=cubic"], "demand='cubic' must be logit or linear"),
        (["demand=linear", "a=0.1", "cost=1"], "nobody buys at prices equal to the cost"),
    ],
)
def test_what_has_no_solution_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        settings(NAME, changes)


def test_the_independent_solution_is_told_for_its_settings_alone():
    s = study.Settings(learners=False)
    assert study.published(s)["slow_price"].value == 1.54122
    assert "slow_price" not in study.published(replace(s, slow_period=3))
    assert study.published(replace(s, cost=0.5)) == {}
