"""Shows results in a notebook, and turns them into frames of polars and pandas.

A result that is a table derives from `Framed` and has `to_polars`, `to_pandas` and a picture of
itself in HTML. Names come from other people's files: every word is escaped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mos_agents.market.lazy import LazyModule
from mos_agents.market.printing import printable
from mos_agents.market.types import InputError

if TYPE_CHECKING:
    import polars as pl

    from mos_agents.market.market import Market
else:
    pl = LazyModule("polars")

MOST_ROWS = 20
"""Rows of a frame that a notebook shows; `to_polars` has them all."""

MOST_COLUMNS = 12
"""Columns that a notebook shows, and the widest array that becomes columns of a frame."""


class Framed:
    """A result that is a table.

    By default its arrays are the columns, with one row for each entry of their first axis; a result
    without arrays is a single row.
    """

    row_name: ClassVar[str] = ""
    """What one row is: the name of a first column, which counts them; none where it is empty."""

    def to_polars(self) -> pl.DataFrame:
        """Return the result as a polars frame.

        Returns
        -------
        polars.DataFrame
            One row for each entry of the result.
        """
        return pl.DataFrame(columns_of(self, self.row_name))

    def to_pandas(self) -> Any:
        """Return the frame of `to_polars` as a pandas frame.

        Returns
        -------
        pandas.DataFrame
            The same rows and columns.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        return as_pandas(self.to_polars())

    def _repr_html_(self) -> str:
        text = str(self) if type(self).__str__ is not object.__str__ else type(self).__name__
        return frame_html(self.to_polars(), text.splitlines())


class Printed:
    """A result that is a text: a notebook shows what `print` shows."""

    def _repr_html_(self) -> str:
        return text_html(type(self).__name__, str(self))


def columns_of(record: Any, row_name: str) -> dict[str, Any]:
    """The columns of a dataclass: its arrays that have one entry a row, or its plain values."""
    values = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.repr and not field.name.startswith("_")
    }
    arrays = {name: value for name, value in values.items() if np.ndim(value) in (1, 2)}
    arrays = {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}
    if not arrays:
        return {name: [one] for name, value in values.items() for name, one in _plain(name, value)}
    rows = max(len(value) for value in arrays.values())
    columns: dict[str, Any] = {row_name: np.arange(rows)} if row_name else {}
    for name, value in arrays.items():
        if len(value) != rows:
            continue
        if value.ndim == 1:
            columns[name] = value
        elif value.shape[1] <= MOST_COLUMNS:
            columns |= {f"{name}_{i}": value[:, i] for i in range(value.shape[1])}
    return columns


def _plain(name: str, value: Any) -> list[tuple[str, Any]]:
    """A value as cells of one row: an interval is three of them; a record inside is left out."""
    if value is None or isinstance(value, str | bool | int | float):
        return [(name, value)]
    if hasattr(value, "estimate"):
        return [(name, value.estimate), (f"{name}_low", value.low), (f"{name}_high", value.high)]
    if isinstance(value, tuple) and all(isinstance(one, int | float) for one in value):
        return [(f"{name}_{i}", one) for i, one in enumerate(value[:MOST_COLUMNS])]
    return []


def as_pandas(frame: pl.DataFrame) -> Any:
    """A polars frame as one of pandas; InputError in one line where pandas is not installed."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        raise InputError(
            "to_pandas() needs pandas, which is not installed: run `pip install pandas`, or use "
            "to_polars()"
        ) from None
    return frame.to_pandas()


def frame_html(frame: pl.DataFrame, notes: Sequence[str] = ()) -> str:
    """A frame as HTML, its first rows and columns, with the notes above it."""
    shown = frame[:MOST_ROWS, :MOST_COLUMNS]
    more = [
        f"{count:,} more {noun}s"
        for count, noun in (
            (frame.height - shown.height, "row"),
            (frame.width - shown.width, "column"),
        )
        if count > 0
    ]
    below = f"and {' and '.join(more)}: to_polars() has them all" if more else ""
    return table_html(
        shown.columns, [[cell(one) for one in row] for row in shown.rows()], notes, below
    )


def table_html(
    head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = (), below: str = ""
) -> str:
    """A table as HTML. Every word is escaped; text is on the left, figures on the right."""
    lines = [f"<p>{safe(note)}</p>" for note in notes]
    lines.append('<table class="mos"><thead><tr>')
    lines += [f"<th>{safe(name)}</th>" for name in head]
    lines.append("</tr></thead><tbody>")
    lines += ["<tr>" + "".join(f"<td>{safe(one)}</td>" for one in row) + "</tr>" for row in rows]
    lines.append("</tbody></table>")
    if below:
        lines.append(f"<p>{safe(below)}</p>")
    return "\n".join(lines)


def text_html(title: str, text: str) -> str:
    """A text as HTML, as it stands, below a title."""
    return f'<p>{safe(title)}</p>\n<pre style="white-space: pre-wrap">{safe(text)}</pre>'


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def market_html(market: Market, parts: Sequence[str]) -> str:
    """A market as HTML: its participants and its parts, each part on a line."""
    layout = market.layout
    shown = range(min(layout.N, MOST_ROWS))
    rows = [
        (layout.participants[n], layout.roles[n], f"{len(range(layout.L)[layout.own(n)]):,}")
        for n in shown
    ]
    sizes = (layout.N, "participant"), (layout.K, "instrument"), (layout.L, "listing")
    title = f"{market.name}: {', '.join(_counted(*one) for one in sizes)}; "
    title += f"{_counted(market.horizon, 'tick')} of length {market.dt:g}"
    below = f"and {layout.N - MOST_ROWS:,} more participants" if layout.N > MOST_ROWS else ""
    table = table_html(("participant", "role", "listings"), rows, [title], below)
    lines = "\n".join(f"{name}: {getattr(market, name)!r}" for name in parts)
    return f"{table}\n{text_html('Parts', lines)}"


def safe(text: str) -> str:
    """A text inside HTML: no markup, and no control characters."""
    return escape(printable(str(text)))


def cell(value: Any) -> str:
    """A value in a cell: four digits, whole from a thousand on, and a dash for none."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
