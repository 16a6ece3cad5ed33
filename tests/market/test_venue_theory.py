"""Stocks in a chain against exact results: base stock, delayed delivery, the order of venues.

Numbers are stationary means. Each is compared with a Markov chain that is solved here, and with the
value that was computed by an independent program.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mos_agents.market.arrivals import FixedMass, Poisson
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.demand import Cheapest
from mos_agents.market.execution import Sampled
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import TwoSided
from mos_agents.market.venues.build import venue_market
from mos_agents.market.venues.venue import Venue
from mos_agents.policies import make
from mos_agents.rollout import rollout
from tests.market.venue_worlds import priced

MARKETS, TICKS, WARM = 400, 120, 20


def firm_that_orders(level, delivery):
    """A firm that orders up to a level from a maker and sells to Poisson customers."""
    venues = (
        Venue(
            "wholesale",
            ("apples",),
            ("maker",),
            ("firm",),
            TwoSided(tick_size=0.01, max_spread=1.0),
            delivery=delivery,
        ),
        Venue(
            "retail",
            ("apples",),
            ("firm",),
            arrivals=Poisson(3.0),
            execution=Sampled(Cheapest()),
        ),
    )
    market = venue_market(
        ("maker", "firm"),
        ("maker", "firm"),
        venues,
        {"wholesale": priced(1.5, 1.0, np.inf), "retail": priced(2.0, 1.5, 0.0)},
    )
    firm = make(
        "by_venue",
        policies={
            "wholesale.orders": {"kind": "base_stock", "level": level},
            "retail": {"kind": "hold"},
        },
    )
    policies = {"maker": make("fixed_spread", spread=0.5), "firm": firm}
    return rollout(
        market, policies, ticks=TICKS, markets=MARKETS, series=("sold", "lost", "inventory")
    )


def per_market(series):
    """Mean after the first ticks, and its standard error over the markets."""
    means = series[WARM:].mean(axis=0)
    return means.mean(), means.std(ddof=1) / np.sqrt(means.size)


def mean_sales_of_delayed(level, rate):
    """x' = level - min(D, x), the stock where an order is delivered after one tick."""
    sold = np.zeros((level + 1, level + 1))
    for x in range(level + 1):
        sold[x, :x] = stats.poisson.pmf(np.arange(x), rate)
        sold[x, x] = stats.poisson.sf(x - 1, rate)
    moves = sold[:, ::-1]  # sold s leads to level - s
    values, vectors = np.linalg.eig(moves.T)
    steady = np.real(vectors[:, np.argmax(np.real(values))])
    steady /= steady.sum()
    return float(steady @ sold @ np.arange(level + 1))


def test_a_firm_that_orders_up_to_its_base_stock_sells_the_smaller_of_demand_and_stock():
    run = firm_that_orders(3.0, 0)
    mean, error = per_market(run.series["sold"][:, :, 2])
    demand = stats.poisson(3.0)
    exact = float(sum(min(d, 3) * demand.pmf(d) for d in range(60)))
    assert exact == pytest.approx(2.327875, abs=5e-7)
    assert abs(mean - exact) < 4.5 * error
    turned_away = run.series["lost"][:, :, 2] > 0.0
    chance, error = per_market(turned_away.astype(float))
    assert demand.sf(3) == pytest.approx(0.352768, abs=5e-7)
    assert abs(chance - demand.sf(3)) < 4.5 * error


def test_a_tick_of_delay_in_delivery_is_another_model():
    run = firm_that_orders(6.0, 1)
    mean, error = per_market(run.series["sold"][:, :, 2])
    exact = mean_sales_of_delayed(6, 3.0)
    assert exact == pytest.approx(2.416016, abs=5e-7)
    assert abs(mean - exact) < 4.5 * error


def dealer(order):
    """A maker that one venue sells a unit to and another buys one from, with chance 0.3 each."""
    fills = {"quotes": TwoSided(max_spread=1.0), "execution": FillIntensity(scale=1e9)}
    venues = {
        "supply": Venue("supply", ("apples",), ("maker",), arrivals=FixedMass(0.0, 0.3), **fills),
        "sales": Venue("sales", ("apples",), ("maker",), arrivals=FixedMass(0.3, 0.0), **fills),
    }
    market = venue_market(
        ("maker",),
        ("maker",),
        [venues[name] for name in order],
        priced(10.0, 0.0, 0.0),
        positions=Ledger(limit=5.0, mark="reference"),
    )
    spread = {"kind": "fixed_spread", "spread": 0.5}
    policy = make("by_venue", policies={"supply": spread, "sales": spread})
    return rollout(
        market,
        {"maker": policy},
        ticks=400,
        markets=MARKETS,
        series=("sold", "bought", "inventory"),
    )


@pytest.mark.parametrize(
    ("order", "stock"), [(("supply", "sales"), 2.368421), (("sales", "supply"), 2.631579)]
)
def test_the_order_of_the_venues_changes_stocks_and_not_flows(order, stock):
    """A birth-death chain of capacity 5: whoever buys before it sells ends a tick with less."""
    run = dealer(order)
    sold = run.series["sold"].sum(axis=2)
    mean, error = (f(sold[100:].mean(axis=0)) for f in (np.mean, np.std))
    assert abs(mean - 0.263158) < 4.5 * error / np.sqrt(MARKETS) + 1e-6
    held = run.series["inventory"][100:, :, 0].mean(axis=0)
    exact, flow = birth_death(0.3, 0.3, 5, order[0] == "supply")
    assert exact == pytest.approx(stock, abs=5e-7) and flow == pytest.approx(0.263158, abs=5e-7)
    assert abs(held.mean() - exact) < 4.5 * held.std(ddof=1) / np.sqrt(MARKETS)


def birth_death(offers, requests, capacity, buys_first):
    """Stationary mean stock at the end of a tick, and units sold a tick."""
    moves, sold = np.zeros((capacity + 1, capacity + 1)), np.zeros(capacity + 1)
    for k in range(capacity + 1):
        for offer in (0, 1):
            for request in (0, 1):
                chance = (offers if offer else 1 - offers) * (requests if request else 1 - requests)
                stock, units = k, 0
                for buys in (buys_first, not buys_first):
                    if buys:
                        stock += offer if stock < capacity else 0
                    elif request and stock > 0:
                        stock, units = stock - 1, 1
                moves[k, stock] += chance
                sold[k] += chance * units
    values, vectors = np.linalg.eig(moves.T)
    steady = np.real(vectors[:, np.argmax(np.real(values))])
    steady /= steady.sum()
    return float(steady @ np.arange(capacity + 1)), float(steady @ sold)
