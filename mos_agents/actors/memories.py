"""A policy's memory as arrays of numbers, and back: what crosses between processes and to the disk.

The first array is the memory's form (JSON, as bytes); the others are its numbers. The form comes
along because it may change: a list grows, what was None becomes an array, an int a float.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from mos_agents.market.types import Array, InputError

PLAIN = (
    "numbers, texts, None and numpy arrays of numbers, in tuples, named tuples, lists, deques and "
    "dictionaries"
)


def flatten(memory: Any) -> list[Array]:
    """The arrays of a policy's memory: its form, then its numbers in their order.

    Raises InputError where the memory holds anything that does not come back as it was.
    """
    numbers: list[Array] = []
    form = json.dumps(_form(memory, numbers), separators=(",", ":"))
    written: Any = np.frombuffer(form.encode(), np.uint8).copy()
    return [written, *numbers]


def _form(memory: Any, numbers: list[Array]) -> Any:
    kind = type(memory)
    if memory is None:
        return None
    if kind in (bool, int, str):
        return ["plain", memory]
    if kind is float or isinstance(memory, np.generic) or kind is np.ndarray:
        array = np.asarray(memory)
        if array.dtype.kind not in "fiub":
            raise _refused(f"{array.dtype} values")
        numbers.append(array)
        return ["array" if kind is np.ndarray else "float" if kind is float else "scalar"]
    if kind is dict:
        for key in memory:
            if type(key) not in (str, int):
                raise _refused(f"a dictionary with keys that are {type(key).__name__}s")
        return ["dict", *([key, _form(part, numbers)] for key, part in memory.items())]
    if kind is deque:
        return ["deque", memory.maxlen, *(_form(part, numbers) for part in memory)]
    if kind is list or kind is tuple:
        return [kind.__name__, *(_form(part, numbers) for part in memory)]
    if isinstance(memory, tuple) and hasattr(memory, "_fields"):
        return ["named", *(_form(part, numbers) for part in memory)]
    raise _refused(f"a {kind.__name__}")


def _refused(what: str) -> InputError:
    return InputError(
        f"memory holds {what}: over actors a policy remembers {PLAIN}; draw random numbers from "
        "`draws`, which needs no memory"
    )


def restored(template: Any, arrays: list[Array]) -> Any:
    """The memory of these arrays; the inverse of `flatten`.

    template: a memory of the same policy, for the classes of its named tuples. Raises InputError
    where the arrays are none of its memory.
    """
    if not arrays:
        raise InputError("memory has too few arrays for this policy")
    left = iter(arrays[1:])
    try:
        memory = _filled(json.loads(arrays[0].tobytes()), template, left)
    except InputError:
        raise
    except (TypeError, ValueError, LookupError, RecursionError):
        raise InputError("memory has a form that cannot be read") from None
    if next(left, None) is not None:
        raise InputError("memory has too many arrays for this policy")
    return memory


def _filled(form: Any, template: Any, left: Iterator[Array]) -> Any:
    if form is None:
        return None
    kind, *parts = form
    if kind == "plain":
        return parts[0]
    if kind in ("array", "scalar", "float"):
        array = next(left, None)
        if array is None:
            raise InputError("memory has too few arrays for this policy")
        return array if kind == "array" else array[()] if kind == "scalar" else float(array)
    if kind == "dict":
        keyed = template if type(template) is dict else {}
        return {key: _filled(part, keyed.get(key), left) for key, part in parts}
    most = parts.pop(0) if kind == "deque" else None
    known = list(template) if isinstance(template, tuple | list | deque) else []
    known += [None] * (len(parts) - len(known))
    made = [_filled(part, was, left) for part, was in zip(parts, known, strict=False)]
    if kind == "deque":
        return deque(made, most)
    if kind != "named":
        return {"list": list, "tuple": tuple}[kind](made)
    if len(getattr(template, "_fields", ())) != len(made):
        raise InputError(
            "memory holds a named tuple where there was none at the start, or another: begin with "
            "one of the same class, or use a plain tuple"
        )
    return type(template)(*made)


def template_of(memory: Any) -> Any:
    """A memory of the same form with nothing in its arrays, which no later writing touches.

    Raises InputError as `flatten` does.
    """
    form, *numbers = flatten(memory)
    return restored(memory, [form, *(np.zeros((), array.dtype) for array in numbers)])
