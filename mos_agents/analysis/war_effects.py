"""Do price trials cause price wars? A comparison of ticks with a trial and ticks without one.

A learner that explores runs a randomised experiment: the time and the price of each trial are
drawn at random. So the prices that follow a trial can be compared with the prices that follow a
calm tick, in which nobody explores. Common costs, seasons and trends are the same in both groups.

A *war* is an endogenous fall: the mean price is well below its level for several ticks in a row, in
which nobody explores and several firms take part. The *effect* of trials on wars is
P(war | a lone low trial) less P(war | a calm tick). A test turns the pattern of trials round among
the calm ticks; without an effect, every turn of the pattern is as likely as the one that was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.durations import survival
from mos_agents.analysis.paths import paths
from mos_agents.analysis.price_wars import SLACK, price_gap
from mos_agents.analysis.randomisation import exact_p_value, turned_p_value
from mos_agents.analysis.shares import bounded_interval, share_interval
from mos_agents.analysis.statistics import Interval, mean_interval, unbounded_interval
from mos_agents.analysis.trial_wars import (
    CALM,
    HIGH,
    LOW,
    TrialWars,
    WarEffectDefinition,
    find_wars,
    wars_after,
)
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray

DIRECTIONS = ("low", "high")


@short_repr
@dataclass(frozen=True)
class WarEffectTable(Framed):
    """The effect of trials on wars, with intervals over sessions.

    Parameters
    ----------
    sessions, trials : int
        Sessions, and lone trials in all of them.
    war_after_trial, war_placebo : Interval
        P(war | a lone trial) and P(war | a calm tick): the mean over sessions.
    difference : Interval
        The mean over sessions of the one less the other.
    significant_share : Interval
        Share of sessions in which the test is significant.
    answer, static_answer, beyond : Interval
        Rivals' first answer to a trial, the change of their static best reply, and the difference,
        in units of p_M - p_N. The last two are NaN without `best_reply`.
    depth : Interval
        Mean depth of the wars after trials, in units of p_M - p_N.
    median_duration : float or None
        Ticks, by product limit; None if fewer than half of the wars were seen to end.
    ended_by_trier, ended_by_rival, ended_by_both : float
        Shares of the wars that ended: raised by the firm that had tried alone, by rivals alone, or
        by both in the same tick.
    """

    sessions: int
    trials: int
    war_after_trial: Interval
    war_placebo: Interval
    difference: Interval
    significant_share: Interval
    answer: Interval
    static_answer: Interval
    beyond: Interval
    depth: Interval
    median_duration: float | None
    ended_by_trier: float
    ended_by_rival: float
    ended_by_both: float


@short_repr
@dataclass(frozen=True, eq=False)
class WarEffect(Framed):
    """The effect of trials on wars in each of S sessions.

    Parameters
    ----------
    trials, calm : array of int [S]
        Lone trials in the direction asked for, and calm ticks.
    war_after_trial, war_placebo : array [S]
        Share of them that a war follows; NaN where there are none.
    p_value : array [S]
        One-sided p-value: the larger one of `turned_p_value` and `exact_p_value`; 1 without trials.
    answer, static_answer : array [S]
        Mean change of the rivals' prices one tick after a trial, and that of their static best
        replies, in units of p_M - p_N; NaN without trials, or without `best_reply`.
    wars : TrialWars
        The wars that followed trials.
    """

    row_name: ClassVar[str] = "session"

    trials: IntArray
    calm: IntArray
    war_after_trial: Array
    war_placebo: Array
    p_value: Array
    answer: Array
    static_answer: Array
    wars: TrialWars

    def significant(self, level: float = 0.05) -> IntArray:
        """Say in which sessions wars follow trials more often than calm ticks.

        Parameters
        ----------
        level : float, optional
            Level of the test, in (0, 1).

        Returns
        -------
        array of bool [S]
            Whether the p-value is at most the level.
        """
        flags: IntArray = self.p_value <= level
        return flags

    @classmethod
    def joined(cls, parts: Sequence[WarEffect]) -> WarEffect:
        """Put the sessions of several effects one after another.

        Parameters
        ----------
        parts : sequence of WarEffect
            One or more.

        Returns
        -------
        WarEffect
            All sessions, numbered again.
        """
        begin = np.cumsum([0, *(len(one.trials) for one in parts)])
        wars = {
            field.name: np.concatenate([getattr(one.wars, field.name) for one in parts])
            for field in fields(TrialWars)
        }
        wars["session"] = np.concatenate(
            [one.wars.session + first for one, first in zip(parts, begin, strict=False)]
        )
        own = [field.name for field in fields(cls) if field.name != "wars"]
        rows = {name: np.concatenate([getattr(one, name) for one in parts]) for name in own}
        return cls(**rows, wars=TrialWars(**wars))

    def summary(self, level: float = 0.05) -> WarEffectTable:
        """Summarise the sessions.

        Parameters
        ----------
        level : float, optional
            Level of the test in each session.

        Returns
        -------
        WarEffectTable
            Means over sessions with 95% intervals.
        """
        wars, ended = self.wars, self.wars.ended
        count = max(int(ended.sum()), 1)
        by_trier, by_rival = wars.raised_by_trier[ended], wars.raised_by_rival[ended]
        median = survival(wars.duration, ended).median if len(ended) else None
        depth = np.full(len(self.trials), np.nan)
        for s in np.unique(wars.session):
            depth[s] = wars.depth[wars.session == s].mean()
        return WarEffectTable(
            len(self.trials),
            int(self.trials.sum()),
            _share(self.war_after_trial),
            _share(self.war_placebo),
            _mean(self.war_after_trial - self.war_placebo),
            share_interval(self.significant(level)),
            _mean(self.answer),
            _mean(self.static_answer),
            _mean(self.answer - self.static_answer),
            _mean(depth),
            median,
            float((by_trier & ~by_rival).sum() / count),
            float((by_rival & ~by_trier).sum() / count),
            float((by_rival & by_trier).sum() / count),
        )


def war_effect(
    prices: ArrayLike,
    tried: ArrayLike,
    p_n: ArrayLike,
    p_m: ArrayLike,
    definition: WarEffectDefinition | None = None,
    *,
    direction: str = "low",
    best_reply: Callable[[Array], Array] | None = None,
) -> WarEffect:
    """Compare the ticks after lone trials with the ticks after calm ticks, session by session.

    A tick is *calm* if nobody explores in the `level` ticks before it and in the `horizon` ticks
    after it. A lone trial is an exploring move of one firm in an otherwise calm tick. It is low if
    its price is below the firm's usual price, the median of the whole record. The firm's level
    before the trial would be no fair yardstick: trials that are low by it are more frequent where
    prices are high and about to fall.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    tried : array of bool [T, S, N]
        Which firm explored in which tick.
    p_n, p_m : float or array [N] or [S, N]
        Bertrand-Nash and joint-profit prices. Only p_M - p_N matters, as the yardstick.
    definition : WarEffectDefinition, optional
        What counts as a trial and as a war.
    direction : {"low", "high"}, optional
        Whether trials below or above the usual price are looked at. The others are left out.
    best_reply : callable, optional
        Takes prices [E, N] and returns each firm's static best reply to the others' prices [E, N].
        Competitors answer a lone cut by a change of their best reply; wars show in what goes beyond
        it.

    Returns
    -------
    WarEffect
        Shares, p-values and wars of each session.

    Raises
    ------
    InputError
        If shapes do not match, or the direction is unknown.
    """
    rule = definition or WarEffectDefinition()
    price = paths(prices, "prices")
    _, sessions, firms = price.shape
    trial = np.asarray(tried)
    if trial.shape != price.shape or trial.dtype != np.bool_:
        raise InputError(
            f"tried is {trial.dtype} {trial.shape}, must be bool with the shape of prices "
            f"{price.shape}: which firm explored in which tick"
        )
    if rule.firms > firms:
        raise InputError(f"firms={rule.firms} must be at most {firms}, the firms in prices")
    if direction not in DIRECTIONS:
        raise InputError(f"direction={direction!r} must be one of {DIRECTIONS}")
    gap = price_gap(p_n, p_m, sessions, firms)
    rows = np.ascontiguousarray(np.swapaxes(price, 0, 1))
    tries = np.ascontiguousarray(np.swapaxes(trial, 0, 1))
    sign = _above_usual(rows, tries, SLACK * gap)
    return effect_of(rows, tries, sign, gap, rule, direction, best_reply)


def effect_of(
    rows: Array,
    tries: IntArray,
    sign: IntArray,
    gap: Array,
    rule: WarEffectDefinition,
    direction: str,
    best_reply: Callable[[Array], Array] | None = None,
) -> WarEffect:
    """The effect of trials [S, T, N] with these signs [S, T, N] on prices [S, T, N]."""
    sessions, ticks, _ = rows.shape
    kind = np.empty((sessions, ticks), np.int8)
    onset = np.empty((sessions, ticks), np.int64)
    find_wars(rows, tries, sign, gap, *_numbers(rule), kind, onset)
    wanted = LOW if direction == "low" else HIGH
    counts = np.zeros((2, sessions), np.int64)
    shares = np.full((2, sessions), np.nan)
    p_value = np.ones(sessions)
    for s in range(sessions):
        counted = np.flatnonzero((kind[s] == CALM) | (kind[s] == wanted))
        treated, outcome = kind[s, counted] == wanted, onset[s, counted] >= 0
        for row, group in enumerate((treated, ~treated)):
            counts[row, s] = group.sum()
            if group.any():
                shares[row, s] = outcome[group].mean()
        p_value[s] = max(turned_p_value(treated, outcome), exact_p_value(treated, outcome))
    at = np.argwhere(kind == wanted)
    answer, static = _answers(rows, tries, gap, rule, at, best_reply)
    wars = wars_after(rows, tries, gap, rule, at, onset)
    (trials, calm), (after, placebo) = counts, shares
    return WarEffect(trials, calm, after, placebo, p_value, answer, static, wars)


def _above_usual(rows: Array, tries: IntArray, slack: Array) -> IntArray:
    """[S, T, N] -1 where a price is below the firm's median price without exploration, 1 above."""
    sign = np.zeros(rows.shape, np.int8)
    for s, i in np.ndindex(len(rows), rows.shape[2]):
        own = rows[s, ~tries[s, :, i], i]
        gap = rows[s, :, i] - np.median(own if own.size else rows[s, :, i])
        sign[s, :, i] = np.where(np.abs(gap) > slack[s], np.sign(gap), 0.0)
    return sign


def _numbers(rule: WarEffectDefinition) -> tuple[float, int, int, int, int, int, float]:
    return rule.depth, rule.run, rule.first, rule.horizon, rule.level, rule.firms, rule.band


def _share(values: Array) -> Interval:
    """The mean of a share a session, and its interval; NaN where nothing is known."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return unbounded_interval(float(known.mean()) if known.size else float("nan"))
    return bounded_interval(known)


def _mean(values: Array) -> Interval:
    known = values[np.isfinite(values)]
    if known.size < 2:
        return unbounded_interval(float(known.mean()) if known.size else float("nan"))
    return mean_interval(known)


def _answers(
    rows: Array,
    tries: IntArray,
    gap: Array,
    rule: WarEffectDefinition,
    at: IntArray,
    best_reply: Callable[[Array], Array] | None,
) -> tuple[Array, Array]:
    """[S] mean first answer of the rivals, and the change of their static best replies."""
    sessions, _, firms = rows.shape
    found = np.full((2, sessions), np.nan)
    if not len(at) or firms < 2:
        return found[0], found[1]
    s, t = at.T
    level = np.stack([rows[s, t - back] for back in range(rule.level, 0, -1)]).mean(axis=0)
    rival = ~tries[s, t]
    changes = [rows[s, t + 1] - level]
    if best_reply is not None:
        changes.append(np.asarray(best_reply(rows[s, t])) - np.asarray(best_reply(level)))
    number = np.maximum(np.bincount(s, minlength=sessions), 1)
    for row, change in enumerate(changes):
        mean = (change * rival).sum(axis=1) / (firms - 1) / gap[s]
        total = np.bincount(s, mean, sessions)
        found[row] = np.where(np.bincount(s, minlength=sessions) > 0, total / number, np.nan)
    return found[0], found[1]
