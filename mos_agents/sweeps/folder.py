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
from mos_agents.runs.files import RunError, sync_folder, write_whole
from mos_agents.runs.folder import SWEEP, TRAINING
from mos_agents.runs.names import locate, names_in_turn, path_below, slug
from mos_agents.runs.sealing import versions
from mos_agents.scenarios import digest_of
from mos_agents.sweeps.plan import SweepPlan, Trial
from mos_agents.sweeps.trial_folder import TRAININGS, TrialFolder
from mos_agents.sweeps.trials import TrialResult
from mos_agents.tasks import JsonCodec, ResultFolder, Task, TaskOutcome
from mos_agents.training.folder import begun
from mos_agents.training.plan import TrainingPlan
from mos_agents.wording import resuming

TRIALS = "trials"


@short_repr
@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended.

    Parameters
    ----------
    result : TrialResult
        Its measures; none where it failed.
    error : str or None
        Why it failed, in one line; None where it did not.
    node : str
        The node of the cluster that played it.
    """

    result: TrialResult
    error: str | None = None
    node: str = ""


@short_repr
@dataclass(frozen=True, eq=False)
class SweepFolder:
    """The folder of a sweep, open for reading and writing.

    Parameters
    ----------
    path : Path
        The folder.
    plan : SweepPlan
        The plan that it belongs to.
    """

    path: Path
    plan: SweepPlan

    @classmethod
    def made(cls, plan: SweepPlan, path: Path) -> SweepFolder:
        """The folder at `path`, new or of the same plan; RunError for any other folder."""

        def refusal(facts: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
            _check_inputs(path, facts, plan.inputs)
            axes = " and ".join(f"{key}={','.join(values)}" for key, values in facts["grid"])
            return f"holds another sweep, over {axes} with {len(facts['seeds'])} seeds"

        try:
            more = {"cpus": plan.cpus, "gpus": plan.gpus}
            SWEEP.claim(path, plan.facts, more=more, folders=[TRIALS], refusal=refusal)
        except OSError as error:
            raise RunError(
                f"{path}: a sweep cannot be kept here: {error.strerror or error}; give another "
                "folder"
            ) from None
        return cls(path, plan)

    @classmethod
    def read(cls, path: Path, cpus: float | None = None, gpus: float | None = None) -> SweepFolder:
        """The sweep of a folder; RunError where it is damaged or none, or its inputs changed."""
        facts = SWEEP.read(path)
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
        began, here = SWEEP.read(self.path)["versions"], versions()
        return ", ".join(
            f"{name} {began.get(name)} then, {here.get(name)} now"
            for name in {**began, **here}
            if began.get(name) != here.get(name)
        )

    @property
    def kept(self) -> ResultFolder:
        """The files of the trials."""
        return ResultFolder(self.path, SWEEP, self.plan.identity, JsonCodec(), TRIALS)

    def find(self, trial: Trial) -> TrialOutcome | None:
        """How a trial ended, None where it has not; RunError where its file is damaged."""
        facts = self.kept.find(trial.name)
        if facts is None:
            return None
        result = TrialResult(facts["measures"], tuple(facts["notes"]))
        return TrialOutcome(result, facts["error"], facts["node"])

    def done(self) -> dict[int, TrialOutcome]:
        """The trials that have ended, by number; RunError where a file is damaged or a stranger."""
        _ = self.kept.results  # RunError where it is gone
        found = {trial.number: self.find(trial) for trial in self.plan.trials}
        return {number: ended for number, ended in found.items() if ended is not None}

    def trial_folder(self, trial: Trial) -> TrialFolder:
        """Where a trial keeps what comes of it besides its measures."""
        return TrialFolder(self.path.absolute(), self.plan.identity, trial.name)

    def keep(self, trial: Trial, done: TrialOutcome, seconds: float = 0.0) -> TrialOutcome:
        """Write the files that a trial brought along, then its own; what needs no files any more.
        RunError where the disk does not take them."""
        if done.result.files:
            self._put(trial.name, done.result.files)
        elif self.plan.spec.kind == "train" and done.error is None:
            done = self._found(trial, done)
        facts: dict[str, Any] = {
            "cell": trial.cell,
            "seed": trial.seed,
            "values": dict(self.plan.cells[trial.cell].values),
            "error": done.error,
            "measures": dict(done.result.measures),
            "notes": list(done.result.notes),
            "node": done.node,
        }
        self.kept.write(Task(trial.name, dict), TaskOutcome(facts, seconds))
        return replace(done, result=done.result._replace(files={}))

    def _found(self, trial: Trial, done: TrialOutcome) -> TrialOutcome:
        """A training that brought no files, failed unless it lies here."""
        if (self.path / TRAININGS / trial.name / "training.json").exists():
            return done
        where = done.node or "a machine"
        return replace(
            done,
            result=TrialResult({}),
            error=(
                f"its training was not kept here: {where} has another copy of this folder; take "
                "that away, or give all nodes this one"
            ),
        )

    def _put(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a training that was made elsewhere in its place, whole, instead of one cut off."""
        folder = self.path / TRAININGS / name
        made = folder.with_name(f".{name}.tmp")
        with self.kept.writing(folder):
            for file, data in files.items():
                (made / file).parent.mkdir(parents=True, exist_ok=True)
                write_whole(made / file, data)
            plan = TrainingPlan.from_facts(TRAINING.read(made)["plan"])
            if begun(plan, folder) is not None:
                shutil.rmtree(folder)
            os.rename(made, folder)
            sync_folder(folder.parent)

    def write(self, name: str, data: bytes) -> None:
        """Put a file into the folder, whole; RunError where the disk does not take it."""
        with self.kept.writing(self.path / name):
            write_whole(self.path / name, data)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The folder for this process alone; RunError where another one plays the same sweep."""
        with SWEEP.locked(self.path):
            self.clean()
            yield

    def clean(self) -> None:
        """Remove what a killed writer left half-written."""
        self.kept.clean()
        if self.plan.spec.kind == "train":
            for entry in self._trainings().glob(".*.tmp"):
                shutil.rmtree(entry)

    def _trainings(self) -> Path:
        folder = self.path / TRAININGS
        with self.kept.writing(folder):
            folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise RunError(f"{folder}: is a link: move the folder itself here")
        return folder


def _check_inputs(path: Path, facts: Mapping[str, Any], marks: Mapping[str, str]) -> None:
    """RunError for a file that the sweep was begun with and that holds something else now."""
    for file, mark in facts["inputs"].items():
        if marks.get(file, mark) != mark:
            raise RunError(
                f"{file}: is not what the sweep {path.name} began with; restore it, or begin "
                "another sweep"
            )


def new_folder(root: Path, plan: SweepPlan, name: str | None = None) -> Path:
    """Where a new sweep goes below `root`: its name, or the next free `sweep-<scenario>-001`."""
    if name is None:
        return root / names_in_turn(slug(f"sweep-{plan.scenario.name}"), root)[0]
    folder = path_below(root, name)
    if folder.exists():
        raise RunError(f"{folder}: is there already; {resuming('sweep', folder)} goes on with it")
    return folder


def locate_sweep(given: str, root: Path) -> Path:
    """The folder of an existing sweep, by its name below `root` or by its path."""
    try:
        return locate(given, root)
    except InputError as error:
        raise RunError(str(error).replace("run ", "sweep ", 1)) from None
