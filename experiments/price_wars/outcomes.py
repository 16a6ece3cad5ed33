"""What came of a world: price wars, prices, profits; and how two worlds differ, with intervals.

A *path* is one product of one session: [T, S, N] with S = sessions x products. Sessions are
independent, products of a session are not quite (they share shoppers), so every figure is first
averaged within a session and its interval taken over sessions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from experiments.price_wars.play import FORCES, PlayedWorld, PlayPlan
from experiments.price_wars.worlds import Condition
from mos_agents.analysis.collusion import Benchmarks
from mos_agents.analysis.controls import (
    mixed_sessions,
    nash_with_noise,
    time_shifted,
    time_shuffled,
)
from mos_agents.analysis.cycles import edgeworth
from mos_agents.analysis.impulse import (
    Deviation,
    ReturnTime,
    profitability,
    punishment,
    response,
)
from mos_agents.analysis.price_wars import PriceWars, WarDefinition, episodes
from mos_agents.analysis.screens import SessionPaths, fall_together, false_alarm_rate
from mos_agents.analysis.shares import bounded_interval
from mos_agents.analysis.statistics import (
    Interval,
    difference_interval,
    mean_interval,
    normal_interval,
)
from mos_agents.analysis.war_tables import war_table
from mos_agents.market.types import Array

DEFINITION = WarDefinition(longest=300)
"""The project's definition; a fall that has lasted 300 ticks is the market's new level."""

SCREEN = partial(fall_together, definition=DEFINITION)


class Quantity(NamedTuple):
    """A figure of a session, and how it is written."""

    name: str
    description: str


QUANTITIES = (
    Quantity("wars", "wars per 1000 ticks, exploration off"),
    Quantity("wars_learning", "wars per 1000 ticks, while exploring"),
    Quantity("time_at_war", "share of ticks at war, exploration off"),
    Quantity("together", "share of paths whose firms fall together more than by chance"),
    Quantity("rpdi", "price between competitive (0) and joint profit (1)"),
    Quantity("profit_gain", "profit between competitive (0) and joint profit (1)"),
    Quantity("price_sd", "standard deviation of the mean price over time, in p_M - p_N"),
    Quantity("lost", "share of demand turned away for want of stock"),
)


SHARES = ("time_at_war", "together", "lost")
"""Quantities in [0, 1]."""


@dataclass(frozen=True)
class WorldOutcome:
    """A world's figures: [B] a session for each quantity, and its wars after exploration."""

    by_session: dict[str, Array]
    wars: PriceWars
    wars_learning: PriceWars
    edgeworth: float

    def interval(self, name: str) -> Interval:
        """A quantity's mean over sessions.

        Where there was nothing at all to resample, "0, surely 0" would be wrong: for wars the upper
        limit is then Poisson's, for shares Clopper and Pearson's for the share of sessions.
        """
        values = self.by_session[name]
        wars = self.wars_learning if name == "wars_learning" else self.wars
        if name in SHARES:
            return bounded_interval(values)
        if name in ("wars", "wars_learning") and not values.any():
            exposure = wars.sessions * wars.ticks / 1000.0
            return Interval(0.0, 0.0, float(-np.log(0.025)) / exposure, float("nan"))
        return mean_interval(values)


def benchmarks(lived: PlayedWorld) -> Benchmarks:
    """The world's yardstick in the form of the measures; one product, one seller."""
    nash, joint, low, high = lived["yardstick"]
    return Benchmarks(nash, joint, low, high)


def outcome(lived: PlayedWorld) -> WorldOutcome:
    """The figures of a world."""
    known = benchmarks(lived)
    nash, joint = known.price_nash, known.price_joint
    prices, learning = lived.paths("prices"), int(lived["learning"])
    sessions, products = lived["prices"].shape[1], lived["prices"].shape[3]
    early, late = prices[:learning], prices[learning:]
    during, after = (episodes(part, nash, joint, DEFINITION) for part in (early, late))

    def by_session(values: Any) -> Array:
        """[B] from a value of each path."""
        found: Array = np.asarray(values, np.float64).reshape(sessions, products).mean(axis=1)
        return found

    margin, sold, lost = (lived[name][1].mean(axis=1) for name in ("margin", "sold", "lost"))
    mean = late.mean(axis=2)
    low, high = float(known.profit_nash[0]), float(known.profit_joint[0])
    return WorldOutcome(
        {
            "wars": by_session(1000.0 * after.counts / after.ticks),
            "wars_learning": by_session(1000.0 * during.counts / during.ticks),
            "time_at_war": by_session(after.under_way().mean(axis=0)),
            "together": by_session(SCREEN(SessionPaths(late, known))),
            "rpdi": by_session((mean.mean(axis=0) - nash[0]) / known.gap),
            "profit_gain": (margin - low) / (high - low),
            "price_sd": by_session(mean.std(axis=0) / known.gap),
            "lost": lost / np.maximum(sold + lost, 1e-12),
        },
        after,
        during,
        float(edgeworth(mean).found.mean()),
    )


# --- what a factor does ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """A quantity in a world, in the one it is compared with, and the difference with its interval.

    ci95 is the bootstrap's, sessions paired by number (the same seed and random numbers). distinct:
    whether Student's interval at the level .05 / comparisons leaves 0 out, so that in a table
    without any effect one is called distinct in one of twenty *tables*.
    """

    condition: str
    factor: str
    label: str
    against: str
    quantity: str
    base: float
    ours: float
    difference: float
    ci95: tuple[float, float]
    distinct: bool


def effect(
    name: str, condition: Condition, quantity: str, ours: Array, base: Array, comparisons: int
) -> Effect:
    """The difference of a quantity [B] between two worlds, session by session."""
    gap = ours - base
    found = (
        difference_interval(ours, base, paired=True)
        if np.ptp(gap) > 0.0
        else Interval(float(gap[0]), float(gap[0]), float(gap[0]), 0.0)  # nothing to resample
    )
    sure = normal_interval(float(gap.mean()), gap - gap.mean(), 1.0 - 0.05 / max(comparisons, 1))
    return Effect(
        name,
        condition.factor,
        condition.label,
        condition.against,
        quantity,
        float(base.mean()),
        float(ours.mean()),
        found.estimate,
        (found.low, found.high),
        bool(sure.low > 0.0 or sure.high < 0.0),
    )


# --- how wars look --------------------------------------------------------------------------------


def wars_record(wars: PriceWars) -> dict[str, Any]:
    """Frequency, depth, duration and beginners of a set of wars, as plain numbers."""
    table = asdict(war_table(wars))
    found = table["per_1000_ticks"]
    table["per_1000_ticks"] = found[0]
    table["ci95"] = [found[1], found[2]]
    return table


def onsets(lived: PlayedWorld, wars: PriceWars) -> dict[str, float]:
    """Wars per 1000 ticks of a path that began before, during and after the time of a cost shock.

    Of every world, shocked or not: the base tells what those ticks are like without one.
    """
    ticks, learning = len(lived["prices"]), int(lived["learning"])
    at = 3 * ticks // 4
    edges = [0, at - learning, at + max(ticks // 10, 1) - learning, ticks - learning]
    counts = np.histogram(wars.onset, edges)[0]
    rates = 1000.0 * counts / (np.diff(edges) * wars.sessions)
    return dict(zip(("before", "during", "after"), rates.tolist(), strict=True))


# --- controls -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """Paths in which no war is meant: how many the definition finds, how often the screen sounds.

    upper: the largest rate of alarms that is compatible with so many (95%, Clopper-Pearson).
    """

    name: str
    description: str
    wars: float
    alarms: float
    upper: float
    paths: int


def controls(
    lived: PlayedWorld, others: dict[str, tuple[str, PlayedWorld]], seed: int
) -> list[Control]:
    """The base's paths taken apart in several ways, and the worlds that cannot wage a war."""
    known, learning = benchmarks(lived), int(lived["learning"])
    late = lived.paths("prices")[learning:]
    ticks, paths, firms = late.shape
    rng = np.random.default_rng(seed)
    made = {
        "itself": ("the base itself", late),
        "repaired": ("its firms put together from different sessions", mixed_sessions(late, seed)),
        "shifted": ("its firms' paths turned round in time", time_shifted(late, rng)),
        "shuffled": ("its ticks in random order", time_shuffled(late, seed)),
        "noise": (
            "competitive prices with an unsteady hand",
            nash_with_noise(known.price_nash[0], 0.1 * known.gap, ticks, paths, firms, seed),
        ),
    }
    found = [
        control(name, description, prices, known) for name, (description, prices) in made.items()
    ]
    for name, (description, other) in others.items():
        prices = other.paths("prices")[int(other["learning"]) :]
        found.append(control(name, description, prices, benchmarks(other)))
    return found


def control(name: str, description: str, prices: Array, known: Benchmarks) -> Control:
    """Wars by the definition, and alarms of the screen, on some paths."""
    wars = episodes(prices, known.price_nash, known.price_joint, DEFINITION)
    alarms = false_alarm_rate(SCREEN, SessionPaths(prices, known))
    return Control(
        name,
        description,
        float(1000.0 * wars.counts.mean() / wars.ticks),
        alarms.rate,
        alarms.upper,
        prices.shape[1],
    )


# --- what force brings about ----------------------------------------------------------------------


@dataclass(frozen=True)
class Force:
    """What came of forcing the last firm: means over sessions with 95% intervals.

    rivals: their relative price change over the ten ticks after force begins. away: ticks after
    the force until every price is back in the cycle left alone (rivals' alone, where force is for
    good), of those that came back; returned: share that did within the record. unprofitable: share
    of paths in which the firm earned less for it, discounted at delta. gain: discounted, of what
    it would have earned. forced_paths: those in which the force changed a price at all.
    path: mean relative changes (firm, rivals) [tau].
    """

    name: str
    forced_paths: int
    rivals: Interval
    away: Interval | None
    returned: float
    unprofitable: Interval
    gain: Interval
    path: Any


def forces(lived: PlayedWorld, plan: PlayPlan, delta: float) -> dict[str, Force]:
    """Every force that was tried, where it changed anything."""
    found = {}
    products = lived["prices"].shape[3]
    span = plan.lead + plan.after
    shock, period = int(lived["shock"]), int(lived["period"])
    alone, alone_margin = lived.paths("alone")[:span], lived.paths("alone_margin")
    for name, (_, length) in FORCES.items():
        prices, margin = lived.paths(name), lived.paths(f"{name}_margin")
        hit = np.flatnonzero(prices[shock, :, -1] != alone[shock, :, -1])
        if not hit.size:
            continue
        pair = Deviation(
            prices[:, hit],
            alone[:, hit],
            margin[:, hit],
            alone_margin[:, hit],
            shock,
            prices.shape[2] - 1,
            None if length is None else length * period,
        )
        session = hit // products

        def over(values: Any, session: Any = session) -> Interval:
            """The mean over sessions of a value a path."""
            total = np.bincount(session, np.asarray(values, np.float64))
            count = np.bincount(session)
            each = total[count > 0] / count[count > 0]
            if each.size < 2:
                return Interval(float(each.mean()), -np.inf, np.inf, np.inf)
            return mean_interval(each)

        def share(values: Any, session: Any = session) -> Interval:
            """The mean over sessions of a share of each one's paths."""
            total = np.bincount(session, np.asarray(values, np.float64))
            count = np.bincount(session)
            return bounded_interval(total[count > 0] / count[count > 0])

        answer = response(pair)
        # Learnt prices often go round in a cycle, and come back to it out of step.
        back = punishment(pair, ReturnTime(to="cycle", who="rivals" if length is None else "all"))
        worth = profitability(pair, delta)
        came = np.asarray(back.returned)
        found[name] = Force(
            name,
            int(hit.size),
            over(answer.rivals[shock + 1 : shock + 11].mean(axis=0)),
            over(back.length[came], session[came]) if came.any() else None,
            float(came.mean()),
            share(worth.unprofitable),
            over(np.nan_to_num(worth.relative)),
            np.stack(
                [answer.deviator[shock - 5 :].mean(axis=1), answer.rivals[shock - 5 :].mean(axis=1)]
            ),
        )
    return found


def frozen_wars(lived: PlayedWorld) -> dict[str, Any]:
    """What the learnt prices do when no firm learns: wars, and whether they stand still."""
    known, alone = benchmarks(lived), lived.paths("alone")
    wars = episodes(alone, known.price_nash, known.price_joint, DEFINITION)
    tail = alone[-len(alone) // 3 :]
    still = np.ptp(tail, axis=0).max(axis=1) == 0.0
    return {
        "per_1000_ticks": float(1000.0 * wars.counts.mean() / wars.ticks),
        "at_rest_share": float(still.mean()),
        "ticks": len(alone),
    }
