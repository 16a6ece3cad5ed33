"""Which ticks are calm, which hold a lone trial, and what war follows: found in price paths.

A *war* is an endogenous fall: the mean price is well below its level for several ticks in a row, in
which nobody explores and several firms take part. `war_effects` compares how often wars follow
trials and calm ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.analysis.price_wars import SLACK
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.frames import Framed
from mos_agents.market.kernels import kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray

NOT_CALM, CALM, LOW, HIGH, SAME = -1, 0, 1, 2, 3
"""What a tick is: with trials around it, without any, or with one lone trial below, above or at the
firm's usual price."""


@dataclass(frozen=True)
class WarEffectDefinition:
    """What counts as a lone trial and as a war after it. Falls are shares of p_M - p_N.

    Parameters
    ----------
    depth : float
        Fall of the mean price below its level that a war needs, > 0.
    run : int
        Ticks in a row that the fall must last. Nobody explores in them.
    first, horizon : int
        First and last tick after the trial that belong to the comparison. With first=2 the first
        answer of the rivals, one tick after the trial, is not part of the war.
    level : int
        The level is the mean over so many ticks before the trial. Nobody explores in them either.
    firms : int
        Firms that take part: their prices are below their own levels by `band` or more in each of
        these ticks. A fall that one firm makes alone is no war.
    band : float
        A war is over when the mean price is within this distance of its level, < depth.
    """

    depth: float = 0.25
    run: int = 3
    first: int = 2
    horizon: int = 10
    level: int = 10
    firms: int = 2
    band: float = 0.1

    def __post_init__(self) -> None:
        check_real("depth", self.depth, 0.0, above=True)
        check_real("band", self.band, 0.0)
        if not self.band < self.depth:
            raise InputError(
                f"band={self.band!r} must be < depth={self.depth!r}: else a war ends at once"
            )
        for name in ("run", "first", "horizon", "level", "firms"):
            check_whole(name, getattr(self, name), 1)
        if self.first + self.run - 1 > self.horizon:
            raise InputError(
                f"horizon={self.horizon!r} must be at least first + run - 1 = "
                f"{self.first + self.run - 1}: else no war fits in"
            )


@short_repr
@dataclass(frozen=True, eq=False)
class TrialWars(Framed):
    """The E wars that followed lone trials.

    Parameters
    ----------
    session, trial, onset : array of int [E]
        The session, the tick of the trial, and the first tick of the war.
    duration : array of int [E]
        Ticks until the mean price is back, or until the next trial or the end of the record.
    ended : array of bool [E]
        Whether the price came back before the next trial. Where not, the war lasted longer.
    depth : array [E]
        The largest fall of the mean price, in units of p_M - p_N.
    raised_by_trier, raised_by_rival : array of bool [E]
        Who raised its price by more than the band in the tick that ended the war: the firm that had
        tried, and one or more of its rivals.
    """

    row_name: ClassVar[str] = "war"

    session: IntArray
    trial: IntArray
    onset: IntArray
    duration: IntArray
    ended: IntArray
    depth: Array
    raised_by_trier: IntArray
    raised_by_rival: IntArray

    def by_session(self, values: Array, sessions: int) -> Array:
        """Take the mean of a value a war in each session.

        Wars of a session are alike, so it is sessions that an interval is over.

        Parameters
        ----------
        values : array [E]
            A value a war.
        sessions : int
            How many sessions there are, S.

        Returns
        -------
        array [S]
            The means; NaN where a session has no war.
        """
        count = np.bincount(self.session, minlength=sessions)
        total = np.bincount(self.session, values, minlength=sessions)
        return np.divide(total, count, out=np.full(sessions, np.nan), where=count > 0)


def wars_after(
    rows: Array,
    tries: IntArray,
    gap: Array,
    rule: WarEffectDefinition,
    at: IntArray,
    onset: IntArray,
) -> TrialWars:
    """The wars after the trials `at` [E, 2], session and tick."""
    happened = at[onset[at[:, 0], at[:, 1]] >= 0] if len(at) else at
    session, trial = (np.ascontiguousarray(column) for column in happened.reshape(-1, 2).T)
    begins = onset[session, trial]
    whole = np.zeros((len(session), 2), np.int64)
    depth, raised = np.zeros(len(session)), np.zeros((len(session), 2), np.bool_)
    follow_wars(
        rows, tries, gap, rule.level, rule.band, session, trial, begins, whole, depth, raised
    )
    ended = whole[:, 1] == 1
    return TrialWars(session, trial, begins, whole[:, 0], ended, depth, raised[:, 0], raised[:, 1])


@kernel
def find_wars(  # type: ignore[no-untyped-def]
    prices, tried, sign, gaps, depth, run, first, horizon, level, firms, band, kind, onset
):
    """Say of each tick [S, T] what it is, and where a war after it begins; -1 for none.

    prices, tried: [S, T, N]. sign: [S, T, N] -1 for low trials, 1 for high ones, 0 for neither.
    Only calm ticks and lone trials have wars after them.
    """
    sessions, ticks, n = prices.shape
    mean = np.empty(ticks)
    until = np.empty(ticks + 1, np.int64)  # ticks with a trial before each
    floors = np.empty(n)
    for s in range(sessions):
        until[0] = 0
        for t in range(ticks):
            total, explored = 0.0, False
            for i in range(n):
                total += prices[s, t, i]
                explored |= tried[s, t, i]
            mean[t] = total / n
            until[t + 1] = until[t] + explored
        for t in range(ticks):
            kind[s, t], onset[s, t] = NOT_CALM, -1
            if t < level or t + horizon >= ticks:
                continue
            if until[t] - until[t - level] + until[t + horizon + 1] - until[t + 1] > 0:
                continue
            triers, who = 0, 0
            for i in range(n):
                if tried[s, t, i]:
                    triers += 1
                    who = i
            if triers > 1:
                continue
            slack = SLACK * gaps[s]
            kind[s, t] = CALM
            if triers == 1:
                way = sign[s, t, who]
                kind[s, t] = LOW if way < 0 else (HIGH if way > 0 else SAME)
            base = 0.0
            floors[:] = 0.0
            for u in range(t - level, t):
                base += mean[u]
                for i in range(n):
                    floors[i] += prices[s, u, i]
            floor = base / level - depth * gaps[s] + slack
            length = 0
            for u in range(t + first, t + horizon + 1):
                if mean[u] > floor:
                    length = 0
                    continue
                part = 0
                for i in range(n):
                    part += prices[s, u, i] <= floors[i] / level - band * gaps[s] + slack
                length = length + 1 if part >= firms else 0
                if length == run:
                    onset[s, t] = u - run + 1
                    break


@kernel
def follow_wars(  # type: ignore[no-untyped-def]
    prices, tried, gaps, level, band, session, trial, onset, whole, depth, raised
):
    """Follow wars [E] to their ends. whole: [E, 2] duration, ended. raised: [E, 2] by the firm that
    had tried, by a rival."""
    ticks, n = prices.shape[1], prices.shape[2]
    for e in range(session.shape[0]):
        s, begin = session[e], onset[e]
        base = 0.0
        for u in range(trial[e] - level, trial[e]):
            total = 0.0
            for i in range(n):
                total += prices[s, u, i]
            base += total / n
        base /= level
        near = base - band * gaps[s] - SLACK * gaps[s]
        end = begin
        while end < ticks:
            total, explored = 0.0, False
            for i in range(n):
                total += prices[s, end, i]
                explored |= tried[s, end, i]
            if explored or total / n >= near:
                break
            depth[e] = max(depth[e], (base - total / n) / gaps[s])
            end += 1
        whole[e, 0] = end - begin
        if end < ticks and not explored:
            whole[e, 1] = 1
            for i in range(n):
                if prices[s, end, i] - prices[s, end - 1, i] > band * gaps[s]:
                    raised[e, 0 if tried[s, trial[e], i] else 1] = True
