"""Observed prices: own cost shocks stand in for trials, and where nothing identifies it is said."""

import numpy as np
import pytest

from mos_agents.analysis.cost_impulses import NotIdentified, observed_war_effect
from mos_agents.analysis.trial_worlds import PRICE_JOINT, PRICE_NASH
from mos_agents.analysis.war_effects import war_effect

GAP = PRICE_JOINT - PRICE_NASH
SHAPE = (4000, 6, 2)


def dips(rng, chance=0.01, size=0.3, lasts=1):
    """Own cost falls of `lasts` ticks, and a common cost that never rests."""
    begins = rng.random(SHAPE) < chance
    low = begins.copy()
    for back in range(1, lasts):
        low[back:] |= begins[:-back]
    common = 0.1 * GAP * rng.standard_normal(SHAPE[:2])[:, :, None]
    return 1.0 + common - size * low, low


def competitive(rng, cost, low):
    """Each passes its own cost on; a common season moves both."""
    season = 0.3 * GAP * np.sin(np.arange(SHAPE[0]) / 8.0)[:, None, None]
    noise = 0.05 * GAP * rng.standard_normal(SHAPE)
    return 1.7 + season + 0.5 * (cost - 1.0) + noise


def punishing(rng, cost, low):
    """Whoever sees a cut of the rival asks .4 (p_M - p_N) less for five ticks, and so does it."""
    prices = competitive(rng, cost, low)
    for back in range(2, 7):
        war = low.any(axis=2)[:-back]
        prices[back:] -= 0.4 * GAP * war[:, :, None]
    return prices


def test_punished_cost_cuts_are_found_and_competitive_ones_are_not():
    rng = np.random.default_rng(0)
    cost, low = dips(rng)
    war = observed_war_effect(punishing(rng, cost, low), cost, PRICE_NASH, PRICE_JOINT)
    assert np.nanmean(war.war_after_trial) > 0.6 and war.significant().mean() > 0.8
    peace = observed_war_effect(competitive(rng, cost, low), cost, PRICE_NASH, PRICE_JOINT)
    assert peace.trials.sum() > 50
    assert abs(np.nanmean(peace.war_after_trial) - peace.war_placebo.mean()) < 0.1
    assert not peace.significant(0.01).any()


def test_it_finds_what_the_measure_with_known_trials_finds():
    rng = np.random.default_rng(1)
    cost, low = dips(rng)
    prices = punishing(rng, cost, low)
    tried = low.copy()
    known = war_effect(prices, tried, PRICE_NASH, PRICE_JOINT)
    found = observed_war_effect(prices, cost, PRICE_NASH, PRICE_JOINT)
    assert found.trials.sum() >= 0.8 * known.trials.sum()
    assert np.nanmean(found.war_after_trial) == pytest.approx(
        np.nanmean(known.war_after_trial), abs=0.15
    )


def test_lasting_cost_falls_need_theory_and_then_mean_no_war():
    rng = np.random.default_rng(2)
    cost, low = dips(rng, chance=0.004, size=0.6, lasts=40)
    prices = competitive(rng, cost, low)
    with pytest.raises(NotIdentified, match=r"last 2 ticks or more.*give price_nash"):
        observed_war_effect(prices, cost, PRICE_NASH, PRICE_JOINT)
    theory = 1.5 + 0.5 * (cost - 1.0)
    found = observed_war_effect(prices, cost, PRICE_NASH, PRICE_JOINT, price_nash=theory, fewest=5)
    assert not found.significant(0.01).any()


def test_a_record_that_cannot_tell_is_refused_in_one_plain_line():
    rng = np.random.default_rng(3)
    cost, low = dips(rng)
    prices = competitive(rng, cost, low)
    common = np.repeat(cost[:, :, :1], 2, axis=2)
    few = np.ones(SHAPE)
    few[500, 0, 0] = 0.7
    rowed = competitive(rng, few, low)
    unmoved = 1.7 + 0.05 * rng.standard_normal(SHAPE)
    for given, costs, message in (
        (prices, None, "costs are missing"),
        (prices, np.ones(SHAPE), "costs never change"),
        (prices, common, "costs move for all firms together"),
        (rowed, few, "1 lone own cost shocks are too few"),
        (unmoved, cost, "prices do not follow own costs"),
        (prices[:, :, :1], cost[:, :, :1], "prices of 1 firm"),
    ):
        with pytest.raises(NotIdentified, match=message) as error:
            observed_war_effect(given, costs, PRICE_NASH, PRICE_JOINT)
        assert "\n" not in str(error.value)
