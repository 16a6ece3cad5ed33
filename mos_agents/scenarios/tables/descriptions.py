"""What is in a file of a user's, in words: for `mos check`, before a scenario names it."""

from __future__ import annotations

import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import numbers
from mos_agents.scenarios.tables.catalogue import (
    CatalogueFile,
    CatalogueTable,
    looks_like_catalogue,
    read_catalogue,
    spread,
)
from mos_agents.scenarios.tables.columns import Columns, columns_of, likeliest_heading
from mos_agents.scenarios.tables.options import MOST_ROWS, TableFile
from mos_agents.scenarios.tables.reading import read_table
from mos_agents.scenarios.tables.row_order import timestamps_of
from mos_agents.scenarios.tables.series import Series
from mos_agents.scenarios.tables.table import FileTable, printable
from mos_agents.scenarios.tables.times import direction, gaps

MOST_SHOWN = 20


def describe_file(path: str, shown: str) -> list[str]:
    """What a file of rows and columns holds, and how a scenario uses it; InputError if none."""
    table = read_table(TableFile(path=path), MOST_ROWS)
    if looks_like_catalogue(table):
        read = read_catalogue(CatalogueFile(path=path))
        return [
            f"{shown} is a catalogue",
            *describe_catalogue(read),
            *(f"recognised: {note}" for note in read.notes),
            f"use it in a scenario: catalogue: {{kind: file, path: {shown}}}",
        ]
    columns = columns_of(table, "price")
    lines = [f"{shown} is a table of {table.height:,} rows and {len(table.heading):,} columns"]
    lines += [f"recognised: {note}" for note in table.notes]
    for column in table.columns[:MOST_SHOWN]:
        text = columns.others.get(column.name, "numbers")
        text += _range(table, column) if column.name in columns.numbers else ""
        lines.append(f"  {column.name or '(no name)'}: {text}")
    if len(table.columns) > MOST_SHOWN:
        lines.append(f"  and {len(table.columns) - MOST_SHOWN:,} more")
    lines += [f"  {name}: {why}, left out" for name, why in table.left_out[:MOST_SHOWN]]
    return [*lines, *_when(columns), *_how(shown, columns)]


def _range(table: FileTable, column: pl.Series) -> str:
    """The range of a column of numbers, and what is missing in it."""
    try:
        read = numbers.numbers(table.shown, [column], table.lines, table.allowed)[0][0]
    except InputError as error:
        return f"; {str(error).removeprefix(table.shown + ': ')}"
    lost = read.null_count()
    missing = f", {lost:,} missing (first in row {_first(table, read)})" if lost else ""
    return f", {spread(numbers.as_array(read.drop_nulls()))}{missing}"


def _first(table: FileTable, read: pl.Series) -> int:
    return int(table.lines[int(read.is_null().arg_true()[0])])


def _when(columns: Columns) -> list[str]:
    when = timestamps_of(columns.times)
    if when is None or when.moments is None:
        return []
    which = direction(when.moments)
    order = {1: "from old to new", -1: "from new to old", 0: "all alike", None: "in no order"}
    span = printable(f"{when.texts[0]} to {when.texts[-1]}")
    lines = [f"{when.name or '(no name)'} goes {order[which]}: {span}"]
    return lines + (gaps(when.moments) if which == 1 and when.whole else [])


def _how(shown: str, columns: Columns) -> list[str]:
    if not columns.numbers:
        return [f"{shown} holds no numbers: neither a catalogue nor a series"]
    name = likeliest_heading(columns.candidates or columns.numbers)
    when = timestamps_of(columns.times)
    back = when is not None and when.moments is not None and direction(when.moments) == -1
    order = ", order: newest_first" if back else ""
    amounts = columns.others.get(name, "").startswith("volumes")
    part, more = ("demand", "") if amounts else ("price", "; cost and demand likewise")
    return [
        f"use it in a scenario: reference: {{{part}: {{kind: replay, "
        f"path: {shown}, columns: [{name}]{order}}}}}{more}",
    ]


def describe_catalogue(table: CatalogueTable) -> list[str]:
    """What is in a catalogue: lines of text."""
    sellers, products = len(set(table.seller)), len(set(table.product))
    limited = table.stock[table.stock < float("inf")]
    free = table.stock.size - limited.size
    stock = [f"stock {spread(limited)}"] if limited.size else []
    stock += [f"{free:,} made to order"] if free else []
    rows = len(table.product)
    return [
        f"  {rows:,} row{'' if rows == 1 else 's'}: {products:,} product"
        f"{'' if products == 1 else 's'} of {sellers:,} seller{'' if sellers == 1 else 's'}",
        f"  cost {spread(table.cost)}; reference_price {spread(table.reference_price)}; quality "
        f"{spread(table.quality)}; {', '.join(stock)}",
    ]


def describe_series(series: Series, names: list[str]) -> list[str]:
    """Which column drives what, in which range, and from when to when: lines of text."""
    rows = len(series.values)
    span = f", {series.span[0]} to {series.span[1]}" if series.span else ""
    lines = [f"  {rows:,} row{'' if rows == 1 else 's'}{span}"]
    if len(series.headings) == 1:
        who = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}, all {len(names):,},"
        lines.append(f"  {who} <- {series.headings[0]}: {spread(series.values)}")
    else:
        pairs = list(zip(names, series.headings, strict=True))
        for k, (name, heading) in enumerate(pairs[:MOST_SHOWN]):
            lines.append(f"  {name} <- {heading}: {spread(series.values[:, k])}")
        if len(pairs) > MOST_SHOWN:
            lines.append(f"  and {len(pairs) - MOST_SHOWN:,} more")
    return lines
