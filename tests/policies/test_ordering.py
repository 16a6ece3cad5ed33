"""Orders by hand: what each rule wants at a stock, and what its participant must see."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.market.types import InputError
from mos_agents.policies import make
from tests.market.venue_worlds import chain

MARKET = chain()
PART = MARKET.spec("firm_1").parts[0]


def wanted(policy, *stocks):
    """Quantity and limit at each stock."""
    seen = np.zeros((len(stocks), PART.spec.size))
    seen[:, PART.spec.where["inventory"]] = np.array(stocks)[:, None]
    assert policy.start(PART.spec, len(stocks)) is None
    return policy.act(PART.spec, seen, None, None)[0][:, 0]


def test_a_base_stock_policy_orders_what_is_missing():
    orders = wanted(make("base_stock", level=10.0, limit=1.8), 0.0, 4.0, 10.0, 13.0)
    assert orders[:, 0].tolist() == [10.0, 6.0, 0.0, 0.0] and set(orders[:, 1]) == {1.8}


def test_a_reorder_point_waits_and_then_fills_up():
    orders = wanted(make("reorder_point", point=3.0, level=10.0), 0.0, 3.0, 4.0, 10.0)
    assert orders[:, 0].tolist() == [10.0, 7.0, 0.0, 0.0]
    assert set(orders[:, 1]) == {PART.spec.high[0, 1]}  # it pays any price


def test_a_fixed_order_is_the_same_at_any_stock():
    assert wanted(make("fixed_order", units=4.0), 0.0, 50.0)[:, 0].tolist() == [4.0, 4.0]


def test_an_order_is_at_most_as_large_as_the_venue_allows():
    assert wanted(make("base_stock", level=5000.0), 0.0)[0, 0] == 1000.0


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("base_stock", {"level": -1.0}, "level"),
        ("base_stock", {"limit": 100.0}, "must be in"),
        ("reorder_point", {"point": 5.0, "level": 4.0}, "must not be below point"),
        ("fixed_order", {"units": (1.0, 2.0)}, "one per listing"),
        ("by_venue", {"policies": {}}, "must be policies by the name of a venue"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(kind, settings, message):
    with pytest.raises(InputError, match=message):
        wanted(make(kind, **settings), 0.0)


def test_policies_of_orders_and_of_prices_are_not_mixed_up():
    firm, maker = MARKET.spec("firm_1"), MARKET.spec("maker")
    with pytest.raises(InputError, match="decides the quantity"):
        make("base_stock").start(maker, 1)
    with pytest.raises(InputError, match="decides the price"):
        make("hold").start(firm.parts[0].spec, 1)
    with pytest.raises(InputError, match="give this one the policy itself"):
        make("by_venue", policies={"wholesale": {"kind": "hold"}}).start(maker, 1)
