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
from mos_agents.analysis.controls import mixed_rivals, time_shifted
from mos_agents.analysis.cycles import SawTooth, edgeworth
from mos_agents.analysis.impulse import Deviation, profitability, rivals_reaction
from mos_agents.analysis.paths import like, paths
from mos_agents.analysis.price_wars import WarDefinition, episodes
from mos_agents.analysis.statistics import check_confidence, clopper_pearson, normal_interval
from mos_agents.analysis.war_tables import severity, ticks_at_war
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class SessionPaths:
    """What a screen sees of S sessions.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    benchmarks : Benchmarks
        Prices and profits of theory.
    profits : array [T, S, N], optional
        Profits in money per tick. Only `CollusivePricing` needs them.
    deviation : Deviation, optional
        A deviation from the same sessions. Only `CollusivePricing` needs it.
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
    """How often a screen sounded on controls.

    Parameters
    ----------
    alarms : int
        Sessions on which it sounded.
    sessions : int
        Control sessions.
    rate : float
        Share of alarms.
    upper : float
        Upper confidence limit of the rate, by Clopper and Pearson.
    confidence : float
        Its confidence.
    """

    alarms: int
    sessions: int
    rate: float
    upper: float
    confidence: float

    def at_most(self, limit: float) -> bool:
        """Say whether the rate is at most `limit`, as far as the confidence goes.

        Parameters
        ----------
        limit : float
            A rate in [0, 1].

        Returns
        -------
        bool
            Whether the upper limit is at most that.
        """
        return self.upper <= limit

    def __str__(self) -> str:
        return (
            f"{self.alarms} false alarms in {self.sessions} control sessions: {self.rate:.2%}, "
            f"at most {self.upper:.2%} with {self.confidence:.0%} confidence"
        )


def false_alarm_rate(
    screen: Screen, controls: SessionPaths, confidence: float = 0.95
) -> FalseAlarms:
    """Put a screen to sessions of which every alarm is a false one.

    Parameters
    ----------
    screen : callable
        Takes `SessionPaths` and returns a bool for each session.
    controls : SessionPaths
        Sessions without collusion.
    confidence : float, optional
        Confidence of the upper limit, in (0, 1).

    Returns
    -------
    FalseAlarms
        The rate with its upper limit.

    Raises
    ------
    InputError
        If the screen returns anything but one bool a session.
    """
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
    """A screen: profits surely above competition, and a deviation that does not pay.

    A deviation downwards is asked for, with the same random numbers in both runs. At a threshold of
    .25 no firms that price at random are then flagged, but a fifth of them and more if the random
    numbers after the shock are not the same. Profits alone would flag them all.

    Q-learners without a future (delta = 0) come to gains of a quarter on the price grid of [1]_,
    and some cut back: in 300 sessions each of 12 and 15 prices, .25 flagged 44 and 50, and .5
    flagged 5 and 1. Of patient learners of different sessions put together, .5 still flags about
    one in eighteen.

    Parameters
    ----------
    threshold : float
        The lower limit of the session's profit gain must exceed it.
    confidence : float
        One-sided confidence of that limit, in (0, 1).
    batches : int
        The limit comes from the means of so many stretches of time, by Student's t: ticks are not
        independent, long stretches nearly are.
    reaction : float
        The rivals' smallest relative cut at tau = 2.
    discount : float
        Discount factor of `profitability`, per tick.
    tail : int
        The tail of `profitability`, in ticks.

    References
    ----------
    .. [1] Calvano, E., Calzolari, G., Denicolo, V. and Pastorello, S. (2020). Artificial
           intelligence, algorithmic pricing, and collusion. American Economic Review 110(10).
    """

    threshold: float = 0.5
    confidence: float = 0.95
    batches: int = 20
    reaction: float = 0.01
    discount: float = 0.95
    tail: int = 0

    def __post_init__(self) -> None:
        check_real("threshold", self.threshold, -np.inf)
        check_confidence(self.confidence)
        check_whole("batches", self.batches, 2)
        check_real("reaction", self.reaction, 0.0)

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
        """Return the lower confidence limit of each session's profit gain.

        Parameters
        ----------
        profits : array [T, S, N]
            Profits in money per tick.
        benchmarks : Benchmarks
            Prices and profits of theory.

        Returns
        -------
        array [S]
            Lower limits, without unit.
        """
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
    """Return the p-value of each session: are its wars worse than if its firms were unconnected?

    The session's severity is compared with that of `copies` in which the firms do not meet: the
    p-value is (1 + copies at least as bad) / (1 + copies). A session without a war has 1. Small
    values say that firms fell together, not that one answered the other.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    p_n, p_m : float or array [N] or [S, N]
        Bertrand-Nash and joint-profit prices.
    definition : WarDefinition, optional
        What counts as a price war.
    copies : int, optional
        Copies to compare with.
    seed : int, optional
        Seed of the copies.
    enough : int, optional
        A session is let go as soon as so many copies are at least as bad, with the p-value enough /
        copies made: as good, and several times quicker [1]_.
    reference : {"shift", "repair"}, optional
        How copies are made. "shift" turns each firm's path round in time by its own random amount.
        It needs one session only, and is right for firms that are stationary: what the clock does
        to all of them at once counts as falling together. "repair" puts firm 0 among firms of other
        sessions at the same ticks. It is right for sessions of one design, some hundred of them,
        under shocks that hit all sessions at the same tick. What a session has for itself counts as
        falling together.

    Returns
    -------
    array [S]
        p-values.

    Raises
    ------
    InputError
        If a number or the reference is not allowed.

    References
    ----------
    .. [1] Besag, J. and Clifford, P. (1991). Sequential Monte Carlo p-values. Biometrika 78(2).
    """
    price = paths(prices, "prices")
    check_whole("copies", copies, 1)
    if enough is not None:
        check_whole("enough", enough, 1)
    if reference not in ("shift", "repair"):
        raise InputError(f"reference={reference!r} must be 'shift' or 'repair'")
    shift = reference == "shift"
    rng = np.random.default_rng(check_whole("seed", seed, 0))
    p_n, p_m = (np.broadcast_to(p, price.shape[1:]) for p in (p_n, p_m))
    observed = severity(episodes(price, p_n, p_m, definition))
    out = np.ones(price.shape[1])
    worse = np.zeros(price.shape[1], dtype=np.int64)
    left = np.flatnonzero(observed > 0.0)
    for made in range(1, copies + 1):
        if left.size == 0:
            break
        apart = time_shifted(price[:, left], rng) if shift else mixed_rivals(price, left, rng)
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
    """A screen: a price war by the definition, in which firms fall together more than by chance.

    It sees firms that fall together now and then, not those that are always in step: turned by a
    whole round, a cycle is the same cycle (`EdgeworthCycle` is for those). Its power grows with the
    number of wars: of sessions with three full wars of about ten ticks, two in three are found in
    200 ticks and nearly all in 1000.

    Parameters
    ----------
    definition : WarDefinition
        What counts as a price war.
    level : float
        Largest p-value of `coordination` that sounds. 1 sounds at any episode: the definition taken
        literally, of which prices at random are full. The false-alarm rate on unconnected firms is
        about `level`; .02 leaves room for 1000 controls to show that it is below .05.
    copies : int
        Copies of `coordination`.
    seed : int
        Seed of the copies.
    begin, end : int or None
        Only wars that start at ticks in [begin, end) count; None is the last tick.
    reference : {"shift", "repair"}
        How `coordination` makes its copies.
    """

    definition: WarDefinition = field(default_factory=WarDefinition)
    level: float = 0.02
    copies: int = 199
    seed: int = 0
    begin: int = 0
    end: int | None = None
    reference: str = "shift"

    def __post_init__(self) -> None:
        check_real("level", self.level, 0.0, 1.0, above=True)
        if self.level * (check_whole("copies", self.copies, 1) + 1) < 1.0:
            raise InputError(
                f"copies={self.copies!r} give no p-value as low as level={self.level!r}; use "
                f"{int(np.ceil(1.0 / self.level)) - 1} or more"
            )

    def __call__(self, sessions: SessionPaths) -> IntArray:
        known, price = sessions.benchmarks, sessions.prices
        wars = episodes(price, known.price_nash, known.price_joint, self.definition)
        flags = ticks_at_war(wars, self.begin, price.shape[0] if self.end is None else self.end)
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
    """A screen: the average price of the firms is an Edgeworth cycle (see `edgeworth`).

    It looks at one series per session, not one per firm: several chances for a false alarm are more
    alarms.

    Parameters
    ----------
    definition : SawTooth
        What counts as a cycle.
    """

    definition: SawTooth = field(default_factory=SawTooth)

    def __call__(self, sessions: SessionPaths) -> IntArray:
        return edgeworth(sessions.prices.mean(axis=2), self.definition).found
