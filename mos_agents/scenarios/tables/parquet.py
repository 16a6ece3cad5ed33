"""Parquet files: the footer is looked at first, and only columns that can be used are unpacked."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables.numbers import possible
from mos_agents.scenarios.tables.options import LARGEST_PARQUET, MOST_COLUMNS, TableFile
from mos_agents.scenarios.tables.sources import too_large
from mos_agents.scenarios.tables.table import FileTable, tidy
from mos_agents.scenarios.tables.text import too_many

MAGIC = b"PAR1"
MOST_FOOTER = 16 * 2**20


def read_parquet(file: Path, shown: str, options: TableFile, most_rows: int) -> FileTable:
    """The table of a Parquet file, or InputError in one line."""
    for name in ("separator", "encoding", "skip_lines", "heading", "sheet"):
        if getattr(options, name) is not None:
            raise InputError(f"{shown}: {name} is for other files; a Parquet file says it itself")
    parquet = _opened(file, shown)
    names = _guarded(
        shown, lambda: _bounded(parquet.metadata, parquet.schema_arrow, most_rows, shown)
    )
    table = _guarded(shown, lambda: _unpacked(parquet, names))
    kinds = [(tidy(field.name), unsupported_reason(field.type)) for field in parquet.schema_arrow]
    left_out = tuple((name, why) for name, why in kinds if why is not None)
    columns = _guarded(
        shown,
        lambda: [
            _column(pl.Series(tidy(name), values))
            for name, values in zip(table.column_names, table.columns, strict=True)
            if unsupported_reason(values.type) is None
        ],
    )
    lines = np.arange(table.num_rows) + 1
    # Nothing is a title, a total or an empty line here: a row that holds nothing lacks its values.
    allowed = possible(options.decimal, options.thousands)
    return FileTable(shown, tuple(columns), lines, (), allowed, left_out)


def unsupported_reason(kind: Any) -> str | None:
    """What an Arrow type holds if no numbers, texts or dates; None where it may be used."""
    import pyarrow as pa

    of = pa.types
    if of.is_nested(kind) or of.is_map(kind) or of.is_run_end_encoded(kind):
        return "lists or structures"
    if of.is_duration(kind) or of.is_interval(kind):
        return "durations"
    if of.is_null(kind):
        return "nothing"
    if of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind) or of.is_temporal(kind):
        return None
    if of.is_boolean(kind) or of.is_string(kind) or of.is_large_string(kind):
        return None
    if of.is_string_view(kind):
        return None
    if of.is_dictionary(kind):
        return unsupported_reason(kind.value_type)
    return "bytes"


def _column(column: pl.Series) -> pl.Series:
    """Categories as their texts, decimals and small floats as common ones."""
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if isinstance(column.dtype, pl.Decimal) or column.dtype.is_float():
        return column.cast(pl.Float64, strict=False)
    return _in_calendar(column) if column.dtype.is_temporal() else column


_DAYS = (-719_162, 2_932_896)  # from year 1 to year 9999, counted from 1970
_UNITS = {"ms": 10**3, "us": 10**6, "ns": 10**9}


def _in_calendar(column: pl.Series) -> pl.Series:
    """Dates and times with those left empty that no calendar or clock has: polars panics where it
    is asked to write one as text."""
    least, most = _DAYS
    if isinstance(column.dtype, pl.Datetime):
        unit = 86_400 * _UNITS[column.dtype.time_unit or "us"]
        least, most = max(least * unit, -(2**63)), min((most + 1) * unit - 1, 2**63 - 1)
    elif isinstance(column.dtype, pl.Time):
        least, most = 0, 86_400 * 10**9 - 1
    return column.set(~column.to_physical().is_between(least, most), None)


def _opened(file: Path, shown: str) -> Any:
    """The file with its footer read, if the footer has a size that can be."""
    import pyarrow.parquet as pq

    with file.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(0, size - 8))
        tail = handle.read(8)
    if size < 12 or tail[4:] != MAGIC:
        raise InputError(f"{shown}: is no whole Parquet file; was it cut off?")
    if struct.unpack("<I", tail[:4])[0] > min(MOST_FOOTER, size):
        raise InputError(f"{shown}: its footer is damaged, or larger than {MOST_FOOTER >> 20} MB")
    return _guarded(shown, lambda: pq.ParquetFile(file, memory_map=False))


def _bounded(footer: Any, schema: Any, most_rows: int, shown: str) -> list[str]:
    """The columns that can be used; InputError where they hold more than is taken in."""
    if footer.num_rows > most_rows:
        raise InputError(f"{shown}: has {footer.num_rows:,} rows; at most {most_rows:,} are taken")
    if footer.num_columns > MOST_COLUMNS:
        raise InputError(f"{shown}: has {footer.num_columns:,} columns, more than {MOST_COLUMNS:,}")
    names = [field.name for field in schema if unsupported_reason(field.type) is None]
    unpacked = 0
    for group in (footer.row_group(i) for i in range(footer.num_row_groups)):
        for part in (group.column(i) for i in range(group.num_columns)):
            if part.path_in_schema not in names:
                continue
            if part.num_values > most_rows:
                raise too_many(shown, most_rows)
            unpacked += part.total_uncompressed_size
    if unpacked > LARGEST_PARQUET:
        raise too_large(shown, LARGEST_PARQUET)
    return names


def _unpacked(parquet: Any, names: list[str]) -> Any:
    """The columns of these names. Arrow reads them: polars ends the process at some damage."""
    table = parquet.read(columns=names, use_threads=False)
    table.validate(full=True)
    return table


def _guarded(shown: str, read: Any) -> Any:
    """What reading gives, or one line: a damaged file makes the readers raise errors of many kinds,
    and one that is no Exception."""
    try:
        return read()
    except (InputError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        text = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{shown}: cannot be read: {text[0][:120]}") from None
