"""The base of every folder with results: a run's, a training's, a sweep's, a study's.

A folder has a record: a file of facts that says what the folder is and what it depends on. One
process at a time writes to the folder. Files appear whole or not at all, so that a kill leaves
nothing that could be taken for a result.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mos_agents.runs.files import FolderLock, RunError, digest, locked, sync_folder, write_whole
from mos_agents.runs.names import path_below
from mos_agents.runs.sealing import canonical, now, read_sealed, sealed, versions
from mos_agents.wording import function, setting

Refusal = Callable[[Mapping[str, Any], Mapping[str, Any]], str]
"""(facts in the folder, facts of the plan) -> what the folder holds instead."""


@dataclass(frozen=True)
class FolderKind:
    """What a kind of folder is called, and how it is distinguished from the others.

    Parameters
    ----------
    noun
        The kind in messages, such as "sweep".
    record
        The name of the file with the facts, such as "sweep.json".
    busy
        The message to a second writer.
    maker
        The function of `mos_agents.lab` that makes such a folder; part of a refusal.
    form
        Of the files; a folder of another form is refused. None: the record does not tell.
    """

    noun: str
    record: str
    busy: str
    maker: str = ""
    form: int | None = None

    # --- the record -------------------------------------------------------------------------------

    def is_at(self, path: Path) -> bool:
        """Whether there is a folder of this kind, perhaps a damaged one."""
        return (path / self.record).exists()

    def read(self, path: Path) -> dict[str, Any]:
        """The facts; RunError where they are damaged, of another form, or not there."""
        if not self.is_at(path):
            remedy = f"; {function(self.maker)} makes one" if self.maker else ""
            raise RunError(
                f"{path}: is not the folder of a {self.noun}: it has no {self.record}{remedy}"
            )
        facts = read_sealed(path / self.record)
        if self.form is not None and facts.get("form") != self.form:
            raise RunError(
                f"{path}: is of form {facts.get('form')!r}, this version reads {self.form}; "
                f"begin another {self.noun}"
            )
        return facts

    def write(self, path: Path, facts: Mapping[str, Any], **changes: Any) -> None:
        """Put the facts there, with changes; OSError where the disk does not take them."""
        write_whole(path / self.record, sealed({**facts, **changes}))

    # --- writers ----------------------------------------------------------------------------------

    def hold(self, path: Path) -> FolderLock:
        """Hold the folder for this process; FolderLocked where another one does."""
        return FolderLock(path, self.busy)

    def locked(self, path: Path) -> AbstractContextManager[None]:
        """Hold the folder for the length of a block; FolderLocked where another process does."""
        return locked(path, self.busy)

    # --- new folders ------------------------------------------------------------------------------

    def create(
        self,
        root: Path,
        names: Sequence[str],
        facts: dict[str, Any],
        fill: Callable[[Path], None],
    ) -> tuple[Path, FolderLock]:
        """A new folder below `root` under the first free name, and the hold on it.

        It is filled under a hidden name and then renamed: it is there whole or not at all, and
        no other process can write to it from the beginning. Raises RunError where all names are
        taken, OSError where the disk does not take it.

        Parameters
        ----------
        facts
            The record; its `name` is set to the name that was free.
        fill
            Puts all else into the folder.
        """
        root.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=".new-", suffix=".tmp", dir=root))
        try:
            hold = self.hold(hidden)
            fill(hidden)
            for name in names:
                folder = path_below(root, name)
                if folder.exists():
                    continue
                facts["name"] = name
                self.write(hidden, facts)
                os.chmod(hidden, 0o755)
                try:
                    # Another process may have taken the name by now: renaming onto a run fails.
                    os.rename(hidden, folder)
                except OSError:
                    if folder.exists():
                        continue
                    raise
                sync_folder(root)
                return folder, hold
            raise self.taken(root, names[0])
        finally:
            if hidden.exists():
                shutil.rmtree(hidden, ignore_errors=True)

    def taken(self, root: str | Path, name: str | None) -> RunError:
        """The refusal of a name."""
        return RunError(
            f"run {name} is already in {root}: nothing is overwritten; give another "
            f"{setting('name')}"
        )

    # --- folders of one plan ----------------------------------------------------------------------

    def claim(
        self,
        path: Path,
        facts: Mapping[str, Any],
        *,
        more: Mapping[str, Any] | None = None,
        folders: Sequence[str] = (),
        refusal: Refusal | None = None,
        unused: Callable[[Path], bool] = lambda path: False,
    ) -> dict[str, Any]:
        """Make a folder that of a plan, or find that it is; its record.

        Raises RunError where it belongs to another plan or holds other files.

        Parameters
        ----------
        facts
            Everything that all results depend on: two folders with equal facts are of one plan.
        more
            What the record of a new folder tells besides.
        folders
            What a new folder has in it before its record.
        refusal
            What a folder of another plan holds; by default, the facts that differ.
        unused
            Whether a folder of another plan may be taken over, as nothing in it is worth keeping.
        """
        plan = identity(facts)
        if self.is_at(path):
            held = self.read(path)
            if held.get("identity") == plan:
                return held
            if not unused(path):
                said = (refusal or self.differing)(held, facts)
                raise RunError(f"{path}: {said}; give another folder, or the same settings")
        path.mkdir(parents=True, exist_ok=True)
        for entry in path.iterdir():
            if entry.name != self.record and not _is_left_over(entry):
                raise RunError(f"{path}: holds other files; give an empty or a new folder")
        for name in folders:
            (path / name).mkdir(exist_ok=True)
        record = {
            "form": self.form,
            "identity": plan,
            "started": now(),
            **facts,
            **(more or {}),
            "versions": versions(),
        }
        self.write(path, record)
        return record

    def differing(self, held: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
        """The facts of a folder that differ from those of a plan."""
        return f"holds another {self.noun} with {differences(held, facts)}"


RUN = FolderKind(
    "run",
    "run.json",
    "another process plays this run; wait until it has ended, or end it",
    "run",
)
TRAINING = FolderKind("training", "training.json", "another process is training in it", "train")
SWEEP = FolderKind("sweep", "sweep.json", "is being played by another process", "sweep", form=2)
STUDY = FolderKind("study", "study.json", "another process works in it", form=2)


def differences(held: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Where facts differ, such as "seed=0, not 1"; groups of facts are opened."""
    found = []
    for key, value in facts.items():
        there = held.get(key)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            found.append(differences(there, value))
        elif there != value:
            found.append(f"{key}={there!r:.60}, not {value!r:.60}")
    return "; ".join(one for one in found if one)


def identity(facts: Mapping[str, Any]) -> str:
    """A digest of facts: two plans with the same one have the same results."""
    return digest(canonical(facts))[:32]


def _is_left_over(entry: Path) -> bool:
    """What a kill leaves before there is a record, and the lock."""
    return entry.name.startswith(".") or (entry.is_dir() and not any(entry.iterdir()))
