"""Recorded series: which column of a file drives what, in which order, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError
from mos_agents.scenarios.tables import numbers
from mos_agents.scenarios.tables.catalogue import LARGEST, dropped_rows, number_notes
from mos_agents.scenarios.tables.columns import (
    MOSTLY,
    QUOTES,
    Columns,
    Part,
    columns_of,
    likeliest_heading,
    looks_like_ohlc,
    words,
)
from mos_agents.scenarios.tables.options import MOST_ROWS, TableFile
from mos_agents.scenarios.tables.reading import read_table
from mos_agents.scenarios.tables.row_order import (
    DAY,
    in_order,
    refuse_repeated_times,
    refuse_stacked_series,
    refuse_unread_times,
)
from mos_agents.scenarios.tables.table import FileTable, key, listed, printable
from mos_agents.scenarios.tables.times import Times, gaps, times_of

WHAT = {"price": "a price > 0", "cost": "a cost >= 0", "demand": "a demand >= 0"}


class SeriesFile(TableFile):
    """A recorded series: a column of a CSV, Parquet or Excel file for each of what it drives.

    Parameters
    ----------
    columns : tuple of str or mapping
        headings in the order of what they drive, or a mapping from each instrument to its
        heading; one heading drives all.
    missing : {'refuse', 'previous', 'interpolate', 'drop'}
        what happens where a value is missing: refuse the file, take the previous value,
        interpolate between the neighbours, or drop the row.
    order : {'oldest_first', 'newest_first', 'as_is'} or None
        how the rows stand in time: oldest_first, newest_first, or as_is to play them as they
        stand; by default dates that go back are refused.
    """

    columns: tuple[str, ...] | dict[str, str] = ()
    missing: Literal["refuse", "previous", "interpolate", "drop"] = "refuse"
    order: Literal["oldest_first", "newest_first", "as_is"] | None = None


@short_repr
class Series(NamedTuple):
    """[T, M] a path, the heading of each column, and what was recognised and left out.

    Parameters
    ----------
    headings : tuple of str
        a heading per column of `values`.
    span : tuple of 2 str or None
        first and last moment, as the file has them; None where no column says when.
    notes : tuple of str
        what was recognised, in words.
    left_out : tuple of str
        the headings that drive nothing.
    """

    values: Array
    headings: tuple[str, ...]
    span: tuple[str, str] | None
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def read_series(file: SeriesFile, part: Part, names: Sequence[str]) -> Series:
    """A recorded path [T, M] for what `names` name: M is their number, or 1 where one drives all.

    Raises InputError in one line where more than one column could be meant, where a value is
    missing, no number, or not possible for the part, and where rows are not in the order of time.
    """
    table = read_table(file, MOST_ROWS)
    if not table.height:
        raise InputError(f"{file.path}: has no rows")
    columns = columns_of(table, part)
    wanted, notes = _wanted(file, table, columns, part, names)
    given = [_of_numbers(table, heading) for heading in wanted]
    times = [t for t in columns.times if t.name not in wanted]
    refuse_stacked_series(table, times)
    if not times and file.order is None:
        refuse_unread_times(table, wanted)
    if file.order != "as_is":
        refuse_repeated_times(table, times)
    read, texts, notation = numbers.numbers(file.path, given, table.lines, table.allowed)
    money = [t.name for t in texts] if part != "demand" else []
    notes += number_notes(table, texts, notation, money)
    read = [
        c / 100.0 if t is not None and t.percent is not None and (t.percent == "%").any() else c
        for c, t in zip(read, _texts_of(given, texts), strict=True)
    ]
    if any(t.percent is not None and (t.percent == "%").any() for t in texts):
        notes.append("percent signs read as hundredths")
    _refuse_impossible(table, read, given, part)
    backwards, of_order, when = in_order(file.order, table, times)
    read, when, filled = _filled(file, table, read, given, backwards, when)
    values = np.stack([numbers.as_array(c) for c in read], axis=1)
    if not len(values):
        raise InputError(f"{file.path}: every row lacks something; nothing is left")
    described = {t.name for t in times}
    left = tuple(h for h in table.heading if h not in wanted and h not in described)
    notes = [*table.notes, *notes, *of_order, *filled]
    return Series(np.ascontiguousarray(values), tuple(wanted), _span(when), tuple(notes), left)


def _texts_of(
    given: Sequence[pl.Series], texts: Sequence[numbers.Texts]
) -> list[numbers.Texts | None]:
    left = iter(texts)
    return [next(left) if column.dtype == pl.String else None for column in given]


def _wanted(
    file: SeriesFile, table: FileTable, columns: Columns, part: Part, names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The headings that drive `names`, in their order, and what is to be said of the choice."""
    if file.columns:
        return _asked(file, table, names), []
    found, many = columns.candidates, len(names)
    by_name = {key(h): h for h in columns.numbers}
    shared = [n for n in names if key(n) in by_name]
    if len(shared) == many and len(by_name) == len(columns.numbers):
        return [by_name[key(n)] for n in names], [f"columns taken by the names of {_plural(part)}"]
    if not found:
        _refuse_none(table, columns, part)
    if len(set(found)) != len(found):
        twice = next(n for n in found if found.count(n) > 1)
        raise InputError(f"{file.path}: column {twice!r} is there twice; give each its own name")
    if len(found) == 1 and not shared:
        if many > 1:
            raise InputError(
                f"{file.path}: one column of numbers, {found[0]}, for {many:,} {_plural(part)}; "
                f"say columns: [{found[0]}] if it is to drive them all"
            )
        others = [h for h in table.heading if h != found[0]]
        return found, [f"column {found[0]!r} taken"] if others else []
    quotes = [h for h in found if set(words(h)) & QUOTES]
    text = f"{file.path}: more than one column could be meant ({listed(found)})"
    lacking = _first_missing(table, found)
    alike = len({frozenset(set(words(h)) & QUOTES) for h in found}) == 1
    if (len(quotes) >= 2 and not alike) or looks_like_ohlc(table, found):
        raise InputError(f"{text}; say which, as in columns: [{likeliest_heading(found)}]{lacking}")
    if shared:
        unnamed = next(n for n in names if n not in shared)
        raise InputError(
            f"{text}, and none is called {unnamed!r}; say which drives what, as in columns: "
            f"{{{unnamed}: {found[0]}}}"
        )
    if len(found) != many:
        raise InputError(
            f"{text} for {many:,} {_plural(part, many)}; say which, as in columns: "
            f"[{likeliest_heading(found)}]{lacking}"
        )
    return found, [f"columns taken in their order: {listed(found)}"]


def _first_missing(table: FileTable, headings: Sequence[str]) -> str:
    """What is to be said of values that are missing, beside another complaint."""
    lost = pl.Series(np.zeros(table.height, bool))
    for heading in headings:
        column = table.column(heading)
        lost |= (
            numbers.tidied(column).bare.is_null()
            if column.dtype == pl.String
            else (column.is_null())
        )
    if not lost.any():
        return ""
    row = int(table.lines[int(lost.arg_true()[0])])
    return f". Row {row} lacks a value as well: {numbers.MISSING_REMEDY}"


def _plural(part: Part, count: int = 2) -> str:
    word = {"price": "instrument", "cost": "listing", "demand": "group"}[part]
    return word + ("" if count == 1 else "s") + (" of customers" if part == "demand" else "")


def _refuse_none(table: FileTable, columns: Columns, part: Part) -> None:
    what = "; ".join(f"{name or '(no name)'} holds {why}" for name, why in columns.others.items())
    raise InputError(
        f"{table.shown}: no column could be {WHAT[part]}: {what[:300]}; name one if it is meant, "
        f"as in columns: [{table.heading[-1] if table.heading else 'Close'}]"
    )


def _asked(file: SeriesFile, table: FileTable, names: Sequence[str]) -> list[str]:
    if isinstance(file.columns, Mapping):
        strange = [name for name in file.columns if name not in names]
        if strange:
            raise InputError(
                f"{file.path}: columns: {strange[0]!r} is not driven; there are {listed(names)}"
            )
        lacking = [name for name in names if name not in file.columns]
        if lacking:
            raise InputError(f"{file.path}: columns: {lacking[0]!r} has no column; give it one")
        return [table.column(file.columns[name]).name for name in names]
    wanted = [table.column(heading).name for heading in file.columns]
    if len(wanted) not in (1, len(names)):
        raise InputError(
            f"{file.path}: columns names {len(wanted)} columns for {len(names):,} "
            f"({listed(names, 5)}); give one for each, or one for all"
        )
    keys, named = [key(h) for h in wanted], [key(n) for n in names]
    if len(wanted) > 1 and sorted(keys) == sorted(named) and keys != named:
        raise InputError(
            f"{file.path}: columns names {listed(wanted)} in another order than the instruments "
            f"{listed(names)}; say columns: {{{names[0]}: {wanted[named.index(keys[0])]}, ...}}"
        )
    return wanted


def _of_numbers(table: FileTable, heading: str) -> pl.Series:
    column = table.column(heading)
    when = None if column.dtype.is_numeric() else times_of(column)
    bare = column.dtype == pl.String and numbers.share_of_numbers(column) < MOSTLY
    if column.dtype == pl.Boolean or (not column.dtype.is_numeric() and column.dtype != pl.String):
        kind = "truth values" if column.dtype == pl.Boolean else "dates or times"
        raise InputError(f"{table.shown}: column {heading!r} holds {kind}, no numbers")
    if when is not None and bare:
        raise InputError(f"{table.shown}: column {heading!r} holds {when.description}, no numbers")
    return column


def _refuse_impossible(
    table: FileTable, read: Sequence[pl.Series], given: Sequence[pl.Series], part: Part
) -> None:
    for values, column in zip(read, given, strict=True):
        low = values <= 0.0 if part == "price" else values < 0.0
        wrong = (low | ~values.is_finite() | (values > LARGEST)).fill_null(False).arg_true()
        if len(wrong):
            row = wrong[0]
            raise InputError(
                f"{table.shown}: row {int(table.lines[row])}: {column.name}={column[row]} must be "
                f"{WHAT[part]}" + (f", at most {LARGEST:g}" if values[row] > LARGEST else "")
            )


def _filled(
    file: SeriesFile,
    table: FileTable,
    read: Sequence[pl.Series],
    given: Sequence[pl.Series],
    backwards: bool,
    when: Times | None,
) -> tuple[list[pl.Series], Times | None, list[str]]:
    """The columns in the order of time, with what is missing as `missing` says."""
    lost = pl.Series(np.zeros(table.height, bool))
    for column in read:
        lost |= column.is_null()
    lines, notes = table.lines, []
    if lost.any() and file.missing == "refuse":
        row = int(lost.arg_true()[0])
        name, value = next(
            (g.name, g[row]) for c, g in zip(read, given, strict=True) if c[row] is None
        )
        why = "is empty" if value in (None, "") else f"is missing ({str(value)[:20]!r})"
        raise InputError(
            f"{file.path}: row {int(lines[row])}: {name} {why}; {numbers.MISSING_REMEDY}"
        )
    made = list(read)
    rows = pl.Series(np.arange(table.height))
    if backwards:
        made, rows = [c.reverse() for c in made], rows.reverse()
    if lost.any():
        count = int(lost.sum())
        if file.missing == "drop":
            kept = ~(lost.reverse() if backwards else lost)
            made, rows = [c.filter(kept) for c in made], rows.filter(kept)
            notes.append(dropped_rows(count))
        else:
            how = {"previous": "with the value before", "interpolate": "between their neighbours"}
            made = [
                c.fill_null(strategy="forward") if file.missing == "previous" else c.interpolate()
                for c in made
            ]
            notes.append(f"{count:,} row{'' if count == 1 else 's'} filled {how[file.missing]}")
            for c in made:
                left = c.is_null().arg_true()
                if len(left):
                    row = int(lines[rows[int(left[0])]])
                    side = "before" if file.missing == "previous" or left[0] == 0 else "after"
                    raise InputError(
                        f"{file.path}: row {row}: {c.name} is missing and has no value {side} it; "
                        "fill it or delete the row"
                    )
    if when is not None and when.moments is not None:
        moments = when.moments.gather(rows)
        when = when._replace(moments=moments, texts=when.texts.gather(rows))
        if when.whole and file.order != "as_is":
            notes += gaps(moments)
    return made, when, notes


def _span(when: Times | None) -> tuple[str, str] | None:
    """First and last moment, in ISO's way where they are dates."""
    if when is None or when.moments is None or not len(when.texts):
        return None
    there = when.moments.drop_nulls()
    if not when.whole or not len(there):
        return printable(str(when.texts[0])), printable(str(when.texts[-1]))
    midnight = (there.cast(pl.Int64) % DAY == 0).all()
    shown = there.dt.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")
    return str(shown[0]), str(shown[-1])
