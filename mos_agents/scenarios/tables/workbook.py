"""Excel workbooks: the one sheet that holds something, or the one that is named."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables.options import LARGEST, MOST_COLUMNS, TableFile
from mos_agents.scenarios.tables.sources import too_large
from mos_agents.scenarios.tables.table import FileTable, listed, of_cells, tidy
from mos_agents.scenarios.tables.text import too_many

MAGIC = b"PK\x03\x04"
SUFFIXES = (".xlsx", ".xlsm", ".ods")
Row = Sequence[Any]


def read_workbook(data: bytes, shown: str, options: TableFile, most_rows: int) -> FileTable:
    """The table of a workbook, or InputError in one line."""
    for name in ("separator", "encoding"):
        if getattr(options, name) is not None:
            raise InputError(f"{shown}: {name} is for files of text; a workbook says it itself")
    try:
        import python_calamine as calamine
    except ImportError:
        raise InputError(
            f"{shown}: reading Excel needs the extra for it: pip install python-calamine, or save "
            "the sheet as CSV"
        ) from None
    _bounded(data, shown)
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = {name: book.get_sheet_by_name(name) for name in book.sheet_names}
        name, notes = _chosen(sheets, shown, options.sheet)
        sheet = sheets[name]
        if sheet.total_height > most_rows + 1000:
            raise too_many(shown, most_rows)
        if sheet.total_width > MOST_COLUMNS:
            raise InputError(f"{shown}: has {sheet.total_width:,} columns")
        rows = sheet.to_python(skip_empty_area=False)
    except (InputError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # calamine panics at some damaged files
        text = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{shown}: cannot be read: {text[0][:120]}") from None
    return _table(rows, shown, options, notes, most_rows)


def _bounded(data: bytes, shown: str) -> None:
    """InputError where the workbook unpacks to more than LARGEST bytes, tried piece by piece."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            room = LARGEST
            for name in packed.namelist():
                with packed.open(name) as part:
                    while piece := part.read(2**20):
                        room -= len(piece)
                        if room < 0:
                            raise too_large(shown)
    except InputError:
        raise
    except Exception as error:  # zipfile raises errors of many kinds
        raise InputError(f"{shown}: is no sound workbook: {str(error)[:80]}") from None


def _chosen(sheets: dict[str, Any], shown: str, wanted: str | None) -> tuple[str, list[str]]:
    if wanted is not None:
        if wanted not in sheets:
            raise InputError(
                f"{shown}: sheet={wanted!r} is not there; sheets are {listed(list(sheets))}"
            )
        return wanted, []
    filled = [name for name, sheet in sheets.items() if sheet.height]
    if not filled:
        raise InputError(f"{shown}: cannot be read: no sheet holds anything")
    if len(filled) > 1:
        raise InputError(
            f"{shown}: has the sheets {listed(filled)}; say which, as in sheet: {filled[0]}"
        )
    return filled[0], [f"sheet {filled[0]!r}"] if len(sheets) > 1 else []


def _table(
    rows: Sequence[Row], shown: str, options: TableFile, notes: list[str], most_rows: int
) -> FileTable:
    skipped = options.skip_lines or 0
    used = [
        i for i, row in enumerate(rows) if i >= skipped and any(v not in ("", None) for v in row)
    ]
    if not used:
        raise InputError(f"{shown}: cannot be read: the sheet is empty")
    width = 1 + max(j for i in used for j, v in enumerate(rows[i]) if v not in ("", None))
    left = min(j for i in used for j, v in enumerate(rows[i]) if v not in ("", None))
    body, top = used, None
    names = [f"column_{j + 1}" for j in range(left, width)]
    if options.heading is not False:
        top = _heading(rows, used, left, width, options)
        if top is None or (options.heading is None and _holds_data(rows[top][left:width])):
            raise InputError(
                f"{shown}: the first row has no names; add a heading, or say heading: false, and "
                "the columns are called column_1 and so on"
            )
        if top != used[0]:
            count = used.index(top)
            notes.append(f"{count} line{'' if count == 1 else 's'} before the heading left out")
        names = [tidy(v) for v in rows[top][left:width]]
        body = [i for i in used if i > top]
    if width - left == 1 and body:  # an empty cell is a value that is missing
        body = list(range(body[0] if top is None else top + 1, body[-1] + 1))
    if len(body) > most_rows:
        raise too_many(shown, most_rows)
    columns = [
        _column([rows[i][j] for i in body]).alias(name)
        for j, name in zip(range(left, width), names, strict=True)
    ]
    return of_cells(shown, columns, np.array(body, np.int64) + 1, notes, options)


def _heading(
    rows: Sequence[Row], used: list[int], left: int, width: int, options: TableFile
) -> int | None:
    if options.skip_lines is not None:
        return used[0]
    span = width - left
    for i in used[:100]:
        filled = sum(v not in ("", None) for v in rows[i][left:width])
        if filled >= (span if span <= 2 else (span + 1) // 2 + (span < 5)):
            return i
    return None


def _holds_data(row: Row) -> bool:
    return not any(isinstance(v, str) and v.strip() for v in row)


def _column(values: list[Any]) -> pl.Series:
    """Numbers, dates or truth values where all are of one kind, else texts."""
    there = [v for v in values if v not in ("", None)]
    nulled = [None if v == "" else v for v in values]
    kinds = {type(v) for v in there}
    if kinds and kinds <= {int, float}:
        return pl.Series([None if v is None else float(v) for v in nulled], dtype=pl.Float64)
    if kinds == {bool}:
        return pl.Series(nulled, dtype=pl.Boolean)
    if kinds and kinds <= {datetime.date, datetime.datetime}:
        moments = [
            v
            if v is None or isinstance(v, datetime.datetime)
            else datetime.datetime(v.year, v.month, v.day)
            for v in nulled
        ]
        return pl.Series(moments, dtype=pl.Datetime("us"))
    if kinds == {datetime.time}:
        return pl.Series(nulled, dtype=pl.Time)
    return pl.Series(["" if v is None else _text(v) for v in nulled], dtype=pl.String)


def _text(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
