"""Avellaneda and Stoikov (2008): the experiment's figures, form and formulas."""

import json
import math

import numpy as np
import pytest

from experiments.avellaneda_stoikov_2008.run import (
    PUBLISHED,
    QUANTITIES,
    STRATEGIES,
    DealerSettings,
    average_spread,
    estimates,
    main,
    market,
    policies,
    results,
    simulate,
)
from mos_agents.market.types import InputError
from mos_agents.rollout import rollout


def by_name(records):
    return {r["quantity"]: r for r in records}


@pytest.fixture(scope="module")
def at_a_tenth():
    return by_name(results(DealerSettings(gamma=0.1)))


@pytest.mark.parametrize("gamma", sorted(PUBLISHED))
def test_every_published_figure_is_reproduced_within_the_sampling_error_of_both(gamma):
    for record in results(DealerSettings(gamma=gamma)):
        assert record["within"] is True, record


def test_a_wrong_order_flow_is_told_from_the_published_figures(monkeypatch):
    wrong = market(DealerSettings(kappa=1.4))
    monkeypatch.setattr("experiments.avellaneda_stoikov_2008.run.market", lambda a: wrong)
    found = by_name(results(DealerSettings(gamma=0.1)))
    assert found["inventory.profit"]["within"] is False
    assert found["symmetric.profit"]["within"] is False


def test_the_spread_is_the_formulas_average_over_the_steps(at_a_tenth):
    # T - t runs over 1, .995, ..., .005, whose mean is .5025.
    by_hand = 0.1 * 4.0 * 0.5025 + 20.0 * math.log(1.0 + 0.1 / 1.5)
    assert average_spread(DealerSettings(gamma=0.1)) == pytest.approx(by_hand, rel=1e-13)
    for strategy in STRATEGIES:
        assert at_a_tenth[f"{strategy}.spread"]["ours"] == pytest.approx(by_hand, rel=1e-12)


def test_every_quote_of_the_inventory_strategy_is_the_papers_formula():
    a = DealerSettings(gamma=0.5, seed=3)
    kept = ("bid", "ask", "reference", "inventory")
    played = rollout(
        market(a), {"maker_1": policies(a)["inventory"]}, seed=3, markets=20, series=kept
    )
    bid, ask, mid, held = (played.series[name][:, :, 0] for name in kept)
    before = np.vstack([np.zeros((1, 20)), held[:-1]])
    risk = 0.5 * 4.0 * (1.0 - 0.005 * np.arange(200))[:, None]
    half = 0.5 * (risk + 4.0 * math.log(1.0 + 0.5 / 1.5))
    np.testing.assert_allclose(bid, mid - before * risk - half, atol=1e-9)
    np.testing.assert_allclose(ask, mid - before * risk + half, atol=1e-9)


def test_leaning_against_the_inventory_costs_profit_and_makes_it_safer(at_a_tenth):
    ours = {name: record["ours"] for name, record in at_a_tenth.items()}
    assert ours["inventory.profit"] < ours["symmetric.profit"]
    assert ours["inventory.profit_sd"] < 0.6 * ours["symmetric.profit_sd"]
    assert ours["inventory.q_sd"] < 0.5 * ours["symmetric.q_sd"]


def test_both_strategies_face_the_same_prices():
    a = DealerSettings(paths=5)
    finals = [
        rollout(market(a), {"maker_1": p}, markets=5).final.reference for p in policies(a).values()
    ]
    np.testing.assert_array_equal(*finals)


def test_a_path_does_not_depend_on_how_many_are_simulated_at_once():
    a = DealerSettings(paths=23)
    policy = policies(a)["inventory"]
    together, apart = simulate(a, policy), simulate(a, policy, at_once=7)
    np.testing.assert_array_equal(together.profit, apart.profit)
    np.testing.assert_array_equal(together.q, apart.q)


def test_the_error_of_a_standard_deviation_of_normals_is_sd_over_the_root_of_2n():
    from experiments.avellaneda_stoikov_2008.run import StrategyPaths

    values = np.random.default_rng(0).normal(0.0, 3.0, 400_000)
    (_, _), (mean, of_mean), (sd, of_sd), *_ = estimates(StrategyPaths(1.0, values, values))
    assert mean == pytest.approx(0.0, abs=0.02)
    assert (of_mean, sd) == (sd, pytest.approx(3.0, rel=0.01))
    assert of_sd == pytest.approx(3.0 / math.sqrt(2.0), rel=0.01)


@pytest.mark.parametrize("gamma", [0.1, 0.5])
def test_the_file_has_every_column_in_the_form_of_all_experiments(tmp_path, capsys, gamma):
    file = tmp_path / "results.json"
    assert main(["--json", str(file), "--gamma", str(gamma), "--paths", "200"]) == 0
    records = json.loads(file.read_text())["results"]
    names = [f"{s}.{q}" for s in STRATEGIES for q in QUANTITIES]
    assert [r["quantity"] for r in records] == names
    for record in records:
        low, high = record["ci95"]
        assert low <= record["ours"] <= high
        known = gamma == 0.1
        assert (record["published"] is None) != known
        assert (record["within"] is None) != known
        assert record["source"] == ("Table 1" if known else None)
    assert f"gamma {gamma:g}" in capsys.readouterr().out


def test_figures_of_other_parameters_are_not_compared_with_the_papers():
    records = results(DealerSettings(gamma=0.1, paths=50, sigma=1.0))
    assert {r["published"] for r in records} == {None}


def test_what_cannot_be_simulated_is_refused_in_one_line(capsys, tmp_path):
    with pytest.raises(InputError, match="paths=1 must be >= 2"):
        DealerSettings(paths=1)
    file = tmp_path / "results.json"
    assert main(["--gamma", "-1", "--json", str(file)]) == 2
    assert capsys.readouterr().err == "error: gamma=-1.0 must be a finite number > 0\n"
    assert not file.exists()
