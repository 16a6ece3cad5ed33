"""Sellers' rules of thumb, worked by hand."""

import numpy as np
import pytest

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Expected
from mos_agents.market.observations import MarketView
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals, Shock
from mos_agents.market.types import InputError, Layout
from mos_agents.policies import make
from mos_agents.rollout import rollout
from tests.policies.markets import dealers, seen, shop

SPEC = shop(sellers=3, products=1).specs[0]


def price(policy, spec=SPEC, **fields):
    """What the policy asks, upon own price 10, cost 5 and reference 10 unless told otherwise."""
    observation = seen(spec, **{"own_ask": 10.0, "cost": 5.0, "reference": 10.0, **fields})
    action, _ = policy.act(spec, observation, policy.start(spec, 1), None)
    return action[0, :, 0].tolist()


def test_marks_are_on_cost_unless_the_reference_is_named():
    assert price(make("cost_plus", margin=0.4, amount=1.0)) == [pytest.approx(8.0)]
    assert price(make("static_markup"), cost=8.0) == [pytest.approx(8.8)]
    assert price(make("static_markup", over="reference")) == [pytest.approx(11.0)]
    assert price(make("fixed_price", price=12.5)) == [12.5]
    assert price(make("hold"), own_ask=11.0) == [15.0]  # the catalogue's, not where it stands


def test_the_reactive_rival_goes_three_tenths_of_the_way_to_the_cheapest():
    assert price(make("reactive"), rival_ask=(9.5, 9.0)) == [pytest.approx(10 - 0.3 * 1.0)]
    assert price(make("reactive"), rival_ask=(10.5, 11.0)) == [pytest.approx(10 + 0.3 * 0.5)]


def test_the_reactive_rival_stays_within_a_tenth_of_the_reference():
    assert price(make("reactive"), rival_ask=20.0) == [pytest.approx(11.0)]
    assert price(make("reactive"), rival_ask=8.6, own_ask=9.2) == [pytest.approx(9.02)]
    assert price(make("reactive"), rival_ask=8.6, own_ask=8.8) == [pytest.approx(9.0)]


def test_undercut_by_more_than_a_trigger_the_reactive_rival_starts_a_war():
    at_the_trigger, beyond = (
        price(make("reactive"), rival_ask=8.5),
        price(make("reactive"), rival_ask=(12.0, 8.49)),
    )
    assert at_the_trigger == [pytest.approx(9.55)]
    assert beyond == [pytest.approx(0.8 * 8.49)]
    # What counts is its own price, not the reference: 9 undercuts 12 by a quarter.
    assert price(make("reactive"), own_ask=12.0, rival_ask=9.0) == [pytest.approx(7.2)]


def test_undercutting_leaves_the_floor_alone():
    assert price(make("undercut", share=0.1), rival_ask=(9.0, 8.0)) == [pytest.approx(7.2)]
    assert price(make("undercut", share=0.0, amount=0.5), rival_ask=9.0) == [pytest.approx(8.5)]
    assert price(make("undercut"), rival_ask=5.0) == [pytest.approx(5.25)]
    assert price(make("undercut", floor=0.2), rival_ask=5.0) == [pytest.approx(6.0)]
    assert price(make("match_cheapest"), rival_ask=(9.0, 8.0)) == [8.0]
    assert price(make("match_cheapest"), rival_ask=2.0) == [5.25]  # the limits are lower: 5.0


@pytest.mark.parametrize("kind", ["undercut", "match_cheapest", "reactive"])
def test_a_rival_without_an_open_quote_is_not_followed(kind):
    policy = make(kind)
    withdrawn = price(policy, rival_ask=(6.0, 9.5), rival_open=(0.0, 1.0))
    assert withdrawn == price(policy, rival_ask=9.5)
    assert price(policy, rival_ask=6.0, rival_open=0.0) == [10.0]  # alone: own = reference here


@pytest.mark.parametrize("kind", ["undercut", "match_cheapest", "reactive"])
def test_a_monopolist_and_one_who_sees_no_tape_ask_the_reference(kind):
    hidden = shop(products=1, observations=MarketView(show_rivals=False)).specs[0]
    assert price(make(kind), hidden) == [10.0]
    assert price(make(kind), shop(sellers=1, products=1).specs[0]) == [10.0]


def test_each_product_is_compared_with_the_same_product_only():
    spec = shop(sellers=3, products=2).specs[1]
    # Rivals' quotes run firm_1.p0, firm_1.p1, firm_3.p0, firm_3.p1.
    asked = price(make("match_cheapest"), spec, rival_ask=(9.0, 7.0, 8.5, 7.5))
    assert asked == [8.5, 7.0]


def across(sellers=(0, 1, 1, 2), instruments=(0, 0, 1, 2)):
    """Differentiated products: who offers what, in one choice."""
    names = [f"firm_{i}" for i in range(max(sellers) + 1)]
    layout = Layout(
        tuple(names),
        ("firm",) * len(names),
        ("x", "y", "z"),
        np.array(sellers),
        np.array(instruments),
        "across",
    )
    n = layout.L
    catalogue = Catalogue(np.full(n, 5.0), np.full(n, 10.0), np.zeros(n), np.full(n, np.inf))
    return make_market(
        layout,
        catalogue,
        Expected(Logit(choice="across")),
        arrivals=FixedMass(1.0),
        quotes=PostedPrice(low=1.0, high=40.0),
    )


def test_a_product_that_nobody_else_offers_is_compared_with_all_others():
    first, second, third = across().specs
    # firm_0 offers x, firm_1 x and y, firm_2 z.
    assert price(make("match_cheapest"), first, rival_ask=(9.0, 6.0, 7.0)) == [9.0]
    assert price(make("match_cheapest"), second, rival_ask=(9.0, 7.0)) == [9.0, 7.0]
    assert price(make("match_cheapest"), third, rival_ask=(9.0, 8.0, 7.0)) == [7.0]


def test_a_rule_that_needs_the_cost_is_refused_where_costs_are_hidden():
    blind = shop(observations=MarketView(show_cost=False)).specs[0]
    with pytest.raises(InputError, match="cost_plus needs 'cost', which is not observed here"):
        make("cost_plus").start(blind, 1)
    make("undercut").start(blind, 1)  # it has a floor only where it knows the cost


def test_a_cost_shock_is_passed_on_by_a_markup_and_not_by_a_held_price():
    market = shop(2, 1, reference=Fundamentals(cost=Shock(at=3, factor=1.1)))
    policies = {"firm_1": make("static_markup", markup=0.5), "firm_2": make("hold")}
    run = rollout(market, policies, ticks=6, series=("ask", "cost"))
    asks, costs = run.series["ask"][:, 0], run.series["cost"][:, 0]
    assert asks[:, 0] == pytest.approx(1.5 * costs[:, 0])  # costs at which the tick traded
    assert asks[:, 0] == pytest.approx([15, 15, 15, 16.5, 16.5, 16.5])
    assert (asks[:, 1] == 15.0).all()


def test_undercutters_run_down_to_their_floor_and_a_war_ends_there():
    policies = dict.fromkeys(("firm_1", "firm_2"), make("undercut", share=0.05))
    asks = rollout(shop(2, 1, reference=Fundamentals()), policies, ticks=30, series=("ask",))
    path = asks.series["ask"][:, 0, 0]
    assert (np.diff(path) <= 0.0).all()
    assert path[-1] == pytest.approx(10.5)


def test_a_mean_reverting_price_has_the_variance_of_its_stationary_law():
    """log p is an autoregression with coefficient .9: variance .02^2 / (1 - .81)."""
    policy = make("mean_reverting")
    run = rollout(
        shop(1, 1, reference=Fundamentals()),
        {"firm_1": policy},
        ticks=100,
        markets=4000,
        series=("ask",),
    )
    logs = np.log(run.series["ask"][-1, :, 0] / 15.0)
    wanted = 0.02**2 / (1.0 - 0.9**2)
    assert logs.var() == pytest.approx(wanted, rel=0.1)
    assert abs(logs.mean()) < 4.0 * np.sqrt(wanted / 4000)


@pytest.mark.parametrize(
    ("market", "kind", "message", "line"),
    [
        (shop, "fixed_price", {"price": 4.0}, r"fixed_price.price=4 must be in \[5, 40\]"),
        (shop, "fixed_price", {"price": 5000.0}, "the prices allowed for p"),
        (dealers, "fixed_spread", {"spread": 50.0}, "fixed_spread.spread=50 must be in"),
        (dealers, "fixed_spread", {"spread": 0.0}, "the spreads allowed for"),
        (dealers, "fixed_spread", {"offset": 99.0}, "the offsets allowed for"),
    ],
)
def test_a_sum_of_money_that_could_never_be_quoted_is_refused_and_not_cut(
    market, kind, message, line
):
    with pytest.raises(InputError, match=line):
        make(kind, **message).start(market().specs[0], 1)
