"""What a file is, what is in it, and which command takes it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mos_agents import learners, runs, scenarios
from mos_agents.lab.folders import MARKS, kind_of, taken_by
from mos_agents.lab.local_runs import estimates
from mos_agents.learners.saving import read as read_memory
from mos_agents.market.frames import Printed
from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario, file_summaries
from mos_agents.scenarios.tables import descriptions
from mos_agents.scenarios.tables.reading import is_table
from mos_agents.wording import plural, shown


@dataclass(frozen=True)
class FileCheck(Printed):
    """A file that is fine: what it is, and lines on what is in it; `print` shows them.

    Attributes
    ----------
    file : str
        The file or folder, as it was given.
    kind : str
        "run", "training", "sweep", "memory" (what a learner remembers, or a network), "table" or
        "scenario".
    lines : tuple of str
        What is in it, and which command takes it.
    """

    file: str
    kind: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def check(file: str | os.PathLike[str]) -> FileCheck:
    """Say what a file or folder is and what is in it.

    Parameters
    ----------
    file : str or path
        A scenario (or a preset's name), a catalogue, a series, or what this package has written.

    Returns
    -------
    FileCheck
        What the file is, line by line; `print` shows it.

    Raises
    ------
    InputError, RunError
        Where the file is damaged, or nothing that is known.
    """
    given = os.fspath(file)
    kind, lines = _checked(given, Path(given))
    return FileCheck(given, kind, tuple(lines))


def _checked(file: str, path: Path) -> tuple[str, list[str]]:
    if file not in scenarios.presets():
        if found := _folder(path):
            return found
        if path.suffix == ".npz":
            return "memory", _learnt(path)
        if is_table(file):
            return "table", _table(path, file)
        if path.suffix and path.suffix not in (".yaml", ".yml") and path.exists():
            raise InputError(
                f"{file}: is nothing that mos reads: no scenario (.yaml), no catalogue or series "
                "(.csv, .parquet, .xlsx), nothing learnt (.npz), and no folder of a run, training "
                "or sweep"
            )
    scenario = scenarios.load(file)
    try:
        return "scenario", _scenario(scenario)
    except InputError as error:  # of a market that cannot be: as of a file that cannot be read
        if str(error).startswith(f"{file}: "):
            raise
        raise InputError(f"{file}: {error}") from None


def _folder(path: Path) -> tuple[str, list[str]] | None:
    """What a folder holds, given itself or by the file that makes it what it is."""
    folder = path if path.is_dir() else path.parent if path.name in MARKS.values() else None
    if folder is None or not folder.is_dir():
        return None
    kind = kind_of(folder)
    if kind is None:
        raise InputError(
            f"{path}: is a folder without {', '.join(MARKS.values())}; give the folder of a run, "
            "training or sweep, or a file"
        )
    lines = _run(folder) if kind == "run" else [f"{shown(folder)} is the folder of a {kind}"]
    return kind, [*lines, taken_by(kind, folder)]


def _run(folder: Path) -> list[str]:
    run = runs.read(folder)
    facts = run.facts
    state = f"finished, hash {facts['hash']}" if run.finished else "not finished"
    return [
        f"{shown(folder)} is the folder of a run: {facts['scenario']}, {facts['ticks']:,} ticks, "
        f"{plural(facts['markets'], 'market')}, seed {facts['seed']}, {state}",
    ]


def _learnt(path: Path) -> list[str]:
    arrays = read_memory(path)
    if "facts" in arrays:
        network = learners.load_network(path)
        spec = network.signature
        return [
            f"{path} is a trained network of {spec.participant} ({spec.role}): "
            f"{plural(spec.listings, 'listing')}, {plural(len(network.layers), 'layer')}",
            f"use it in a scenario: policy: {{kind: network, path: {path}}}",
        ]
    sizes = ", ".join(f"{name} {list(array.shape)}" for name, array in list(arrays.items())[:8])
    return [
        f"{path} is what a learner remembers: {sizes}",
        f"use it in a scenario: policy: {{kind: greedy, policy: {{kind: ...}}, path: {path}}}",
    ]


def _table(path: Path, file: str) -> list[str]:
    if path.name.startswith("part-") and kind_of(path.parent.parent) == "run":
        folder = path.parent.parent
        return [
            f"{file} is a part of the table {path.parent.name} of the run {shown(folder)}",
            taken_by("run", folder),
        ]
    return descriptions.describe_file(file, file)


def _scenario(scenario: Scenario) -> list[str]:
    market, read = scenario.made()
    scenario.policies()
    layout = market.layout
    plan = runs.RecordingPlan.of(layout, scenario.ticks, scenario.markets)
    return [
        f"{scenario.name} is fine: {plural(layout.N, 'participant')}, "
        f"{plural(layout.K, 'instrument')}, {plural(layout.L, 'listing')}, "
        f"{scenario.ticks:,} ticks, {plural(scenario.markets, 'market')}",
        f"a run records {plan.describe(scenario.markets)}",
        *file_summaries.describe_files(scenario, market.layout, read, shown),
        *estimates(market),
    ]
