"""Two sellers who take turns: do they learn to hold a price, or to undercut round and round?

Klein, "Autonomous Algorithmic Collusion: Q-Learning under Sequential Pricing", RAND Journal of
Economics 52(3), 2021; the market is Maskin and Tirole's (Econometrica 56(3), 1988).
`mos replicate klein_2021`; what was found, and where this departs from the paper, stands in
README.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from experiments.common_settings import check_settings
from experiments.free_prices import free_prices
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from mos_agents.analysis.cycles import SawTooth, edgeworth
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played, play_sessions
from mos_agents.games.strategies import Cycles, GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.demand import Cheapest
from mos_agents.market.market import Market
from mos_agents.market.schedules import Alternating
from mos_agents.market.types import Array, InputError

TITLE = "Q-learning sellers who move in turn (Klein, RAND 2021)"
QUICK = ("sessions=50",)
SOURCE = "Klein 2021"
PAPER_SESSIONS = 1000
FIRMS = ("firm_1", "firm_2")
LOOKED_AT = 600
"""Periods of the frozen play in which saw teeth are looked for."""


@dataclass(frozen=True)
class KleinSettings:
    """The paper's baseline. k: steps between the prices {0, 1/k, ..., 1}.

    periods: T; in each one firm moves. halfway: the chance to explore after T/2 periods, from
    which theta follows. tail: the last periods, over which profit is averaged. initial: Q_0.
    """

    k: int = 6
    alpha: float = 0.3
    delta: float = 0.95
    periods: int = 500_000
    halfway: float = 1e-3
    tail: int = 1000
    initial: float = 0.0
    cost: float = 0.0
    sessions: int = PAPER_SESSIONS
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "k": (int, 2, 500),
                "periods": (int, 2, 10**10),
                "halfway": (float, 0.0, 1.0),
                "tail": (int, 2, 10**6),
                "cost": (float, 0.0, 0.999),
            },
            above=("alpha", "halfway"),
        )
        if self.tail > self.periods:
            raise InputError(f"tail={self.tail} must be at most periods={self.periods}")

    @property
    def theta(self) -> float:
        """The chance to explore is (1 - theta)^t, with (1 - theta)^(T / 2) = halfway."""
        return 1.0 - math.exp(-self.beta)

    @property
    def beta(self) -> float:
        """-ln(1 - theta)."""
        return -math.log(self.halfway) * 2.0 / self.periods

    @property
    def prices(self) -> Array:
        """[k + 1] the grid."""
        return np.arange(self.k + 1) / self.k


Settings = KleinSettings
"""What `mos replicate` sets."""


def notes(s: KleinSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    return [
        "ties: firms at equal prices share demand; of equally good prices one is drawn when a "
        "state is first met",
        f"grid: {s.k + 1} prices from 0 to 1, steps of 1/{s.k}; unit cost {s.cost:g}",
        "order of moves: one firm a period, in turn, seeing the other's price; both begin at "
        f"{s.prices[s.k // 2]:g}",
    ]


def market(s: KleinSettings) -> Market:
    """Two firms, one good; the cheaper serves all of 1 - p, equal prices share it."""
    return free_prices(
        FIRMS,
        Cheapest(slope=1.0),
        s.cost,
        s.prices[s.k // 2],
        schedule=Alternating(),
        name="klein_2021",
    )


def learner(s: KleinSettings) -> QLearning:
    """Either firm's algorithm: the state is the rival's price.

    Rewards between two own moves are discounted and summed, so a move's target is the paper's
    pi_t + delta pi_{t+1} + delta^2 max Q.
    """
    return QLearning(
        prices=tuple(s.prices.tolist()),
        relative_to="money",
        features="rivals",
        alpha=s.alpha,
        delta=s.delta,
        beta=s.beta,
        initial=s.initial,
    )


@dataclass(frozen=True, eq=False)
class KleinOutcome:
    """Everything that a play came to."""

    settings: KleinSettings
    game: RepeatedGame
    played: Played
    greedy: GreedyGame
    cycles: Cycles

    def at_joint_maximum(self) -> Array:
        """[S] whether both ask, for ever, one price at which their profits sum to the most."""
        stage = self.game.stage
        total = stage.payoffs.sum(axis=1)
        one_price = np.ptp(stage.prices, axis=1) == 0.0
        there = one_price & (total >= total.max() - 1e-12)
        return self.everywhere(there)

    def everywhere(self, holds: Array) -> Array:
        """[S] whether something that holds of profiles [P] holds all along the cycle."""
        whole: Array = np.logical_and.reduceat(holds[self.cycles.profile], self.cycles.start[:-1])
        return whole

    def saw_tooth(self) -> Array:
        """[S] whether both firms' own moves are an Edgeworth cycle: small cuts, one steep rise.

        A firm moves in every second period, so each is looked at in the periods of its own moves.
        """
        at = self.cycles.start[:-1]
        path = self.greedy.paths(self.cycles, LOOKED_AT, at=at)  # [S, T]
        prices = np.moveaxis(self.game.stage.prices[path], 0, 1)  # [T, S, n]
        found = [edgeworth(prices[first:], SawTooth(every=2)).found for first in range(2)]
        waits = (np.arange(2) - self.cycles.phase[at][:, None]) % 2  # [S, n] periods to the move
        by_firm = np.where(waits == 0, found[0], found[1])
        whole: Array = by_firm.all(axis=1)
        return whole


def played(s: KleinSettings, execution: ExecutionConfig) -> KleinOutcome:
    """The sessions of these settings, T periods each; then their strategies without exploration."""
    firm = learner(s)
    game = RepeatedGame.of(market(s), dict.fromkeys(FIRMS, firm))
    sessions = play_sessions(
        game,
        seed=s.seed,
        sessions=s.sessions,
        periods=s.periods,
        window=0,
        tail=s.tail,
        workers=execution.workers,
        folder=execution.folder_of("sessions"),
        progress=execution.progress_of("sessions"),
        per_task=10 if s.sessions >= 100 else 1,
    )
    greedy = GreedyGame(game, sessions)
    return KleinOutcome(s, game, sessions, greedy, greedy.cycles())


# --- what the paper reports -----------------------------------------------------------------------


def published(s: KleinSettings) -> dict[str, Published]:
    """The paper's figures for these settings; none where it reports no such play."""
    if s != replace(KleinSettings(), sessions=s.sessions, seed=s.seed):
        return {}
    return {
        "profit": Published(0.108, f"{SOURCE}, k = 6", 0.0005),
        "exact_nash_share": Published(0.667, f"{SOURCE}, k = 6", 0.0005),
        "joint_maximum_share": Published(0.241, f"{SOURCE}, k = 6: 241 of 1000 runs"),
    }


def replicate(s: KleinSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play, and put every quantity beside the paper's."""
    outcome = played(s, execution)
    found = Findings(published(s), PAPER_SESSIONS)
    stage, cycles = outcome.game.stage, outcome.cycles
    found.exact("joint_profit", stage.payoffs.sum(axis=1).max() / 2.0)
    found.mean("profit", outcome.played.late.mean(axis=1))
    judged = outcome.greedy.judged(cycles)
    found.share("exact_nash_share", judged.exact_nash())
    found.share("one_shot_nash_share", judged.one_shot_nash())
    found.mean("best_reply_loss", judged.loss.mean(axis=1))
    found.share("joint_maximum_share", outcome.at_joint_maximum())
    found.share("edgeworth_share", outcome.saw_tooth())
    found.share("constant_price_share", cycles.length == 1)
    found.mean("cycle_length", cycles.length)
    found.mean("market_price", cycles.mean(stage.prices.min(axis=1)))
    return found.all()
