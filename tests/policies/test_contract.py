"""What every registered policy keeps: shapes, limits, bits, and the propensity it states."""

import numpy as np
import pytest
from scipy import integrate, stats

from mos_agents.learners import LEARNERS
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Expected
from mos_agents.market.prominence import ShowSponsored, ShowSteered
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from mos_agents.market.venues.build import venue_market
from mos_agents.market.venues.fees import SetByPlatform
from mos_agents.market.venues.venue import Venue
from mos_agents.policies import POLICIES, make
from mos_agents.rollout import transitions
from mos_agents.testing import PolicySuite
from tests.market.venue_worlds import priced
from tests.policies.markets import auction, dealers, shop

SHOP, DEALERS, AUCTION = shop(), dealers(assets=2, ticks=30), auction()
BUYERS = venue_market(
    ("buyer_1", "buyer_2", "seller"),
    ("firm",) * 3,
    [Venue("wholesale", ("apples", "pears"), ("seller",), ("buyer_1", "buyer_2"))],
    priced(1.5, 1.0, 200.0),
)
TRADERS = venue_market(
    ("one", "two"),
    ("firm",) * 2,
    [Venue("wholesale", ("apples", "pears"), ("one", "two"), ("one", "two"))],
    priced(1.5, 1.0, 200.0),
)
RUN = venue_market(
    ("platform", "seller", "rival"),
    ("platform", "firm", "firm"),
    [
        Venue(
            "shop",
            ("apples",),
            ("seller", "rival"),
            arrivals=FixedMass(10.0),
            execution=Expected(Logit()),
            fees=SetByPlatform(highest_fee=0.6),
        )
    ],
    priced(1.5, 1.0, 200.0),
)
STEERED = venue_market(
    ("platform", "seller", "rival"),
    ("platform", "firm", "firm"),
    [
        Venue(
            "shop",
            ("apples", "pears"),
            ("seller", "rival"),
            arrivals=FixedMass(10.0),
            execution=Expected(Logit(), ShowSteered()),
        )
    ],
    priced(1.5, 1.0, 200.0),
)
SPONSORED = venue_market(
    ("seller", "rival"),
    ("firm", "firm"),
    [
        Venue(
            "shop",
            ("apples", "pears"),
            ("seller", "rival"),
            arrivals=FixedMass(10.0),
            execution=Expected(Logit(), ShowSponsored()),
        )
    ],
    priced(1.5, 1.0, 200.0),
)
EXPLORING = {"kind": "epsilon_greedy", "epsilon": 0.3}

CASES = {
    "hold": (SHOP, {}),
    "fixed_price": (SHOP, {"price": (12.0, 17.0)}),
    "cost_plus": (SHOP, {}),
    "static_markup": (SHOP, {}),
    "static_markup over the reference": (SHOP, {"over": "reference"}),
    "reactive": (SHOP, {}),
    "undercut": (SHOP, {}),
    "match_cheapest": (SHOP, {}),
    "random_walk": (SHOP, {"volatility": 0.3, "drift": 0.01}),
    "mean_reverting": (SHOP, {"volatility": 0.5}),
    "random_walk with sizes": (shop(sized=True), {}),
    "uniform": (SHOP, {}),
    "uniform on a grid": (SHOP, {"levels": 4}),
    "uniform of a dealer": (DEALERS, {"low": (-1.0, 0.1), "high": (1.0, 2.0)}),
    "epsilon_greedy": (SHOP, {"policy": {"kind": "mean_reverting"}}),
    "epsilon_greedy on a grid": (
        SHOP,
        {
            "policy": {"kind": "fixed_price", "price": 15.0},
            "epsilon": 0.4,
            "levels": 3,
            "low": 10.0,
            "high": 20.0,
        },
    ),
    "epsilon_greedy around a fixed price": (
        SHOP,
        {"policy": {"kind": "hold"}, "epsilon": 0.4, "low": 0.8, "high": 1.2, "relative": True},
    ),
    "epsilon_greedy within epsilon_greedy": (
        SHOP,
        {
            "policy": {
                **EXPLORING,
                "policy": {"kind": "hold"},
                "levels": 2,
                "low": 10.0,
                "high": 20,
            },
            "levels": 2,
            "low": 12.0,
            "high": 18.0,
            "epsilon": 0.4,
        },
    ),
    "fixed_spread": (DEALERS, {"spread": 1.5}),
    "avellaneda_stoikov": (DEALERS, {}),
    "glft": (DEALERS, {}),
    "amihud_mendelson": (DEALERS, {"demand": (202.0, 2.0), "supply": (-198.0, 2.0)}),
    "truthful": (AUCTION, {}),
    "shaded": (AUCTION, {"reserve": 0.2}),
    "random_bid": (AUCTION, {"low": 0.2, "high": 0.9}),
    "fixed_order": (BUYERS, {"units": (2.0, 3.0)}),
    "base_stock": (BUYERS, {"limit": 1.9}),
    "reorder_point": (BUYERS, {"point": 2.0}),
    "fixed_fee": (RUN, {"fee": 0.2}),
    "best_fee": (RUN, {}),
    "static_nash": (SHOP, {"utility": 15.0, "cost": 9.0, "scale": 2.0}),
    "fixed_weights": (STEERED, {"weights": (0.2, 1.0, 0.0, 0.5)}),
    "by_venue with a fixed_placement": (  # a seller has quotes as well
        SPONSORED,
        {
            "policies": {
                "shop": {"kind": "cost_plus"},
                "shop.places": {"kind": "fixed_placement", "bid": 0.2},
            },
        },
    ),
    "by_venue": (
        TRADERS,
        {
            "policies": {
                "wholesale": {"kind": "mean_reverting", "volatility": 0.5},
                "wholesale.orders": {"kind": "fixed_order", "units": 3.0},
            }
        },
    ),
}


def tried(cases):
    """The kinds of policies that cases are named after."""
    return {word for case in cases for word in case.split() if word in POLICIES}


def made(case):
    market, parameters = CASES[case]
    return market, make(case.split()[0], **parameters)


def everybody(market, policy):
    return dict.fromkeys(market.layout.participants, policy) | others(market)


def others(market):
    """Who sells to the buyers, or in the venue of a platform."""
    if market in (RUN, STEERED):
        return dict.fromkeys(("seller", "rival"), make("hold"))
    return {"seller": make("hold")} if market is BUYERS else {}


def a_transition(case, markets=5, ticks=8):
    market, policy = made(case)
    *_, last = transitions(market, everybody(market, policy), seed=3, ticks=ticks, markets=markets)
    return market, policy, last


def repeated(case, rows):
    """Many markets that see the same: the policy, its spec, observation, memory and actions."""
    market, policy, transition = a_transition(case, markets=1)
    spec = market.specs[1]
    observation = np.repeat(spec.own(transition.observation), rows, axis=0)
    memory = policy.start(spec, rows)
    draws = Streams.of(9, rows, owner="someone").at(0)
    action, _ = policy.act(spec, observation, memory, draws)
    return policy, spec, observation, memory, action


def test_every_registered_policy_is_under_this_contract():
    learners = {*LEARNERS, "greedy", "network"}  # theirs are kept in tests/learners
    assert tried(CASES) == set(POLICIES) - learners


@pytest.mark.parametrize("case", CASES)
class TestEveryPolicy(PolicySuite):
    @pytest.fixture(autouse=True)
    def _case(self, case):
        market, policy = made(case)
        self.make, self.market = lambda: policy, lambda: market
        self.others = lambda: others(market)


DENSE = {
    "random_walk": (shop(products=1), {"volatility": 0.3}),
    "a walk cut off at the limits": (shop(products=1), {"volatility": 2.0}),
    "mean_reverting": (shop(products=1), {"volatility": 0.1, "reversion": 0.5}),
    "uniform": (shop(products=1), {"low": 12.0}),
    "random_bid": (AUCTION, {"low": 0.2, "high": 0.9}),
    "epsilon_greedy": (
        shop(products=1),
        {
            "policy": {"kind": "random_walk", "volatility": 0.1},
            "low": 0.5,
            "high": 1.5,
            "relative": True,
            "epsilon": 0.5,
        },
    ),
}


@pytest.mark.parametrize("case", DENSE)
def test_a_stated_density_integrates_to_one_and_is_the_law_of_the_action(case):
    market, parameters = DENSE[case]
    policy = make({"a walk cut off at the limits": "random_walk"}.get(case, case), **parameters)
    *_, transition = transitions(market, everybody(market, policy), seed=3, ticks=8)
    spec, rows = market.specs[1], 4000
    own = spec.own(transition.observation)
    # Midpoints of cells: no cell edge falls on a jump of the density for longer than one cell.
    edges = np.linspace(spec.low[0, 0], spec.high[0, 0], 200_001)
    points = 0.5 * (edges[1:] + edges[:-1])
    density = policy.propensity(
        spec, np.repeat(own, points.size, axis=0), points[:, None, None], None
    )
    law = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    assert law[-1] == pytest.approx(1.0, abs=1e-3)
    memory, many = policy.start(spec, rows), np.repeat(own, rows, axis=0)
    action, _ = policy.act(spec, many, memory, Streams.of(4, rows, owner="x").at(0))
    found = stats.kstest(action[:, 0, 0], lambda p: np.interp(p, edges, law))
    assert found.pvalue > 1e-3


def test_the_density_over_two_listings_integrates_to_one():
    market, policy = shop(products=2), make("random_walk", volatility=0.2)
    *_, transition = transitions(market, everybody(market, policy), seed=3, ticks=4)
    spec = market.specs[0]
    points = np.linspace(5.0, 40.0, 401)
    grid = np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1).reshape(-1, 2, 1)
    own = np.repeat(spec.own(transition.observation), len(grid), axis=0)
    density = policy.propensity(spec, own, grid, None).reshape(401, 401)
    total = integrate.simpson(integrate.simpson(density, points), points)
    assert total == pytest.approx(1.0, abs=1e-4)


def test_an_atom_amid_a_density_has_its_probability():
    """Hold with probability .6; with .4 uniform on [12, 18]^2: the square has density .4/36."""
    policy, spec, observation, memory, action = repeated(
        "epsilon_greedy around a fixed price", 4000
    )
    held = (action == 15.0).all(axis=(1, 2))
    assert held.mean() == pytest.approx(0.6, abs=0.03)
    stated = policy.propensity(spec, observation, action, memory)
    assert stated[held] == pytest.approx(0.6)
    assert stated[~held] == pytest.approx(0.4 / 36.0)


@pytest.mark.parametrize(
    "kind, parameters, message",
    [
        ("hald", {}, "did you mean 'hold'"),
        ("glft", {"gama": 1.0}, "glft.gama=1.0 is not a parameter, did you mean 'gamma'"),
        ("fixed_price", {}, "fixed_price.price is missing"),
        ("fixed_price", {"price": "dear"}, "fixed_price.price='dear'"),
        ("fixed_price", {"price": [1.0, float("nan")]}, "fixed_price.price"),
        ("undercut", {"share": 2}, r"undercut.share=2 must be a number in \[0, 1\]"),
        ("undercut", {"share": True}, "undercut.share=True"),
        ("random_walk", {"volatility": 0.0}, "random_walk.volatility=0.0"),
        ("static_markup", {"over": "luck"}, "must be 'cost' or 'reference'"),
        ("glft", {"rate": 0.0}, "glft.rate=0.0 must be > 0"),
        ("shaded", {"bidders": 0}, "shaded.bidders=0"),
        ("random_bid", {"low": 1.0}, "must be below high"),
        ("uniform", {"levels": 1}, "uniform.levels=1"),
        ("uniform", {"low": "cheap"}, "uniform.low='cheap'"),
        ("epsilon_greedy", {"policy": 3}, "must be a policy or"),
        ("epsilon_greedy", {"policy": {"price": 3}}, "must name its kind"),
        ("epsilon_greedy", {"policy": {"kind": "hold"}, "epsilon": 1.5}, "epsilon=1.5"),
    ],
)
def test_a_wrong_name_or_parameter_is_told_in_one_line(kind, parameters, message):
    with pytest.raises(InputError, match=message) as error:
        make(kind, **parameters)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "market, kind, parameters, message",
    [
        (
            DEALERS,
            "hold",
            {},
            "decides the price, but this participant's actions are offset/spread",
        ),
        (SHOP, "glft", {}, "decides the offset"),
        (SHOP, "truthful", {}, "decides the bid"),
        (SHOP, "fixed_price", {"price": (1.0, 2.0, 3.0)}, "has 3 numbers, but firm_1 has 2"),
        (SHOP, "uniform", {"low": 50.0}, "leave no action"),
        (SHOP, "uniform", {"low": (5.0, 6.0)}, "one number or one for each of price"),
    ],
)
def test_a_policy_for_another_participant_is_told_before_the_first_tick(
    market, kind, parameters, message
):
    with pytest.raises(InputError, match=message):
        make(kind, **parameters).start(market.specs[0], 1)
