"""A winner is named where chance could not have named it, and not otherwise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mos_agents.analysis.ranking import (
    FEWEST,
    FEWEST_FOR_RISK,
    best_mean,
    deviation_ratio,
    mean_over_deviation,
    paired_difference,
    pairs_by_deviation,
    pairs_by_sharpe,
)
from mos_agents.market.types import InputError

DRAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.standard_t(3, shape),
    "a coin": lambda rng, shape: rng.integers(0, 2, shape).astype(float),
    "rare large losses": lambda rng, shape: -rng.lognormal(0.0, 1.0, shape),
}


def alarms(rule, draw, markets, makers, runs=400):
    rng = np.random.default_rng(1)
    return sum(bool(rule(draw(rng, (markets, makers)))) for _ in range(runs)) / runs


@pytest.mark.parametrize("makers", [2, 3, 6])
@pytest.mark.parametrize("markets", [6, 20])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_among_identical_makers_a_winner_is_named_once_in_twenty_runs_at_most(
    draw, markets, makers
):
    """Of 400 runs at a true rate of 5% more than 8.5% are named once in a thousand tests."""
    assert alarms(lambda v: best_mean(v).named, draw, markets, makers) < 0.085


@pytest.mark.parametrize("rule", [pairs_by_deviation, pairs_by_sharpe])
@pytest.mark.parametrize("makers", [2, 4])
@pytest.mark.parametrize("draw", list(DRAWS.values())[:3], ids=list(DRAWS)[:3])
def test_identical_makers_are_told_apart_by_risk_once_in_twenty_runs_at_most(draw, makers, rule):
    assert alarms(rule, draw, 20, makers, 200) < 0.1


def test_a_better_maker_is_named_however_the_markets_scatter_as_long_as_it_is_within_them():
    """Markets that differ by 100 hide a lead of 1 from the means, but not from the differences."""
    rng = np.random.default_rng(0)
    values = 100.0 * rng.standard_normal((30, 1)) + 0.5 * rng.standard_normal((30, 3))
    values[:, 1] += 1.0
    found = best_mean(values)
    assert (found.leader, found.named) == (1, True)
    assert found.margins[1] is None
    assert all(one.low > 0.0 for one in found.margins if one is not None)


def test_leads_are_held_to_the_level_of_all_pairs_as_the_figures_chose_the_leader():
    values = np.random.default_rng(4).standard_normal((20, 4))
    found = best_mean(values)
    for n, margin in enumerate(found.margins):
        if margin is not None:
            alone = paired_difference(values[:, found.leader], values[:, n], 1.0 - 0.05 / 6)
            assert margin[:3] == pytest.approx(alone[:3])
    two = best_mean(values[:, :2])
    (lead,) = (one for one in two.margins if one is not None)
    other = 1 - two.leader
    assert lead == paired_difference(values[:, two.leader], values[:, other])


def test_a_maker_that_beats_one_and_not_the_other_is_not_named():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((50, 3)) + np.array([2.0, 2.0, 0.0])
    found = best_mean(values)
    assert not found.named and found.nearest in (0, 1)


@pytest.mark.parametrize("markets", range(1, FEWEST))
def test_of_too_few_markets_nobody_is_named_whatever_the_figures(markets):
    values = np.tile([0.0, 1.0, 2.0], (markets, 1)) + 1e-3 * np.arange(markets)[:, None]
    assert not best_mean(values).named


def test_of_too_few_markets_nobody_is_named_for_little_risk():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((FEWEST_FOR_RISK, 2)) * np.array([0.01, 1.0])
    assert pairs_by_deviation(values)
    assert not pairs_by_deviation(values[1:])


def test_a_lead_that_is_the_same_in_every_market_has_no_width_and_is_named():
    values = np.random.default_rng(0).standard_normal((8, 1)) + np.array([0.0, 0.25])
    found = best_mean(values)
    assert found.named
    assert found.margins[0].low == pytest.approx(found.margins[0].high)


def test_makers_with_the_same_figures_are_not_told_apart():
    values = np.tile(np.random.default_rng(0).standard_normal((40, 1)), 3)
    assert not best_mean(values).named
    assert pairs_by_deviation(values) == () and pairs_by_sharpe(values) == ()


def test_markets_without_any_chance_do_not_divide_by_a_deviation_of_zero():
    values = np.tile([3.0, 1.0, 2.0], (30, 1))
    assert best_mean(values).named  # it is exact, in every market
    assert pairs_by_deviation(values) == ()
    assert not np.isfinite(mean_over_deviation(values[:, 0]).high)


def test_a_ratio_of_deviations_covers_the_true_one():
    """sd 1 and 3 with a correlation of .7, 30 markets; 95% of 400 is 380, sd 4.4."""
    rng, covered = np.random.default_rng(2), 0
    for _ in range(400):
        common = rng.standard_normal(30)
        one = np.sqrt(0.7) * common + np.sqrt(0.3) * rng.standard_normal(30)
        two = np.sqrt(0.7) * common + np.sqrt(0.3) * rng.standard_normal(30)
        found = deviation_ratio(one, 3.0 * two)
        covered += found.low < 1 / 3 < found.high
    assert 360 <= covered <= 396


def test_the_jackknife_of_a_mean_would_be_students_interval():
    from mos_agents.analysis.ranking import jackknifed

    sample = np.random.default_rng(3).exponential(size=25)
    found = jackknifed(sample[None], lambda c: c[0].mean(axis=-1))
    student = paired_difference(sample, np.zeros(25))
    assert found[:4] == pytest.approx(student[:4])


VALUES = arrays(np.float64, (24, 3), elements=st.floats(-1e3, 1e3, width=32))


@given(values=VALUES, shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_units_and_the_order_of_makers_change_nothing(values, shift, scale):
    found = best_mean(values)
    if found.margins[found.nearest] is None or found.margins[found.nearest].estimate < 1e-3:
        return  # a tie has no leader
    moved = best_mean(scale * values + shift)
    assert (moved.leader, moved.named) == (found.leader, found.named)
    order = [2, 0, 1]
    turned = best_mean(values[:, order])
    assert (order[turned.leader], turned.named) == (found.leader, found.named)


@pytest.mark.parametrize("values", [np.ones(3), np.full((3, 2), np.nan), np.empty((0, 2))])
def test_what_is_no_table_of_figures_is_refused(values):
    with pytest.raises(InputError, match=r"must be \[replicates, participants\]"):
        best_mean(values)
