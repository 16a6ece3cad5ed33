"""The causal measure of price wars: trials against calm ticks, tested by turning the pattern."""

import numpy as np
import pytest
from scipy import stats

from mos_agents.analysis.price_wars import SLACK
from mos_agents.analysis.randomisation import turned_p_value
from mos_agents.analysis.trial_wars import CALM, LOW, WarEffectDefinition, find_wars
from mos_agents.analysis.war_effects import war_effect
from mos_agents.market.types import InputError
from tests.oracles import analysis as oracles

P_N, P_M = 1.0, 2.0


def calm(ticks=200, sessions=1, firms=2, price=1.8):
    return np.full((ticks, sessions, firms), price), np.zeros((ticks, sessions, firms), bool)


def planted(war_from=102, war_to=107, trial_at=100, fall=0.3):
    """Firm 0 tries a low price at tick 100; both ask less from tick 102 to 106."""
    prices, tried = calm()
    prices[trial_at, 0, 0] -= 0.5
    tried[trial_at, 0, 0] = True
    prices[war_from:war_to] -= fall
    return prices, tried


def test_a_planted_war_is_found_with_its_depth_its_length_and_who_ended_it():
    prices, tried = planted()
    prices[107, 0, 1] = 1.79  # the rival is back a little lower
    found = war_effect(prices, tried, P_N, P_M)
    assert found.trials.tolist() == [1] and found.war_after_trial.tolist() == [1.0]
    assert found.war_placebo[0] < 0.1
    (onset,), (duration,) = found.wars.onset, found.wars.duration
    assert (onset, duration, bool(found.wars.ended[0])) == (102, 5, True)
    assert found.wars.depth[0] == pytest.approx(0.3)
    assert found.wars.raised_by_trier[0] and found.wars.raised_by_rival[0]
    table = found.summary()
    assert (table.median_duration, table.ended_by_both) == (5.0, 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"fall": 0.24},  # not deep enough
        {"war_to": 104},  # too short
        {"war_from": 100, "war_to": 104},  # its third tick after the first one counted is missing
        {"war_from": 109, "war_to": 130},  # too late
    ],
)
def test_what_misses_the_definition_is_no_war(change):
    assert war_effect(*planted(**change), P_N, P_M).war_after_trial.tolist() == [0.0]


def test_a_fall_that_one_firm_makes_alone_is_no_war():
    prices, tried = planted(fall=0.0)
    prices[102:107, 0, 0] -= 0.6  # the mean falls by .3
    alone = WarEffectDefinition(firms=1)
    assert war_effect(prices, tried, P_N, P_M).war_after_trial.tolist() == [0.0]
    assert war_effect(prices, tried, P_N, P_M, alone).war_after_trial.tolist() == [1.0]
    with pytest.raises(InputError, match="firms=3 must be at most 2"):
        war_effect(prices, tried, P_N, P_M, WarEffectDefinition(firms=3))


def test_a_fall_in_which_somebody_explores_is_not_endogenous():
    prices, tried = planted()
    tried[104, 0, 1] = True
    found = war_effect(prices, tried, P_N, P_M)
    assert found.trials.tolist() == [0] and found.p_value.tolist() == [1.0]


def test_a_trial_above_the_level_counts_upward_and_never_downward():
    prices, tried = planted()
    prices[100, 0, 0] = 1.95
    assert war_effect(prices, tried, P_N, P_M).trials.tolist() == [0]
    up = war_effect(prices, tried, P_N, P_M, direction="high")
    assert up.trials.tolist() == [1] and up.war_after_trial.tolist() == [1.0]


def test_the_first_answer_is_measured_beyond_the_static_best_reply():
    prices, tried = planted()
    prices[101, 0, 1] -= 0.4  # the rival cuts by .4 where its best reply falls by .1
    found = war_effect(prices, tried, P_N, P_M, best_reply=lambda p: 1.0 + 0.2 * p[:, ::-1])
    assert found.answer.tolist() == pytest.approx([-0.4])
    assert found.static_answer.tolist() == pytest.approx([-0.1])
    assert np.isnan(war_effect(prices, tried, P_N, P_M).static_answer).all()


def test_the_kernel_agrees_with_the_reference():
    rng = np.random.default_rng(3)
    rule = WarEffectDefinition(level=4, horizon=7)
    prices = 1.5 + 0.2 * np.cumsum(rng.standard_normal((400, 3, 3)), axis=0) * 0.3
    tried = rng.random(prices.shape) < 0.02
    prices[tried] += rng.choice([-0.5, 0.5], tried.sum())
    rows, tries = (np.ascontiguousarray(np.swapaxes(x, 0, 1)) for x in (prices, tried))
    kind, onset = np.empty((3, 400), np.int8), np.empty((3, 400), np.int64)
    usual = np.array([[np.median(rows[s, ~tries[s, :, i], i]) for i in range(3)] for s in range(3)])
    sign = np.sign(rows - usual[:, None]).astype(np.int8)
    find_wars(rows, tries, sign, np.full(3, 0.8), 0.25, 3, 2, 7, 4, 2, 0.1, kind, onset)
    for s in range(3):
        kinds, wars = oracles.wars_after_trials(prices[:, s], tried[:, s], 0.8, rule)
        assert kind[s].tolist() == kinds
        assert (onset[s] >= 0).tolist() == wars
        found = war_effect(prices[:, [s]], tried[:, [s]], 1.0, 1.8, rule)
        counted = np.isin(kinds, (CALM, LOW))
        treated, outcome = (np.array(kinds) == LOW)[counted], np.array(wars)[counted]
        turned = oracles.turned_p_value(treated, outcome)
        table = [[(a & b).sum() for b in (outcome, ~outcome)] for a in (treated, ~treated)]
        exact = stats.fisher_exact(table, alternative="greater").pvalue
        assert found.p_value[0] == pytest.approx(max(turned, exact))
    assert 0 < (onset >= 0).sum() < onset.size and SLACK < 1e-6


def test_the_p_value_is_the_share_of_turns_with_as_many_outcomes():
    treated, outcome = np.array([1, 0, 0, 0, 0], bool), np.array([1, 1, 0, 0, 0], bool)
    assert turned_p_value(treated, outcome) == pytest.approx(2 / 5)
    assert turned_p_value(np.zeros(5, bool), outcome) == 1.0
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.random((2, 37)) < 0.3
        assert turned_p_value(a, b) == pytest.approx(
            1.0 if a.all() or not a.any() else oracles.turned_p_value(a, b)
        )


def test_wars_that_a_common_shock_causes_are_in_both_groups():
    """A common low comes and goes; trials do nothing. The test keeps its level."""
    rng = np.random.default_rng(1)
    ticks, sessions = 3000, 200
    prices, tried = calm(ticks, sessions)
    low = np.sin(np.arange(ticks) / 12.0)[:, None] + 0.3 * rng.standard_normal((1, sessions))
    prices -= 0.4 * np.clip(low, 0.0, 1.0)[:, :, None]
    tried[:] = rng.random(tried.shape) < 0.01
    prices[tried] -= 0.3
    found = war_effect(prices, tried, P_N, P_M)
    assert np.nanmean(found.war_placebo) > 0.05
    table = found.summary()
    assert table.difference.low < 0.0 < table.difference.high
    assert found.significant().mean() < 0.08


def test_what_cannot_be_compared_is_refused_in_one_line():
    prices, tried = calm()
    with pytest.raises(InputError, match="tried is"):
        war_effect(prices, tried[:-1], P_N, P_M)
    with pytest.raises(InputError, match="direction='down'"):
        war_effect(prices, tried, P_N, P_M, direction="down")
    with pytest.raises(InputError, match="horizon=3 must be at least"):
        WarEffectDefinition(horizon=3)
