"""A table as it was read: columns, the line of every row in its file, and what was recognised."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError, IntArray
from mos_agents.scenarios.tables.numbers import MISSING, Notation, possible
from mos_agents.scenarios.tables.options import TableFile


@short_repr
@dataclass(frozen=True)
class FileTable:
    """The columns of a file, each named by its heading, and what was recognised on the way.

    Parameters
    ----------
    shown : str
        the file, as messages name it.
    columns : tuple of Series
        all of one length; texts where the file is one of text, else as the file has them.
    lines : array
        [H] the row of the file that each row stands in, from 1 on.
    allowed : tuple of Notation
        the notations in which numbers among its texts may be written.
    left_out : tuple of tuples of 2 str
        columns that no number or text can be read from, and why.
    """

    shown: str
    columns: tuple[pl.Series, ...]
    lines: IntArray
    notes: tuple[str, ...] = ()
    allowed: tuple[Notation, ...] = ()
    left_out: tuple[tuple[str, str], ...] = field(default=())

    @property
    def heading(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def height(self) -> int:
        return len(self.lines)

    def column(self, name: str, asked: str = "columns") -> pl.Series:
        """The column of a heading, written as it stands there or nearly so; InputError if none."""
        exact = [c for c in self.columns if c.name == name]
        found = exact or [c for c in self.columns if key(c.name) == key(name)]
        if len(found) > 1:
            raise InputError(
                f"{self.shown}: column {name!r} is there {len(found)} times; give each its own name"
            )
        if found:
            return found[0]
        for left, why in self.left_out:
            if left == name:
                raise InputError(f"{self.shown}: column {name!r} holds {why}, no numbers or texts")
        raise InputError(
            f"{self.shown}: {asked}: column {name!r} is not there; columns are "
            f"{listed(self.heading)}"
        )

    def rows(self, kept: pl.Series) -> FileTable:
        """The table with some of its rows only."""
        columns = tuple(column.filter(kept) for column in self.columns)
        lines = self.lines[kept.to_numpy()]
        return FileTable(self.shown, columns, lines, self.notes, self.allowed, self.left_out)


def key(heading: str) -> str:
    """A heading without what people write in several ways: capitals, blanks, _ and -."""
    return re.sub(r"[\s_\-.\u00a0]+", "", heading).casefold()


def tidy(heading: object) -> str:
    """A heading without blanks around it, with single ones inside, and all of it printable."""
    return printable(" ".join(str("" if heading is None else heading).split()))


def printable(text: str) -> str:
    """A text without characters that would move a terminal's cursor or colour what follows."""
    return text if text.isprintable() else "".join(c for c in text if c.isprintable())


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in one line, not too many of them."""
    shown = [name if name else "(no name)" for name in names]
    shown = [name if len(name) <= 40 else name[:37] + "..." for name in shown]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def of_cells(
    shown: str,
    columns: Sequence[pl.Series],
    lines: IntArray,
    notes: Sequence[str],
    options: TableFile,
    separator: str | None = None,
) -> FileTable:
    """A table of columns that may hold empty rows and, at the end, totals; both are left out."""
    table = FileTable(
        shown, tuple(columns), lines, tuple(notes), _allowed(options, columns, separator)
    )
    return without_totals(without_empty_rows(table))


def _allowed(
    options: TableFile, columns: Sequence[pl.Series], separator: str | None
) -> tuple[Notation, ...]:
    if (
        separator == ","
        and options.decimal is None
        and not any(
            c.str.contains(",", literal=True).any() for c in columns if c.dtype == pl.String
        )
    ):
        # Commas stand between the fields and nowhere else: none of them marks decimals.
        return possible(".", options.thousands if options.thousands != "." else None)
    return possible(options.decimal, options.thousands)


def empty(column: pl.Series) -> pl.Series:
    """Where a column holds nothing at all."""
    if column.dtype == pl.String:
        return (column.str.strip_chars() == "").fill_null(True)
    return column.is_null()


def without_empty_rows(table: FileTable) -> FileTable:
    """The table without rows that hold nothing. In the only column, such a row among others is one
    in which the value is missing; below all others, it is none."""
    if not table.height or not table.columns:
        return table
    if len(table.columns) == 1:
        there = (~empty(table.columns[0])).arg_true()
        last = int(there[-1]) if len(there) else -1
        return table.rows(pl.Series(np.arange(table.height) <= last))
    nothing = pl.Series(np.ones(table.height, bool))
    for column in table.columns:
        nothing &= empty(column)
        if not nothing.any():
            return table
    return table.rows(~nothing)


TOTALS = set(
    "total|totals|grand total|subtotal|sub total|sum|sums|gesamt|summe|gesamtsumme|total general|"
    "total général|totale|somme|suma|razem|totaal|totalt|soma|итого|всего|合計|总计|average|mean|"
    "durchschnitt|mittelwert|moyenne|media|promedio|count|min|max|minimum|maximum".split("|")
)
_LAST = 5


def without_totals(table: FileTable) -> FileTable:
    """The table without its last lines where these are totals or remarks, and said so."""
    notes = list(table.notes)
    for _ in range(_LAST):
        if table.height < 2 or len(table.columns) < 2:
            break
        text = _closing(table)
        if text is None:
            break
        notes.append(f"row {int(table.lines[-1])} ({text[:40]!r}) left out: it closes the table")
        table = table.rows(pl.Series(np.arange(table.height) < table.height - 1))
    return FileTable(
        table.shown, table.columns, table.lines, tuple(notes), table.allowed, table.left_out
    )


def _is_name(value: object) -> bool:
    """Whether a cell holds words."""
    if not isinstance(value, str) or value.strip().casefold() in MISSING:
        return False
    return any(c.isalpha() for c in value) and not any(c.isdigit() for c in value)


def _closing(table: FileTable) -> str | None:
    """The text that the last row begins with, if that row is a total or a remark."""
    last = [None if bool(empty(c.tail(1))[0]) else c[-1] for c in table.columns]
    there = [i for i, value in enumerate(last) if value is not None]
    first = last[there[0]] if there else None
    if not isinstance(first, str) or not there:
        return None
    text = first.strip()
    if len(there) == 1 and len(last) >= 3 and not re.fullmatch(r"[\d.,:/\- ]*", text):
        return text  # a remark such as "Source: ..." has a line of its own
    if text.rstrip(":").strip().casefold() not in TOTALS:
        return None
    before = table.columns[there[0]].head(table.height - 1)
    if not before.str.contains(r"^[^\d]*$").any():  # dates or numbers stand above the word
        return text
    if any(i != there[0] and _is_name(last[i]) for i in there):
        return None  # a product may be called "Max", and its stock be left out
    lacks = (
        value is None and not empty(column.head(table.height - 1)).any()
        for column, value in zip(table.columns, last, strict=True)
    )
    return text if any(lacks) else None
