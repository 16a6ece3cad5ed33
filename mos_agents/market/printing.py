"""Shows values at a prompt in a line or two, whatever they hold.

A market's state may hold millions of numbers. Its `repr` gives the names of its fields, the shapes
of its arrays and what is short; the fields themselves can still be printed in full.
"""

from __future__ import annotations

import dataclasses
import reprlib
from typing import Any, TypeVar

WIDEST = 80
"""Characters that one field may take."""

FEW = 6
"""Numbers of an array that are written out."""


T = TypeVar("T", bound=type)


class _Brief(reprlib.Repr):
    """`reprlib`, which also knows arrays, frames and records."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxtuple = self.maxlist = self.maxarray = self.maxdict = self.maxset = FEW
        self.maxstring = self.maxother = WIDEST - 20

    def repr_ndarray(self, array: Any, level: int) -> str:
        if 0 < array.size <= FEW and array.dtype.kind in "biuf":
            return repr(array.tolist())
        return f"{array.dtype}{list(array.shape)}"

    def repr_instance(self, value: Any, level: int) -> str:
        if not isinstance(value, type) and is_record(value):
            text = repr(value)
            return text if len(text) <= WIDEST else f"{type(value).__name__}(...)"
        return super().repr_instance(value, level)


_BRIEF = _Brief()


def is_record(value: Any) -> bool:
    """Whether a value has named fields: a dataclass, or a named tuple."""
    return dataclasses.is_dataclass(value) or hasattr(value, "_fields")


def brief(record: Any) -> str:
    """A record on a line or two: the `repr` of a dataclass or named tuple.

    Arrays of more than FEW numbers are shown by type and shape, records inside by their name where
    they are long, other long values cut.
    """
    if hasattr(record, "_fields"):
        names = list(record._fields)
    else:
        names = [one.name for one in dataclasses.fields(record) if one.repr]
    lines = [f"{name}={_short(getattr(record, name))}" for name in names]
    return f"{type(record).__name__}({', '.join(lines)})"


def short_repr(record: T) -> T:
    """Decorate a dataclass or named tuple whose fields may be long: its `repr` is `brief`."""
    record.__repr__ = brief  # type: ignore[assignment]
    return record


def _short(value: Any) -> str:
    text = _BRIEF.repr(value)
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def printable(text: str) -> str:
    """The text with control characters escaped, but for the ends of lines.

    Names come from other people's files; what steers a terminal must not reach one.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def cell(text: str) -> str:
    """The text as a cell of a table that rich draws: nothing in it is taken for markup."""
    return printable(text).replace("\n", "\\n").replace("[", "\\[")
