"""Where a trial keeps what comes of it besides its measures: a folder of its own in the sweep's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mos_agents.runs.files import FolderLocked, RunError, locked
from mos_agents.runs.folder import SWEEP

TRAININGS = "trainings"


class TrialFolder(NamedTuple):
    """The folder of a trial.

    Parameters
    ----------
    sweep : Path
        the sweep's folder.
    identity : str
        the identity of its plan.
    name : str
        the trial's name.
    """

    sweep: Path
    identity: str
    name: str

    @property
    def path(self) -> Path:
        return self.sweep / TRAININGS / self.name

    def writable(self) -> bool:
        """Whether this machine has the sweep's folder, can write there and lock it."""
        above = self.path.parent
        try:
            facts = SWEEP.read(self.sweep)
        except RunError:
            return False
        if facts.get("identity") != self.identity or not os.access(above, os.W_OK | os.X_OK):
            return False
        try:
            with locked(above, "another trial tries the same now"):
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
