"""Numbers as people write them: "1,234.50", "1.234,50", "1 234,50", "€ 3.49", "12 %".

A text may be a number in several notations. The columns of a file are written in one notation, so a
notation is possible where every value of all the columns needed fits it. Where the possible ones
disagree about a value, the file is refused: "1,234" alone is 1234 or 1.234.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.types import Array, InputError

MISSING = (
    "",
    "null",
    "nan",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "#n/a n/a",
    "none",
    "nil",
    ".",
    "..",
    "-",
    "--",
    "–",
    "—",
    "?",
    "missing",
    "<na>",
    "nat",
    "#value!",
    "#div/0!",
    "#ref!",
    "#num!",
    "#name?",
)
"""What stands where a value is missing, in small letters."""

MISSING_REMEDY = "fill it, delete the row, or say missing: previous, interpolate or drop"

_CURRENCY = (
    r"(?:us\$|r\$|a\$|c\$|hk\$|s\$|nz\$|\$|€|£|¥|₩|₹|₽|₺|₴|₦|₪|₫|฿|zł|kč|kr\.?|ft|lei|円|元"
    r"|usd|eur|gbp|jpy|chf|pln|czk|sek|nok|dkk|huf|ron|cad|aud|nzd|cny|inr|krw|brl|rub|try|mxn|zar)"
)
_EXPONENT = r"(?:[eE][+-]?\d{1,3})?"


class Notation(NamedTuple):
    """A decimal mark, and the mark between groups of thousands ("" where there is none)."""

    decimal: str
    thousands: str

    @property
    def pattern(self) -> str:
        """What a number looks like in this notation."""
        decimals = rf"(?:\{self.decimal}\d*)?"
        plain = rf"(?:\d+{decimals}|\{self.decimal}\d+){_EXPONENT}"
        if not self.thousands:
            return rf"^[+-]?{plain}$"
        mark = rf"\{self.thousands}" if self.thousands != "'" else "'"
        grouped = rf"[1-9]\d{{0,2}}(?:{mark}\d{{3}})+{decimals}"
        if self == Notation(".", ","):  # lakhs and crores: 12,34,567.00
            grouped += rf"|[1-9]\d?(?:,\d{{2}})+,\d{{3}}{decimals}"
        return rf"^[+-]?(?:{plain}|{grouped})$"

    def values(self, texts: pl.Series) -> pl.Series:
        """The numbers of texts that fit; null where one does not."""
        bare = texts.set(~texts.str.contains(self.pattern), None)
        if self.thousands:
            bare = bare.str.replace_all(self.thousands, "", literal=True)
        if self.decimal != ".":
            bare = bare.str.replace(self.decimal, ".", literal=True)
        return bare.str.strip_prefix("+").cast(pl.Float64, strict=False)

    def __str__(self) -> str:
        mark = {".": "a point", ",": "a comma", " ": "a blank", "'": "an apostrophe"}
        text = f"{mark[self.decimal]} before decimals"
        return text + (f" and {mark[self.thousands]} between thousands" if self.thousands else "")


NOTATIONS = tuple(
    Notation(*pair)
    for pair in ((".", ","), (".", " "), (".", "'"), (",", "."), (",", " "), (",", "'"))
)


class Texts(NamedTuple):
    """A column of texts, tidied: what is left is a number in some notation, or is none.

    Parameters
    ----------
    bare : Series
        without blanks, currency signs and percent signs; null where the value is missing.
    currency, percent : Series or None
        the signs taken off, "" where there was none.
    """

    name: str
    bare: pl.Series
    currency: pl.Series | None
    percent: pl.Series | None


def tidied(column: pl.Series) -> Texts:
    """The texts of a column without what stands around a number."""
    texts = column.cast(pl.String)
    odd = texts.str.contains(r"[^0-9.,+\-eE]").fill_null(False)
    if not odd.any() and not texts.str.contains(r"^[.\-]*$").fill_null(True).any():
        return Texts(column.name, texts, None, None)
    # Blanks that are not the common one, apostrophes and minus signs as typesetters have them.
    texts = (
        texts.str.replace_all(r"[\u00a0\u202f\u2007\u2009]", " ")
        .str.strip_chars()
        .str.replace_all("[’ʼ`´]", "'")
        .str.replace("−", "-", literal=True)
    )
    missing = texts.str.to_lowercase().is_in(MISSING).fill_null(True)
    texts = texts.set(missing, None)
    currency = percent = None
    if texts.str.contains(r"[^0-9.,+\-eE' ]").fill_null(False).any():
        signs = texts.to_frame("text").select(
            before=pl.col("text").str.extract(rf"(?i)^[+-]?\s*({_CURRENCY})\s*[+-]?[\d.,]"),
            after=pl.col("text").str.extract(rf"(?i)[\d.,]\s*({_CURRENCY})$"),
            percent=pl.col("text").str.extract(r"[\d.,]\s*(%)$"),
        )
        currency = signs.select(pl.coalesce("before", "after").fill_null("")).to_series()
        percent = signs["percent"].fill_null("")
        texts = texts.str.replace(
            rf"(?i)^([+-]?)\s*{_CURRENCY}\s*([+-]?[\d.,])", "$1$2"
        ).str.replace(rf"(?i)([\d.,])\s*(?:{_CURRENCY}|%)$", "$1")
    return Texts(column.name, texts, currency, percent)


def share_of_numbers(column: pl.Series) -> float:
    """How many of a text column's values are numbers in some notation, out of those that are there.

    0 where none is there.
    """
    bare = tidied(column).bare.drop_nulls()
    if not len(bare):
        return 0.0
    left = bare
    for notation in NOTATIONS:
        left = left.filter(~left.str.contains(notation.pattern))
        if not len(left):
            break
    return 1.0 - len(left) / len(bare)


def possible(decimal: str | None, thousands: str | None) -> tuple[Notation, ...]:
    """The notations that a file's options leave."""
    found = tuple(
        n
        for n in NOTATIONS
        if decimal in (None, n.decimal) and thousands in (None, "", n.thousands)
    )
    if thousands == "":
        found = tuple(dict.fromkeys(Notation(n.decimal, "") for n in found))
    if not found:
        raise InputError(f"decimal and thousands are both {decimal!r}; they must differ")
    return found


def decided(
    shown: str, columns: Sequence[Texts], lines: np.ndarray, allowed: Sequence[Notation]
) -> Notation:
    """The notation of these columns, or InputError naming the value that decides against it."""
    values = (
        pl.concat([c.bare.drop_nulls() for c in columns])
        if columns
        else pl.Series([], dtype=pl.String)
    )
    values = values.unique() if len(values) > 1000 else values
    marked = values.filter(values.str.contains(r"[.,' ]"))
    fitting = [n for n in allowed if marked.str.contains(n.pattern).all()]
    if not fitting:
        _refuse_misfit(shown, columns, lines, allowed)
    first = fitting[0]
    read = first.values(marked)
    for other in fitting[1:]:
        differs = (other.values(marked) != read).fill_null(False)
        if differs.any():
            text = str(marked.filter(differs)[0])
            column, line = _where(columns, lines, text)
            one, two = (n.values(pl.Series([text]))[0] for n in (first, other))
            raise InputError(
                f"{shown}: row {line}: {column}={text!r} can be {one:.15g} or {two:.15g}; say "
                f"decimal: {_word(first.decimal)}, or decimal: {_word(other.decimal)}"
            )
    return first


def _word(mark: str) -> str:
    return "point" if mark == "." else "comma"


def _where(columns: Sequence[Texts], lines: np.ndarray, text: str) -> tuple[str, int]:
    for column in columns:
        found = (column.bare == text).fill_null(False).arg_true()
        if len(found):
            return column.name, int(lines[found[0]])
    raise AssertionError(text)


def _refuse_misfit(
    shown: str, columns: Sequence[Texts], lines: np.ndarray, allowed: Sequence[Notation]
) -> None:
    """InputError for the first value that the notation of most of the values does not take."""
    values = pl.concat([c.bare.drop_nulls() for c in columns])
    fits = {n: values.str.contains(n.pattern) for n in allowed}
    best = max(allowed, key=lambda n: (int(fits[n].sum()), bool(fits[n][0])))
    for column in columns:
        wrong = (~column.bare.str.contains(best.pattern)).fill_null(False).arg_true()
        if not len(wrong):
            continue
        text, line = column.bare[wrong[0]], int(lines[wrong[0]])
        message = f"{shown}: row {line}: {column.name}={text[:60]!r} must be a number"
        if any(pl.Series([text]).str.contains(n.pattern)[0] for n in NOTATIONS):
            message += f" with {best}, as the others are; write all in one way"
        raise InputError(message)
    raise AssertionError("every value fits")


def numbers(
    shown: str, columns: Sequence[pl.Series], lines: np.ndarray, allowed: Sequence[Notation]
) -> tuple[list[pl.Series], list[Texts], Notation | None]:
    """Columns as Float64, null where a value is missing, and in which notation they are written.

    Texts become numbers; what is a number stays. InputError where a value is no number.
    """
    texts = {i: tidied(c) for i, c in enumerate(columns) if c.dtype == pl.String}
    notation = decided(shown, list(texts.values()), lines, allowed) if texts else None
    made = []
    for i, column in enumerate(columns):
        if i in texts:
            assert notation is not None
            bare = texts[i].bare
            read = notation.values(bare)
            wrong = (read.is_null() & bare.is_not_null()).arg_true()
            if len(wrong):
                raise InputError(
                    f"{shown}: row {int(lines[wrong[0]])}: {column.name}="
                    f"{bare[wrong[0]][:60]!r} must be a number"
                )
        else:
            read = column.cast(pl.Float64, strict=False).fill_nan(None)
        made.append(read.alias(column.name))
    return made, list(texts.values()), notation


def as_array(column: pl.Series) -> Array:
    """[H] numbers of a column, NaN where a value is missing."""
    return column.fill_null(float("nan")).to_numpy().astype(np.float64, copy=True)
