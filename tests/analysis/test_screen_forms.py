"""Every screen on records made by hand: what it finds, what it leaves alone, what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mos_agents.analysis.screens import (
    SCREENS,
    AsymmetricPassThrough,
    Following,
    HubAndSpoke,
    LeadLag,
    LowVariance,
    Observed,
    PriceWar,
    Retraining,
    Rigidity,
    StructuralBreak,
    adjusted,
    all_screens,
    answers,
    logit_best_reply,
    quandt_andrews,
)
from mos_agents.analysis.screens.answers import calm_p_value, lone_changes, turned_p_value
from mos_agents.analysis.screens.breaks import _f_statistics
from mos_agents.analysis.screens.regression import least_squares
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.types import InputError


def fading(rng, shape, memory=0.9, spread=0.1):
    noise = rng.standard_normal(shape)
    for t in range(1, shape[0]):
        noise[t] = memory * noise[t - 1] + np.sqrt(1.0 - memory**2) * noise[t]
    return spread * noise


def record(seed=0, ticks=156, firms=3, passed=0.9, noise=0.02, **more):
    rng = np.random.default_rng(seed)
    cost = 1.0 + fading(rng, (ticks,))
    prices = 0.5 + passed * cost[:, None] + noise * rng.standard_normal((ticks, firms))
    return Observed(prices, cost=cost, **more)


# --- the record -----------------------------------------------------------------------------------


def test_a_gap_takes_the_price_in_force_and_the_first_one_the_price_after():
    nan = np.nan
    seen = Observed([[nan, 5.0], [2.0, nan], [nan, nan], [3.0, 6.0]])
    np.testing.assert_array_equal(seen.prices, [[2.0, 5.0], [2.0, 5.0], [2.0, 5.0], [3.0, 6.0]])


def test_costs_may_be_given_by_date_by_firm_or_as_one_number():
    prices = np.ones((4, 2))
    for cost, column in ((1.5, [1.5] * 4), ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])):
        np.testing.assert_array_equal(Observed(prices, cost=cost).cost[:, 0], column)
    np.testing.assert_array_equal(Observed(prices, cost=[7.0, 8.0]).cost[3], [7.0, 8.0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Observed(np.ones(3)), "prices has shape"),
        (lambda: Observed([[np.nan, 1.0]] * 3), "firm 0 are all missing"),
        (lambda: Observed(np.ones((3, 2)), cost=np.ones((2, 2))), "cost has shape"),
        (lambda: Observed(np.ones((3, 2)), seasons={"month": [1, 2]}), "2 labels, needs 3"),
        (lambda: Observed(np.ones((3, 2)), chances=np.ones((3, 2, 1))), "without grid"),
        (lambda: Observed(np.ones((3, 2)), names=["a"]), "names has 1 entries"),
        (lambda: Observed(np.ones((3, 2))).has("luck"), "need='luck'"),
        (lambda: PriceWar(level=0.7), "level=0.7"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_in_one_line(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_every_screen_says_what_it_lacks_and_what_it_cannot_do():
    bare = Observed(np.ones((60, 3)))
    for name, kind in SCREENS.items():
        assert kind.name == name
        assert kind.title
        assert kind.question.endswith("?")
        assert kind.cannot.endswith(".")
        found = kind().test(bare)
        if kind.needs:
            assert found.alarm is None
            assert found.missing
            assert found.sentence.startswith(f"{kind.title}: no verdict, because it needs")
            assert kind().lacks(bare)
    assert [one.name for one in all_screens()] == list(SCREENS)
    short = Observed(np.ones((5, 3)), cost=1.0)
    assert PriceWar().test(short).missing == ("dates",)


def test_every_screen_gives_a_verdict_on_a_constant_price_without_a_fault():
    constant = Observed(
        np.full((60, 3), 1.5), cost=1.0, control=np.full(60, 1.5), vendors=("a", "a", "b")
    )
    for screen in all_screens():
        assert screen.test(constant).alarm in (None, False)


# --- what is removed ------------------------------------------------------------------------------


def test_costs_and_seasons_are_removed_and_the_sentence_says_so():
    rng = np.random.default_rng(0)
    month = np.arange(240) % 12
    cost = 1.0 + fading(rng, (240,))
    wave = np.sin(month)[:, None]
    noise = 0.01 * rng.standard_normal((240, 2))
    seen = Observed(2.0 + 0.8 * cost[:, None] + wave + noise, cost=cost, seasons={"month": month})
    clean = adjusted(seen)
    np.testing.assert_allclose(clean.prices - clean.prices.mean(axis=0), noise, atol=0.02)
    assert clean.removed == (
        "Removed from each firm's prices, by least squares: costs and the levels of month."
    )
    np.testing.assert_allclose(clean.prices.mean(axis=0), seen.prices.mean(axis=0))


def test_a_season_seen_once_is_not_removed_and_that_is_said():
    seen = Observed(np.random.default_rng(0).random((52, 2)), seasons={"week": range(52)})
    clean = adjusted(seen)
    assert clean.seasons_left
    assert "Not removed, as the record is too short: the levels of week." in clean.removed
    np.testing.assert_allclose(clean.prices, seen.prices)


# --- answers to lone changes ----------------------------------------------------------------------


def test_a_common_fall_is_no_lone_cut_and_a_single_one_is():
    prices = np.full((40, 3), 2.0)
    prices[10:14] -= 0.5  # all of them
    prices[25, 1] = 1.5
    tick, firm = lone_changes(-prices, 5)
    assert tick.tolist() == [25]
    assert firm.tolist() == [1]


def wars(answer, seed=0, ticks=300):
    """Four lone cuts by .4 for one date; the rivals answer by a share of it for six dates."""
    rng = np.random.default_rng(seed)
    prices = 2.0 + 0.002 * rng.standard_normal((ticks, 3))
    for n, t in enumerate((40, 110, 170, 250)):
        prices[t : t + 7, n % 3] -= 0.4
        for other in {0, 1, 2} - {n % 3}:
            prices[t + 1 : t + 7, other] -= 0.4 * answer
    return Observed(prices, cost=1.0)


def test_answers_in_full_are_found_and_best_replies_are_left_alone():
    full, half, none = (answers(wars(share), -1) for share in (1.0, 0.45, 0.0))
    assert full.changes == half.changes == none.changes == 4
    assert full.p_value < 0.02
    assert full.share == pytest.approx(1.0, abs=0.05)
    assert half.p_value > 0.5
    assert half.share == pytest.approx(0.45, abs=0.05)
    assert none.p_value > 0.9
    assert answers(wars(1.0), 1).p_value > 0.05  # no firm rose alone
    assert PriceWar().test(wars(1.0)).alarm
    assert Following().test(wars(1.0)).alarm
    assert not PriceWar().test(wars(0.45)).alarm


def test_the_p_value_counts_calm_dates_by_hand():
    path = np.zeros((20, 1))
    path[6], path[12] = 1.0, 3.0
    # Calm dates are 3, 12 and 13; with the date of the change itself two of four do as well as 1.
    found = calm_p_value(1.0, path, np.array([6]), np.array([0]), 5)
    assert found == pytest.approx(0.5, abs=0.05)
    # Two changes with answers of 1 each: no calm date but 20 does as well as the changes' own.
    path = np.zeros((40, 1))
    path[[6, 15]] = 1.0
    found = calm_p_value(2.0, path, np.array([6, 15]), np.array([0, 0]), 5)
    calm = 34 - 3 - 15  # 4 to 11 and 13 to 20 are near a change, of dates 3 to 33
    assert found == pytest.approx(1.0 / (calm + 1) ** 2, abs=0.01)


def test_the_p_value_of_rises_counts_the_turns_of_the_pattern_by_hand():
    path = np.zeros((20, 1))
    path[6], path[12] = 1.0, 3.0
    turns = (20 - 5 - 1) - 3
    # One change at date 6 with an answer of 1: of the other turns only the one to 12 does as well.
    found = turned_p_value(1.0, path, np.array([6]), np.array([0]), 5)
    assert found == pytest.approx(2 / turns)


def test_a_war_does_not_hide_among_its_own_dates():
    """A record that is at war for half of the time is compared with its calm dates."""
    path = np.zeros((52, 2))
    for start in (8, 20, 33, 44):
        path[start - 2 : start + 6] = 1.0
    tick, firm = np.array([8, 20, 33, 44]), np.array([0, 1, 0, 1])
    assert calm_p_value(2.0, path, tick, firm, 5) < 0.02


def test_an_exact_best_reply_stands_in_place_of_the_half():
    reply = logit_best_reply(2.0, 1.0, 0.25)
    prices = np.empty((200, 2))
    now = np.full(2, 1.4729)
    rng = np.random.default_rng(1)
    for t in range(200):
        now = reply(now) * (1.0 + 0.002 * rng.standard_normal(2))
        if t in (50, 120):
            now[0] = 1.2
        prices[t] = now
    found = answers(Observed(prices, cost=1.0, best_reply=reply), -1)
    assert found.exact
    assert found.p_value > 0.05


@pytest.mark.parametrize("firms", [2, 4])
def test_the_logit_best_reply_is_the_peak_of_profit(firms):
    rng = np.random.default_rng(firms)
    quality, cost = rng.uniform(1.8, 2.2, firms), rng.uniform(0.8, 1.2, firms)
    market = LogitMarket.from_scale(quality, cost, range(firms), scale=0.25)
    prices = rng.uniform(1.2, 2.0, firms)
    best = logit_best_reply(quality, cost, 0.25)(prices)
    for i in range(firms):
        for step in (-1e-3, 1e-3):
            at, near = prices.copy(), prices.copy()
            at[i], near[i] = best[i], best[i] + step
            assert market.profits(at)[i] > market.profits(near)[i]
    nash = market.bertrand_nash().prices
    np.testing.assert_allclose(logit_best_reply(quality, cost, 0.25)(nash), nash, atol=1e-8)
    tiny = logit_best_reply(quality, cost, 1e-3)(prices)
    assert np.isfinite(tiny).all()


# --- pass-through ---------------------------------------------------------------------------------


def test_prices_that_do_not_follow_costs_are_rigid():
    assert Rigidity().test(record(passed=0.0)).alarm
    found = Rigidity().test(record(passed=0.9))
    assert found.alarm is False
    assert found.statistic == pytest.approx(0.9, abs=0.15)
    assert Rigidity().test(Observed(np.ones((60, 2)), cost=1.0)).missing == ("cost changes",)


def test_rockets_and_feathers_are_found():
    rng = np.random.default_rng(0)
    cost = 1.0 + np.cumsum(0.02 * rng.standard_normal(400))
    price = np.empty((400, 2))
    price[0] = cost[0] + 0.5
    for t in range(1, 400):
        gap = cost[t] + 0.5 - price[t - 1]
        price[t] = price[t - 1] + np.where(gap > 0.0, 0.9, 0.2) * gap
    price += 0.002 * rng.standard_normal(price.shape)
    found = AsymmetricPassThrough().test(Observed(price, cost=cost))
    assert found.alarm
    assert found.conduct is False
    assert found.figures["rises"] > found.figures["falls"] + 0.2


def test_standard_errors_of_newey_and_west_agree_with_the_sum_written_out():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(50), rng.standard_normal(50)])
    y = x @ [1.0, 2.0] + rng.standard_normal(50)
    fit = least_squares(y, x, lags=2)
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    u = (y - hat @ y) / (1.0 - np.diag(hat))
    middle = np.zeros((2, 2))
    for s in range(50):
        for t in range(50):
            if abs(s - t) <= 2:
                middle += (1.0 - abs(s - t) / 3.0) * u[s] * u[t] * np.outer(x[s], x[t])
    bread = np.linalg.inv(x.T @ x)
    np.testing.assert_allclose(fit.covariance, bread @ middle @ bread)


# --- breaks ---------------------------------------------------------------------------------------


def test_f_statistics_of_all_dates_agree_with_regressions_one_by_one():
    y = np.random.default_rng(0).standard_normal(60).cumsum() * 0.1
    found = _f_statistics(y[:, None], 2, 0.15)[0][:, 0]
    target, x = y[2:], np.column_stack([np.ones(58), y[1:-1], y[:-2]])

    def rest(columns):
        return target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]

    for n, date in enumerate(range(int(np.ceil(0.15 * 58)), int(np.floor(0.85 * 58)))):
        less = rest(x) @ rest(x)
        more = np.column_stack([x, np.arange(58) >= date])
        full = rest(more) @ rest(more)
        assert found[n] == pytest.approx((less - full) / (full / 54), rel=1e-9)


def test_the_largest_f_has_the_critical_values_of_andrews():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((400, 2000))
    largest = _f_statistics(noise, 0, 0.15)[0].max(axis=0)
    np.testing.assert_allclose(np.quantile(largest, [0.9, 0.95]), [7.12, 8.68], rtol=0.06)


def test_a_new_level_is_dated_and_slow_noise_is_not():
    rng = np.random.default_rng(0)
    level = np.where(np.arange(120) < 70, 1.5, 1.8)
    prices = level[:, None] + 0.03 * rng.standard_normal((120, 2))
    found = StructuralBreak().test(Observed(prices, cost=1.0, dates=[f"d{t}" for t in range(120)]))
    assert found.alarm
    assert abs(found.figures["tick"] - 70) <= 2
    assert found.figures["shift"] == pytest.approx(0.3, abs=0.05)
    assert "from d" in found.sentence
    slow = [quandt_andrews(fading(rng, (120,), 0.8), seed=n).p_value for n in range(40)]
    assert np.mean(np.array(slow) <= 0.05) < 0.2


# --- comparisons ----------------------------------------------------------------------------------


def test_prices_steadier_than_the_control_market_are_found():
    rng = np.random.default_rng(0)
    control = 1.5 + 0.05 * rng.standard_normal((100, 3))
    for spread, alarm in ((0.01, True), (0.05, False)):
        seen = Observed(1.5 + spread * rng.standard_normal((100, 3)), control=control)
        assert LowVariance().test(seen).alarm is alarm


def test_a_leader_is_named():
    rng = np.random.default_rng(0)
    lead = fading(rng, (300,), 0.3)
    prices = 2.0 + np.stack([np.roll(lead, 1), lead, fading(rng, (300,), 0.3)], axis=1)
    found = LeadLag().test(Observed(prices, cost=1.0, names=("x", "y", "z")))
    assert found.alarm
    assert found.sentence.startswith("y changes its price before x does")
    assert found.conduct is False


def test_firms_that_share_a_vendors_data_are_found_and_a_common_shock_is_not():
    rng = np.random.default_rng(0)
    common, vendor = fading(rng, (150, 1), 0.5), fading(rng, (150, 1), 0.5)
    own = 0.05 * rng.standard_normal((150, 4))
    apart = 2.0 + common + own
    together = apart + vendor * np.array([1.0, 1.0, 0.0, 0.0])
    labels = ("v", "v", None, "w")
    assert HubAndSpoke().test(Observed(together, vendors=labels)).alarm
    assert not HubAndSpoke().test(Observed(apart, vendors=labels)).alarm
    for alone in (("v", "w", None, "x"), ("v",) * 4):
        assert HubAndSpoke().test(Observed(apart, vendors=alone)).missing == ("vendors",)


def test_a_firm_that_gets_what_a_cut_promises_clears_the_others():
    prices = np.ones((30, 2))
    before = np.ones(4)
    for after, alarm in ((1.2, False), (1.02, True)):
        outcomes = np.stack([before, 1.2 * before, after + 0.002 * np.arange(4)], axis=1)
        assert Retraining().test(Observed(prices, retrained=outcomes)).alarm is alarm
    two = Observed(prices, retrained=outcomes[:2])
    assert Retraining().test(two).alarm is None


def test_results_are_the_same_for_the_same_seed_and_records_of_screens_are_frozen():
    seen = record(control=np.ones(156) + np.random.default_rng(1).random(156))
    for name, kind in SCREENS.items():
        assert kind(seed=3).test(seen).p_value == kind(seed=3).test(seen).p_value, name
        with pytest.raises(dataclasses.FrozenInstanceError):
            kind().level = 0.1
