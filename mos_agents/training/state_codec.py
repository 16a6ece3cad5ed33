"""A training's state as one file of plain numbers: nested, checked by digest, nothing can run.

RLlib's own checkpoints hold pickles, which run whatever they say when they are read. What is to be
kept is dictionaries of numbers, texts and arrays, and that is what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mos_agents.market.types import InputError
from mos_agents.trees import flatten, packed, restored, unpacked


def to_bytes(state: Any) -> bytes:
    """Nested dictionaries, lists and tuples of numbers, texts, None and arrays, as an .npz."""
    return packed({str(i): array for i, array in enumerate(flatten(_plain(state)))})


def from_bytes(data: bytes, shown: str) -> Any:
    """What `to_bytes` was given; tuples come back as lists. InputError in one line."""
    arrays = unpacked(data, shown, "training's state")
    try:
        return restored(None, [arrays[str(i)] for i in range(len(arrays))])
    except (InputError, KeyError) as error:
        raise InputError(f"{shown}: holds no training's state: {str(error)[:80]!r}") from None


def _plain(value: Any) -> Any:
    """Dictionaries, lists and arrays in place of RLlib's kinds of them."""
    if isinstance(value, Mapping):
        return {_key(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"state: a {type(value).__name__} is nothing that a checkpoint can keep")
    return array


def _key(key: Any) -> Any:
    if not isinstance(key, str | int):
        raise InputError(f"state: {key!r} must be a text or a number")
    return key
