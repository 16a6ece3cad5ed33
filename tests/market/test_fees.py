"""Fees and rebates of sellers, makers and bidders: who pays, who receives, and what shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.demand import Cheapest, Logit
from mos_agents.market.equilibrium import benchmarks, stage_profits
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.metrics import metric
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals
from mos_agents.market.types import Executions, InputError
from mos_agents.testing.playing import play
from mos_agents.testing.promises import bits
from tests.market.worlds import KINDS, auction, expected, makers, retail


def settled(market: Market, sold: float, ask: float, bought: float, bid: float) -> Any:
    """Positions and flows after one tick in which every listing traded so."""
    shape = (1, market.layout.L)
    numbers = (np.full(shape, v) for v in (sold, ask, bought, bid, sold, 0.0))
    return market.positions.settle(market, market.start(1), Executions(*numbers))


def test_a_maker_pays_its_fee_on_both_sides_by_hand():
    """4 sold at 101, 3 bought at 99: a tenth of a per cent of 404 + 297, and 0.02 a unit."""
    ledger = Ledger(100.0, short=True, fee=0.001, unit_fee=0.02)
    positions, flows = settled(makers(1, 1, positions=ledger), 4.0, 101.0, 3.0, 99.0)
    assert flows.fees[0, 0] == pytest.approx(0.701 + 0.14)
    assert positions.cash[0, 0] == pytest.approx(404.0 - 297.0 - 0.841)
    assert positions.outside_cash[0] == pytest.approx(-(404.0 - 297.0 - 0.841))


def test_a_rebate_is_a_fee_below_zero():
    ledger = Ledger(100.0, short=True, fee=-0.00015)
    positions, flows = settled(makers(1, 1, positions=ledger), 10.0, 100.0, 0.0, 99.0)
    assert flows.fees[0, 0] == pytest.approx(-0.15)
    assert positions.cash[0, 0] == pytest.approx(1000.15)


def test_whoever_wins_an_auction_pays_the_fee_on_its_price():
    positions, flows = settled(auction(1, 1, positions=Ledger(fee=0.1, unit_fee=1.0)), 0, 0, 2, 5.0)
    assert flows.fees[0, 0] == pytest.approx(0.1 * 10.0 + 2.0)
    # The item's worth, 10 a unit, less its price and the fee.
    assert positions.cash[0, 0] == pytest.approx(20.0 - 10.0 - 3.0)


def test_a_seller_alone_pays_for_what_it_sold():
    """4 sold at 101, 3 bought at 99: a tenth of a per cent of 404, and 0.02 for each unit sold."""
    ledger = Ledger(100.0, short=True, fee=0.001, unit_fee=0.02, payer="seller")
    _, flows = settled(makers(1, 1, positions=ledger), 4.0, 101.0, 3.0, 99.0)
    assert flows.fees[0, 0] == pytest.approx(0.404 + 0.08)


def test_a_platform_receives_the_others_fees_and_pays_none():
    ledger = Ledger(fee=0.12, unit_fee=0.5)
    market = retail(3, 1, stock=np.inf, positions=ledger)
    positions, flows = settled(market, 2.0, 50.0, 0.0, 0.0)
    each = 0.12 * 100.0 + 0.5 * 2.0
    np.testing.assert_allclose(flows.fees[0], [-2 * each, each, each])
    assert positions.outside_cash[0] == pytest.approx(-positions.cash.sum())


def test_without_a_platform_fees_go_to_the_outside_world():
    market = makers(2, 1, positions=Ledger(100.0, short=True, fee=0.01))
    positions, flows = settled(market, 1.0, 100.0, 1.0, 100.0)
    np.testing.assert_allclose(flows.fees, 2.0)
    assert positions.outside_cash[0] == pytest.approx(4.0)


FEES = st.floats(-0.05, 0.05)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(KINDS)), FEES, FEES, st.booleans(), st.integers(0, 2**32))
def test_cash_is_conserved_and_pnl_is_net_of_fees(kind, fee, unit_fee, sellers, seed):
    plain = KINDS[kind]()
    platform = "platform" in plain.layout.roles
    ledger = Ledger(
        plain.positions.limit,
        plain.positions.short,
        fee=fee,
        unit_fee=unit_fee,
        payer="seller" if sellers and plain.asks and (fee or unit_fee) else "traders",
        mark=plain.positions.mark,
    )
    market = KINDS[kind](positions=ledger)
    for _, step in play(market, 5, 3, seed=seed):
        positions, metrics = step.state.positions, step.metrics
        total = positions.cash.sum(axis=1) + positions.outside_cash
        scale = 1.0 + np.abs(positions.cash).sum(axis=1)
        assert (np.abs(total) <= 1e-9 * scale).all()
        assert np.array_equal(metrics[..., metric("fees")], step.info.flows.fees)
        parts = [metric(name) for name in ("spread_capture", "inventory_pnl")]
        costs = [metric(name) for name in ("position_cost", "fees")]
        pnl = metrics[..., parts].sum(axis=-1) - metrics[..., costs].sum(axis=-1)
        np.testing.assert_allclose(metrics[..., metric("pnl")], pnl, rtol=1e-9, atol=1e-7)
        if platform:
            np.testing.assert_allclose(step.info.flows.fees.sum(axis=1), 0.0, atol=1e-8)


def test_a_fee_of_zero_changes_no_bit():
    for kind in sorted(KINDS):
        plain = KINDS[kind]()
        plain = plain.with_parts(positions=replace(plain.positions, fee=0.0, payer="traders"))
        charges = {**vars(plain.positions), "fee": 0.0, "unit_fee": 0.0}
        same = KINDS[kind](positions=Ledger(**charges))
        ends = [bits(list(play(market, 6, 2))[-1][1].state) for market in (plain, same)]
        assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "charges", [{"fee": 1.0}, {"fee": -1.0}, {"fee": np.nan}, {"unit_fee": np.inf}]
)
def test_a_fee_that_is_no_fee_is_refused(charges):
    with pytest.raises(InputError, match=next(iter(charges))):
        Ledger(**charges)


def duopoly(demand: Any, **ledger: float) -> Market:
    market = expected(
        n=3,
        k=1,
        execution=Expected(demand),
        arrivals=FixedMass(1.0),
        quotes=PostedPrice(0.0, min_margin=0.0, low=0.0, high=1e4),
        positions=Ledger(**ledger),
        reference=Fundamentals(),
    )
    roles = replace(market.layout, roles=("firm",) * 3)
    return market.with_parts(layout=roles)


@settings(max_examples=25, deadline=None)
@given(FEES, st.floats(-1.0, 1.0), st.integers(0, 2**32))
def test_profits_of_theory_are_those_of_the_tick_with_fees(fee, unit_fee, seed):
    market = duopoly(Logit(), fee=fee, unit_fee=unit_fee)
    rng = np.random.default_rng(seed)
    for _, step in play(market, 2, 2, seed=int(rng.integers(2**31))):
        prices = step.info.quotes.ask
        np.testing.assert_allclose(
            stage_profits(market, prices), step.metrics[..., metric("pnl")], rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("demand", [Logit(relative=False, price_coefficient=0.1), Cheapest(1e3)])
def test_a_fee_to_the_outside_is_a_higher_cost_in_equilibrium(demand):
    """Prices as at a unit cost of (c + u) / (1 - f), profits smaller by the share f."""
    fee, unit_fee = 0.2, 3.0
    market = duopoly(demand, fee=fee, unit_fee=unit_fee)
    catalogue = market.catalogue
    dearer = replace(catalogue, cost=(catalogue.cost + unit_fee) / (1.0 - fee))
    plain = duopoly(demand).with_parts(catalogue=dearer)
    with_fees, without = benchmarks(market), benchmarks(plain)
    np.testing.assert_allclose(with_fees.p_N, without.p_N, rtol=1e-7)
    np.testing.assert_allclose(with_fees.p_M, without.p_M, rtol=1e-6)
    np.testing.assert_allclose(with_fees.pi_N, 0.8 * without.pi_N, rtol=1e-6, atol=1e-12)
