"""Platform design when sellers' prices are set by algorithms: who is shown, and what it does.

Johnson, Rhodes and Wildenbeest, "Platform Design When Sellers Use Pricing Algorithms", Econometrica
91(5), 2023. `mos replicate johnson_rhodes_wildenbeest_2023`; what was found, and what is inferred
because no text of the paper was at hand, stands in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.common_settings import check_settings
from experiments.free_prices import free_prices
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from mos_agents.games.greedy_play import GreedyPlay, play_on
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import WINDOW, Played, play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.learners import QLearning
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.prominence import ShowCheapest, ShowDynamic, ShowEverything, ShowRandom
from mos_agents.market.stages import Prominence
from mos_agents.market.types import Array, InputError, State, Step
from mos_agents.market.welfare import consumer_surplus

TITLE = "Prominence and learning sellers (Johnson, Rhodes, Wildenbeest, Econometrica 2023)"
QUICK = ("sessions=10",)
SOURCE = "Johnson et al. 2023, as reported by fintechai.org.uk"
MEASURED = "an independent measurement"
SESSIONS = 500
GREEDY_PERIODS = 10_000
"""Periods over which greedy play is averaged once a session has ended."""
RULES = ("none", "cheapest", "dynamic", "random")
COST, QUALITY = 1.0, 2.0


@dataclass(frozen=True)
class ProminenceSettings:
    """The platform shows `shown` of n offers, by a rule: none (all are shown), cheapest, dynamic or
    random. cushion: of the dynamic rule, in steps of the grid. commission: share of sales that the
    platform takes; fee: money per unit. low, high: ends of the price grid, money.
    """

    n: int = 2
    shown: int = 1
    prominence: str = "cheapest"
    cushion: float = 2.0
    commission: float = 0.0
    fee: float = 0.0
    delta: float = 0.95
    alpha: float = 0.15
    beta: float = 1e-5
    mu: float = 0.25
    low: float = 1.0
    high: float = 2.1
    levels: int = 15
    sessions: int = SESSIONS
    seed: int = 0
    periods: int = 10_000_000
    window: int = WINDOW

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "shown": (int, 1, 6),
                "cushion": (float, 0.0, 1000.0),
                "commission": (float, 0.0, 0.95),
                "fee": (float, 0.0, 1e3),
            },
            above=("alpha", "beta"),
        )
        if self.prominence not in RULES:
            raise InputError(f"prominence={self.prominence!r} must be one of {', '.join(RULES)}")
        if self.prominence != "dynamic" and self.cushion != 2.0:
            raise InputError(f"cushion={self.cushion!r} is for prominence=dynamic; leave it out")
        if self.prominence in ("none", "dynamic") and self.shown != 1:
            raise InputError(
                f"shown={self.shown}: prominence={self.prominence} shows "
                f"{'every offer' if self.prominence == 'none' else 'one offer'}; leave it out"
            )
        if self.prominence != "none" and not self.shown < self.n:
            raise InputError(
                f"shown={self.shown} of n={self.n} offers is all of them: set prominence=none"
            )

    @property
    def step(self) -> float:
        """The distance of neighbouring prices."""
        return (self.high - self.low) / (self.levels - 1)

    @property
    def grid(self) -> tuple[float, ...]:
        return tuple((self.low + np.arange(self.levels) * self.step).tolist())


Settings = ProminenceSettings
"""What `mos replicate` sets."""


def notes(s: ProminenceSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    return [
        "ties: of equal offers one is drawn by the market's random numbers, and sellers are paid "
        "what was realised; of greedy prices one is drawn when a state is first met",
        f"grid: {s.levels} prices from {s.low:g} to {s.high:g}, steps of {s.step:.6g}; unit cost "
        f"{COST:g}",
        "order of moves: sellers price together at every period, then the platform shows offers "
        "at these prices, then shoppers buy",
    ]


def rule(s: ProminenceSettings) -> Prominence:
    """The market's rule of prominence."""
    return {
        "none": lambda: ShowEverything(),
        "cheapest": lambda: ShowCheapest(shown=s.shown),
        "dynamic": lambda: ShowDynamic(cushion=s.cushion * s.step),
        "random": lambda: ShowRandom(shown=s.shown),
    }[s.prominence]()


def market(s: ProminenceSettings) -> Market:
    """One product of each seller; a unit of consumers chooses among the offers that it sees."""
    demand = Logit(0.0, 1.0, 1.0, relative=False, scale=s.mu)
    opening = s.grid[s.levels // 2]
    made = free_prices(s.n, demand, COST, opening, QUALITY, name="johnson_rhodes_wildenbeest_2023")
    # Without a platform among the participants its fees go to the outside world.
    ledger = Ledger(fee=s.commission, unit_fee=s.fee)
    return made.with_parts(execution=Expected(demand, rule(s)), positions=ledger)


def game(s: ProminenceSettings) -> RepeatedGame:
    """The sellers' algorithms meet in this market: Q0 as in Calvano et al. (2020)."""
    one_market = market(s)
    bare = QLearning(
        prices=s.grid,
        relative_to="money",
        alpha=s.alpha,
        beta=s.beta,
        delta=s.delta,
        sees_holder=s.prominence == "dynamic",
    )
    names = one_market.layout.participants
    stage = StageGame.of(one_market, dict.fromkeys(names, bare))
    first = [tuple((stage.uniform_rivals(i) / (1.0 - s.delta)).tolist()) for i in range(s.n)]
    learners = {name: replace(bare, initial=first[i]) for i, name in enumerate(names)}
    return RepeatedGame.of(one_market, learners)


def tick_measures(one_market: Market, before: State, step: Step) -> Array:
    """[R, 6] posted price, money of sales, units, sellers' profits, fees and consumer surplus."""
    executions, surplus = step.info.executions, consumer_surplus(one_market, before, step)
    assert surplus is not None
    paid = (executions.sold * executions.sold_price).sum(axis=1)
    return np.stack(
        [
            step.info.quotes.ask.mean(axis=1),
            paid,
            executions.sold.sum(axis=1),
            step.reward.sum(axis=1),
            step.info.flows.fees.sum(axis=1),
            surplus,
        ],
        axis=1,
    )


@dataclass(frozen=True, eq=False)
class ProminenceOutcome:
    """What a play came to: means over greedy play, a value for each session."""

    played: Played
    greedy: GreedyPlay

    @property
    def quantities(self) -> dict[str, Array]:
        posted, revenue, output, profit, fees, surplus = self.greedy.means["tick"].T
        return {
            "price": revenue / output,
            "posted_price": posted,
            "consumer_surplus": surplus,
            "output": output,
            "revenue": revenue,
            "profit": profit,
            "fees": fees,
        }


def played(s: ProminenceSettings, execution: ExecutionConfig, part: str) -> ProminenceOutcome:
    """The sessions of these settings, played to their ends, and greedily on from there."""
    made = game(s)
    sessions = play_sessions(
        made,
        seed=s.seed,
        sessions=s.sessions,
        periods=s.periods,
        window=s.window,
        workers=execution.workers,
        folder=execution.folder_of(part),
        progress=execution.progress_of(f"sessions ({part})"),
        per_task=10 if s.sessions >= 100 else 1,
    )
    measures = {"tick": made.stage.measured(tick_measures)}
    return ProminenceOutcome(sessions, play_on(made, sessions, s.seed, GREEDY_PERIODS, measures))


# --- what was published ---------------------------------------------------------------------------


def published(s: ProminenceSettings) -> dict[str, Published]:
    """Published changes against no rule, and an independent measurement of the levels."""
    found: dict[str, Published] = {}
    base = ProminenceSettings(sessions=s.sessions, seed=s.seed)

    def note(source: str, rounding: float = 0.0, **values: float | tuple[float, float]) -> None:
        for name, value in values.items():
            pair = value if isinstance(value, tuple) else (value, None)
            found[name] = Published(pair[0], source, rounding, pair[1])

    if s == replace(base, prominence="none"):
        note(
            MEASURED,
            price=(1.6838, 0.0022),
            consumer_surplus=(0.5216, 0.0019),
            output=(0.8722, 0.0011),
            constant_share=(0.718, 0.020),
        )
    elif s == base:
        note(
            MEASURED,
            price=(1.5392, 0.0041),
            consumer_surplus=(0.4936, 0.0035),
            output=(0.8371, 0.0025),
            constant_share=(0.058, 0.010),
        )
        changes = (-0.074, -0.064, -0.045, -0.126)
        note(SOURCE, 0.0005, **dict(zip(CHANGES, changes, strict=True)))
    elif s == replace(base, prominence="dynamic", cushion=s.cushion):
        changes = (-0.191, 0.272, 0.039)
        note(SOURCE, 0.0005, **dict(zip(CHANGES, changes, strict=False)), constant_share=0.147)
    return found


CHANGES = ("price_change", "consumer_surplus_change", "output_change", "revenue_change")
"""Changes against the same market in which all offers are shown, as shares."""


def replicate(s: ProminenceSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play, and put every quantity beside what was published."""
    found = Findings(published(s), SESSIONS)
    outcome = played(s, execution, s.prominence)
    ours = outcome.quantities
    for name, values in ours.items():
        found.mean(name, values)
    found.share("constant_share", outcome.greedy.constant)
    # Paid and units stand still although an offer that is not shown may change its price.
    found.share("constant_sales_share", outcome.greedy.steady["tick"][:, 1:3].all(axis=1))
    found.share("converged_share", outcome.played.converged)
    found.mean("periods", outcome.played.periods)
    if s.prominence == "none":
        return found.all()
    before = replace(s, prominence="none", shown=1, cushion=2.0)
    theirs = played(before, execution, "none").quantities
    for name in CHANGES:
        quantity = name.removesuffix("_change")
        found.estimate(name, *_change(ours[quantity], theirs[quantity]), s.sessions)
    return found.all()


def _change(after: Array, before: Array) -> tuple[Any, Any]:
    """The change of a mean as a share, and its standard error (delta method)."""
    ratio = after.mean() / before.mean()
    if after.size < 2:
        return ratio - 1.0, np.nan
    spread = [(x.std(ddof=1) / x.mean()) ** 2 / x.size for x in (after, before)]
    return ratio - 1.0, abs(ratio) * np.sqrt(sum(spread))
