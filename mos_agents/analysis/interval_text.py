"""How an interval is written: one form for terminals, pages and tables, which says what varies.

An interval is over something: sessions, markets, seeds. It holds the scatter of simulated play
alone. It says nothing of a model that is wrong, or of settings that were chosen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mos_agents.analysis.numbers import number
from mos_agents.analysis.statistics import FEWEST_SESSIONS, Interval

Form = Callable[[float], str]


def four_digits(value: float) -> str:
    """1,234,567; 0.8532; 1.2e-05."""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def whole_percent(value: float) -> str:
    """A share as 12%; near 0% and 100% with as many digits as keep it apart from them."""
    edge = min(value, 1.0 - value)
    if edge <= 0.0 or edge >= 0.01:
        return f"{100.0 * value:.0f}%"
    digits = min(int(-np.floor(np.log10(100.0 * edge))), 9)
    return f"{100.0 * value:.{digits + 1}f}".rstrip("0").rstrip(".") + "%"


def figure_text(one: Interval, count: int, noun: str = "session") -> str:
    """As `interval_text`, all three figures with decimals that show the interval's width.

    1.692 [1.690, 1.694] and not 1.69 [1.69, 1.69]; 60 [−222, 340] and not 58.9 [−222, 340].
    """
    return interval_text(one, count, noun, decimals_of(one))


def decimals_of(one: Interval) -> Form:
    """A form with as many decimals as a quarter of half the interval's width needs, at most nine.

    That of `number` where there is no width.
    """
    reach = 0.5 * (one.high - one.low)
    if not (np.isfinite(reach) and reach > 0.0 and np.isfinite(one.estimate)):
        return number
    digits = min(max(int(np.ceil(-np.log10(0.25 * reach))), 0), 9)

    def form(value: float) -> str:
        text = f"{value:,.{digits}f}"
        return text.replace("-", "−") if float(text.replace(",", "")) else f"{0.0:.{digits}f}"

    return form


def limits_text(low: float, high: float, form: Form = four_digits, end: float = np.inf) -> str:
    """[0.84, 0.87]. end: where the record ends, beyond which nothing is known; see `interval_text`.

    A side without a limit is described in words: [0.84, no limit].
    """
    upper = (
        form(high)
        if np.isfinite(high) and high < end
        else (f"beyond {form(end)}" if np.isfinite(end) else "no limit")
    )
    return f"[{form(low) if np.isfinite(low) else 'no limit'}, {upper}]"


def interval_text(
    one: Interval,
    count: int,
    noun: str = "session",
    form: Form = four_digits,
    end: float = np.inf,
    at_least: bool = False,
) -> str:
    """An estimate with its 95% limits: 0.853 [0.841, 0.866].

    Of 2 to 4 of the `noun`s the text ends with "(rough: 3 sessions)": so few show neither their own
    spread nor their skewness well. Where there is no interval, the text says why: "0.853 (one
    session)", and where all `count` of the `noun`s came to the same, "0.853 (the same in all 20
    sessions)" instead of limits of width 0. end: the length of the record, for durations: a limit
    there says no more than "beyond".
    at_least: the estimate is itself cut off by the end of the record.
    """
    if not np.isfinite(one.estimate):
        return "none"
    value = ("at least " if at_least else "") + form(one.estimate)
    if count < 2 or not (np.isfinite(one.low) or np.isfinite(one.high)):
        return f"{value} (one {noun})" if count < 2 else value
    if one.low == one.high == one.estimate:
        return f"{value} (the same in all {count:,} {noun}s)"
    rough = f" (rough: {count} {noun}s)" if count < FEWEST_SESSIONS else ""
    return f"{value} {limits_text(one.low, one.high, form, end)}{rough}"


def share_text(one: Interval, count: int, noun: str = "session", form: Form = whole_percent) -> str:
    """A share with its 95% limits: 85% [62%, 97%].

    Of none or all the text says what so many can exclude: "0% (20 sessions: at most 17%)", "100%
    (20 sessions: at least 83%)". The limits are those of the interval: take them from
    `share_interval` or `bounded_interval`, which never leave [0, 1] and never shrink to a point.
    """
    if not np.isfinite(one.estimate):
        return "none"
    if one.estimate == 0.0:
        return f"{form(0.0)} ({_counted(count, noun)}: at most {form(one.high)})"
    if one.estimate == 1.0:
        return f"{form(1.0)} ({_counted(count, noun)}: at least {form(one.low)})"
    if one.low == one.high:
        return f"{form(one.estimate)} (the same in all {_counted(count, noun)})"
    return f"{form(one.estimate)} {limits_text(one.low, one.high, form)}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + "s" * (count != 1)
