"""`report.html` of a sweep, put together from its result and drawn by `report.sweeps`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mos_agents import scenarios
from mos_agents.lab.sweeping import fault_lines, notes
from mos_agents.market.checks import is_real
from mos_agents.report import sweeps
from mos_agents.report.charts import SummaryTable
from mos_agents.report.page import PageContent, content_html
from mos_agents.runs.sealing import read_sealed
from mos_agents.sweeps.folder import SweepFolder
from mos_agents.sweeps.plan import Axis
from mos_agents.sweeps.table import SweepResult, caption, lines

MOST_PANELS = 6
"""Combinations of the third axis and on that are drawn side by side; more are in the table."""


def write(result: SweepResult, folder: Path) -> Path:
    """Write the page whole or not at all; its path."""
    text = content_html(page_content(result, folder))
    SweepFolder(folder, result.plan).write("report.html", text.encode())
    return folder / "report.html"


def page_content(result: SweepResult, folder: Path) -> PageContent:
    """What the page shows."""
    plan, facts = result.plan, read_sealed(folder / "sweep.json")
    head, rows = lines(result, result.headline())
    failures = [f"failed {plan.cells[t.cell]}, seed {t.seed}: {why}" for t, why in result.failed]
    note_lines = [f"{note} ({count} trials)" for note, count in notes(result).items()]
    return PageContent(
        "sweep",
        folder.name,
        plan.scenario.description,
        [
            ("scenario", plan.scenario.name),
            *((axis.path, ", ".join(map(scenarios.inline, axis.values))) for axis in plan.grid),
            ("seeds", f"{len(plan.seeds)}"),
            ("trials", f"{len(plan.trials):,}"),
        ],
        [*failures[:20], *note_lines],
        sweeps.pictures([curves(result, name) for name in drawn(result)]),
        "Cells",
        SummaryTable(
            tuple(head),
            tuple(map(tuple, rows)),
            f"{caption(result).capitalize()}. All measures are in table.csv.",
        ),
        [
            ("started", facts["started"]),
            ("seeds", ", ".join(map(str, plan.seeds))),
            ("a trial", ", ".join(f"{k} {scenarios.inline(v)}" for k, v in facts["trial"].items())),
            ("versions", ", ".join(f"{k} {v}" for k, v in facts["versions"].items())),
        ],
        facts["scenario"],
        fault_lines(result),
    )


def drawn(result: SweepResult) -> list[str]:
    """The headline measures, each followed by those of the roles."""
    roles = dict.fromkeys(part.role for part in result.plan.scenario.participants)
    return [
        name
        for measure in result.headline()
        for name in (measure, *(f"{measure}.{role}" for role in roles))
        if name in result.measures
    ]


def curves(result: SweepResult, measure: str) -> sweeps.Curves:
    """A measure over the first axis, by the second, by the others."""
    first, *others = result.plan.grid
    second, rest = (others[0], others[1:]) if others else (None, [])
    panels: dict[str, dict[str, list[sweeps.Point]]] = {}
    for cell in result.plan.cells:
        panel = ", ".join(f"{axis.label}={_text(axis, cell.values)}" for axis in rest)
        line = _text(second, cell.values) if second else ""
        found, _ = result.interval(cell.number, measure)
        x = cell.values[first.path]
        x = x if _numeric(first.values) else scenarios.inline(x)
        point = sweeps.Point(x, found.estimate, found.low, found.high)
        panels.setdefault(panel, {}).setdefault(line, []).append(point)
    shown = dict(itertools.islice(panels.items(), MOST_PANELS))
    return sweeps.Curves(measure, first.label, second.label if second else "", shown)


def _text(axis: Axis, values: Any) -> str:
    return scenarios.inline(values[axis.path])


def _numeric(values: Sequence[Any]) -> bool:
    return all(is_real(value) for value in values)
