"""Benchmarks of markets with limited stock or quotes, checked against the market's own tick."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents import retail
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Cheapest, Linear, Logit
from mos_agents.market.equilibrium import (
    EquilibriumError,
    benchmarks,
    bertrand_nash,
    joint_profit,
    stage_profits,
)
from mos_agents.market.equilibrium.pricing import _first_within
from mos_agents.market.equilibrium.stage import PriceGame
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import Layout

CALVANO_DEMAND = Logit(2.0, 1.0, 0.0, relative=False, scale=0.25)


def limited(
    demand, stock, cost=0.0, mass=1.0, execution=Expected, reference=0.5, **rules
) -> Market:
    """One product, a firm for each stock; prices are free."""
    stock = np.asarray(stock, dtype=float)
    n = stock.size
    layout = Layout.dense([f"f{i}" for i in range(n)], ["p"], ["firm"] * n)
    full = [np.broadcast_to(np.asarray(x, dtype=float), (n,)) for x in (cost, reference)]
    ledger = {"base_stock": 1.0} if np.isfinite(stock).any() else {}
    ledger |= {k: rules.pop(k) for k in ("fee", "shortage_cost") if k in rules}
    quotes = {"min_margin": -0.999, "max_relative_change": np.inf, "tick_size": 0.0}
    return make_market(
        layout,
        Catalogue(*full, np.zeros(n), stock),
        execution(demand),
        quotes=PostedPrice(**(quotes | {"low": 0.0, "high": 1000.0} | rules)),
        arrivals=FixedMass(mass),
        positions=Ledger(**ledger),
    )


def paid(market: Market, rows) -> np.ndarray:
    """[R, N] what the market's own tick pays at rows of prices, cost of what is held left out."""
    rows = np.ascontiguousarray(np.asarray(rows, dtype=float)[:, :, None])
    step = tick(market, market.start(len(rows)), rows, Streams.of(0, len(rows)).at(0))
    return step.metrics[..., 0]


def largest_gain(market: Market, prices) -> float:
    """What some firm could gain at most on a fine grid of its prices, in the market's own tick."""
    now = paid(market, [prices])[0]
    trials = np.unique(
        np.concatenate(
            [
                np.linspace(0.0, 3.0, 301),
                np.outer(prices, 1.0 + np.array([-0.1, -1e-3, -1e-6, 1e-6, 1e-3, 0.1])).ravel(),
            ]
        )
    )
    gains = []
    for n in range(len(prices)):
        rows = np.repeat([prices], trials.size, axis=0)
        rows[:, n] = trials
        gains.append(paid(market, rows)[:, n].max() - now[n])
    return max(gains)


def test_stock_that_binds_leaves_homogeneous_sellers_without_an_equilibrium():
    """Two sellers of .3 units, demand 1 - p: at price 0 a deviation to .575 is paid .171."""
    market = limited(Cheapest(slope=1.0), [0.3, 0.3])
    assert paid(market, [[0.575, 0.0]])[0, 0] == pytest.approx(0.171, abs=5e-4)
    with pytest.raises(EquilibriumError, match="stock or the size of quotes limits") as caught:
        benchmarks(market)
    assert "\n" not in str(caught.value) and "finite price grid" in caught.value.remedy


def test_sellers_with_little_stock_charge_the_price_at_which_it_is_all_bought():
    """Demand 1 - p, stocks of .2 each: p = .6, and selling less than all pays nobody."""
    market = limited(Cheapest(slope=1.0), [0.2, 0.2])
    found = benchmarks(market)
    np.testing.assert_allclose(found.p_N, 0.6, rtol=1e-9)
    np.testing.assert_allclose(found.p_M, 0.6, rtol=1e-6)
    np.testing.assert_allclose(found.pi_N, 0.12, rtol=1e-9)
    np.testing.assert_allclose(paid(market, [found.p_N])[0], found.pi_N, rtol=1e-9)
    assert largest_gain(market, found.p_N) <= 1e-9


def test_stock_that_never_binds_changes_no_benchmark():
    free, held = (limited(Cheapest(slope=1.0), [stock] * 2) for stock in (np.inf, 1.0))
    for one in (free, held):
        np.testing.assert_array_equal(bertrand_nash(one).prices, 0.0)
    free, held = (
        limited(CALVANO_DEMAND, [stock] * 2, 1.0, reference=1.5) for stock in (np.inf, 5.0)
    )
    np.testing.assert_allclose(benchmarks(held).p_N, benchmarks(free).p_N, rtol=1e-10)


def test_the_size_of_quotes_binds_as_stock_does():
    small = limited(Cheapest(slope=1.0), [np.inf] * 2, size=0.2)
    np.testing.assert_allclose(bertrand_nash(small).prices, 0.6, rtol=1e-9)
    with pytest.raises(EquilibriumError, match="size of quotes"):
        bertrand_nash(limited(Cheapest(slope=1.0), [np.inf] * 2, size=0.3))
    named = limited(Cheapest(slope=1.0), [np.inf] * 2, size=0.2, sized=True)
    np.testing.assert_allclose(bertrand_nash(named).prices, 0.6, rtol=1e-9)


def test_profits_of_the_game_are_those_of_the_tick_where_stock_binds():
    rng = np.random.default_rng(0)
    for demand in (Cheapest(slope=1.0), CALVANO_DEMAND, Linear(2.0, 1.0, 0.5)):
        market = limited(demand, [0.1, 0.3, 0.5], [0.2, 0.0, 0.1], fee=0.1, shortage_cost=0.05)
        rows = rng.uniform(0.0, 1.2, (50, 3))
        np.testing.assert_allclose(stage_profits(market, rows), paid(market, rows), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_limited_markets_have_an_equilibrium_of_their_own_tick_or_are_refused(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    demand = [
        Cheapest(slope=1.0),
        Logit(rng.uniform(0.5, 2.0), 1.0, 0.0, False, 0.0, rng.uniform(0.1, 0.5)),
        Linear(rng.uniform(0.8, 1.5), 1.0, rng.uniform(0.0, 0.8)),
    ][rng.integers(3)]
    market = limited(demand, rng.uniform(0.05, 0.6, n), rng.uniform(0.0, 0.3, n))
    try:
        found = bertrand_nash(market)
    except EquilibriumError as error:
        assert "\n" not in str(error)
        return
    np.testing.assert_allclose(paid(market, [found.prices])[0], found.profits, atol=1e-9)
    assert largest_gain(market, found.prices) <= 1e-8


def test_single_customers_who_find_sold_out_shelves_are_not_taken_for_a_mass():
    """Fifteen customers and a stock of six: the mean is not what the mean customer buys."""
    demand = Logit(2.0, 1.0, 0.0, relative=False, scale=0.25)
    scarce = limited(demand, [6, 6], 1.0, 15.0, Sampled, reference=1.5)
    with pytest.raises(EquilibriumError, match="stock") as caught:
        bertrand_nash(scarce)
    assert "\n" not in str(caught.value)
    plenty = bertrand_nash(limited(demand, [99, 99], 1.0, 15.0, Sampled, reference=1.5))
    np.testing.assert_allclose(plenty.prices, 1.472927, atol=1e-6)


def test_prices_that_a_formula_calls_an_equilibrium_are_held_against_the_tick():
    """A game that knows nothing of stock proposes cost pricing; its market pays a deviation."""
    market = limited(Cheapest(slope=1.0), [0.3, 0.3])
    game = PriceGame.of(market)
    blind = PriceGame(
        *[getattr(game, name) for name in list(game.__dataclass_fields__)[:-2]],
        np.full(2, np.inf),
        0.0,
    )
    with pytest.raises(EquilibriumError, match=r"the market's own tick pays 'f0' .* more"):
        _first_within(blind, iter([("none", lambda: np.zeros(2))]), lambda *_: 0.0, 1e-9)


def test_the_retail_preset_with_stock_is_solved_as_before_or_refused_in_one_line():
    market = retail(firms=1, products=2)
    found = joint_profit(market)
    assert found.residual <= 1e-9
    np.testing.assert_allclose(stage_profits(market, found.prices[None])[0], found.profits)
