"""What a learner has learnt, on disk: a file that is whole or refused, and the same bit for bit.

A memory is nested tuples of arrays. It is kept as one .npz file of plain arrays, each under its
path in the memory (`tables.q`, `clock`), with its SHA-256 beside it; nothing in it can run.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.market.types import Array, InputError
from mos_agents.runs.files import RunError, read_with_digest, write_with_digest

MOST_TEXT = 160_000_000


def save(path: str | Path, memory: Any) -> None:
    """Write a learner's memory to a file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        The file; its name ends in .npz. Its SHA-256 is written beside it.
    memory : nested tuples of arrays
        What the learner remembers.

    Raises
    ------
    InputError
        If the memory holds anything but arrays of numbers, or the file cannot be written.
    """
    target = checked(path)
    held = dict(named(memory))
    if not held:
        raise InputError(f"{target}: this policy remembers nothing; there is nothing to save")
    try:
        write_with_digest(target, packed(held))
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from None


def load(path: str | Path, template: Any) -> Any:
    """Read a learner's memory from a file that `save` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    template : nested tuples of arrays
        A memory of the same shape, as the policy's `start` returns it.

    Returns
    -------
    nested tuples of arrays
        The memory.

    Raises
    ------
    InputError
        If the file is not there, is damaged, or holds the memory of another policy, participant or
        number of markets.
    """
    arrays = read(path)
    wanted = dict(named(template))
    for name in wanted.keys() ^ arrays.keys():
        fault = "lacks" if name in wanted else "has too much:"
        raise InputError(f"{path}: {fault} {name!r}; it is the memory of another kind of policy")
    for name, array in wanted.items():
        found = arrays[name]
        if found.shape != array.shape or found.dtype != array.dtype:
            raise InputError(
                f"{path}: {name} is {found.dtype} {found.shape}, but {array.dtype} {array.shape} "
                "is needed here; load it with the parameters, participant and number of "
                "markets that it was saved with"
            )
    return filled(template, arrays)


def read(path: str | Path) -> dict[str, Array]:
    """The arrays of a saved memory by their paths; InputError in one line if it is damaged."""
    target = checked(path)
    if not os.path.lexists(target):
        raise InputError(f"{target}: is not there; learners.save(path, memory) writes one")
    try:
        data = read_with_digest(target)
    except RunError as error:
        raise InputError(str(error)) from None
    return unpacked(data, str(target), "learner's memory")


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


def to_text(data: bytes) -> str:
    """A file's bytes as text (base64): so what was learnt travels inside a scenario."""
    return base64.b64encode(data).decode()


def from_text(text: str) -> bytes:
    """The bytes again; InputError if the text is none of `to_text`."""
    if len(text) > MOST_TEXT:
        raise InputError(f"packed: has {len(text):,} letters, at most {MOST_TEXT:,} are read")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("packed: is no base64 text; use what to_text gives") from None


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


# `savez` has parameters of its own, and `np.load` drops a name's ending `.npy`.
def _key(name: str) -> str:
    return f"memory/{name}"


def _name(key: str) -> str:
    return key.removeprefix("memory/")


def checked(path: str | Path) -> Path:
    """The path, if it ends in .npz; InputError otherwise."""
    target = Path(path)
    if target.suffix != ".npz":
        raise InputError(f"{target}: a learner's memory is kept in a file that ends in .npz")
    return target
