"""A regular clock for observed rows: which tick each date is, and which ticks nobody observed.

Screens compare a tick with the one before it, so a missing week must stay visible as a gap. The
clock has one tick for each hour, day, week, month, quarter or year, or for each number of rows that
are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError, IntArray
from mos_agents.scenarios.tables.columns import words
from mos_agents.scenarios.tables.row_order import DAY, timestamps_of
from mos_agents.scenarios.tables.times import Times, readings
from mos_agents.wording import setting

EVERY = ("hour", "day", "week", "month", "quarter", "year")
"""Steps to which rows at irregular times can be averaged."""

SEASONS = {"hour": 24, "day": 7, "week": 52, "month": 12, "quarter": 4}
"""Ticks after which the calendar repeats."""

_LENGTHS = (
    ("hour", 3600 * 10**6, 3600 * 10**6),
    ("day", DAY, DAY),
    ("week", 7 * DAY, 7 * DAY),
    ("month", 28 * DAY, 31 * DAY),
    ("quarter", 89 * DAY, 93 * DAY),
    ("year", 365 * DAY, 366 * DAY),
)
_TRUNCATED = {
    "hour": "1h",
    "day": "1d",
    "week": "1w",
    "month": "1mo",
    "quarter": "1q",
    "year": "1y",
}
REGULAR = 0.15
"""The largest distance of a step from a multiple of the usual one, as a share of the usual one."""

MOSTLY_REGULAR = 0.9
"""The share of steps that must be multiples of the usual one."""

SPARSE = 4
"""A clock with more than so many ticks for each observed one is refused."""


@short_repr
class Clock(NamedTuple):
    """A regular clock, and the tick of every row.

    Parameters
    ----------
    step : str
        What one tick is: "hour", "day", "week", "month", "quarter", "year", or "tick".
    labels : tuple of str
        [T] the date or number of each tick.
    tick : array of int
        [H] the tick of each row.
    at : array of int
        [T] what orders the ticks: microseconds since 1970, or the numbers that count them.
    notes : tuple of str
        What was recognised, in words.
    """

    step: str
    labels: tuple[str, ...]
    tick: IntArray
    at: IntArray
    notes: tuple[str, ...] = ()


def clock_of(shown: str, times: Sequence[Times], lines: IntArray, every: str | None) -> Clock:
    """The clock of a table's rows; InputError in one line where no regular clock fits.

    Parameters
    ----------
    shown : str
        The file, as messages name it.
    times : sequence of Times
        Its columns that say when; none means that each row is a tick.
    lines : array of int
        [H] the row of the file that each row stands in.
    every : {"hour", "day", "week", "month", "quarter", "year"} or None
        The step to which the rows are averaged; None takes the step that the rows have.
    """
    if not times:
        if every is not None:
            raise InputError(f"{shown}: {setting('every', every)} needs a column of dates")
        note = "no column of dates: each row is taken as one tick, in the order of the rows"
        rows = np.arange(len(lines))
        return Clock("tick", tuple(map(str, rows)), rows, rows, (note,))
    if all(not one.whole and one.moments is not None for one in times):
        return _counted(shown, times, every)
    when = timestamps_of(times)
    candidates = _candidates(when, times)
    if when is None or not candidates:
        first = times[0]
        raise InputError(
            f"{shown}: {first.name} holds {first.description}, so the order of the rows is not "
            "known; write dates as 2024-12-31"
        )
    unread = when.moments is not None and when.moments.is_null()
    if when.moments is not None and bool(unread.any()):  # type: ignore[union-attr]
        row = int(unread.arg_true()[0])  # type: ignore[union-attr]
        raise InputError(
            f"{shown}: row {int(lines[row])}: {when.name}={str(when.texts[row] or '')[:40]!r} is "
            "no date that can be read; correct it or delete the row"
        )
    return _dated(shown, when, candidates, every)


def _candidates(when: Times | None, times: Sequence[Times]) -> list[pl.Series]:
    """The ways in which the dates can be read: 01/02/2024 is in January or in February."""
    if when is None:
        unsure = next((t for t in times if t.moments is None), None)
        return readings(unsure.texts) if unsure is not None else []
    if when.description != "dates" or when.texts.dtype != pl.String or len(times) > 1:
        return [when.moments] if when.moments is not None else readings(when.texts)
    return readings(when.texts) or ([when.moments] if when.moments is not None else [])


_IN_A_YEAR = {"week": 52, "month": 12, "quarter": 4}


def _counted(shown: str, times: Sequence[Times], every: str | None) -> Clock:
    """The clock of rows whose ticks are counted: ticks, weeks 1 to 52, or a year and its months."""
    name = " and ".join(one.name for one in times)
    if every is not None:
        raise InputError(f"{shown}: {setting('every', every)} needs dates; {name} counts ticks")
    units = {next((u for u in EVERY if u in _singular(t.name)), "tick"): t for t in times}
    numbers = [_numbers(shown, one) for one in units.values()]
    if "year" in units and len(units) == 2:
        step = next(unit for unit in units if unit != "year")
        if step not in _IN_A_YEAR:
            raise InputError(f"{shown}: {name}: give dates, as 2024-12-31, in one column")
        year, part = _numbers(shown, units["year"]), _numbers(shown, units[step])
        # A few years have a week 53: its prices are averaged with those of week 52.
        ordered = year * _IN_A_YEAR[step] + np.minimum(part, _IN_A_YEAR[step])
        texts = [f"{y}-{p:02d}" for y, p in zip(year, part, strict=True)]
    elif len(units) == 1:
        step, ordered = next(iter(units)), numbers[0]
        texts = [str(text) for text in next(iter(units.values())).texts]
    else:
        raise InputError(
            f"{shown}: columns {name} could each say when; say which, as in "
            f"{setting('time', times[0].name)}"
        )
    unique, place = np.unique(ordered, return_inverse=True)
    ticks, good = _multiples(unique, _usual(unique))
    if good.mean() < MOSTLY_REGULAR:
        raise InputError(
            f"{shown}: {name} goes up by irregular steps; number the ticks evenly, or give dates"
        )
    if ticks[-1] + 1 > SPARSE * len(ticks):
        raise InputError(
            f"{shown}: {name} leaves out more than three of four ticks; give more rows, or number "
            "them without gaps"
        )
    labels = [""] * (int(ticks[-1]) + 1)
    for text, tick in zip(texts, ticks[place], strict=True):
        labels[tick] = labels[tick] or text
    at = np.interp(np.arange(len(labels)), ticks, unique.astype(float)).astype(np.int64)
    return Clock(step, tuple(labels), ticks[place].astype(np.int64), at)


def _singular(heading: str) -> set[str]:
    return {word.rstrip("s") for word in words(heading)}


def _numbers(shown: str, one: Times) -> IntArray:
    """The whole numbers of a column that counts."""
    assert one.moments is not None
    lost = one.moments.is_null().arg_true()
    if len(lost):
        raise InputError(
            f"{shown}: {one.name}={str(one.texts[lost[0]] or '')[:40]!r} is no number; correct it "
            "or delete the row"
        )
    return one.moments.cast(pl.Int64).to_numpy() // 10**6


def _dated(shown: str, when: Times, candidates: Sequence[pl.Series], every: str | None) -> Clock:
    if every is not None and every not in EVERY:
        raise InputError(f"{setting('every')}={every!r} must be one of {', '.join(EVERY)}")
    made = [_of_moments(one, every) for one in candidates]
    steady = [one for one in made if one is not None]
    if len(steady) > 1 and len({tuple(one.labels) for one in steady}) > 1:
        raise InputError(
            f"{shown}: {when.name}={when.texts[0]!r}: day and month cannot be distinguished; write "
            "dates as 2024-12-31"
        )
    if not steady:
        raise InputError(
            f"{shown}: {when.name}: the dates are irregular, and screens need one price a day, "
            "week or month; say "
            f"{setting('every', 'week')} (or hour, day, month, quarter, year) to average them"
        )
    return steady[0]


def _of_moments(moments: pl.Series, every: str | None) -> Clock | None:
    """The clock of dates; None where their steps are irregular."""
    if every is not None:
        moments = moments.dt.truncate(_TRUNCATED[every])
    micro = moments.cast(pl.Int64).to_numpy()
    unique, place = np.unique(micro, return_inverse=True)
    if len(unique) < 2:
        return Clock("tick", (_label(unique[:1], "day")[0],), place.astype(np.int64), unique)
    notes: list[str] = []
    usual = _usual(unique)
    step = every or next((n for n, low, high in _LENGTHS if low <= usual <= high), "tick")
    if step == "day" and _no_weekends(unique):
        days = (unique // DAY).astype("datetime64[D]")
        ticks = np.busday_count(days[0], days)
        good = np.ones(len(unique), bool)
        notes.append("no prices on weekends: Monday follows Friday")
    else:
        ticks, good = _multiples(unique, usual)
    if good.mean() < MOSTLY_REGULAR or ticks[-1] + 1 > SPARSE * len(unique):
        return None
    missing = int(ticks[-1]) + 1 - len(unique)
    if missing:
        gap = int(np.argmax(np.diff(ticks)))
        after = _label(unique[gap : gap + 1], step)[0]
        notes.append(
            f"{missing:,} {step}{'' if missing == 1 else 's'} without any price; the longest gap "
            f"comes after {after}"
        )
    at = np.interp(np.arange(ticks[-1] + 1), ticks, unique.astype(float)).astype(np.int64)
    at[ticks] = unique
    return Clock(step, tuple(_label(at, step)), ticks[place].astype(np.int64), at, tuple(notes))


def _usual(unique: IntArray) -> float:
    return float(np.median(np.diff(unique))) if len(unique) > 1 else 1.0


def _multiples(unique: IntArray, usual: float) -> tuple[IntArray, IntArray]:
    """[U] ticks by adding up whole multiples of the usual step, so that no error adds up, and
    whether each step is such a multiple."""
    steps = np.diff(unique) / usual
    whole = np.maximum(np.rint(steps), 1.0)
    # Several steps of months differ by a day or two each.
    good = np.abs(steps - whole) <= REGULAR * np.maximum(1.0, whole / 4.0)
    ticks = np.concatenate([[0], np.cumsum(whole)]).astype(np.int64)
    return ticks, np.concatenate([[True], good])


def _no_weekends(unique: IntArray) -> bool:
    weekday = (unique // DAY + 3) % 7  # 1 January 1970 was a Thursday; Monday is 0
    return len(unique) >= 10 and bool((weekday < 5).all())


def _label(micro: IntArray, step: str) -> list[str]:
    """Dates as people write them: 2024-12-31, 2024-12, 2024-12-31 14:00."""
    moments = pl.Series(np.asarray(micro, np.int64)).cast(pl.Datetime("us"))
    form = {"hour": "%Y-%m-%d %H:%M", "month": "%Y-%m", "quarter": "%Y-%m", "year": "%Y"}
    midnight = bool((np.asarray(micro) % DAY == 0).all())
    chosen = form.get(step, "%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")
    return [str(text) for text in moments.dt.strftime(chosen)]
