"""How often 95% intervals hold the truth: few sessions, skewed sessions, counts, differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mos_agents.analysis.interval_text import interval_text
from mos_agents.analysis.shares import bounded_interval, quantile_interval
from mos_agents.analysis.statistics import bootstrap_interval, difference_interval, mean_interval
from mos_agents.rollout import mean_interval as of_replicates

TRIALS = 600

LAWS = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
    "log-normal": (lambda rng, n: rng.lognormal(size=n), np.exp(0.5)),
    "counts": (lambda rng, n: rng.poisson(1.0, n).astype(float), 1.0),
    "paired": (lambda rng, n: rng.exponential(size=n) - rng.exponential(size=n), 0.0),
}


def coverage(interval, draw, truth, n, seed=0):
    rng = np.random.default_rng([seed, n])
    found = [interval(draw(rng, n)) for _ in range(TRIALS)]
    return float(np.mean([one[1] <= truth <= one[2] for one in found]))


def error(rate):
    """Three standard errors of a measured coverage."""
    return 3.0 * np.sqrt(rate * (1.0 - rate) / TRIALS)


@pytest.mark.parametrize("n", [5, 6, 8, 10, 15, 30, 100])
@pytest.mark.parametrize("law", LAWS)
def test_means_of_five_sessions_and_more_are_covered(law, n):
    draw, truth = LAWS[law]
    found = coverage(lambda x: mean_interval(x, resamples=999), draw, truth, n)
    assert found >= 0.93 - error(0.93)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_means_of_fewer_are_students_and_are_called_rough(n):
    draw, truth = LAWS["normal"]
    assert coverage(mean_interval, draw, truth, n) == pytest.approx(0.95, abs=error(0.95))
    rng = np.random.default_rng(n)
    sample = rng.normal(size=n)
    found = mean_interval(sample)
    reach = stats.t.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n)
    assert found.high - found.estimate == pytest.approx(reach)
    assert interval_text(found, n).endswith(f"] (rough: {n} sessions)")
    assert "rough" not in interval_text(mean_interval(rng.normal(size=5)), 5)


def test_the_coverage_of_few_skewed_sessions_is_what_the_description_says():
    draw, truth = LAWS["exponential"]
    assert coverage(mean_interval, draw, truth, 3) == pytest.approx(0.885, abs=error(0.885))
    draw, truth = LAWS["log-normal"]
    assert coverage(mean_interval, draw, truth, 3) == pytest.approx(0.837, abs=error(0.837))


@pytest.mark.parametrize("n", [2, 5, 10])
def test_paired_comparisons_of_few_replicates_are_covered(n):
    draw, truth = LAWS["normal"]
    found = coverage(lambda x: of_replicates(x, 0.95, 999), draw, truth, n)
    assert found >= 0.95 - error(0.95)


@pytest.mark.parametrize("sizes", [(5, 5), (5, 20), (10, 10), (30, 12)])
@pytest.mark.parametrize("law", ["normal", "exponential", "log-normal"])
def test_differences_of_two_groups_are_covered(law, sizes):
    draw, truth = LAWS[law]

    def interval(both):
        return difference_interval(both[: sizes[0]], 2.0 * both[sizes[0] :], resamples=999)

    found = coverage(interval, draw, -truth, sum(sizes))
    assert found >= 0.93 - error(0.93)


@pytest.mark.parametrize("n", [5, 10, 30])
def test_ratios_of_means_are_covered(n):
    def ratio(a, b, axis=-1):
        return a.mean(axis=axis) / b.mean(axis=axis)

    def interval(both):
        return bootstrap_interval((both[:n], 1.0 + both[n:]), ratio, 0.95, 499, 0)

    found = coverage(interval, lambda rng, m: rng.exponential(size=m), 0.5, 2 * n)
    assert found >= 0.93 - error(0.93)


@pytest.mark.parametrize("n", [6, 10, 40])
def test_medians_are_covered_whatever_the_law(n):
    for law in ("normal", "log-normal"):
        truth = 0.0 if law == "normal" else 1.0
        found = coverage(lambda x: quantile_interval(x, 0.5), LAWS[law][0], truth, n)
        assert found >= 0.95 - error(0.95)
    assert np.isinf(quantile_interval([1.0, 2.0, 3.0, 4.0, 5.0], 0.5).high)


@pytest.mark.parametrize("n", [5, 10, 30])
def test_means_of_shares_are_covered(n):
    found = coverage(
        lambda x: bounded_interval(x, resamples=999), lambda rng, m: rng.beta(0.5, 2.0, m), 0.2, n
    )
    assert found >= 0.93 - error(0.93)


def test_a_few_counts_that_differ_have_finite_limits():
    for values in ([1, 1, 1, 2, 2], [0, 0, 0, 0, 1], [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]):
        found = mean_interval(values)
        assert np.isfinite(found).all() and found.low < found.estimate < found.high
