"""Does this session look like collusion, like a price war, like a price cycle? And how often would
one say so of firms that compete?

A screen takes sessions and says yes or no to each; `false_alarm_rate` puts it to controls and
states the most alarms that are compatible with what was seen (Clopper and Pearson 1934). A screen
is worth no more than the controls that it was put to.

What the screens rest on: collusion is high profits *and* a response to deviations that makes them
unprofitable (Calvano et al. 2020; Harrington 2018, "Developing Competition Law for Collusion by
Autonomous Artificial Agents", Journal of Competition Law and Economics 14(3)); a price war is firms
cutting *together*, more than their separate paths would by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.collusion import Benchmarks, profit_gain
from mos_agents.analysis.controls import shifted, strangers
from mos_agents.analysis.cycles import SawTooth, edgeworth
from mos_agents.analysis.impulse import Deviation, profitability, rivals_reaction
from mos_agents.analysis.paths import like, number, paths, whole
from mos_agents.analysis.price_wars import WarDefinition, episodes
from mos_agents.analysis.statistics import check_confidence, clopper_pearson, normal_interval
from mos_agents.analysis.war_tables import severity, within
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class SessionPaths:
    """What a screen sees of S sessions: paths [T, S, N], benchmarks, perhaps a deviation.

    profits and deviation are needed by `CollusivePricing` alone.
    """

    prices: Array
    benchmarks: Benchmarks
    profits: Array | None = None
    deviation: Deviation | None = None

    def __post_init__(self) -> None:
        price = paths(self.prices, "prices")
        object.__setattr__(self, "prices", price)
        if self.profits is not None:
            object.__setattr__(self, "profits", like(self.profits, "profits", price, "prices"))
        if self.deviation is not None and self.deviation.prices.shape[1:] != price.shape[1:]:
            raise InputError(
                f"deviation is of {self.deviation.prices.shape[1:]} sessions and firms, prices of "
                f"{price.shape[1:]}"
            )


Screen = Callable[[SessionPaths], IntArray]
"""Sessions to [S] bool."""


# --- false alarms ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class FalseAlarms(Framed):
    """How often a screen sounded on controls; `upper` limits the rate (Clopper-Pearson)."""

    alarms: int
    sessions: int
    rate: float
    upper: float
    confidence: float

    def at_most(self, limit: float) -> bool:
        """Is the rate at most `limit`, as far as the confidence goes?"""
        return self.upper <= limit

    def __str__(self) -> str:
        return (
            f"{self.alarms} false alarms in {self.sessions} control sessions: {self.rate:.2%}, "
            f"at most {self.upper:.2%} with {self.confidence:.0%} confidence"
        )


def false_alarm_rate(
    screen: Screen, controls: SessionPaths, confidence: float = 0.95
) -> FalseAlarms:
    """Put the screen to sessions of which every alarm is a false one."""
    flags = np.asarray(screen(controls))
    sessions = controls.prices.shape[1]
    if flags.shape != (sessions,) or flags.dtype != np.bool_:
        raise InputError(
            f"screen returned {flags.dtype} {flags.shape}, must return bool ({sessions},), one "
            "answer a session"
        )
    alarms = int(flags.sum())
    upper = clopper_pearson(alarms, sessions, confidence, "upper")[1]
    return FalseAlarms(alarms, sessions, alarms / sessions, upper, confidence)


# --- collusive pricing ----------------------------------------------------------------------------


@dataclass(frozen=True)
class CollusivePricing:
    """Profits surely above competition, and a deviation that is answered by a cut and does not pay.

    threshold: the lower limit of the session's profit gain must exceed it. The limits come from
        means of `batches` stretches of time, by Student's t: ticks are not independent, long
        stretches nearly are. confidence: one-sided. Q-learners without a future (delta = 0) come to
        gains of a quarter on the price grid of Calvano et al. (2020), and some cut back: in 300
        sessions each of 12 and 15 prices .25 flagged 44 and 50, .5 flagged 5 and 1. Of strangers,
        patient learners of different sessions, .5 still flags about one in eighteen.
    reaction: rivals' smallest relative cut at tau = 2. discount, tail: of `profitability`.
    A deviation downwards is asked for, with the same random numbers in both runs: at a threshold of
    .25 no firms that price at random are then flagged, but a fifth of them and more if their random
    numbers after the shock is not the same; profits alone would flag them all.
    """

    threshold: float = 0.5
    confidence: float = 0.95
    batches: int = 20
    reaction: float = 0.01
    discount: float = 0.95
    tail: int = 0

    def __post_init__(self) -> None:
        number(self.threshold, "threshold", -np.inf)
        check_confidence(self.confidence)
        whole(self.batches, "batches", 2)
        number(self.reaction, "reaction", 0.0)

    def __call__(self, sessions: SessionPaths) -> IntArray:
        if sessions.profits is None or sessions.deviation is None:
            raise InputError(
                "profits and deviation must be given: high prices alone are no collusion"
            )
        high = self.lower_limit(sessions.profits, sessions.benchmarks) > self.threshold
        cut = rivals_reaction(sessions.deviation) <= -self.reaction
        loses = profitability(sessions.deviation, self.discount, self.tail).unprofitable
        return high & cut & loses

    def lower_limit(self, profits: ArrayLike, benchmarks: Benchmarks) -> Array:
        """The lower confidence limit of each session's profit gain, [S], from profits [T, S, N]."""
        path = paths(profits, "profits", self.batches)
        nash, joint = benchmarks.profit_nash, benchmarks.profit_joint
        gains = np.stack(
            [profit_gain(part, nash, joint) for part in np.array_split(path, self.batches)]
        )
        two_sided = 2.0 * self.confidence - 1.0 if self.confidence > 0.5 else self.confidence
        return np.array(
            [
                normal_interval(column.mean(), column - column.mean(), two_sided).low
                for column in gains.T
            ]
        )


# --- price wars -----------------------------------------------------------------------------------


def coordination(
    prices: ArrayLike,
    p_n: ArrayLike,
    p_m: ArrayLike,
    definition: WarDefinition | None = None,
    copies: int = 199,
    seed: int = 0,
    enough: int | None = None,
    reference: str = "shift",
) -> Array:
    """p-value of each session [S]: are its wars worse than if its firms' paths were unconnected?

    The session's `severity` is compared with that of `copies` in which the firms do not meet:
    (1 + copies at least as bad) / (1 + copies); a session without a war has 1. How copies are made:

    reference="shift": each firm's path is turned round in time by its own random amount
        (`controls.shifted`). Needs one session only. Right for firms that are stationary: what the
        clock does to all of them at once (learning that sets in, a cost shock) counts as falling
        together.
    reference="repair": firm 0 keeps its path, the others are those of other sessions at the same
        ticks (`controls.strangers`). Right for sessions of one design, some hundred of them,
        stationary or not, under shocks that hit all sessions at the same tick. What a session has
        for itself, its own cost shocks or a level of its own, counts as falling together.

    With `enough`, a session is let go as soon as so many copies are at least as bad, its p-value
    being enough / copies made: as good, and several times quicker (Besag and Clifford 1991,
    "Sequential Monte Carlo p-values", Biometrika 78(2)).

    Small values say that firms fell together; not that one answered the other.
    """
    price = paths(prices, "prices")
    whole(copies, "copies", 1)
    if enough is not None:
        whole(enough, "enough", 1)
    if reference not in ("shift", "repair"):
        raise InputError(f"reference={reference!r} must be 'shift' or 'repair'")
    shift = reference == "shift"
    rng = np.random.default_rng(whole(seed, "seed", 0))
    p_n, p_m = (np.broadcast_to(p, price.shape[1:]) for p in (p_n, p_m))
    observed = severity(episodes(price, p_n, p_m, definition))
    out = np.ones(price.shape[1])
    worse = np.zeros(price.shape[1], dtype=np.int64)
    left = np.flatnonzero(observed > 0.0)
    for made in range(1, copies + 1):
        if left.size == 0:
            break
        apart = shifted(price[:, left], rng) if shift else strangers(price, left, rng)
        chance = severity(episodes(apart, p_n[left], p_m[left], definition))
        worse[left] += chance >= observed[left] * (1.0 - 1e-9)
        if enough is not None:
            done = worse[left] >= enough
            out[left[done]] = enough / made
            left = left[~done]
    out[left] = (1.0 + worse[left]) / (1.0 + copies)
    return out


@dataclass(frozen=True)
class PriceWar:
    """A price war by the definition, in which firms fall together more than by chance.

    level: largest p-value of `coordination` that sounds; 1 sounds at any episode (the definition
    taken literally: prices at random are then full of wars). The false-alarm rate on unconnected
    firms is about `level`; .02 leaves room for 1000 controls to show that it is below .05.
    reference: how `coordination` makes its copies.
    begin, end: only wars that start at ticks in [begin, end); None: the last.

    It sees firms that fall together now and then, not those that are always in step: turned by a
    whole round, a cycle is the same cycle (`EdgeworthCycle` is for those). Its power grows with
    the number of wars: of sessions with three full wars of about ten ticks, two in three are
    found in 200 ticks and nearly all in 1000.
    """

    definition: WarDefinition = field(default_factory=WarDefinition)
    level: float = 0.02
    copies: int = 199
    seed: int = 0
    begin: int = 0
    end: int | None = None
    reference: str = "shift"

    def __post_init__(self) -> None:
        number(self.level, "level", 0.0, 1.0, open_low=True)
        if self.level * (whole(self.copies, "copies", 1) + 1) < 1.0:
            raise InputError(
                f"copies={self.copies!r} give no p-value as low as level={self.level!r}; use "
                f"{int(np.ceil(1.0 / self.level)) - 1} or more"
            )

    def __call__(self, sessions: SessionPaths) -> IntArray:
        known, price = sessions.benchmarks, sessions.prices
        wars = episodes(price, known.price_nash, known.price_joint, self.definition)
        flags = within(wars, self.begin, price.shape[0] if self.end is None else self.end)
        if self.level < 1.0 and flags.any():
            # All sessions go in, since they are each other's reference; the p-value is of wars at
            # any time, and the window only asks whether one began in it.
            p = coordination(
                price,
                known.price_nash,
                known.price_joint,
                self.definition,
                self.copies,
                self.seed,
                int(self.level * (self.copies + 1) + 1e-9),
                self.reference,
            )
            flags &= p <= self.level * (1.0 + 1e-9)
        return flags


# --- price cycles ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class EdgeworthCycle:
    """The average price of the firms is an Edgeworth cycle (`cycles.edgeworth`).

    One series per session, not one per firm: several chances for a false alarm are more alarms.
    """

    definition: SawTooth = field(default_factory=SawTooth)

    def __call__(self, sessions: SessionPaths) -> IntArray:
        return edgeworth(sessions.prices.mean(axis=2), self.definition).found
