"""Facts about a folder as JSON with a checksum of itself, and what every such file tells."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mos_agents import __version__, registry
from mos_agents.runs.files import RunError, digest, read_run_file

LIBRARIES = ("numpy", "numba", "scipy", "polars", "pyarrow")


def sealed(facts: Mapping[str, Any]) -> bytes:
    """Facts such as those of `run.json` as text, with a checksum of itself in the last field."""
    body = {key: value for key, value in facts.items() if key != "sha256"}
    body["sha256"] = digest(canonical(body))
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def canonical(body: Mapping[str, Any]) -> bytes:
    """The text that the checksum of `run.json` is taken of."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def read_sealed(path: Path) -> dict[str, Any]:
    """What `sealed` wrote; RunError where it is not that to the byte."""
    data = read_run_file(path)
    try:
        facts = json.loads(data)
        whole = isinstance(facts, dict) and sealed(facts) == data
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise RunError(f"{path}: damaged or edited: its checksum does not match; restore the file")
    return facts


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Of everything that could change a bit of the trajectory."""
    found = {"mos-agents": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    found |= registry.versions()
    found["platform"] = f"{platform.system()} {platform.machine()}"
    return found
