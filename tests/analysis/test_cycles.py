"""Limit cycles and saw teeth: planted, shifted, noisy, and absent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents.analysis.cycles import (
    SawTooth,
    cycle_means,
    cycle_shares,
    edgeworth,
    limit_cycle,
    period_estimate,
)
from mos_agents.market.types import InputError
from tests.oracles.analysis import shortest_period


def column(*states):
    return np.array(states)[:, None]


def test_a_planted_cycle_is_found_with_its_period_and_start():
    path = column(7, 8, 9, *[1, 2, 3] * 4)
    found = limit_cycle(path)
    assert (found.period[0], found.start[0]) == (3, 3)


def test_a_cycle_starts_as_soon_as_it_repeats_even_inside_a_round():
    path = column(9, 3, *[1, 2, 3] * 4)
    assert limit_cycle(path).start[0] == 1


def test_a_rest_point_is_a_cycle_of_length_1_and_chaos_none():
    path = np.stack([np.full(20, 4), np.arange(20)], axis=1)
    found = limit_cycle(path)
    assert found.period.tolist() == [1, 0]
    assert found.start.tolist() == [0, 20]


def test_two_equal_ticks_at_the_end_prove_nothing_unless_states_are_complete():
    path = column(*[1, 3, 3] * 4)
    assert limit_cycle(path).period[0] == 3
    assert limit_cycle(path, covers=0).period[0] == 1


def test_all_firms_must_repeat():
    path = np.stack([np.tile([1, 2], 6), np.tile([1, 2, 3], 4)], axis=1)[:, None, :]
    assert limit_cycle(path).period[0] == 6
    assert limit_cycle(path[:, :, 0]).period[0] == 2


def test_more_repeats_ask_for_more():
    path = column(0, *[1, 2, 3] * 2)
    assert limit_cycle(path).period[0] == 3
    assert limit_cycle(path, repeats=3).period[0] == 0


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=40),
    st.integers(2, 3),
    st.integers(0, 10),
)
def test_the_kernel_agrees_with_its_reference(states, repeats, covers):
    path = column(*states)
    found = limit_cycle(path, repeats, covers)
    assert (found.period[0], found.start[0]) == shortest_period(path, repeats, covers)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 5))
def test_turning_the_cycle_keeps_its_period(round_, by):
    path = column(*round_ * 5)
    turned = np.roll(path, by, axis=0)
    assert limit_cycle(path).period[0] == limit_cycle(turned).period[0]


def test_shares_are_of_all_sessions_and_sum_to_1():
    shares = cycle_shares(np.array([1, 1, 1, 2, 0]))
    assert shares == {1: 0.6, 0: 0.2, 2: 0.2}
    assert list(shares) == [1, 0, 2]


def test_the_mean_over_a_cycle_is_over_whole_rounds():
    path = np.stack([np.array([9.0, 1.0, 2.0, 1.0, 2.0, 1.0]), np.arange(6.0)], axis=1)[:, :, None]
    found = cycle_means(path, limit_cycle(path))
    assert found[0, 0] == 1.5
    assert np.isnan(found[1, 0])


# --- saw teeth ------------------------------------------------------------------------------------

TOOTH = np.array([10.0, 9.0, 8.0, 7.0, 6.0])


def test_a_saw_tooth_is_an_edgeworth_cycle_and_its_mirror_is_not():
    down, up = np.tile(TOOTH, 12), np.tile(TOOTH[::-1], 12)
    found = edgeworth(np.stack([down, up, np.full(60, 3.0)], axis=1))
    assert found.found.tolist() == [True, False, False]
    assert found.period.tolist() == [5, 5, 1]
    np.testing.assert_allclose(found.median_change, [-1.0, 1.0, 0.0])
    np.testing.assert_allclose(found.mean_rise[:2], [4.0, 1.0])
    np.testing.assert_allclose(found.mean_fall[:2], [1.0, 4.0])
    assert np.isnan(found.mean_rise[2])


def test_moves_at_every_second_tick_are_compared_with_each_other():
    alternating = np.repeat(np.tile(TOOTH, 12), 2)
    assert not edgeworth(alternating[:, None]).found[0]
    for offset in (0, 1):
        found = edgeworth(alternating[offset:, None], SawTooth(every=2))
        assert found.found[0]
        assert found.period[0] == 10


def test_a_noisy_saw_tooth_keeps_its_period():
    rng = np.random.default_rng(0)
    path = np.tile(np.linspace(2.0, 1.5, 10)[:, None], (40, 50))
    noisy = path + rng.normal(0.0, 0.05, path.shape)
    found = edgeworth(noisy)
    assert (found.period == 10).all()
    assert found.found.all()


def test_one_long_fall_is_no_cycle():
    rng = np.random.default_rng(0)
    falling = np.linspace(2.0, 1.0, 100)[:, None] + rng.normal(0.0, 1e-3, (100, 50))
    assert edgeworth(np.linspace(2.0, 1.0, 100)[:, None]).period[0] == 0
    assert edgeworth(falling).found.mean() <= 0.02


def test_noise_and_random_walks_have_no_period():
    noise = np.random.default_rng(0).standard_normal((300, 500))
    assert (period_estimate(noise) > 0).mean() <= 0.01
    assert (period_estimate(np.cumsum(noise, axis=0)) > 0).mean() <= 0.01


def test_scaling_money_and_shifting_the_level_change_nothing():
    rng = np.random.default_rng(2)
    path = np.tile(TOOTH[:, None], (12, 4)) + rng.normal(0.0, 0.3, (60, 4))
    first, second = edgeworth(path), edgeworth(100.0 * path + 700.0)
    assert first.found.tolist() == second.found.tolist() == [True] * 4
    assert first.period.tolist() == second.period.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: limit_cycle(np.zeros(4)), "states has shape"),
        (lambda: limit_cycle(np.zeros((4, 1)), repeats=1), "repeats=1"),
        (lambda: edgeworth(np.zeros((2, 1))), "2 looks"),
        (lambda: SawTooth(every=0), "every=0"),
        (lambda: SawTooth(alike=2.0), "alike=2.0"),
        (lambda: cycle_shares(np.array([0.5])), "periods has shape"),
    ],
)
def test_bad_input_is_told_in_one_line(call, words):
    with pytest.raises(InputError, match=words):
        call()
