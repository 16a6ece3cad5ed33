"""Firms that reprice at different paces: prices above competition without collusion.

Brown and MacKay, "Competition in Pricing Algorithms", American Economic Journal: Microeconomics
15(2), 2023. `mos replicate brown_mackay_2023`; what was found, and what is inferred, stands in
README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.brown_mackay_2023.theory import (
    LinearDemand,
    LogitDemand,
    PacePrices,
    best_replies,
    equilibrium,
)
from experiments.common_settings import check_settings, even_prices
from experiments.free_prices import free_prices
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from mos_agents.games.stage_game import StageGame
from mos_agents.learners import EpsilonGreedyBandit, QLearning
from mos_agents.market.demand import Logit
from mos_agents.market.market import Market
from mos_agents.market.schedules import Periodic
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies import Policy
from mos_agents.rollout.episode import transitions
from mos_agents.tasks import TasksStopped

KEEPS = False
TITLE = "Firms that reprice at different paces (Brown and MacKay, AEJ Micro 2023)"
QUICK = ("learners=false",)
MEASURED = "first-order conditions, derived and solved independently"
LEARNERS_UP_TO = 10
"""The most moves of a fast firm in a slow period for which learners are played."""
MOST_LEARNERS = 2
OF_LINEAR, OF_LOGIT = ("a", "b", "d"), ("quality", "mu", "outside")


@dataclass(frozen=True)
class PaceSettings:
    """slow firms set prices every slow_period ticks, fast ones every fast_period, at tick 0 all.

    demand: logit with quality, mu and outside, or linear, q_i = a - b p_i + d (rivals' prices).
    cost: of a unit, money; None is 1 with logit and 0 with linear demand. learners: whether slow
    firms that learn are played, `moves` moves each, trying prices with chance exp(-beta move).
    levels: prices of their grid. xi: how far the grid reaches beyond the Bertrand price and the
    price of a slow firm that leads, as a share of their distance.
    """

    slow_period: int = 2
    fast_period: int = 1
    slow: int = 1
    fast: int = 1
    demand: str = "logit"
    quality: float = 2.0
    mu: float = 0.25
    outside: float = 0.0
    a: float = 1.0
    b: float = 1.0
    d: float = 0.5
    cost: float | None = None
    learners: bool = True
    beta: float = 4e-3
    levels: int = 15
    xi: float = 0.25
    moves: int = 2500
    sessions: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("mu", "b", "beta")
        check_settings(
            self,
            {
                "slow_period": (int, 1, 10**12),
                "fast_period": (int, 1, 10**12),
                "slow": (int, 1, 100),
                "fast": (int, 1, 100),
                "quality": (float, -1e3, 1e3),
                "mu": (float, 1e-2, 1e3),
                "a": (float, -1e6, 1e6),
                "b": (float, 0.0, 1e6),
                "d": (float, 0.0, 1e6),
                "levels": (int, 3, 100),
                "xi": (float, 0.0, 10.0),
                "moves": (int, 1, 10**9),
                "sessions": (int, 1, 10**4),
            },
            above=positive,
            unchecked=("cost",) if self.cost is None else (),
        )
        if self.demand not in ("logit", "linear"):
            raise InputError(f"demand={self.demand!r} must be logit or linear")
        if self.learners not in (False, True):
            raise InputError(f"learners={self.learners!r} must be False or True")
        if self.slow_period % self.fast_period:
            raise InputError(
                f"slow_period={self.slow_period} must be a multiple of fast_period="
                f"{self.fast_period}: fast firms move whenever slow ones do"
            )
        unused = OF_LOGIT if self.demand == "linear" else OF_LINEAR
        for name in unused:
            if getattr(self, name) != getattr(PaceSettings, name):
                raise InputError(
                    f"{name}={getattr(self, name)!r}: demand={self.demand} has no such setting; "
                    "leave it out"
                )
        self.theory  # noqa: B018 - refuses demand without an equilibrium

    @property
    def lead(self) -> float:
        """L, the share of ticks in which the fast firms have answered a new slow price."""
        return (self.slow_period - self.fast_period) / self.slow_period

    @property
    def theory(self) -> LinearDemand | LogitDemand:
        """Demand, as theory has it."""
        cost = float(self.demand == "logit") if self.cost is None else float(self.cost)
        if self.demand == "linear":
            return LinearDemand(self.slow, self.fast, self.a, self.b, self.d, cost)
        return LogitDemand(self.slow, self.fast, self.quality, self.mu, self.outside, cost)

    @property
    def plays_learners(self) -> bool:
        """Whether learners are played at these settings."""
        few = self.slow + self.fast <= MOST_LEARNERS and self.demand == "logit"
        return bool(self.learners) and few and self.slow_period <= LEARNERS_UP_TO


Settings = PaceSettings
"""What `mos replicate` sets."""


def notes(s: PaceSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    lines = [
        f"order of moves: {s.slow} slow every {s.slow_period:,} ticks, {s.fast} fast every "
        f"{s.fast_period:,}, all at tick 0; together at common dates; L = (T - m) / T = {s.lead:g}",
        "inferred: the conditions are derived here from commitment to a schedule; no text of the "
        "paper was at hand",
    ]
    if not s.plays_learners:
        return [
            "ties: none, since demand is smooth",
            "grid: none; prices are continuous",
            *lines,
            "learners: not played; they are for logit demand, up to "
            f"{MOST_LEARNERS} firms and slow_period / fast_period up to {LEARNERS_UP_TO}",
        ]
    low, high = ends(s)
    return [
        "ties: none in theory; of equally good prices a learner draws one",
        f"grid: prices are continuous in theory; learners have {s.levels} prices from {low:.6g} to "
        f"{high:.6g}, steps of {(high - low) / (s.levels - 1):.4g}",
        *lines,
        "learners: fast firms best reply to the last prices, within the grid; slow firms learn a "
        "price for each fast price that they have seen; a period is counted in moves of fast "
        "firms, since only L matters",
    ]


def ends(s: PaceSettings) -> tuple[float, float]:
    """The ends of the learners' grid."""
    low, high = (equilibrium(s.theory, lead).slow_price for lead in (0.0, 1.0))
    reach = s.xi * (high - low)
    return low - reach, high + reach


# --- learners -------------------------------------------------------------------------------------


def market(s: PaceSettings) -> Market:
    """The slow firms, then the fast ones; a unit of consumers chooses among their products."""
    demand = Logit(0.0, 1.0, 1.0, relative=False, outside=s.outside, scale=s.mu)
    names = [f"slow_{i + 1}" for i in range(s.slow)] + [f"fast_{i + 1}" for i in range(s.fast)]
    periods = (s.slow_period // s.fast_period,) * s.slow + (1,) * s.fast  # only L matters
    low, high = ends(s)
    opening = low + (s.levels // 2) / (s.levels - 1) * (high - low)
    return free_prices(
        names,
        demand,
        s.theory.cost,
        opening,
        s.quality,
        schedule=Periodic(periods),
        name="brown_mackay_2023",
    )


def policies(s: PaceSettings, one_market: Market, foresees: bool) -> dict[str, Policy]:
    """Fast firms best reply to the last prices; slow ones learn, having seen the lowest of them.

    foresees: slow firms learn from their profit until their next move. Otherwise they learn from
    their profit in the first tick alone.
    """
    low, high = ends(s)
    grid = tuple(even_prices(low, high, s.levels).tolist())
    names = one_market.layout.participants
    more = {"prices": grid, "relative_to": "money"}
    explores = {"epsilon": 1.0, "beta": s.beta, "explore_per": "move", "features": "cheapest"}
    bare = QLearning(features="nothing", alpha=1.0, delta=0.0, epsilon=0.0, **more)
    stage = StageGame.of(one_market, dict.fromkeys(names, bare))
    slow: Policy = EpsilonGreedyBandit(**explores, **more)
    if not foresees:
        slow = QLearning(alpha=1.0, delta=0.0, **explores, **more)
    made: dict[str, Policy] = {}
    for i, name in enumerate(names):
        # A fast firm corrects the value of every price at once, by the rivals' last prices.
        table = tuple(tuple(row) for row in stage.own(i).tolist())
        made[name] = slow if name.startswith("slow") else replace(bare, payoffs=table)
    return made


def on_the_grid(s: PaceSettings) -> float | None:
    """The price of one slow firm in theory where all prices are on the learners' grid; or None.

    None where the grid has several such prices, or none, and with several slow firms.
    """
    if s.slow > 1:
        return None
    one_market = market(s)
    fast = policies(s, one_market, True)
    stage = StageGame.of(one_market, fast)  # type: ignore[arg-type]
    levels, replies = range(s.levels), []
    for level in levels:
        at = np.full(stage.n, level)
        for _ in range(100):
            own = [
                stage.payoffs[stage.profile(_others(at, i, s.levels)), i] for i in range(1, stage.n)
            ]
            best = [int(values.argmax()) for values in own]
            if best == at[1:].tolist():
                break
            at[1:] = best
        replies.append(at[1:].copy())
    earned = np.array(
        [[stage.payoffs[stage.profile([b, *reply]), 0] for b in levels] for reply in replies]
    )
    answered = earned.diagonal()
    counted = (1.0 - s.lead) * earned + s.lead * answered
    kept = np.flatnonzero(counted.argmax(axis=1) == np.arange(s.levels))
    low, high = ends(s)
    return low + int(kept[0]) / (s.levels - 1) * (high - low) if kept.size == 1 else None


def _others(at: IntArray, i: int, levels: int) -> IntArray:
    """[m, n] all levels of player i beside the others' levels."""
    found = np.tile(at, (levels, 1))
    found[:, i] = np.arange(levels)
    return found


def learnt(s: PaceSettings, execution: ExecutionConfig, what: str, foresees: bool) -> Array:
    """[S, 4] slow price, fast price, slow profit and fast profit, in the last slow period."""
    one_market = market(s)
    pace = s.slow_period // s.fast_period
    ticks = s.moves * pace
    totals = np.zeros((2, s.sessions, s.slow + s.fast))
    played = transitions(
        one_market,
        policies(s, one_market, foresees),
        seed=s.seed,
        ticks=ticks,
        markets=s.sessions,
    )
    tell = execution.progress_of(f"moves of slow firms ({what})")
    for tick, transition in enumerate(played):
        if tick % (pace * 1000) == 0 and tell(tick // pace, s.moves):
            raise TasksStopped
        if tick >= ticks - pace:
            totals += transition.step.info.quotes.ask, transition.step.reward
    tell(s.moves, s.moves)
    parts = [part for table in totals / pace for part in np.split(table, [s.slow], axis=1)]
    return np.stack([part.mean(axis=1) for part in parts], axis=1)


# --- what theory says -----------------------------------------------------------------------------

SOLVED = {
    ("linear", 0.0): (0.666667, 0.666667, None, None),
    ("linear", 0.5): (0.689655, 0.672414, None, None),
    ("logit", 0.0): (1.47293, 1.47293, 0.222927, 0.222927),
    ("logit", 0.5): (1.54122, 1.50211, 0.232387, 0.252105),
}
"""Slow price, fast price and their profits by demand and L, one slow and one fast firm."""
LEADING = {
    "linear": (0.714286, 0.678571, 0.446429, 0.460459),
    "logit": (1.63844, 1.54457, 0.237236, 0.294568),
}
"""The same at L = 1."""
COLUMNS = ("slow_price", "fast_price", "slow_profit", "fast_profit")


def published(s: PaceSettings) -> dict[str, Published]:
    """An independent solution of the same conditions, where there is one."""
    found: dict[str, Published] = {}
    here = {name: getattr(s, name) for name in ("slow_period", "fast_period", "demand")}
    numbers = (*OF_LINEAR, *OF_LOGIT, "cost", "slow", "fast")
    default = PaceSettings(**here)
    if any(getattr(s, name) != getattr(default, name) for name in numbers):
        return found

    def note(prefix: str, values: tuple[float | None, ...]) -> None:
        for name, value in zip(COLUMNS, values, strict=True):
            if value is not None:
                half = 5e-6 if value > 1.0 else 5e-7
                found[f"{prefix}{name}"] = Published(value, MEASURED, half)

    if (s.demand, s.lead) in SOLVED:
        note("", SOLVED[s.demand, s.lead])
    note("leading_", LEADING[s.demand])
    bertrand = SOLVED[s.demand, 0.0][0]
    assert bertrand is not None
    found["bertrand_price"] = Published(bertrand, MEASURED, 5e-6 if bertrand > 1.0 else 5e-7)
    return found


def replicate(s: PaceSettings, execution: ExecutionConfig) -> list[Finding]:
    """Solve, play, and put every quantity beside theory."""
    theory = s.theory
    prices, bertrand, leading = (equilibrium(theory, lead) for lead in (s.lead, 0.0, 1.0))
    rows: list[tuple[str, Array]] = []
    told = published(s)
    if s.plays_learners:
        step = (ends(s)[1] - ends(s)[0]) / (s.levels - 1)
        for foresees, prefix in ((True, "learnt_"), (False, "myopic_learnt_")):
            values = learnt(s, execution, prefix.strip("_").replace("_", " "), foresees)
            rows += [(prefix + name, values[:, i]) for i, name in enumerate(COLUMNS)]
            lead = s.lead if foresees else 0.0
            target = on_the_grid(replace(s, slow_period=s.fast_period) if lead == 0.0 else s)
            if target is not None:
                text = f"theory on the learners' grid at L = {lead:.4g}, steps of {step:.4g}"
                told[f"{prefix}slow_price"] = Published(target, text, step, 0.0)
    found = Findings(told, s.sessions)
    found.exact("lead", s.lead)
    for prefix, one in (("", prices), ("leading_", leading)):
        for name in COLUMNS:
            found.exact(prefix + name, getattr(one, name))
    found.exact("bertrand_price", bertrand.slow_price)
    found.exact("bertrand_profit", bertrand.slow_profit)
    _gains(found, prices, bertrand)
    replies = best_replies(theory, s.slow_period, s.fast_period)
    found.exact("best_reply_slow_price", replies[0])
    found.exact("best_reply_fast_price", replies[-1])
    for name, column in rows:
        found.mean(name, column)
    return found.all()


def _gains(found: Findings, prices: PacePrices, bertrand: PacePrices) -> None:
    """Profits against simultaneous Bertrand competition, as shares."""
    for name in ("slow", "fast"):
        gain = getattr(prices, f"{name}_profit") / getattr(bertrand, f"{name}_profit") - 1.0
        found.exact(f"{name}_gain", gain)
