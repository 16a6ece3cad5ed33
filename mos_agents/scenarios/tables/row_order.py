"""In which order the rows of a series are played, and whether they are one series at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import numbers
from mos_agents.scenarios.tables.columns import MOSTLY, is_time_heading, words
from mos_agents.scenarios.tables.table import FileTable, listed
from mos_agents.scenarios.tables.times import Times, direction

DAY = 86_400 * 10**6
"""Microseconds of a day."""


_NAMING = set("symbol ticker asset instrument isin security product item sku pair".split())
"""Words for a column that says of what each row is."""


def refuse_stacked_series(table: FileTable, times: Sequence[Times]) -> None:
    """InputError for a file of several series one below the other: (date, symbol, price)."""
    when = timestamps_of(times) or next((t for t in times if t.moments is not None), None)
    moments = when.moments if when is not None else None
    if moments is not None and not moments.drop_nulls().is_duplicated().any():
        return
    dates = {t.name for t in times}
    for column in table.columns:
        if column.dtype != pl.String or column.name in dates:
            continue
        if numbers.share_of_numbers(column) >= MOSTLY:
            continue
        if moments is None:
            several = bool(set(words(column.name)) & _NAMING) and column.n_unique() > 1
        else:
            frame = pl.DataFrame([moments.alias("when"), column.alias("what")]).drop_nulls()
            counts = frame.group_by("when").agg(pl.col("what").n_unique().alias("n"))["n"]
            several = bool((counts > 1).any())
        if several:
            kinds = column.unique(maintain_order=True).to_list()
            raise InputError(
                f"{table.shown}: holds several series one below the other ({column.name}: "
                f"{listed(kinds, 5)}); give each a column of its own"
            )


def refuse_unread_times(table: FileTable, wanted: Sequence[str]) -> None:
    """InputError where the only column that says when, by its heading, cannot be read."""
    for column in table.columns:
        if column.name in wanted or column.dtype != pl.String or not is_time_heading(column.name):
            continue
        dated = column.filter(column.str.contains(r"\d").fill_null(False))
        if len(dated) >= MOSTLY * table.height:
            raise InputError(
                f"{table.shown}: {column.name}={dated[0][:40]!r} is no date that can be read, so "
                "the order of the rows is not known; write dates as 2024-12-31, or say order: "
                "oldest_first or newest_first"
            )


def refuse_repeated_times(table: FileTable, times: Sequence[Times]) -> None:
    """InputError where every moment stands in several rows, and no hour tells them apart: shops or
    assets one below the other."""
    if not times or not all(t.whole and t.moments is not None for t in times):
        return
    when = timestamps_of(times)
    if when is None or when.moments is None:
        return
    counts = when.moments.drop_nulls().value_counts()["count"].to_numpy()
    if len(counts) >= 2 and counts.min() >= 2:
        raise InputError(
            f"{table.shown}: every {when.name or 'moment'} stands in {counts.min():,} rows or "
            "more, as if several series stood one below the other; give each a column of its own, "
            "or say order: as_is"
        )


_UNITS = {
    "year": 12 * 31 * DAY,
    "yr": 12 * 31 * DAY,
    "quarter": 93 * DAY,
    "month": 31 * DAY,
    "mnth": 31 * DAY,
    "week": 7 * DAY,
    "day": DAY,
    "hour": DAY // 24,
    "hr": DAY // 24,
    "minute": DAY // 1440,
    "second": DAY // 86_400,
}
"""Microseconds of what columns count; months of 31 days, as only the order tells."""


def _calendar(times: Sequence[Times]) -> Times | None:
    """The moments that a year and a month, day or hour in columns of their own make together."""
    parts: dict[int, Times] = {}
    for one in times:
        units = [_UNITS[word] for word in words(one.name) if word in _UNITS]
        if len(units) == 1 and not one.whole and one.moments is not None:
            parts.setdefault(units[0], one)
    if len(parts) < 2 or _UNITS["year"] not in parts:
        return None
    total = pl.Series(np.zeros(len(parts[_UNITS["year"]].texts), np.int64))
    for unit, one in parts.items():
        assert one.moments is not None
        total = total + one.moments.cast(pl.Int64) // 10**6 * unit
    largest = parts[_UNITS["year"]]
    return largest._replace(
        name=" and ".join(one.name for one in parts.values()),
        moments=total.cast(pl.Datetime("us")),
    )


def timestamps_of(times: Sequence[Times]) -> Times | None:
    """What says when each row is: dates, with the times of day beside them; else a time of day or a
    number, as long as it does not begin again."""
    first = next((t for t in times if t.whole and t.moments is not None), None)
    if first is None:
        if (calendar := _calendar(times)) is not None:
            return calendar
        steady = (t for t in times if t.moments is not None and direction(t.moments) is not None)
        return next(steady, None)
    of_day = next((t.moments for t in times if t.description == "times of day"), None)
    assert first.moments is not None
    days = first.moments.cast(pl.Int64)
    if of_day is None or not (days % DAY == 0).all():
        return first
    return first._replace(moments=(days + of_day.cast(pl.Int64)).cast(pl.Datetime("us")))


def in_order(
    order: str | None, table: FileTable, times: Sequence[Times]
) -> tuple[bool, list[str], Times | None]:
    """Whether the rows are played from the last one on, what is said of it, and when rows are."""
    shown = table.shown
    when = timestamps_of(times)
    if when is None or when.moments is None:
        unsure = next((t for t in times if t.whole), None)
        if unsure is not None and order is None:
            raise InputError(
                f"{shown}: {unsure.name} holds {unsure.description}, so their order is not known; "
                "say "
                "order: oldest_first or newest_first"
            )
        return order == "newest_first", [], None
    name, which = when.name, direction(when.moments)
    if order == "as_is":
        return False, [f"rows played as they stand, whatever {name} says"], when
    odd = (when.moments.is_null() & (when.texts.str.strip_chars() != "")).fill_null(False)
    if odd.any():
        row = int(odd.arg_true()[0])
        raise InputError(
            f"{shown}: row {int(table.lines[row])}: {name}={when.texts[row][:40]!r} is none of "
            f"the {when.description} that stand there; correct it or delete the row"
        )
    if which is None:
        steps = when.moments.fill_null(strategy="forward").cast(pl.Int64).diff().fill_null(0)
        sign = -1 if order == "newest_first" else 1
        row = int((steps * sign < 0).arg_true()[0])
        raise InputError(
            f"{shown}: row {int(table.lines[row])}: {name} goes back and forth in time; sort "
            "the rows, or say order: as_is"
        )
    if which == -1 and order is None:
        raise InputError(
            f"{shown}: {name} goes from new to old; say order: newest_first, and it is played "
            "from its oldest row on"
        )
    if (which, order) in ((1, "newest_first"), (-1, "oldest_first")):
        raise InputError(
            f"{shown}: order={order!r}, but {name} says the opposite; leave order out, or "
            "say order: as_is"
        )
    backwards = order == "newest_first"
    lines = [f"{t.description} in {t.name or 'the column without a name'}" for t in times]
    if backwards:
        lines.append("newest first: played from the last row on")
    return backwards, lines, when
