"""Two greedy sellers of the same good: what they learn depends on what they learn from.

Asker, Fershtman and Pakes, "Artificial Intelligence, Algorithm Design, and Pricing", AEA Papers
and Proceedings 112, 2022. A seller who only hears what its own price earned settles far above
competition; one who works out what every price would have earned competes.
`mos replicate asker_fershtman_pakes_2022`; what was found, and where this departs from the paper,
stands in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.common_settings import check_settings, even_prices
from experiments.free_prices import free_prices
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played, play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.demand import Cheapest
from mos_agents.market.market import Market
from mos_agents.market.types import Array, InputError

TITLE = "Greedy sellers of one good, with and without counterfactuals (Asker et al., 2022)"
QUICK = ("sessions=100",)
SOURCE = "Asker, Fershtman and Pakes 2022"
PAPER_SESSIONS = 100
UPDATING = ("asynchronous", "synchronous")


@dataclass(frozen=True)
class AskerSettings:
    """The paper's market and algorithms. money: cost, choke, low, high.

    choke: nobody buys above it. levels: m prices in equal steps from low to high. W_0 is uniform on
    [initial, initial + initial_spread). updating: "asynchronous" corrects the price asked alone,
    "synchronous" every price; "both" plays both. window: periods without a change of any greedy
    price after which a session has converged; periods: the most that are played.
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
                "n": (int, 1, 6),
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


def game(s: AskerSettings, updating: str) -> RepeatedGame:
    """Stateless learners; synchronous ones are told what every price would have earned."""
    one_market = market(s)
    names = one_market.layout.participants
    bare = QLearning(
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
    """What one kind of learner came to. price: [S] what customers pay in the end, the cheapest."""

    game: RepeatedGame
    played: Played
    price: Array
    profit: Array  # [S] mean over firms
    length: Array  # [S] of the limit cycle


def played(s: AskerSettings, execution: ExecutionConfig, updating: str) -> AskerOutcome:
    """The sessions of one kind, played until greedy prices stay."""
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
        made,
        sessions,
        cycles.mean(lowest),
        cycles.mean(made.stage.payoffs).mean(axis=1),
        cycles.length,
    )


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
            stage = outcome.game.stage
            nash = stage.prices[stage.pure_nash()].min(axis=1)
            for name, value in (("lowest", nash.min()), ("highest", nash.max())):
                found.exact(f"nash_price_{name}", value)
        if kind == "asynchronous":
            for at in (25, 50, 75):
                found.quantile(f"{kind}.price_q{at}", outcome.price, at / 100)
        else:
            found.quantile(f"{kind}.price_median", outcome.price, 0.5)
        found.mean(f"{kind}.price", outcome.price)
        found.mean(f"{kind}.profit", outcome.profit)
        rest = np.asarray(outcome.played.converged)
        found.share(f"{kind}.converged_share", rest)
        found.share(f"{kind}.cycle_length_1_share", outcome.length == 1)
        found.mean(f"{kind}.periods_to_convergence", (outcome.played.periods - s.window)[rest])
    return found.all()
