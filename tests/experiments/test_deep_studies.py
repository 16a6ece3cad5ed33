"""The studies of deep learners: what is measured and kept, and that a training goes through."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.dealer_market import measures as dealer_measures
from experiments.dealer_market import run as dealer
from experiments.dealer_market.world import DealerWorld, Leaning
from experiments.deep_pricing import figure
from experiments.deep_pricing import run as pricing
from experiments.deep_pricing.measures import (
    AFTER,
    KEPT,
    REST,
    best_replies,
    theory,
    verdict,
)
from experiments.studies import as_json, intervals, on_one_ray, run_study, table
from mos_agents.actors.ray.cluster import joined
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.runs.sealing import read_sealed, sealed

FEW = pricing.DeepPricingSettings(
    markets=4, ticks=32, iterations=2, beside=pricing.TrainingLength(3, 32, 2)
)


def always(price):
    return make("fixed_price", price=float(price))


def test_nash_prices_have_no_gain_and_joint_prices_have_all_of_it():
    market = pricing.scenario().market()
    known, _ = theory(market)
    for prices, gain in ((known.p_N, 0.0), (known.p_M, 1.0)):
        policies = {f"firm_{i + 1}": always(price) for i, price in enumerate(prices)}
        found = verdict(market, policies, seed=0, markets=1, delta=0.95)
        assert found.profit_gain == pytest.approx(gain, abs=1e-6)
        assert found.rpdi == pytest.approx(gain, abs=1e-6)
        assert found.gain == pytest.approx((gain, gain), abs=1e-6)
        assert (found.cut, found.away) == ((0.0, 0.0), (0.0, 0.0))
        assert found.spread < 1e-12
    assert found.unprofitable == (
        0.0,
        0.0,
    )  # nobody punishes the cut from the joint optimum: it pays


def test_a_firm_that_follows_answers_the_cut_by_as_much():
    market = pricing.scenario().market()
    known, _ = theory(market)
    joint = float(known.p_M[0])
    policies = {"firm_1": make("match_cheapest"), "firm_2": always(joint)}
    found = verdict(market, policies, seed=0, markets=1, delta=0.95)
    # Of the two cuts only that of firm_2 is answered: firm_1 itself is the one who follows.
    reply = best_replies(market, 1, np.array([[joint, joint]]))[0]
    assert found.cut == pytest.approx((0.0, reply / joint - 1.0), abs=1e-9)


def test_who_asks_less_than_the_joint_price_gains_at_the_expense_of_who_asks_it():
    market = pricing.scenario().market()
    known, _ = theory(market)
    policies = {"firm_1": always(known.p_N[0]), "firm_2": always(known.p_M[1])}
    found = verdict(market, policies, seed=0, markets=1, delta=0.95)
    assert found.gain[0] > 1.0 > 0.0 > found.gain[1]
    assert np.mean(found.gain) == pytest.approx(found.profit_gain)


def test_brisk_tables_play_as_many_markets_as_beside_a_network_and_end_above_nash():
    s, market = pricing.DeepPricingSettings(), pricing.scenario().market()
    found = pricing.brisk_tables(s, 0)
    assert found.markets == s.beside.markets
    assert verdict(market, found.policies, 0, found.markets, s.gamma).profit_gain > 0.3
    with pytest.raises(InputError, match="is needed here"):
        verdict(market, found.policies, 0, found.markets + 1, s.gamma)


def test_makers_share_the_flow_by_their_quotes_and_traders_pay_the_best():
    world = DealerWorld(makers=2)
    wide, narrow = Leaning(1.0, 0.001), Leaning(0.4, 0.001)
    found = dealer_measures.outcome(world, {"maker_1": wide, "maker_2": narrow}, 0, 60).means()
    np.testing.assert_allclose(found["spread"], [1.0, 0.4], atol=0.011)
    assert found["touch"] <= 0.41
    assert found["share"][1] > 0.9
    alone = dealer_measures.outcome(replace(world, makers=1), {"maker_1": wide}, 0, 60).means()
    assert alone["paid"] == pytest.approx(1.0, abs=0.05)
    assert found["paid"] < 0.5


def test_what_is_finished_is_kept_and_other_settings_are_refused(tmp_path):
    first = run_study(made, FEW, ("x", "y"), (0, 1), tmp_path, workers=1)
    assert first == {"x": [{"seed": 0}, {"seed": 1}], "y": [{"seed": 0}, {"seed": 1}]}
    one = tmp_path / "x-1.json"
    one.write_bytes(sealed({**read_sealed(one), "value": {"seed": 5}}))
    again = run_study(made, FEW, ("x",), (0, 1), tmp_path, workers=1)
    assert again == {"x": [{"seed": 0}, {"seed": 5}]}
    with pytest.raises(InputError, match="holds another study with ticks="):
        run_study(made, replace(FEW, ticks=33), ("x",), (0,), tmp_path, workers=1)


def made(settings, condition, seed):
    return {"seed": seed}


def test_all_trainings_of_a_process_are_on_one_ray(tmp_path):
    found = run_study(on_ray, FEW, ("x",), (0, 1), tmp_path, workers=1, begin=on_one_ray)
    assert found["x"][0]["ray"] is not None
    assert found["x"][0] == found["x"][1]


def on_ray(settings, condition, seed):
    import ray

    return {"ray": ray.get_runtime_context().gcs_address if joined() else None}


def test_figures_come_in_the_form_of_all_experiments():
    found = {"a": [{"gain": 1.0, "by": [1.0, 3.0], "no": None}] * 3}
    assert set(intervals(found)) == {("a", "gain"), ("a", "by")}
    record = json.loads(as_json("study", FEW, found))
    assert record["results"][0] == {
        "quantity": "gain.a",
        "published": None,
        "ours": 1.0,
        "ci95": [1.0, 1.0],
        "within": None,
        "source": None,
    }
    assert "1.000 (the same in all 3 seeds)" in table(found, {"a": "A"}, ("gain", "no"))


def test_pictures_are_drawn_of_the_conditions_that_were_played(tmp_path):
    facts = pricing.judged(FEW, "brisk_tables", 0)
    path = tmp_path / "results.json"
    for played, pictures in (
        (("ppo",), {"gains", "responses"}),
        (("brisk_tables", "dqn_with_table"), {"gains", "apart"}),
    ):
        path.write_bytes(as_json("deep_pricing", FEW, {c: [facts, facts] for c in played}))
        out = tmp_path / "-".join(played)
        assert figure.main([str(path), "--out", str(out)]) == 0
        assert {one.stem for one in out.iterdir()} == pictures


def test_networks_are_judged_in_an_episode_as_long_as_those_they_were_trained_in():
    assert pricing.episode(FEW).horizon == FEW.horizon >= max(REST + KEPT, REST + AFTER)
    with pytest.raises(InputError, match=f"horizon=200 must be a whole number >= {REST + KEPT}"):
        replace(FEW, horizon=200)


@pytest.mark.parametrize("study", (pricing, dealer))
def test_a_condition_that_is_not_there_is_told_with_those_that_are(study, tmp_path, capsys):
    assert study.main(["--out", str(tmp_path), "--only", "nothing"]) == 2
    assert "is no condition; there are" in capsys.readouterr().err


@pytest.mark.train
@pytest.mark.parametrize(
    "condition", ("ppo", "dqn", "ppo_on_tables", "ppo_with_table", "dqn_with_table")
)
def test_a_short_training_of_the_pricing_study_ends_in_a_verdict(condition):
    facts = pricing.judged(FEW, condition, 0)
    assert -2.0 < facts["profit_gain"] < 1.0
    assert len(facts["prices"]) == 2
    assert [facts["gain_1"], facts["gain_2"]] == list(facts["gain"])
    assert -2.0 < facts["late_1"] < 2.0


@pytest.mark.train
def test_a_table_beside_a_network_learns_in_every_market_until_the_end():
    table = pricing.learnt(FEW, "ppo_with_table", 0).policies["firm_2"]
    memory, learner = table.checkpoint.memory, pricing.brisk(FEW)["firm_2"]
    assert memory.clock == FEW.periods == 64
    assert memory.epsilon == pytest.approx(np.exp(-FEW.beta * 64))
    changed = (memory.q != learner.first_table(1)).any(axis=1).reshape(3, -1)
    assert (changed.sum(axis=1) > 1).all()
    assert (changed[0] != changed[1]).any()  # each market has a table of its own


@pytest.mark.train
@pytest.mark.parametrize("condition", ("ppo_2", "ppo_on_as"))
def test_a_short_training_of_the_dealer_study_ends_in_an_outcome(condition):
    short = dealer.DealerStudySettings(markets=4, ticks=32, iterations=1, judged=8)
    facts = dealer.judged(short, condition, 0)
    assert sum(facts["share"]) == pytest.approx(1.0)
    assert len(facts["spread"]) == 2
