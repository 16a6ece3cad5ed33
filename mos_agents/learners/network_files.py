"""A network on disk: one .npz of plain numbers, checked by its SHA-256, in which nothing can run.

The same bytes as text (`saving.to_text`) are how a network travels inside a scenario to a machine
that does not share the disk.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents import trees
from mos_agents.learners import saving
from mos_agents.learners.network import (
    Categorical,
    Gaussian,
    Head,
    Layer,
    Network,
    QValues,
    Signature,
)
from mos_agents.market.types import Array, InputError
from mos_agents.runs.files import RunError, check_source, read_with_digest, write_with_digest

FORMAT = 1
MOST_BYTES = 80_000_000
HEADS = {"levels": Categorical, "values": QValues, "gaussian": Gaussian}


def save_network(path: str | Path, network: Network) -> str:
    """Write a network to a file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        The file; its name ends in .npz.
    network : Network
        The network.

    Returns
    -------
    str
        The file's SHA-256.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    target, data = saving.checked(path), to_bytes(network)
    try:
        write_with_digest(target, data)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from None
    return hashlib.sha256(data).hexdigest()


def load_network(path: str | Path) -> Network:
    """Read a network from a file that `save_network` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    InputError
        If the file is not there, is damaged, or holds anything else than a network.
    """
    return from_bytes(read_bytes(path), str(path))


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a network's file, as they were written."""
    target = saving.checked(path)
    check_source(target, MOST_BYTES)
    try:
        return read_with_digest(target)
    except RunError as error:
        raise InputError(str(error)) from None


def to_bytes(network: Network) -> bytes:
    """The network as the bytes of an .npz file: the same network, the same bytes."""
    head = network.head
    facts: dict[str, Any] = {
        "format": FORMAT,
        "signature": network.signature._asdict(),
        "activations": [layer.activation for layer in network.layers],
        "clip": network.clip if network.clip < np.inf else None,
        "head": next(name for name, kind in HEADS.items() if type(head) is kind),
        "provenance": network.provenance,
    }
    arrays = {"shift": network.shift, "scale": network.scale}
    for i, layer in enumerate(network.layers):
        arrays |= {f"weights_{i}": layer.weights, f"bias_{i}": layer.bias}
    if isinstance(head, Gaussian):
        facts |= {"squash": head.squash, "log_std_range": head.log_std_range}
        arrays |= {"low": head.low, "high": head.high}
        if head.log_std is not None:
            arrays["log_std"] = head.log_std
    else:
        arrays["grid"] = head.grid
    text = json.dumps(facts, sort_keys=True, allow_nan=False).encode()
    return trees.packed({"facts": np.frombuffer(text, np.uint8), **arrays})


def from_bytes(data: bytes, shown: str) -> Network:
    """The network of an .npz file's bytes, or InputError in one line that begins with `shown`."""
    arrays = trees.unpacked(data, shown, "network")
    try:
        facts = json.loads(arrays.pop("facts").astype(np.uint8).tobytes())
        return _network(facts, arrays)
    except InputError as error:
        raise InputError(f"{shown}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__} {str(error)[:60]!r}".replace("\n", " ")
        raise InputError(
            f"{shown}: holds no network of format {FORMAT} ({reason}); save_network writes one"
        ) from None


def _network(facts: dict[str, Any], arrays: dict[str, Array]) -> Network:
    if facts["format"] != FORMAT:
        raise InputError(f"format={facts['format']!r:.20} must be {FORMAT}; train it again")
    signature = facts["signature"]
    signature = Signature(
        str(signature["participant"]),
        str(signature["role"]),
        int(signature["listings"]),
        tuple(str(one) for one in signature["features"]),
        tuple((str(name), int(size)) for name, size in signature["fields"]),
    )
    layers = tuple(
        Layer(arrays.pop(f"weights_{i}"), arrays.pop(f"bias_{i}"), str(activation))
        for i, activation in enumerate(facts["activations"])
    )
    shift, scale = arrays.pop("shift"), arrays.pop("scale")
    head = _head(facts, arrays)
    if arrays:
        raise InputError(f"has too much: {', '.join(sorted(arrays)):.60}")
    clip = np.inf if facts["clip"] is None else float(facts["clip"])
    return Network(signature, layers, head, shift, scale, clip, facts["provenance"])


def _head(facts: dict[str, Any], arrays: dict[str, Array]) -> Head:
    kind = HEADS[facts["head"]]
    if kind is not Gaussian:
        return kind(arrays.pop("grid"))
    least, most = (float(one) for one in facts["log_std_range"])
    return Gaussian(
        arrays.pop("low"),
        arrays.pop("high"),
        str(facts["squash"]),
        arrays.pop("log_std", None),
        (least, most),
    )
