"""How intervals read: what varies is named, and nothing is surer than it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mos_agents.analysis.interval_text import (
    decimals_of,
    figure_text,
    interval_text,
    limits_text,
    share_text,
)
from mos_agents.analysis.shares import bounded_interval, share_interval
from mos_agents.analysis.statistics import Interval, mean_interval

NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "count", "message"),
    [
        (Interval(0.8532, 0.8413, 0.8655, 0.006), 100, "0.8532 [0.8413, 0.8655]"),
        (Interval(12345.6, 12000.0, 13000.0, 1.0), 9, "12,346 [12,000, 13,000]"),
        (Interval(1.0, 1.0, 1.0, 0.0), 20, "1 (the same in all 20 seeds)"),
        (Interval(2.5, -np.inf, np.inf, np.inf), 1, "2.5 (one seed)"),
        (Interval(2.5, 1.0, np.inf, 1.0), 5, "2.5 [1, no limit]"),
        (Interval(NAN, NAN, NAN, NAN), 0, "none"),
    ],
)
def test_an_interval_says_what_it_is(one, count, message):
    assert interval_text(one, count, "seed") == message


def test_a_duration_beyond_the_record_is_at_least_that():
    one = Interval(29.0, 13.67, 44.33, 7.8)
    assert interval_text(one, 40, end=29.0, at_least=True) == "at least 29 [13.67, beyond 29]"
    assert limits_text(3.0, 28.0, end=29.0) == "[3, 28]"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([0] * 20, "0% (20 sessions: at most 17%)"),
        ([1] * 20, "100% (20 sessions: at least 83%)"),
        ([0] * 1, "0% (1 sessions: at most 98%)"),
        ([1] * 10 + [0] * 10, "50% [27%, 73%]"),
    ],
)
def test_a_share_says_what_so_many_can_exclude(flags, message):
    assert share_text(share_interval(flags), len(flags)) == message.replace(
        "1 sessions", "1 session"
    )


def test_a_share_that_rounds_to_none_or_all_is_not_told_as_none_or_all():
    few = Interval(0.001, 0.00002, 0.0055, 0.001)
    assert share_text(few, 1000) == "0.1% [0.002%, 0.55%]"
    most = Interval(0.999, 0.9945, 0.99998, 0.001)
    assert share_text(most, 1000) == "99.9% [99.45%, 99.998%]"


SHARES = st.sampled_from([0.0, 1.0]) | st.floats(0.001, 0.999)


@given(values=st.lists(SHARES, min_size=2, max_size=30))
def test_no_share_is_written_beyond_its_bounds_or_without_a_width(values):
    found = bounded_interval(values, resamples=50)
    text = share_text(found, len(values))
    limits = text[text.find("[") + 1 : -1].split(", ") if "[" in text else ["0", "1"]
    assert limits[0] != limits[1] or found.high - found.low < 0.01
    assert "[0%, 0%]" not in text and "[100%, 100%]" not in text
    assert 0.0 <= found.low <= found.high <= 1.0


@given(value=st.floats(-1e6, 1e6), count=st.integers(2, 30))
def test_figures_that_do_not_vary_never_get_limits_of_width_zero(value, count):
    text = interval_text(mean_interval([value] * count, resamples=10), count)
    assert "[" not in text and f"the same in all {count} sessions" in text


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Interval(1.6921, 1.6901, 1.6941, 0.001), "1.6921 [1.6901, 1.6941]"),
        (Interval(58.9, -222.0, 340.0, 100.0), "59 [−222, 340]"),
        (Interval(0.1034, 0.0777, 0.138, 0.01), "0.103 [0.078, 0.138]"),
        (Interval(30921.4, 30737.0, 31106.0, 90.0), "30,921 [30,737, 31,106]"),
        (Interval(-0.001, -0.2, 0.2, 0.1), "0.00 [−0.20, 0.20]"),
        (Interval(5.0, 5.0, 5.0, 0.0), "5.00 (the same in all 10 markets)"),
    ],
)
def test_a_figure_has_the_decimals_that_its_interval_needs(one, message):
    assert figure_text(one, 10, "market") == message


@given(
    value=st.floats(-1e6, 1e6),
    below=st.floats(1e-6, 1e6),
    above=st.floats(1e-6, 1e6),
)
def test_no_interval_that_has_a_width_is_written_without_one(value, below, above):
    one = Interval(value, value - below, value + above, 1.0)
    form = decimals_of(one)
    assert form(one.low) != form(one.high)
