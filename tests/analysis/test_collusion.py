"""Profit gain, RPDI, Lerner index and surplus: by hand, by identities, by closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.analysis.collusion import (
    Benchmarks,
    consumer_surplus,
    lerner,
    measures,
    profit_gain,
    profit_gain_per_firm,
    rpdi,
)
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.types import InputError

CALVANO = LogitMarket.from_scale([2.0, 2.0], [1.0, 1.0], range(2), scale=0.25)
NASH, JOINT = CALVANO.bertrand_nash(), CALVANO.joint_profit()
KNOWN = Benchmarks.of(NASH, JOINT, cost=[1.0, 1.0])


def constant(row, ticks=5, sessions=3):
    return np.tile(np.asarray(row, dtype=float), (ticks, sessions, 1))


def test_nash_has_gain_0_and_the_joint_maximum_gain_1():
    for solution, gain in ((NASH, 0.0), (JOINT, 1.0)):
        found = measures(constant(solution.prices), constant(solution.profits), KNOWN)
        np.testing.assert_allclose(found.profit_gain, [gain] * 3, atol=1e-12)
        np.testing.assert_allclose(found.rpdi, [gain] * 3, atol=1e-12)
        markup = (solution.prices[0] - 1.0) / solution.prices[0]
        np.testing.assert_allclose(found.lerner, [markup] * 3, rtol=1e-12)


def test_the_gain_is_a_ratio_of_averages_worked_by_hand():
    # Average profit (3 + 7)/2 = 5 between Nash (2 + 4)/2 = 3 and joint (5 + 9)/2 = 7.
    profits = np.array([[[2.0, 8.0]], [[4.0, 6.0]]])
    np.testing.assert_allclose(profit_gain(profits, [2.0, 4.0], [5.0, 9.0]), [0.5])
    np.testing.assert_allclose(profit_gain(profits.mean(0), [2.0, 4.0], [5.0, 9.0]), [0.5])
    each = profit_gain_per_firm(profits, [2.0, 4.0], [5.0, 9.0])
    np.testing.assert_allclose(each, [[1 / 3, 3 / 5]])


def test_a_firms_own_gain_explodes_where_the_joint_maximum_leaves_it_nothing():
    each = profit_gain_per_firm(constant([2.0, 2.0]), [1.0, 1.0], [9.0, 1.001])
    assert each[0, 1] > 900.0
    assert profit_gain(constant([2.0, 2.0]), [1.0, 1.0], [9.0, 1.001])[0] < 1.0
    assert np.isnan(profit_gain_per_firm(constant([2.0, 2.0]), 1.0, [9.0, 1.0])[:, 1]).all()


def test_money_may_be_counted_in_pence_and_firms_in_any_order():
    rng = np.random.default_rng(0)
    prices, profits = rng.uniform(1.5, 2.0, (2, 50, 4, 3))
    known = Benchmarks([1.2, 1.3, 1.4], [2.0, 2.1, 2.3], [0.1, 0.2, 0.3], [0.5, 0.6, 0.7], 1.0)
    first = measures(prices, profits, known)
    order = [2, 0, 1]
    pence = Benchmarks(
        *(
            100.0 * np.array(v)[order]
            for v in (
                known.price_nash,
                known.price_joint,
                known.profit_nash,
                known.profit_joint,
                known.cost,
            )
        )
    )
    second = measures(100.0 * prices[..., order], 100.0 * profits[..., order], pence)
    for name in ("profit_gain", "rpdi", "lerner"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-12)


def test_rpdi_may_weigh_firms_by_their_sales():
    prices = constant([1.0, 2.0])
    np.testing.assert_allclose(rpdi(prices, 1.0, 2.0), [0.5] * 3)
    np.testing.assert_allclose(rpdi(prices, 1.0, 2.0, weights=[1.0, 3.0]), [0.75] * 3)


def test_the_industrys_mark_up_counts_sales_and_not_price_tags():
    prices = constant([2.0, 4.0])
    np.testing.assert_allclose(lerner(prices, 1.0), [(0.5 + 0.75) / 2] * 3)
    np.testing.assert_allclose(lerner(prices, 1.0, constant([9.0, 1.0])), [0.525] * 3)
    assert np.isnan(lerner(prices, 1.0, 0.0 * prices)).all()


# --- consumer surplus -----------------------------------------------------------------------------


@pytest.mark.parametrize("nesting", [0.0, 0.6])
def test_the_integral_of_logit_demand_is_the_log_sum(nesting):
    market = LogitMarket(
        quality=[1.0, 0.5, 2.0],
        cost=[1.0] * 3,
        owner=range(3),
        price_coefficient=1.7,
        nest=[0, 0, 1],
        nesting=nesting,
        outside_utility=0.4,
    )
    prices = np.random.default_rng(1).uniform(0.5, 4.0, (6, 2, 3))
    np.testing.assert_allclose(
        consumer_surplus(market.shares, prices), market.consumer_surplus(prices), rtol=1e-6
    )


def test_linear_demand_of_one_good_leaves_its_triangle():
    def demand(p):
        return np.maximum(0.0, 1.0 - p)

    np.testing.assert_allclose(consumer_surplus(demand, [[0.4], [0.9]]), [0.18, 0.005], rtol=1e-6)
    np.testing.assert_allclose(consumer_surplus(demand, [0.4], reach=0.6), 0.18, rtol=1e-12)


def test_constant_elasticity_demand_has_a_closed_form():
    # The integral of 3 (p + t)^-2 over t from 0 to infinity is 3 / p.
    np.testing.assert_allclose(consumer_surplus(lambda p: 3.0 * p**-2, [[2.0]]), [1.5], rtol=1e-9)


def test_demand_that_ends_in_a_jump_needs_the_place_of_the_jump():
    def demand(p):
        return (p <= 10.0).astype(float)

    np.testing.assert_allclose(
        consumer_surplus(demand, [[2.0], [7.0]], reach=[8.0, 3.0]), [8.0, 3.0]
    )
    with pytest.raises(InputError, match="reach"):
        consumer_surplus(demand, [[2.0]], tolerance=1e-12)


def test_demand_that_never_ends_has_no_surplus():
    with pytest.raises(InputError, match="does not settle"):
        consumer_surplus(lambda p: 1.0 / p, [[2.0]])


# --- doors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: profit_gain(np.ones(3), 0.0, 1.0), "profits has shape"),
        (lambda: profit_gain([[1.0, np.nan]], 0.0, 1.0), r"profits\[0, 1\]=nan"),
        (lambda: profit_gain([[1.0, 1.0]], 1.0, 1.0), "must lie above profit_nash=1"),
        (lambda: rpdi([[1.0, 1.0]], [0.0] * 3, 1.0), "price_nash has shape"),
        (lambda: rpdi([[1.0, 1.0]], 0.0, 1.0, weights=[-1.0, 2.0]), "weights="),
        (lambda: lerner([[0.0, 1.0]], 1.0), "prices=0 must be > 0"),
        (lambda: lerner([[1.0, 1.0]], [1.0] * 3), "cost has shape"),
        (lambda: Benchmarks([2.0], [1.0], [1.0], [2.0]), "price_joint=1"),
        (lambda: consumer_surplus(lambda p: p, [[1.0]], reach=-1.0), "reach=-1"),
    ],
)
def test_bad_input_is_told_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
