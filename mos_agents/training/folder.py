"""The folder of a training: readable after any crash, and enough to go on from.

training.json     the plan, the versions, how it ended; sealed with a checksum
scenario.yaml     the scenario that it was trained in
normalisers.npz         what is seen and earned, shift and scale
metrics.jsonl     a line per iteration
checkpoints/      the state after an iteration; the last two are kept
policies/         the trained networks as of the last checkpoint
learnt/           what learners with tables among the others had come to then
trained.yaml      the scenario with both in it: `mos run FOLDER/trained.yaml`
tensorboard/      the same figures for TensorBoard
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mos_agents import scenarios
from mos_agents.market.faults import FAULTS_OF
from mos_agents.market.frames import Framed, frame_html
from mos_agents.market.lazy import LazyModule
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array
from mos_agents.policies.base import to_config
from mos_agents.runs.files import (
    RunError,
    digest,
    read_run_file,
    read_with_digest,
    write_all,
    write_whole,
    write_with_digest,
)
from mos_agents.runs.folder import TRAINING
from mos_agents.runs.names import locate, names_in_turn, path_below, slug
from mos_agents.runs.sealing import now, versions
from mos_agents.scenarios.validation import validate
from mos_agents.training.plan import TrainingPlan
from mos_agents.trees import packed, unpacked
from mos_agents.wording import resuming, setting

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

CHECKPOINT = re.compile(r"(\d{9})\.npz")
KEPT = 2
"""Checkpoints: should the last one be damaged, there is one before it."""
SYNC_SECONDS = 2.0
PATIENCE = 60.0
"""Seconds that the processes of a killed driver may take to end."""
FIRST = {
    "checkpoints",
    "policies",
    "tensorboard",
    "scenario.yaml",
    "normalisers.npz",
    "normalisers.npz.sha256",
}
"""What a folder has before there is a training.json in it."""


@short_repr
@dataclass(frozen=True)
class TrainingRun(Framed):
    """A training read back from its folder.

    Parameters
    ----------
    folder : Path
        Where it lies.
    facts : dict
        What its training.json holds.
    plan : TrainingPlan
        What was trained, and how.
    """

    folder: Path
    facts: dict[str, Any]
    plan: TrainingPlan

    @property
    def finished(self) -> bool:
        """Whether the training has reached its end."""
        return self.facts["finished"] is not None

    def to_polars(self) -> pl.DataFrame:
        """Return a row per iteration.

        Returns
        -------
        polars.DataFrame
            The figures of `metrics` that are single numbers, by their names.
        """
        kept = (bool, int, float, str)
        rows = [{k: v for k, v in row.items() if isinstance(v, kept)} for row in self.metrics()]
        return pl.DataFrame(rows, infer_schema_length=None)

    def _repr_html_(self) -> str:
        state = "finished" if self.finished else "not finished"
        return frame_html(self.to_polars(), [f"training {self.folder.name}: {state}"])

    def metrics(self) -> list[dict[str, Any]]:
        """The records of all iterations whose line is whole."""
        return records(self.folder)

    def checkpoints(self) -> list[int]:
        """Iterations after which there is a checkpoint, the oldest first."""
        return checkpoints(self.folder)


def check_free(root: str | Path, name: str | None) -> None:
    """InputError unless a new folder below `root` can be called so; None: the next free name."""
    if name is not None and path_below(root, name).exists():
        raise TRAINING.taken(root, name)


def create(
    plan: TrainingPlan, root: str | Path, name: str | None, normalisers: Mapping[str, Array]
) -> Path:
    """A new folder below `root`; nothing that is there is overwritten."""
    root = Path(root)
    stem = f"{slug(plan.scenario.name)}-{plan.algo}-s{plan.seed}"
    described = scenarios.dump(plan.scenario)

    def fill(hidden: Path) -> None:
        for part in ("checkpoints", "policies", "tensorboard"):
            (hidden / part).mkdir()
        write_whole(hidden / "scenario.yaml", described.encode())
        write_with_digest(hidden / "normalisers.npz", packed(dict(normalisers)))

    facts = {
        "name": "",
        "plan": plan.described(),
        "started": now(),
        "finished": None,
        "iterations": None,
        "ended": None,
        "versions": versions(),
        "inputs": plan.scenario.inputs(),
        "scenario_sha256": digest(described.encode()),
    }
    try:
        names = [name] if name is not None else names_in_turn(stem, root)
        folder, hold = TRAINING.create(root, names, facts, fill)
    except OSError as error:
        raise RunError(
            f"{root}: a training folder cannot be made here: {error.strerror or error}; give "
            f"another with {setting('out')}"
        ) from None
    hold.release()
    return folder


def held(folder: Path) -> AbstractContextManager[None]:
    """The folder for this process alone; RunError where another one trains in it."""
    return TRAINING.locked(folder)


def wait_free(folder: Path) -> None:
    """Wait until no process trains in the folder; RunError where one still does so at the end."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with held(folder):
                return
        except RunError:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)


def begun(plan: TrainingPlan, folder: Path) -> TrainingRun | None:
    """The plan's training in a folder of its own; None where it has not begun.

    What a kill left there before there was a training.json is removed. Raises RunError where the
    folder is damaged or holds anything else.
    """
    if not os.path.lexists(folder):
        return None
    path_below(folder.parent, folder.name)
    if TRAINING.is_at(folder):
        run = read_training(folder.absolute())
        if run.plan.described() != plan.described():
            raise RunError(f"{folder}: holds another training; move it away")
        return run
    if not folder.is_dir() or not all(_first(path, folder) for path in folder.rglob("*")):
        raise RunError(f"{folder}: holds files, and no training.json; move them away")
    shutil.rmtree(folder)
    return None


def _first(path: Path, folder: Path) -> bool:
    """Whether a new training's folder may have this before its training.json."""
    unfinished = path.name.startswith(".") and path.name.endswith(".tmp")
    return unfinished or str(path.relative_to(folder)) in FIRST


def read_training(run: str | Path, root: str | Path = "runs") -> TrainingRun:
    """Read a training's folder.

    Parameters
    ----------
    run : str or Path
        The training's name, or its path.
    root : str or Path
        The folder in which names are looked for.

    Returns
    -------
    TrainingRun
        The training.

    Raises
    ------
    RunError
        If it is not there or damaged, or a file that it was trained with has changed.
    """
    folder = locate(str(run), root)
    facts = TRAINING.read(folder)
    if digest(read_run_file(folder / "scenario.yaml")) != facts["scenario_sha256"]:
        raise RunError(f"{folder / 'scenario.yaml'}: is not what was trained in; restore it")
    for name, kept in facts["inputs"].items():
        if scenarios.digest_of(name) != kept:
            raise RunError(f"{name}: is not what {folder.name} was trained with; restore it")
    return TrainingRun(folder, facts, TrainingPlan.from_facts(facts["plan"]))


def seal(folder: Path, facts: Mapping[str, Any], **changes: Any) -> None:
    """Write training.json again."""
    TRAINING.write(folder, facts, **changes)


def read_normalisers(folder: Path) -> dict[str, Array]:
    """The arrays of normalisers.npz."""
    path = folder / "normalisers.npz"
    return unpacked(read_with_digest(path), str(path), "normalisers")


# --- checkpoints ----------------------------------------------------------------------------------


def checkpoints(folder: Path) -> list[int]:
    """Iterations after which there is a checkpoint, the oldest first."""
    if not (folder / "checkpoints").is_dir():
        raise RunError(f"{folder}: damaged: its folder of checkpoints is gone; restore it")
    found = (CHECKPOINT.fullmatch(entry.name) for entry in (folder / "checkpoints").iterdir())
    return sorted(int(match[1]) for match in found if match)


def checkpoint_path(folder: Path, iteration: int) -> Path:
    return folder / "checkpoints" / f"{iteration:09d}.npz"


def write_checkpoint(folder: Path, iteration: int, data: bytes) -> None:
    """Put a checkpoint there, whole or not at all, and let go of those before the last two."""
    try:
        write_with_digest(checkpoint_path(folder, iteration), data)
    except OSError as error:
        raise RunError(
            f"{folder}: a checkpoint cannot be written: {error.strerror or error}; make room, then "
            f"{resuming('train', folder.name)}"
        ) from None
    for old in checkpoints(folder)[:-KEPT]:
        for path in (checkpoint_path(folder, old), _digest_path(folder, old)):
            path.unlink(missing_ok=True)


def last_checkpoint(folder: Path) -> tuple[int, bytes] | None:
    """The newest checkpoint that is as it was written, with its iteration; None where none is."""
    damaged = None
    for iteration in reversed(checkpoints(folder)):
        try:
            return iteration, read_with_digest(checkpoint_path(folder, iteration))
        except RunError as error:
            damaged = error
    if damaged is not None:
        raise damaged
    return None


def going_on(run: TrainingRun, iterations: int | None) -> tuple[TrainingPlan, Any]:
    """The plan to go on by (up to so many iterations, or the plan's own), and the last checkpoint.
    RunError where nothing is left to do."""
    found = last_checkpoint(run.folder)
    if run.finished and iterations is None:
        raise RunError(
            f"{run.folder}: finished already; {setting('iterations', 'N')} trains on beyond "
            f"{run.facts['iterations']}"
        )
    if run.finished and found is None:
        raise RunError(f"{run.folder}: has no checkpoint left to train on from; train it again")
    if iterations is None:
        return run.plan, found
    if found is not None and found[0] >= iterations:
        raise RunError(
            f"{run.folder}: has {found[0]:,} iterations already; "
            f"{setting('iterations', iterations)} must be more"
        )
    return run.plan.changed(iterations=iterations), found


def _digest_path(folder: Path, iteration: int) -> Path:
    path = checkpoint_path(folder, iteration)
    return path.with_name(path.name + ".sha256")


# --- figures --------------------------------------------------------------------------------------


class Metrics:
    """metrics.jsonl under way: a line per iteration, in the kernel's hands at once (a kill loses
    nothing) and on the disk every two seconds."""

    def __init__(self, folder: Path, upto: int) -> None:
        """Go on after iteration `upto`: what comes later is dropped, it will be made again."""
        self._path = folder / "metrics.jsonl"
        kept = [one for one in records(folder) if one["iteration"] <= upto]
        write_whole(self._path, b"".join(_line(one) for one in kept))
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._synced = time.monotonic()

    def add(self, record: Mapping[str, Any]) -> None:
        write_all(self._handle, _line(record))
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        os.fsync(self._handle)
        self._synced = time.monotonic()

    def close(self) -> None:
        self.sync()
        os.close(self._handle)


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a torn last one is left out, any other misfit is an error."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    *lines, _torn = read_run_file(path).split(b"\n")
    try:
        found = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        raise RunError(f"{path}: damaged: a line is not JSON; restore the file") from None
    if not all(_is_record(one) for one in found):
        raise RunError(f"{path}: damaged: a line is no iteration's figures; restore the file")
    return found


def _is_record(line: Any) -> bool:
    """Whether a line holds numbers by their names, those of every iteration among them."""
    if not isinstance(line, dict) or not {"iteration", "steps", "seconds"} <= line.keys():
        return False
    return type(line["iteration"]) is int and all(
        type(value) in (int, float) and abs(value) <= sys.float_info.max for value in line.values()
    )


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False).encode() + b"\n"


def faulted(history: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """By participant among the others, decisions without a usable action in all of the records."""
    found: Counter[str] = Counter()
    for record in history:
        for key, value in record.items():
            kind, _, name = key.partition("/")
            if kind == "faults":
                found[name] += int(value)
    return dict(found)


def fault_lines(
    history: Sequence[Mapping[str, Any]], faults: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    """What policies did wrong in a training, a line each: the first lines of every summary.

    faults: as training.json has them, with the reasons.
    """
    reasons: dict[str, str] = {}
    for fault in faults:
        reasons.setdefault(fault["participant"], fault["reason"])
    return [
        f"{FAULTS_OF} {name}: {count:,} decisions lost"
        + (f", first: {reasons[name]}" if name in reasons else "")
        for name, count in faulted(history).items()
    ]


def trained_scenario(plan: TrainingPlan, learnt: Mapping[str, Mapping[str, Any]]) -> str:
    """The plan's scenario as YAML, with what the plan says the others play, and what was learnt:
    by participant, its policy's kind and parameters."""
    scenario, played = plan.scenario, {**plan.scenario.policies(), **plan.policies}
    configs: dict[str, Any] = {}
    for name, policy in played.items():
        configs[name] = dict(policy) if isinstance(policy, Mapping) else to_config(policy)
    configs |= {name: dict(config) for name, config in learnt.items()}
    data = scenario.data()
    market = scenario.market()
    roles = dict(zip(market.layout.participants, market.layout.roles, strict=True))
    silent = {
        name for group in scenario.participants if not group.sells for name in group.names([])
    }
    data["participants"] = [
        {"name": name, "role": roles[name], "policy": configs[name]}
        | ({"sells": False} if name in silent else {})
        for name in roles
    ]
    members = {group.name: group.names([]) for group in scenario.participants}
    for venue in data.get("venues", ()):  # which may name groups
        for key in ("quoting", "ordering"):
            venue[key] = [name for one in venue[key] for name in members.get(one, [one])]
    if plan.horizon is not None:
        data["ticks"] = plan.horizon
    return scenarios.dump(validate(data, "trained.yaml"))
