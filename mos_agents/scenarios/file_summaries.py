"""What the files of a scenario hold: in full for `mos check`, in a line each for a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mos_agents.market.types import Layout
from mos_agents.scenarios.building import ReadFiles, driven_names
from mos_agents.scenarios.schema import Scenario
from mos_agents.scenarios.tables import BUILTIN, descriptions

Show = Callable[[Path], str]
"""How a path is shown."""


def describe_files(scenario: Scenario, layout: Layout, read: ReadFiles, shown: Show) -> list[str]:
    """What the files of a scenario hold: which column drives what, from when to when, its range."""
    lines: list[str] = []
    if read.catalogue is not None:
        lines.append(f"catalogue from {_path(scenario.catalogue.path, shown)}:")  # type: ignore[union-attr]
        lines += descriptions.describe_catalogue(read.catalogue)
        lines += [f"  recognised: {note}" for note in read.catalogue.notes]
    for part, series in read.series.items():
        path = getattr(scenario.reference, part).path
        lines.append(f"reference.{part} from {_path(path, shown)}:")
        lines += descriptions.describe_series(series, list(driven_names(layout, part)))
        lines += [f"  recognised: {note}" for note in series.notes]
        lines += [f"  left out: {', '.join(series.left_out)}"] if series.left_out else []
    return lines


def summarise_files(scenario: Scenario, read: ReadFiles, shown: Show) -> list[str]:
    """A line for every file of a scenario of which something is to be said."""
    lines: list[str] = []
    if read.catalogue is not None and read.catalogue.notes:
        path = _path(scenario.catalogue.path, shown)  # type: ignore[union-attr]
        lines.append(f"catalogue {path}: " + "; ".join(read.catalogue.notes))
    for part, series in read.series.items():
        path = _path(getattr(scenario.reference, part).path, shown)
        left = [f"left out: {', '.join(series.left_out)}"] if series.left_out else []
        taken = f"{part} from {', '.join(series.headings[:6])}"
        taken += f" and {len(series.headings) - 6:,} more" if len(series.headings) > 6 else ""
        lines.append(f"{path}: " + "; ".join([taken, *series.notes, *left]))
    return lines


def _path(path: str, shown: Show) -> str:
    return path if path.startswith(BUILTIN) else shown(Path(path))
