"""What happened, at a glance: one self-contained page per run, drawn from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mos_agents.report.data import Data
from mos_agents.report.summary import RunSummary, summarise
from mos_agents.runs.reading import Run

LIMIT = 2_000_000
"""Bytes that no page exceeds."""

POINTS = (400, 200, 80, 30)
"""Points a line, tried until the page fits."""


def write(run: Run, theory: Sequence[str] = (), data: Data | None = None) -> Path:
    """Write `report.html` into the run's folder, whole or not at all, and return its path.

    theory: sentences on the market's benchmarks, for the summary. data: the run, where it has been
    read already.
    """
    from mos_agents.report.page import written  # draws with matplotlib: loaded where it is needed

    return written(run.folder, html(run, theory, data))


def html(run: Run, theory: Sequence[str] = (), data: Data | None = None) -> str:
    """The page of a run. It asks for nothing from outside and stays below LIMIT bytes."""
    from mos_agents.report.page import page

    data = Data.of(run) if data is None else data
    for points in POINTS:
        text = page(data, points, theory=theory)
        if len(text.encode()) < LIMIT:
            return text
    return page(data, POINTS[-1], pictures=False, theory=theory)


__all__ = ["Data", "RunSummary", "html", "summarise", "write"]
