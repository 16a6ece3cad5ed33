"""What happened, at a glance: one self-contained page per run, drawn from its folder alone."""

from __future__ import annotations

from pathlib import Path

from mos_agents.report.data import Data
from mos_agents.report.page import page, written
from mos_agents.runs.reading import Run

LIMIT = 2_000_000
"""Bytes that no page exceeds."""

POINTS = (400, 200, 80, 30)
"""Points a line, tried until the page fits."""


def write(run: Run) -> Path:
    """Write `report.html` into the run's folder, whole or not at all, and return its path."""
    return written(run.folder, html(run))


def html(run: Run) -> str:
    """The page of a run. It asks for nothing from outside and stays below LIMIT bytes."""
    data = Data.of(run)
    for points in POINTS:
        text = page(data, points)
        if len(text.encode()) < LIMIT:
            return text
    return page(data, POINTS[-1], pictures=False)


__all__ = ["Data", "html", "write"]
