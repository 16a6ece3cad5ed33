"""The equilibrium of markets of two venues, read from the market itself."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.market.equilibrium import EquilibriumError
from mos_agents.market.equilibrium.chain import LogitChain, best_platform_fee, chain_equilibrium
from mos_agents.market.types import InputError

FILE = """
name: plain_chain
participants:
  - {name: platform, role: platform}
  - {name: firm, count: 3}
  - {name: maker, role: maker, count: 2}
instruments: [apples]
venues:
  - name: wholesale
    quoting: [maker]
    ordering: [firm]
    catalogue: {kind: same, cost: 1.0, reference_price: 1.5, stock: .inf}
    quotes: {kind: two_sided, max_spread: 1.0}
  - name: retail
    quoting: [firm]
    catalogue: {kind: same, cost: 1.5, reference_price: 2.0, stock: 0.0}
    fees: {kind: fixed, fee: 0.1}
    arrivals: {kind: fixed_mass, buy: 8.0}
    execution:
      kind: expected
      demand: {kind: logit, intercept: 2.0, price_coefficient: 1.0, quality_coefficient: 0.0,
        relative: false, scale: 0.25}
"""
PRODUCERS = [
    "venues.wholesale.catalogue.stock=0.0",
    "venues.wholesale.arrivals={kind: poisson, buy: 0.0, sell: 20.0}",
    "venues.wholesale.execution={kind: reservation_prices, sellers_low: 0.4, sellers_high: 1.4}",
]
SHOWN = "venues.retail.execution.prominence="


def market(*changes):
    return scenarios.override(scenarios.parse(FILE), changes).market()


def test_a_market_of_round_figures_is_exact():
    """n = 3, m = 2, f = 0.1: w = 1.5, p = 2, Q = 0.75 of each consumer, of whom eight come."""
    found = chain_equilibrium(market())["apples"]
    np.testing.assert_allclose(
        (found.wholesale_price, found.price, found.quantity / 8.0), (1.5, 2.0, 0.75), atol=1e-9
    )
    money = np.array([found.maker_profit, found.retail_profit, found.fees]) / 8.0
    np.testing.assert_allclose(money, (0.375, 0.225, 0.15), atol=1e-9)


def test_money_relative_to_the_reference_price_and_producers_supply_are_read():
    changes = [
        *PRODUCERS,
        "venues.retail.execution.demand={kind: logit, intercept: 2.0, price_coefficient: 2.0, "
        "quality_coefficient: 0.0, relative: true, scale: 0.25}",
    ]
    found = chain_equilibrium(market(*changes))["apples"]
    # Producers ask from 0.6 to 2.1; a unit of utility is worth 2.0 / 2.0 of money.
    chain = LogitChain(3, quality=2.0, scale=0.25, commission=0.1)
    by_hand = chain.quantity_competition(2, 0.6, supply_slope=1.5 * 8.0 / 20.0)
    assert found.price == pytest.approx(by_hand.price, rel=1e-12)
    assert found.quantity == pytest.approx(8.0 * by_hand.quantity)
    assert found.producer_surplus == pytest.approx(8.0 * by_hand.producer_surplus)


def test_the_best_fee_of_the_platform_knows_makers_retailers_and_prominence():
    two = market("firms=2")
    share, found = best_platform_fee(two, competition="price")
    assert share == pytest.approx(0.410373, abs=5e-7)
    assert found["apples"].fees / 8.0 == pytest.approx(0.518587, abs=5e-7)
    shown = market("firms=2", SHOWN + "{kind: cheapest}")
    share, found = best_platform_fee(shown, competition="price")
    assert share == pytest.approx(0.445056, abs=5e-7)
    assert found["apples"].fees / 8.0 == pytest.approx(0.551985, abs=5e-7)
    trials = [chain_equilibrium(shown, f, 0.0)["apples"].fees for f in np.linspace(0.0, 0.9, 60)]
    share, found = best_platform_fee(shown)
    assert max(trials) <= found["apples"].fees + 1e-12


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ([SHOWN + "{kind: cheapest, followers: 0.5}"], EquilibriumError, "pure strategies"),
        ([SHOWN + "{kind: dynamic, cushion: 0.1}"], EquilibriumError, "last prices"),
        ([SHOWN + "{kind: steered}"], InputError, "is not known"),
        ([*PRODUCERS, "venues.wholesale.arrivals.buy=1.0"], InputError, "outside buyers"),
        (["venues.wholesale.fees={kind: fixed, fee: 0.1}"], InputError, "makers' venue"),
        (
            ["venues.retail.execution.demand={kind: cheapest}"],
            InputError,
            "needs plain logit demand",
        ),
        (
            [
                *PRODUCERS,
                "venues.wholesale.arrivals.sell=0.5",
                "venues.wholesale.execution.sellers_high=0.5",
            ],
            EquilibriumError,
            "producers offer",
        ),
    ],
)
def test_markets_without_a_known_equilibrium_are_refused_in_one_line(changes, error, message):
    with pytest.raises(error, match=message) as caught:
        chain_equilibrium(market(*changes))
    assert "\n" not in str(caught.value)


def test_a_market_of_one_venue_is_refused():
    with pytest.raises(InputError, match="two venues"):
        chain_equilibrium(scenarios.load("retail").market())
