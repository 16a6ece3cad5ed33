"""Small markets for the tests of finite games: few prices, nothing left to chance."""

from dataclasses import replace
from typing import Any

import numpy as np

from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played
from mos_agents.learners import QLearning
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Cheapest, Logit
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.types import Layout

FREE = PostedPrice(tick_size=0.0, min_margin=-0.999, max_relative_change=np.inf, low=0.0)


def logit(n: int = 2, cost: Any = 1.0, opening: Any = 1.5, **parts: Any) -> Market:
    """n firms with a product each, as in Calvano et al. (2020)."""
    names = [f"firm_{i + 1}" for i in range(n)]
    ones = np.ones(n)
    made = make_market(
        layout=Layout.dense(names, ["product"], ["firm"] * n),
        catalogue=Catalogue(cost * ones, opening * ones, 2.0 * ones, np.inf * ones),
        execution=Expected(
            Logit(
                intercept=0.0,
                price_coefficient=1.0,
                quality_coefficient=1.0,
                relative=False,
                scale=0.25,
            )
        ),
        quotes=FREE,
        arrivals=FixedMass(1.0),
    )
    return made.with_parts(**parts)


def bertrand(n: int = 2, opening: float = 0.5, slope: float = 1.0, **parts: Any) -> Market:
    """n firms with the same good and no cost; demand 1 - p to the cheapest, ties split."""
    made = logit(n, 0.0, opening)
    return made.with_parts(execution=Expected(Cheapest(slope=slope)), **parts)


def everybody(market: Market, learner: QLearning) -> dict[str, QLearning]:
    return dict.fromkeys(market.layout.participants, learner)


def played(game: RepeatedGame, best: list[list[int]], level: list[int]) -> Played:
    """One session that ended with these strategies (a list a player) at these levels."""
    profile = int(np.array(level) @ game.stage.strides)
    now = game.stage.states[:, profile]
    rows = np.array([x for one in best for x in one], np.int16)
    assert len(rows) == sum(game.states(i) for i in range(game.n))
    return Played(
        np.array([0]),
        np.array([0]),
        np.array([True]),
        rows[None],
        np.array([level]),
        now[None],
        now[None],
        np.full((1, game.n), np.nan),
        np.full((1, game.stage.market.layout.G), -1),
    )


def quick(**changes: Any) -> QLearning:
    """Q-learning that settles within some thousand periods."""
    base = QLearning(prices=(1.4, 1.6, 1.8, 1.95), relative_to="money", beta=2e-3, initial=1.0)
    return replace(base, **changes)
