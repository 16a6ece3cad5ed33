"""A platform that learns which seller to recommend to which shoppers, beside sellers that learn.

Brasic (2025), public code `willbrasic/Algorithmic_Pricing_Recommendation_Systems_Competition`.
`mos replicate brasic_2025`; what was found, and where this departs, stands in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.common_settings import check_settings, even_prices
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from experiments.sessions import sessions_played
from mos_agents.games.platform_game import PlatformGame, PlatformPlayed, play_platform_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.learners import QLearning
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.prominence import ShowEverything, ShowFixed
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.stages import Prominence
from mos_agents.market.types import Array, InputError, Layout, State, Step
from mos_agents.market.welfare import consumer_surplus

TITLE = "A recommending platform that learns, beside learning sellers (Brasic 2025)"
QUICK = ("sessions=5",)
SOURCE = "the public code's results"
MEASURED = "an independent measurement"
KEEPS = False
SESSIONS = 200
TAIL = 100_000
PLATFORMS = ("none", "learner", "epsilon_greedy", "random", "better_offer", "fixed")
TYPES, SELLERS = ("type_1", "type_2"), ("seller_1", "seller_2")
QUALITY = np.array([[2.0, 1.9], [1.9, 2.0]])
"""[seller, type] what a product is worth to each type of shoppers."""
CHOICES = [(i, j) for i in range(2) for j in range(2)]
"""The sellers that the platform can recommend to type 1 and to type 2."""


@dataclass(frozen=True)
class RecommendationSettings:
    """What the platform does, and the market in which it does it.

    platform: none, learner (upper confidence bounds), epsilon_greedy, random, better_offer (the
    better offer at current prices) or fixed (type k is shown seller k). omega: weight of fees in
    its reward, beside consumer surplus. tau: share of shoppers who see only what is recommended.
    commission: share of sales. search: what search costs the others, money. low, high: ends of the
    price grid. checks: a session ends once greedy prices were the same at so many, 100 periods
    apart.
    """

    platform: str = "learner"
    omega: float = 0.0
    tau: float = 0.75
    commission: float = 0.2
    search: float = 0.25
    alpha: float = 0.15
    beta: float = 1e-5
    delta: float = 0.95
    mu: float = 0.25
    cost: float = 1.0
    low: float = 1.0
    high: float = 2.1
    levels: int = 15
    sessions: int = SESSIONS
    seed: int = 0
    periods: int = 10_000_000
    checks: int = 1000

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "omega": (float, 0.0, 1.0),
                "tau": (float, 0.0, 1.0),
                "commission": (float, 0.0, 0.95),
                "search": (float, 0.0, 1e3),
                "levels": (int, 2, 100),
                "checks": (int, 1, 10**9),
            },
            above=("alpha", "beta", "tau", "search"),
        )
        if self.platform not in PLATFORMS:
            raise InputError(f"platform={self.platform!r} must be one of {', '.join(PLATFORMS)}")
        if self.tau == 1.0 and self.search != 0.25:
            raise InputError(
                f"search={self.search!r}: with tau=1 no customer searches; leave it out"
            )
        if self.platform == "none" and self.tau != 0.75:
            raise InputError(f"tau={self.tau!r}: platform=none recommends nothing; leave it out")
        if self.platform in ("none", "fixed", "better_offer", "random") and self.omega != 0.0:
            raise InputError(
                f"omega={self.omega!r}: platform={self.platform} learns nothing; leave it out"
            )

    @property
    def grid(self) -> tuple[float, ...]:
        return tuple(even_prices(self.low, self.high, self.levels).tolist())


Settings = RecommendationSettings
"""What `mos replicate` sets."""


def notes(s: RecommendationSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    before = (
        "at the new prices" if s.platform == "better_offer" else "before it sees the new prices"
    )
    order = "sellers price together at every period, seeing the last prices"
    if s.platform in ("learner", "epsilon_greedy", "random"):
        order += " and the last recommendation"
    return [
        "ties: of greedy prices one is drawn when a state is first met; of the platform's choices "
        "the first of the best is made",
        f"grid: {s.levels} prices from {s.low:g} to {s.high:g}, steps of "
        f"{(s.high - s.low) / (s.levels - 1):.6g}; unit cost {s.cost:g}",
        f"order of moves: {order}; "
        + (
            "no platform recommends"
            if s.platform == "none"
            else f"the platform recommends {before}"
        ),
    ]


def market(s: RecommendationSettings, rule: Prominence) -> Market:
    """Each seller offers its product to both types of shoppers, half a unit each, at one price."""
    demand = Logit(0.0, 1.0, 1.0, relative=False, scale=s.mu)
    opening = s.grid[s.levels // 2]
    ones = np.ones(4)
    return make_market(
        layout=Layout.dense(SELLERS, TYPES, ["firm"] * 2),
        catalogue=Catalogue(s.cost * ones, opening * ones, QUALITY.ravel(), np.inf * ones),
        execution=Expected(demand, rule),
        quotes=PostedPrice(
            tick_size=0.0, min_margin=-1.0 + 1e-9, max_relative_change=np.inf, low=0.0, high=1e7
        ),
        arrivals=FixedMass(0.5),
        # Without a platform among the participants its fees go to the outside world.
        positions=Ledger(fee=s.commission),
        name="brasic_2025",
    )


def recommending(s: RecommendationSettings, choice: tuple[int, int]) -> Prominence:
    """The rule that recommends these sellers to the two types."""
    offers = tuple(f"{SELLERS[i]}.{kind}" for i, kind in zip(choice, TYPES, strict=True))
    searching = s.search if s.tau < 1.0 else 0.0
    return ShowFixed(s.tau, searching, 0.0, offers)


def rules(s: RecommendationSettings) -> list[Prominence]:
    """A rule for each of the platform's choices."""
    if s.platform == "none":
        return [ShowEverything(followers=0.0, search_cost=s.search)]
    if s.platform == "fixed":
        return [recommending(s, (0, 1))]
    return [recommending(s, choice) for choice in CHOICES]


def tick_measures(one_market: Market, before: State, step: Step) -> Array:
    """[R, 5] mean price, units, sellers' profits, fees and consumer surplus."""
    executions, surplus = step.info.executions, consumer_surplus(one_market, before, step)
    assert surplus is not None
    return np.stack(
        [
            step.info.quotes.ask.mean(axis=1),
            executions.sold.sum(axis=1),
            step.reward.sum(axis=1),
            step.info.flows.fees.sum(axis=1),
            surplus,
        ],
        axis=1,
    )


def game(s: RecommendationSettings) -> tuple[PlatformGame, Array]:
    """The game, and what each outcome comes to (the columns of `tick_measures`)."""
    learner = QLearning(
        prices=s.grid, relative_to="money", scope="firm", alpha=s.alpha, beta=s.beta, delta=s.delta
    )
    stages = [StageGame.of(market(s, rule), dict.fromkeys(SELLERS, learner)) for rule in rules(s)]
    values = np.concatenate([stage.measured(tick_measures) for stage in stages])
    if s.platform == "better_offer":
        stages, values = [_better_offers(stages)], _picked(stages, values)
    rewards = s.omega * values[:, 3] + (1.0 - s.omega) * values[:, 4]
    chooser = {"learner": "ucb", "epsilon_greedy": "epsilon_greedy", "random": "random"}
    return PlatformGame(tuple(stages), rewards, chooser.get(s.platform, "ucb")), values


def _shown(stage: StageGame) -> Any:
    """[P] which of the four choices recommends each type the better offer at current prices."""
    prices = stage.prices  # [P, 2]
    best = (QUALITY.T[None] - prices[:, None, :]).argmax(axis=2)  # [P, type]
    return best[:, 0] * 2 + best[:, 1]


def _picked(stages: list[StageGame], values: Array) -> Array:
    """[P, ...] of values by outcome, those of the better offers."""
    profiles = np.arange(len(stages[0].payoffs))
    return values[_shown(stages[0]) * len(profiles) + profiles]


def _better_offers(stages: list[StageGame]) -> StageGame:
    """The stage game in which each type is shown the better offer at current prices."""
    payoffs = _picked(stages, np.concatenate([stage.payoffs for stage in stages]))
    return replace(stages[0], payoffs=payoffs)


def replicate(s: RecommendationSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play, and put every quantity beside what was published."""
    made, values = game(s)
    plays: list[PlatformPlayed] = sessions_played(
        execution,
        play_platform_sessions,
        made,
        s.seed,
        s.sessions,
        s.periods,
        s.checks,
        TAIL,
    )
    means = np.stack([one.mean(values) for one in plays])
    price, quantity, profit, fees, surplus = means.T
    found = Findings(published(s), SESSIONS)
    found.mean("periods", np.array([one.periods for one in plays]))
    found.share("converged_share", np.array([one.converged for one in plays]))
    found.mean("price", price)
    found.mean("quantity", quantity)
    if s.commission:
        found.mean("net_revenue", fees / s.commission - fees)
    found.mean("profit", profit)
    if s.platform in ("learner", "epsilon_greedy"):
        found.mean("platform_reward", s.omega * fees + (1.0 - s.omega) * surplus)
    found.mean("consumer_surplus", surplus)
    found.mean("fees", fees)
    return found.all()


# --- what was published ---------------------------------------------------------------------------

COLUMNS = ("periods", "price", "quantity", "net_revenue", "profit", "consumer_surplus")
INDEPENDENT = {
    ("none", 0.0): (
        (741_956, 1.7119, 0.6606, 0.9036, 0.2430, 0.2708),
        (5_396, 0.0010, 0.0009, 0.0008, 0.0002, 0.0006),
    ),
    ("learner", 0.0): (
        (1_283_205, 1.6829, 0.7527, 1.0003, 0.2476, 0.3603),
        (8_718, 0.0020, 0.0011, 0.0013, 0.0006, 0.0009),
    ),
    ("learner", 0.8): (
        (1_291_720, 1.6956, 0.7444, 1.0012, 0.2568, 0.3491),
        (11_973, 0.0021, 0.0011, 0.0010, 0.0008, 0.0011),
    ),
    ("learner", 1.0): (
        (1_241_314, 1.7370, 0.7106, 0.9817, 0.2711, 0.3168),
        (14_474, 0.0029, 0.0021, 0.0014, 0.0010, 0.0019),
    ),
    ("better_offer", 0.0): (
        (758_773, 1.7052, 0.7389, 1.0057, 0.2668, 0.3415),
        (6_664, 0.0027, 0.0021, 0.0014, 0.0008, 0.0020),
    ),
}
"""Means and standard errors of an independent program, by platform and omega."""
SOURCES = {
    ("none", 0.0): (727_864, 1.7116, 0.6609, 0.9035, 0.2426, 0.2712),
    ("learner", 0.0): (1_278_180, 1.6816, 0.7514, 0.9997, 0.2483, 0.3597),
    ("learner", 0.8): (1_320_961, 1.6970, 0.7439, 1.0015, 0.2575, 0.3489),
    ("learner", 1.0): (1_276_886, 1.7349, 0.7130, 0.9843, 0.2713, 0.3187),
    ("epsilon_greedy", 0.0): (1_220_541, 1.7019, 0.7391, 0.9926, 0.2535, 0.3469),
    ("epsilon_greedy", 1.0): (1_076_056, 1.7822, 0.6733, 0.9539, 0.2806, 0.2862),
    ("fixed", 0.0): (719_745, 1.8637, 0.6032, 0.8992, 0.2959, 0.2333),
    ("better_offer", 0.0): (759_000, 1.7074, 0.7370, 1.0041, 0.2672, 0.3400),
}
"""The source's results, by platform and omega: means of 100 sessions without standard errors."""


def published(s: RecommendationSettings) -> dict[str, Published]:
    """The source's figures for these settings; none where it reports no such play."""
    base = RecommendationSettings(s.platform, s.omega, sessions=s.sessions, seed=s.seed)
    key = (s.platform, s.omega)
    if s != base or key not in SOURCES:
        return {}
    found = {}
    spread = INDEPENDENT.get(key)
    for i, (name, value) in enumerate(zip(COLUMNS, SOURCES[key], strict=True)):
        # Of 100 sessions, where the independent program had 200.
        error = None if spread is None else float(spread[1][i] * np.sqrt(2.0))
        found[name] = Published(float(value), SOURCE, 0.5 if name == "periods" else 5e-5, error)
    return found
