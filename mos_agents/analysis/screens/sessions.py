"""Simulated sessions, and how often a screen sounds on those whose firms compete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.collusion import Benchmarks
from mos_agents.analysis.impulse import Deviation
from mos_agents.analysis.paths import finite, like, paths
from mos_agents.analysis.screens.observed import BestReply, Observed
from mos_agents.analysis.shares import clopper_pearson
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class SessionPaths:
    """What a screen sees of S simulated sessions.

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
    cost : array [T, S, N] or [T, S], or float, optional
        Unit costs in money; a number says that costs are constant. Most screens need it.
    demand : array [T, S] or [T], or float, optional
        Demand of each tick as a multiple of the demand for which the benchmarks were computed.
        `CollusivePricing` needs it.
    best_reply : callable, optional
        Takes prices [..., N] and returns the static best reply of each firm to the prices of the
        others, [..., N]. `CollusivePricing` needs it.
    """

    prices: Array
    benchmarks: Benchmarks
    profits: Array | None = None
    deviation: Deviation | None = None
    cost: Array | float | None = None
    demand: Array | float | None = None
    best_reply: BestReply | None = None

    def __post_init__(self) -> None:
        price = paths(self.prices, "prices")
        put = object.__setattr__
        put(self, "prices", price)
        if self.profits is not None:
            put(self, "profits", like(self.profits, "profits", price, "prices"))
        if self.deviation is not None and self.deviation.prices.shape[1:] != price.shape[1:]:
            raise InputError(
                f"deviation is of {self.deviation.prices.shape[1:]} sessions and firms, prices of "
                f"{price.shape[1:]}"
            )
        if self.cost is not None:
            put(self, "cost", _spread(self.cost, "cost", price.shape))
        if self.demand is not None:
            put(self, "demand", _spread(self.demand, "demand", price.shape[:2]))

    @property
    def sessions(self) -> int:
        """S, the number of sessions."""
        return int(self.prices.shape[1])

    def observed(self, session: int) -> Observed:
        """Return one session as the record of one market.

        Parameters
        ----------
        session : int
            Number of the session.

        Returns
        -------
        Observed
            Its record.
        """
        return Observed(
            self.prices[:, session],
            cost=None if self.cost is None else np.asarray(self.cost)[:, session],
            price_nash=self.benchmarks.price_nash,
            price_joint=self.benchmarks.price_joint,
            best_reply=self.best_reply,
        )


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
    screen: Callable[[SessionPaths], IntArray], controls: SessionPaths, confidence: float = 0.95
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


def _spread(values: ArrayLike, name: str, shape: tuple[int, ...]) -> Array:
    """A number, [T], [T, S] or the whole shape, spread over the shape."""
    array = finite(values, name)
    if array.ndim > len(shape) or array.shape != shape[: array.ndim]:
        raise InputError(
            f"{name} has shape {array.shape}, needs a number or the first axes of {shape}"
        )
    return np.broadcast_to(array.reshape(array.shape + (1,) * (len(shape) - array.ndim)), shape)
