"""Price wars: planted ones are found tick by tick, and told as what they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents.analysis.price_wars import WarDefinition, episodes
from mos_agents.analysis.war_tables import severity, ticks_at_war, war_table
from mos_agents.market.types import InputError
from tests.oracles.analysis import price_wars

NASH, JOINT = 1.0, 2.0  # so that money thresholds are shares of 1
RULE = WarDefinition()


def quiet(ticks=60, firms=2, price=2.0):
    return np.full((ticks, 1, firms), price)


def planted(onset=20, back=30, lag=1, low=1.5, firms=2, ticks=60, first=0):
    """Firm `first` cuts at `onset`, the others `lag` later; all are back at `back`."""
    path = quiet(ticks, firms)
    for i in range(firms):
        path[onset + (lag if i != first else 0) : back, 0, i] = low
    return path


def test_a_planted_war_is_found_with_onset_end_depth_and_first_cutter():
    path = planted(onset=20, back=30, lag=1, low=1.5, first=1)
    (war,) = episodes(path, NASH, JOINT)
    # At 20 one firm has cut and the mean is .25 below; two have cut at 21.
    assert war[:4] == (0, 21, 30, 9)
    assert war.first_cut == 20
    assert war.first_cutters == (1,)
    assert war.recovered
    np.testing.assert_allclose((war.depth, war.level), (0.5, 2.0))
    np.testing.assert_allclose((war.area, war.squares), (4.5, 2.25))


def test_firms_that_cut_in_one_tick_are_told_as_a_tie():
    (war,) = episodes(planted(lag=0, firms=3), NASH, JOINT)
    assert war.first_cutters == (0, 1, 2)
    assert (war.onset, war.first_cut) == (20, 20)


@pytest.mark.parametrize(("lag", "number"), [(0, 1), (1, 1), (2, 1), (3, 0), (4, 0)])
def test_two_firms_must_cut_within_three_ticks(lag, number):
    assert len(episodes(planted(lag=lag), NASH, JOINT)) == number
    if lag == 3:
        assert len(episodes(planted(lag=3), NASH, JOINT, replace(RULE, window=4))) == 1


@pytest.mark.parametrize(("low", "number"), [(1.74, 1), (1.75, 1), (1.76, 0)])
def test_the_mean_must_fall_by_a_quarter_of_the_range(low, number):
    assert len(episodes(planted(low=low, lag=0), NASH, JOINT)) == number


def test_one_firm_alone_makes_no_war_however_deep():
    path = quiet()
    path[20:30, 0, 0] = 1.0
    assert len(episodes(path, NASH, JOINT)) == 0
    assert len(episodes(path, NASH, JOINT, replace(RULE, firms=1))) == 1


def test_a_small_fall_is_no_cut_unless_asked_for():
    path = quiet()
    path[20:30, 0, 0] = 1.0
    path[21:30, 0, 1] = 1.99  # half a per cent
    assert len(episodes(path, NASH, JOINT)) == 0
    (war,) = episodes(path, NASH, JOINT, replace(RULE, min_cut=0.0))
    assert war.first_cutters == (0,)


@pytest.mark.parametrize(("price", "end"), [(1.95, 30), (1.9, 30), (1.89, None), (2.2, 30)])
def test_a_war_ends_when_prices_are_back_within_the_band(price, end):
    path = planted()
    path[30:] = price
    (war,) = episodes(path, NASH, JOINT)
    assert war.end == end
    assert war.recovered == (end is not None)


def test_above_the_band_is_no_return_if_within_is_meant_on_both_sides():
    path = planted()
    path[30:] = 2.2
    (war,) = episodes(path, NASH, JOINT, replace(RULE, above=False))
    assert (war.end, war.duration) == (None, 39)


def test_prices_must_stay_back_for_three_ticks():
    path = planted()
    path[32] = 1.5  # back at 30 and 31 only
    (war,) = episodes(path, NASH, JOINT)
    assert war.end == 33


def test_a_war_that_the_record_cuts_off_has_no_end_and_a_least_duration():
    path = planted(onset=20, back=60, lag=0)
    wars = episodes(path, NASH, JOINT)
    (war,) = wars
    assert (war.end, war.duration, war.recovered) == (None, 40, False)
    assert wars.censored.tolist() == [True]
    # Back for two ticks as the record ends: not yet known to be over.
    assert next(iter(episodes(planted(back=58, lag=0), NASH, JOINT))).end is None
    assert next(iter(episodes(planted(back=57, lag=0), NASH, JOINT))).end == 57


def test_a_fall_that_stays_becomes_the_new_level_if_asked():
    path = quiet(100)
    path[20:] = 1.5
    path[60:70] = 1.0
    assert [w.onset for w in episodes(path, NASH, JOINT)] == [20]
    first, second = episodes(path, NASH, JOINT, replace(RULE, longest=20))
    assert (first.onset, first.end, first.recovered) == (20, 40, False)
    assert (second.onset, second.end, second.recovered) == (60, 70, True)
    np.testing.assert_allclose((first.depth, second.depth, second.level), (0.5, 0.5, 1.5))


def test_wars_follow_each_other_measured_from_between_them():
    path = planted(onset=20, back=30, lag=0)
    path[36:40] = 1.2
    found = list(episodes(path, NASH, JOINT))
    assert [(w.onset, w.end) for w in found] == [(20, 30), (36, 40)]
    np.testing.assert_allclose(found[1].level, 2.0)


def test_no_war_is_seen_before_there_is_a_level_to_fall_from():
    path = quiet()
    path[12:20] = 1.5
    assert [w.onset for w in episodes(path, NASH, JOINT)] == [12]
    # Ten ticks of level and three of window must have passed, the cuts still within the window.
    assert [w.onset for w in episodes(path[2:], NASH, JOINT)] == [12]
    assert len(episodes(path[3:], NASH, JOINT)) == 0
    assert len(episodes(path[3:], NASH, JOINT, replace(RULE, level=9))) == 1


def test_a_slow_decline_is_no_war():
    path = np.repeat(np.linspace(2.0, 1.0, 100)[:, None, None], 2, axis=2)
    assert len(episodes(path, NASH, JOINT, replace(RULE, min_cut=0.0))) == 0
    assert len(episodes(path, NASH, JOINT, replace(RULE, min_cut=0.0, level=60))) == 1


def test_an_upward_jump_starts_nothing_and_the_fall_back_from_it_is_measured_from_above():
    path = quiet(price=1.5)
    path[20:35] = 2.0
    (war,) = episodes(path, NASH, JOINT)
    assert war.onset == 35
    assert war.end is None


# --- identities -----------------------------------------------------------------------------------


def noisy(sessions=20, firms=3, ticks=150, seed=0):
    grid = np.linspace(0.9, 2.1, 13)
    return grid[np.random.default_rng(seed).integers(13, size=(ticks, sessions, firms))]


def rows(wars, *names):
    return np.stack([getattr(wars, name) for name in names], axis=1)


WHOLE = ("session", "onset", "end", "duration", "first_cut", "recovered")
MONEY = ("depth", "area", "squares")


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    rule=st.builds(
        WarDefinition,
        depth=st.floats(0.2, 0.6),
        band=st.floats(0.0, 0.19),
        firms=st.integers(1, 3),
        window=st.integers(1, 4),
        recovery=st.integers(1, 4),
        level=st.integers(1, 12),
        min_cut=st.sampled_from([0.0, 0.01, 0.2]),
        above=st.booleans(),
        longest=st.sampled_from([None, 4, 20]),
    ),
)
def test_the_kernel_agrees_with_its_reference(seed, rule):
    path = noisy(sessions=3, ticks=80, seed=seed)
    fast = list(episodes(path, NASH, JOINT, rule))
    slow = [war for s in range(3) for war in price_wars(path[:, s], 1.0, rule, s)]
    assert len(fast) == len(slow)
    for a, b in zip(fast, slow, strict=True):
        assert a[:4] + a[8:] == b[:4] + b[8:]
        np.testing.assert_allclose(a[4:8], b[4:8], atol=1e-12)


def test_permuting_firms_permutes_the_first_cutters_and_nothing_else():
    path, order = noisy(), [2, 0, 1]
    first, second = episodes(path, NASH, JOINT), episodes(path[:, :, order], NASH, JOINT)
    assert len(first) > 20
    np.testing.assert_array_equal(rows(first, *WHOLE), rows(second, *WHOLE))
    np.testing.assert_array_equal(first.first_cutters[:, order], second.first_cutters)


def test_permuting_sessions_permutes_the_wars():
    path = noisy()
    turned = episodes(path[:, ::-1], NASH, JOINT)
    straight = episodes(path, NASH, JOINT)
    for s in range(20):
        own, other = straight.session == s, turned.session == 19 - s
        np.testing.assert_array_equal(
            rows(straight, *WHOLE[1:])[own], rows(turned, *WHOLE[1:])[other]
        )


def test_the_same_wars_happen_later_in_a_path_that_begins_later():
    path = planted()
    late = np.concatenate([quiet(17), path])
    (first,), (second,) = episodes(path, NASH, JOINT), episodes(late, NASH, JOINT)
    assert second == first._replace(
        onset=first.onset + 17, end=first.end + 17, first_cut=first.first_cut + 17
    )


def test_money_may_be_counted_in_pence():
    path = noisy()
    first, second = episodes(path, NASH, JOINT), episodes(100 * path, 100 * NASH, 100 * JOINT)
    np.testing.assert_array_equal(rows(first, *WHOLE), rows(second, *WHOLE))
    np.testing.assert_allclose(rows(first, *MONEY), rows(second, *MONEY), rtol=1e-9)


def test_each_session_may_have_its_own_yardstick():
    path = np.concatenate([planted(low=1.7, lag=0)] * 2, axis=1)
    wars = episodes(path, [[1.0, 1.0], [0.0, 0.0]], JOINT)
    assert wars.session.tolist() == [0]


def test_many_sessions_in_blocks_are_the_sessions_one_by_one(monkeypatch):
    path = noisy()
    whole = episodes(path, NASH, JOINT)
    monkeypatch.setattr("mos_agents.analysis.price_wars.BLOCK", 1000)
    parts = episodes(path, NASH, JOINT)
    np.testing.assert_array_equal(rows(whole, *WHOLE, *MONEY), rows(parts, *WHOLE, *MONEY))
    np.testing.assert_array_equal(whole.at_risk, parts.at_risk)


def test_more_wars_than_the_table_has_rows_for_are_all_found():
    path = np.concatenate([quiet(10)] + [planted(onset=4, back=8, lag=0, ticks=12)] * 60)
    wars = episodes(path, NASH, JOINT)
    assert len(wars) == 60
    assert set(wars.duration.tolist()) == {4}


# --- tables ---------------------------------------------------------------------------------------


def test_the_table_counts_by_hand():
    path = np.concatenate([planted(), planted(onset=20, back=60, lag=0), quiet(), quiet()], axis=1)
    table = war_table(episodes(path, NASH, JOINT))
    assert (table.episodes, table.recovered, table.settled, table.censored) == (2, 1, 0, 1)
    assert table.per_1000_ticks.estimate == pytest.approx(2 / 240 * 1000)
    assert table.share_with == 0.5
    assert table.share_of_time == pytest.approx(49 / 240)
    assert table.first_cutter_share == (0.75, 0.25)
    assert table.tied == 0.5
    assert table.median_duration_finished == 9.0
    assert table.median_duration == 9.0
    assert table.mean_duration == pytest.approx(9 + 0.5 * 31)
    assert (table.horizon, table.mean_depth, table.deepest) == (40, 0.5, 0.5)
    # 12 ticks pass before the level is known; no war begins in a war, before it is known to be
    # over (three ticks from its end), nor until there are three ticks of level after it (35).
    at_risk = (60 - 12) * 4 - (35 - 22) - (60 - 21)
    assert table.per_1000_at_risk == pytest.approx(2000 / at_risk)


def test_a_war_cut_off_lengthens_the_median_that_finished_wars_alone_understate():
    path = np.concatenate([planted()] + [planted(onset=20, back=60, lag=0)] * 3, axis=1)
    table = war_table(episodes(path, NASH, JOINT))
    assert table.median_duration_finished == 9.0
    assert table.median_duration is None


def test_a_peaceful_market_has_a_table_too():
    table = war_table(episodes(quiet(), NASH, JOINT))
    assert (table.episodes, table.share_of_time, table.median_duration) == (0, 0.0, None)


def test_severity_knows_whether_firms_fell_together():
    rule = replace(RULE, firms=1)
    together = planted(onset=20, back=30, lag=0)
    apart = planted(onset=20, back=30, lag=20, ticks=60)
    apart[40:50, 0, 1], apart[50:, 0, 1] = 1.5, 2.0
    both = episodes(together, NASH, JOINT, rule), episodes(apart, NASH, JOINT, rule)
    np.testing.assert_allclose([w.area.sum() for w in both], [5.0, 5.0])
    np.testing.assert_allclose([severity(w)[0] for w in both], [2.5, 1.25])


def test_the_window_asks_when_a_war_began():
    wars = episodes(planted(), NASH, JOINT)
    assert [ticks_at_war(wars, *w)[0] for w in ((0, 21), (21, 22), (22, 60))] == [
        False,
        True,
        False,
    ]
    assert wars.under_way()[:, 0].nonzero()[0].tolist() == list(range(21, 30))


# --- doors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: WarDefinition(depth=0.0), "depth=0.0 must be a finite number > 0"),
        (lambda: WarDefinition(band=0.25), "band=0.25 must be < depth"),
        (lambda: WarDefinition(window=0), "window=0"),
        (lambda: WarDefinition(window=True), "window=True"),
        (lambda: WarDefinition(min_cut=2.0), "min_cut=2.0"),
        (lambda: WarDefinition(longest=1), "longest=1"),
        (lambda: episodes(quiet()[:, 0], NASH, JOINT), "prices has shape"),
        (lambda: episodes(quiet(), JOINT, NASH), "p_m - p_n"),
        (lambda: episodes(quiet(), [1.0] * 3, JOINT), "p_n, p_m have shapes"),
        (lambda: episodes(quiet(firms=1), NASH, JOINT), "firms=2 must be at most 1"),
        (lambda: episodes(-quiet(), NASH, JOINT), "min_cut"),
        (lambda: episodes(quiet() * np.nan, NASH, JOINT), "must be finite"),
        (lambda: ticks_at_war(episodes(quiet(), NASH, JOINT), 0, 61), "end=61"),
    ],
)
def test_bad_input_is_told_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
