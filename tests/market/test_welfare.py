"""Consumer surplus: the log-sum, the integral, and where there is none."""

from dataclasses import replace

import numpy as np
import pytest

import mos_agents
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.execution import Expected
from mos_agents.market.prominence import ShowCheapest, ShowEverything, ShowFixed
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.market.welfare import consumer_surplus
from mos_agents.scenarios.changes import override
from tests.games.worlds import logit

MU = 0.25


def surplus(market, prices):
    """The consumer surplus of one tick at these prices."""
    state = market.start(1)
    actions = np.asarray(prices, np.float64).reshape(1, -1, 1)
    return consumer_surplus(market, state, tick(market, state, actions, Streams.of(0, 1).at(0)))


def shows(rule, n=2):
    made = logit(n)
    return made.with_parts(execution=replace(made.execution, prominence=rule))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_logit_surplus_at_nash_prices_is_the_log_sum(n):
    """Exact figures for quality 2, cost 1, mu .25 and an outside good of 0."""
    nash = {2: 1.4729266646604, 3: 1.3701634, 4: 1.3314612}[n]
    known = {2: 0.71510, 3: 0.91111, 4: 1.01939}[n]
    assert surplus(logit(n), [nash] * n)[0] == pytest.approx(known, abs=2e-5)


@pytest.mark.parametrize(("shown", "known"), [(1, 1.004537), (2, 1.175566)])
def test_with_prices_at_cost_it_is_that_of_the_offers_shown(shown, known):
    market = shows(ShowCheapest(shown=shown), 3)
    assert surplus(market, [1.0, 1.0, 1.0])[0] == pytest.approx(known, abs=1e-6)


def test_shoppers_who_search_bear_the_cost():
    cost = 0.25
    rule = ShowFixed(followers=0.75, search_cost=cost, offers=("firm_1.product",))
    follow = MU * np.log1p(np.exp((2.0 - 1.5) / MU))
    search = MU * np.log(1.0 + np.exp((2 - 1.5 - cost) / MU) + np.exp((2 - 1.7 - cost) / MU))
    assert surplus(shows(rule), [1.5, 1.7])[0] == pytest.approx(0.75 * follow + 0.25 * search)
    everything = shows(ShowEverything(followers=0.0, search_cost=cost))
    assert surplus(everything, [1.5, 1.7])[0] == pytest.approx(search)


def test_a_boost_draws_attention_and_is_no_gain():
    prices, boost = [1.5, 1.7], 0.1
    found = surplus(shows(ShowCheapest(boost=boost)), prices)[0]
    plain = surplus(logit(2), prices)[0]
    assert found < plain  # choices are bent away from the best ones
    assert found == pytest.approx(plain, abs=boost**2 / MU)


def test_it_falls_by_the_quantity_as_prices_rise():
    """Roy's identity, at any demand model that has a surplus."""
    for demand in (
        Logit(0.0, 1.0, 1.0, relative=False, scale=MU),
        Logit(0.0, 1.0, 1.0, relative=False, scale=MU, nesting=0.4),
        Logit(0.5, 1.5, 0.3, relative=True, nesting=0.2),
        Linear(intercept=3.0, own=1.0, cross=0.4),
        Cheapest(choke=2.5, slope=0.2),
    ):
        market = logit(2).with_parts(execution=Expected(demand))
        h = 1e-5
        for firm in range(2):
            prices = np.array([1.5, 1.7])
            step = h * np.eye(2)[firm]
            slope = (surplus(market, prices + step) - surplus(market, prices - step)) / (2 * h)
            state = market.start(1)
            actions = prices.reshape(1, 2, 1)
            sold = tick(market, state, actions, Streams.of(0, 1).at(0)).info.executions.sold
            assert -slope[0] == pytest.approx(sold[0, firm], abs=1e-6), demand


@pytest.mark.parametrize("demand", [Elasticity(), Cheapest(), Logit(price_coefficient=0.0)])
def test_where_there_is_none_it_is_absent_and_not_zero(demand):
    market = logit(2).with_parts(execution=Expected(demand))
    assert surplus(market, [1.5, 1.7]) is None


def test_where_stock_runs_out_nobody_knows_it():
    made = logit(2)
    market = made.with_parts(catalogue=replace(made.catalogue, stock=np.array([0.1, np.inf])))
    assert np.isnan(surplus(market, [1.5, 1.7])[0])


def test_a_platforms_fee_and_what_it_leaves_to_sellers_and_shoppers():
    """At f = .2 and two sellers: static Nash prices, and full collusion, where the fee is 4/15."""
    market = mos_agents.load("commission_game").market()
    known = {1.693312: (0.295357, 0.154650, 0.514180), 2.0: (4.0 / 15.0, None, None)}
    for price, (fee, seller, shoppers) in known.items():
        state = market.start(1)
        actions = np.full((1, 2, 1), price)
        step = tick(market, state, actions, Streams.of(0, 1).at(0))
        assert step.reward[0, 0] == pytest.approx(fee, abs=2e-6)
        if seller is not None:
            assert step.reward[0, 1:] == pytest.approx(seller, abs=2e-6)
            assert consumer_surplus(market, state, step)[0] == pytest.approx(shoppers, abs=2e-6)


def test_a_platform_without_offers_is_named_and_sells_nothing():
    market = mos_agents.load("commission_game").market()
    assert market.layout.participants[0] == "platform"
    assert market.specs[0].action_shape == (0, 1)
    scenario = mos_agents.load("commission_game")
    with pytest.raises(InputError, match="only a platform lives on fees"):
        override(scenario, ["participants.firm.sells=false"])
