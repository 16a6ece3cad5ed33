"""Parquet files: the footer is looked at first, and only columns that can be used are unpacked."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables.options import LARGEST_PARQUET, MOST_COLUMNS, TableFile
from mos_agents.scenarios.tables.sources import too_large
from mos_agents.scenarios.tables.table import Table, of_cells, tidy
from mos_agents.scenarios.tables.text import too_many

MAGIC = b"PAR1"
MOST_FOOTER = 16 * 2**20


def read_parquet(file: Path, shown: str, options: TableFile, most_rows: int) -> Table:
    """The table of a Parquet file, or InputError in one line."""
    for name in ("separator", "encoding", "skip_lines", "heading", "sheet"):
        if getattr(options, name) is not None:
            raise InputError(f"{shown}: {name} is for other files; a Parquet file says it itself")
    schema = _looked_at(file, shown, most_rows)
    flat = {name: dtype for name, dtype in schema.items() if what_else(dtype) is None}
    left_out = tuple((tidy(n), what_else(d) or "") for n, d in schema.items() if n not in flat)
    frame = _guarded(shown, lambda: pl.read_parquet(file, columns=list(flat), memory_map=False))
    columns = [_column(frame[name]).alias(tidy(name)) for name in flat]
    lines = np.arange(frame.height) + 1
    table = of_cells(shown, columns, lines, [], options)
    return Table(table.shown, table.columns, table.lines, table.notes, table.allowed, left_out)


def what_else(dtype: pl.DataType) -> str | None:
    """What a type holds if neither numbers nor texts nor dates; None where it may be used."""
    if dtype.is_nested():
        return "lists or structures"
    if isinstance(dtype, pl.Binary | pl.Object):
        return "bytes"
    if isinstance(dtype, pl.Duration):
        return "durations"
    if isinstance(dtype, pl.Null):
        return "nothing"
    if dtype.is_numeric() or dtype.is_temporal():
        return None
    return (
        None if isinstance(dtype, pl.String | pl.Boolean | pl.Categorical | pl.Enum) else "objects"
    )


def _column(column: pl.Series) -> pl.Series:
    """Categories as their texts, decimals and small floats as common ones."""
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if isinstance(column.dtype, pl.Decimal) or column.dtype.is_float():
        return column.cast(pl.Float64, strict=False)
    return column


def _looked_at(file: Path, shown: str, most_rows: int) -> dict[str, pl.DataType]:
    """The columns and their types, if the footer promises no more than can be taken in."""
    import pyarrow.parquet as pq

    with file.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(0, size - 8))
        tail = handle.read(8)
    if size < 12 or tail[4:] != MAGIC:
        raise InputError(f"{shown}: is no whole Parquet file; was it cut off?")
    if struct.unpack("<I", tail[:4])[0] > min(MOST_FOOTER, size):
        raise InputError(f"{shown}: its footer is damaged, or larger than {MOST_FOOTER >> 20} MB")
    footer = _guarded(shown, lambda: pq.read_metadata(file, memory_map=False))
    if footer.num_rows > most_rows:
        raise InputError(f"{shown}: has {footer.num_rows:,} rows; at most {most_rows:,} are taken")
    if footer.num_columns > MOST_COLUMNS:
        raise InputError(f"{shown}: has {footer.num_columns:,} columns, more than {MOST_COLUMNS:,}")
    schema: dict[str, pl.DataType] = _guarded(shown, lambda: dict(pl.read_parquet_schema(file)))
    nested = {n for n, d in schema.items() if what_else(d) is not None}
    unpacked = 0
    for group in (footer.row_group(i) for i in range(footer.num_row_groups)):
        for part in (group.column(i) for i in range(group.num_columns)):
            if part.path_in_schema.split(".")[0] in nested:
                continue
            if part.num_values > most_rows:
                raise too_many(shown, most_rows)
            unpacked += part.total_uncompressed_size
    if unpacked > LARGEST_PARQUET:
        raise too_large(shown, LARGEST_PARQUET)
    return schema


def _guarded(shown: str, read: Any) -> Any:
    """What reading gives, or one line: a damaged file makes the readers raise errors of many kinds,
    and one that is no Exception."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        told = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{shown}: cannot be read: {told[0][:120]}") from None
