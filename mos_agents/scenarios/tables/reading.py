"""One reader of tables: by what the file is, and by what the scenario says of it."""

from __future__ import annotations

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import parquet, workbook
from mos_agents.scenarios.tables.options import TableFile
from mos_agents.scenarios.tables.sources import bytes_of, regular_file, text_of
from mos_agents.scenarios.tables.table import FileTable
from mos_agents.scenarios.tables.text import read_text, too_many

MOST_EMPTY = 10_000  # lines beyond those of the rows
TEXTS = (".csv", ".tsv", ".txt", ".tab")
PARQUETS = (".parquet", ".pq")


def suffix_of(path: str) -> str:
    """How a file's name ends, in small letters and without .gz."""
    name = path.lower().removesuffix(".gz")
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 else ""


def is_table(path: str) -> bool:
    """Whether a file's name says that it holds a table."""
    return suffix_of(path) in (*TEXTS, *PARQUETS, *workbook.SUFFIXES)


def read_table(options: TableFile, most_rows: int) -> FileTable:
    """The table of a file, or InputError in one line that names the file and the remedy."""
    shown = options.path
    file, suffix = regular_file(options.path), suffix_of(options.path)
    if not is_table(options.path):
        raise InputError(f"path={shown!r} must end in .csv, .tsv, .txt (.gz), .parquet or .xlsx")
    try:
        with file.open("rb") as handle:
            magic = handle.read(4)
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror}") from None
    found = {parquet.MAGIC: "a Parquet file", workbook.MAGIC: "a workbook or a zip"}.get(magic)
    if suffix in PARQUETS:
        if magic != parquet.MAGIC:
            raise InputError(f"{shown}: is no Parquet file" + (f" but {found}" if found else ""))
        return parquet.read_parquet(file, shown, options, most_rows)
    if suffix in workbook.SUFFIXES:
        if magic != workbook.MAGIC:
            raise InputError(f"{shown}: is no workbook" + (f" but {found}" if found else ""))
        return workbook.read_workbook(bytes_of(file, shown), shown, options, most_rows)
    if found:
        raise InputError(f"{shown}: is {found}; give it the name that goes with it")
    if options.sheet is not None:
        raise InputError(f"{shown}: sheet is for workbooks")
    data = bytes_of(file, shown)
    if data.count(b"\n") > most_rows + MOST_EMPTY:  # before anything is made of so many lines
        raise too_many(shown, most_rows)
    text, notes = text_of(data, shown, options.encoding)
    return read_text(text, shown, options, most_rows, notes)
