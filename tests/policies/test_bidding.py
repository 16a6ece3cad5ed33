"""Bids against the theory of auctions."""

import numpy as np
import pytest

import mos_agents
from mos_agents.policies import make
from mos_agents.rollout import rollout
from tests.policies.markets import auction, seen


def bid(policy, value, spec):
    action, _ = policy.act(spec, seen(spec, cost=value), policy.start(spec, 1), None)
    return float(action[0, 0, 0])


def test_shading_counts_the_bidders_of_the_market():
    assert bid(make("shaded"), 0.9, auction(3).specs[0]) == pytest.approx(0.6)
    assert bid(make("shaded"), 0.9, auction(2).specs[0]) == pytest.approx(0.45)
    assert bid(make("shaded", bidders=10), 0.9, auction(2).specs[0]) == pytest.approx(0.81)
    assert bid(make("shaded"), 0.9, auction(1).specs[0]) == 0.0
    assert bid(make("truthful"), 0.9, auction(3).specs[0]) == 0.9


def test_shading_to_a_reserve():
    """n = 2, r = .5, v = .8: .4 + .25 / 1.6; at the reserve it bids the reserve itself."""
    spec, policy = auction(2).specs[0], make("shaded", reserve=0.5)
    assert bid(policy, 0.8, spec) == pytest.approx(0.4 + 0.25 / 1.6)
    assert bid(policy, 0.5, spec) == pytest.approx(0.5)
    assert bid(policy, 0.3, spec) == pytest.approx(0.3)


def test_the_reserve_is_that_of_the_market_unless_it_is_given():
    spec = auction(2, reserve=0.5).specs[0]
    assert spec.reserve == 0.5 and auction(2).specs[0].reserve == 0.0
    assert bid(make("shaded"), 0.8, spec) == pytest.approx(0.4 + 0.25 / 1.6)
    assert bid(make("shaded", reserve=0.0), 0.8, spec) == pytest.approx(0.4)


def test_the_auction_preset_with_a_reserve_raises_the_equilibriums_revenue():
    """Three values uniform on [0, 1], reserve r = .5: revenue is the mean of the highest virtual
    value 2v - 1 where v >= r, that is int_r^1 (2v - 1) 3 v^2 dv = .53125."""
    market = mos_agents.auction(execution__reserve=0.5)
    policies = dict.fromkeys(market.layout.participants, make("shaded"))
    run = rollout(market, policies, ticks=21, markets=2000, series=("bought", "bid"))
    revenue = (run.series["bought"][1:] * run.series["bid"][1:]).sum(axis=2)
    error = revenue.mean(axis=0).std(ddof=1) / np.sqrt(2000)
    assert revenue.mean() == pytest.approx(0.53125, abs=4.0 * error)
    assert 4.0 * error < 0.01


@pytest.mark.parametrize("n, reserve", [(2, 0.0), (3, 0.0), (3, 0.4), (6, 0.2)])
def test_a_shaded_bid_is_the_best_reply_to_shaded_bids(n, reserve):
    """Gain (v - b) P(all others bid less), over all bids b, when the others follow the policy."""
    spec, policy = auction(n).specs[0], make("shaded", reserve=reserve)
    values = np.linspace(0.0, 1.0, 4001)
    observation = np.repeat(seen(spec), values.size, axis=0)
    observation[:, spec.where["cost"]] = values[:, None]
    bids = policy.decide(spec, observation)[:, 0, 0]
    for value in (0.45, 0.7, 0.95):
        own = bid(policy, value, spec)
        offers = np.linspace(reserve, value, 2001)
        wins = np.interp(offers, bids, values) ** (n - 1)
        best = ((value - offers) * wins).max()
        mine = (value - own) * np.interp(own, bids, values) ** (n - 1)
        assert mine == pytest.approx(best, rel=1e-3)


def test_first_and_second_price_auctions_raise_the_same_revenue():
    """Uniform values, three bidders: (n - 1) / (n + 1) = 1/2 either way, and 2/3 x 3/4 = 1/2."""
    paid = {}
    for price, kind in (("first", "shaded"), ("second", "truthful")):
        market = auction(3, price)
        policies = dict.fromkeys(market.layout.participants, make(kind))
        run = rollout(market, policies, ticks=21, markets=2000, series=("bought", "bid", "reward"))
        later = run.series["bought"][1:]  # values are drawn from the second tick on
        bids = run.series["bid"][1:]
        ranked = np.sort(bids, axis=2)
        paid[price] = ranked[..., -1 if price == "first" else -2].mean()
        assert (later.sum(axis=2) == 1.0).all()
        # The winner keeps the rest of the highest value, 3/4 on average.
        gain = run.series["reward"][1:].sum(axis=2).mean()
        assert gain == pytest.approx(0.75 - 0.5, abs=0.005)
    assert paid["first"] == pytest.approx(0.5, abs=0.005)
    assert paid["second"] == pytest.approx(0.5, abs=0.005)
