"""The search for the highest point of a function of one price, on functions whose top is known."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.market.equilibrium.peaks import peak

GRID = np.linspace(0.0, 10.0, 41)[:, None]


def test_a_smooth_top_is_found_to_ten_digits():
    """x exp(-x/pi) is highest at pi; comparing values alone would stop at eight digits."""
    best, most = peak(lambda x: x * np.exp(-x / np.pi), GRID)
    assert best[0] == pytest.approx(np.pi, rel=1e-10)
    assert most[0] == pytest.approx(np.pi / np.e, rel=1e-14)


def test_the_top_of_a_kink_and_the_edge_of_a_cliff_are_found():
    def value(x):
        kink = np.where(x < np.pi, x, np.pi - 3.0 * (x - np.pi))
        cliff = np.where(x <= np.e, x, 0.0)
        return np.stack([kink[:, 0], cliff[:, 1]], -1)

    best, most = peak(value, np.repeat(GRID, 2, axis=1))
    np.testing.assert_allclose(best, [np.pi, np.e], rtol=1e-9)
    np.testing.assert_allclose(most, [np.pi, np.e], rtol=1e-9)


def test_a_narrow_peak_that_the_coarse_search_sees_from_its_foot_beats_a_broad_lower_one():
    """On the grid the broad one is higher: 1 against 2 exp(-1)."""

    def value(x):
        return np.exp(-((x - 7.5) ** 2)) + 2.0 * np.exp(-(((x - 2.125) / 0.125) ** 2))

    assert GRID[value(GRID).argmax(), 0] == 7.5
    best, most = peak(value, GRID)
    assert best[0] == pytest.approx(2.125, abs=1e-9) and most[0] == pytest.approx(2.0)


def test_the_top_may_lie_at_either_end_of_the_range():
    both = np.repeat(GRID, 2, axis=1)
    best, _ = peak(lambda x: x * np.array([1.0, -1.0]), both)
    np.testing.assert_array_equal(best, [10.0, 0.0])


def test_each_column_is_searched_as_if_it_were_alone():
    tops = np.array([1.3, 4.7, 8.123])

    def value(x):
        return -((x - tops) ** 2) + np.where(x > tops, 0.1 * (tops - x), 0.0)

    together, _ = peak(value, np.repeat(GRID, 3, axis=1))
    np.testing.assert_allclose(together, tops, rtol=1e-7)
    for k in range(3):
        alone, _ = peak(lambda x, k=k: value(np.repeat(x, 3, axis=1))[:, k : k + 1], GRID)
        assert alone[0] == pytest.approx(together[k], rel=1e-9)
