"""Kernels that take a shortcut give the numbers of the long way."""

import numpy as np
import pytest

from mos_agents.market.counts import count_units, list_units, poisson_counts, poisson_mass


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.7, 7.9, 8.0, 8.1, 399.0])
def test_poisson_numbers_from_a_table_are_those_of_the_inversion(rate):
    uniforms = np.random.default_rng(0).random((500, 4))
    uniforms[0] = (0.0, 1.0 - 2.0**-53, np.exp(-rate), 0.5)
    scale = np.full((500, 2), 2.0)
    mass, exposure, start, large = poisson_mass(scale, uniforms, rate / 2.0, rate / 4.0)
    rates = np.broadcast_to([rate, rate / 2.0], (500, 2, 2))
    np.testing.assert_array_equal(mass, poisson_counts(rates, uniforms.reshape(500, 2, 2)))
    np.testing.assert_array_equal(exposure, mass.sum(-1))
    assert not large
    assert not start.any()


def test_a_rate_too_large_for_the_table_is_told():
    assert poisson_mass(np.ones((1, 1)), np.full((1, 2), 0.5), 401.0, 1.0)[-1]


def test_units_come_group_by_group_with_sides_in_turn_and_the_longer_side_last():
    counts = np.array([[[3.0, 1.0], [0.0, 2.0]], [[0.0, 0.0], [1.0, 3.0]]])
    start, (group, side) = np.empty(3, int), np.empty((2, 10), int)
    assert count_units(counts, start)
    list_units(counts, start, group, side)
    assert start.tolist() == [0, 6, 10]
    assert group.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert side.tolist() == [0, 1, 0, 0, 1, 1, 0, 1, 1, 1]
    assert not count_units(counts + 0.5, start)
