"""Intervals over sessions: their coverage, their published values, and what is known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mos_agents.analysis.durations import survival
from mos_agents.analysis.shares import (
    bounded_interval,
    clopper_pearson,
    quantile_interval,
    share_interval,
    wilson_interval,
)
from mos_agents.analysis.statistics import difference_interval, mean_interval
from mos_agents.market.types import InputError

SAMPLE = np.random.default_rng(0).exponential(1.0, 200)


def test_a_mean_lies_in_its_interval_which_is_about_that_of_student():
    found = mean_interval(SAMPLE)
    error = SAMPLE.std(ddof=1) / np.sqrt(SAMPLE.size)
    assert found.estimate == SAMPLE.mean()
    assert found.standard_error == pytest.approx(error, rel=0.1)
    assert found.low == pytest.approx(SAMPLE.mean() - 1.96 * error, abs=0.4 * error)
    assert found.high == pytest.approx(SAMPLE.mean() + 1.96 * error, abs=0.4 * error)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = np.zeros(3)
    for _ in range(200):
        a, b = rng.exponential(1.0, 60), rng.exponential(2.0, 40)
        for k, (found, truth) in enumerate(
            [
                (mean_interval(a, 0.9, 400), 1.0),
                (quantile_interval(a, 0.5, 0.9), np.log(2.0)),
                (difference_interval(b, a, confidence=0.9, resamples=400), 1.0),
            ]
        ):
            covered[k] += found.low <= truth <= found.high
    # 180 +- 3 standard deviations of 4.2; the bootstrap of 40 skewed numbers may fall short a bit.
    assert (covered >= 164).all()
    assert (covered <= 193).all()


def test_same_seed_same_bits_and_seed_0_is_a_seed():
    assert mean_interval(SAMPLE, seed=0) == mean_interval(SAMPLE, seed=0)
    assert mean_interval(SAMPLE, seed=0) != mean_interval(SAMPLE, seed=1)


def test_more_confidence_is_a_wider_interval():
    narrow, wide = mean_interval(SAMPLE, 0.5), mean_interval(SAMPLE, 0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_share_of_all_or_none_is_not_known_for_sure():
    some = share_interval([True] * 30 + [False] * 70)
    assert some.low < 0.3 < some.high
    none = share_interval([False] * 50)
    assert (none.estimate, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1.0 - 0.025 ** (1 / 50))
    assert share_interval([True] * 50).low == pytest.approx(0.025 ** (1 / 50))


def test_quantiles_are_those_of_the_sample():
    found = quantile_interval(SAMPLE, 0.25)
    assert found.estimate == np.quantile(SAMPLE, 0.25)
    assert found.low < found.estimate < found.high


def test_pairing_takes_the_common_chance_out_of_a_difference():
    noise = np.random.default_rng(0).normal(0.0, 10.0, 100)
    treated = noise + 1.0 + 0.01 * np.arange(100) / 100
    paired = difference_interval(treated, noise, paired=True)
    apart = difference_interval(treated, noise)
    assert paired.estimate == pytest.approx(apart.estimate)
    assert paired.high - paired.low < 0.01
    assert apart.high - apart.low > 2.0


def test_groups_of_different_size_are_compared_by_any_statistic():
    found = difference_interval(SAMPLE[:120] + 5.0, SAMPLE[120:], np.median)
    assert found.low < 5.0 < found.high
    assert found.estimate == np.median(SAMPLE[:120] + 5.0) - np.median(SAMPLE[120:])


# --- exact limits ---------------------------------------------------------------------------------


def test_clopper_pearson_limits_are_where_the_binomial_tails_are_half_of_the_rest():
    low, high = clopper_pearson(7, 50)
    assert stats.binom.sf(6, 50, low) == pytest.approx(0.025)
    assert stats.binom.cdf(7, 50, high) == pytest.approx(0.025)
    only = clopper_pearson(7, 50, side="upper")
    assert only[0] == 0.0
    assert stats.binom.cdf(7, 50, only[1]) == pytest.approx(0.05)
    assert clopper_pearson(43, 50, side="lower")[0] == pytest.approx(1.0 - only[1])


def test_no_alarm_in_1000_is_at_most_3_in_1000_and_38_are_just_below_5_per_cent():
    assert clopper_pearson(0, 1000, side="upper")[1] == pytest.approx(1.0 - 0.05**1e-3)
    upper = [clopper_pearson(k, 1000, side="upper")[1] for k in (38, 39)]
    assert upper[0] < 0.05 < upper[1]
    assert clopper_pearson(1000, 1000, side="upper") == (0.0, 1.0)


# --- durations ------------------------------------------------------------------------------------


def test_the_product_limit_by_hand():
    # 1 of 4 ends at 2; one is cut off at 3; 1 of the 2 left ends at 5; the last is cut off at 8.
    found = survival([5, 2, 8, 3], [True, True, False, False])
    np.testing.assert_array_equal(found.time, [2.0, 5.0])
    np.testing.assert_allclose(found.share, [0.75, 0.375])
    assert found.median == 5.0
    assert found.mean == pytest.approx(2.0 + 0.75 * 3 + 0.375 * 3)


def test_without_censoring_it_is_the_plain_mean_and_median():
    found = survival([1, 2, 3, 10], [True] * 4)
    assert (found.median, found.mean) == (2.0, 4.0)


def test_where_nothing_was_seen_to_end_there_is_no_median():
    found = survival([4, 6], [False, False])
    assert (found.median, found.mean, found.time.size) == (None, 6.0, 0)


def test_censoring_does_not_shorten_what_lasts_long():
    rng = np.random.default_rng(0)
    true, cut = rng.exponential(10.0, 4000), rng.uniform(0.0, 20.0, 4000)
    found = survival(np.minimum(true, cut), true <= cut)
    assert found.median == pytest.approx(10.0 * np.log(2.0), rel=0.08)
    assert np.median(true[true <= cut]) < 0.7 * found.median


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_interval([]), "values has shape"),
        (lambda: mean_interval([1.0, np.nan]), "values has shape"),
        (lambda: mean_interval([1.0, 2.0], confidence=1.0), "confidence=1.0"),
        (lambda: share_interval([0.5, 1.0]), "flags of shape"),
        (lambda: quantile_interval(SAMPLE, 1.0), "quantile=1.0"),
        (lambda: difference_interval([1, 2], [1, 2, 3], paired=True), "2 and 3 sessions"),
        (lambda: clopper_pearson(3, 2), "successes=3"),
        (lambda: clopper_pearson(0, 0), "trials=0"),
        (lambda: clopper_pearson(1, 2, side="left"), "side='left'"),
        (lambda: clopper_pearson(1.0, 2), "successes=1.0"),
        (lambda: survival([0], [True]), "durations must be > 0"),
    ],
)
def test_bad_input_is_told_in_one_line(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("successes", [0, 1, 3, 10, 19, 20])
def test_a_share_is_exact_and_never_leaves_zero_to_one(successes):
    found = share_interval([True] * successes + [False] * (20 - successes))
    assert (found.low, found.high) == clopper_pearson(successes, 20)
    assert 0.0 <= found.low < found.high <= 1.0


def test_shares_within_sessions_stay_within_zero_and_one():
    values = np.array([0.9, 1.0, 0.8, 1.0, 1.0, 0.95])
    found = bounded_interval(values)
    assert 0.0 <= found.low < values.mean() < found.high <= 1.0
    normal = values.mean() + 2.57 * values.std(ddof=1) / np.sqrt(6)
    assert normal > 1.0  # what Student's limit would have said


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("sessions", [1, 2, 20, 500])
def test_sessions_that_all_agree_on_none_or_all_do_not_make_it_certain(value, sessions):
    found = bounded_interval(np.full(sessions, value))
    assert found[1:3] == clopper_pearson(int(value) * sessions, sessions)
    assert found.high - found.low > 0.0


@pytest.mark.parametrize("values", [[-0.1, 0.5], [0.5, 1.2]])
def test_what_is_no_share_is_refused(values):
    with pytest.raises(InputError, match="must be shares in"):
        bounded_interval(values)


def test_wilsons_interval_is_the_textbooks():
    """Newcombe (1998), table I: 81 of 263 is .2553 to .3662; 15 of 148 is .0624 to .1605."""
    for count, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        share = count / trials
        found = wilson_interval(share, np.sqrt(share * (1 - share) / trials), trials)
        assert found[1:3] == pytest.approx((low, high), abs=1e-4)


def test_wilsons_interval_widens_with_the_likeness_of_a_sessions_cases():
    share = 0.97
    alone = wilson_interval(share, np.sqrt(share * (1 - share) / 400), 400)
    alike = wilson_interval(share, 2.0 * np.sqrt(share * (1 - share) / 400), 400)
    assert alike.low < alone.low and alone.high < alike.high < 1.0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_without_scatter_has_the_limits_of_its_sessions(share):
    found = wilson_interval(share, 0.0, 30)
    assert found[1:3] == clopper_pearson(int(share) * 30, 30)
