"""Two sellers' Q-learning against each other: do they come to ask more than competition would?

Calvano, Calzolari, Denicolò and Pastorello, "Artificial Intelligence, Algorithmic Pricing, and
Collusion", American Economic Review 110(10), 2020. `mos replicate calvano_2020`; what was found,
and where this departs from the paper, stands in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.common_settings import check_settings
from experiments.free_prices import free_prices
from experiments.replication import (
    ExecutionConfig,
    Finding,
    Findings,
    Published,
)
from mos_agents.analysis.collusion import Benchmarks
from mos_agents.analysis.impulse import (
    Deviation,
    ReturnTime,
    profitability,
    punishment,
    response,
)
from mos_agents.games.deviations import deviate
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import LONGEST, WINDOW, Played, play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import Cycles, GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.checks import is_real
from mos_agents.market.demand import Logit
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.market import Market
from mos_agents.market.types import Array, InputError, IntArray

TITLE = "Q-learning sellers in a logit market (Calvano et al., AER 2020)"
QUICK = ("sessions=20",)
SOURCE = "Calvano et al. 2020"
PAPER_SESSIONS = 1000


@dataclass(frozen=True)
class CalvanoSettings:
    """The paper's baseline. quality (a) and cost (c): one number, or one for each of the n firms.

    mu, quality, cost, outside (a_0): money. levels: m prices on [p_N - xi (p_M - p_N),
    p_M + xi (p_M - p_N)], each firm's own. memory: periods that a state holds. window: periods
    without a change of any greedy price after which a session has converged.
    """

    n: int = 2
    alpha: float = 0.15
    beta: float = 4e-6
    delta: float = 0.95
    mu: float = 0.25
    quality: float | tuple[float, ...] = 2.0
    cost: float | tuple[float, ...] = 1.0
    outside: float = 0.0
    levels: int = 15
    xi: float = 0.1
    memory: int = 1
    sessions: int = PAPER_SESSIONS
    seed: int = 0
    periods: int = LONGEST
    window: int = WINDOW

    def __post_init__(self) -> None:
        if self.n == 1 and not isinstance(self.n, bool):
            raise InputError(
                "n=1: a monopolist's Nash price is its joint-profit price, so there is no grid "
                "from one to the other and no profit gain; set n >= 2"
            )
        check_settings(
            self,
            {
                "xi": (float, 0.0, 10.0),
                "memory": (int, 0, 2),
            },
            above=("alpha",),
            unchecked=("cost",),
        )
        if self.beta == 0.0 and self.periods == LONGEST:
            raise InputError("beta=0 explores for ever: set periods, or beta > 0")
        for name in ("quality", "cost"):
            self.each(name)

    def each(self, name: str) -> Array:
        """[n] a setting that is one number or one a firm."""
        given = getattr(self, name)
        listed = given if isinstance(given, tuple | list) else (given,)
        fine = len(listed) in (1, self.n) and all(is_real(one) for one in listed)
        if not fine or not all(abs(one) <= 1e6 for one in listed):
            raise InputError(
                f"{name}={given!r} must be one number in [-1e6, 1e6], or one "
                f"for each of the {self.n} firms"
            )
        return np.broadcast_to(np.array(listed, dtype=np.float64), (self.n,)).copy()


Settings = CalvanoSettings
"""What `mos replicate` sets."""


def notes(s: CalvanoSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    seen = "without a state" if s.memory == 0 else f"seeing all prices of {s.memory} last periods"
    return [
        "ties: of equally good prices one is drawn when a state is first met; later the first to "
        "be better",
        f"grid: {s.levels} prices for each firm, equally spaced from p_N - {s.xi:g} (p_M - p_N) to "
        f"p_M + {s.xi:g} (p_M - p_N)",
        f"order of moves: all firms price together at every period, {seen}; first prices are those "
        "nearest to p_N",
    ]


def benchmarks(s: CalvanoSettings) -> Benchmarks:
    """Prices and profits of theory. Raises EquilibriumError, in one line, where none are found."""
    one_market = LogitMarket.from_scale(
        s.each("quality"), s.each("cost"), np.arange(s.n), s.mu, outside_utility=s.outside
    )
    nash, joint = one_market.bertrand_nash(), one_market.joint_profit()
    return Benchmarks.of(nash, joint)


def market(s: CalvanoSettings) -> Market:
    """One product of each firm; a unit of consumers chooses among them, or buys nothing."""
    demand = Logit(
        intercept=0.0,
        price_coefficient=1.0,
        quality_coefficient=1.0,
        relative=False,
        outside=s.outside,
        scale=s.mu,
    )
    opening = benchmarks(s).price_nash
    return free_prices(s.n, demand, s.each("cost"), opening, s.each("quality"), name="calvano_2020")


def learners(s: CalvanoSettings, one_market: Market) -> dict[str, QLearning]:
    """The firms' algorithms: every firm reads all prices on the grids of their owners."""
    b = benchmarks(s)
    reach = s.xi * (b.price_joint - b.price_nash)
    low, high = b.price_nash - reach, b.price_joint + reach
    grids = low[:, None] + np.arange(s.levels) / (s.levels - 1) * (high - low)[:, None]
    if not (np.diff(grids, axis=1) > 0.0).all() or (grids < 0.0).any():
        raise InputError(
            f"xi={s.xi!r}: prices from {low.round(4).tolist()} to {high.round(4).tolist()} are no "
            "grid of rising prices >= 0; give another xi"
        )
    names = one_market.layout.participants

    def bare(i: int, **more: Any) -> QLearning:
        others = tuple(tuple(grids[j].tolist()) for j in range(s.n) if j != i)
        return QLearning(
            prices=tuple(grids[i].tolist()),
            relative_to="money",
            rival_prices=others,
            features="nothing" if s.memory == 0 else "all",
            periods=max(s.memory, 1),
            alpha=s.alpha,
            beta=s.beta,
            delta=s.delta,
            **more,
        )

    stage = StageGame.of(one_market, {name: bare(i) for i, name in enumerate(names)})
    return {
        name: bare(i, initial=tuple((stage.uniform_rivals(i) / (1.0 - s.delta)).tolist()))
        for i, name in enumerate(names)
    }


@dataclass(frozen=True, eq=False)
class CalvanoOutcome:
    """Everything that a play came to."""

    settings: CalvanoSettings
    game: RepeatedGame
    played: Played
    greedy: GreedyGame
    cycles: Cycles
    benchmarks: Benchmarks

    @property
    def profit_gain(self) -> Array:
        """[S] Delta, averaged over firms: (mean profit - Nash) / (joint profit - Nash)."""
        b = self.benchmarks
        earned = self.cycles.mean(self.game.stage.payoffs).mean(axis=1)
        nash, joint = b.profit_nash.mean(), b.profit_joint.mean()
        gain: Array = (earned - nash) / (joint - nash)
        return gain


def played(s: CalvanoSettings, execution: ExecutionConfig) -> CalvanoOutcome:
    """The sessions of these settings, played to their ends."""
    one_market = market(s)
    game = RepeatedGame.of(one_market, learners(s, one_market))
    sessions = play_sessions(
        game,
        seed=s.seed,
        sessions=s.sessions,
        periods=s.periods,
        window=s.window,
        workers=execution.workers,
        folder=execution.folder_of("sessions"),
        progress=execution.progress_of("sessions"),
        per_task=10 if s.sessions >= 100 else 1,
    )
    greedy = GreedyGame(game, sessions)
    return CalvanoOutcome(s, game, sessions, greedy, greedy.cycles(), benchmarks(s))


# --- what the paper reports -----------------------------------------------------------------------


def published(s: CalvanoSettings) -> dict[str, Published]:
    """The paper's figures for these settings; none where it reports no such play."""
    base = replace(CalvanoSettings(), sessions=s.sessions, seed=s.seed)
    found: dict[str, Published] = {}

    def publish(quantity: str, value: float, where: str, half: float) -> None:
        found[quantity] = Published(value, f"{SOURCE}, {where}", half)

    if s == base:
        publish("profit_gain", 0.849, "baseline", 0.0005)
        publish("profit_gain_sd", 0.112, "baseline", 0.0005)
        publish("cycle_length_1_share", 0.643, "baseline", 0.0005)
        publish("cycle_length_2_share", 0.238, "baseline", 0.0005)
        publish("unprofitable_deviation_share", 0.936, "baseline, one-period deviations", 0.0005)
        publish("one_shot_nash_share", 0.505, "baseline, equilibrium play", 0.0005)
        publish("punishment_length", 6.0, "impulse response: 5 to 7 periods", 1.0)
        publish("rival_cut_at_2", 0.127, "impulse response", 0.0005)
        found["periods_to_convergence"] = Published(
            1.77e6, "an independent measurement; the paper says more than 1.5 million", 5e3
        )
    elif s == replace(base, n=3):
        publish("profit_gain", 0.643, "n = 3", 0.0005)
    elif s == replace(base, n=3, alpha=0.05, beta=2.4e-7):
        publish("profit_gain", 0.750, "n = 3, alpha .05, beta 2.4e-7", 0.0005)
    elif s in (replace(base, cost=(1.0, 0.5)), replace(base, cost=(0.5, 1.0))):
        publish("profit_gain", 0.759, "c_2 = .5", 0.0005)
    prices = {2: (1.472927, 1.924981), 3: (1.370163, 2.0), 4: (1.331461, 2.054411)}
    profits = {2: (0.222927, 0.337490), 3: (0.120163, 0.25), 4: (0.081461, 0.201103)}
    same = CalvanoSettings(n=s.n)
    if s.n in prices and all(
        getattr(s, k) == getattr(same, k) for k in ("mu", "quality", "cost", "outside")
    ):
        for name, values in (("price", prices), ("profit", profits)):
            for kind, value in zip(("nash", "joint"), values[s.n], strict=True):
                publish(f"{kind}_{name}", value, "first-order conditions", 5e-7)
    return found


def replicate(s: CalvanoSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play, and put every quantity beside the paper's."""
    outcome = played(s, execution)
    found = Findings(published(s), PAPER_SESSIONS)
    b, cycles, sessions = outcome.benchmarks, outcome.cycles, outcome.played
    theory = {
        "nash_price": b.price_nash,
        "joint_price": b.price_joint,
        "nash_profit": b.profit_nash,
        "joint_profit": b.profit_joint,
    }
    for name, values in theory.items():
        if np.ptp(values) <= 1e-9:
            found.exact(name, values[0])
        else:
            for i, value in enumerate(values):
                found.exact(f"{name}.firm_{i + 1}", value)
    gain = outcome.profit_gain
    found.mean("profit_gain", gain)
    found.deviation("profit_gain_sd", gain)
    found.share("cycle_length_1_share", cycles.length == 1)
    found.share("cycle_length_2_share", cycles.length == 2)
    found.share("converged_share", sessions.converged)
    found.mean(
        "periods_to_convergence", (sessions.periods - s.window)[np.asarray(sessions.converged)]
    )
    mean_price = cycles.mean(outcome.game.stage.prices).mean(axis=1)
    found.mean("mean_price", mean_price)
    found.mean("rpdi", (mean_price - b.price_nash.mean()) / np.mean(b.price_joint - b.price_nash))
    if s.memory == 1:
        judged = outcome.greedy.judged(cycles)
        found.share("one_shot_nash_share", judged.one_shot_nash())
        found.share("exact_nash_share", judged.exact_nash())
        found.mean("best_reply_loss", judged.loss.mean(axis=1))
    deviations(outcome, found)
    return found.all()


def deviations(outcome: CalvanoOutcome, found: Findings) -> None:
    """One firm cuts to its static best reply for one period; and, the other way, asks more.

    A case is a firm and a point of its session's cycle; where the firm asks that price already,
    nothing happens, and the case counts as one without a loss and without a reaction.
    """
    sessions, firms = len(outcome.played), outcome.settings.n
    cases = (firms * outcome.cycles.length).astype(np.float64)
    for to, prefix in (("best_reply", ""), ("up", "up_")):
        made = [punished(outcome, i, to) for i in range(firms)]
        rows = {key: np.concatenate([one[key] for one in made]) for key in made[0]}
        at = rows["session"]
        if not len(at):
            continue

        def total(values: Array, at: Array = at) -> Array:
            """[S, ...] sums over each session's deviations."""
            out = np.zeros((sessions, *values.shape[1:]))
            np.add.at(out, at, values)
            return out

        reaction = total(rows["reaction"])  # [S, tau]
        found.share_of_cases(
            f"{prefix}unprofitable_deviation_share", total(rows["unprofitable"]), cases
        )
        found.ratio(f"{prefix}rival_cut_at_2", -reaction[:, 1], cases)
        rng = np.random.default_rng(outcome.settings.seed)
        again = []
        for _ in range(200):
            drawn = rng.integers(0, sessions, sessions)
            again.append(punishment_length(reaction[drawn].sum(axis=0) / cases[drawn].sum()))
        length = punishment_length(reaction.sum(axis=0) / cases.sum())
        seen = reaction.shape[1] - 1
        found.duration(f"{prefix}punishment_length", length, float(np.std(again)), sessions, seen)
        made_here = np.bincount(at, minlength=sessions)
        some = made_here > 0
        by_session = {
            name: total(rows[name])[some] / made_here[some]
            for name in ("unprofitable", "length", "returned")
        }
        found.mean_share(f"{prefix}unprofitable_by_session", by_session["unprofitable"])
        cut_off = bool((by_session["returned"] < 1.0).any())
        found.mean_duration(f"{prefix}periods_away", by_session["length"], cut_off)
        found.mean_share(f"{prefix}returned_share", by_session["returned"])


def punishment_length(reaction: Array, tolerance: float = 0.01) -> int:
    """Periods in which the rivals' mean price change [tau] is a cut of more than `tolerance`.

    Counted as in the paper's figure of the average response: from tau = 2, the first in which
    rivals can answer, until the cut is first within the tolerance.
    """
    back = np.flatnonzero(reaction[1:] >= -tolerance)
    return int(back[0]) if back.size else len(reaction) - 1


def deviation(outcome: CalvanoOutcome, player: int, to: str) -> tuple[Deviation | None, IntArray]:
    """Forcing one firm for a period, from every point of every cycle; and of which session each.

    None where the firm asks that price everywhere already.
    """
    paths = deviate(outcome.greedy, outcome.cycles, player, to=to)
    if not paths.session.size:
        return None, paths.session
    pair = Deviation(
        paths.prices,
        paths.undeviated_prices,
        paths.profits,
        paths.undeviated_profits,
        paths.shock,
        player,
    )
    return pair, paths.session


def punished(outcome: CalvanoOutcome, player: int, to: str) -> dict[str, Array]:
    """What came of forcing one firm, a row for each deviation."""
    pair, session = deviation(outcome, player, to)
    if pair is None:
        nothing = dict.fromkeys(("unprofitable", "length", "returned"), np.empty(0))
        return nothing | {"session": np.empty(0, np.int64), "reaction": np.empty((0, 30))}
    back = punishment(pair, ReturnTime(to="cycle"))
    gain = profitability(pair, outcome.settings.delta)
    return {
        "session": session,
        "unprofitable": gain.unprofitable.astype(float),
        "length": back.length.astype(float),
        "returned": back.returned.astype(float),
        "reaction": response(pair).rivals[pair.shock : pair.shock + 30].T,
    }
