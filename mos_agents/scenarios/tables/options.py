"""How a file of rows and columns is to be read: what a scenario may say of it, and its limits."""

from __future__ import annotations

import codecs
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_LISTINGS = 200_000
"""Rows of a catalogue, and listings of any market."""

MOST_ROWS = 5_000_000
"""Rows of a series."""

MOST_COLUMNS = 10_000
LARGEST = 200 * 2**20
"""Bytes of a file of text or of a workbook, unpacked."""

LARGEST_PARQUET = 2**30
"""Bytes of a Parquet file's columns, unpacked."""

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
DECIMALS = {"point": ".", "comma": ","}
THOUSANDS = {"none": "", "comma": ",", "point": ".", "space": " ", "apostrophe": "'"}


class TableFile(BaseModel):
    """A CSV, Parquet or Excel file. What is left out is recognised from the file where that is
    safe.

    Parameters
    ----------
    path : str
        the file, relative to the scenario's own; builtin:NAME is one that ships with the
        package.
    separator : str or None
        what stands between fields: comma, semicolon, tab or bar.
    decimal : str or None
        what stands before decimals: point or comma.
    thousands : str or None
        what stands between thousands: comma, point, space, apostrophe or none.
    encoding : str or None
        how letters are written, such as utf-8, utf-16 or cp1252.
    skip_lines : int or None
        lines before the heading that are not read, 0 to 10,000.
    heading : bool or None
        whether the first line has the columns' names; without one they are called column_1,
        column_2 and so on.
    sheet : str or None
        the sheet of a workbook.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = ""
    path: str
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    skip_lines: int | None = Field(default=None, ge=0, le=10_000, strict=True)
    heading: bool | None = Field(default=None, strict=True)
    sheet: str | None = None

    @field_validator("separator", "decimal", "thousands", mode="before")
    @classmethod
    def _mark(cls, value: Any, info: Any) -> Any:
        known = {"separator": SEPARATORS, "decimal": DECIMALS, "thousands": THOUSANDS}
        words = known[info.field_name]
        if value is None or value in words.values():
            return value
        if isinstance(value, str) and value in words:
            return words[value]
        raise ValueError(f"must be one of {', '.join(words)}")

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            "a".encode(codecs.lookup(value).name)
        except (LookupError, ValueError):
            raise ValueError(
                "is not an encoding; use utf-8, utf-16, cp1252, cp1250, latin-1, ..."
            ) from None
        return value
