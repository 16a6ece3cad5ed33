"""What customers choose at given prices: reference implementations, closed forms, what any demand
must obey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import mos_agents
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.shopper_types import ShopperTypes
from mos_agents.market.stages import Demand
from mos_agents.market.types import InputError, Layout
from tests.market.worlds import MODELS
from tests.oracles import market as oracles

ids = [f"{type(m).__name__}{j}" for j, m in enumerate(MODELS)]


def market_of(demand: Any, n: int = 4, k: int = 2, rng: Any = None) -> Market:
    rng = rng or np.random.default_rng(0)
    layout = Layout.dense(
        [f"s{i}" for i in range(n)], [f"p{j}" for j in range(k)], ["firm"] * n, demand.choice
    )
    size = layout.L
    catalogue = Catalogue(
        np.ones(size),
        rng.uniform(5.0, 15.0, size),
        rng.random(size),
        np.full(size, np.inf),
        rng.integers(0, 3, size),
    )
    return make_market(layout, catalogue, Expected(demand))


def situation(market: Market, rng: np.random.Generator, rows: int = 3) -> tuple[Any, Any, Any]:
    """Prices, availability and reference prices, with ties and sold-out sellers."""
    shape = (rows, market.layout.L)
    prices = rng.uniform(4.0, 18.0, shape)
    prices = np.where(rng.random(shape) < 0.5, np.round(prices), prices)
    return prices, rng.random(shape) < 0.8, np.tile(market.catalogue.reference_price, (rows, 1))


def reference_shares(
    market: Market, prices: Any, available: Any, reference: Any, demand: Any = None
) -> Any:
    demand = demand or market.execution.demand
    if isinstance(demand, ShopperTypes):
        return sum(
            weight * reference_shares(market, prices + cost, available, reference, one)
            for one, weight, cost in zip(
                demand.types, demand.weights, demand.search_costs, strict=True
            )
        )
    out = np.zeros(prices.shape)
    for b in range(len(prices)):
        for group in oracles.groups_of(market):
            own = [i for i in group if available[b, i]]
            if not own:
                continue
            p, ref = prices[b, own], reference[b, own]
            if isinstance(demand, Logit):
                level = p / ref if demand.relative else p
                utility = (
                    demand.intercept
                    - demand.price_coefficient * level
                    + demand.quality_coefficient * market.catalogue.quality[own]
                ) / demand.scale
                nests = market.nests[own]
                shares = oracles.logit(
                    utility, nests, demand.nesting, demand.outside / demand.scale
                )
            elif isinstance(demand, Elasticity):
                shares = oracles.elasticity(
                    p, ref, demand.base, demand.elasticity, demand.comparison
                )
            elif isinstance(demand, Linear):
                shares = oracles.linear(p, demand.intercept, demand.own, demand.cross)
            else:
                shares = oracles.cheapest(p, demand.choke, demand.slope)
            out[b, own] = shares
    return out


@pytest.mark.parametrize("choice", ["within", "across"])
@pytest.mark.parametrize("demand", MODELS, ids=ids)
def test_shares_are_those_of_the_reference(demand, choice):
    rng = np.random.default_rng(1)
    demand = type(demand)(**{**demand.__dict__, "choice": choice})
    for n, k in ((1, 1), (2, 1), (4, 2), (3, 3)):
        market = market_of(demand, n, k, rng)
        for _ in range(15):
            case = situation(market, rng)
            np.testing.assert_allclose(
                demand.shares(market, *case), reference_shares(market, *case), rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize("nesting", [0.0, 0.3, 0.9])
def test_logit_demand_is_that_of_the_equilibrium_module(nesting):
    demand = Logit(2.0, 1.7, 0.8, False, 0.4, 0.5, nesting, "across")
    market = market_of(demand, 5, 2)
    theirs = LogitMarket(
        quality=(2.0 + 0.8 * market.catalogue.quality) / 0.5,
        cost=market.catalogue.cost,
        owner=market.layout.seller,
        price_coefficient=1.7 / 0.5,
        nest=market.catalogue.nest,
        nesting=nesting,
        outside_utility=0.4 / 0.5,
    )
    prices = np.random.default_rng(0).uniform(1.0, 4.0, (6, 10))
    ours = demand.shares(market, prices, np.ones(prices.shape, bool), np.ones(prices.shape))
    np.testing.assert_allclose(ours, theirs.shares(prices), rtol=1e-12)


def test_logit_survives_utilities_that_would_overflow():
    demand = Logit(0.0, 1.0, 0.0, relative=False, scale=1e-3)
    market = market_of(Logit(), 2, 1)
    prices = np.array([[1.0, 900.0], [-900.0, -900.0], [900.0, 900.0]])
    shares = demand.shares(market, prices, np.ones((3, 2), bool), np.ones((3, 2)))
    np.testing.assert_allclose(shares, [[0.0, 0.0], [0.5, 0.5], [0.0, 0.0]], atol=1e-300)


def shares_of_one_product(demand: Any, prices: list[float], reference: float = 10.0) -> Any:
    market = market_of(Logit(), len(prices), 1)
    row = np.array([prices], dtype=float)
    return demand.shares(market, row, np.ones(row.shape, bool), np.full(row.shape, reference))[0]


@pytest.mark.parametrize("price", [6.0, 10.0, 25.0])
def test_a_lone_seller_sells_to_three_in_ten_times_the_relative_price_to_minus_two(price):
    found = shares_of_one_product(Elasticity(), [price])[0]
    assert found == pytest.approx(min(0.3 * (price / 10.0) ** -2, 1.0))


@pytest.mark.parametrize(("mine", "rival"), [(10.0, 8.0), (8.0, 10.0), (12.0, 12.0), (30.0, 6.0)])
def test_own_visitors_follow_the_two_seller_formula(mine, rival):
    """0.3 (p/ref)^-2 exp(-0.5 (p - rival) / ref) where the rival is cheaper."""
    found = shares_of_one_product(Elasticity(), [mine, rival])

    def own(p: float, q: float) -> float:
        return 0.5 * min(0.3 * (p / 10) ** -2, 1.0) * np.exp(-0.5 * max(p - q, 0.0) / 10)

    stays = np.array([own(mine, rival), own(rival, mine)])
    if mine != rival:
        dear = int(mine < rival)
        assert found[dear] == pytest.approx(stays[dear])
        lost = 0.5 * min(0.3 * (max(mine, rival) / 10) ** -2, 1.0) - stays[dear]
        assert found[1 - dear] == pytest.approx(stays[1 - dear] + lost)
    else:
        assert found == pytest.approx(stays)


def test_singh_vives_duopoly_by_hand():
    """a = 10, b = 1, d = 0.5 at p = (4, 5): q = ((a - p) - d (a - p')) / (1 - d^2)."""
    found = shares_of_one_product(Linear(10.0, 1.0, 0.5), [4.0, 5.0])
    assert found == pytest.approx([(6.0 - 2.5) / 0.75, (5.0 - 3.0) / 0.75])


def test_a_linear_seller_priced_out_leaves_a_monopoly():
    found = shares_of_one_product(Linear(10.0, 1.0, 0.5), [4.0, 8.0])  # 2 - 3 < 0
    assert found == pytest.approx([6.0, 0.0])


def test_the_cheapest_take_all_and_equal_prices_share():
    assert shares_of_one_product(Cheapest(), [3.0, 2.0, 2.0]).tolist() == [0.0, 0.5, 0.5]
    assert shares_of_one_product(Cheapest(choke=2.5), [3.0]).tolist() == [0.0]
    assert shares_of_one_product(Cheapest(slope=0.1), [3.0, 4.0]) == pytest.approx([0.7, 0.0])


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        (Logit, {"scale": 0.0}, "scale"),
        (Logit, {"nesting": 1.0}, "nesting"),
        (Logit, {"choice": "between"}, "choice"),
        (Elasticity, {"base": 1.2}, "base"),
        (Elasticity, {"elasticity": -1.0}, "elasticity"),
        (Linear, {"cross": 1.0}, "cross"),
        (Cheapest, {"choke": 0.0}, "choke"),
    ],
)
def test_a_demand_that_makes_no_sense_is_refused_by_its_name(kind, wrong, field):
    with pytest.raises(InputError, match=field):
        kind(**wrong)


@dataclass(frozen=True)
class BlindToStock(Demand):
    """A model of somebody's own that forgets `available`, or the shape of its shares."""

    columns: int | None = None
    choice = "within"

    def shares(self, market, prices, available, reference):
        return np.full(prices.shape, 0.3)[:, : self.columns]


def test_a_model_that_sells_what_is_sold_out_is_refused_and_does_not_play_for_ever():
    market = mos_agents.load("retail", changes={"catalogue.stock": 1.0}).market()
    own = market.with_parts(arrivals=FixedMass(buy=50.0), execution=Expected(BlindToStock()))
    policies = {spec.name: mos_agents.make("cost_plus") for spec in own.specs}
    with pytest.raises(InputError, match=r"BlindToStock are above 0 .* multiply the shares by"):
        mos_agents.rollout.rollout(own, policies, ticks=3)


@pytest.mark.parametrize("rule", [Expected, Sampled])
def test_shares_of_another_shape_are_refused_by_their_shape(rule):
    with pytest.raises(InputError, match=r"have shape \(1, 1\); prices of shape \(1, 30\) need"):
        mos_agents.retail().with_parts(execution=rule(BlindToStock(columns=1)))
