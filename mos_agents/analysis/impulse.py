"""What happens when one firm is made to change its price: do the others punish, and does it pay?

Two runs of the same market with the same customers and the same random numbers: one left alone, one
in which one firm's price is forced, downwards or upwards, for a tick, for several or for good.
Everything is the difference between the two, so that chance cancels. Prices held up by the fear of
a response show one; prices that are merely high do not.

Source: Calvano, Calzolari, Denicolo and Pastorello (2020), AER 110(10), the section on deviations
and punishments: from the rest point of the learned strategies, exploration off, one firm is forced
to its static best response for one period (tau = 1); its rival answers at tau = 2, and prices come
back after some periods. tau counts as there: tau = 1 is the first forced tick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mos_agents.analysis.paths import like, paths
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class Deviation:
    """A paired experiment: prices and profits with a deviation and without it.

    Parameters
    ----------
    prices, undeviated_prices : array [T, S, N]
        Prices in money per unit.
    profits, undeviated_profits : array [T, S, N]
        Profits in money per tick.
    shock : int
        Row of the first forced tick, >= 1. The rows before it show the level from which the firm
        deviates: give a whole limit cycle of them, or more.
    deviator : int or array of int [S]
        The firm that deviates, or that of each session.
    forced : int or None
        Ticks for which the price is forced; None forces it to the end.

    Raises
    ------
    InputError
        Unless both prices are the same before the shock, which is what "paired" means.
    """

    prices: Array
    undeviated_prices: Array
    profits: Array
    undeviated_profits: Array
    shock: int
    deviator: int | IntArray = 0
    forced: int | None = 1
    _who: IntArray = field(init=False, repr=False)  # deviator of each session [S]

    def __post_init__(self) -> None:
        prices = paths(self.prices, "prices", 3)
        put = object.__setattr__
        put(self, "prices", prices)
        for name in ("undeviated_prices", "profits", "undeviated_profits"):
            put(self, name, like(getattr(self, name), name, prices, "prices"))
        ticks, sessions, firms = prices.shape
        if firms < 2:
            raise InputError(f"prices of {firms} firm: a deviation needs a rival to answer it")
        check_whole("shock", self.shock, 1)
        if self.shock > ticks - 2:
            raise InputError(f"shock={self.shock!r} must leave a tick after it; there are {ticks}")
        if self.forced is not None:
            check_whole("forced", self.forced, 1)
            if self.shock + self.forced >= ticks:
                raise InputError(
                    f"forced={self.forced!r} from row {self.shock} leaves no tick after it; there "
                    f"are {ticks} (None: to the end)"
                )
        who = np.asarray(self.deviator)
        if who.dtype.kind not in "iu" or who.shape not in ((), (sessions,)):
            raise InputError(f"deviator={self.deviator!r} must be a firm, or one for each session")
        if (who < 0).any() or (who >= firms).any():
            raise InputError(f"deviator={who.max()} must be in 0 to {firms - 1}")
        put(self, "_who", np.broadcast_to(who, (sessions,)).astype(np.int64))
        if not np.array_equal(prices[: self.shock], self.undeviated_prices[: self.shock]):
            raise InputError(
                "prices differ from undeviated_prices before the shock: the two runs are not "
                "paired; start both from the same state and seed"
            )

    def of_deviator(self, values: Array) -> Array:
        """The deviator's column [T, S] of values [T, S, N]."""
        return np.take_along_axis(values, self._who[None, :, None], axis=2)[:, :, 0]

    def of_rivals(self, values: Array) -> Array:
        """The average over the deviator's rivals [T, S] of values [T, S, N]."""
        rival = np.arange(values.shape[2]) != self._who[:, None]
        return (values * rival).sum(axis=2) / (values.shape[2] - 1)

    def counted(self, who: str) -> IntArray:
        """[S, N] bool: "all" firms, or the deviator's "rivals"."""
        shape = self.prices.shape[1:]
        if who == "all":
            return np.ones(shape, dtype=bool)
        rival: IntArray = np.arange(shape[1]) != self._who[:, None]
        return rival


@short_repr
@dataclass(frozen=True, eq=False)
class ImpulseResponse:
    """Relative price changes after a deviation: (deviated - undeviated) / level before the shock.

    A cut of 10% is -.1. The level is each firm's mean price before the shock. Rivals are averaged
    after the division. Average over axis 1 for the figure of a paper.

    Parameters
    ----------
    deviator, rivals : array [T, S]
        Changes of the deviator's price, and of its rivals' mean price.
    shock : int
        Row of tau = 1, the first forced tick.
    """

    deviator: Array
    rivals: Array
    shock: int

    def at(self, tau: int) -> tuple[Array, Array]:
        """The deviator's and the rivals' changes [S] in period tau, 1 being the first forced."""
        row = self.shock + tau - 1
        if not 0 <= row < len(self.deviator):
            raise InputError(f"tau={tau!r} must lie within the {len(self.deviator)} ticks given")
        return self.deviator[row], self.rivals[row]


def response(deviation: Deviation) -> ImpulseResponse:
    """Return the impulse response of prices, session by session.

    Differences are from the undeviated path of the same tick and not from the level, so that a
    cycle, or the luck of the draw of customers, is not taken for a response. From a rest point it
    is the same.

    Parameters
    ----------
    deviation : Deviation
        The paired paths.

    Returns
    -------
    ImpulseResponse
        Relative price changes.

    Raises
    ------
    InputError
        If prices before the shock are not > 0.
    """
    change = (deviation.prices - deviation.undeviated_prices) / _level(deviation)
    return ImpulseResponse(
        deviation.of_deviator(change), deviation.of_rivals(change), deviation.shock
    )


def rivals_reaction(deviation: Deviation, tau: int = 2) -> Array:
    """Return the rivals' relative price change at one period after the shock.

    Parameters
    ----------
    deviation : Deviation
        The paired paths.
    tau : int, optional
        The period; 1 is the first forced tick, and at 2 the rivals answer for the first time.

    Returns
    -------
    array [S]
        Relative changes; negative is a cut. Figure 4 of [1]_ shows about -.13 after a cut to the
        best response.

    References
    ----------
    .. [1] Calvano, E., Calzolari, G., Denicolo, V. and Pastorello, S. (2020). Artificial
           intelligence, algorithmic pricing, and collusion. American Economic Review 110(10).
    """
    return response(deviation).at(tau)[1]


# --- back again -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReturnTime:
    """When prices count as back.

    Parameters
    ----------
    tolerance : float
        Largest distance of any firm's price, relative to its level before the shock. Keep it below
        a step of the price grid.
    stay : int
        Ticks in a row that prices must be back.
    to : {"path", "cycle"}
        "path" is the undeviated price of the same tick. "cycle" is any joint price of the
        undeviated run, again for each tick: the right one for limit cycles, into which prices often
        come back out of step, so that they never meet the path again.
    who : {"all", "rivals"}
        The firms that must be back. With a deviation for good only rivals can come back.
    """

    tolerance: float = 0.01
    stay: int = 3
    to: str = "path"
    who: str = "all"

    def __post_init__(self) -> None:
        check_real("tolerance", self.tolerance, 0.0)
        check_whole("stay", self.stay, 1)
        for name, allowed in (("to", ("path", "cycle")), ("who", ("all", "rivals"))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r} must be one of {allowed}")


@short_repr
@dataclass(frozen=True, eq=False)
class Punishment(Framed):
    """How long prices were away.

    Parameters
    ----------
    length : array of int [S]
        Periods after the forced ones (after tau = 1 for a deviation for good) until prices were
        back; 0 if they were back at once. Where they were not back when the record ended, the
        periods seen.
    returned : array of bool [S]
        Whether prices came back. Where not, the true length is longer.
    """

    row_name: ClassVar[str] = "session"

    length: IntArray
    returned: IntArray


def punishment(deviation: Deviation, back: ReturnTime | None = None) -> Punishment:
    """Measure the periods that prices take to come back, session by session.

    With one forced tick at tau = 1 and prices back from tau = 8 on, the length is 6: away at 2 to
    7. Take the mean over sessions with `returned`, and give the share of the others, or use
    `statistics.survival`.

    Parameters
    ----------
    deviation : Deviation
        The paired paths.
    back : ReturnTime, optional
        When prices count as back.

    Returns
    -------
    Punishment
        Length, and whether prices came back.

    Raises
    ------
    InputError
        For a deviation for good, unless back.who is "rivals".
    """
    back = back or ReturnTime()
    if deviation.forced is None and back.who == "all":
        raise InputError(
            "who='all': a firm that is forced for good never comes back; ask for who='rivals'"
        )
    first = deviation.shock + (1 if deviation.forced is None else deviation.forced)
    rows, sessions = deviation.prices[first:].shape[:2]
    level = _level(deviation)
    counts = deviation.counted(back.who)

    def close(other: Array) -> IntArray:
        distance = np.abs(deviation.prices[first:] - other) / level
        return np.all((distance <= back.tolerance * (1.0 + 1e-9)) | ~counts, axis=2)

    if back.to == "path":
        near = close(deviation.undeviated_prices[first:])
    else:
        near = np.zeros((rows, sessions), dtype=bool)
        for joint in deviation.undeviated_prices:
            near |= close(joint)
    length = np.full(sessions, rows)
    if rows >= back.stay:
        runs = np.lib.stride_tricks.sliding_window_view(near, back.stay, axis=0).all(axis=2)
        length = np.where(runs.any(axis=0), runs.argmax(axis=0), rows)
    return Punishment(length, length < rows)


# --- does it pay? ---------------------------------------------------------------------------------


@short_repr
@dataclass(frozen=True, eq=False)
class Profitability(Framed):
    """What a deviation was worth to the deviator.

    Parameters
    ----------
    gain : array [S]
        Discounted difference of its profits, as of the shock, in money.
    relative : array [S]
        The gain over the discounted undeviated profit of the same ticks.
    unprofitable : array of bool [S]
        Whether the gain is < 0 beyond rounding.
    """

    row_name: ClassVar[str] = "session"

    gain: Array
    relative: Array
    unprofitable: IntArray

    @property
    def unprofitable_share(self) -> float:
        """The share of sessions in which the firm would have done better not to deviate."""
        return float(self.unprofitable.mean())


def profitability(deviation: Deviation, discount: float = 0.95, tail: int = 0) -> Profitability:
    """Return discounted profits with the deviation less those without, for the deviator.

    It is sum_{t >= shock} discount^(t - shock) (pi'_t - pi_t). The record must last until prices
    are back (see `punishment`).

    Parameters
    ----------
    deviation : Deviation
        The paired paths.
    discount : float, optional
        Discount factor per tick, in [0, 1].
    tail : int, optional
        Where prices never come back, as after a deviation for good, a tail > 0 carries the average
        difference of so many last ticks on for ever. 0 assumes that nothing follows.

    Returns
    -------
    Profitability
        Gain in money and relative to the undeviated profit.

    Raises
    ------
    InputError
        If the tail is longer than the record, or the discount of an endless tail is 1.
    """
    check_real("discount", discount, 0.0, 1.0)
    rows = len(deviation.prices) - deviation.shock
    check_whole("tail", tail, 0)
    if tail > rows:
        raise InputError(f"tail={tail!r} must be at most {rows}, the ticks from the shock on")
    if tail and discount == 1.0:
        raise InputError("discount=1 makes a difference that goes on for ever infinite; use < 1")
    played = deviation.of_deviator(deviation.profits)[deviation.shock :]
    alone = deviation.of_deviator(deviation.undeviated_profits)[deviation.shock :]

    def worth(profits: Array) -> Array:
        value = np.einsum("t,ts->s", discount ** np.arange(rows), profits)
        if tail:
            value += discount**rows / (1.0 - discount) * profits[-tail:].mean(axis=0)
        return value

    gain, base = worth(played - alone), worth(alone)
    size = worth(np.abs(played) + np.abs(alone))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(base == 0.0, np.nan, gain / base)
    return Profitability(gain, relative, gain < -1e-12 * size)


def _level(deviation: Deviation) -> Array:
    """Each firm's mean price before the shock [S, N], by which changes are measured."""
    level = deviation.undeviated_prices[: deviation.shock].mean(axis=0)
    if (level <= 0.0).any():
        raise InputError(
            f"prices before the shock average {level.min():g} somewhere, must be > 0: responses "
            "are relative to them"
        )
    return level
