"""Q-learners: with a future, without one, and with too little exploration.

They learn in the compiled game of Calvano et al. (2020). What they have learnt is then played on,
with rare trials. Common costs move all prices and the value of not buying alike, so margins and
shares, and with them the game, stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mos_agents.corpus.markets import COST, QUALITY, SCALE
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.learners import QLearning
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Logit
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.execution import Expected
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.types import Array, IntArray, Layout

LEVELS = {2: 15, 3: 9}
"""Prices of the grid by number of firms. Tables of more firms have too many rows to be learnt here:
a row for each combination of prices."""

ALPHA = 0.15
REACH = 0.1
SHOWN = 120
"""Ticks over which profits are averaged: many lengths of cycles divide it."""

PERIODS_AGAIN = 300_000
"""Periods for which one firm is trained again."""


@short_repr
@dataclass(frozen=True, eq=False)
class Learnt:
    """Strategies of S sessions.

    Parameters
    ----------
    stage : StageGame
        The game of one tick.
    best : array of int [S, R]
        Greedy prices, as positions in the grid.
    """

    stage: StageGame
    best: IntArray

    @property
    def grid(self) -> Array:
        """The prices of the grid [m]."""
        return np.unique(self.stage.prices[:, 0])

    def rule(self, session: int) -> IntArray:
        """Return what each firm asks after each combination of prices.

        Parameters
        ----------
        session : int
            Number of the session.

        Returns
        -------
        array of int [N, P]
            Positions in the grid.
        """
        first = np.concatenate([[0], np.cumsum(self.stage.state_counts)[:-1]])
        rows: IntArray = self.best[session][self.stage.states + first[:, None]]
        return rows


@lru_cache(maxsize=8)
def learnt(kind: str, firms: int, sessions: int, seed: int) -> Learnt:
    """Let Q-learners learn.

    Parameters
    ----------
    kind : {"patient", "myopic", "hasty"}
        Discount .95 and long exploration; discount 0 and long exploration; discount 0, exploration
        that ends after some hundred periods, and high hopes at the beginning.
    firms : int
        One of `LEVELS`.
    sessions : int
        S.
    seed : int
        Seed of all random numbers.

    Returns
    -------
    Learnt
        The strategies.
    """
    market, low, high = _market(firms)
    grid = np.linspace(low, high, LEVELS[firms])
    # Exploration must last longer where the table has more rows.
    beta = {2: 2e-5, 3: 1e-5}[firms]
    delta = 0.95 if kind == "patient" else 0.0

    def learner(**more: object) -> QLearning:
        others = tuple(tuple(grid.tolist()) for _ in range(firms - 1))
        return QLearning(
            prices=tuple(grid.tolist()),
            relative_to="money",
            rival_prices=others,
            features="nothing" if kind == "hasty" else "all",
            periods=1,
            alpha=ALPHA,
            beta=5e-3 if kind == "hasty" else beta,
            delta=delta,
            **more,  # type: ignore[arg-type]
        )

    names = market.layout.participants
    stage = StageGame.of(market, {name: learner() for name in names})
    hopes = {
        name: stage.uniform_rivals(i) / (1.0 - delta)
        if kind != "hasty"
        else np.full(grid.size, 2.0 * stage.payoffs.max())
        for i, name in enumerate(names)
    }
    game = RepeatedGame.of(market, {name: learner(initial=tuple(hopes[name])) for name in names})
    window = 300 if kind == "hasty" else 20_000
    played = play_sessions(
        game, seed=seed, sessions=sessions, window=window, periods=20_000_000, workers=1
    )
    return Learnt(game.stage, played.best)


def play_on(
    strategies: Learnt, ticks: int, trials: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Play what was learnt, with rare trials at random prices.

    Parameters
    ----------
    strategies : Learnt
        The strategies.
    ticks : int
        T.
    trials : float
        Chance of a tick that a firm tries a random price.
    rng : numpy.random.Generator
        Where the random numbers come from.

    Returns
    -------
    tuple of array of int [T, S, N]
        Prices asked and prices that the strategies would have asked, as positions in the grid.
    """
    stage, sessions = strategies.stage, len(strategies.best)
    firms, size = stage.n, strategies.grid.size
    rules = np.stack([strategies.rule(s) for s in range(sessions)])  # [S, N, P]
    each = np.arange(sessions)
    profile = rng.integers(len(stage.payoffs), size=sessions)
    asked = np.empty((ticks, sessions, firms), dtype=np.int64)
    meant = np.empty_like(asked)
    for t in range(-200, ticks):  # the first ticks lead from a random state to the limit cycle
        wish = rules[each, :, profile]
        tries = rng.random(wish.shape) < (trials if t >= 0 else 0.0)
        now = np.where(tries, rng.integers(size, size=wish.shape), wish)
        profile = stage.profile(now)
        if t >= 0:
            asked[t], meant[t] = now, wish
    return asked, meant


def trained_again(strategies: Learnt, session: int, trainings: int, seed: int) -> Array:
    """Train the first firm again, alone, against the others' strategies.

    Parameters
    ----------
    strategies : Learnt
        The strategies.
    session : int
        Number of the session.
    trainings : int
        How many times, R.
    seed : int
        Seed of the first; the next one has the next seed.

    Returns
    -------
    array [R, 3]
        The firm's profit per tick before; what static best replies to the others' unchanged prices
        would bring; and what it earns after the training.
    """
    stage = strategies.stage
    rule = strategies.rule(session)
    strides, size = stage.strides, strategies.grid.size
    own, others = rule[0] * strides[0], (rule[1:] * strides[1:, None]).sum(axis=0)
    pay = np.ascontiguousarray(stage.payoffs[:, 0])
    profile, path = 0, []
    for t in range(200 + SHOWN):  # the first ticks lead to the limit cycle
        profile = int(own[profile] + others[profile])
        if t >= 200:
            path.append(profile)
    before = np.array(path)
    unmoved = before - (before // strides[0]) * strides[0]
    promised = pay[unmoved[:, None] + np.arange(size) * strides[0]].max(axis=1).mean()
    out = np.empty((trainings, 3))
    for k in range(trainings):
        after = train_one(
            pay,
            others,
            int(strides[0]),
            size,
            (ALPHA, 0.95, 5.0 / PERIODS_AGAIN),
            np.random.default_rng(seed + k).random((PERIODS_AGAIN, 2)),
            SHOWN,
        )
        out[k] = pay[before].mean(), promised, pay[after].mean()
    return out


@kernel
def train_one(pay, rivals, stride, size, rates, draws, shown):  # type: ignore[no-untyped-def]
    """Profiles [shown] that one Q-learner comes to against fixed rules.

    pay [P]: its payoff. rivals [P]: the others' part of the next profile. Its own part is level
    times stride. rates: step, discount, and decay of exploration a period. draws [periods, 2]:
    uniform numbers for whether to explore and what to try.
    """
    alpha, delta, decay = rates
    profiles, periods = len(pay), len(draws)
    values = np.zeros((profiles, size))
    for level in range(size):
        total, count = 0.0, 0
        for profile in range(profiles):
            if (profile // stride) % size == level:
                total += pay[profile]
                count += 1
        values[:, level] = total / count / (1.0 - delta)
    profile = 0
    out = np.empty(shown, dtype=np.int64)
    for t in range(periods + shown):
        row = profile
        level = 0
        for other in range(1, size):
            if values[row, other] > values[row, level]:
                level = other
        if t < periods and draws[t, 0] < np.exp(-decay * t):
            level = int(draws[t, 1] * size)
        profile = rivals[row] + level * stride
        if t >= periods:
            out[t - periods] = profile
        else:
            ahead = values[profile, 0]
            for other in range(1, size):
                ahead = max(ahead, values[profile, other])
            target = pay[profile] + delta * ahead
            values[row, level] += alpha * (target - values[row, level])
    return out


def _market(firms: int) -> tuple[Market, float, float]:
    """The market, and the lowest and highest price of the grid."""
    theory = LogitMarket.from_scale(
        np.full(firms, QUALITY), np.full(firms, COST), range(firms), scale=SCALE
    )
    nash, joint = float(theory.bertrand_nash().prices[0]), float(theory.joint_profit().prices[0])
    ones = np.ones(firms)
    names = [f"firm_{i + 1}" for i in range(firms)]
    demand = Logit(
        intercept=0.0, price_coefficient=1.0, quality_coefficient=1.0, relative=False, scale=SCALE
    )
    market = make_market(
        layout=Layout.dense(names, ["product"], ["firm"] * firms),
        catalogue=Catalogue(COST * ones, nash * ones, QUALITY * ones, np.inf * ones),
        execution=Expected(demand),
        quotes=PostedPrice(
            tick_size=0.0, min_margin=-1.0 + 1e-9, max_relative_change=np.inf, low=0.0, high=1e7
        ),
        arrivals=FixedMass(1.0),
    )
    reach = REACH * (joint - nash)
    return market, nash - reach, joint + reach
