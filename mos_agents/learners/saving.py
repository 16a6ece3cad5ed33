"""What a learner has learnt, on disk: a file that is whole or refused, and the same bit for bit.

A memory is nested tuples of arrays. It is kept as one .npz file of plain arrays, each under its
path in the memory (`tables.q`, `clock`), with its SHA-256 beside it; nothing in it can run.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from mos_agents.market.types import Array, InputError
from mos_agents.runs.files import RunError, read_with_digest, write_with_digest
from mos_agents.trees import filled, named, packed, unpacked

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


def checked(path: str | Path) -> Path:
    """The path, if it ends in .npz; InputError otherwise."""
    target = Path(path)
    if target.suffix != ".npz":
        raise InputError(f"{target}: a learner's memory is kept in a file that ends in .npz")
    return target
