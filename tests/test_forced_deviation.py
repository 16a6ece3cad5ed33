"""A firm made to change its price: the same random numbers twice, one price forced, and who
answers."""

from __future__ import annotations

import numpy as np
import pytest

import mos_agents
from mos_agents.analysis.impulse import profitability, punishment, response
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.policies.forcing import Forced
from mos_agents.rollout import forced_deviation, rollout

FOLLOWER = {"firm_1": make("match_cheapest"), "firm_2": make("hold")}
DEAF = {"firm_1": make("hold"), "firm_2": make("hold")}
PRICE = 1.45


def market():
    return mos_agents.pricing_game().with_parts(horizon=40)


def test_a_firm_that_follows_answers_a_cut_at_tau_2_and_one_that_holds_never_does():
    followed = forced_deviation(market(), FOLLOWER, "firm_2", PRICE, shock=5, forced=3)
    opening = followed.undeviated_prices[0, 0, 1]
    cut = PRICE / opening - 1.0
    np.testing.assert_allclose(response(followed).rivals[5:9, 0], [0.0, cut, cut, cut])
    deaf = forced_deviation(market(), DEAF, "firm_2", PRICE, shock=5, forced=3)
    assert not response(deaf).rivals.any()


def test_after_the_force_the_firm_asks_what_its_policy_asks():
    deviation = forced_deviation(market(), DEAF, "firm_2", PRICE, shock=5, forced=3, lead=2)
    asked = deviation.prices[:, 0, 1]
    opening = asked[0]
    assert deviation.shock == 2
    np.testing.assert_allclose(asked, [opening] * 2 + [PRICE] * 3 + [opening] * (len(asked) - 5))
    assert punishment(deviation).length.tolist() == [0]
    assert profitability(deviation).gain[0] != 0.0


def test_a_price_per_market_is_asked_in_its_own_market():
    prices = np.array([[1.44], [1.46], [1.48]])
    pressed = {**DEAF, "firm_1": Forced(make("hold"), prices, 2)}
    asks = rollout(market(), pressed, markets=3, ticks=4, series=("ask",)).series["ask"]
    np.testing.assert_allclose(asks[2, :, 0], prices[:, 0])


def test_random_numbers_are_the_same_with_and_without_the_force():
    shop = mos_agents.retail(firms=1, products=1)
    policies = {"platform": make("random_walk"), "firm_1": make("hold")}
    one = forced_deviation(shop, policies, "firm_1", 25.0, shock=20, ticks=60, markets=4)
    np.testing.assert_array_equal(one.prices[:20], one.undeviated_prices[:20])
    np.testing.assert_array_equal(one.profits[:20], one.undeviated_profits[:20])
    np.testing.assert_array_equal(one.prices[:, :, 0], one.undeviated_prices[:, :, 0])
    assert (one.profits[20] != one.undeviated_profits[20]).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"firm": "nobody"}, "firm='nobody' must be one who posts prices: firm_1, firm_2"),
        ({"lead": 9}, "lead=9 must be in 1 to shock=5"),
        ({"price": [1.0, 2.0, 3.0]}, "forced.price has shape .3,., but firm_1 has 1 listings"),
        ({"price": float("nan")}, "forced.price=nan must be finite"),
        ({"forced": 0}, "forced.ticks=0 must be a whole number >= 1"),
        ({"ticks": 6}, "forced=1 from row 5 leaves no tick after it|shock=5 must leave a tick"),
    ],
)
def test_what_cannot_be_forced_is_told_in_one_line(changes, message):
    given = {"firm": "firm_1", "price": PRICE, "shock": 5} | changes
    firm, price = given.pop("firm"), given.pop("price")
    with pytest.raises(InputError, match=message):
        forced_deviation(market(), DEAF, firm, price, **given)
