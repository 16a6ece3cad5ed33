"""Folders of runs, trainings and sweeps: which of them a folder is, and what takes it."""

from __future__ import annotations

import os
from pathlib import Path

from mos_agents import runs
from mos_agents.market.types import InputError
from mos_agents.runs.files import check_target
from mos_agents.runs.folder import RUN, SWEEP, TRAINING
from mos_agents.runs.names import locate
from mos_agents.wording import function, resuming, shown

RunLike = str | os.PathLike[str] | runs.Run
"""A run, its name below the folder of all runs, or the path of its folder."""

MARKS = {kind.noun: kind.record for kind in (RUN, TRAINING, SWEEP)}
"""The file that makes a folder what it is."""

TAKEN_BY = {
    "run": ("run", "report", "compare", "verify"),
    "training": ("train", "report", "exploit"),
    "sweep": ("sweep", "report"),
}
"""The function of the lab that makes a folder of each kind, then those that take one."""


def taken_by(kind: str, folder: Path) -> str:
    """Which functions take a folder of that kind, in words."""
    maker, *takers = TAKEN_BY[kind]
    verb = "takes" if len(takers) == 1 else "take"
    return f"{function(*takers)} {verb} it, {resuming(maker, shown(folder))} goes on with it"


def kind_of(folder: Path) -> str | None:
    """Which of the three; None where it is none of them, or damaged."""
    return next((kind for kind, file in MARKS.items() if (folder / file).exists()), None)


def located(given: str, root: Path, kind: str) -> Path:
    """The folder of a name below `root`, or of a path; RunError where it is of another kind."""
    return of_kind(locate(given, root), kind)


def of_kind(folder: Path, kind: str) -> Path:
    """The folder; RunError where it is of another kind."""
    found = kind_of(folder)
    if found not in (kind, None):
        raise runs.RunError(
            f"{shown(folder)}: is the folder of a {found}, not of a {kind}; "
            f"{taken_by(found or kind, folder)}"
        )
    return folder


def run_of(given: RunLike, root: str | os.PathLike[str]) -> runs.Run:
    """The run of a name below `root`, or of a path."""
    if isinstance(given, runs.Run):
        return given
    return runs.read(located(os.fspath(given), Path(root), "run"))


def check_writable(path: Path, *, folder: bool) -> None:
    """InputError unless a file or folder can be made there."""
    parent = Path(os.path.realpath(path.parent))
    if not parent.is_dir():
        raise InputError(f"{path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: {parent} cannot be written to")
    if not folder:
        check_target(path)
    elif path.exists() and not path.is_dir():
        raise InputError(f"{path}: is no folder; give another name")
