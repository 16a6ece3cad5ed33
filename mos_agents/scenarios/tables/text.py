"""Files of text: which mark separates the fields, where the heading stands, and the rows below."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables.numbers import MISSING, share_of_numbers
from mos_agents.scenarios.tables.options import MOST_COLUMNS, SEPARATORS, TableFile
from mos_agents.scenarios.tables.table import FileTable, of_cells, tidy
from mos_agents.scenarios.tables.times import times_of

SAMPLE = 100
REMARKS = 5  # lines below a table
MOST_QUOTED = 30_000_000  # fields that are read one by one, where fields are quoted


class TextLine(NamedTuple):
    """A line of fields: its number in the file, from 1 on, and where its text begins."""

    number: int
    fields: list[str]


class TextLayout(NamedTuple):
    """Where the table stands in the text.

    Parameters
    ----------
    heading : int
        index into the sample's lines; None where there is none.
    title : int
        lines before it.
    """

    separator: str | None
    width: int
    lines: list[TextLine]
    heading: int
    clean: bool


def read_text(
    text: str, shown: str, options: TableFile, most_rows: int, notes: list[str]
) -> FileTable:
    """The table in a text, or InputError in one line."""
    if not text.strip():
        raise InputError(f"{shown}: cannot be read: the file is empty")
    if re.match(r"(?i)\s*(?:<(?:!|\?|html|head|body|table|div)|\{\s*\"|\[\s*[\[{])", text[:200]):
        raise InputError(f"{shown}: holds HTML, XML or JSON, no table; save it as CSV")
    skipped, separator = options.skip_lines or 0, options.separator
    if separator is None and options.skip_lines is None:
        declared = re.match(r"sep=([,;\t|])\n", text)  # Excel's own first line
        if declared:
            separator, skipped = declared[1], 1
            notes = [*notes, f"fields separated by {_name(separator)}, as its first line says"]
    start = _start_of_line(text, skipped)
    if not text[start:].strip():
        raise InputError(f"{shown}: has no line below the {skipped} that are skipped")
    layout = _layout(text[start:], skipped, shown, separator, options)
    if separator is None and layout.separator not in (None, ","):
        notes = [*notes, f"fields separated by {_name(layout.separator or '')}"]
    if layout.width > MOST_COLUMNS:
        raise InputError(f"{shown}: has {layout.width:,} columns, more than {MOST_COLUMNS:,}")
    top = layout.lines[layout.heading]
    if layout.heading and options.heading is not False:
        count = top.number - 1 - skipped
        notes = [*notes, f"{count} line{'' if count == 1 else 's'} before the heading left out"]
    names = _names(layout, shown, options)
    stacked = None if options.heading is False else _stacked(layout, names)
    if stacked is not None:
        names, top = stacked
        notes = [*notes, "a heading of three lines: names, what they are of, and the first column"]
    first = top.number + (options.heading is not False)
    columns, lines = _body(text[_start_of_line(text, first - 1) :], first, layout, shown)
    if len(lines) > most_rows:
        raise too_many(shown, most_rows)
    made = [
        column.str.strip_chars().fill_null("").alias(name)
        for name, column in zip(names, columns, strict=True)
    ]
    return of_cells(shown, made, lines, notes, options, layout.separator)


def too_many(shown: str, most: int) -> InputError:
    return InputError(f"{shown}: has more than {most:,} rows")


def _name(separator: str) -> str:
    return next(name for name, mark in SEPARATORS.items() if mark == separator) + "s"


def _start_of_line(text: str, lines: int) -> int:
    at = 0
    for _ in range(lines):
        at = text.find("\n", at) + 1
        if not at:
            return len(text)
    return at


def _fields(
    text: str, separator: str | None, before: int, shown: str | None = None
) -> Iterator[TextLine]:
    """Lines that hold something, split into fields; a quoted field may hold line ends.

    shown: InputError, with this name, where quotes are not closed. Without it they are let be.
    """
    if separator is None:
        for number, line in enumerate(text.split("\n")):
            if line.strip():
                yield TextLine(before + number + 1, [line.strip().strip('"')])
        return
    strict = shown is not None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    last = 0
    try:
        for fields in reader:
            if len(fields) > 1 or (fields and fields[0].strip()):
                yield TextLine(before + last + 1, fields)
            last = reader.line_num
    except csv.Error as error:
        raise InputError(
            f"{shown}: row {before + last + 1}: a quote is opened and not closed, or a field is "
            f"too long ({error}); a quote within quotes is doubled"
        ) from None


def _sample(text: str, separator: str | None, before: int) -> list[TextLine]:
    head = text[: 2**20]
    found = []
    with contextlib.suppress(InputError):  # a field that is too long: reported when all is read
        for line in _fields(head, separator, before):
            found.append(line)
            if len(found) == SAMPLE:
                break
    # A sample that was cut in the middle of a line does not end with that line.
    return found[:-1] if len(text) > len(head) and len(found) > 1 and len(found) < SAMPLE else found


def _layout(
    text: str, before: int, shown: str, separator: str | None, options: TableFile
) -> TextLayout:
    if separator is not None:
        return _placed(_sample(text, separator, before), separator, shown, options)
    found = []
    for mark in SEPARATORS.values():
        if mark in text[: 2**20]:
            sample = _sample(text, mark, before)
            if any(len(line.fields) > 1 for line in sample):
                found.append(_placed(sample, mark, shown, options))
    single = _sample(text, None, before)
    alone = TextLayout(None, 1, single, 0, True)
    if not found:
        return alone
    clean = [one for one in found if one.clean]
    if not clean:
        return max(found, key=lambda one: _agreeing(one))
    earliest = min(one.heading for one in clean)
    first = [one for one in clean if one.heading == earliest]
    if len(first) > 1:
        marks = " or ".join(_name(one.separator or "") for one in first)
        raise InputError(
            f"{shown}: fields may be separated by {marks}; say which, as in separator: "
            f"{_name(first[0].separator or '')[:-1]}"
        )
    best = first[0]
    if best.heading and len(single) > 1 and not re.search(r"[,;\t|]", single[0].fields[0]):
        rest = pl.Series([line.fields[0] for line in single[1:]])
        if share_of_numbers(rest) == 1.0:  # one column, with commas before the decimals
            return alone
    return best


def _agreeing(layout: TextLayout) -> float:
    return sum(len(line.fields) == layout.width for line in layout.lines) / len(layout.lines)


def _placed(lines: list[TextLine], separator: str, shown: str, options: TableFile) -> TextLayout:
    """Where the heading stands, if this mark separates the fields."""
    if not lines:
        raise InputError(f"{shown}: cannot be read: no line holds a field")
    counts = Counter(len(line.fields) for line in lines)
    width = max(counts, key=lambda n: (counts[n] if n > 1 or len(counts) == 1 else 0, n))
    heading = 0
    if options.skip_lines is None:
        heads = (i for i, line in enumerate(lines) if _could_head(line.fields, width))
        heading = next(heads, 0)
        names = next((i for i in range(heading) if _only_names(lines[i].fields)), None)
        if names is not None and not _only_names(lines[heading].fields):
            # Names above values, and not as many of them: the rows do not fit their heading.
            return TextLayout(separator, len(lines[names].fields), lines, names, False)
    below = lines[heading:]
    while len(below) > 1 and len(below[-1].fields) == 1 and width > 2:
        below = below[:-1]
    clean = width > 1 and all(len(line.fields) == width for line in below)
    return TextLayout(separator, width, lines, heading, clean)


def _could_head(fields: Sequence[str], width: int) -> bool:
    """Whether a line has as many fields as the table, named: a title has one or two of them."""
    filled = sum(bool(field.strip()) for field in fields)
    if len(fields) == width > 1 and filled == width - 1 and not fields[0].strip():
        return True  # an index, as pandas writes it, has no name
    return len(fields) == width and filled >= (
        width if width <= 2 else (width + 1) // 2 + (width < 5)
    )


def _only_names(fields: Sequence[str]) -> bool:
    """Whether a line is a heading by what it holds: three names or more, and no number."""
    filled = [field for field in fields if field.strip()]
    return len(filled) >= 3 and all(_kind(field) == "text" for field in filled)


def _names(layout: TextLayout, shown: str, options: TableFile) -> list[str]:
    numbered = [f"column_{i + 1}" for i in range(layout.width)]
    if options.heading is False:
        return numbered
    top = layout.lines[layout.heading]
    if options.heading is None and _is_data(layout):
        like = ",".join(_guessed(layout))
        raise InputError(
            f"{shown}: the first row has no names ({', '.join(top.fields)[:60]}); add a heading "
            f"such as {like}, or say heading: false, and the columns are called {numbered[0]} and "
            "so on"
        )
    if len(top.fields) != layout.width:
        raise InputError(
            f"{shown}: row {top.number} has {len(top.fields)} fields, most rows have "
            f"{layout.width}; {_ragged_remedy(layout)}"
        )
    return [tidy(field) for field in top.fields]


def _stacked(layout: TextLayout, names: Sequence[str]) -> tuple[list[str], TextLine] | None:
    """The names in a heading of three lines, as pandas and yfinance write it, and its last line:
    "Price,Close,High", "Ticker,AAPL,AAPL", "Date,,"."""
    below = layout.lines[layout.heading + 1 : layout.heading + 3]
    if len(below) < 2 or any(len(line.fields) != layout.width for line in below):
        return None
    of, last = ([tidy(field) for field in line.fields] for line in below)
    if not last[0] or any(last[1:]) or any(_kind(field) != "text" for field in (last[0], *of)):
        return None
    several = len(set(of[1:])) > 1
    joined = [f"{name} {what}" if several else name for name, what in zip(names, of, strict=True)]
    return [last[0], *joined[1:]], below[-1]


def _guessed(layout: TextLayout) -> list[str]:
    kinds = [_kind(line) for line in layout.lines[layout.heading].fields]
    texts = iter(["product", "seller"]) if kinds[:2] == ["text", "text"] else iter(["name"])
    values = ["open", "high", "low", "close", "volume", "trades"]
    count = kinds.count("number")
    if kinds == ["text", "text", *["number"] * 4]:
        return ["product", "seller", "cost", "reference_price", "quality", "stock"]
    if "text" in kinds or "time" not in kinds or not 4 <= count <= 6:
        values = [f"price_{i + 1}" for i in range(count)] if count > 1 else ["price"]
    left = iter(values)
    made = {"time": lambda: "time", "text": lambda: next(texts, "text")}
    return [made.get(kind, lambda: next(left, "value"))() for kind in kinds]


@functools.lru_cache(4096)
def _kind(*texts: str) -> str:
    """What texts of one column are: missing, times, numbers or texts."""
    there = [text.strip() for text in texts if text.strip().lower() not in MISSING]
    if not there:
        return "missing"
    if not any(letter.isdigit() for text in there for letter in text):
        return "text"
    column = pl.Series(there)
    if times_of(column) is not None:
        return "time"
    return "number" if share_of_numbers(column) > 0.5 else "text"


def _is_data(layout: TextLayout) -> bool:
    """Whether the first line says nothing but what the lines below say: values, and no names."""
    top, below = layout.lines[layout.heading], layout.lines[layout.heading + 1 :]
    kinds = [_kind(field) for field in top.fields]
    if not any(kind in ("number", "time") for kind in kinds):
        return False
    if not below:
        return all(kind != "text" for kind in kinds)
    for row, kind in enumerate(kinds):
        values = [line.fields[row] for line in below[:20] if row < len(line.fields)]
        alike = {kind, _kind(*values)} - {"missing"}
        # A whole number could be a date as well.
        if len(alike) > 1 and alike != {"number", "time"}:
            return False
    return True


def _ragged_remedy(layout: TextLayout) -> str:
    if layout.separator == ",":
        return (
            "where a number has a decimal comma, separate the fields by semicolons, or put such "
            "fields into quotes"
        )
    return "give every row the same fields, or say separator: or skip_lines:"


def _body(
    text: str, first: int, layout: TextLayout, shown: str
) -> tuple[list[pl.Series], np.ndarray]:
    """The fields below the heading, column by column, and the line of each row."""
    if layout.separator is None:
        rows = pl.Series([text]).str.split("\n").explode().str.strip_chars(' \t"')
        return [rows], first + np.arange(len(rows))
    if '"' in text:
        return _quoted(text, first, layout, shown)
    rows = pl.Series([text]).str.split("\n").explode()
    kept = (rows.str.strip_chars() != "").fill_null(False)
    lines = (first + np.arange(len(rows)))[kept.to_numpy()]
    rows = rows.filter(kept)
    fields = rows.str.count_matches(layout.separator, literal=True) + 1
    remarks = _remarks(fields.tail(REMARKS).to_list(), layout.width)
    if remarks:
        filled = rows.tail(remarks) + layout.separator * (layout.width - 1)
        rows, fields = pl.concat([rows.head(-remarks), filled]), fields.head(-remarks)
    wrong = (fields != layout.width).arg_true()
    if len(wrong):
        _refuse_ragged(int(lines[wrong[0]]), int(fields[wrong[0]]), layout, shown)
    if not len(rows):
        return [pl.Series([], dtype=pl.String)] * layout.width, lines
    split = rows.str.split_exact(layout.separator, layout.width - 1).struct.unnest()
    return split.get_columns(), lines


def _remarks(fields: Sequence[int], width: int) -> int:
    """How many of the last lines hold one field: remarks, to be looked at with the totals."""
    if width < 3:
        return 0
    return next((i for i, count in enumerate(reversed(fields)) if count != 1), len(fields))


def _quoted(
    text: str, first: int, layout: TextLayout, shown: str
) -> tuple[list[pl.Series], np.ndarray]:
    kept, lines = [], []
    most = MOST_QUOTED // layout.width
    for line in _fields(text, layout.separator, first - 1, shown):
        kept.append(line.fields)
        lines.append(line.number)
        if len(kept) > most:
            raise InputError(f"{shown}: has more than {MOST_QUOTED:,} fields, some quoted")
    for row in range(1, _remarks([len(f) for f in kept[-REMARKS:]], layout.width) + 1):
        kept[-row] = kept[-row] + [""] * (layout.width - 1)
    for fields, number in zip(kept, lines, strict=True):
        if len(fields) != layout.width:
            _refuse_ragged(number, len(fields), layout, shown)
    if not kept:
        return [pl.Series([], dtype=pl.String)] * layout.width, np.zeros(0, np.int64)
    columns = [pl.Series(column, dtype=pl.String) for column in zip(*kept, strict=True)]
    return columns, np.array(lines)


def _refuse_ragged(number: int, count: int, layout: TextLayout, shown: str) -> None:
    raise InputError(
        f"{shown}: row {number} has {count} field{'' if count == 1 else 's'}, the heading has "
        f"{layout.width}; {_ragged_remedy(layout)}"
    )
