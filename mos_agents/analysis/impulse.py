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

from mos_agents.analysis.paths import like, number, paths, whole
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class Deviation:
    """A paired experiment: prices and profits [T, S, N] with the deviation and without it.

    shock: the row of the first forced tick, at least 1: the rows before it show the level from
    which the firm deviates (give a whole limit cycle of them, or more). deviator: one firm, or
    that of each session [S]. forced: ticks for which the price is forced; None: to the end.
    InputError unless both prices are the same before the shock, which is what "paired" means.
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
        whole(self.shock, "shock", 1)
        if self.shock > ticks - 2:
            raise InputError(f"shock={self.shock!r} must leave a tick after it; there are {ticks}")
        if self.forced is not None:
            whole(self.forced, "forced", 1)
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
    """Relative price changes [T, S]: (deviated - undeviated) / pre-shock level; row shock is tau 1.

    A cut of 10% is -.1. The pre-shock level is each firm's mean price before the shock; rivals
    are averaged after the division. Average over axis 1 for the figure of a paper.
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
    """The impulse response of prices, session by session.

    Differences are from the undeviated path of the same tick and not from the level, so that a
    cycle, or the customers' chance, is not taken for a response; from a rest point it is the same.
    """
    change = (deviation.prices - deviation.undeviated_prices) / _level(deviation)
    return ImpulseResponse(
        deviation.of_deviator(change), deviation.of_rivals(change), deviation.shock
    )


def rivals_reaction(deviation: Deviation, tau: int = 2) -> Array:
    """The rivals' relative price change [S] at tau; at 2 they answer for the first time.

    Negative is a cut. Calvano et al.'s figure 4 shows about -.13 after a cut to the best response.
    """
    return response(deviation).at(tau)[1]


# --- back again -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReturnTime:
    """When prices count as back.

    tolerance: largest distance of any firm's price, relative to its pre-shock level. Keep it below
        a grid step. stay: ticks in a row that prices must be back.
    to: "path", the undeviated price of the same tick; "cycle", any joint price of the undeviated
        run, each tick's anew: the right one for limit cycles, into which prices often come back
        out of step, so that they never meet the path again.
    who: "all" firms or the "rivals" alone. With a deviation for good only rivals can come back.
    """

    tolerance: float = 0.01
    stay: int = 3
    to: str = "path"
    who: str = "all"

    def __post_init__(self) -> None:
        number(self.tolerance, "tolerance", 0.0)
        whole(self.stay, "stay", 1)
        for name, allowed in (("to", ("path", "cycle")), ("who", ("all", "rivals"))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r} must be one of {allowed}")


@short_repr
@dataclass(frozen=True, eq=False)
class Punishment(Framed):
    """How long prices were away, each [S].

    length: periods after the forced ones (after tau = 1 for a deviation for good) until prices
    were back: 0 if they were back at once. Where they were not back when the record ended, the
    periods seen, and `returned` is False: the true length is longer.
    """

    row_name: ClassVar[str] = "session"

    length: IntArray
    returned: IntArray


def punishment(deviation: Deviation, back: ReturnTime | None = None) -> Punishment:
    """The periods that prices take to come back, session by session.

    With one forced tick at tau = 1 and prices back from tau = 8 on, length is 6: away at 2 to 7.
    Take the mean over sessions with `returned`, and tell the share of the others, or use
    `statistics.survival`. InputError for a deviation for good unless back.who is "rivals".
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
    """What the deviation was worth to the deviator, each [S].

    gain: the discounted difference of its profits, as of the shock, in money. relative: over the
    discounted undeviated profit of the same ticks. unprofitable: gain < 0 beyond rounding.
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
    """Discounted profits with the deviation less those without, for the deviator.

    sum_{t >= shock} discount^(t - shock) (pi'_t - pi_t). The record must last until prices are back
    (`punishment`). Where they never are, as after a deviation for good, `tail` > 0 carries the
    average difference of the last `tail` ticks on for ever; 0 takes it that nothing follows.
    """
    number(discount, "discount", 0.0, 1.0)
    rows = len(deviation.prices) - deviation.shock
    whole(tail, "tail", 0)
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
