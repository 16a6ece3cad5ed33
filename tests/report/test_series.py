"""Long series keep their extremes and their means, and the caption says what a point is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mos_agents import report
from mos_agents.report.series import binned, per_point, point_note
from tests.report.test_report import Outline, recorded

VALUES = st.integers(1, 400).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(-1e6, 1e6, width=32))
)


@given(values=VALUES, points=st.integers(1, 60))
def test_no_extreme_and_no_total_is_lost_in_bins(values: np.ndarray, points: int) -> None:
    found = binned(np.arange(len(values)), values, points)
    assert len(found.x) <= max(points, 1)
    assert found.low.min() == values.min() and found.high.max() == values.max()
    assert (found.low <= found.mean + 1e-6).all() and (found.mean <= found.high + 1e-6).all()
    size = per_point(len(values), points)
    counts = np.diff(np.append(np.arange(0, len(values), size), len(values)))
    assert (found.mean * counts).sum() == pytest.approx(values.sum(), rel=1e-6, abs=1e-2)


def test_a_spike_of_one_tick_between_two_points_is_still_there() -> None:
    """Every fiftieth of 20,000 ticks would have missed it."""
    values = np.zeros(20_000)
    values[10_013] = 1.0
    found = binned(np.arange(20_000), values, 400)
    assert found.high.max() == 1.0 and found.mean.max() == pytest.approx(1 / 100)


def test_bins_stand_at_the_middle_of_their_ticks_and_leave_out_what_is_not_there() -> None:
    found = binned(np.arange(5), np.array([[1.0], [np.nan], [np.nan], [np.nan], [4.0]]), 4)
    assert found.x.tolist() == [1.0, 3.5]
    np.testing.assert_array_equal(found.mean[:, 0], [1.0, 4.0])
    nothing = binned(np.arange(9), np.full((9, 1), np.nan), 4)
    assert np.isnan(nothing.mean).all() and np.isnan(nothing.low).all()


def test_what_fits_is_drawn_as_it_is() -> None:
    values = np.random.default_rng(0).normal(size=30)
    found = binned(np.arange(30), values, 30)
    assert (found.mean == values).all() and (found.low == found.high).all()
    assert point_note(30, 30) == ""


def test_the_caption_says_what_a_point_is() -> None:
    assert "a mean over 100 recorded ticks" in point_note(20_000, 400)
    assert "lowest to their highest" in point_note(20_000, 400)
    assert "lowest" not in point_note(20_000, 400, ranged=False)


@pytest.mark.parametrize("preset", ["pricing_game", "market_making", "retail"])
def test_the_page_of_a_run_with_more_ticks_than_points_says_so(preset: str, tmp_path: Path) -> None:
    short = " ".join(Outline(report.html(recorded(tmp_path, preset, "ticks=300"))).text)
    assert "Each point is a mean" not in short
    run = recorded(tmp_path, preset, "ticks=900")
    text = " ".join(Outline(report.html(run)).text)
    assert "Each point is a mean over 5 recorded ticks" in text
    assert "lowest to their highest value" in text


def test_captions_do_not_call_falling_together_a_price_war(tmp_path: Path) -> None:
    text = " ".join(Outline(report.html(recorded(tmp_path, "retail", "ticks=20"))).text)
    assert "Falling together is a price war" not in text
    assert "do not by themselves show a price war" in text
