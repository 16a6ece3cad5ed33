"""Two greedy sellers of the same good: what they learn depends on what they learn from.

Asker, Fershtman and Pakes, "Artificial Intelligence, Algorithm Design, and Pricing", AEA Papers
and Proceedings 112, 2022. A seller that learns only what its own price earned settles far above
competition; one who works out what every price would have earned competes.
`mos replicate asker_fershtman_pakes_2022`; what was found, and where this departs from the paper,
stands in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.common_settings import check_settings, even_prices
from experiments.free_prices import free_prices
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from experiments.sessions import sessions_played
from mos_agents.games.lowest_price_game import (
    LowestPriceGame,
    LowestPricePlayed,
    play_lowest_sessions,
)
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.demand import Cheapest
from mos_agents.market.market import Market
from mos_agents.market.types import Array, InputError, IntArray

TITLE = "Greedy sellers of one good, with and without counterfactuals (Asker et al., 2022)"
QUICK = ("sessions=100",)
SOURCE = "Asker, Fershtman and Pakes 2022"
PAPER_SESSIONS = 100
FEW = 3
"""Sellers up to which all combinations of prices have a table, and sessions can be kept."""
UPDATING = ("asynchronous", "synchronous")


@dataclass(frozen=True)
class AskerSettings:
    """The paper's market and algorithms. money: cost, choke, low, high.

    choke: no customer buys above it. levels: m prices in equal steps from low to high. W_0 is
    uniform on [initial, initial + initial_spread). updating: "asynchronous" corrects the price
    asked alone, "synchronous" every price; "both" plays both. window: periods without a change of
    any greedy price after which a session has converged; periods: the most that are played.
    """

    n: int = 2
    cost: float = 2.0
    choke: float = 10.0
    levels: int = 100
    low: float = 0.01
    high: float = 10.0
    alpha: float = 0.1
    delta: float = 0.0
    epsilon: float = 0.0
    beta: float = 0.0
    initial: float = 10.0
    initial_spread: float = 10.0
    updating: str = "both"
    periods: int = 1_000_000
    window: int = 1000
    sessions: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "n": (int, 1, 10),
                "cost": (float, 0.0, 1e6),
                "choke": (float, 0.0, 1e6),
                "levels": (int, 2, 2000),
                "low": (float, 0.0, 1e6),
                "high": (float, 0.0, 1e6),
                "epsilon": (float, 0.0, 1.0),
                "beta": (float, 0.0, 1e3),
                "initial_spread": (float, 0.0, 1e6),
                "periods": (int, 1, 10**10),
                "window": (int, 1, 10**9),
            },
            above=("alpha", "choke"),
        )
        if self.updating not in (*UPDATING, "both"):
            text = ", ".join(UPDATING)
            raise InputError(f"updating={self.updating!r} must be {text} or both")

    @property
    def prices(self) -> Array:
        """[m] the grid."""
        return even_prices(self.low, self.high, self.levels)


Settings = AskerSettings
"""What `mos replicate` sets."""


def notes(s: AskerSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    return [
        "ties: firms at equal prices share demand; of equally good prices one is drawn",
        f"grid: {s.levels} prices from {s.low:g} to {s.high:g}, steps of "
        f"{(s.high - s.low) / (s.levels - 1):.6g}; unit cost {s.cost:g}",
        "order of moves: all firms price together at every period, without a state",
        "inferred: the stopping rule, and 100 sessions for the paper's sampling error",
    ]


def market(s: AskerSettings) -> Market:
    """n firms, one good; the cheapest serves the one unit demanded, equal prices share it."""
    return free_prices(
        s.n, Cheapest(choke=s.choke), s.cost, s.high, name="asker_fershtman_pakes_2022"
    )


def learner(s: AskerSettings) -> QLearning:
    """The algorithm of all sellers, which has no state."""
    return QLearning(
        prices=tuple(s.prices.tolist()),
        relative_to="money",
        features="nothing",
        alpha=s.alpha,
        delta=s.delta,
        epsilon=s.epsilon,
        beta=s.beta,
        initial=s.initial,
        initial_spread=s.initial_spread,
    )


def game(s: AskerSettings, updating: str) -> RepeatedGame:
    """The game of few sellers; synchronous ones learn what every price would have earned."""
    one_market, bare = market(s), learner(s)
    names = one_market.layout.participants
    if updating == "asynchronous":
        return RepeatedGame.of(one_market, dict.fromkeys(names, bare))
    stage = StageGame.of(one_market, dict.fromkeys(names, bare))
    tables = {
        name: tuple(tuple(row) for row in stage.own(i).tolist()) for i, name in enumerate(names)
    }
    return RepeatedGame.of(
        one_market, {name: replace(bare, payoffs=table) for name, table in tables.items()}
    )


@dataclass(frozen=True, eq=False)
class AskerOutcome:
    """What one kind of learner came to. price: [S] what customers pay in the end, the cheapest.

    profit: [S] mean over firms. length: [S] of the limit cycle. levels: [S, n] the greedy prices,
    as positions in the grid.
    """

    levels: IntArray
    price: Array
    profit: Array
    length: Array
    periods: Array
    converged: Any


def played(s: AskerSettings, execution: ExecutionConfig, updating: str) -> AskerOutcome:
    """The sessions of one kind, played until greedy prices stay."""
    if s.n > FEW:
        return many_played(s, execution, updating)
    made = game(s, updating)
    sessions = play_sessions(
        made,
        seed=s.seed,
        sessions=s.sessions,
        periods=s.periods,
        window=s.window,
        workers=execution.workers,
        folder=execution.folder_of(updating),
        progress=execution.progress_of(f"{updating} sessions"),
        per_task=50 if s.sessions >= 100 else 1,
    )
    cycles = GreedyGame(made, sessions).cycles()
    lowest = made.stage.prices.min(axis=1)
    return AskerOutcome(
        sessions.best,
        cycles.mean(lowest),
        cycles.mean(made.stage.payoffs).mean(axis=1),
        cycles.length,
        sessions.periods,
        np.asarray(sessions.converged),
    )


def many_played(s: AskerSettings, execution: ExecutionConfig, updating: str) -> AskerOutcome:
    """The same among more sellers, by a profit function instead of a table of all combinations."""
    if execution.folder is not None:
        raise InputError(f"n={s.n}: sessions of more than {FEW} sellers are not kept in a folder")
    made = LowestPriceGame.of(market(s), learner(s), updating == "synchronous")
    plays: list[LowestPricePlayed] = sessions_played(
        execution,
        play_lowest_sessions,
        made,
        s.seed,
        s.sessions,
        s.periods,
        s.window,
        what=f"{updating} sessions",
    )
    levels = np.stack([one.level for one in plays])
    return AskerOutcome(
        levels,
        s.prices[levels.min(axis=1)],
        made.earned(levels).mean(axis=1),
        np.ones(len(plays)),  # without states and exploration prices stand still
        np.array([one.periods for one in plays]),
        np.array([one.converged for one in plays]),
    )


def nash_prices(s: AskerSettings) -> Array:
    """Prices that customers pay in equilibria of the stage game in pure strategies.

    Among many sellers, those that do not ask the lowest price are put at the top of the grid.
    """
    if s.n <= FEW:
        stage = game(s, "asynchronous").stage
        return stage.prices[stage.pure_nash()].min(axis=1)
    made, found = LowestPriceGame.of(market(s), learner(s)), []
    for lowest in range(s.levels):
        for count in range(1, s.n + 1):
            profile = np.full(s.n, s.levels - 1)
            profile[:count] = lowest
            if _is_nash(made, profile):
                found.append(s.prices[lowest])
    return np.array(found)


def _is_nash(made: LowestPriceGame, profile: IntArray) -> bool:
    """Whether neither a cheapest seller nor a dearest one gains by any other price."""
    kept = made.earned(profile)
    for i in (0, len(profile) - 1):
        other = np.tile(profile, (len(made.payoffs), 1))
        other[:, i] = np.arange(len(other))
        if made.earned(other)[:, i].max() > kept[i]:
            return False
    return True


# --- what the paper reports -----------------------------------------------------------------------


def published(s: AskerSettings) -> dict[str, Published]:
    """The paper's figures for these settings; none where it reports no such play."""
    if s != replace(AskerSettings(), sessions=s.sessions, seed=s.seed, updating=s.updating):
        return {}
    step = float(np.diff(s.prices)[0])
    found = {
        # A quantile of prices on a grid is a grid price: one step is the least that it can be off.
        f"asynchronous.price_q{q}": Published(value, SOURCE, step + 0.005)
        for q, value in ((25, 7.28), (50, 8.39), (75, 9.29))
    }
    found["synchronous.price_median"] = Published(2.13, SOURCE, 0.005)
    return found


def replicate(s: AskerSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play both kinds, and put every quantity beside the paper's."""
    found = Findings(published(s), PAPER_SESSIONS)
    kinds = UPDATING if s.updating == "both" else (s.updating,)
    for kind in kinds:
        outcome = played(s, execution, kind)
        if kind == kinds[0]:
            nash = nash_prices(s)
            for name, value in (("lowest", nash.min()), ("highest", nash.max())):
                found.exact(f"nash_price_{name}", value)
        if kind == "asynchronous":
            for at in (25, 50, 75):
                found.quantile(f"{kind}.price_q{at}", outcome.price, at / 100)
        else:
            found.quantile(f"{kind}.price_median", outcome.price, 0.5)
        found.mean(f"{kind}.price", outcome.price)
        found.mean(f"{kind}.profit", outcome.profit)
        rest = outcome.converged
        found.share(f"{kind}.converged_share", rest)
        found.share(f"{kind}.cycle_length_1_share", outcome.length == 1)
        found.mean(f"{kind}.periods_to_convergence", (outcome.periods - s.window)[rest])
    return found.all()
