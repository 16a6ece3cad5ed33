"""A training's state as one file of plain numbers: nested, checked by digest, nothing can run.

RLlib's own checkpoints hold pickles, which run whatever they say when they are read. What is to be
kept is dictionaries of numbers, texts and arrays, and that is what is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mos_agents.learners.saving import packed, unpacked
from mos_agents.market.types import Array, InputError


def to_bytes(state: Any) -> bytes:
    """Nested dictionaries, lists and tuples of numbers, texts, None and arrays, as an .npz."""
    arrays: dict[str, Array] = {}
    text = json.dumps(_written(state, arrays), sort_keys=True).encode()
    return packed({"tree": np.frombuffer(text, np.uint8), **arrays})


def from_bytes(data: bytes, shown: str) -> Any:
    """What `to_bytes` was given; tuples come back as lists. InputError in one line."""
    arrays = unpacked(data, shown, "training's state")
    try:
        return _read(json.loads(arrays.pop("tree").astype(np.uint8).tobytes()), arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{shown}: holds no training's state: {str(error)[:80]!r}") from None


def _written(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, Mapping):
        return {"d": [[_key(k), _written(v, arrays)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"l": [_written(v, arrays) for v in value]}
    if value is None or isinstance(value, str | bool | int | float):
        return {"v": value}
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"state: a {type(value).__name__} is nothing that a checkpoint can keep")
    name = f"a{len(arrays)}"
    arrays[name] = array
    return {"a": name}


def _key(key: Any) -> Any:
    if not isinstance(key, str | int):
        raise InputError(f"state: {key!r} must be a text or a number")
    return key


def _read(node: Any, arrays: Mapping[str, Array]) -> Any:
    (kind, held), *_ = node.items()
    if kind == "d":
        return {k: _read(v, arrays) for k, v in held}
    if kind == "l":
        return [_read(v, arrays) for v in held]
    return arrays[held] if kind == "a" else held
