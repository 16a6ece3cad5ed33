"""Greedy play from the ends of sessions: the limit cycles, where chance has no part."""

import numpy as np

from mos_agents.games.greedy_play import play_on
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.strategies import GreedyGame
from tests.games.worlds import everybody, logit, quick


def test_without_chance_it_is_the_limit_cycle():
    market = logit(2)
    game = RepeatedGame.of(market, everybody(market, quick()))
    played = play_sessions(game, seed=2, sessions=12, window=500, workers=1)
    cycles = GreedyGame(game, played).cycles()
    periods = 2 * int(np.lcm.reduce(cycles.length))
    for measured in (game.stage.payoffs, game.stage.prices):
        greedy = play_on(game, played, 2, periods, {"it": measured})
        np.testing.assert_allclose(greedy.means["it"], cycles.mean(measured), rtol=1e-12)
    np.testing.assert_array_equal(greedy.constant, cycles.length == 1)
    np.testing.assert_array_equal(greedy.steady["it"].all(axis=1), cycles.length == 1)
