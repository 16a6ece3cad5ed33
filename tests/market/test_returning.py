"""Shoppers who return, and shoppers of several types: what they pay, and what is refused."""

from typing import Any

import numpy as np
import pytest

import mos_agents
from mos_agents.market import equilibrium
from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson
from mos_agents.market.browsing import Browsing
from mos_agents.market.demand import Cheapest, Elasticity, Logit
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.returning import SHARE, ReturningShoppers
from mos_agents.market.shopper_types import ShopperTypes
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import BUY, InputError
from mos_agents.market.welfare import consumer_surplus
from tests.games.worlds import logit
from tests.market.worlds import makers, retail


def shop(of: Any = None, n: int = 2, sampled: bool = False, **settings: Any) -> Market:
    """n sellers of one product whose shoppers return."""
    market = logit(n)
    rule = Sampled if sampled else Expected
    return market.with_parts(
        arrivals=ReturningShoppers(of or FixedMass(1.0), **settings),
        execution=rule(market.execution.demand),
    )


def played(market: Market, prices: Any, seed: int = 0, batch: int = 1) -> list[Any]:
    """(state before, step) of every tick in which sellers ask these prices, a row a tick."""
    state, streams, steps = market.start(batch), Streams.of(seed, batch), []
    for t, row in enumerate(np.asarray(prices, np.float64)):
        asks = np.ascontiguousarray(np.broadcast_to(row, (batch, market.layout.L))[:, :, None])
        step = tick(market, state, asks, streams.at(t))
        steps.append((state, step))
        state = step.state
    return steps


def plain_logit(prices: Any) -> np.ndarray:
    """Shares of the logit market of Calvano et al. (2020)."""
    weights = np.exp((2.0 - np.asarray(prices)) / 0.25)
    return weights / (1.0 + weights.sum())


def random_prices(ticks: int, n: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1.2, 2.0, (ticks, n))


@pytest.mark.parametrize("asks", [2, 3, 7])
@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("stand", [True, False])
def test_a_returning_shopper_pays_the_lowest_price_that_it_was_asked(asks, share, stand):
    prices = random_prices(12)
    market = shop(share=share, asks=asks, offers_stand=stand)
    for t, (_, step) in enumerate(played(market, prices)):
        back = share if t >= asks - 1 else 0.0
        lowest = prices[t - asks + 1 : t + 1].min(axis=0) if stand and back else prices[t]
        early, late = back * plain_logit(lowest), (1.0 - share) * plain_logit(prices[t])
        done = step.info.executions
        np.testing.assert_allclose(done.sold[0], early + late, rtol=1e-12)
        revenue = early * lowest + late * prices[t]
        np.testing.assert_allclose(done.sold[0] * done.sold_price[0], revenue, rtol=1e-12)
        assert not done.lost.any()


@pytest.mark.parametrize("asks", [2, 4])
def test_sellers_count_every_ask_as_a_look(asks):
    steps = played(shop(share=0.5, asks=asks), random_prices(10))
    looks = np.array([step.info.arrivals.exposure[0, 0] for _, step in steps])
    waiting = np.minimum(np.arange(10), asks - 1)
    np.testing.assert_allclose(looks, 1.0 + 0.5 * waiting)


@pytest.mark.parametrize(
    "of",
    [FixedMass(3.0), Poisson(3.0), Poisson(2.0, mean_size=3.0), Hawkes(mu=2.0)],
    ids=lambda one: f"{type(one).__name__}{one.__dict__.get('mean_size', '')}",
)
def test_everybody_who_arrives_buys_or_leaves_once(of):
    market = shop(of, sampled=True, share=0.4, asks=3)
    alone = market.with_parts(arrivals=of)
    plain = played(alone, random_prices(8), batch=5)
    waiting = []
    for t, ((_, with_them), (_, without)) in enumerate(
        zip(played(market, random_prices(8), batch=5), plain, strict=True)
    ):
        ours, theirs = with_them.info.arrivals, without.info.arrivals
        now, begin = ours.returning[:, :, 0], ours.returning[:, :, 1]
        np.testing.assert_allclose(ours.mass[:, :, BUY] + begin, theirs.mass[:, :, BUY])
        waiting.append(begin)
        np.testing.assert_array_equal(now, waiting[t - 2] if t >= 2 else 0.0 * begin)
    assert sum(begin.sum() for begin in waiting) > 0.0


def test_sampled_shoppers_buy_as_the_expected_ones_do_on_average():
    prices = random_prices(6, seed=3)
    settings: dict[str, Any] = {"share": 0.5, "asks": 3}
    (*_, (_, mean)) = played(shop(FixedMass(10.0), **settings), prices)
    (*_, (_, drawn)) = played(shop(FixedMass(10.0), sampled=True, **settings), prices, batch=4000)
    mean, drawn = mean.info.executions, drawn.info.executions
    error = drawn.sold.std(axis=0) / np.sqrt(4000)
    assert (abs(drawn.sold.mean(axis=0) - mean.sold[0]) < 4.0 * error).all()
    revenue = drawn.sold * drawn.sold_price
    error = revenue.std(axis=0) / np.sqrt(4000)
    assert (abs(revenue.mean(axis=0) - (mean.sold * mean.sold_price)[0]) < 4.0 * error).all()


def test_scrapers_do_not_return():
    market = retail(arrivals=ReturningShoppers(Browsing(contamination=1.0), 0.9))
    steps = played(market, np.tile(market.opening_prices, (4, 1)), batch=3)
    assert all(not step.info.arrivals.returning.any() for _, step in steps)


@pytest.mark.parametrize("sampled", [True, False])
def test_stock_goes_to_those_who_return_first_and_is_never_oversold(sampled):
    rule = (Sampled if sampled else Expected)(Elasticity(base=0.9))
    arrivals = ReturningShoppers(FixedMass(40.0), 0.5, 2)
    market = retail(2, 1, stock=8.0, arrivals=arrivals, execution=rule)
    for state, step in played(market, np.tile(market.opening_prices, (12, 1)), batch=20):
        done = step.info.executions
        assert (done.sold <= state.positions.inventory + 1e-9).all()
        assert (done.sold >= done.demand - done.lost - 1e-9).all()
        assert (step.state.positions.inventory >= 0.0).all()
    assert done.lost.any()


def test_a_seller_that_withdraws_sells_to_nobody_who_returns():
    market = shop(share=1.0)
    state, streams = market.start(1), Streams.of(0, 1)
    step = tick(market, state, np.full((1, 2, 1), 1.5), streams.at(0))
    gone = step.state.quotes.ask_size.copy()
    gone[:, 0] = 0.0
    state = step.state._replace(quotes=step.state.quotes._replace(ask_size=gone))
    step = tick(market, state, np.full((1, 2, 1), np.nan), streams.at(1))
    assert step.info.executions.sold[0, 0] == 0.0 < step.info.executions.sold[0, 1]


def test_the_share_moves_around_its_home_and_stays_a_share():
    market = shop(share=0.3, drift=0.4, pull=0.1)
    steps = played(market, np.full((300, 2), 1.5), batch=50)
    shares = np.array([step.state.memory[SHARE][:, 0] for _, step in steps])
    assert (shares > 0.0).all() and (shares < 1.0).all()
    odds = np.log(shares / (1.0 - shares))[50:]
    assert abs(odds.mean() - np.log(0.3 / 0.7)) < 0.15
    assert abs(odds.std() - 0.4 / np.sqrt(1.0 - 0.9**2)) < 0.1


def test_a_surplus_counts_what_returning_shoppers_really_pay():
    prices = random_prices(6)
    for t, (state, step) in enumerate(played(shop(share=0.4), prices)):
        back, now = prices[max(t - 1, 0) : t + 1].min(axis=0), prices[t]
        worth = [0.25 * np.log1p(np.exp((2.0 - row) / 0.25).sum()) for row in (now, back)]
        expected = 0.6 * worth[0] + (0.4 * worth[1] if t else 0.0)
        market = shop(share=0.4)
        np.testing.assert_allclose(consumer_surplus(market, state, step), expected, rtol=1e-12)


def test_a_scenario_names_them_and_set_reaches_their_arrivals():
    changes = ["arrivals.kind=returning", "arrivals.of.kind=poisson", "arrivals.of.buy=7"]
    market = mos_agents.load("pricing_game", changes=changes).market()
    assert market.arrivals == ReturningShoppers(Poisson(buy=7.0))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"share": 0.0}, "share=0 changes nothing here: nobody returns"),
        ({"share": 1.2}, r"share=1.2 must be in \[0, 1\]"),
        ({"asks": 1}, "asks=1 must be a whole number from 2 to 1,000"),
        ({"asks": 2.5}, "asks=2.5 must be a whole number"),
        ({"drift": -1.0}, r"drift=-1.0 must be in \[0, 100\]"),
        ({"share": 1.0, "drift": 0.1}, "drift=0.1 changes nothing here"),
        ({"pull": 0.1}, "pull=0.1 changes nothing here: the share does not move"),
        ({"of": ReturningShoppers()}, "of=ReturningShoppers: must be arrivals of another kind"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, says):
    with pytest.raises(InputError, match=says):
        ReturningShoppers(**settings)


def test_markets_without_posted_prices_refuse_them():
    with pytest.raises(InputError, match="shoppers return to posted prices"):
        makers(arrivals=ReturningShoppers(Poisson(1.0)))


def test_benchmarks_refuse_prices_of_other_ticks():
    with pytest.raises(InputError, match="benchmarks of theory do not know shoppers who buy at"):
        equilibrium.bertrand_nash(shop())


def test_types_of_shoppers_choose_as_their_own_models_do():
    market = logit(2)
    kinds = (
        Logit(2.0, 1.0, 0.0, relative=False, scale=0.25),
        Logit(2.0, 2.0, 0.0, relative=False, scale=0.25),
    )
    both = market.with_parts(execution=Expected(ShopperTypes(kinds, (0.3, 0.7), (0.0, 0.2))))
    prices = np.array([[1.3, 1.7]])
    weights = [np.exp((2.0 - a * (prices[0] + c)) / 0.25) for a, c in ((1.0, 0.0), (2.0, 0.2))]
    shares = [w / (1.0 + w.sum()) for w in weights]
    (_, step), *_ = played(both, prices)
    expected = 0.3 * shares[0] + 0.7 * shares[1]
    np.testing.assert_allclose(step.info.executions.sold[0], expected, rtol=1e-12)
    worth = [0.25 * np.log1p(w.sum()) / a for w, a in zip(weights, (1.0, 2.0), strict=True)]
    found = consumer_surplus(both, both.start(1), step)
    np.testing.assert_allclose(found, 0.3 * worth[0] + 0.7 * worth[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"weights": (0.5, 0.6)}, "weights=.* add up to 1.1, not 1"),
        ({"weights": (1.0,)}, "must have 2 numbers, one for each type"),
        ({"weights": (-0.5, 1.5)}, "must be >= 0"),
        ({"search_costs": (0.1,)}, "must have 2 numbers"),
        ({"types": (Logit(),)}, "1 given, must be 2 or more"),
        ({"types": (Logit(choice="across"), Logit())}, "set choice beside types"),
    ],
)
def test_types_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(InputError, match=says):
        ShopperTypes(**settings)


def test_prices_of_nash_know_types_that_buyers_consist_of():
    market = logit(2)
    kind = market.execution.demand
    alike = market.with_parts(execution=Expected(ShopperTypes((kind, kind), (0.3, 0.7))))
    ours = equilibrium.bertrand_nash(alike).prices
    np.testing.assert_allclose(ours, equilibrium.bertrand_nash(market).prices, atol=1e-7)
    unlike = market.with_parts(
        execution=Expected(ShopperTypes((kind, Logit(2.0, 2.0, 0.0, False, scale=0.25))))
    )
    assert (equilibrium.bertrand_nash(unlike).prices < ours).all()


def test_a_scenario_names_types_of_shoppers():
    changes = ["execution.demand={kind: types, types: [{kind: logit}, {kind: cheapest}]}"]
    demand = mos_agents.load("retail", changes=changes).market().execution.demand
    assert demand == ShopperTypes((Logit(), Cheapest()))
    changes.append("execution.demand.types.1.choke=40")
    demand = mos_agents.load("retail", changes=changes).market().execution.demand
    assert demand == ShopperTypes((Logit(), Cheapest(40.0)))
