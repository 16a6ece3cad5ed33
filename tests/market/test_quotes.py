"""Which quotes the market takes, brings within its rules, or refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents.market.market import Market
from mos_agents.market.quotes import PostedPrice, SealedBid, TwoSided
from mos_agents.market.refusals import (
    BELOW_FLOOR,
    CROSSED,
    NOT_FINITE,
    OFF_GRID,
    OUTSIDE,
    TAKEN,
    TOO_FAST,
)
from mos_agents.market.types import InputError, Quotes, State
from tests.market.worlds import auction, makers, retail, with_catalogue
from tests.oracles import market as oracles

B = 6


def anything(market: Market, rng: np.random.Generator) -> State:
    """Some state of the market, with quotes that stand anywhere lawful."""
    layout = market.layout
    state = market.start(B)
    shape = (B, layout.L)
    prices = np.round(rng.uniform(1.0, 90.0, (2, *shape)), 2)
    bid, ask = prices.min(axis=0), prices.max(axis=0)
    sizes = rng.choice([0.0, 1.0, 7.0, 1e9], (2, *shape))
    sizes[0] *= market.bids  # a seller has no bid, a bidder no ask
    sizes[1] *= market.asks
    quotes = Quotes(bid, sizes[0], ask, sizes[1], rng.integers(0, 4, (B, layout.N)).astype(float))
    return state._replace(
        quotes=quotes,
        cost=rng.uniform(0.0, 60.0, shape),
        reference=np.round(rng.uniform(1.0, 90.0, (B, layout.K)), 2),
    )


def actions_near(rule: Any, market: Market, state: State, rng: np.random.Generator) -> Any:
    """Actions of which most are lawful, some are not, and a few are no numbers."""
    low, high = rule.limits(market)
    width = len(rule.features)
    actions = low + (high - low) * rng.uniform(-0.05, 1.05, (B, market.layout.L, width))
    if not isinstance(rule, TwoSided):
        near = state.quotes.ask * rng.uniform(0.7, 1.3, state.cost.shape)
        actions[..., 0] = np.where(rng.random(near.shape) < 0.8, near, actions[..., 0])
    if rule.sized and rng.random() < 0.5:
        actions[..., -1] = np.clip(actions[..., -1], 0.0, rule.size)
    on_grid = rng.random(actions.shape) < 0.5
    actions = np.where(on_grid, np.round(actions, 2), actions)
    odd = rng.random(actions.shape) < 0.02
    return np.where(odd, rng.choice([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e308]), actions)


RULES = [
    (retail, PostedPrice),
    (makers, TwoSided),
    (auction, SealedBid),
]


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(RULES),
    st.integers(0, 2**32),
    st.sampled_from(["clip", "refuse"]),
    st.sampled_from(["stand", "withdraw"]),
    st.sampled_from([0.0, 0.01, 0.05, 0.25, 1.0]),
    st.sampled_from([0, 2]),
    st.booleans(),
)
def test_admission_is_that_of_the_reference(
    pair, seed, conduct, on_refusal, tick_size, max_age, sized
):
    make, kind = pair
    rng = np.random.default_rng(seed)
    rule = kind(tick_size, conduct, on_refusal, max_age, 10.0, sized)
    market = make(quotes=rule)
    state = anything(market, rng)
    moves = rng.random((rng.choice([1, B]), market.layout.N)) < 0.8
    actions = actions_near(rule, market, state, rng)
    quotes, refused = rule.admit(market, state, actions, moves)
    wanted, reasons = oracles.admit(rule, market, state, actions, moves)
    assert np.array_equal(refused, reasons)
    for name in Quotes._fields:
        ours, theirs = getattr(quotes, name), getattr(wanted, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0.0, err_msg=name)


def one_price(rule: PostedPrice, price: float, cost: float = 10.0) -> tuple[float, int]:
    market = with_catalogue(
        retail(1, 1, quotes=rule), cost=np.array([cost]), reference_price=np.array([20.0])
    )
    quotes, refused = rule.admit(
        market, market.start(1), np.array([[[price]]]), np.ones((1, 1), bool)
    )
    return float(quotes.ask[0, 0]), int(refused[0, 0])


@pytest.mark.parametrize(
    ("price", "posted"),
    [
        (20.0, 20.0),
        (20.004, 20.0),  # to the nearest cent
        (20.006, 20.01),
        (30.0, 24.0),  # at most 20% a move
        (12.0, 16.0),
        (400.0, 24.0),
    ],
)
def test_a_price_is_brought_to_the_nearest_lawful_one(price, posted):
    assert one_price(PostedPrice(), price) == (posted, TAKEN)


def test_a_cost_shock_lifts_the_floor_faster_than_the_largest_change_allows():
    rule = PostedPrice()
    market = with_catalogue(
        retail(1, 1, quotes=rule), cost=np.array([10.0]), reference_price=np.array([20.0])
    )
    state = market.start(1)._replace(cost=np.array([[40.0]]))
    quotes, _ = rule.admit(market, state, np.array([[[20.0]]]), np.ones((1, 1), bool))
    assert quotes.ask[0, 0] == 42.0


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (20.0, TAKEN),
        (np.nan, NOT_FINITE),
        (400.01, OUTSIDE),
        (10.49, BELOW_FLOOR),
        (24.01, TOO_FAST),
        (20.005, OFF_GRID),
    ],
)
def test_where_conduct_is_refused_each_rule_has_its_reason(price, reason):
    posted, why = one_price(PostedPrice(conduct="refuse"), price)
    assert why == reason
    assert posted == 20.0


@pytest.mark.parametrize("cost", [10.003, 10.0, 9.999, 0.0])
@pytest.mark.parametrize("tick_size", [0.01, 0.05, 0.25])
def test_opening_prices_obey_the_house_from_the_start(cost, tick_size):
    rule = PostedPrice(tick_size)
    market = with_catalogue(
        retail(1, 1, quotes=rule), cost=np.array([cost]), reference_price=np.array([max(cost, 2.0)])
    )
    ask = rule.opening(market, 1).ask[0, 0]
    assert ask >= cost * 1.05 * (1.0 - 1e-9)
    assert abs(ask / tick_size - round(ask / tick_size)) < 1e-6


def two_sided(rule: TwoSided, offset: float, spread: float) -> tuple[float, float, int]:
    market = makers(1, 1, quotes=rule)
    quotes, refused = rule.admit(
        market, market.start(1), np.array([[[offset, spread]]]), np.ones((1, 1), bool)
    )
    return float(quotes.bid[0, 0]), float(quotes.ask[0, 0]), int(refused[0, 0])


def test_a_spread_is_laid_around_the_middle_and_rounded_outwards():
    assert two_sided(TwoSided(), 0.0, 0.1) == (99.95, 100.05, TAKEN)
    assert two_sided(TwoSided(), 0.5, 0.1) == (100.45, 100.55, TAKEN)
    assert two_sided(TwoSided(), 0.003, 0.1) == (99.95, 100.06, TAKEN)


@pytest.mark.parametrize("tick_size", [0.0, 0.01, 1.0])
def test_a_bid_is_always_below_its_ask_even_for_a_hair_of_a_spread(tick_size):
    rule = TwoSided(tick_size, min_spread=1e-300)
    for spread in (1e-300, 1e-15, 1e-12, 1e-9, 1e-7, 0.01):
        bid, ask, reason = two_sided(rule, 0.0, spread)
        assert bid < ask or reason == CROSSED, spread


def test_a_participant_off_the_move_keeps_its_quote_which_grows_older():
    rule = PostedPrice()
    market = retail(2, 1, quotes=rule)
    state = market.start(1)
    actions = state.quotes.ask[:, :, None] * 1.1
    quotes, _ = rule.admit(market, state, actions, np.array([[True, False]]))
    assert quotes.ask[0, 0] != state.quotes.ask[0, 0]
    assert quotes.ask[0, 1] == state.quotes.ask[0, 1]
    assert quotes.age.tolist() == [[0.0, 1.0]]


def test_a_quote_past_its_age_is_withdrawn_until_its_owner_moves_again():
    rule = PostedPrice(max_age=2)
    market = retail(1, 1, quotes=rule)
    state = market.start(1)
    sizes = []
    for moves in (False, False, False, True):
        quotes, _ = rule.admit(market, state, state.quotes.ask[:, :, None], np.array([[moves]]))
        state = state._replace(quotes=quotes)
        sizes.append(quotes.ask_size[0, 0])
    assert sizes == [np.inf, np.inf, 0.0, np.inf]


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        (PostedPrice, {"conduct": "bend"}, "conduct"),
        (PostedPrice, {"on_refusal": "shout"}, "on_refusal"),
        (PostedPrice, {"tick_size": -0.01}, "tick_size"),
        (PostedPrice, {"max_age": -1}, "max_age"),
        (PostedPrice, {"size": 0.0}, "size"),
        (PostedPrice, {"sized": True}, "size"),
        (PostedPrice, {"low": 5.0, "high": 5.0}, "low"),
        (PostedPrice, {"min_margin": -1.0}, "min_margin"),
        (PostedPrice, {"max_relative_change": 0.0}, "max_relative_change"),
        (TwoSided, {"min_spread": 0.0}, "min_spread"),
        (TwoSided, {"max_offset": np.inf}, "max_offset"),
        (SealedBid, {"high": np.inf}, "high"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_name(kind, wrong, field):
    with pytest.raises(InputError, match=field):
        kind(**wrong)
