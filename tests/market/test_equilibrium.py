"""Prices, shares and profits of oligopolies against published figures and calculus."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.market.equilibrium import EquilibriumError, LogitMarket, mean_utilities

CALVANO = {
    2: (1.472927, 1.924981, 0.222927, 0.337490),
    3: (1.370163, 2.000000, 0.120163, 0.250000),
    4: (1.331461, 2.054411, 0.081461, 0.201103),
}
"""Number of firms: Bertrand-Nash and monopoly price, then profit per firm, at a=2, c=1, μ=1/4."""


def symmetric(n: int) -> LogitMarket:
    return LogitMarket.from_scale([2.0] * n, [1.0] * n, range(n), scale=0.25)


def nested(nesting: float = 0.4, seed: int = 3) -> LogitMarket:
    """Nine products of three firms in three nests, each firm in several of them."""
    rng = np.random.default_rng(seed)
    return LogitMarket(
        quality=rng.normal(0.0, 1.0, 9),
        cost=rng.uniform(1.0, 3.0, 9),
        owner=list("abcabcaab"),
        price_coefficient=0.7,
        nest=[0, 0, 0, 1, 1, 1, 2, 2, 2],
        nesting=nesting,
        outside_utility=0.3,
    )


def central_differences(function, point, step=1e-6):
    """Rows: outputs; columns: inputs."""
    columns = [
        (function(point + step * unit) - function(point - step * unit)) / (2.0 * step)
        for unit in np.eye(point.size)
    ]
    return np.stack(columns, axis=-1)


PRICES = np.array([2.5, 3.0, 3.2, 2.9, 4.1, 3.6, 2.2, 5.0, 3.3])


@pytest.mark.parametrize("n", CALVANO)
def test_equilibrium_and_monopoly_are_those_of_calvano_et_al(n):
    market = symmetric(n)
    nash, joint = market.bertrand_nash(), market.joint_profit()
    found = (nash.prices, joint.prices, nash.profits, joint.profits)
    for values, published in zip(found, CALVANO[n], strict=True):
        np.testing.assert_allclose(values, published, atol=5.1e-7, rtol=0.0)


@pytest.mark.parametrize("nesting", [0.0, 0.4, 0.9])
def test_share_derivatives_are_those_of_the_shares(nesting):
    market = nested(nesting)
    numeric = central_differences(market.shares, PRICES)
    np.testing.assert_allclose(market.share_jacobian(PRICES), numeric, atol=1e-9)
    elasticity = numeric * PRICES / market.shares(PRICES)[:, None]
    np.testing.assert_allclose(market.elasticities(PRICES), elasticity, atol=1e-6)


@pytest.mark.parametrize("nesting", [0.0, 0.4, 0.9])
def test_profit_gradient_is_the_derivative_of_the_own_firms_profit(nesting):
    market = nested(nesting)
    numeric = central_differences(market.profits, PRICES)
    own = [market.firms.index(firm) for firm in market.owner]
    expected = numeric[own, np.arange(PRICES.size)]
    np.testing.assert_allclose(market.profit_gradient(PRICES), expected, atol=1e-9)


@pytest.mark.parametrize("nesting", [0.0, 0.4, 0.9])
def test_consumer_surplus_falls_by_the_share_of_a_product_whose_price_rises(nesting):
    market = nested(nesting)
    numeric = central_differences(market.consumer_surplus, PRICES)
    np.testing.assert_allclose(numeric, -market.shares(PRICES), atol=1e-9)


def test_consumer_surplus_vanishes_where_nothing_worth_buying_is_sold():
    assert nested().consumer_surplus(np.full(9, 1e4)) == 0.0


def test_the_newton_derivative_is_that_of_the_fixed_point():
    market = nested()
    gap, shares, within = market._zeta_gap(PRICES)
    numeric = central_differences(lambda prices: market._zeta_gap(prices)[0], PRICES)
    np.testing.assert_allclose(
        market._zeta_gap_jacobian(PRICES, shares, within), numeric, atol=1e-8
    )
    assert gap.shape == PRICES.shape


def test_nested_logit_without_correlation_is_the_logit():
    groups = nested(nesting=0.0)
    plain = LogitMarket(
        groups.quality, groups.cost, groups.owner, groups.price_coefficient, outside_utility=0.3
    )
    expected = np.exp(plain.quality - 0.7 * PRICES)
    expected /= np.exp(0.3) + expected.sum()
    np.testing.assert_allclose(groups.shares(PRICES), expected, rtol=1e-13)
    np.testing.assert_allclose(plain.shares(PRICES), expected, rtol=1e-13)
    np.testing.assert_allclose(
        groups.bertrand_nash().prices, plain.bertrand_nash().prices, rtol=1e-10
    )


def test_shares_in_the_form_with_a_scale_are_those_of_calvano_et_al():
    market = LogitMarket.from_scale([2.0, 2.2], [1.0, 1.0], [0, 1], 0.25, outside_utility=0.5)
    weight = np.exp((np.array([2.0, 2.2]) - [1.5, 1.9]) / 0.25)
    expected = weight / (weight.sum() + np.exp(0.5 / 0.25))
    np.testing.assert_allclose(market.shares([1.5, 1.9]), expected, rtol=1e-13)


def test_nested_shares_are_those_of_the_formula():
    market = nested(nesting=0.4)
    utility = market.quality - 0.7 * PRICES
    group = np.asarray(market.nest)
    sums = np.array([np.exp(utility[group == g] / 0.6).sum() for g in range(3)])
    mass = np.exp(0.3) + (sums**0.6).sum()
    expected = np.exp(utility / 0.6) / sums[group] * sums[group] ** 0.6 / mass
    np.testing.assert_allclose(market.shares(PRICES), expected, rtol=1e-13)


@pytest.mark.parametrize("nesting", [0.0, 0.4, 0.9])
def test_mean_utilities_invert_the_shares(nesting):
    market = nested(nesting)
    shares = market.shares(PRICES)
    delta = mean_utilities(shares, market.nest, nesting, outside_utility=0.3)
    np.testing.assert_allclose(delta, market.quality - 0.7 * PRICES, atol=1e-12)


@pytest.mark.parametrize("nesting", [0.0, 0.4, 0.9])
def test_marginal_costs_of_equilibrium_prices_are_the_costs(nesting):
    market = nested(nesting)
    prices = market.bertrand_nash().prices
    np.testing.assert_allclose(market.marginal_costs(prices), market.cost, atol=1e-9)


@pytest.mark.parametrize("verb", ["bertrand_nash", "joint_profit"])
def test_permuting_products_and_renaming_firms_permutes_the_solution(verb):
    market = nested()
    order = np.random.default_rng(5).permutation(9)
    renamed = {"a": 30, "b": 20, "c": 10}
    permuted = LogitMarket(
        quality=market.quality[order],
        cost=market.cost[order],
        owner=[renamed[market.owner[j]] for j in order],
        price_coefficient=0.7,
        nest=[market.nest[j] for j in order],
        nesting=0.4,
        outside_utility=0.3,
    )
    first, second = getattr(market, verb)(), getattr(permuted, verb)()
    np.testing.assert_allclose(second.prices, first.prices[order], rtol=1e-9)
    np.testing.assert_allclose(second.profits, first.profits[::-1], rtol=1e-9)


@pytest.mark.parametrize("nesting", [0.0, 0.4, 0.9])
def test_no_firm_gains_by_other_prices_of_its_own_at_the_equilibrium(nesting):
    market = nested(nesting)
    solution = market.bertrand_nash()
    rng = np.random.default_rng(11)
    for position, firm in enumerate(market.firms):
        own = np.asarray(market.owner) == firm
        for width in (0.01, 0.3, 3.0):
            trial = np.where(
                own, solution.prices + rng.normal(0.0, width, (200, 9)), solution.prices
            )
            assert (market.profits(trial)[:, position] < solution.profits[position]).all()


def test_joint_profit_prices_give_the_largest_total_profit():
    market = nested()
    joint, nash = market.joint_profit(), market.bertrand_nash()
    total = joint.profits.sum()
    assert total > nash.profits.sum()
    trial = joint.prices + np.random.default_rng(2).normal(0.0, 0.2, (500, 9))
    assert (market.profits(trial).sum(axis=-1) < total).all()


def test_single_owner_equilibrium_is_the_joint_profit_maximum():
    market = nested()
    merged = market.with_owner([0] * 9).bertrand_nash()
    np.testing.assert_allclose(merged.prices, market.joint_profit().prices, rtol=1e-12)


def test_solution_does_not_depend_on_the_starting_prices():
    market = nested()
    expected = market.bertrand_nash().prices
    for start in (np.zeros(9), np.full(9, 50.0), PRICES):
        np.testing.assert_allclose(market.bertrand_nash(start).prices, expected, rtol=1e-9)


def test_batches_of_prices_give_what_each_price_vector_gives():
    market = nested()
    batch = PRICES + np.arange(6.0).reshape(2, 3, 1)
    for verb in (market.shares, market.profits, market.consumer_surplus):
        np.testing.assert_allclose(verb(batch)[1, 2], verb(batch[1, 2]), rtol=1e-14)


def test_huge_and_tiny_utilities_neither_overflow_nor_lose_the_largest_product():
    market = LogitMarket([2000.0, 0.0, -2000.0], [0.0] * 3, [0, 1, 2], 1.0, [0, 0, 1], 0.5)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        shares = market.shares(np.zeros(3))
    np.testing.assert_array_equal(shares, [1.0, 0.0, 0.0])


def test_failure_to_converge_is_an_error_with_its_residual_and_a_remedy():
    with pytest.raises(EquilibriumError, match="allow more iterations") as caught:
        symmetric(2).bertrand_nash(start=[9.0, 9.0], max_iterations=1)
    assert caught.value.residual > 1e-11
    assert "start" in caught.value.remedy


def test_stationary_prices_that_do_not_maximise_profit_are_refused(monkeypatch):
    # The identity as derivative says that every firm's profit curves upwards.
    monkeypatch.setattr(LogitMarket, "_zeta_gap_jacobian", lambda *_: np.eye(9))
    with pytest.raises(EquilibriumError, match="do not maximise the profit of firm a"):
        nested().bertrand_nash()


def test_costs_without_a_solution_are_an_error():
    market = LogitMarket([1000.0], [0.0], [0], 1.0)
    with pytest.raises(EquilibriumError, match="not determined"):
        market.marginal_costs([1.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price_coefficient": -0.2}, "positive"),
        ({"nesting": 1.0}, "nesting"),
        ({"owner": [0]}, "owner"),
        ({"nest": [0, 1, 2]}, "nest"),
        ({"cost": [1.0]}, "shapes"),
        ({"quality": [np.nan, 0.0]}, "finite"),
    ],
)
def test_inconsistent_markets_are_refused(change, message):
    good = {"quality": [1.0, 1.0], "cost": [1.0, 1.0], "owner": [0, 1], "price_coefficient": 1.0}
    with pytest.raises(ValueError, match=message):
        LogitMarket(**(good | change))
