"""Positions: nothing comes from nowhere, and profit is what somebody is worth more than before."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson
from mos_agents.market.browsing import Browsing
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.execution import Auction, Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.metrics import METRICS, metric
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice, SealedBid, TwoSided
from mos_agents.market.reference import (
    Brownian,
    Constant,
    Fundamentals,
    GeometricBrownian,
    JumpDiffusion,
    OrnsteinUhlenbeck,
    Shock,
)
from mos_agents.market.schedules import Alternating, RandomMoves, Simultaneous
from mos_agents.market.streams import FixedDraws, Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import Executions, InputError
from mos_agents.testing.playing import play, random_actions
from tests.market.worlds import KINDS, auction, differentiated, makers, retail, with_catalogue
from tests.oracles import market as oracles


def with_books(make: Any, ledger: Ledger, **parts: Any) -> Market:
    """The market with as much of the ledger as it can heed."""
    plain = make(**parts)
    neutral: dict[str, Any] = {}
    if plain.made_to_order.all():
        neutral |= {
            "holding_cost": 0.0,
            "base_stock": 0.0,
            "lead_time": 0,
            "limit": np.inf,
            "short": False,
            "mark": "cost",
        }
        if plain.quotes.size == np.inf or plain.sealed:
            neutral["shortage_cost"] = 0.0
    else:
        if not plain.catalogue.stock.any() or ledger.base_stock == 0.0:
            neutral |= {"base_stock": 0.0, "lead_time": 0}
        if not plain.bids and not ledger.short:
            neutral["limit"] = np.inf
    if plain.collector < 0 or plain.layout.N == 1:
        neutral["payer"] = "traders"
    elif not plain.asks:
        neutral["payer"] = "traders"
    if plain.collector >= 0 and plain.layout.N == 1:
        neutral |= {"fee": 0.0, "unit_fee": 0.0}
    return make(positions=replace(ledger, **neutral), **parts)


def executions_anyhow(market: Market, batch: int, rng: np.random.Generator) -> Executions:
    shape = (batch, market.layout.L)
    sold, bought, demand = rng.poisson(3.0, (3, *shape)).astype(float)
    prices = rng.uniform(1.0, 50.0, (2, *shape))
    return Executions(sold, prices[0], bought, prices[1], demand + sold, demand)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([retail, makers, auction, differentiated]),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.integers(0, 3),
    st.booleans(),
)
def test_every_entry_is_that_of_the_reference(make, seed, base_stock, lead_time, short):
    rng = np.random.default_rng(seed)
    ledger = Ledger(
        1e6,
        short,
        base_stock,
        lead_time,
        *rng.random(2),
        str(rng.choice(["cost", "reference"])),
        100.0,
        *rng.uniform(-0.5, 0.5, 2),
        str(rng.choice(["traders", "seller"])),
    )
    market = with_books(make, ledger)
    ledger = market.positions
    state = market.start(3)
    state = state._replace(
        cost=state.cost * rng.uniform(0.5, 1.5, state.cost.shape),
        positions=state.positions._replace(
            on_order=rng.poisson(2.0, state.positions.on_order.shape) * ~market.made_to_order * 1.0,
            inventory=rng.integers(-9, 30, state.cost.shape) * ~market.made_to_order * 1.0,
        ),
    )
    executions = executions_anyhow(market, 3, rng)
    positions, flows = ledger.settle(market, state, executions)
    wanted, entries = oracles.settle(market, state, executions)
    for name in wanted._fields:
        np.testing.assert_allclose(
            getattr(positions, name), getattr(wanted, name), rtol=1e-9, atol=1e-8, err_msg=name
        )
    for name, entry in entries.items():
        np.testing.assert_allclose(getattr(flows, name), entry, rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_short_position_is_not_covered_unless_its_owner_buys():
    """A maker orders none of an asset without an opening stock, however short of it it is."""
    stocked = with_catalogue(makers(1, 2), stock=np.array([0.0, 7.0]))
    for lead_time in (0, 2):
        market = stocked.with_parts(positions=Ledger(100.0, True, 1.0, lead_time))
        sold = np.array([[5.0, 0.0]])
        others = (np.full((1, 2), v) for v in (101.0, 0.0, 99.0, 5.0, 0.0))
        executions = Executions(sold, *others)
        state = market.start(1)
        for _ in range(4):
            positions, flows = market.positions.settle(market, state, executions)
            state = state._replace(positions=positions)
            assert not flows.delivered.any()
        assert positions.inventory[0, 0] == -20.0
        assert positions.cash[0, 0] == 20.0 * 101.0


def test_orders_restore_the_base_stock_after_the_lead_time_by_hand():
    """Stock 10, two sold a tick, lead time 2: 8, 6, then every tick two arrive for two sold."""
    market = retail(1, 1, stock=10.0, positions=Ledger(base_stock=1.0, lead_time=2))
    executions = Executions(*(np.full((1, 1), v) for v in (2.0, 9.0, 0.0, 0.0, 2.0, 0.0)))
    state, held = market.start(1), []
    for _ in range(5):
        positions, _ = market.positions.settle(market, state, executions)
        state = state._replace(positions=positions)
        held.append(positions.inventory[0, 0])
    assert held == [8.0, 6.0, 6.0, 6.0, 6.0]


@pytest.mark.parametrize("payer", ["seller", "traders"])
def test_fees_go_from_the_firms_to_the_platform(payer):
    market = retail(2, 1, stock=np.inf, positions=Ledger(fee=0.1, payer=payer))
    executions = Executions(*(np.full((1, 2), v) for v in (3.0, 20.0, 0.0, 0.0, 3.0, 0.0)))
    _, flows = market.positions.settle(market, market.start(1), executions)
    assert flows.fees.tolist() == [[-6.0, 6.0]]


# --- nothing comes from nowhere -------------------------------------------------------------------

TICKS = 25_000


def random_market(rng: np.random.Generator) -> Market:
    """Any parts that fit together."""
    ledger = Ledger(
        limit=float(rng.choice([15.0, 200.0, np.inf])),
        short=bool(rng.random() < 0.5),
        base_stock=float(rng.choice([0.0, 0.5, 1.0])),
        lead_time=int(rng.integers(0, 4)),
        holding_cost=float(rng.choice([0.0, 0.01])),
        shortage_cost=float(rng.choice([0.0, 0.3])),
        mark=str(rng.choice(["cost", "reference"])),
        endowment=float(rng.choice([0.0, 1000.0])),
        fee=float(rng.choice([0.0, 0.02, -0.01])),
        unit_fee=float(rng.choice([0.0, 0.5, -0.1])),
    )
    processes = [
        Constant(),
        GeometricBrownian(sigma=0.05),
        OrnsteinUhlenbeck(sigma=0.2),
        JumpDiffusion(),
        Shock(at=3, factor=1.5, duration=4),
    ]
    price, cost, scale = (processes[i] for i in rng.integers(0, len(processes), 3))
    schedule = [Simultaneous(), Alternating(), RandomMoves(0.5)][rng.integers(3)]
    kind = rng.integers(4)
    n, k = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    common: dict[str, Any] = {"schedule": schedule}
    rules = {
        "conduct": str(rng.choice(["clip", "refuse"])),
        "max_age": int(rng.integers(0, 3)),
        "on_refusal": str(rng.choice(["stand", "withdraw"])),
    }
    if kind == 0:
        demand = [Logit(), Logit(nesting=0.4), Elasticity(), Cheapest()][rng.integers(4)]
        arrivals = [Browsing(8.0), Poisson(6.0), FixedMass(5.0)][rng.integers(3)]
        stock = float(rng.choice([3.0, 20.0, np.inf]))
        return with_books(
            partial(retail, n, k, stock),
            ledger,
            execution=Sampled(demand),
            arrivals=arrivals,
            quotes=PostedPrice(sized=True, size=9.0, **rules),
            reference=Fundamentals(price, cost, scale),
            **common,
        )
    if kind == 1:
        price = Brownian(sigma=3.0) if rng.random() < 0.3 else price
        arrivals = [Hawkes(6.0), Poisson(9.0, 7.0)][rng.integers(2)]
        return with_books(
            partial(makers, n, k),
            ledger,
            arrivals=arrivals,
            quotes=TwoSided(sized=True, size=20.0, **rules),
            execution=FillIntensity(scale=2.0),
            reference=Fundamentals(price, demand=scale),
            **common,
        )
    if kind == 2:
        rule = Auction(str(rng.choice(["first", "second"])), float(rng.choice([0.0, 40.0])))
        return with_books(
            partial(auction, n, k),
            ledger,
            execution=rule,
            quotes=SealedBid(**rules),
            reference=Fundamentals(price, cost),
            **common,
        )
    demand = [Logit(1.0, 0.1, nesting=0.4), Linear(60.0, 150.0, 50.0), Elasticity()]
    return with_books(
        partial(retail, n, k, 20.0),
        ledger,
        execution=Expected(demand[rng.integers(3)]),
        arrivals=FixedMass(8.0),
        quotes=PostedPrice(**rules),
        reference=Fundamentals(price, cost, scale),
        **common,
    )


def check_accounts(market: Market, before: Any, step: Any, whole: bool) -> None:
    """One tick: money and units are conserved, limits hold, PnL is the change in worth."""
    old, new = before.positions, step.state.positions
    money = old.cash.sum(1) + old.outside_cash
    scale = np.abs(new.cash).sum(1) + np.abs(new.outside_cash) + 1.0
    assert (np.abs(new.cash.sum(1) + new.outside_cash - money) <= 1e-9 * scale).all()

    def units(positions: Any) -> Any:
        total = positions.outside_units.copy()
        np.add.at(total, (slice(None), market.layout.instrument), positions.inventory)
        return total

    if whole:
        assert np.array_equal(units(new), units(old))
        assert np.array_equal(new.inventory, np.round(new.inventory))
    else:
        np.testing.assert_allclose(units(new), units(old), rtol=1e-9, atol=1e-7)
    made = step.info.executions
    room = market.positions.capacity(market, old)
    slack = 0.0 if whole else 1e-9
    assert (made.sold <= np.maximum(room[0], 0.0) + slack).all()
    assert (made.bought <= np.maximum(room[1], 0.0) + slack).all()
    assert all(np.isfinite(a).all() for a in (*new, step.reward, step.metrics))
    gain = oracles.worth(market, step.state) - oracles.worth(market, before)
    held = np.abs(old.inventory) * np.abs(market.positions.marks(market, before))
    scale = np.abs(new.cash) + held.sum(1, keepdims=True) + 1.0
    assert (np.abs(step.metrics[:, :, metric("pnl")] - gain) <= 1e-9 * scale).all()


def test_over_25000_ticks_no_unit_and_no_money_comes_from_nowhere():
    """Random markets, parts, quotes (lawful and not) and schedules: after every single tick."""
    rng = np.random.default_rng(20)
    ticks, kinds = 0, set()
    while ticks < TICKS:
        market = random_market(rng)
        batch = int(rng.integers(1, 9))
        state, streams = market.start(batch), Streams.of(int(rng.integers(1e6)), batch)
        # Sampled trades are whole units, unless quotes or base stocks are not.
        lots = bool(rng.random() < 0.7)
        whole = lots and not isinstance(market.execution, Expected)
        whole &= bool((market.base_stocks == np.round(market.base_stocks)).all())
        kinds.add((type(market.execution), type(market.arrivals), whole))
        for t in range(int(rng.integers(20, 60))):
            actions = random_actions(market, rng, batch)
            if market.quotes.sized and lots:
                actions[..., -1] = np.round(actions[..., -1])
            odd = rng.random(actions.shape) < 0.01
            actions = np.where(odd, rng.choice([np.nan, np.inf, -1.0, 1e308]), actions)
            step = tick(market, state, actions, streams.at(t))
            check_accounts(market, state, step, whole)
            state = step.state
            ticks += batch
    assert len(kinds) >= 12
    assert {w for _, _, w in kinds} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_whole_lots_stay_whole_units_to_the_last_bit(kind):
    market = KINDS[kind]()
    for before, step in play(market, 200, 5):
        check_accounts(market, before, step, whole=kind != "expected")


# --- the figures of a tick ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_metrics_are_those_of_the_reference(kind):
    ledger = Ledger(60.0, kind == "makers", 1.0, 1, 0.02, 0.1, "reference", 50.0, 0.11, -0.1)
    market = with_books(KINDS[kind], ledger)
    for before, step in play(market, 30, 4):
        info = step.info
        flows = oracles.settle(market, before._replace(quotes=info.quotes), info.executions)[1]
        wanted = oracles.metrics(market, before, step.state, info.arrivals, info.executions, flows)
        assert set(wanted) == set(METRICS)
        for j, name in enumerate(METRICS):
            scale = 1.0 + np.abs(before.positions.cash).max()
            np.testing.assert_allclose(
                step.metrics[:, :, j], wanted[name], rtol=1e-9, atol=1e-11 * scale, err_msg=name
            )


def test_profit_splits_into_spread_and_revaluation_by_hand():
    """Sells 2 at 101 around a mid of 100, which then rises to 103: 2 captured, 6 lost."""
    market = makers(
        1,
        1,
        execution=FillIntensity(scale=100.0),
        arrivals=FixedMass(2.0),
        reference=Fundamentals(Brownian(sigma=2.0)),
        dt=1.0,
        quotes=TwoSided(max_spread=5.0),
    )
    draws = FixedDraws({"choices": [0.5, 0.5], "reference": [[1.5]]})
    step = tick(market, market.start(1), np.array([[[0.0, 2.0]]]), draws)
    row = dict(zip(METRICS, step.metrics[0, 0], strict=True))
    assert step.state.reference[0, 0] == 103.0
    assert row["spread_capture"] == 2.0
    assert row["inventory_pnl"] == -6.0
    assert row["pnl"] == -4.0
    assert row["revenue"] == 202.0
    assert row["units_traded"] == 2.0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"limit": 0.0}, "limit"),
        ({"base_stock": -1.0}, "base_stock"),
        ({"lead_time": -1}, "lead_time"),
        ({"fee": 1.0}, "fee"),
        ({"mark": "wish"}, "mark"),
        ({"holding_cost": np.nan}, "holding_cost"),
    ],
)
def test_a_ledger_that_makes_no_sense_is_refused_by_its_name(wrong, field):
    with pytest.raises(InputError, match=field):
        Ledger(**wrong)
