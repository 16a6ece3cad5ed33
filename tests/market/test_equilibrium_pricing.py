"""Competitive and collusive prices of whole markets, against closed forms and published figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents import autos_1990, retail
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.equilibrium import (
    EquilibriumError,
    LogitMarket,
    benchmarks,
    bertrand_nash,
    best_response,
    joint_profit,
    pricing,
    stage_profits,
)
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.stages import Demand
from mos_agents.market.types import Layout

CALVANO = {
    2: (1.472927, 1.924981, 0.222927, 0.337490),
    3: (1.370163, 2.000000, 0.120163, 0.250000),
    4: (1.331461, 2.054411, 0.081461, 0.201103),
}
"""Calvano et al. (2020): p_N, p_M and profits per firm by number of firms, at a=2, c=1, mu=1/4."""

CALVANO_DEMAND = Logit(2.0, 1.0, 0.0, relative=False, scale=0.25)

FREE = PostedPrice(min_margin=0.0, low=0.0, high=100.0)


def market_of(
    demand: Any,
    cost: Any,
    owner: Any = None,
    reference: Any = None,
    quality: Any = 0.0,
    nest: Any = None,
    instruments: int = 1,
    **parts: Any,
) -> Market:
    """Listings made to order, one a firm unless `owner` says otherwise.

    Every firm sells each of the `instruments`; with `owner`, each listing is an instrument.
    """
    if reference is None:  # somebody buys at it
        reference = 5.0 if isinstance(demand, Linear | Cheapest) else 10.0
    cost = np.asarray(cost, dtype=float)
    size = cost.size
    if owner is None:
        n = size // instruments
        seller = np.repeat(np.arange(n), instruments)
        names = tuple(f"p{j}" for j in range(instruments))
        instrument = np.tile(np.arange(instruments), n)
    else:
        seller, instrument = np.asarray(owner), np.arange(size)
        n, names = int(seller.max()) + 1, tuple(f"p{j}" for j in range(size))
    layout = Layout(
        tuple(f"f{i}" for i in range(n)), ("firm",) * n, names, seller, instrument, demand.choice
    )
    full = [np.broadcast_to(np.asarray(a, float), (size,)) for a in (reference, quality)]
    catalogue = Catalogue(cost, *full, np.full(size, np.inf), nest)
    return make_market(layout, catalogue, Expected(demand), **({"quotes": FREE} | parts))


@dataclass(frozen=True)
class Unknown(Demand):
    """Somebody's own demand model, of which nothing is known but its shares."""

    inner: Any

    @property
    def choice(self) -> str:
        return self.inner.choice

    def shares(self, market: Any, prices: Any, available: Any, reference: Any) -> Any:
        return self.inner.shares(market, prices, available, reference)


def gradient(market: Market, prices: Any, joint: bool = False) -> Any:
    """[L] slope of the owner's (or the total) profit in each price, by central differences."""
    steps = 1e-5 * np.eye(prices.size)
    slopes = (stage_profits(market, prices + steps) - stage_profits(market, prices - steps)) / 2e-5
    return slopes.sum(-1) if joint else slopes[np.arange(prices.size), market.layout.seller]


# --- logit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", CALVANO)
@pytest.mark.parametrize("wrapped", [False, True], ids=["fixed point", "best responses"])
def test_benchmarks_are_those_of_calvano_et_al(n, wrapped):
    demand = Unknown(CALVANO_DEMAND) if wrapped else CALVANO_DEMAND
    found = benchmarks(market_of(demand, np.ones(n), reference=1.5))
    assert found.nash.method == ("best responses" if wrapped else "logit")
    for values, published in zip(
        (found.p_N, found.p_M, found.pi_N, found.pi_M), CALVANO[n], strict=True
    ):
        np.testing.assert_allclose(values, published, atol=5.1e-7, rtol=0.0)
    assert max(found.nash.residual, found.joint.residual) < 1e-12


def test_with_one_cost_of_a_half_the_first_order_conditions_hold_and_that_firm_is_cheaper():
    market = market_of(CALVANO_DEMAND, [1.0, 0.5], reference=1.5)
    found = benchmarks(market)
    for prices, joint in ((found.p_N, False), (found.p_M, True)):
        np.testing.assert_allclose(gradient(market, prices, joint), 0.0, atol=1e-9)
        assert prices[1] < prices[0]
    # Under logit all mark-ups of a single owner are alike.
    assert found.p_M[0] - 1.0 == pytest.approx(found.p_M[1] - 0.5, rel=1e-9)


def test_observed_prices_of_the_car_market_are_its_equilibrium():
    market = autos_1990()
    found = bertrand_nash(market)
    assert found.method == "logit" and found.residual < 1e-12
    np.testing.assert_allclose(found.prices, market.catalogue.reference_price, atol=1e-8)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("nesting", [0.0, 0.5])
def test_search_and_fixed_point_agree_where_firms_sell_several_nested_products(relative, nesting):
    """The search knows the shares alone; reference prices are alike, so that both apply."""
    demand = Logit(2.0, 3.0, 0.7, relative, 0.4, 0.8, nesting, "across")
    rng = np.random.default_rng(8)
    reference = 2.0
    setting: dict[str, Any] = {
        "cost": rng.uniform(0.5, 1.5, 5),
        "owner": [0, 0, 1, 1, 2],
        "reference": reference,
        "quality": rng.random(5),
        "nest": np.array([0, 1, 0, 1, 1]),
    }
    known, unknown = market_of(demand, **setting), market_of(Unknown(demand), **setting)
    ours, theirs = benchmarks(unknown), benchmarks(known)
    assert (ours.nash.method, theirs.nash.method) == ("best responses", "logit")
    np.testing.assert_allclose(ours.p_N, theirs.p_N, rtol=1e-7)
    np.testing.assert_allclose(ours.p_M, theirs.p_M, rtol=1e-7)
    textbook = LogitMarket(
        quality=(2.0 + 0.7 * setting["quality"]) / 0.8,
        cost=setting["cost"],
        owner=setting["owner"],
        price_coefficient=3.0 / 0.8 / (reference if relative else 1.0),
        nest=setting["nest"],
        nesting=nesting,
        outside_utility=0.4 / 0.8,
    )
    np.testing.assert_allclose(theirs.p_N, textbook.bertrand_nash().prices, rtol=1e-10)


def test_sellers_with_reference_prices_of_their_own_meet_the_first_order_conditions():
    market = market_of(Logit(), [4.0, 5.0, 6.0], reference=[6.0, 8.0, 10.0])
    found = benchmarks(market)
    assert found.nash.method == "best responses"  # the fixed point wants one price coefficient
    np.testing.assert_allclose(gradient(market, found.p_N), 0.0, atol=1e-8)
    np.testing.assert_allclose(gradient(market, found.p_M, joint=True), 0.0, atol=1e-8)


# --- linear ---------------------------------------------------------------------------------------


def direct(n: int, own: float = 1.0, cross: float = 0.5) -> Any:
    """[n, n] slopes B of demand q = B (a - p), where p = a - (own - cross) q - cross sum(q)."""
    return np.linalg.inv((own - cross) * np.eye(n) + cross)


@pytest.mark.parametrize(
    "cost", [[2.0, 3.0], [2.0, 3.0, 4.0], [1.0, 1.0, 1.0], np.linspace(2.0, 2.3, 12)], ids=len
)
def test_singh_vives_prices_solve_the_linear_first_order_conditions(cost):
    """q_i + (p_i - c_i) dq_i/dp_i = 0 is linear in prices; a joint owner charges (a + c_i)/2."""
    cost = np.array(cost)
    slopes = direct(cost.size)
    diagonal = np.diag(np.diag(slopes))
    expected = np.linalg.solve(
        slopes + diagonal, slopes @ np.full(cost.size, 10.0) + diagonal @ cost
    )
    market = market_of(Linear(10.0, 1.0, 0.5), cost, arrivals=FixedMass(7.0))
    found = benchmarks(market)
    np.testing.assert_allclose(found.p_N, expected, rtol=1e-9)
    np.testing.assert_allclose(found.pi_N, 7.0 * (expected - cost) * (slopes @ (10.0 - expected)))
    np.testing.assert_allclose(found.p_M, (10.0 + cost) / 2.0, rtol=1e-7)
    assert found.pi_N.min() > 0.0 and found.pi_M.min() > 0.0  # everybody sells, as assumed


def test_symmetric_duopoly_by_hand():
    """a = 10, d = .5, c = 2: p = (a (1 - d) + c)/(2 - d) = 14/3, joint (a + c)/2 = 6."""
    found = benchmarks(market_of(Linear(10.0, 1.0, 0.5), [2.0, 2.0]))
    np.testing.assert_allclose(found.p_N, 14.0 / 3.0, rtol=1e-9)
    np.testing.assert_allclose(found.p_M, 6.0, rtol=1e-7)
    np.testing.assert_allclose(found.pi_M, 4.0 * 4.0 / 1.5, rtol=1e-9)


def test_an_efficient_firm_prices_its_rival_just_out_of_the_market():
    """c = (2, 7.9): at p_1 = 10 - 2.1/.5 = 5.8 firm 2 sells nothing at cost; demand has a kink."""
    found = bertrand_nash(market_of(Linear(10.0, 1.0, 0.5), [2.0, 7.9]), bounded=False)
    np.testing.assert_allclose(found.prices, [5.8, 7.9], rtol=1e-8)
    np.testing.assert_allclose(found.profits, [3.8 * 4.2, 0.0], atol=1e-6)


def test_a_joint_owner_drops_the_product_that_costs_too_much():
    """At c = 7 its demand is zero at the joint optimum of the rest, where the profit is flat."""
    cost = np.array([2.0, 2.5, 3.0, 7.0])
    found = joint_profit(market_of(Linear(10.0, 1.0, 0.5), cost))
    margins = (10.0 - cost[:3]) / 2.0
    np.testing.assert_allclose(found.prices[:3], cost[:3] + margins, rtol=1e-6)
    np.testing.assert_allclose(found.profits[:3], margins * (direct(3) @ margins), rtol=1e-6)
    assert found.profits[3] == 0.0


@pytest.mark.parametrize(
    "demand",
    [
        Linear(10.0, 1.0, 0.5, "across"),
        Unknown(Logit(6.0, 2.0, 0.0, relative=False, choice="across")),
    ],
    ids=["linear", "logit"],
)
def test_a_merger_raises_all_prices_and_the_joint_owner_charges_the_joint_profit_prices(demand):
    cost = [2.0, 2.5, 3.0]
    apart, merged, monopoly = (
        market_of(demand, cost, owner) for owner in ([0, 1, 2], [0, 0, 1], [0, 0, 0])
    )
    before, after = bertrand_nash(apart).prices, bertrand_nash(merged).prices
    assert (after > before + 1e-3).all()
    joint = joint_profit(apart)
    np.testing.assert_allclose(bertrand_nash(monopoly).prices, joint.prices, rtol=1e-7)
    np.testing.assert_allclose(joint_profit(merged).prices, joint.prices, rtol=1e-7)


def test_multi_product_linear_prices_solve_the_owners_first_order_conditions():
    """q_i + sum over own j of (p_j - c_j) dq_j/dp_i = 0, a linear system again."""
    cost, owner = np.array([2.0, 2.5, 3.0, 1.0]), np.array([0, 0, 1, 1])
    slopes = direct(4)
    owned = slopes * (owner[:, None] == owner)
    expected = np.linalg.solve(slopes + owned, slopes @ np.full(4, 10.0) + owned @ cost)
    found = bertrand_nash(market_of(Linear(10.0, 1.0, 0.5, "across"), cost, owner))
    np.testing.assert_allclose(found.prices, expected, rtol=1e-8)


# --- elasticity -----------------------------------------------------------------------------------


def test_a_monopolist_facing_elasticity_two_charges_twice_its_cost():
    """Where .3 (2c/ref)^-2 < 1; its profit is .3 (ref/2c)^2 c."""
    found = benchmarks(market_of(Elasticity(), [7.0]))
    np.testing.assert_allclose([found.p_N[0], found.p_M[0]], 14.0, rtol=1e-9)
    np.testing.assert_allclose(found.pi_N, 0.3 * (10.0 / 14.0) ** 2 * 7.0)


def test_a_monopolist_with_a_low_cost_charges_the_price_at_which_every_visitor_still_buys():
    """2c = 4 would be below ref sqrt(.3), where the probability reaches 1: a kink."""
    found = bertrand_nash(market_of(Elasticity(), [2.0]))
    assert found.prices[0] == pytest.approx(10.0 * np.sqrt(0.3), rel=1e-8)


@pytest.mark.parametrize("elasticity", [1.5, 3.0])
def test_without_comparison_every_seller_is_a_monopolist(elasticity):
    cost = np.array([6.0, 7.0, 9.0])
    market = market_of(Elasticity(0.2, elasticity, 0.0), cost)
    found = benchmarks(market)
    np.testing.assert_allclose(found.p_N, cost * elasticity / (elasticity - 1.0), rtol=1e-8)
    np.testing.assert_allclose(found.p_M, found.p_N, rtol=1e-8)


def test_two_equal_sellers_and_comparing_shoppers_have_the_equilibrium_of_the_formula():
    """At equal prices a cent gains or loses alike: 1 = (p - c) (2/p + comparison/ref)."""
    price = bertrand_nash(market_of(Elasticity(), [7.0, 7.0])).prices
    np.testing.assert_allclose((price - 7.0) * (2.0 / price + 0.5 / 10.0), 1.0, rtol=1e-7)


def test_three_equal_sellers_and_comparing_shoppers_have_none_and_the_error_says_so():
    """Undercutting wins two rivals' shoppers, a higher price loses only one's own: no rest."""
    with pytest.raises(EquilibriumError, match="perhaps there are none in pure") as caught:
        bertrand_nash(market_of(Elasticity(), [7.0, 7.0, 7.0]))
    assert 1e-3 < caught.value.residual < 0.1
    assert "finite price grid" in caught.value.remedy and "\n" not in str(caught.value)
    np.testing.assert_allclose(
        joint_profit(market_of(Elasticity(), [7.0, 7.0, 7.0])).prices, 14.0, rtol=1e-8
    )


# --- homogeneous goods ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3])
def test_bertrand_sellers_of_a_homogeneous_good_charge_their_cost_and_earn_nothing(n):
    found = benchmarks(market_of(Cheapest(choke=10.0), np.full(n, 2.0)))
    np.testing.assert_array_equal(found.p_N, 2.0)
    np.testing.assert_array_equal(found.pi_N, 0.0)
    np.testing.assert_array_equal(found.p_M, 10.0)
    np.testing.assert_allclose(found.pi_M, 8.0 / n)
    assert found.nash.residual == found.joint.residual == 0.0


def test_a_margin_floor_is_what_homogeneous_sellers_charge_unless_it_is_left_out():
    market = market_of(Cheapest(choke=10.0), [2.0, 2.0], quotes=PostedPrice(min_margin=0.05))
    found, free = bertrand_nash(market), bertrand_nash(market, bounded=False)
    np.testing.assert_allclose(found.prices, 2.1)
    np.testing.assert_allclose(found.profits, 0.05)
    assert found.at_limit.all() and not free.at_limit.any()
    np.testing.assert_array_equal(free.prices, 2.0)


def test_linear_demand_to_the_cheapest_gives_kleins_benchmarks():
    """Demand 1 - p, cost 0: competitive price 0, joint maximum .125 each at 1/2."""
    found = benchmarks(market_of(Cheapest(slope=1.0), [0.0, 0.0], reference=0.5))
    np.testing.assert_array_equal(found.p_N, 0.0)
    np.testing.assert_allclose(found.p_M, 0.5)
    np.testing.assert_allclose(found.pi_M, 0.125)


def test_choke_price_caps_the_joint_price_and_only_the_cheapest_source_is_used():
    """Demand 1 - p/20 up to 8: the monopoly price (20 + 2)/2 = 11 is out of reach."""
    found = joint_profit(market_of(Cheapest(8.0, 0.05), [2.0, 3.0]))
    assert found.prices[0] == 8.0 < found.prices[1]
    np.testing.assert_allclose(found.profits, [6.0 * 0.6, 0.0])


def test_unequal_costs_leave_homogeneous_sellers_without_an_equilibrium():
    with pytest.raises(EquilibriumError, match="no equilibrium in pure strategies") as caught:
        benchmarks(market_of(Cheapest(choke=10.0), [2.0, 3.0]))
    assert "finite price grid" in caught.value.remedy and "\n" not in str(caught.value)


def test_a_drastic_cost_advantage_is_a_monopoly():
    """Demand 1 - p, c = (.1, .8): the monopoly price .55 is below the rival's cost."""
    found = bertrand_nash(market_of(Cheapest(slope=1.0), [0.1, 0.8], reference=0.5))
    np.testing.assert_allclose(found.prices, [0.55, 0.8])
    np.testing.assert_allclose(found.profits, [0.45 * 0.45, 0.0])


# --- any market -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "demand",
    [CALVANO_DEMAND, Unknown(CALVANO_DEMAND), Linear(4.0, 1.0, 0.6), Elasticity(0.1)],
    ids=["logit", "unknown", "linear", "elasticity"],
)
def test_permuting_the_firms_permutes_the_result(demand):
    cost, order = np.array([1.0, 0.7]), [1, 0]
    if not isinstance(demand, Elasticity):
        cost, order = np.array([1.0, 0.7, 0.9]), [2, 0, 1]
    first = benchmarks(market_of(demand, cost, reference=1.5))
    second = benchmarks(market_of(demand, cost[order], reference=1.5))
    for name in ("p_N", "pi_N", "p_M", "pi_M"):
        np.testing.assert_allclose(getattr(second, name), getattr(first, name)[order], rtol=1e-6)


@pytest.mark.parametrize("demand", [Logit(), Linear(30.0, 1.0, 0.5), Elasticity()])
def test_products_that_shoppers_do_not_compare_are_priced_as_if_each_were_alone(demand):
    cost = np.array([4.0, 7.0, 9.0, 5.0, 7.5, 8.0])  # two firms, three products
    together = benchmarks(market_of(demand, cost, instruments=3))
    for product in range(3):
        alone = benchmarks(market_of(demand, cost[[product, 3 + product]]))
        np.testing.assert_allclose(together.p_N[[product, 3 + product]], alone.p_N, rtol=1e-7)
        np.testing.assert_allclose(together.p_M[[product, 3 + product]], alone.p_M, rtol=1e-6)


def test_a_binding_margin_floor_is_kept_reported_and_left_out_on_request():
    market = market_of(
        Linear(10.0, 1.0, 0.5), [2.0, 2.0], quotes=PostedPrice(min_margin=1.6, high=100.0)
    )
    found = bertrand_nash(market)
    np.testing.assert_allclose(found.prices, 5.2)
    assert found.at_limit.all()
    np.testing.assert_allclose(bertrand_nash(market, bounded=False).prices, 14.0 / 3.0, rtol=1e-9)
    logit = market_of(CALVANO_DEMAND, [1.0, 1.0], reference=1.3, quotes=PostedPrice(high=1.3))
    capped = bertrand_nash(logit)  # the fixed point's 1.47 is not allowed
    assert capped.method == "best responses" and (capped.prices == 1.3).all()


def test_commission_is_a_higher_cost_to_a_firm_and_income_to_the_platform():
    layout = Layout(
        ("platform", "a", "b"),
        ("platform", "firm", "firm"),
        ("p",),
        np.array([1, 2]),
        np.array([0, 0]),
    )
    catalogue = Catalogue(np.ones(2), np.full(2, 1.5), np.zeros(2), np.full(2, np.inf))
    market = make_market(
        layout, catalogue, Expected(CALVANO_DEMAND), quotes=FREE, positions=Ledger(fee=0.2)
    )
    found = benchmarks(market)
    assert found.nash.method == found.joint.method == "logit"
    plain = market_of(CALVANO_DEMAND, [1.25, 1.25], reference=1.5)
    np.testing.assert_allclose(found.p_N, bertrand_nash(plain).prices, rtol=1e-9)
    sold = bertrand_nash(plain).profits / (found.p_N - 1.25)
    np.testing.assert_allclose(found.pi_N[0], 0.2 * (sold * found.p_N).sum(), rtol=1e-9)
    # Together they bear the true cost.
    np.testing.assert_allclose(found.p_M, CALVANO[2][1], atol=1e-6)


@pytest.mark.parametrize("cost", [2.0, 2.5])
def test_a_platform_that_sells_itself_prices_with_its_commission_in_mind(cost):
    """It gives up .2 p on a rival's sale: both charge c/.8 and nobody gains by another price."""
    layout = Layout.dense(["platform", "a"], ["p"], ["platform", "firm"])
    catalogue = Catalogue(np.full(2, cost), np.full(2, 5.0), np.zeros(2), np.full(2, np.inf))
    market = make_market(
        layout, catalogue, Expected(Cheapest(10.0)), quotes=FREE, positions=Ledger(fee=0.2)
    )
    found = bertrand_nash(market)
    np.testing.assert_allclose(found.prices, cost / 0.8)
    np.testing.assert_allclose(found.profits, [0.25 * cost, 0.0], atol=1e-12)


DEMANDS = st.one_of(
    st.builds(
        lambda a, mu, sigma: Logit(a, 1.0, 0.5, False, 0.0, mu, sigma, "across"),
        st.floats(0.5, 3.0),
        st.floats(0.2, 1.0),
        st.sampled_from([0.0, 0.4]),
    ),
    st.builds(lambda a, d: Linear(a, 1.0, d, "across"), st.floats(3.0, 8.0), st.floats(0.0, 0.8)),
    st.builds(lambda b, e: Elasticity(b, e, 0.0), st.floats(0.1, 0.9), st.floats(1.5, 3.0)),
)


@settings(max_examples=15, deadline=None)
@given(DEMANDS, st.integers(0, 2**32 - 1))
def test_no_random_deviation_gains_more_than_the_residual(demand, seed):
    rng = np.random.default_rng(seed)
    owner = np.sort(rng.integers(0, 2, 3)) if demand.choice == "across" else None
    if owner is not None:
        owner[0], owner[-1] = 0, 1
    market = market_of(demand, rng.uniform(0.5, 2.0, 3), owner, 2.0, rng.random(3))
    found = bertrand_nash(market)
    for n in range(market.layout.N):
        own = market.layout.own(n)
        for width in (1e-4, 0.05, 2.0):
            trials = np.repeat(found.prices[None], 200, axis=0)
            trials[:, own] += rng.normal(0.0, width, trials[:, own].shape)
            gains = stage_profits(market, np.clip(trials, 0.0, 100.0))[:, n] - found.profits[n]
            turnover = 100.0
            assert gains.max() <= found.residual * found.profits[n] + 1e-14 * turnover


@dataclass(frozen=True)
class TwoCrowds(Demand):
    """Everybody buys up to 4, some still up to 10: a profit with two peaks, both at cliffs."""

    rich: float
    choice: str = "within"

    def shares(self, market: Any, prices: Any, available: Any, reference: Any) -> Any:
        return np.where(prices <= 4.0, 1.0, np.where(prices <= 10.0, self.rich, 0.0))


@pytest.mark.parametrize(("rich", "price"), [(0.3, 4.0), (0.5, 10.0)])
def test_a_best_response_is_the_higher_of_two_peaks(rich, price):
    market = market_of(TwoCrowds(rich), [0.0, 0.0], reference=3.0)
    own, profit = best_response(market, [1.0, 1.0], "f1")
    assert own == pytest.approx([price], rel=1e-6)
    assert profit == pytest.approx(max(4.0, 10.0 * rich), rel=1e-6)


def test_a_best_response_in_the_linear_duopoly_is_that_of_the_formula():
    """p_1 = (a (1 - d) + d p_2 + c)/2, whatever firm 1 charged before."""
    market = market_of(Linear(10.0, 1.0, 0.5), [2.0, 3.0])
    for before in (0.5, 9.0):
        own, profit = best_response(market, [before, 6.0], 0)
        assert own == pytest.approx([5.0], rel=1e-9)
        assert profit == pytest.approx(3.0 * (5.0 - 2.0) / 0.75)


def test_who_cannot_earn_anything_asks_its_cost():
    """Any price above 2.5 earns nothing as well, whether or not the rules have a margin floor."""
    market = market_of(Cheapest(), [2.0, 3.0])
    for bounded in (False, True):
        own, profit = best_response(market, [2.5, 9.0], 1, bounded)
        assert own == [3.0] and profit == 0.0


def test_false_prices_from_a_formula_are_caught_by_the_search(monkeypatch):
    monkeypatch.setattr(pricing, "logit_prices", lambda *_: np.array([1.925, 1.925]))
    market = market_of(CALVANO_DEMAND, [1.0, 1.0], reference=1.5)
    found = bertrand_nash(market)
    assert found.method == "best responses"
    np.testing.assert_allclose(found.prices, CALVANO[2][0], atol=5.1e-7)
    monkeypatch.setattr(pricing, "ROUNDS", 1)
    with pytest.raises(EquilibriumError, match="no prices found") as caught:
        bertrand_nash(market)
    assert caught.value.residual > 1e-9


def test_a_search_begins_where_it_is_told_to():
    market = market_of(Unknown(CALVANO_DEMAND), [1.0, 1.0], reference=1.5)
    found = bertrand_nash(market, start=[1.0, 5.0])
    np.testing.assert_allclose(found.prices, CALVANO[2][0], atol=5.1e-7)


def test_the_retail_duopoly_has_benchmarks_and_collusion_pays():
    found = benchmarks(retail(firms=1))
    assert (found.p_M > found.p_N).all() and (found.pi_M > found.pi_N).all()


@pytest.mark.parametrize("demand", [CALVANO_DEMAND, Linear(4.0, 1.0, 0.5), Elasticity(0.2)])
def test_twice_the_customers_are_twice_the_profits_at_the_same_prices(demand):
    one = market_of(demand, [1.0, 0.9], reference=1.5)
    two = replace(one, arrivals=FixedMass(2.0))
    first, second = benchmarks(one), benchmarks(two)
    np.testing.assert_allclose(second.p_N, first.p_N, rtol=1e-7)
    np.testing.assert_allclose(second.pi_N, 2.0 * first.pi_N, rtol=1e-9)
    np.testing.assert_allclose(second.pi_M, 2.0 * first.pi_M, rtol=1e-9)
