"""Columns that say when: dates, times of day, Unix time; their order and their gaps."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

_DAYS = tuple(
    "%Y-%m-%d|%Y/%m/%d|%Y.%m.%d|%d.%m.%Y|%d/%m/%Y|%m/%d/%Y|%d-%m-%Y|%m-%d-%Y|%d.%m.%y|%d/%m/%y|"
    "%m/%d/%y|%b %d %Y|%b %d, %Y|%B %d, %Y|%d %b %Y|%d %B %Y|%d-%b-%Y|%d-%b-%y|%Y%m%d".split("|")
)
_HOURS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p")
_OF_DAY = r"^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s*[aApP][mM])?$"
_PERIOD = r"^((?:19|20)\d{2})(?:-?Q([1-4])|-?W(\d{2})|-(\d{2})|-?M(\d{2})|(0[1-9]|1[0-2]))$"
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH_NAMES = (
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_MONTH_FORMS = (
    (rf"(?i)^{_MONTH_NAMES}\.?[-/ ']{{1,2}}((?:19|20)?\d{{2}})$", 1, 2),  # Jan-10, January 2010
    (rf"(?i)^((?:19|20)\d{{2}})[-/ ]{_MONTH_NAMES}$", 2, 1),  # 2010 JAN
    (r"^(0?[1-9]|1[0-2])[-/]((?:19|20)\d{2})$", 1, 2),  # 01/2010
    (r"^((?:19|20)\d{2})/(0?[1-9]|1[0-2])$", 2, 1),  # 2010/01
)
"""Months, with the groups that hold month and year."""

_WEEKDAY = r"(?i)^(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+"
_UNIX = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_FIRST, _LAST = 315_532_800, 4_102_444_800  # 1980 to 2100, in seconds
SAMPLE = 50
MOSTLY = 0.5
"""A column says when if this share of what is there does."""


class Times(NamedTuple):
    """A column that says when.

    Parameters
    ----------
    name : str
        its heading.
    description : str
        what it holds, in words.
    moments : Series or None
        [H] Datetime as far as they are known; None where day and month cannot be distinguished and
        the two readings stand in different orders.
    texts : Series
        [H] as the file has them.
    whole : bool
        whether a moment tells all: a time of day or a day's number may begin again.
    """

    name: str
    description: str
    moments: pl.Series | None
    texts: pl.Series
    whole: bool = True


def counted(column: pl.Series, description: str) -> Times:
    """Years, days, seconds or rows by their numbers; only the order of the moments tells."""
    numbers = column.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite().fill_null(False), None)
    micro = (numbers * 1e6).cast(pl.Int64, strict=False)
    return Times(
        column.name, description, micro.cast(pl.Datetime("us")), column.cast(pl.String), False
    )


def times_of(column: pl.Series) -> Times | None:
    """What a column says of when; None where it says something else."""
    dtype = column.dtype
    texts = column.cast(pl.String, strict=False)
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return Times(column.name, "dates", _datetime(column), texts)
    if dtype == pl.Time:
        return Times(column.name, "times of day", _of_day(texts), texts, False)
    if dtype.is_numeric():
        whole = column.cast(pl.Float64, strict=False).drop_nulls()
        if not len(whole) or (whole != whole.floor()).any() or whole.is_infinite().any():
            return None
        return _from_whole_numbers(column.name, column.cast(pl.Int64, strict=False), texts)
    if dtype != pl.String:
        return None
    texts = texts.str.strip_chars()
    there = texts.set(texts == "", None).drop_nulls()
    if not len(there):
        return None
    sample = there.head(SAMPLE)
    if _share(sample.str.contains(r"^\d{8,19}$")) >= MOSTLY:
        return _from_whole_numbers(column.name, texts.cast(pl.Int64, strict=False), texts)
    if _share(sample.str.contains(_OF_DAY)) >= MOSTLY:
        return Times(column.name, "times of day", _of_day(texts), texts, False)
    if _share(sample.str.contains(_PERIOD)) >= MOSTLY:
        return Times(column.name, "periods", _periods(texts), texts)
    for form, month, year in _MONTH_FORMS:
        if _share(sample.str.contains(form)) >= MOSTLY:
            return Times(column.name, "months", _months(texts, form, month, year), texts)
    if not sample.str.contains(r"\d").any() or sample.str.contains(r"^[+-]?\d*[.,]?\d*$").all():
        return None
    return _from_texts(column.name, texts)


def _share(flags: pl.Series) -> float:
    return int(flags.sum()) / len(flags)


def _datetime(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us"), strict=False)


def _from_whole_numbers(name: str, numbers: pl.Series, texts: pl.Series) -> Times | None:
    there = numbers.drop_nulls()
    if not len(there):
        return None
    low, high = int(there.min()), int(there.max())  # type: ignore[arg-type]
    for unit, scale in _UNIX:
        if _FIRST * scale <= low and high <= _LAST * scale:
            # Moments only need their order: microseconds, and nanoseconds cut.
            micro = numbers * (10**6 // scale) if scale <= 10**6 else numbers // (scale // 10**6)
            return Times(name, f"Unix time in {unit}", micro.cast(pl.Datetime("us")), texts)
    if 19000101 <= low and high <= 21001231:
        days = numbers.cast(pl.String).str.to_datetime("%Y%m%d", strict=False)
        if (days.is_not_null().sum() / len(there)) >= MOSTLY:
            return Times(name, "dates", days.cast(pl.Datetime("us")), texts)
    return None


def _of_day(texts: pl.Series) -> pl.Series:
    clock = texts.str.extract_groups(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?").struct.unnest()
    parts = [clock[str(i)].cast(pl.Int64, strict=False) for i in (1, 2, 3)]
    seconds = parts[0] * 3600 + parts[1] * 60 + parts[2].fill_null(0)
    late = texts.str.contains(r"(?i)p\.?m") & (parts[0] < 12)
    early = texts.str.contains(r"(?i)a\.?m") & (parts[0] == 12)
    seconds = seconds + late.cast(pl.Int64) * 43_200 - early.cast(pl.Int64) * 43_200
    return (seconds * 10**6).cast(pl.Datetime("us"))


def _periods(texts: pl.Series) -> pl.Series:
    parts = texts.to_frame("text").select(
        pl.col("text").str.extract(_PERIOD, i).cast(pl.Int64, strict=False).alias(str(i))
        for i in range(1, 7)
    )
    months = pl.coalesce((pl.col("2") - 1) * 3 + 1, "4", "5", "6").clip(1, 12)
    return parts.select(
        pl.datetime(pl.col("1"), months.fill_null(1), 1)
        + pl.duration(days=((pl.col("3") - 1) * 7).fill_null(0))
    ).to_series()


def _months(texts: pl.Series, form: str, month: int, year: int) -> pl.Series:
    month_names = texts.str.extract(form, month).str.to_lowercase().str.head(3)
    numbers = {name: str(i + 1) for i, name in enumerate(_MONTHS)}
    months = month_names.replace(numbers).cast(pl.Int64, strict=False)
    years = texts.str.extract(form, year).cast(pl.Int64, strict=False)
    years = years + (years < 100).cast(pl.Int64) * (1900 + (years < 69).cast(pl.Int64) * 100)
    frame = pl.DataFrame([years.alias("year"), months.alias("month")])
    return frame.select(pl.datetime("year", "month", 1)).to_series()


def _formats(text: str) -> Iterator[str]:
    """The forms that a text could have by the marks in it."""
    mark = next((m for m in "/-." if text.count(m) >= 2 and text.find(m) < 5), "")
    named = any(letter.isalpha() for letter in text.split(":")[0].rstrip("0123456789 "))
    hours = [h for h in _HOURS if bool(h) is (":" in text)]
    hours = [h for h in hours if ("%p" in h) is bool(re.search("[aApP][mM]", text))]
    zoned = re.search(r":\d+(?:\.\d+)?[+-]\d{2}:?\d{2}$", text)
    for day, hour in itertools.product(_DAYS, hours):
        if (mark in day) and ("%b" in day or "%B" in day) is named:
            yield f"{day} {hour}{'%#z' if zoned else ''}".strip()


def _plain(texts: pl.Series) -> pl.Series:
    """Without the weekday; ISO's T between date and time becomes a blank, as does one before a
    zone."""
    return (
        texts.str.replace(_WEEKDAY, "")
        .str.replace(r"^(\d{4}-\d{1,2}-\d{1,2})T", "$1 ")
        .str.replace(r"\s*(?:Z|UTC|GMT)$", "+00:00")
        .str.replace(r"\s+([+-]\d{2}:?\d{2})$", "$1")
    )


def _parsed(texts: pl.Series, form: str) -> pl.Series:
    made = texts.str.to_datetime(form, strict=False, time_unit="us")
    return _datetime(made)


def readings(texts: pl.Series) -> list[pl.Series]:
    """All ways to read texts as dates that know the most of them; none where few are dates.

    Parameters
    ----------
    texts : Series
        [H] texts, such as 01/02/2024.

    Returns
    -------
    list of Series
        [H] Datetime for each reading that differs from the others: in 01/02/2024 either number may
        be the month.
    """
    texts = texts.cast(pl.String).str.strip_chars()
    there = texts.set(texts == "", None).drop_nulls()
    if not len(there) or int(there.head(SAMPLE).str.len_chars().max()) > 40:  # type: ignore[arg-type]
        return []
    tried = _plain(there.head(SAMPLE))
    likely = [form for form in _formats(str(tried[0])) if _sensible(tried, form) >= MOSTLY]
    plain = _plain(texts)
    found = [_parsed(plain, form) for form in likely]
    known = [int(one.is_not_null().sum()) for one in found]
    if not known or max(known) < MOSTLY * len(there):
        return []
    best: list[pl.Series] = []
    for one, count in zip(found, known, strict=True):
        if count == max(known) and not any(one.equals(other, null_equal=True) for other in best):
            best.append(one)
    return best


def _from_texts(name: str, texts: pl.Series) -> Times | None:
    best = readings(texts)
    if not best:
        return None
    directions = {direction(r) for r in best}
    if len(directions) > 1:
        return Times(name, "dates in which day and month cannot be distinguished", None, texts)
    return Times(name, "dates", best[0], texts)


def _sensible(texts: pl.Series, form: str) -> float:
    """The share of texts that are dates of this form, in years that somebody keeps prices of."""
    years = _parsed(texts, form).dt.year()
    return _share(years.is_between(1600, 2400).fill_null(False))


def direction(moments: pl.Series) -> int | None:
    """1 where moments go up, -1 where they go down, 0 where all are one, None if mixed."""
    there = moments.drop_nulls()
    steps = (there if there.dtype.is_numeric() else there.cast(pl.Int64)).diff().drop_nulls()
    up, down = bool((steps > 0).any()), bool((steps < 0).any())
    if up and down:
        return None
    return 1 if up else -1 if down else 0


def gaps(moments: pl.Series) -> list[str]:
    """What stands out in moments that go up: those repeated, the longest gap, those not known."""
    found = []
    there = moments.drop_nulls()
    steps = there.cast(pl.Int64).diff().drop_nulls().to_numpy()
    repeated = int((steps == 0).sum())
    if repeated:
        found.append(
            f"{repeated:,} row{' has' if repeated == 1 else 's have'} the time of the row before"
        )
    up = steps[steps > 0]
    if len(up) >= 2:
        usual, longest = float(np.median(up)), float(up.max())
        count = int((up > 1.5 * usual).sum())
        if count:
            after = there[int(steps.argmax())]
            found.append(
                f"{count:,} gap{'s' if count > 1 else ''} in time: the usual step is "
                f"{_span(usual)}, the longest is {_span(longest)}, after {after}"
            )
    unknown = len(moments) - len(there)
    if unknown:
        found.append(f"{unknown:,} row{' holds' if unknown == 1 else 's hold'} no date")
    return found


def _span(microseconds: float) -> str:
    seconds = microseconds / 1e6
    for size, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")):
        if seconds >= size:
            value = seconds / size
            return f"{value:.3g} {unit}{'' if value == 1 else 's'}"
    return f"{seconds:.3g} seconds"
