"""Chains, fees, dealers and stocks against closed forms and figures solved independently."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.market.equilibrium import EquilibriumError, LogitMarket
from mos_agents.market.equilibrium.chain import (
    LogitChain,
    amihud_mendelson,
    base_stock,
    best_commission,
    best_unit_fee,
    birth_death_stock,
    constant_quotes_profit,
    fee_equilibrium,
    fee_pass_through,
    hybrid_equilibrium,
    linear_chain,
    linear_fee_equilibrium,
    prominence_equilibrium,
)
from mos_agents.market.types import InputError

SIX = 5.1e-7
"""Half of the last of six printed decimals."""


def base(n: int, cost=None) -> LogitMarket:
    return LogitMarket.from_scale(
        np.full(n, 2.0), np.ones(n) if cost is None else cost, range(n), 0.25
    )


# --- successive oligopoly -------------------------------------------------------------------------


def test_spenglers_chain_has_two_margins():
    found = linear_chain(10.0, 1.0, 2.0, 0.0)
    assert (found.wholesale_price, found.price, found.quantity) == pytest.approx((6.0, 8.0, 2.0))
    assert found.maker_profit == pytest.approx(8.0) and found.retail_profit == pytest.approx(4.0)
    assert found.consumer_surplus == pytest.approx(2.0)
    one = linear_chain(10.0, 1.0, 2.0, 0.0, retailers=np.inf)  # as if integrated
    assert (one.price, one.maker_profit, one.consumer_surplus) == pytest.approx((6.0, 16.0, 8.0))


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 3), (5, 2), (np.inf, 2), (3, np.inf)])
def test_no_cournot_maker_or_retailer_gains_by_another_quantity(m, n):
    a, b, up, down = 10.0, 0.7, 2.0, 0.5
    found = linear_chain(a, b, up, down, m, n)
    q = found.quantity
    trials = np.linspace(0.0, 2.0 * q, 2001)
    if n < np.inf:
        own = q / n
        gains = (a - b * (q - own + trials) - found.wholesale_price - down) * trials
        assert gains.max() <= found.retail_profit / n + 1e-9
    if m < np.inf:
        slope = b * (1.0 + 1.0 / n)
        own = q / m
        gains = (a - down - slope * (q - own + trials) - up) * trials
        assert gains.max() <= found.maker_profit / m + 1e-9


def test_logit_chains_with_round_figures_are_exact():
    found = LogitChain(1).quantity_competition(2, 1.0)
    np.testing.assert_allclose(
        (found.wholesale_price, found.price, found.quantity), (1.5, 2.0, 0.5), atol=1e-12
    )
    found = LogitChain(3, commission=0.1).quantity_competition(2, 1.0)
    np.testing.assert_allclose(
        (found.wholesale_price, found.price, found.quantity), (1.5, 2.0, 0.75), atol=1e-12
    )
    np.testing.assert_allclose(
        (found.maker_profit, found.retail_profit, found.fees), (0.375, 0.225, 0.15), atol=1e-12
    )


def test_a_lone_maker_above_two_logit_retailers():
    found = LogitChain(2).quantity_competition(1, 1.0)
    figures = (
        found.wholesale_price,
        found.price,
        found.quantity,
        found.maker_profit,
        found.retail_profit,
        found.consumer_surplus,
    )
    np.testing.assert_allclose(
        figures, (1.739904, 2.092129, 0.580452, 0.429479, 0.204450, 0.217145), atol=SIX
    )
    # A platform's fee per unit is the same problem.
    fee, revenue = best_unit_fee(base(2))
    np.testing.assert_allclose(
        (fee, revenue), (found.wholesale_price - 1.0, found.maker_profit), atol=1e-9
    )


def test_many_makers_leave_the_retailers_competition():
    found = LogitChain(2).quantity_competition(np.inf, 1.0)
    assert found.price == pytest.approx(base(2).bertrand_nash().prices[0], abs=1e-12)
    assert found.maker_profit == pytest.approx(0.0, abs=1e-12)
    equal = LogitChain(2).price_competition([1.0, 1.0, 1.3])
    assert equal == found


def test_retailers_given_a_wholesale_price_are_a_logit_market_with_fees():
    chain = LogitChain(3, retail_cost=0.1, commission=0.15, unit_fee=0.05)
    found = chain.given_wholesale(1.2)
    other = fee_equilibrium(base(3, np.full(3, 1.3)), 0.15, 0.05)
    np.testing.assert_allclose(found.price, other.prices[0], atol=1e-11)
    np.testing.assert_allclose(found.fees, other.fees, atol=1e-11)
    np.testing.assert_allclose(found.retail_profit, other.seller_profits.sum(), atol=1e-11)
    np.testing.assert_allclose(found.consumer_surplus, other.consumer_surplus, atol=1e-11)


@pytest.mark.parametrize("makers", [2, 3, 4, 5])
def test_makers_on_a_tick_grid_stop_at_cost_and_one_tick_above(makers):
    found = LogitChain(2).price_grid(makers, 1.0, 0.05)
    np.testing.assert_allclose(found, [1.0, 1.05])


def test_a_cheaper_maker_without_a_price_of_its_own_is_refused():
    with pytest.raises(EquilibriumError, match="no equilibrium in pure strategies") as caught:
        LogitChain(2).price_competition([1.0, 1.2])
    assert "\n" not in str(caught.value)
    drastic = LogitChain(2).price_competition([1.0, 5.0])
    assert drastic.wholesale_price == pytest.approx(1.739904, abs=SIX)


@pytest.mark.parametrize("seed", range(12))
def test_makers_of_random_chains_gain_nothing_by_other_quantities(seed):
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    chain = LogitChain(
        n,
        quality=rng.uniform(1.0, 4.0),
        scale=rng.uniform(0.05, 1.0),
        outside=rng.uniform(-0.5, 0.5),
        retail_cost=rng.uniform(0.0, 0.3),
        commission=rng.uniform(0.0, 0.5),
        unit_fee=rng.uniform(0.0, 0.2),
    )
    cost = rng.uniform(0.1, 1.0)
    found = chain.quantity_competition(m, cost)
    # Retailers' prices are those of the logit market at the wholesale price.
    market = LogitMarket.from_scale(
        np.full(n, chain.quality),
        np.full(n, found.wholesale_price + chain.retail_cost),
        range(n),
        chain.scale,
        outside_utility=chain.outside,
    )
    sold = fee_equilibrium(market, chain.commission, chain.unit_fee)
    np.testing.assert_allclose(sold.quantities.sum(), found.quantity, rtol=1e-9)
    own, rest = found.quantity / m, found.quantity * (1.0 - 1.0 / m)
    trials = np.linspace(1e-6, min(0.999 - rest, 3.0 * own), 2000)
    gains = [(chain.wholesale(rest + q) - cost) * q for q in trials]
    assert max(gains) <= found.maker_profit / m * (1.0 + 1e-9)


# --- fees -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "figures"),
    [
        (0.1, (1.572783, 0.144221, 0.190505, 0.622171)),
        (0.2, (1.693312, 0.295357, 0.154650, 0.514180)),
    ],
)
def test_two_sellers_pay_a_commission(f, figures):
    found = fee_equilibrium(base(2), f)
    ours = found.prices[0], found.fees, found.seller_profits[0], found.consumer_surplus
    np.testing.assert_allclose(ours, figures, atol=SIX)


def test_round_figures_of_fees_are_exact():
    found = fee_equilibrium(base(3), 0.4)
    np.testing.assert_allclose((found.prices[0], found.fees), (2.0, 0.6), atol=1e-12)
    found = fee_equilibrium(base(2), 0.2, collude=True)
    np.testing.assert_allclose((found.prices[0], found.fees), (2.0, 4.0 / 15.0), atol=1e-12)


@pytest.mark.parametrize(("n", "f", "r"), [(2, 0.410373, 0.518587), (3, 0.434959, 0.613991)])
def test_best_commissions(n, f, r):
    np.testing.assert_allclose(best_commission(base(n)), (f, r), atol=SIX)
    # The condition itself, by another way: revenue as a function of the fee has slope 0 there.
    best = best_commission(base(n))[0]
    near = [fee_equilibrium(base(n), best + step).fees for step in (-1e-5, 1e-5)]
    assert near[0] == pytest.approx(near[1], abs=1e-11)


def test_a_learner_on_a_grid_of_fees_has_these_arms():
    arms = np.arange(0.0, 0.66, 0.05)
    for n, best, value, second in ((2, 0.40, 0.517608, 0.502225), (3, 0.45, 0.610917, 0.600000)):
        revenue = np.array([fee_equilibrium(base(n), f).fees for f in arms])
        assert arms[revenue.argmax()] == pytest.approx(best)
        np.testing.assert_allclose(np.sort(revenue)[::-1][:2], (value, second), atol=SIX)


@pytest.mark.parametrize(("n", "rate"), [(2, 0.911938), (3, 0.981739), (4, 0.992731)])
def test_pass_through_is_the_derivative_of_the_price(n, rate):
    found = base(n).bertrand_nash()
    assert fee_pass_through(n, found.shares[0]) == pytest.approx(rate, abs=SIX)
    up, down = (fee_equilibrium(base(n), unit_fee=t).prices[0] for t in (2e-4, 0.0))
    assert (up - down) / 2e-4 == pytest.approx(rate, abs=2e-4)


def test_the_best_commission_under_prominence_takes_the_profit_of_a_lone_monopoly():
    """One of two is shown: f p = c_e - c, so f* = 1 - c/p_M at the price of a lone product."""
    f, revenue = best_commission(base(2), shown=1)
    alone = base(1).joint_profit()
    np.testing.assert_allclose(f, 1.0 - 1.0 / alone.prices[0], rtol=1e-8)
    np.testing.assert_allclose(revenue, alone.profits.sum(), rtol=1e-8)
    np.testing.assert_allclose((f, revenue), (0.445056, 0.551985), atol=1e-6)
    for n, k, surplus in ((2, 1, 1.00454), (3, 1, 1.00454), (4, 3, 1.27617)):
        found = prominence_equilibrium(base(n), k)
        np.testing.assert_allclose(found.consumer_surplus, surplus, atol=1e-5)
        assert (found.prices == 1.0).all() and not found.seller_profits.any()
    for wrong in (
        lambda: prominence_equilibrium(base(2), 2),
        lambda: best_commission(base(2), 0, 1),
    ):
        with pytest.raises(InputError):
            wrong()


def test_a_hybrid_platform_charges_more():
    found = hybrid_equilibrium(base(2), 1, 0.2)
    np.testing.assert_allclose(found.prices, (1.69582, 1.70076), atol=5.1e-6)
    np.testing.assert_allclose(
        (found.fees, found.seller_profits[1]), (0.148975, 0.301785), atol=SIX
    )
    np.testing.assert_allclose(best_commission(base(2), own=1), (0.443626, 0.621525), atol=SIX)
    assert best_commission(base(3), own=2)[0] == pytest.approx(0.456, abs=5e-4)


@pytest.mark.parametrize("seed", range(8))
def test_no_hybrid_platform_gains_by_another_price(seed):
    rng = np.random.default_rng(seed)
    n, f, t = int(rng.integers(2, 5)), rng.uniform(0.0, 0.6), rng.uniform(0.0, 0.2)
    market = LogitMarket.from_scale(
        rng.uniform(1.0, 3.0, n), rng.uniform(0.5, 1.5, n), range(n), 10.0 ** rng.uniform(-2, 0)
    )
    found = hybrid_equilibrium(market, 0, f, t)
    for i in range(n):
        rows = np.repeat(found.prices[None], 4001, axis=0)
        rows[:, i] *= np.linspace(0.5, 2.0, 4001)
        shares = market.shares(rows)
        paid = ((1.0 - f) * rows[:, i] - t - market.cost[i]) * shares[:, i]
        now = found.seller_profits[i]
        if i == 0:
            fees = ((f * rows + t) * shares)[:, 1:].sum(axis=1)
            paid, now = (rows[:, 0] - market.cost[0]) * shares[:, 0] + fees, now + found.fees
        assert paid.max() <= now * (1.0 + 1e-9)


def test_linear_sellers_with_fees_meet_their_first_order_conditions():
    cost = np.array([0.5, 0.8, 1.0])
    found = linear_fee_equilibrium(10.0, 1.0, 0.5, cost, 0.15, 0.2)
    slopes = np.linalg.inv(0.5 * np.eye(3) + 0.5)

    def profit(i, price):
        prices = found.prices.copy()
        prices[i] = price
        return (0.85 * price - cost[i] - 0.2) * (slopes @ (10.0 - prices))[i]

    for i in range(3):
        trials = np.linspace(0.5, 1.5, 2001) * found.prices[i]
        assert max(profit(i, p) for p in trials) <= found.seller_profits[i] + 1e-12
    with pytest.raises(EquilibriumError, match="sells nothing"):
        linear_fee_equilibrium(10.0, 1.0, 0.9, [1.0, 9.9])


def test_nested_sellers_with_fees_gain_nothing_by_other_prices():
    market = LogitMarket([2.0, 2.2, 1.8], [1.0, 0.8, 0.5], [0, 1, 2], 3.0, [0, 0, 1], 0.5)
    found = fee_equilibrium(market, 0.2, 0.1)
    for i in range(3):
        rows = np.repeat(found.prices[None], 2001, axis=0)
        rows[:, i] *= np.linspace(0.5, 2.0, 2001)
        paid = (0.8 * rows[:, i] - market.cost[i] - 0.1) * market.shares(rows)[:, i]
        assert paid.max() <= found.seller_profits[i] + 1e-12


def test_the_best_commission_of_a_chain_follows_makers_and_retailers():
    chain = LogitChain(2)
    fee, revenue = chain.best_commission(2, 1.0)
    trials = [
        LogitChain(2, commission=f).quantity_competition(2, 1.0).fees
        for f in np.linspace(0.0, 0.95, 400)
    ]
    assert max(trials) <= revenue and revenue - max(trials) < 1e-5 and 0.0 < fee < 1.0
    fee, revenue = chain.best_unit_fee(np.inf, 1.0)
    np.testing.assert_allclose((fee, revenue), (0.739904, 0.429479), atol=SIX)
    both = chain.best_commission(np.inf, 1.0)
    np.testing.assert_allclose(both, (0.410373, 0.518587), atol=SIX)


# --- prominence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [1, 2, 3])
def test_retailers_that_compete_for_a_place_charge_their_cost(shown):
    """What shoppers gain is mu ln(1 + k e^((a - c)/mu)), whatever the number of retailers."""
    chain = LogitChain(4, commission=0.1, retail_cost=0.2, prominence="cheapest", shown=shown)
    found = chain.quantity_competition(np.inf, 0.7)
    assert found.price == pytest.approx((0.7 + 0.2) / 0.9) and found.retail_profit < 1e-12
    odds = shown * np.exp((2.0 - found.price) / 0.25)
    assert found.quantity == pytest.approx(odds / (1.0 + odds))
    assert found.consumer_surplus == pytest.approx(0.25 * np.log1p(odds))


def test_prominence_raises_the_best_revenue_of_the_platform_and_not_each_revenue():
    plain, cheapest = LogitChain(2), LogitChain(2, prominence="cheapest")
    best = cheapest.best_commission(np.inf, 1.0)
    np.testing.assert_allclose(best, (0.445056, 0.551985), atol=SIX)
    assert best[1] > plain.best_commission(np.inf, 1.0)[1] == pytest.approx(0.518587, abs=SIX)
    for f in (0.1, 0.2, 0.35):
        revenues = [
            LogitChain(2, commission=f, prominence=one).quantity_competition(np.inf, 1.0).fees
            for one in ("cheapest", "everything")
        ]
        assert revenues[0] < revenues[1]


def test_an_offer_shown_by_chance_competes_with_those_shown_beside_it():
    alone = LogitChain(5, prominence="random").given_wholesale(1.0)
    assert alone.price == pytest.approx(LogitChain(1).given_wholesale(1.0).price)
    assert alone.price == pytest.approx(1.801985, abs=SIX)
    assert LogitChain(3, prominence="random", shown=3) != LogitChain(3)
    for rule in ("random", "cheapest"):
        everything = LogitChain(3, prominence=rule, shown=3).quantity_competition(2, 1.0)
        assert everything == LogitChain(3).quantity_competition(2, 1.0)


@pytest.mark.parametrize("shown", [1, 2])
@pytest.mark.parametrize("rule", ["cheapest", "random"])
def test_no_maker_above_prominent_retailers_gains_by_another_quantity(rule, shown):
    chain = LogitChain(3, commission=0.2, unit_fee=0.05, prominence=rule, shown=shown)
    found = chain.quantity_competition(2, 0.8, supply_slope=0.1)
    own = 0.5 * found.quantity
    trials = np.linspace(1e-6, 0.99 - own, 4000)
    paid = 0.8 + 0.1 * (own + trials)
    gains = [(chain.wholesale(own + q) - b) * q for q, b in zip(trials, paid, strict=True)]
    assert max(gains) <= 0.5 * found.maker_profit * (1.0 + 1e-6)
    step = 1e-6
    rises = (chain.wholesale(0.4 + step) - chain.wholesale(0.4 - step)) / (2.0 * step)
    assert chain.wholesale_slope(0.4) == pytest.approx(rises, rel=1e-6)
    parts = found.maker_profit + found.retail_profit + found.fees + found.producer_surplus
    whole = (found.price - 0.8) * found.quantity - 0.5 * 0.1 * found.quantity**2
    assert parts == pytest.approx(whole)


def test_rules_without_an_equilibrium_are_refused_in_one_line():
    for settings, message in (
        ({"prominence": "cheapest", "followers": 0.7}, "no equilibrium in pure strategies"),
        ({"prominence": "dynamic"}, "depends on the last prices"),
    ):
        with pytest.raises(EquilibriumError, match=message) as caught:
            LogitChain(3, **settings)
        assert "\n" not in str(caught.value)
    for settings, message in (
        ({"prominence": "random", "followers": 0.7}, "known for followers=1 only"),
        ({"prominence": "sponsored"}, "the equilibrium of other rules is not known"),
        ({"prominence": "cheapest", "shown": 0}, "shown=0"),
        ({"followers": 0.0}, "followers=0.0"),
    ):
        with pytest.raises(InputError, match=message):
            LogitChain(3, **settings)


def test_a_commission_of_sellers_without_cost_has_no_best_value():
    with pytest.raises(EquilibriumError, match="no highest point"):
        best_commission(base(2, np.zeros(2)))


# --- dealers and stocks ---------------------------------------------------------------------------


def test_amihud_and_mendelsons_quotes_by_capacity():
    demand, supply = (2.0, 1.0), (0.0, 1.0)
    free = amihud_mendelson(demand, supply)
    np.testing.assert_allclose((free.asks[0], free.bids[0], free.profit), (1.5, 0.5, 0.5))
    one = amihud_mendelson(demand, supply, 1)
    np.testing.assert_allclose((one.asks[0], one.bids[0], one.profit), (1.5, 0.5, 0.25), atol=1e-9)
    two = amihud_mendelson(demand, supply, 2)
    assert two.profit == pytest.approx(0.343146, abs=SIX)
    np.testing.assert_allclose(two.asks, (1.585786, 1.414214), atol=SIX)
    np.testing.assert_allclose(two.bids, (0.585786, 0.414214), atol=SIX)
    for capacity, profit in ((1, 0.25), (2, 1.0 / 3.0), (3, 0.375)):
        fixed = constant_quotes_profit(demand, supply, (1.5, 0.5), capacity)
        assert fixed == pytest.approx(profit, abs=1e-12)
    three = amihud_mendelson(demand, supply, 3)
    assert 0.375 < three.profit < 0.5
    # Both fall in the stock; the ask after a purchase is above its bid by a constant.
    for found in (two, three):
        assert (np.diff(found.asks) < 0.0).all() and (np.diff(found.bids) < 0.0).all()
        np.testing.assert_allclose(found.asks - found.bids, 1.0, atol=1e-12)


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 8])
def test_the_profit_of_the_quotes_is_that_of_their_own_chain_and_no_others_earn_more(capacity):
    demand, supply = (3.0, 1.5), (0.2, 0.8)
    found = amihud_mendelson(demand, supply, capacity)

    def profit(asks, bids):
        leave, arrive = demand[0] - demand[1] * asks, supply[0] + supply[1] * bids
        stock = np.cumprod(np.r_[1.0, arrive / leave])
        stock /= stock.sum()
        return float((stock[1:] * leave * asks).sum() - (stock[:-1] * arrive * bids).sum())

    assert profit(found.asks, found.bids) == pytest.approx(found.profit, abs=1e-9)
    rng = np.random.default_rng(capacity)
    for width in (1e-3, 0.05):
        for _ in range(200):
            moved = rng.normal(0.0, width, (2, capacity))
            assert profit(found.asks + moved[0], found.bids + moved[1]) <= found.profit + 1e-9


def test_a_stock_of_offers_and_requests_in_both_orders():
    first, last = (birth_death_stock(0.3, 0.3, 5, order) for order in (True, False))
    for found in (first, last):
        np.testing.assert_allclose((found.sold, found.bought), 5.0 / 19.0, atol=1e-12)
        assert found.stock.sum() == pytest.approx(1.0)
    assert first.mean_stock == pytest.approx(45.0 / 19.0, abs=1e-12)
    assert last.mean_stock == pytest.approx(50.0 / 19.0, abs=1e-12)


def test_a_base_stock_with_poisson_demand():
    found = base_stock(3.0, 2.0, 1.0, 0.5, level=3)
    np.testing.assert_allclose((found.sales, found.stock_out), (2.327875, 0.352768), atol=SIX)
    assert base_stock(3.0, 2.0, 1.0, 0.5, level=0).sales == 0.0
    for price, cost, held in ((2.0, 1.0, 0.5), (5.0, 1.0, 0.1), (1.1, 1.0, 2.0)):
        best = base_stock(3.0, price, cost, held)
        others = [base_stock(3.0, price, cost, held, level=s).profit for s in range(30)]
        assert best.profit == pytest.approx(max(others), abs=1e-12)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: linear_chain(10.0, 1.0, 12.0), "must be below intercept"),
        (lambda: linear_chain(10.0, 0.0), "slope=0.0"),
        (lambda: linear_chain(10.0, 1.0, makers=0), "makers=0"),
        (lambda: LogitChain(0), "retailers=0"),
        (lambda: LogitChain(2, scale=0.0), "scale=0.0"),
        (lambda: LogitChain(2, commission=1.0), "commission=1.0"),
        (lambda: LogitChain(2, unit_fee=-0.5), "unit_fee=-0.5"),
        (lambda: LogitChain(2).quantity_competition(0, 1.0), "makers=0"),
        (lambda: fee_equilibrium(base(2), -0.1), "commission=-0.1"),
        (lambda: hybrid_equilibrium(base(2), 2), "own=2"),
        (lambda: fee_pass_through(3, 0.4), "n s < 1"),
        (lambda: amihud_mendelson((1.0, 1.0), (-2.0, 1.0)), "meet at no price"),
        (lambda: amihud_mendelson((2.0, 0.0), (0.0, 1.0)), "slope > 0"),
        (lambda: amihud_mendelson((2.0, 1.0), (0.0, 1.0), 1.5), "capacity=1.5"),
        (lambda: birth_death_stock(0.0, 0.3, 5), "offer=0.0"),
        (lambda: birth_death_stock(0.3, 0.3, 0), "capacity=0"),
        (lambda: base_stock(3.0, 1.0, 1.0, 0.5), "nothing is worth ordering"),
        (lambda: base_stock(3.0, 2.0, 1.0, 0.0), "holding_cost=0.0"),
    ],
)
def test_wrong_numbers_are_refused_in_one_line(wrong, message):
    with pytest.raises(InputError, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)
