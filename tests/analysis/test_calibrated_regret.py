"""Calibrated regret (Hartline, Long and Zhang 2024): by hand, in exact markets, and as a screen."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.analysis.screens import (
    CalibratedRegret,
    Observed,
    calibrated_regret,
    deviation_table,
    hindsight_regret,
    plausible_regret,
    regret_error,
    ticks_needed,
)
from mos_agents.analysis.screens.regret import held_out_p_value
from mos_agents.market.types import InputError

GRID = np.arange(12, 22) / 10
WEIGHT = np.exp((2.0 - GRID) / 0.25)
SHARES = WEIGHT[:, None] / (WEIGHT[:, None] + WEIGHT[None, :] + 1.0)
"""Share at the row's price where the rival asks the column's, in the logit base market."""


def mixture(price, eps):
    """Mostly one price, with eps spread over all."""
    chances = np.full(GRID.size, eps / GRID.size)
    chances[np.abs(GRID - price).argmin()] += 1.0 - eps
    return chances


def exact(*mixtures):
    """The table of a seller whose rival draws from the same mixture, in step."""
    tables = [pi[:, None] * (SHARES @ pi)[None, :] for pi in mixtures]
    return np.mean(tables, axis=0)


def play(pi, ticks, seed):
    """Both sellers draw from pi; seller 0's record."""
    drawn = np.random.default_rng(seed).choice(GRID.size, size=(ticks, 2), p=pi)
    units = SHARES[drawn, drawn[:, ::-1]]
    return np.tile(pi, (ticks, 1)), drawn, units


def test_four_rounds_by_hand():
    table = deviation_table(np.full((4, 2), 0.5), [0, 1, 0, 1], [1.0, 0.0, 1.0, 1.0])
    np.testing.assert_allclose(table, [[0.5, 0.25], [0.5, 0.25]])
    costs = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(calibrated_regret(table, [1.0, 2.0], costs), 0.25 * costs)
    assert plausible_regret(table, [1.0, 2.0], 0.0, 1.0) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("price", "eps", "regret", "near", "wide"),
    [
        (1.9, 0.2, 0.065770, (0.035343, 1.2), (0.020859, 1.4212)),
        (1.4, 0.2, 0.013745, (0.011301, 0.9579), (0.011301, 0.9579)),
        (1.9, 0.05, 0.063392, (0.026680, 1.2), (0.005422, 1.4165)),
    ],
)
def test_the_exact_regret_of_the_logit_base_market(price, eps, regret, near, wide):
    table = exact(mixture(price, eps))
    assert calibrated_regret(table, GRID, 1.0) == pytest.approx(regret, abs=1e-6)
    assert plausible_regret(table, GRID, 0.8, 1.2) == pytest.approx(near, abs=1e-4)
    assert plausible_regret(table, GRID, 0.0, 2.0) == pytest.approx(wide, abs=1e-4)


def test_plausible_regret_is_the_least_over_a_fine_grid_of_costs():
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = rng.random((6, 6))
        price = np.sort(rng.random(6)) + 0.5
        found, cost = plausible_regret(table, price, 0.1, 1.3)
        fine = calibrated_regret(table, price, np.linspace(0.1, 1.3, 20001))
        assert found <= fine.min() + 1e-12
        assert found == pytest.approx(fine.min(), abs=1e-3)
        assert calibrated_regret(table, price, cost) == pytest.approx(found, abs=1e-12)


def test_play_in_step_hides_regret_from_the_best_single_price():
    table = exact(mixture(1.9, 0.2), mixture(1.4, 0.2))
    assert calibrated_regret(table, GRID, 1.0) == pytest.approx(0.038550, abs=1e-6)
    assert hindsight_regret(table, GRID, 1.0) == pytest.approx(0.034237, abs=1e-6)


def test_the_estimate_of_a_largest_gain_is_biased_and_the_held_out_one_is_not():
    pi, plain, held_out = mixture(1.4, 0.2), [], []
    for seed in range(40):
        chances, drawn, units = play(pi, 1000, seed)
        plain.append(calibrated_regret(deviation_table(chances, drawn[:, 0], units[:, 0]), GRID, 1))
        cost, allowed = np.ones(1000), 0.0
        own = chances, drawn[:, 0], units[:, 0], GRID
        held_out.append(held_out_p_value(*own, cost, allowed)[1])
    assert np.mean(plain) > 0.035  # the truth is .0137
    assert np.mean(held_out) < 0.0137


def test_estimates_come_to_the_truth():
    chances, drawn, units = play(mixture(1.9, 0.2), 400_000, 1)
    table = deviation_table(chances, drawn[:, 0], units[:, 0])
    assert calibrated_regret(table, GRID, 1.0) == pytest.approx(0.0658, abs=0.012)


def test_the_error_bound_is_hoeffdings_and_tells_the_data_still_needed():
    found = regret_error(1000, 0.02, GRID, 1.0)
    entry = np.sqrt(np.log(2 * 100 / 0.05) / 2000) / 0.02
    assert found.entry == pytest.approx(entry)
    assert found.regret == pytest.approx(entry * (10 * 1.1 + (GRID - 1.0).sum()))
    needed = ticks_needed(0.05, 0.02, GRID, 1.0)
    assert regret_error(needed, 0.02, GRID, 1.0).regret <= 0.05
    assert regret_error(needed - 1, 0.02, GRID, 1.0).regret > 0.05


@pytest.mark.parametrize(
    ("price", "cost", "alarm"), [(1.9, 1.0, True), (1.4, 1.0, False), (1.4, None, False)]
)
def test_the_screen_tells_a_cartel_price_from_an_equilibrium(price, cost, alarm):
    chances, drawn, units = play(mixture(price, 0.2), 3000, 2)
    record = Observed(GRID[drawn], cost, units, chances=np.stack([chances] * 2, axis=1), grid=GRID)
    found = CalibratedRegret().test(record)
    assert found.alarm is alarm, found.sentence


def test_a_price_without_a_chance_is_refused():
    with pytest.raises(InputError, match="chance > 0"):
        deviation_table([[1.0, 0.0]], [1], [1.0])
