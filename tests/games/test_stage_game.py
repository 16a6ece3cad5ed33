"""What every combination of prices pays, and which markets tell it in one tick."""

import numpy as np
import pytest

import mos_agents
from mos_agents.games.stage_game import StageGame
from mos_agents.learners import QLearning
from mos_agents.market.arrivals import Poisson
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.execution import Sampled
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.rewards import Objective
from mos_agents.market.types import InputError
from tests.games.worlds import bertrand, everybody, logit, quick


def test_payoffs_are_the_logit_profits_of_the_prices():
    market = logit(3, cost=np.array([1.0, 0.8, 0.5]))
    stage = StageGame.of(market, everybody(market, quick()))
    formula = LogitMarket.from_scale(np.full(3, 2.0), np.array([1.0, 0.8, 0.5]), range(3), 0.25)
    assert stage.payoffs.shape == (64, 3)
    np.testing.assert_allclose(stage.payoffs, formula.profits(stage.prices), rtol=1e-12)


def test_profiles_count_with_the_first_player_as_the_first_digit():
    market = logit(2)
    learners = {"firm_1": quick(), "firm_2": quick(prices=(1.5, 1.7, 1.9))}
    learners["firm_1"] = quick(rival_prices=((1.5, 1.7, 1.9),))
    learners["firm_2"] = quick(prices=(1.5, 1.7, 1.9), rival_prices=((1.4, 1.6, 1.8, 1.95),))
    stage = StageGame.of(market, learners)
    assert stage.prices[:4].tolist() == [[1.4, 1.5], [1.4, 1.7], [1.4, 1.9], [1.6, 1.5]]
    assert stage.levels(7).tolist() == [2, 1] and stage.profile([2, 1]) == 7
    assert stage.states.tolist() == [list(range(12))] * 2


def test_the_equilibria_of_a_bertrand_game_are_the_two_lowest_grid_prices_above_cost():
    # Prices 0, 1/6, ..., 1 and no cost: nobody gains at (0, 0), (1/6, 1/6) nor, as half of 1/3 x
    # 2/3 is no more than 1/6 x 5/6, anywhere else.
    market = bertrand()
    grid = tuple(k / 6 for k in range(7))
    stage = StageGame.of(market, everybody(market, QLearning(prices=grid, relative_to="money")))
    nash = {tuple(p) for p in stage.levels(stage.pure_nash()).tolist()}
    assert nash == {(0, 0), (1, 1)}
    assert stage.levels(stage.joint_maximum()).tolist()[0] == 3  # one half, alone or shared


def test_uniform_rivals_average_over_what_the_others_ask():
    market = bertrand(opening=0.5)
    learner = QLearning(prices=(0.25, 0.5), relative_to="money")
    stage = StageGame.of(market, everybody(market, learner))
    low, high = 0.25 * 0.75, 0.5 * 0.5
    assert stage.uniform_rivals(0) == pytest.approx([0.75 * low, 0.25 * high])


def test_a_firm_with_several_products_has_one_lever():
    market = mos_agents.autos_1990().with_parts(
        quotes=PostedPrice(tick_size=0.0, min_margin=-0.9, max_relative_change=np.inf)
    )
    lever = QLearning(low=0.9, high=1.1, prices=3, scope="firm", features="own")
    stage = StageGame.of(market, {"toyota": lever, "honda": lever})
    assert stage.payoffs.shape == (9, 2)
    # Everybody's observed prices are best replies to the others': nobody gains from 10% either way.
    assert 4 in stage.pure_nash()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"arrivals": Poisson(buy=5.0)}, "changes from tick to tick"),
        ({"execution": "sampled"}, "changes from tick to tick"),
        ({"rewards": Objective({"pnl": 1.0, "volatility": -1.0})}, "changes from tick to tick"),
        ({"quotes": PostedPrice(tick_size=0.1)}, "the market's rules turn level"),
        (
            {"quotes": PostedPrice(tick_size=0.0, max_relative_change=0.01)},
            "the market's rules turn level",
        ),
        ({"quotes": PostedPrice(tick_size=0.0, min_margin=0.7)}, "the market's rules turn level"),
    ],
)
def test_a_market_of_which_one_tick_does_not_tell_all_is_refused_in_one_line(parts, message):
    market = logit(2)
    if parts.get("execution") == "sampled":
        parts = {"execution": Sampled(market.execution.demand)}
    market = market.with_parts(**parts)
    with pytest.raises(InputError, match=message) as refusal:
        StageGame.of(market, everybody(market, quick()))
    assert "\n" not in str(refusal.value)


def test_too_many_combinations_are_refused_before_any_is_tried():
    market = logit(6)
    with pytest.raises(InputError, match="more than"):
        StageGame.of(market, everybody(market, quick(prices=20, features="nothing")))


def test_two_listings_with_a_choice_each_are_no_finite_game():
    market = mos_agents.retail(firms=1, products=2)
    with pytest.raises(InputError, match="set scope='firm'"):
        StageGame.of(market, {"platform": QLearning(features="own")})
