"""Checks of single values, and how a value is repeated in a message."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeGuard, TypeVar

import numpy as np

from mos_agents.market.types import InputError

C = TypeVar("C", bound=type)

_LONG_WORD = re.compile(r"\S{300,}")

MOST_WHOLE = 2**63
"""Whole numbers of this size do not fit into an array, and soon not into a float."""


def echo(value: Any, most: int = 60) -> str:
    """A value as a message repeats it: on one line, at most so many characters."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"a number of about {int(value.bit_length() * 0.30103) + 1:,} digits"
    if isinstance(value, str) and len(value) > most:
        return f"{value[: most - 20]!r}... ({len(value):,} characters)"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a number of too many digits inside, or whatever a stranger's object raises
        return f"a {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def concise(message: str) -> str:
    """A message with its longest words cut: a value may be repeated by whoever complains of it."""

    def cut(found: re.Match[str]) -> str:
        return f"{found[0][:60]}... ({len(found[0]):,} characters)"

    return _LONG_WORD.sub(cut, message)


def check_size(name: str, value: Any, depth: int = 8) -> None:
    """InputError for a whole number beyond what is computed with, also in lists and mappings."""
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and not -MOST_WHOLE < value < MOST_WHOLE
    ):
        raise InputError(
            f"{name}={echo(value)} is beyond the numbers that are computed with: whole numbers "
            "have at most 18 digits"
        )
    if depth and isinstance(value, Mapping):
        for key, inner in value.items():
            check_size(f"{name}.{str(key)[:60]}", inner, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for inner in value:
            check_size(name, inner, depth - 1)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; true and false are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return is_whole(value) or (isinstance(value, float | np.floating) and math.isfinite(value))


def check_whole(
    name: str, value: Any, least: float = -math.inf, most: float = math.inf, note: str = ""
) -> int:
    """The value as an int; InputError unless it is a whole number in [least, most]."""
    if not is_whole(value) or not least <= value <= most:
        limits = _limits(least, most, "[")
        raise InputError(f"{name}={echo(value)} must be a whole number{limits}{note}")
    return int(value)


def check_real(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> float:
    """The value as a float; InputError unless it is in [low, high], or in (low, high]: `above`."""
    if not is_real(value) or not low <= value <= high or (above and value == low):
        what = "a number" if high < math.inf else "a finite number"
        limits = _limits(low, high, "(" if above else "[")
        raise InputError(f"{name}={echo(value)} must be {what}{limits}")
    return float(value)


def _limits(low: float, high: float, left: str) -> str:
    """How a message ends that says between which limits a number must be."""
    if high < math.inf:
        return f" in {left if low > -math.inf else '('}{low:.12g}, {high:.12g}]"
    return f" {'>' if left == '(' else '>='} {low:.12g}" if low > -math.inf else ""


@contextlib.contextmanager
def naming(field: str) -> Iterator[None]:
    """An InputError raised in here begins with the name of the field that it is about."""
    try:
        yield
    except InputError as error:
        text = str(error)
        if text.startswith(field):
            raise
        raise type(error)(f"{field}: {text}") from None


def check_fields(record: Any) -> None:
    """InputError for a field of a dataclass that is beyond the numbers that are computed with."""
    for one in fields(record):
        if one.init:
            check_size(one.name, getattr(record, one.name))


def within_floats(cls: C) -> C:
    """Put below `@dataclass`: numbers beyond what is computed with are refused before all else."""
    checked = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any) -> None:
        check_fields(self)
        if checked is not None:
            checked(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    return cls


def changes_nothing(
    setting: str, value: object, reason: str, remedy: str = "leave it out"
) -> InputError:
    """The error for a setting that changes nothing in this market."""
    shown = f"{value:.10g}" if isinstance(value, float) else repr(value)
    return InputError(f"{setting}={shown} changes nothing here: {reason}; {remedy}")
