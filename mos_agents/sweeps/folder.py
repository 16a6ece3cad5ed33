"""A sweep's folder: what is to be played, and every finished trial as a small file of its own.

    sweep.json       the plan, resolved; versions; checked by its own checksum
    trials/          cell-00003-seed-7.json for each trial that has ended, well or badly
    trainings/       cell-00003-seed-7/, the folder of a training, for each trial that trains
    table.csv, trials.parquet, report.html   at the end

A trial's file appears whole or not at all (temporary name, fsync, rename), and after what its
training has left, so that after any crash the folder says exactly which trials are left. The
machines of a cluster need no disk in common: only the driver writes, but for trainings on machines
that see the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError
from mos_agents.runs.files import RunError, alone, sync_folder, write_whole
from mos_agents.runs.names import inside, locate, names_in_turn, slug
from mos_agents.runs.reading import read_sealed
from mos_agents.runs.recording import now, sealed, versions
from mos_agents.scenarios import digest_of
from mos_agents.sweeps.places import TRAININGS, Place
from mos_agents.sweeps.plan import SweepPlan, Trial
from mos_agents.sweeps.work import Row, Work
from mos_agents.training.folder import begun
from mos_agents.training.plan import TrainingPlan

FORM = 1
"""Of the files; a later form is refused by name."""


@short_repr
@dataclass(frozen=True)
class Done:
    """How a trial ended. error: why there are no measures, in one line. where: of the cluster."""

    row: Row
    error: str | None = None
    seconds: float = 0.0
    where: str = ""


@short_repr
@dataclass(frozen=True, eq=False)
class SweepFolder:
    """An open folder of one plan."""

    path: Path
    plan: SweepPlan

    @classmethod
    def made(cls, plan: SweepPlan, path: Path) -> SweepFolder:
        """The folder at `path`, new or of the same plan; RunError for any other folder."""
        if (path / "sweep.json").exists():
            facts = read_facts(path)
            if facts["identity"] != plan.identity:
                _check_inputs(path, facts, plan.inputs)
                raise RunError(
                    f"{path}: holds another sweep, over {_describe_grid(facts)}; give another "
                    "folder"
                )
            return cls(path, plan)
        try:
            path.mkdir(parents=True, exist_ok=True)
            # An empty trials/ is of a sweep that was killed before its plan was written.
            for entry in [*path.iterdir(), *path.glob("trials/*")]:
                if entry != path / "trials" and not entry.name.startswith("."):
                    raise RunError(f"{path}: holds other files; give an empty or a new folder")
            (path / "trials").mkdir(exist_ok=True)
            sync_folder(path)
            facts = {
                "form": FORM,
                "identity": plan.identity,
                "started": now(),
                **plan.facts,
                "cpus": plan.cpus,
                "gpus": plan.gpus,
                "versions": versions(),
            }
            write_whole(path / "sweep.json", sealed(facts))
        except OSError as error:
            raise RunError(
                f"{path}: a sweep cannot be kept here: {error.strerror or error}; give another "
                "folder"
            ) from None
        return cls(path, plan)

    @classmethod
    def read(cls, path: Path, cpus: float | None = None, gpus: float | None = None) -> SweepFolder:
        """The sweep of a folder; RunError where it is damaged or none, or its inputs changed."""
        facts = read_facts(path)
        _check_inputs(path, facts, {file: digest_of(file) for file in facts["inputs"]})
        plan = SweepPlan.from_facts(
            facts, facts["cpus"] if cpus is None else cpus, facts["gpus"] if gpus is None else gpus
        )
        if plan.identity != facts["identity"]:
            raise RunError(
                f"{path}: this version of mos-agents reads its plan otherwise; go on with version "
                f"{facts['versions']['mos-agents']}, or begin another sweep"
            )
        return cls(path, plan)

    @property
    def other_versions(self) -> str:
        """What has another version now than when the sweep began; empty if nothing has."""
        began, here = read_facts(self.path)["versions"], versions()
        return ", ".join(
            f"{name} {began.get(name)} then, {here.get(name)} now"
            for name in {**began, **here}
            if began.get(name) != here.get(name)
        )

    def done(self) -> dict[int, Done]:
        """The trials that have ended, by number; RunError where a file is damaged or a stranger."""
        found = {}
        names = {entry.name for entry in os.scandir(self._trials())}
        for trial in self.plan.trials:
            if f"{trial.name}.json" in names:
                found[trial.number] = self._read(trial)
        return found

    def work(self, trial: Trial) -> Work:
        """What a trial does, with its place in this folder."""
        place = Place(self.path.absolute(), self.plan.identity, trial.name)
        return self.plan.cells[trial.cell].work.at(place)

    def keep(self, trial: Trial, done: Done) -> Done:
        """Write the files that a trial brought along, then its own; what needs no files any more.
        RunError where the disk does not take them."""
        if done.row.files:
            self._put(trial.name, done.row.files)
        elif self.plan.work.kind == "train" and done.error is None:
            done = self._found(trial, done)
        facts: dict[str, Any] = {
            "sweep": self.plan.identity,
            "cell": trial.cell,
            "seed": trial.seed,
            "values": dict(self.plan.cells[trial.cell].values),
            "error": done.error,
            "measures": dict(done.row.measures),
            "notes": list(done.row.notes),
            "seconds": round(done.seconds, 3),
            "where": done.where,
        }
        self.write(f"trials/{trial.name}.json", sealed(facts))
        return replace(done, row=done.row._replace(files={}))

    def _found(self, trial: Trial, done: Done) -> Done:
        """A training that brought no files, failed unless it lies here."""
        if (self.path / TRAININGS / trial.name / "training.json").exists():
            return done
        where = done.where or "a machine"
        return replace(
            done,
            row=Row({}),
            error=(
                f"its training was not kept here: {where} has another copy of this folder; take "
                "that away, or give all nodes this one"
            ),
        )

    def _put(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a training that was made elsewhere in its place, whole, instead of one cut off."""
        place = self.path / TRAININGS / name
        made = place.with_name(f".{name}.tmp")
        try:
            for file, data in files.items():
                (made / file).parent.mkdir(parents=True, exist_ok=True)
                write_whole(made / file, data)
            plan = TrainingPlan.from_facts(read_sealed(made / "training.json")["plan"])
            if begun(plan, place) is not None:
                shutil.rmtree(place)
            os.rename(made, place)
            sync_folder(place.parent)
        except OSError as error:
            raise _unwritten(place, error) from None

    def write(self, name: str, data: bytes) -> None:
        """Put a file into the folder, whole; RunError where the disk does not take it."""
        try:
            write_whole(self.path / name, data)
        except OSError as error:
            raise _unwritten(self.path / name, error) from None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The folder for this process alone; RunError where another one plays the same sweep.

        What a killed writer left half-written is removed.
        """
        with alone(self.path, "is being played by another process"):
            for entry in self._trials().glob(".*.tmp"):
                entry.unlink(missing_ok=True)
            if self.plan.work.kind == "train":
                for entry in self._trainings().glob(".*.tmp"):
                    shutil.rmtree(entry)
            yield

    def _trials(self) -> Path:
        folder = self.path / "trials"
        if folder.is_symlink() or not folder.is_dir():
            raise RunError(f"{folder}: missing; the sweep is damaged: restore it, or begin another")
        return folder

    def _trainings(self) -> Path:
        folder = self.path / TRAININGS
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritten(folder, error) from None
        if folder.is_symlink():
            raise RunError(f"{folder}: is a link: move the folder itself here")
        return folder

    def _read(self, trial: Trial) -> Done:
        path = self._trials() / f"{trial.name}.json"
        facts = read_sealed(path)
        if facts.get("sweep") != self.plan.identity:
            raise RunError(f"{path}: is of another sweep; remove it")
        row = Row(facts["measures"], tuple(facts["notes"]))
        return Done(row, facts["error"], facts["seconds"], facts["where"])


def _unwritten(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path}: cannot be written: {error.strerror or error}; what is there stays; make room and "
        "resume"
    )


def read_facts(path: Path) -> dict[str, Any]:
    """The sweep.json of a folder; RunError where it is damaged, of another form, or not there."""
    if not (path / "sweep.json").exists():
        raise RunError(f"{path}: is not the folder of a sweep: it has no sweep.json")
    facts = read_sealed(path / "sweep.json")
    if facts.get("form") != FORM:
        raise RunError(f"{path}: is of form {facts.get('form')!r}, this version reads {FORM}")
    return facts


def _check_inputs(path: Path, facts: Mapping[str, Any], marks: Mapping[str, str]) -> None:
    """RunError for a file that the sweep was begun with and that holds something else now."""
    for file, mark in facts["inputs"].items():
        if marks.get(file, mark) != mark:
            raise RunError(
                f"{file}: is not what the sweep {path.name} began with; restore it, or begin "
                "another sweep"
            )


def _describe_grid(facts: Mapping[str, Any]) -> str:
    axes = " and ".join(f"{path}={','.join(values)}" for path, values in facts["grid"])
    return f"{axes} with {len(facts['seeds'])} seeds"


def place(root: Path, plan: SweepPlan, name: str | None = None) -> Path:
    """Where a new sweep goes below `root`: its name, or the next free `sweep-<scenario>-001`."""
    if name is None:
        return root / names_in_turn(slug(f"sweep-{plan.scenario.name}"), root)[0]
    folder = inside(root, name)
    if folder.exists():
        raise RunError(f"{folder}: is there already; mos sweep --resume {folder} goes on with it")
    return folder


def found(given: str, root: Path) -> Path:
    """The folder of an existing sweep, by its name below `root` or by its path."""
    try:
        return locate(given, root)
    except InputError as error:
        raise RunError(str(error).replace("run ", "sweep ", 1)) from None
