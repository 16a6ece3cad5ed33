"""Limits of quotes follow the reference prices, or are checked against them before play."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents import scenarios
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.quotes import PostedPrice, SealedBid, TwoSided
from mos_agents.market.reference import (
    Fundamentals,
    GeometricBrownian,
    JumpDiffusion,
    Replay,
    Shock,
    UniformDraw,
)
from mos_agents.market.refusals import BELOW_FLOOR, TAKEN
from mos_agents.market.schedules import Alternating
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.rollout import play
from tests.commands import refused
from tests.market.worlds import auction, expected, makers, retail, with_catalogue

CASE = Path(__file__).parents[1] / "cases" / "catalogue_in_yen"
YEN = (CASE / "yen.csv").read_text(encoding="utf-8")


def shop_in(currency: float, folder: Path, **quotes: Any) -> scenarios.Scenario:
    """The case's shop with its prices and costs in another currency, and its limits left out."""
    head, *rows = YEN.splitlines()
    scaled = []
    for row in rows:
        product, seller, cost, price, *rest = row.split(",")
        numbers = [repr(float(cost) * currency), repr(float(price) * currency)]
        scaled.append(",".join([product, seller, *numbers, *rest]))
    (folder / "goods.csv").write_text("\n".join([head, *scaled]), encoding="utf-8")
    record = scenarios.load(CASE / "s.yaml").model_dump(mode="python")
    record["catalogue"]["path"] = str(folder / "goods.csv")
    record["quotes"] = {"kind": "posted_price", **quotes}
    return scenarios.parse(scenarios.dump(scenarios.Scenario.model_validate(record)))


def test_a_catalogue_in_yen_is_refused_by_the_limit_the_product_and_its_cost(capsys):
    error = refused(capsys, "check", str(CASE / "s.yaml"))
    assert error.strip() == (
        f"mos: {CASE / 's.yaml'}: quotes.high=1000 is below the cost of ヘッドホン (18000); "
        "set quotes.high, or leave it out"
    )


def test_a_catalogue_in_yen_is_refused_by_run_and_in_environments(tmp_path, capsys):
    from envs.market_env import MarketEnv

    line = "quotes.high=1000 is below the cost of ヘッドホン"
    assert line in refused(capsys, "run", str(CASE / "s.yaml"), "--out", str(tmp_path))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=line):
        MarketEnv(scenarios.load(CASE / "s.yaml"))


@pytest.mark.parametrize("currency", [1e9, 1e4, 1.0, 1 / 150, 1e-4, 1e-8, 1e-12])
def test_limits_that_are_left_out_sell_alike_in_every_currency(currency, tmp_path):
    """The demand looks at prices over their reference: a shop in yen sells what one in euros does.

    Within the rounding of prices, that is: the tick is a thousandth of a price or less.
    """
    scenario = shop_in(currency, tmp_path)
    market = scenario.market()
    steps = list(play(market, scenario.policies(), seed=0, ticks=20, markets=4))
    asks = np.array([one.info.quotes.ask for one in steps])
    costs = market.catalogue.cost
    assert (asks >= costs * 1.05 * (1.0 - 1e-9)).all()
    np.testing.assert_allclose(asks[-1] / costs, 1.3, rtol=2e-3)
    sold = sum(one.info.executions.sold.sum() for one in steps)
    assert sold == pytest.approx(1548.0, rel=0.01)


LIMITS = [
    # product prices 29800 and 3980 or 4200, costs 18000 and 2600 or 2500
    ({"high": 2700.0}, "quotes.high=2700 is below the cost of ヘッドホン (18000)"),
    ({"high": 18500.0, "min_margin": 0.05}, "is below the margin floor of ヘッドホン (18900)"),
    ({"high": 20000.0}, "quotes.high=20000 is below the reference price of ヘッドホン (29800)"),
    ({"low": 4000.0}, "quotes.low=4000 is above the reference price of イヤホン (3980)"),
    ({"low": 1e6, "high": 2e6}, "quotes.low=1000000 is above the reference price of"),
    ({"tick_size": 1000.0}, "is more than a quarter of the reference price of イヤホン (3980)"),
    ({"tick_size": 1e6}, "quotes.tick_size=1000000 is more than a quarter of the reference price"),
]


@pytest.mark.parametrize(("quotes", "line"), LIMITS)
def test_a_limit_in_money_that_the_prices_contradict_is_refused_in_one_line(quotes, line, tmp_path):
    with pytest.raises(InputError) as found:
        shop_in(1.0, tmp_path, **quotes).market()
    assert line in str(found.value) and "\n" not in str(found.value)
    assert "leave it out" in str(found.value)


@pytest.mark.parametrize(
    "quotes", [{"high": 1e5}, {"low": 100.0, "high": 30000.0}, {"tick_size": 1.0}, {"low": 0.0}]
)
def test_a_limit_in_money_that_suits_the_prices_is_kept_to_the_last_digit(quotes, tmp_path):
    market = shop_in(1.0, tmp_path, **quotes).market()
    low, high = market.quotes.limits(market)
    if "low" in quotes:
        assert (low[:, 0] == quotes["low"]).all()
    if "high" in quotes:
        assert (high[:, 0] == quotes["high"]).all()
    if "tick_size" in quotes:
        assert (market.specs[0].tick_sizes == quotes["tick_size"]).all()


@pytest.mark.parametrize(
    ("price", "tick_size"),
    [
        (29800.0, 0.01),
        (100.0, 0.01),
        (10.0, 0.01),
        (9.99, 0.001),
        (1.0, 0.001),
        (0.001, 1e-6),
        (0.0004, 1e-7),
    ],
)
def test_a_tick_that_is_left_out_is_a_cent_or_finer_where_prices_are_small(price, tick_size):
    market = with_catalogue(
        retail(1, 1), cost=np.array([0.5 * price]), reference_price=np.array([price])
    )
    assert market.specs[0].tick_sizes[0] == pytest.approx(tick_size, rel=1e-12)


# --- the floor ------------------------------------------------------------------------------------

GROWING = st.one_of(
    st.builds(Shock, at=st.integers(0, 8), factor=st.floats(1.0, 1e4)),
    st.builds(GeometricBrownian, mu=st.floats(0.0, 2.0), sigma=st.floats(0.0, 1.0)),
    st.builds(JumpDiffusion, rate=st.just(1.0), jump_mean=st.floats(0.0, 1.0)),
    st.lists(st.floats(0.1, 1e6), min_size=12, max_size=12).map(lambda p: Replay(np.array(p))),
)


@settings(max_examples=60, deadline=None)
@given(
    GROWING,
    st.sampled_from([0.0, 0.01, 0.05, 1.0]),
    st.floats(-0.5, 1.0),
    st.sampled_from(["clip", "refuse"]),
    st.sampled_from([None, 100.0]),
    st.integers(0, 2**32),
)
def test_no_price_is_posted_below_the_margin_floor(process, tick_size, margin, conduct, high, seed):
    """However costs move: the floor wins over the highest price, or the quote is refused."""
    rule = PostedPrice(tick_size, conduct, min_margin=margin, high=high)
    try:
        market = retail(2, 2, reference=Fundamentals(cost=process), quotes=rule, horizon=12)
    except InputError as error:  # a first cost above the limit
        assert "is below the" in str(error)
        return
    rng = np.random.default_rng(seed)
    low, high_ = market.quotes.limits(market)
    state, streams = market.start(3), Streams.of(seed, 3)
    for t in range(12):
        actions = rng.uniform(low, np.minimum(high_, 150.0), (3, *low.shape))
        step = tick(market, state, actions, streams.at(t))
        floor = state.cost * (1.0 + margin)
        ask, refused = step.info.quotes.ask, step.info.refused[:, market.layout.seller]
        assert ((ask >= floor * (1.0 - 1e-8)) | (refused != TAKEN)).all()
        assert conduct == "refuse" or (refused == TAKEN).all()
        state = step.state


def test_a_cost_that_outgrows_the_highest_price_lifts_the_price_above_it():
    """By hand: cost 10, highest price 30, and a shock that makes a unit cost 100."""
    for conduct, price, reason in (("clip", 105.0, TAKEN), ("refuse", 20.0, BELOW_FLOOR)):
        market = with_catalogue(
            retail(1, 1, quotes=PostedPrice(conduct=conduct, high=30.0)),
            cost=np.array([10.0]),
            reference_price=np.array([20.0]),
        )
        state = market.start(1)._replace(cost=np.array([[100.0]]))
        step = tick(market, state, np.full((1, 1, 1), 25.0), Streams.of(0, 1).at(0))
        assert step.info.quotes.ask[0, 0] == price
        assert step.info.refused[0, 0] == reason


def test_a_price_comes_back_below_the_highest_one_as_soon_as_costs_do():
    market = with_catalogue(
        retail(1, 1, quotes=PostedPrice(high=30.0, max_relative_change=0.01)),
        cost=np.array([10.0]),
        reference_price=np.array([20.0]),
    )
    state = market.start(1)
    standing = state.quotes._replace(ask=np.array([[105.0]]))
    step = tick(
        market, state._replace(quotes=standing), np.full((1, 1, 1), 25.0), Streams.of(0, 1).at(0)
    )
    assert step.info.quotes.ask[0, 0] == 30.0


def test_a_quote_that_stands_is_not_touched_by_a_cost_that_rises():
    """The floor binds whoever posts a price; nobody's price changes while it is not their turn."""
    market = retail(2, 1, schedule=Alternating(), reference=Fundamentals(cost=Shock(1, 3.0)))
    state, streams = market.start(1), Streams.of(0, 1)
    first = state.quotes.ask.copy()
    for t in range(2):
        actions = np.full((1, 2, 1), first[0, 0])
        step = tick(market, state, actions, streams.at(t))
        state = step.state
    assert step.info.quotes.ask[0, 0] == first[0, 0] < 1.05 * state.cost[0, 0]
    assert step.info.quotes.ask[0, 1] >= 1.05 * state.cost[0, 1] * (1.0 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-6, 1e8), st.sampled_from([None, 0.0]), st.integers(0, 2**32))
def test_no_spread_is_posted_narrower_than_the_narrowest(price, tick_size, seed):
    listed = replace(makers(2, 2).catalogue, reference_price=np.full(4, price))
    market = makers(2, 2).with_parts(
        catalogue=listed, quotes=TwoSided(tick_size), execution=FillIntensity(kappa=150.0 / price)
    )
    rng = np.random.default_rng(seed)
    low, high = market.quotes.limits(market)
    assert (low[:, 1] <= 1e-3 * price).all() and (high[:, 1] >= 1e-3 * price).all()
    state, streams = market.start(3), Streams.of(seed, 3)
    for t in range(6):
        actions = rng.uniform(low, high, (3, *low.shape))
        step = tick(market, state, actions, streams.at(t))
        quotes = step.info.quotes
        spread = quotes.ask - quotes.bid
        slack = 1e-5 * market.quotes.tick_sizes(market) + 1e-12 * price
        assert (step.info.refused == TAKEN).all()
        assert (spread >= actions[..., 1] - slack).all()
        state = step.state


# --- replayed prices ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [40_000.0, 100.0, 0.0004])
def test_makers_on_a_replayed_price_have_limits_of_its_size(level):
    """The catalogue says 100, whatever the series says: limits follow the series."""
    path = level * np.linspace(1.0, 1.1, 30)
    market = makers(
        2,
        1,
        reference=Fundamentals(Replay(path)),
        horizon=30,
        execution=FillIntensity(kappa=150.0 / level),
    )
    spec = market.specs[0]
    assert spec.opening_price[0] == level
    np.testing.assert_allclose(spec.high[0], [0.05 * level, 0.005 * level])
    np.testing.assert_allclose(spec.low[0], [-0.05 * level, min(1e-4 * level, 0.01)])
    assert market.start(1).quotes.ask[0, 0] == level


@pytest.mark.parametrize(
    ("level", "quotes", "line"),
    [
        (0.0004, {"tick_size": 0.01}, "quotes.tick_size=0.01 is more than a quarter of the refer"),
        (
            0.0004,
            {"min_spread": 0.01, "max_spread": 0.5},
            "is more than a quarter of the mid price of asset_0 (0.0004)",
        ),
        (0.001, {"min_spread": 0.01}, "quotes.min_spread=0.01 is more than a quarter"),
        (100.0, {"max_spread": 0.005}, "less than the narrowest spread (min_spread)"),
        (4e8, {"min_spread": 0.01, "max_spread": 0.5}, "is less than a millionth of the mid price"),
        (0.0004, {"max_spread": 3.0}, "quotes.max_spread=3 is more than the mid price of asset_0"),
        (2.0, {"max_offset": 5.0}, "quotes.max_offset=5 is more than the mid price of asset_0 (2)"),
        (1.0, {"min_spread": 0.05}, "is more than the widest spread (max_spread) of asset_0"),
    ],
)
def test_makers_limits_in_money_are_held_against_the_replayed_price(level, quotes, line):
    reference = Fundamentals(Replay(np.full(600, level)))
    with pytest.raises(InputError) as found:
        makers(1, 1, reference=reference, quotes=TwoSided(**quotes))
    assert line in str(found.value) and "leave it out" in str(found.value)


def test_a_limit_is_held_against_the_whole_series_and_not_only_its_beginning():
    path = np.linspace(20.0, 2000.0, 500)
    reference = Fundamentals(price=Replay(path))
    with pytest.raises(InputError, match=r"quotes.high=1000 is below the reference price of p0"):
        expected(n=1, k=1, reference=reference, quotes=PostedPrice(high=1000.0), horizon=500)
    # What lies behind the end of the episode is nobody's concern.
    expected(n=1, k=1, reference=reference, quotes=PostedPrice(high=1000.0), horizon=50)
    market = expected(n=1, k=1, reference=reference, horizon=500)
    assert market.specs[0].high[0, 0] >= 20.0 * 2000.0


@pytest.mark.parametrize(
    "cost", [UniformDraw(0.0, 150.0), Shock(at=3, factor=1.5), Replay(np.full(500, 101.0))]
)
def test_a_highest_bid_below_a_worth_that_is_known_to_come_is_refused(cost):
    with pytest.raises(InputError, match=r"quotes.high=100 is below the value to a bidder of item"):
        auction(reference=Fundamentals(cost=cost), quotes=SealedBid(high=100.0))
    market = auction(reference=Fundamentals(cost=cost), quotes=SealedBid())
    low, high = market.quotes.limits(market)
    assert (low == 0.0).all() and high.max() >= 20.0 * 100.0


def test_limits_in_money_and_those_left_out_at_that_level_are_the_same_bits():
    """The market-making preset's numbers of old, at the mid price of 100 they were made for."""
    found = TwoSided(tick_size=0.01, min_spread=0.01, max_spread=0.5, max_offset=5.0)
    for rule in (TwoSided(), found):
        market = makers(2, 2, quotes=rule)
        low, high = rule.limits(market)
        assert (low == [-5.0, 0.01]).all() and (high == [5.0, 0.5]).all()
        assert (rule.resolved(market).steps == 100.0).all()


def test_each_listing_has_limits_of_its_own():
    market = retail(1, 3, quotes=PostedPrice())
    market = with_catalogue(
        market, cost=np.array([0.002, 5.0, 8e6]), reference_price=np.array([0.003, 9.0, 1e7])
    )
    low, high = market.quotes.limits(market)
    np.testing.assert_allclose(low[:, 0], 0.001 * market.catalogue.reference_price)
    np.testing.assert_allclose(high[:, 0], 20.0 * market.catalogue.reference_price)
    asks = market.start(1).quotes.ask[0]
    np.testing.assert_allclose(asks, market.catalogue.reference_price, rtol=1e-3)


def test_limits_of_another_catalogue_are_made_anew():
    """A rule is a value that several markets may share: what it resolves to belongs to each."""
    rule = PostedPrice()
    cheap, dear = (
        replace(
            with_catalogue(retail(1, 1), cost=np.array([c]), reference_price=np.array([2 * c])),
            quotes=rule,
        )
        for c in (1.0, 5000.0)
    )
    assert rule.limits(cheap)[1][0, 0] == 40.0 and rule.limits(dear)[1][0, 0] == 200_000.0
