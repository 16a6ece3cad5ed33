"""The marketplace and the supply chain: goods and money through every level, and who may learn."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.lab import run
from mos_agents.market.types import FEE, ORDER, QUOTE, WEIGHT
from mos_agents.policies import from_config
from mos_agents.report.chain_flows import division_of, flows_of, wars_of
from mos_agents.report.data import Data
from mos_agents.rollout import play, rollout

LEARNER = {"relative_to": "money", "features": "nothing", "scope": "firm"}
LEARNING = {
    "platform": {
        "kind": "by_venue",
        "policies": {
            "retail.fees": {
                "kind": "bandit_epsilon_greedy",
                "prices": [0.0, 0.1, 0.2, 0.3],
                **LEARNER,
            },
            "retail.weights": {"kind": "fixed_weights", "weights": 1.0},
        },
    },
    "firm": {
        "kind": "by_venue",
        "policies": {
            "wholesale.orders": {"kind": "exp3", "prices": [4.0, 8.0, 12.0], **LEARNER}
            | {"reward_low": -500.0, "reward_high": 500.0},
            "retail": {
                "kind": "q_learning",
                "prices": [13.0, 15.0, 17.0],
                **LEARNER,
                "features": "cheapest",
            },
        },
    },
    "maker": {"kind": "sarsa", "prices": [2.0, 4.0, 6.0], **LEARNER},
}
"""A learner for every role: fees, quantities of orders, prices, and spreads."""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return run("marketplace", ticks=60, out=tmp_path_factory.mktemp("runs"))


def test_units_and_money_are_conserved_at_every_level_and_tick():
    """Bought from producers = change of makers' stock + sold to firms and outside; and so on."""
    scenario = scenarios.load("marketplace")
    market = scenario.market()
    layout = market.layout
    wholesale = np.char.startswith(np.array(layout.instruments)[layout.instrument], "wholesale")
    quotes, orders = layout.kind == QUOTE, layout.kind == ORDER
    held = market.start(3).positions
    cash, stock, outside = held.cash.sum(axis=1), held.inventory, held.outside_cash
    maker = np.array([layout.roles[n] == "maker" for n in layout.seller])
    owner = np.repeat(np.arange(layout.N), np.diff(layout.holding_first))
    makers = np.array([layout.roles[n] == "maker" for n in owner])
    for step in play(market, scenario.policies(), seed=4, ticks=60, markets=3):
        done, now = step.info.executions, step.state.positions
        between = done.bought[:, orders].sum(axis=1)
        bought = done.bought[:, quotes & wholesale].sum(axis=1)
        sold = done.sold[:, quotes & wholesale].sum(axis=1)
        change = (now.inventory - stock)[:, makers].sum(axis=1)
        np.testing.assert_allclose(bought - sold, change, atol=1e-9)
        assert (sold >= between - 1e-9).all() and maker[quotes & wholesale].all()
        retail = done.sold[:, quotes & ~wholesale].sum(axis=1)
        change = (now.inventory - stock)[:, ~makers].sum(axis=1)
        np.testing.assert_allclose(between - retail, change, atol=1e-9)
        np.testing.assert_allclose(
            now.cash.sum(axis=1) - cash, outside - now.outside_cash, atol=1e-8
        )
        money = (done.sold * done.sold_price)[:, quotes & ~wholesale].sum(axis=1)
        fee = step.info.quotes.ask[:, layout.kind == FEE][:, 0]
        platform = layout.roles.index("platform")
        earned = step.metrics[:, platform, 0]
        np.testing.assert_allclose(earned, fee * money, atol=1e-8)
        cash, stock, outside = now.cash.sum(axis=1), now.inventory, now.outside_cash
    assert (layout.kind == WEIGHT).sum() == 6


def test_a_learner_can_play_every_role_and_rewards_reach_it():
    changes = {f"participants.{name}.policy": policy for name, policy in LEARNING.items()}
    scenario = scenarios.load("marketplace", changes=changes)
    market, policies = scenario.market(), scenario.policies()
    assert all(policy.learns for policy in policies.values())
    one, other = (rollout(market, policies, seed=s, ticks=80, markets=4) for s in (1, 2))
    again = rollout(market, policies, seed=1, ticks=80, markets=4)
    assert one.faults == () and (one.reward != other.reward).any()
    assert one.reward.tobytes() == again.reward.tobytes()


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("maker", {"features": "all"}, "set features='own' or 'nothing'"),
        ("maker", {"scope": "listing"}, "set scope='firm'"),
        ("maker", {"relative_to": "cost"}, "set relative_to='money'"),
        ("firm", {"relative_to": "opening"}, "set relative_to='money'"),
    ],
)
def test_a_learner_of_spreads_or_quantities_that_does_not_fit_is_refused(part, changes, message):
    market = scenarios.load("marketplace").market()
    if part == "maker":
        policy, spec = LEARNING["maker"] | changes, market.spec("maker_1")
    else:
        orders = LEARNING["firm"]["policies"]["wholesale.orders"]
        policy = orders | changes
        spec = next(p.spec for p in market.spec("firm_1").parts if p.name == "wholesale.orders")
    with pytest.raises(ValueError, match=message):
        from_config(policy).start(spec, 1)


def test_outside_order_flow_trades_beside_the_firms_orders(played):
    data = Data.of(played.run)
    wholesale, retail = flows_of(data)
    assert wholesale.sold_outside.units.sum() > 100.0 < wholesale.between.units.sum()
    assert wholesale.bought_outside.units.sum() > 100.0
    assert not retail.between.units.any() and not retail.bought_outside.units.any()


def test_the_last_price_is_divided_among_producers_makers_firms_and_fees(played):
    data = Data.of(played.run)
    parts = {part.name: part.money for part in division_of(data)}
    assert list(parts) == ["producers", "makers", "firms", "fees"]
    price = flows_of(data)[-1].sold_outside.price
    assert sum(parts.values()) == pytest.approx(price)
    assert parts["fees"] == pytest.approx(0.1 * price)
    assert parts["producers"] == pytest.approx(flows_of(data)[0].bought_outside.price)


def test_the_page_of_a_run_draws_the_chain(played):
    page = played.report.read_text()
    for name in ("division", "prices", "stocks", "fees", "prominence"):
        assert f'id="{name}"' in page
    assert "that shoppers paid for a unit, producers received" in played.summary.text()
    text = " ".join(played.summary.text().split())
    assert "Price wars in this market" in text
    assert "In a tick shoppers gained a surplus of" in text


def test_a_cut_of_two_sellers_is_a_war_at_its_own_level(played):
    data = Data.of(played.run)
    instrument = data.instruments.index("retail.good_1")
    rows = np.flatnonzero((data.instrument == instrument) & (data.kinds == QUOTE))
    data.listings["ask"][:, :, rows] = 15.0
    data.listings["ask"][30:40, :, rows] = 11.0
    wars = wars_of(data, instrument)
    assert wars is not None and wars.onset.tolist() == [30]
    other = data.instruments.index("retail.good_2")
    assert wars_of(data, other).onset.tolist() != [30]
