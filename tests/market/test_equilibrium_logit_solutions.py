"""Logit and nested-logit prices against slow solvers that share nothing with the package's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp, wrightomega

from mos_agents.market.equilibrium import EquilibriumError, LogitMarket


def by_lambert_w(a, c, owner, mu, a0=0.0):
    """Bertrand-Nash prices of the plain logit: each firm's exact reply in turn until nobody moves.

    Firm f adds the same margin mu x to all costs; its reply is x = 1 + W(exp(t - 1)), t the
    logarithm of its products' weight at cost over everybody else's and the outside option's.
    """
    a, c, owner = np.asarray(a, float), np.asarray(c, float), np.asarray(owner)
    firms = np.unique(owner)
    height = {f: logsumexp((a - c)[owner == f] / mu) for f in firms}
    x = dict.fromkeys(firms, 1.0)
    for _ in range(200_000):
        largest = 0.0
        for f in firms:
            rest = [a0 / mu, *(height[g] - x[g] for g in firms if g != f)]
            reply = 1.0 + float(wrightomega(height[f] - logsumexp(rest) - 1.0).real)
            largest = max(largest, abs(reply - x[f]) / reply)
            x[f] = reply
        if largest < 1e-15:
            break
    return c + mu * np.array([x[f] for f in owner])


@pytest.mark.parametrize(
    ("a", "c", "mu", "truth"),
    [
        ([2.0, 2.0], [1.0, 0.25], 0.02, [2.66184315, 1.91184315]),
        ([2.0] * 4, [1.0] * 4, 0.005, [1.98056358] * 4),
    ],
)
def test_joint_prices_of_nearly_homogeneous_goods_are_those_of_lambert_w(a, c, mu, truth):
    found = LogitMarket.from_scale(a, c, range(len(a)), mu).joint_profit()
    np.testing.assert_allclose(found.prices, truth, atol=5e-9)
    np.testing.assert_allclose(found.prices, by_lambert_w(a, c, [0] * len(a), mu), rtol=1e-12)


def test_an_inferior_seller_of_nearly_homogeneous_goods_has_an_equilibrium():
    found = LogitMarket.from_scale([2.0, 1.0], [1.0, 1.0], [0, 1], 0.02).bertrand_nash()
    np.testing.assert_allclose(found.prices, [1.91768455, 1.02011741], atol=5e-9)


WORLDS = list(
    itertools.product(
        (2, 3, 4, 6), (0.001, 0.003, 0.01, 0.05, 0.25, 1.0), ("alike", "costs", "qualities", "both")
    )
)


@pytest.mark.parametrize(("n", "mu", "unequal"), WORLDS)
def test_systematic_markets_agree_with_lambert_w(n, mu, unequal):
    a, c = np.full(n, 2.0), np.ones(n)
    if unequal in ("costs", "both"):
        c = np.linspace(0.25, 1.0, n)
    if unequal in ("qualities", "both"):
        a = np.linspace(2.0, 1.0, n)
    market = LogitMarket.from_scale(a, c, range(n), mu)
    for found, owner in (
        (market.bertrand_nash(), range(n)),
        (market.joint_profit(), [0] * n),
    ):
        truth = by_lambert_w(a, c, owner, mu)
        np.testing.assert_allclose(found.prices - c, truth - c, rtol=1e-9)
        assert found.residual <= 1e-10 * found.prices.max()
        assert (found.prices > c).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_markets_with_firms_of_several_products_agree_with_lambert_w(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    unit = 10.0 ** rng.uniform(-3, 4)  # cents, euros, yen
    a, c = unit * rng.uniform(-1.0, 3.0, n), unit * rng.uniform(0.0, 2.0, n)
    mu, a0 = unit * 10.0 ** rng.uniform(-3, 1), unit * rng.uniform(-2.0, 2.0)
    owner = rng.integers(0, 3, n)
    market = LogitMarket.from_scale(a, c, owner, mu, outside_utility=a0)
    truth = by_lambert_w(a, c, owner, mu, a0)
    size = max(np.abs(truth).max(), np.abs(a).max())
    np.testing.assert_allclose(market.bertrand_nash().prices, truth, rtol=0, atol=1e-9 * size)
    joint = by_lambert_w(a, c, np.zeros(n), mu, a0)
    np.testing.assert_allclose(market.joint_profit().prices, joint, rtol=0, atol=1e-9 * size)


def log_profit(x, own, others, market):
    """ln of a firm's profit at margins x of its products, by the textbook's formula."""
    margins = others.copy()
    margins[own] = np.exp(x)
    alpha, sigma = market.price_coefficient, market.nesting
    v = (np.asarray(market.quality) - alpha * (market.cost + margins)) / (1.0 - sigma)
    nest = np.asarray(market.nest)
    sums = {h: logsumexp(v[nest == h]) for h in np.unique(nest)}
    everything = logsumexp([market.outside_utility, *((1.0 - sigma) * s for s in sums.values())])
    log_s = v - np.array([sigma * sums[h] for h in nest]) - everything
    return float(logsumexp(np.log(margins[own]) + log_s[own]))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_firm_of_a_random_nested_market_finds_a_better_reply_by_a_general_search(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    mu = 10.0 ** rng.uniform(-2.5, 0.0)
    market = LogitMarket.from_scale(
        rng.uniform(1.0, 3.0, n),
        rng.uniform(0.2, 1.5, n),
        rng.integers(0, 3, n),
        mu,
        nest=rng.integers(0, 2, n),
        nesting=float(rng.choice([0.2, 0.6, 0.9, 0.99])),
        outside_utility=rng.uniform(-0.5, 1.0),
    )
    for found, owner in (
        (market.bertrand_nash(), np.asarray(market.owner)),
        (market.joint_profit(), np.zeros(n)),
    ):
        margins = found.prices - market.cost
        assert (margins > 0.0).all()
        for firm in np.unique(owner):
            own = owner == firm
            here = log_profit(np.log(margins[own]), own, margins, market)
            best = here
            for factor in (0.3, 1.0, 3.0):
                start = np.log(factor * margins[own]) + 0.01 * rng.normal(size=own.sum())
                options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 4000}
                reply = minimize(
                    lambda x, own=own, margins=margins: -log_profit(x, own, margins, market),
                    start,
                    method="Nelder-Mead",
                    options=options,
                )
                best = max(best, -reply.fun)
            assert best <= here + 1e-9


def test_a_market_with_hardly_an_outside_option_is_solved_in_money_or_refused():
    market = LogitMarket([0.0, 0.0], [1.0, 1.0], [0, 1], 1.0, outside_utility=-1e5)
    np.testing.assert_allclose(market.bertrand_nash().prices, 3.0, rtol=1e-12)  # 1 + 1/(1 - 1/2)
    joint = market.joint_profit()  # x e^x-like: the price at which buyers begin to leave
    assert joint.prices[0] == pytest.approx(by_lambert_w([0, 0], [1, 1], [0, 0], 1.0, -1e5)[0])


def test_starting_prices_below_cost_lead_to_the_equilibrium_all_the_same():
    market = LogitMarket.from_scale([2.0, 2.0], [1.0, 0.25], [0, 1], 0.02)
    expected = market.bertrand_nash().prices
    for start in ([-1e9, 0.0], [1e6, 1e6], [0.0, 0.0]):
        np.testing.assert_allclose(market.bertrand_nash(start).prices, expected, rtol=1e-10)


def test_prices_at_which_a_firm_gains_by_other_margins_are_refused(monkeypatch):
    """One firm sells in both nests; its margins are replaced by others that earn less."""
    market = LogitMarket([2.0, 2.0, 1.0], [1.0] * 3, [0, 0, 1], 2.0, nest=[0, 1, 1], nesting=0.5)
    found = market.bertrand_nash()
    cells, cell = market._cells(market.cost)
    margins = 2.0 * (found.prices - 1.0)
    worse = np.bincount(cell, 1.2 * margins) / np.bincount(cell)
    with pytest.raises(EquilibriumError, match=r"firm 0 gains .* by other prices"):
        market._check_other_margins(cells, worse, cell, 0.0)
