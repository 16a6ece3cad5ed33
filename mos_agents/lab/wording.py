"""Words that the messages of the lab share."""

from __future__ import annotations

import contextlib
from pathlib import Path


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def plural(count: int, noun: str) -> str:
    """1 market; 1,000 markets."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
