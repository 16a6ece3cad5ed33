"""Reservation prices of outsiders, and dealers whose quotes fall as their stock rises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import ReservationPrices
from mos_agents.market.defaults import make_market
from mos_agents.market.equilibrium.chain import amihud_mendelson, constant_quotes_profit
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import TwoSided
from mos_agents.market.streams import FixedDraws, Streams
from mos_agents.market.types import Arrivals, InputError, Layout, Quotes
from mos_agents.policies import make
from mos_agents.policies.market_making import quotes_by_stock
from mos_agents.rollout import rollout

DEMAND, SUPPLY = (12.0, 1.0), (-10.0, 1.0)
"""Buyers come at the rate 12 - ask and sellers at bid - 10: FACTS' case, at prices 10 higher."""
MARKETS, TICKS, WARM, DT = 1000, 3000, 1000, 0.01


def dealer(stock: float = 0.0, limit: float = np.inf, expected: bool = False) -> Any:
    """One maker at a reference price of 10; two buyers and two sellers come per unit of time."""
    layout = Layout.dense(["maker"], ["apples"], ["maker"], "within")
    one = np.ones(1)
    return make_market(
        layout,
        Catalogue(0.0 * one, 10.0 * one, 0.0 * one, stock * one),
        ReservationPrices(1.0, 1.2, 1.0, 1.2, expected),
        quotes=TwoSided(tick_size=1e-9, max_spread=9.0, max_offset=5.0),
        arrivals=FixedMass(2.0 * DT, 2.0 * DT),
        positions=Ledger(limit=limit, mark="reference"),
        dt=DT,
    )


def played(market: Any, policy: Any) -> tuple[float, float]:
    """Profit per unit of time in the steady state, and its standard error over the markets."""
    run = rollout(market, {"maker": policy}, ticks=TICKS, markets=MARKETS, series=("reward",))
    earned = run.series["reward"][WARM:, :, 0].mean(axis=0) / DT
    return float(earned.mean()), float(earned.std(ddof=1) / np.sqrt(MARKETS))


def in_ticks(asks: Any, bids: Any) -> float:
    """Profit per unit of time of a dealer whose quotes stand for a tick: an exact Markov chain."""
    buys, sells = 2.0 * DT * (12.0 - asks) / 2.0, 2.0 * DT * (bids - 10.0) / 2.0
    up, down = sells * (1.0 - buys), buys * (1.0 - sells)
    stock = np.cumprod(np.r_[1.0, up[:-1] / down[1:]])
    stock /= stock.sum()
    return float(stock @ (buys * asks - sells * bids)) / DT


@pytest.mark.parametrize(("capacity", "profit"), [(1, 0.25), (2, 0.343146), (3, None)])
def test_a_dealer_with_room_for_few_units_earns_what_amihud_and_mendelson_say(capacity, profit):
    exact = amihud_mendelson(DEMAND, SUPPLY, capacity).profit
    if profit is not None:
        assert exact == pytest.approx(profit, abs=5e-7)
    policy: Any = make("amihud_mendelson", demand=DEMAND, supply=SUPPLY, capacity=capacity)
    asks, bids = quotes_by_stock(policy)
    assert in_ticks(asks, bids) == pytest.approx(exact, rel=0.01)  # a hundred ticks a unit of time
    mean, error = played(dealer(), policy)
    assert abs(mean - in_ticks(asks, bids)) < 4.5 * error
    assert error < 0.02 * exact


def test_a_dealer_without_a_limit_quotes_the_same_at_any_stock():
    policy: Any = make("amihud_mendelson", demand=DEMAND, supply=SUPPLY, capacity=np.inf)
    asks, bids = quotes_by_stock(policy)
    assert (asks.tolist(), bids.tolist()) == ([11.5], [10.5])
    exact = amihud_mendelson(DEMAND, SUPPLY).profit
    assert exact == pytest.approx(0.5)
    # Its stock is valued at the mid price, 10, and each sale or purchase is 1.5 or -0.5 off it.
    mean, error = played(dealer(stock=10_000.0), policy)
    assert abs(mean - (0.5 * 1.5 - 0.5 * 0.5)) < 4.5 * error


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_constant_quotes_earn_less_by_the_time_spent_full_or_empty(capacity):
    exact = constant_quotes_profit(DEMAND, SUPPLY, (11.5, 10.5), capacity)
    assert exact == pytest.approx(0.5 * capacity / (capacity + 1))
    mean, error = played(dealer(limit=capacity), make("fixed_spread", spread=1.0, offset=1.0))
    assert abs(mean - exact) < 4.5 * error


def test_quotes_fall_as_the_stock_rises_and_keep_a_constant_distance():
    policy: Any = make("amihud_mendelson", demand=DEMAND, supply=SUPPLY, capacity=8)
    asks, bids = quotes_by_stock(policy)
    assert (np.diff(asks) < 0.0).all() and (np.diff(bids) < 0.0).all()
    # bid(k) and ask(k + 1) differ by D0 / 2 D1 + S0 / 2 S1, at any stock.
    np.testing.assert_allclose(asks[1:] - bids[:-1], 0.5 * 12.0 - 0.5 * 10.0, rtol=1e-9)
    assert asks[0] == 12.0 and bids[-1] == 10.0
    lots: Any = make("amihud_mendelson", demand=DEMAND, supply=SUPPLY, capacity=80, lot=10)
    assert quotes_by_stock(lots)[0].size == 9


@pytest.mark.parametrize("expected", [False, True])
def test_orders_trade_in_a_straight_line_of_the_price(expected):
    market = dealer(stock=1000.0, expected=expected)
    batch = 20_000
    state = market.start(batch)
    draws = Streams.of(0, batch).at(0)
    for ask, bid in ((10.2, 10.1), (11.5, 10.5), (12.1, 11.9), (9.0, 8.0)):
        sides = (np.full((batch, 1), v) for v in (bid, np.inf, ask, np.inf, 0.0))
        one = Arrivals(*market.arrivals.arrive(market, state, state.quotes, draws)[0])
        one = one._replace(mass=np.ones((batch, 1, 2)))
        if not expected:
            order = np.arange(2 * batch + 1, step=2)
            index = np.zeros(2 * batch, np.int64)
            sides_of = np.tile([0, 1], batch)
            ones = np.ones(2 * batch)
            one = Arrivals(one.mass, one.exposure, order, index, sides_of, ones, ones)
        done = market.execution.execute(market, state, Quotes(*sides), one, draws)
        buys, sells = np.clip([(12.0 - ask) / 2.0, (bid - 10.0) / 2.0], 0.0, 1.0)
        for found, chance in ((done.sold, buys), (done.bought, sells)):
            error = 0.0 if expected else np.sqrt(chance * (1.0 - chance) / batch)
            assert abs(found.mean() - chance) < 4.5 * error + 1e-12


def test_an_order_trades_at_its_reservation_price_and_not_beyond_it():
    market = dealer(stock=5.0)
    state = market.start(1)
    one = np.zeros(1, np.int64)
    cases = (0.25, 11.4999, True), (0.25, 11.5001, False), (0.0, 11.9999, True)
    for uniform, ask, trades in cases:
        quotes = Quotes(*(np.full((1, 1), v) for v in (9.0, np.inf, ask, np.inf, 0.0)))
        arrivals = Arrivals(
            np.array([[[1.0, 0.0]]]), np.ones((1, 1)), np.array([0, 1]), one, one, *np.ones((2, 1))
        )
        draws = FixedDraws({"choices": [uniform]})
        sold = market.execution.execute(market, state, quotes, arrivals, draws).sold
        assert sold.sum() == float(trades)


def test_reservation_prices_of_those_who_never_come_are_refused():
    market = dealer()
    for side in ("buy", "sell"):
        alone = FixedMass(**{"buy": 0.1, "sell": 0.1, side: 0.0})
        with pytest.raises(InputError, match=f"execution.{side}ers_low=1 changes nothing here"):
            market.with_parts(arrivals=alone)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (ReservationPrices, {"buyers_low": 1.3}, "buyers_low=1.3, buyers_high=1.2 must have"),
        (ReservationPrices, {"sellers_low": -0.1}, "sellers_low=-0.1"),
        ("amihud_mendelson", {"supply": (1.0,)}, "supply=(1.0,) must be two numbers"),
        ("amihud_mendelson", {"supply": (-20.0, 1.0)}, "meet at no price"),
        ("amihud_mendelson", {"capacity": 2.5}, "must be a multiple of lot"),
        ("amihud_mendelson", {"capacity": 0.5}, "capacity=0.5 must be a multiple"),
        ("amihud_mendelson", {"lot": 0.0}, "lot=0.0 must be"),
    ],
)
def test_bad_settings_are_refused_in_one_line(kind, settings, message):
    with pytest.raises(InputError) as error:
        if isinstance(kind, str):
            make(kind, **({"demand": DEMAND, "supply": SUPPLY} | settings))
        else:
            kind(**settings)
    assert message in str(error.value) and "\n" not in str(error.value)
