"""What the columns of a table are: times, texts, row numbers, volumes, or what drives a market."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import numbers
from mos_agents.scenarios.tables.table import FileTable, empty
from mos_agents.scenarios.tables.times import Times, counted, direction, times_of

Part = Literal["price", "cost", "demand"]

MOSTLY = 0.5
"""A column holds numbers if this share of what is there does."""

QUOTES = set(
    "open opening high low close closing last settle settlement mid bid ask vwap adj adjusted "
    "eröffnung erster hoch tief schluss schlusskurs ouverture haut bas clôture cloture dernier "
    "apertura máximo maximo mínimo minimo cierre último ultimo massimo chiusura abertura máxima "
    "mínima fechamento otwarcie najwyzszy najnizszy zamkniecie max min o h l c".split()
)
"""Words for prices of one instrument side by side: a file with two of them needs the setting."""

_PRICES = QUOTES | set("price prices kurs preis prix precio value".split())
_OTHER = set(
    "volume vol trades trade count qty quantity size sizes shares turnover interest oi change chg "
    "pct percent return returns dividend dividends split splits weight rank visitors orders "
    "number".split()
)
"""Words for what is no price and no cost; a demand it may be."""

_DRIVES = {
    "price": set(),
    "cost": set("cost costs kosten coût coûts coste costo custo".split()),
    "demand": set(
        "demand visitors visits customers shoppers clients buyers traffic orders sales sold units "
        "quantity count per".split()
    ),
}
"""Words for what drives costs and demand, whatever the numbers look like."""

_INDEX = set("index idx id ids row rows no nr n seq sequence tick step t unnamed level".split())
_WHEN = set(
    "time timestamp date datetime unix epoch ts year month day week weekday hour minute second "
    "period quarter hr mnth yr jahr monat tag datum".split()
)


class Columns(NamedTuple):
    """What the columns of a table are: those that may be taken, and those that say something else.

    Parameters
    ----------
    numbers : list of str
        headings of all columns that hold numbers.
    candidates : list of str
        those of them that could be meant without being named.
    others : mapping
        why each of the rest is none.
    times : list of Times
        columns that say when.
    """

    numbers: list[str]
    candidates: list[str]
    others: dict[str, str]
    times: list[Times]


def words(heading: str) -> list[str]:
    """The words of a heading: "AAPL.AdjClose" has aapl, adj and close."""
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", heading)
    return re.findall(r"[^\W\d_]+", split.casefold())


def is_time_heading(heading: str) -> bool:
    """Whether a heading is one of dates or times."""
    return bool(set(words(heading)) & _WHEN)


def likeliest_heading(headings: Sequence[str]) -> str:
    """The heading that is most likely meant, for an example: of a closing price, else of a
    price, else the first."""
    wanted = ("close", "schluss", "schlusskurs", "last"), _PRICES
    found = (h for group in wanted for h in headings if set(words(h)) & set(group))
    return next(found, headings[0])


def columns_of(table: FileTable, part: Part) -> Columns:
    """What each column is: a time, a text, a row number, a volume, or a candidate."""
    found = Columns([], [], dict(table.left_out), [])
    for column in table.columns:
        name, heading_words = column.name, set(words(column.name))
        if column.dtype == pl.Boolean:
            found.others[name] = "truth values"
            continue
        written = share_of_numbers(column)
        when = times_of(column)
        if when is not None and not (written >= MOSTLY and _holds_amounts(heading_words, when)):
            found.others[name] = when.description
            found.times.append(when)
            continue
        if written < MOSTLY:
            found.others[name] = "texts" if empty(column).sum() < len(column) else "nothing"
            continue
        found.numbers.append(name)
        if (why := _something_else(column, heading_words, part)) is None:
            found.candidates.append(name)
            continue
        found.others[name] = why
        if why in (_NUMBERS_OF_ROWS, _NUMBERS_OF_DAYS):
            found.times.append(counted(column, why))
    return found


def _holds_amounts(heading_words: set[str], when: Times) -> bool:
    """Whether numbers that could be moments are amounts: "open", but not "open time". Volumes and
    market values look like Unix time, but go up and down."""
    if heading_words & _WHEN:
        return False
    mixed = when.moments is not None and direction(when.moments) is None
    return bool(heading_words & (_PRICES | _OTHER)) or (mixed and bool(heading_words - {"column"}))


_NUMBERS_OF_ROWS, _NUMBERS_OF_DAYS = "row numbers", "numbers of years, days or hours"


def share_of_numbers(column: pl.Series) -> float:
    """How many of the values that are there are numbers, however they are written."""
    if column.dtype.is_numeric():
        return float(not column.drop_nulls().is_empty())
    return numbers.share_of_numbers(column) if column.dtype == pl.String else 0.0


def _something_else(column: pl.Series, heading_words: set[str], part: Part) -> str | None:
    """What a column of numbers plainly is, if it is not what the part is driven by."""
    if heading_words & (
        _PRICES - {"adj", "adjusted", "max", "min", "o", "h", "l", "c"} | _DRIVES[part]
    ):
        return None
    values = column.cast(pl.Float64, strict=False)
    whole = not len(values.filter(values != values.floor())) and not values.drop_nulls().is_empty()
    if heading_words & _WHEN and (whole or direction(values) is not None):
        return _NUMBERS_OF_DAYS
    if (whole and heading_words & _INDEX) or _counts_up(values, named=bool(heading_words)):
        return _NUMBERS_OF_ROWS
    if part != "demand" and heading_words & _OTHER:
        return "volumes, sizes or changes"
    return None


def _counts_up(values: pl.Series, named: bool) -> bool:
    """Whether values are 0, 1, 2, ... or 1, 2, 3, ...; without a heading, from anywhere."""
    if len(values) < 3 or values.null_count():
        return False
    steps = values.diff().drop_nulls()
    return bool((steps == 1.0).all()) and (not named or values[0] in (0.0, 1.0))


def looks_like_ohlc(table: FileTable, headings: Sequence[str]) -> bool:
    """Whether three columns or more look like the open, high, low and close of one instrument: one
    is always the highest, one always the lowest, and they are never far apart."""
    if not 3 <= len(headings) <= 6 or table.height < 3:
        return False
    try:
        given = [table.column(h) for h in headings]
        read = numbers.numbers(table.shown, given, table.lines, table.allowed)[0]
    except InputError:
        return False
    rows = np.stack([numbers.as_array(c) for c in read], axis=1)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return False
    high, low = rows.max(axis=1, keepdims=True), rows.min(axis=1, keepdims=True)
    ordered = (rows == high).all(axis=0).any() and (rows == low).all(axis=0).any()
    return bool(ordered and (low > 0.0).all() and (high < 1.25 * low).all())
