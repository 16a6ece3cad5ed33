"""Audits of many seeded markets: competitors seldom sound, and planted price wars are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mos_agents.analysis.audit import judge
from mos_agents.analysis.screens import Observed, rates_for
from mos_agents.corpus import WORLDS, generate
from mos_agents.market.types import Array

WEEKS, FIRMS = 52, 5
COMPETITIVE = [n for n, w in WORLDS.items() if w.kind == "competitive" and not w.learners]


def alarm(observed: Observed) -> bool:
    return judge({"the market": observed}, tick="week", rates=rates_for).alarm


def test_competitive_worlds_of_the_corpus_sound_in_at_most_one_of_twenty():
    """A year of weeks and five firms, as an auditor has it: 12 markets of each world."""
    alarms = {
        name: sum(alarm(one.observed) for one in generate(name, 12, WEEKS, FIRMS, seed=3))
        for name in COMPETITIVE
    }
    assert sum(alarms.values()) <= 0.05 * 12 * len(alarms), alarms
    assert max(alarms.values()) <= 3, alarms


# --- worlds of one shock each, by hand ------------------------------------------------------------


def noise(rng: np.random.Generator) -> Array:
    return 0.05 * rng.normal(size=(WEEKS, FIRMS))


def step(rng: np.random.Generator) -> Array:
    return (np.arange(WEEKS) > rng.integers(10, WEEKS - 10)).astype(float)


def cost_step(rng: np.random.Generator) -> Observed:
    cost = 5.0 + step(rng)
    return Observed(2.0 + cost[:, None] + noise(rng), cost=cost)


def slow_cost_step(rng: np.random.Generator) -> Observed:
    """Firms change their prices now and then, and go half of the way."""
    cost = 5.0 + step(rng)
    prices = np.full((WEEKS, FIRMS), 7.0)
    for t in range(1, WEEKS):
        gap = 2.0 + cost[t] - prices[t - 1]
        prices[t] = prices[t - 1] + 0.5 * gap * (rng.random(FIRMS) < 0.6)
    return Observed(prices + noise(rng), cost=cost)


def fee(rng: np.random.Generator) -> Observed:
    share = 0.2 * step(rng)
    return Observed(
        7.0 / (1.0 - share)[:, None] + noise(rng), cost=5.0, common={"the platform's fee": share}
    )


def unknown_fee(rng: np.random.Generator) -> Observed:
    return Observed(7.0 / (1.0 - 0.1 * step(rng))[:, None] + noise(rng), cost=5.0)


def season(rng: np.random.Generator) -> Observed:
    return Observed(
        7.0 + 0.6 * np.sin(2 * np.pi * np.arange(WEEKS) / 13)[:, None] + noise(rng), cost=5.0
    )


def promotions(rng: np.random.Generator) -> Observed:
    """Single cuts of one firm, and dips of all, each at dates of its own."""
    prices = 7.0 + noise(rng)
    for start in rng.choice(np.arange(5, WEEKS - 8), 5, replace=False):
        prices[start : start + 2, rng.integers(FIRMS)] -= 1.0
    for start in rng.choice(np.arange(5, WEEKS - 8), 3, replace=False):
        prices[start : start + 4] -= 0.7
    return Observed(prices, cost=5.0)


def best_replies(rng: np.random.Generator) -> Observed:
    """Firms answer 45% of the rivals' last move; now and then one of them cuts for three weeks."""
    own = noise(rng)
    for start in rng.choice(np.arange(5, WEEKS - 8), 6, replace=False):
        own[start : start + 3, rng.integers(FIRMS)] -= 1.2
    prices = np.full((WEEKS, FIRMS), 7.0)
    for t in range(1, WEEKS):
        others = (prices[t - 1].sum() - prices[t - 1]) / (FIRMS - 1)
        prices[t] = 7.0 + 0.45 * (others - 7.0) + own[t]
    return Observed(prices, cost=5.0)


SHOCKS = [cost_step, slow_cost_step, fee, unknown_fee, season, promotions, best_replies]


@pytest.mark.parametrize("world", SHOCKS, ids=lambda world: world.__name__)
def test_no_step_of_a_cost_or_fee_no_season_and_no_promotion_is_called_a_war(
    world: Callable[[np.random.Generator], Observed],
):
    alarms = sum(alarm(world(np.random.default_rng(seed))) for seed in range(20))
    assert alarms <= 2


def wars(rng: np.random.Generator) -> Observed:
    """Three times a firm cuts its price, and the others go along for five weeks."""
    cost = 5.0 + np.cumsum(0.1 * rng.normal(size=WEEKS))
    prices = 5.0 + 0.8 * cost[:, None] + 0.08 * rng.normal(size=(WEEKS, FIRMS))
    for start in (10, 26, 41):
        prices[start, rng.integers(FIRMS)] -= 1.2
        prices[start + 1 : start + 6] -= 1.0
    return Observed(prices, cost=cost)


def test_planted_price_wars_are_found_after_the_correction():
    """Measured over 40 seeds: 33 found."""
    found = [judge({"x": wars(np.random.default_rng(seed))}) for seed in range(15)]
    assert sum(one.alarm for one in found) >= 8
    sounding = {v.screen for one in found for v in one.verdicts if v.alarm}
    assert "price_war" in sounding
