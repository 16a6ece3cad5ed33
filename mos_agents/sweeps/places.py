"""Where a trial keeps what comes of it besides a row: a folder of its own in that of the sweep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mos_agents.runs.files import FolderLocked, RunError, alone
from mos_agents.runs.reading import read_sealed

TRAININGS = "trainings"


class Place(NamedTuple):
    """The place of a trial. sweep: the sweep's folder; identity: its plan's; name: the trial's."""

    sweep: Path
    identity: str
    name: str

    @property
    def folder(self) -> Path:
        return self.sweep / TRAININGS / self.name

    def seen(self) -> bool:
        """Whether this machine has the sweep's folder, can write there and lock it."""
        above = self.folder.parent
        try:
            facts = read_sealed(self.sweep / "sweep.json")
        except RunError:
            return False
        if facts.get("identity") != self.identity or not os.access(above, os.W_OK | os.X_OK):
            return False
        try:
            with alone(above, "another trial tries the same now"):
                pass
        except FolderLocked:
            return True
        except RunError:  # a disk without locks
            return False
        return True


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path from there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
