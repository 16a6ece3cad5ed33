"""The worlds that are compared: a base market, and what is changed in it, one thing at a time.

A *world* is a retail market with its learners: how many sellers, how many scrapers among the
shoppers, how patient the sellers are, who reprices when. Each of the study's conditions is a world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from mos_agents.games.stage_game import StageGame
from mos_agents.learners import QLearning
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.checks import check_whole
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.reference import Fundamentals, Shock
from mos_agents.market.rewards import Objective
from mos_agents.market.schedules import Periodic
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError
from mos_agents.policies import Policy
from mos_agents.policies.base import POLICIES, make
from mos_agents.scenarios import retail

COST, REFERENCE = 20.0, 27.0
"""Money: every product costs its sellers the same and opens at a margin of 35%."""

PLAYS = ("learn", "random", "hold")


@dataclass(frozen=True)
class RetailWorld:
    """A retail market, and how its sellers learn. Defaults are the study's base.

    firms: competitors of the platform. crowd: browsing sessions a tick; scrapers: share of them
    that only look; hold_buyers: raise the crowd so that as many buy as with the base's scrapers.
    comparison: of `Elasticity`. noise: "sampled" shoppers, or "expected" (a fixed mass of buyers,
    shares taken on average). stock: units that orders restore. pace: ticks between a seller's
    moves, platform first, with offsets; empty is every tick. cost_factor: on all costs from 75%
    of the ticks on, for a tenth of them. play: "learn"; "random" asks any level at any tick; "hold"
    keeps the opening price. trembles: chance to explore for ever. length: ticks, in multiples of
    the study's.
    """

    firms: int = 2
    products: int = 3
    crowd: float = 200.0
    scrapers: float = 0.1
    hold_buyers: bool = False
    comparison: float = 4.0
    noise: str = "sampled"
    stock: float = 200.0
    pace: tuple[int, ...] = ()
    offsets: tuple[int, ...] = ()
    cost_factor: float = 1.0
    play: str = "learn"
    learner: str = "q_learning"
    alpha: float = 0.1
    delta: float = 0.95
    trembles: float = 0.0
    prices: int = 5
    low: float = 0.8
    high: float = 1.5
    features: str = "cheapest"
    scope: str = "listing"
    length: int = 1

    def __post_init__(self) -> None:
        learning = [kind for kind, cls in POLICIES.items() if cls.learn is not Policy.learn]
        for name, allowed in (
            ("noise", ("sampled", "expected")),
            ("play", PLAYS),
            ("learner", tuple(sorted(learning))),
        ):
            if getattr(self, name) not in allowed:
                text = ", ".join(repr(one) for one in allowed)
                raise InputError(f"{name}={getattr(self, name)!r} must be one of {text}")
        check_whole("length", self.length, 1)
        if not 0.0 < self.cost_factor < 10.0:
            raise InputError(f"cost_factor={self.cost_factor!r} must be in (0, 10)")

    @property
    def sellers(self) -> int:
        """N, the platform included."""
        return self.firms + 1

    def market(self, ticks: int) -> Market:
        """The market, `ticks` long."""
        crowd = self.crowd
        if self.hold_buyers:
            crowd *= (1.0 - RetailWorld.scrapers) / (1.0 - self.scrapers)
        one_market = retail(
            firms=self.firms,
            products=self.products,
            ticks=ticks,
            catalogue={
                "kind": "same",
                "cost": COST,
                "reference_price": REFERENCE,
                "stock": self.stock,
            },
            arrivals__sessions=float(round(crowd)),
            arrivals__contamination=self.scrapers,
            execution__demand__comparison=self.comparison,
            # The market's rule of a fifth a tick would make "a level" mean another price each time.
            quotes__max_relative_change=100.0,
        )
        if self.noise == "expected":
            demand = one_market.execution.demand  # type: ignore[attr-defined]
            one_market = one_market.with_parts(
                arrivals=FixedMass(buyers(one_market)), execution=Expected(demand)
            )
        if self.pace:
            one_market = one_market.with_parts(schedule=Periodic(self.pace, self.offsets or None))
        if self.cost_factor != 1.0:
            shock = Shock(at=3 * ticks // 4, factor=self.cost_factor, duration=max(ticks // 10, 1))
            one_market = one_market.with_parts(reference=Fundamentals(cost=shock))
        return one_market

    def policies(self, market: Market, decay: float, game: StageGame) -> dict[str, Policy]:
        """The policy of every firm. decay: what exploration falls by in a tick (beta)."""
        names = market.layout.participants
        if self.play == "hold":
            return dict.fromkeys(names, make("hold"))
        known = {one.name for one in fields(POLICIES[self.learner]) if one.init}
        choices = self.products if self.scope == "firm" else 1
        made = {}
        for i, name in enumerate(names):
            worth = choices * game.uniform_rivals(i) / (1.0 - self.delta)
            given: dict[str, Any] = {
                "low": self.low,
                "high": self.high,
                "prices": self.prices,
                "features": self.features,
                "scope": self.scope,
                "alpha": self.alpha,
                "delta": self.delta,
                "beta": decay,
                "epsilon_floor": 1.0 if self.play == "random" else self.trembles,
                "initial": tuple(worth.tolist()),
            }
            made[name] = make(self.learner, **{k: v for k, v in given.items() if k in known})
        return made

    def stage_game(self) -> StageGame:
        """The market's twin without chance: one product, made to order, the mean mass of buyers.

        Its payoffs are a tick's gross margin on one product, by the same demand and execution code.
        """
        market = replace(self, pace=(), offsets=(), cost_factor=1.0).market(1)
        mass = market.arrivals.buy if self.noise == "expected" else buyers(market)  # type: ignore[attr-defined]
        twin = retail(
            firms=self.firms,
            products=1,
            catalogue={"kind": "same", "cost": COST, "reference_price": REFERENCE, "stock": 1.0},
        )
        ample = np.full(twin.layout.L, np.inf)
        twin = twin.with_parts(
            catalogue=replace(twin.catalogue, stock=ample),
            quotes=market.quotes,
            arrivals=FixedMass(mass),
            execution=Expected(market.execution.demand),  # type: ignore[attr-defined]
            positions=Ledger(),
            rewards=Objective(),
        )
        grid = QLearning(low=self.low, high=self.high, prices=self.prices, features="nothing")
        return StageGame.of(twin, dict.fromkeys(twin.layout.participants, grid))


def buyers(market: Market, ticks: int = 50, markets: int = 40) -> float:
    """Mean number of buyers' looks at a product in a tick, scrapers by their intent.

    From the arrivals themselves, 2000 ticks of them with a seed of their own.
    """
    state, streams = market.start(markets), Streams.of(0, markets, owner="benchmark")
    seen = [
        market.arrivals.arrive(market, state, state.quotes, streams.at(t))[0].mass[:, :, 0].mean()
        for t in range(ticks)
    ]
    return float(np.mean(seen))


class Yardstick(NamedTuple):
    """The outcomes between which a world's prices and profits are placed; a product and seller.

    kind: "pure" if `nash` is the symmetric pure equilibrium of the game on the learners' prices
    (of several the most profitable), "best replies" if there is none: then it is the mean over
    the cycle that sellers run who answer in turn, each with its best reply to the others.
    """

    price_nash: float
    price_joint: float
    profit_nash: float
    profit_joint: float
    kind: str


def yardstick(game: StageGame) -> Yardstick:
    """Competitive and joint-profit outcome of the stage game on the learners' own prices.

    On the grid, because no firm can ask another price: with a continuum of prices this demand (some
    shoppers compare, some do not) has no equilibrium in pure strategies for many parameters, and a
    depth in units of something that cannot be asked would mean little.
    """
    joint = game.joint_maximum()
    nash = game.pure_nash()
    levels = game.levels(nash)
    alike = nash[(levels == levels[:, :1]).all(axis=1)]
    if alike.size:
        best = alike[game.payoffs[alike].sum(axis=1).argmax()]
        chosen, kind = np.array([best]), "pure"
    else:
        chosen, kind = replies_in_turn(game, int(joint)), "best replies"
    return Yardstick(
        float(game.prices[chosen].mean()),
        float(game.prices[joint].mean()),
        float(game.payoffs[chosen].mean()),
        float(game.payoffs[joint].mean()),
        kind,
    )


def replies_in_turn(game: StageGame, start: int, most: int = 100_000) -> Any:
    """The profiles of the cycle into which best replies in turn lead from a profile.

    Equal best replies: the lowest price.
    """
    profile = start
    seen: dict[tuple[int, int], int] = {}
    path: list[int] = []
    for step in range(most):
        player = step % game.n
        key = profile, player
        if key in seen:
            return np.array(path[seen[key] :])
        seen[key] = step
        path.append(profile)
        stride, size = int(game.strides[player]), int(game.sizes[player])
        base = profile - (profile // stride) % size * stride
        replies = base + np.arange(size) * stride
        profile = int(replies[game.payoffs[replies, player].argmax()])
    raise InputError(f"best replies in turn do not come round within {most} steps")


# --- the conditions of the study ------------------------------------------------------------------


class Condition(NamedTuple):
    """A world with the factor that it is about, and whether firms are tested by force in it.

    against: the condition from which it differs in one thing, and with which it is compared.
    """

    factor: str
    label: str
    world: RetailWorld
    impulse: bool = False
    against: str = "base"


def conditions(base: RetailWorld) -> Mapping[str, Condition]:
    """Every condition by name; most are compared with "base"."""

    def other(
        factor: str, label: str, impulse: bool = False, against: str = "base", **changes: Any
    ) -> Condition:
        return Condition(factor, label, replace(base, **changes), impulse, against)

    n = base.sellers
    slow = (1, *[4] * (n - 1)), (1, *[8] * (n - 1))
    return {
        "base": Condition("base", "base", base, True),
        # controls: where no firm can wage a war on purpose
        "myopic": other("control", "myopic (delta 0)", True, delta=0.0),
        "blind": other("control", "see only own price", True, features="own"),
        "random": other("control", "prices at random", play="random"),
        "hold": other("control", "nobody reprices", play="hold"),
        # one factor at a time
        "scrapers_0": other("scrapers", "no scrapers", scrapers=0.0),
        "scrapers_50": other("scrapers", "half scrapers", scrapers=0.5),
        "scrapers_50_same_buyers": other(
            "scrapers", "half scrapers, as many buyers", scrapers=0.5, hold_buyers=True
        ),
        "delta_80": other("patience", "delta .80", delta=0.8),
        "delta_98": other("patience", "delta .98", delta=0.98),
        "pace_4": other("pace", "firms every 4 ticks", True, pace=slow[0]),
        "pace_8": other("pace", "firms every 8 ticks", pace=slow[1]),
        "turns": other("pace", "in turns", True, pace=(n,) * n, offsets=tuple(range(n))),
        "cost_up": other("cost shock", "costs +15%", cost_factor=1.15),
        "cost_down": other("cost shock", "costs -15%", cost_factor=0.85),
        "stock_60": other("stock", "scarce stock (60)", stock=60.0),
        "stock_2000": other("stock", "overstock (2000)", stock=2000.0),
        "firms_1": other("sellers", "2 sellers", True, firms=1),
        "firms_3": other("sellers", "4 sellers", firms=3),
        "firms_4": other("sellers", "5 sellers", firms=4),
        "expected": other("demand", "without chance", True, noise="expected"),
        "crowd_30": other("demand", "30 shoppers a tick", crowd=30.0),
        "comparison_1": other("comparison", "shoppers compare little (.5)", comparison=0.5),
        "comparison_8": other("comparison", "shoppers compare more (8)", comparison=8.0),
        "alpha_03": other("learning", "alpha .03", alpha=0.03),
        "trembles": other("learning", "explore 1% for ever", trembles=0.01),
        "longer": other("learning", "three times as long", length=3),
        "firm_lever": other("lever", "one lever a firm", scope="firm"),
        # together: against the condition without the second change
        "firm_lever_2000": other(
            "together", "one lever: overstock", against="firm_lever", scope="firm", stock=2000.0
        ),
        "expected_myopic": other(
            "together", "without chance: myopic", against="expected", noise="expected", delta=0.0
        ),
        "two_expected": other(
            "together", "2 sellers: without chance", True, "firms_1", firms=1, noise="expected"
        ),
        "trembles_myopic": other(
            "together", "explore 1%: myopic", against="trembles", trembles=0.01, delta=0.0
        ),
        "trembles_blind": other(
            "together",
            "explore 1%: see only own",
            against="trembles",
            trembles=0.01,
            features="own",
        ),
    }


QUICK = ("base", "myopic", "random", "hold", "expected", "firms_1")
"""What `--quick` plays."""


def decay_of(ticks: int, explored: float = 0.005) -> float:
    """The beta with which exploration has fallen to `explored` after `ticks`."""
    return -math.log(explored) / max(ticks, 1)


__all__ = [
    "COST",
    "QUICK",
    "REFERENCE",
    "Array",
    "Condition",
    "RetailWorld",
    "Yardstick",
    "buyers",
    "conditions",
    "decay_of",
    "replies_in_turn",
    "yardstick",
]
