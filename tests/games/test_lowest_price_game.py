"""Games of the lowest price: the same play as with a table of all combinations, for any n."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.asker_fershtman_pakes_2022.run import AskerSettings, game, learner, market
from experiments.free_prices import free_prices
from mos_agents.games.lowest_price_game import LowestPriceGame, play_lowest_sessions
from mos_agents.games.sessions import play_sessions
from mos_agents.market.demand import Logit
from mos_agents.market.types import InputError


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("updating", ["asynchronous", "synchronous"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_a_session_has_the_bits_of_the_game_with_all_combinations(n, updating, epsilon):
    s = AskerSettings(n=n, levels=12, epsilon=epsilon, beta=1e-3 if epsilon else 0.0)
    whole = play_sessions(game(s, updating), seed=4, sessions=6, periods=30_000, window=500)
    made = LowestPriceGame.of(market(s), learner(s), updating == "synchronous")
    found = play_lowest_sessions(made, 4, range(6), 30_000, 500)
    np.testing.assert_array_equal([one.level for one in found], whole.best)
    np.testing.assert_array_equal([one.periods for one in found], whole.periods)
    np.testing.assert_array_equal([one.converged for one in found], whole.converged)


def test_five_sellers_share_by_hand():
    s = AskerSettings(n=5, levels=100)
    made = LowestPriceGame.of(market(s), learner(s))
    p = s.prices
    levels = np.array([[50, 60, 70, 80, 90], [50, 50, 50, 99, 99], [99] * 5, [5, 50, 99, 99, 5]])
    expected = [
        [p[50] - 2.0, 0, 0, 0, 0],
        [(p[50] - 2.0) / 3] * 3 + [0, 0],
        [(p[99] - 2.0) / 5] * 5,
        [(p[5] - 2.0) / 2, 0, 0, 0, (p[5] - 2.0) / 2],
    ]
    np.testing.assert_allclose(made.earned(levels), expected, atol=1e-12)


def test_a_market_in_which_more_matters_than_the_lowest_price_is_refused():
    s = AskerSettings(n=3, levels=6)
    one = free_prices(3, Logit(0.0, 1.0, 1.0, relative=False), 2.0, 5.0)
    with pytest.raises(InputError, match="more than the own price and the lowest of the others"):
        LowestPriceGame.of(one, learner(s))


def test_a_learner_with_a_state_is_refused():
    s = AskerSettings(n=3, levels=6)
    with pytest.raises(InputError, match="without a state"):
        LowestPriceGame.of(market(s), replace(learner(s), features="rivals"))
