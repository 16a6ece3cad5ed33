"""What the suites share: how a broken promise is reported, and how records are compared."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import pytest

from mos_agents.market.types import Array, IntArray


class Suite:
    """Base class of the suites: a subclass writes `make`."""

    def make(self) -> Any:
        """Make what is tested. Each call gives a new one."""
        broken(
            f"{type(self).__name__} has no `make`",
            "write a method `make(self)` that returns what is tested",
        )


def broken(promise: str, remedy: str) -> NoReturn:
    """Fail the test with the promise that is broken and what to change."""
    __tracebackhide__ = True
    pytest.fail(f"{promise}.\nRemedy: {remedy}.", pytrace=False)


def check(kept: Any, promise: str, remedy: str) -> None:
    """Fail the test unless the promise is kept."""
    __tracebackhide__ = True
    if not kept:
        broken(promise, remedy)


def check_value(thing: Any, base: type, verbs: str) -> None:
    """Fail unless the thing is a frozen dataclass of this base class."""
    __tracebackhide__ = True
    cls = type(thing)
    check(
        isinstance(thing, base),
        f"{cls.__name__} does not inherit from {base.__name__}",
        f"inherit from {base.__module__}.{base.__name__} and write {verbs}",
    )
    check(
        dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen,  # type: ignore[attr-defined]
        f"{cls.__name__} is not a frozen dataclass of its parameters",
        "write @dataclass(frozen=True) above the class",
    )


# --- comparing ------------------------------------------------------------------------------------


def arrays(value: Any) -> Iterator[Any]:
    """All arrays and numbers in a nested record, depth first."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from arrays(value[key])
    elif isinstance(value, tuple | list):
        for one in value:
            yield from arrays(one)
    elif isinstance(value, int | float | np.generic):
        yield np.asarray(value)


def bits(value: Any) -> str:
    """A hash over every bit of a record, with NaN and the sign of zero."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays(value):
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def read_only(value: Any) -> Any:
    """A copy of a record whose arrays cannot be written to, as Ray delivers them."""
    if isinstance(value, np.ndarray):
        copy = value.copy()
        copy.flags.writeable = False
        return copy
    if isinstance(value, dict):
        return {key: read_only(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(read_only(one) for one in value))
    return value


def summed(values: Array, index: IntArray, size: int) -> Array:
    """[R, size] sums of the columns [R, L] that have the same index [L]."""
    total = np.zeros((len(values), size))
    np.add.at(total.T, index, values.T)
    return total


def described(value: Any) -> str:
    """What a method returned: the type and shape of an array, or the name of a type."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}"
