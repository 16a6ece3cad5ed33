"""Results of tasks in a folder: a file each, which appears whole or not at all.

    RECORD            what all results depend on; versions; checked by its own checksum
    KEY.json or .npz  the result of a task, once it has ended

After any crash the folder says exactly which tasks are left. Each file names the plan and the task
that it belongs to.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mos_agents.market.printing import short_repr
from mos_agents.runs.files import RunError, read_with_digest, write_whole, write_with_digest
from mos_agents.runs.folder import FolderKind, Refusal, identity
from mos_agents.runs.sealing import read_sealed, sealed
from mos_agents.tasks.task import Task, TaskOutcome


class Codec(Protocol):
    """How a result becomes a file."""

    suffix: str

    def write(self, path: Path, mark: Mapping[str, str], outcome: TaskOutcome) -> Any:
        """Put the result there, with the mark of its plan and task; what `read` would give."""

    def read(self, path: Path) -> tuple[Mapping[str, str], Any]:
        """The mark and the result. Raises RunError where the file is not as it was written."""


class JsonCodec(Codec):
    """Results that are plain data, and the seconds that they took: a sealed JSON file."""

    suffix = ".json"

    def write(self, path: Path, mark: Mapping[str, str], outcome: TaskOutcome) -> Any:
        write_whole(path, sealed({**mark, **self.facts(outcome)}))
        return self.value(self.facts(outcome))

    def read(self, path: Path) -> tuple[Mapping[str, str], Any]:
        facts = read_sealed(path)
        return facts, self.value(facts)

    def facts(self, outcome: TaskOutcome) -> Mapping[str, Any]:
        """What the file says."""
        return {"seconds": round(outcome.seconds, 3), "value": outcome.value}

    def value(self, facts: Mapping[str, Any]) -> Any:
        """The result that the file says."""
        return facts["value"]


class ArrayCodec(Codec):
    """Results that are arrays by name: an .npz file with its digest beside it."""

    suffix = ".npz"

    def write(self, path: Path, mark: Mapping[str, str], outcome: TaskOutcome) -> Any:
        buffer = io.BytesIO()
        marks = {f"_{name}": np.array(text) for name, text in mark.items()}
        arrays: dict[str, Any] = {**marks, **self.arrays(outcome.value)}
        np.savez_compressed(buffer, **arrays)
        write_with_digest(path, buffer.getvalue())
        return outcome.value

    def read(self, path: Path) -> tuple[Mapping[str, str], Any]:
        try:
            with np.load(io.BytesIO(read_with_digest(path)), allow_pickle=False) as stored:
                found = {name: stored[name] for name in stored.files}
        except (ValueError, zipfile.BadZipFile):
            raise RunError(f"{path}: holds no arrays; remove it") from None
        mark = {name[1:]: str(found.pop(name)) for name in list(found) if name.startswith("_")}
        return mark, self.value(found)

    def arrays(self, value: Any) -> Mapping[str, Any]:
        """The arrays of a result."""
        arrays: Mapping[str, Any] = value
        return arrays

    def value(self, arrays: Mapping[str, Any]) -> Any:
        """The result of these arrays."""
        return dict(arrays)


@short_repr
@dataclass(frozen=True, eq=False)
class ResultFolder:
    """The open folder of a plan: it keeps results of tasks and finds them, as `run_tasks` asks.

    Parameters
    ----------
    path : Path
        The folder.
    kind : FolderKind
        What the folder is: its record, and how a folder of another plan is refused.
    plan : str
        The identity of the plan (`runs.folder.identity`).
    codec : Codec
        How a result is written to a file and read back.
    subfolder : str
        The folder in it that holds the files of results; "" is the folder itself.
    noun : str
        The name of a task in messages.
    """

    path: Path
    kind: FolderKind
    plan: str
    codec: Codec
    subfolder: str = ""
    noun: str = "result"

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls,
        path: Path,
        kind: FolderKind,
        facts: Mapping[str, Any],
        codec: Codec,
        refusal: Refusal | None = None,
    ) -> Iterator[ResultFolder]:
        """The folder, new or of the same plan, held for this process.

        Raises RunError where another process holds it, and for any other folder.
        """
        path.mkdir(parents=True, exist_ok=True)
        with kind.locked(path):
            kind.claim(path, facts, refusal=refusal)
            made = cls(path, kind, identity(facts), codec)
            made.clean()
            yield made

    @property
    def results(self) -> Path:
        """Where the files are; RunError where that is no folder."""
        folder = self.path / self.subfolder
        if folder.is_symlink() or not folder.is_dir():
            raise RunError(
                f"{folder}: missing; the {self.kind.noun} is damaged: restore it, or begin another"
            )
        return folder

    def file(self, key: str) -> Path:
        """The file of a task's result."""
        return self.path / self.subfolder / f"{key}{self.codec.suffix}"

    def read(self, task: Task) -> Any | None:
        """The kept result of a task, None where there is none; RunError where it is damaged."""
        return self.find(task.key)

    def find(self, key: str) -> Any | None:
        """As `read`, by the task's key."""
        path = self.file(key)
        if not path.exists():
            return None
        mark, value = self.codec.read(path)
        if mark.get("plan") != self.plan or mark.get("task") != key:
            raise RunError(f"{path}: is of another {self.kind.noun}; remove it")
        return value

    def write(self, task: Task, outcome: TaskOutcome) -> Any:
        """Keep what a task gave; RunError where the disk does not take it."""
        path = self.file(task.key)
        with self.writing(path):
            return self.codec.write(path, {"plan": self.plan, "task": task.key}, outcome)

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """One line where the disk does not take a file."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{path}: cannot be written: {error.strerror or error}; what is there stays; make "
                "room and resume"
            ) from None

    def clean(self) -> None:
        """Remove what a killed writer left half-written."""
        for entry in self.results.glob(".*.tmp"):
            entry.unlink(missing_ok=True)
