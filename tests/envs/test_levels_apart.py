"""No grid to choose from has two levels that are one price."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.batched import BatchedMarket
from envs.market_env import MarketEnv
from mos_agents.market.quotes import PostedPrice, SealedBid, TwoSided
from mos_agents.market.types import InputError
from mos_agents.policies import make
from tests.market.worlds import auction, expected, makers, retail, with_catalogue


def priced(price: float, n: int = 1, **parts: Any) -> Any:
    """A shop whose goods have this reference price, and half of it as cost."""
    market = expected(n=n, k=2)
    size = market.layout.L
    market = with_catalogue(
        market, cost=np.full(size, 0.5 * price), reference_price=np.full(size, price)
    )
    return market.with_parts(**parts)


EQUAL = [
    # market, settings, what the line names
    (lambda: priced(0.05, quotes=PostedPrice(0.01)), {}, "levels=15"),
    (lambda: priced(1.0, quotes=PostedPrice(0.1)), {"levels": 30}, "levels=30"),
    (lambda: priced(100.0), {"levels": 10_000, "band": (0.99, 1.01)}, "levels=10000"),
    (lambda: priced(100.0, quotes=PostedPrice(high=100.0)), {"band": (1.0, 3.0)}, "levels=15"),
    (lambda: priced(100.0, quotes=PostedPrice(low=90.0, high=120.0)), {"band": (0.1, 0.5)}, "lev"),
    (lambda: priced(100.0), {"grid": [100.0, 100.0, 101.0]}, "grid"),
    (lambda: priced(100.0), {"grid": [99.0, 100.001, 100.004]}, "grid"),
    (lambda: makers(1, 1, quotes=TwoSided(max_offset=0.0)), {"levels": 3}, "levels=3"),
    (lambda: makers(1, 1, quotes=TwoSided(min_spread=0.1, max_spread=0.1)), {"levels": 3}, "l"),
    (lambda: makers(1, 1, quotes=TwoSided(1.0, min_spread=1.0, max_spread=3.0)), {"levels": 7}, ""),
    (lambda: makers(1, 1), {"levels": (60, 60)}, "levels=(60, 60)"),
    (lambda: makers(1, 1), {"grid": [[0.0, 0.1], [0.0, 0.1]]}, "grid"),
    (lambda: auction(2, 1, quotes=SealedBid(5.0)), {"levels": 40}, "levels=40"),
    (lambda: auction(2, 1, quotes=SealedBid(high=90.0)), {"band": (2.0, 4.0)}, "levels=15"),
]


@pytest.mark.parametrize(("market", "message", "name"), EQUAL)
@pytest.mark.parametrize("environment", ["one", "batch"])
def test_a_grid_with_two_equal_levels_is_refused_with_the_remedy(
    market, message, name, environment
):
    with pytest.raises(InputError) as found:
        if environment == "one":
            MarketEnv(market(), actions="discrete", **message)
        else:
            BatchedMarket(market(), 2, actions="discrete", **message)
    line = str(found.value)
    assert name in line and "\n" not in line
    assert "fewer levels" in line and "are both" in line


def test_one_listing_of_many_with_equal_levels_is_enough_to_be_refused():
    market = with_catalogue(
        expected(n=1, k=3, quotes=PostedPrice(0.01)),
        cost=np.array([5.0, 0.02, 5.0]),
        reference_price=np.array([10.0, 0.04, 10.0]),
    )
    with pytest.raises(
        InputError, match=r"platform: levels=15: levels \d+ and \d+ for p1 are both"
    ):
        MarketEnv(market, actions="discrete")


def test_a_single_offset_or_spread_is_said_with_a_pair():
    env = MarketEnv(
        makers(1, 1, quotes=TwoSided(max_offset=0.0)), actions="discrete", levels=(1, 5)
    )
    (grid,) = env.price_grid("maker_0")
    assert grid.shape == (5, 2) and (grid[:, 0] == 0.0).all()


@settings(max_examples=80, deadline=None)
@given(
    st.floats(1e-4, 1e5),
    st.sampled_from([None, 0.0, 0.01, 0.1]),
    st.integers(2, 200),
    st.floats(0.1, 0.99),
    st.floats(1.01, 3.0),
)
def test_whatever_is_not_refused_posts_as_many_prices_as_it_has_levels(
    price, tick_size, levels, least, most
):
    """By the market's rules: every level asked in a market of its own, as many prices come out."""
    rule = PostedPrice(tick_size, min_margin=-0.999, max_relative_change=np.inf)
    try:
        market = priced(price, quotes=rule)
        env = MarketEnv(market, actions="discrete", levels=levels, band=(least, most))
    except InputError as error:
        assert "equal" in str(error) or "are both" in str(error) or "quarter" in str(error)
        return
    (grid, _) = env.price_grid("platform")
    state = market.start(levels)
    actions = np.repeat(grid[:, None, :], 2, axis=1)
    quotes, refused = rule.admit(market, state, actions, market.everybody)
    assert (refused == 0).all()
    assert np.unique(quotes.ask[:, 0]).size == levels


@pytest.mark.parametrize("scale", ["money", "opening", "cost"])
@pytest.mark.parametrize("kind", ["q_learning", "sarsa", "exp3", "ucb1", "hedge"])
def test_a_learner_whose_levels_are_one_price_is_refused(kind, scale):
    range_ = {"low": 0.049, "high": 0.052} if scale == "money" else {"low": 0.98, "high": 1.02}
    market = priced(0.05, n=2, quotes=PostedPrice(0.01, min_margin=-0.9))
    spec = market.specs[0]
    rewards = {"reward_low": 0.0, "reward_high": 1.0} if kind in ("exp3", "ucb1", "hedge") else {}
    learner = make(kind, prices=11, relative_to=scale, **range_, **rewards)
    with pytest.raises(InputError, match=rf"{kind}.prices: levels \d+ and \d+ for p0 are both"):
        learner.start(spec, 1)
    fine = priced(0.05, n=2, quotes=PostedPrice(0.0, min_margin=-0.9))
    learner.start(fine.specs[0], 1)


def test_a_learner_with_prices_of_its_own_beyond_the_limits_is_refused():
    learner = make("q_learning", prices=[10.0, 300.0, 400.0], relative_to="money")
    market = priced(10.0, n=2, quotes=PostedPrice(high=200.0))
    with pytest.raises(InputError, match=r"q_learning.prices: levels 1 and 2 for p0 are both 200"):
        learner.start(market.specs[0], 1)


def test_a_draw_from_a_grid_has_no_equal_levels_either():
    market = retail(2, 1, quotes=PostedPrice(0.01, low=1.0, high=100.0))
    make("uniform", levels=5).start(market.specs[0], 1)
    for message in (
        {"levels": 5, "low": 4.0, "high": 4.01},
        {"levels": 2, "low": 4.0, "high": 4.0},
    ):
        with pytest.raises(InputError, match=r"uniform.levels: levels \d and \d"):
            make("uniform", **message).start(market.specs[0], 1)
