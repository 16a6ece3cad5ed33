"""Calvano et al. (2020): benchmarks to six digits, the grid, and a few sessions within error."""

import json

import numpy as np
import pytest

from experiments.calvano_2020 import figure, heat_map
from experiments.calvano_2020.run import (
    CalvanoSettings,
    benchmarks,
    learners,
    market,
    played,
    published,
    punishment_length,
    replicate,
)
from experiments.replication import ExecutionConfig
from mos_agents.games.repeated import RepeatedGame
from mos_agents.rollout import rollout

QUICK = {"alpha": 0.15, "beta": 2e-5}
"""Converges in a quarter of the baseline's time, near its profit gain."""


@pytest.mark.parametrize(
    ("n", "nash", "joint", "nash_profit", "joint_profit"),
    [
        (2, 1.472927, 1.924981, 0.222927, 0.337490),
        (3, 1.370163, 2.000000, 0.120163, 0.250000),
        (4, 1.331461, 2.054411, 0.081461, 0.201103),
    ],
)
def test_prices_and_profits_of_theory_to_six_digits(n, nash, joint, nash_profit, joint_profit):
    b = benchmarks(CalvanoSettings(n=n))
    for ours, paper in (
        (b.price_nash, nash),
        (b.price_joint, joint),
        (b.profit_nash, nash_profit),
        (b.profit_joint, joint_profit),
    ):
        assert ours.shape == (n,)
        np.testing.assert_allclose(ours, paper, atol=5.1e-7, rtol=0)


def test_the_grid_reaches_a_tenth_beyond_both_benchmarks():
    s = CalvanoSettings()
    b, made = benchmarks(s), learners(s, market(s))["firm_1"]
    reach = 0.1 * (b.price_joint[0] - b.price_nash[0])
    assert len(made.grid) == 15
    assert made.grid[0] == pytest.approx(b.price_nash[0] - reach, abs=1e-12)
    assert made.grid[-1] == pytest.approx(b.price_joint[0] + reach, abs=1e-12)
    np.testing.assert_allclose(np.diff(made.grid), np.diff(made.grid)[0])


def test_the_first_table_is_the_mean_profit_against_uniform_rivals_for_ever():
    s = CalvanoSettings(n=3, levels=4)
    made = learners(s, market(s))["firm_2"]
    p = made.grid

    def profit(own, one, other):
        weights = np.exp((2.0 - np.array([own, one, other])) / 0.25)
        return (own - 1.0) * weights[0] / (weights.sum() + 1.0)

    by_hand = [np.mean([profit(a, x, y) for x in p for y in p]) / 0.05 for a in p]
    assert made.initial == pytest.approx(by_hand, rel=1e-12)


def test_a_cheaper_firm_has_a_grid_of_its_own_and_more_profit():
    s = CalvanoSettings(cost=(1.0, 0.5))
    b, made = benchmarks(s), learners(s, market(s))
    assert b.price_nash[1] < b.price_nash[0] and b.profit_nash[1] > b.profit_nash[0]
    assert made["firm_1"].rival_prices == (made["firm_2"].prices,)
    assert made["firm_2"].rival_prices == (made["firm_1"].prices,)
    swapped = benchmarks(CalvanoSettings(cost=(0.5, 1.0)))
    np.testing.assert_allclose(swapped.price_nash, b.price_nash[::-1], rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_the_compiled_game_plays_what_the_market_plays_tick_by_tick(n):
    s = CalvanoSettings(n=n, levels=5, beta=5e-3)
    one_market = market(s)
    chosen = learners(s, one_market)
    made = RepeatedGame.of(one_market, chosen)
    state, trace = made.start(3, 0), np.empty((1500, n), np.int64)
    made.advance(state, 3, 0, 1500, trace=trace)
    seen = rollout(one_market, chosen, seed=3, ticks=1500, series=("ask",))
    grids = np.stack([chosen[name].grid for name in one_market.layout.participants])
    np.testing.assert_array_equal(grids[np.arange(n), trace], seen.series["ask"][:, 0])


@pytest.mark.parametrize("memory", [0, 1, 2])
def test_sessions_end_whatever_the_memory(memory):
    quick = CalvanoSettings(levels=4, memory=memory, beta=2e-3, window=2000, sessions=3)
    found = {one.quantity: one.ours for one in replicate(quick, ExecutionConfig())}
    assert found["converged_share"] == 1.0
    assert ("one_shot_nash_share" in found) == (memory == 1)


def test_sellers_share_most_of_the_way_to_joint_profit():
    outcome = played(CalvanoSettings(sessions=24, **QUICK), ExecutionConfig())
    gain = outcome.profit_gain
    error = gain.std(ddof=1) / np.sqrt(24)
    # The paper's grid says 70 to 90 per cent; 24 sessions know the mean to about .03.
    assert error < 0.06
    assert 0.7 - 3 * error < gain.mean() < 0.9 + 3 * error


def test_without_patience_sellers_share_less():
    patient = played(CalvanoSettings(sessions=16, **QUICK), ExecutionConfig()).profit_gain
    myopic = played(CalvanoSettings(sessions=16, delta=0.0, **QUICK), ExecutionConfig()).profit_gain
    assert myopic.mean() < patient.mean() - 0.2


def test_settings_of_a_published_play_are_recognised_and_no_others():
    assert published(CalvanoSettings(sessions=5, seed=9))["profit_gain"].value == 0.849
    assert published(CalvanoSettings(n=3))["profit_gain"].value == 0.643
    assert published(CalvanoSettings(n=3, alpha=0.05, beta=2.4e-7))["profit_gain"].value == 0.750
    assert published(CalvanoSettings(cost=(1, 0.5)))["profit_gain"].value == 0.759
    assert "profit_gain" not in published(CalvanoSettings(alpha=0.1))
    assert published(CalvanoSettings(mu=0.3)) == {}
    assert published(CalvanoSettings(alpha=0.1))["nash_price"].value == 1.472927


def test_a_punishment_lasts_until_the_average_cut_is_within_a_hundredth():
    assert punishment_length(np.array([0.0, -0.13, -0.1, -0.02, -0.009, -0.05])) == 3
    assert punishment_length(np.array([0.0, 0.0, -0.1])) == 0
    assert punishment_length(np.array([0.0, -0.1, -0.1])) == 2


def test_figures_are_drawn_and_the_same_command_draws_the_same_bytes(tmp_path, capsys):
    quick = ["--set", "levels=4", "--set", "window=2000", "--sessions", "3"]
    pictures = []
    for name in ("a", "b"):
        out = tmp_path / name / "r.svg"
        out.parent.mkdir()
        assert figure.main([*quick, "--set", "beta=2e-3", "--out", str(out)]) == 0
        pictures.append(out.read_bytes())
    assert pictures[0] == pictures[1] and b"rivals" in pictures[0]
    assert "One firm cuts to its best reply, rivals: +0.000 +0.000" in capsys.readouterr().out
    bad = [*quick, "--out", str(tmp_path / "r.pdf")]
    assert figure.main(bad) == 2
    assert capsys.readouterr().err.endswith("r.pdf: a figure's name ends in .png or .svg\n")


@pytest.mark.parametrize("drawn", [figure, heat_map])
def test_a_figure_of_a_market_without_a_range_of_prices_is_refused_in_one_line(
    drawn, tmp_path, capsys
):
    assert drawn.main(["--set", "quality=-1e6", "--out", str(tmp_path / "r.png")]) == 2
    error = capsys.readouterr().err
    assert "without a range between them" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_heat_map_has_a_cell_for_each_alpha_and_beta(tmp_path, monkeypatch, capsys):
    quick = heat_map.ParameterGrid(
        (0.1, 0.2), (1e-3, 2e-3), 2, CalvanoSettings(levels=4, window=2000)
    )
    monkeypatch.setattr(heat_map.ParameterGrid, "of", classmethod(lambda cls, *a: quick))
    out, cells = tmp_path / "heat.png", tmp_path / "heat.json"
    assert heat_map.main(["--out", str(out), "--json", str(cells)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    record = json.loads(cells.read_text())["cells"]
    assert [(c["alpha"], c["beta"]) for c in record] == [
        (0.1, 1e-3),
        (0.2, 1e-3),
        (0.1, 2e-3),
        (0.2, 2e-3),
    ]
    alone = played(
        CalvanoSettings(levels=4, window=2000, alpha=0.2, beta=1e-3, sessions=2), ExecutionConfig()
    )
    assert record[1]["profit_gain"] == pytest.approx(alone.profit_gain.mean())


def test_the_papers_grid_runs_over_its_ranges():
    grid = heat_map.ParameterGrid.of(4, 4, CalvanoSettings())
    assert grid.alphas == (0.025, 0.1, 0.175, 0.25)
    assert grid.betas[0] == 2e-7 and grid.betas[-1] == 2e-5


def test_the_band_of_a_response_is_that_of_sessions_not_of_cases():
    from experiments.calvano_2020.figure import with_band

    by_session = np.array([1.0, -1.0, 3.0, 1.0])
    cases = np.repeat(by_session, 50)[None, :] * np.ones((2, 1))
    mean, low, high = with_band(cases, np.repeat([4, 7, 8, 9], 50))
    error = by_session.std(ddof=1) / np.sqrt(4)
    assert mean == pytest.approx(1.0)
    assert high - mean == pytest.approx([3.182 * error] * 2, rel=1e-3)
    assert mean - low == pytest.approx(high - mean)
