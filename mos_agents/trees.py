"""Nested records of arrays as plain arrays, and back: memories of policies, states of trainings.

`flatten` gives the form of a record (JSON, as bytes) and its numbers: that is how memories cross
between processes and how states of trainings are kept. The form comes along because it may change:
a list grows, what was None becomes an array, an int a float. `named` gives the arrays of a record
by their paths, such as `tables.q`; a record of the same form says how to fill them in again.
`packed` writes named arrays as the bytes of an .npz file. Nothing in any of these can run.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
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


# --- by path --------------------------------------------------------------------------------------


def named(memory: Any, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """(path, array) of everything in a memory, in a fixed order."""
    for name, part in _parts(memory):
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(part, tuple | list | dict):
            yield from named(part, path)
        elif part is not None:
            array = np.asarray(part)
            if array.dtype.kind not in "fiub":
                raise InputError(f"memory: {path} holds {array.dtype}, must be numbers in arrays")
            yield path, array


def filled(template: Any, arrays: Mapping[str, Array], prefix: str = "") -> Any:
    """A memory like `template` with these arrays in it, by their paths."""
    parts: dict[str, Any] = {}
    for name, part in _parts(template):
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(part, tuple | list | dict):
            parts[name] = filled(part, arrays, path)
        elif part is None or isinstance(part, np.ndarray):
            parts[name] = None if part is None else arrays[path]
        else:
            parts[name] = type(part)(arrays[path])
    if isinstance(template, dict):
        return {key: parts[str(key)] for key in template}
    if hasattr(template, "_fields"):
        return type(template)(**parts)
    return type(template)(parts.values())


def _parts(memory: Any) -> list[tuple[str, Any]]:
    if memory is None:
        return []
    if isinstance(memory, dict):
        return [(str(key), memory[key]) for key in sorted(memory)]
    if isinstance(memory, tuple | list):
        names = getattr(memory, "_fields", range(len(memory)))
        return [(str(name), part) for name, part in zip(names, memory, strict=True)]
    raise InputError(f"memory={memory!r:.60} must be a tuple of arrays, as policies remember them")


# --- as bytes -------------------------------------------------------------------------------------


def packed(arrays: Mapping[str, Array]) -> bytes:
    """Arrays by their names as the bytes of an .npz file; the same arrays, the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{_key(name): array for name, array in arrays.items()})
    return buffer.getvalue()


def unpacked(data: bytes, shown: str, what: str) -> dict[str, Array]:
    """The arrays in the bytes of an .npz file; InputError in one line if these are none.

    Nothing larger than the file itself is unpacked: entries must be stored as they are, and an
    array must be as long as its heading says.
    """
    try:
        _check_sizes(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = {_name(key): file[key] for key in file.files}
    except (ValueError, OSError, EOFError, KeyError, MemoryError, zipfile.BadZipFile) as error:
        text = str(error)[:80].replace("\n", " ")
        raise InputError(f"{shown}: holds no {what}: {text!r}") from None
    if not all(isinstance(array, np.ndarray) for array in found.values()):
        raise InputError(f"{shown}: holds no {what}, but something else than arrays")
    return found


def _check_sizes(data: bytes) -> None:
    """ValueError unless every array is as long as its heading says, before any is made."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{entry.filename} is compressed")
            with archive.open(entry) as file:
                if np.lib.format.read_magic(file) != (1, 0):
                    raise ValueError(f"{entry.filename} has a heading of another version")
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                if entry.file_size - file.tell() != math.prod(shape) * dtype.itemsize:
                    raise ValueError(f"{entry.filename} is not as long as its heading says")


# `savez` has parameters of its own, and `np.load` drops a name's ending `.npy`.
def _key(name: str) -> str:
    return f"memory/{name}"


def _name(key: str) -> str:
    return key.removeprefix("memory/")
