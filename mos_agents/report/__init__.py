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
    """Write `report.html` into a run's folder, whole or not at all.

    Parameters
    ----------
    run : Run
        The run.
    theory : sequence of str, optional
        Sentences on the market's benchmarks, for the summary.
    data : Data, optional
        The run's tables, if they have been read already.

    Returns
    -------
    Path
        Path of the page.
    """
    from mos_agents.report.page import written  # draws with matplotlib: loaded where it is needed

    return written(run.folder, html(run, theory, data))


def html(run: Run, theory: Sequence[str] = (), data: Data | None = None) -> str:
    """Return the page of a run as one HTML text without external references.

    Parameters
    ----------
    run : Run
        The run.
    theory : sequence of str, optional
        Sentences on the market's benchmarks, for the summary.
    data : Data, optional
        The run's tables, if they have been read already.

    Returns
    -------
    str
        The page, below `LIMIT` bytes.
    """
    from mos_agents.report.page import page

    data = Data.of(run) if data is None else data
    for points in POINTS:
        text = page(data, points, theory=theory)
        if len(text.encode()) < LIMIT:
            return text
    return page(data, POINTS[-1], pictures=False, theory=theory)


__all__ = ["Data", "RunSummary", "html", "summarise", "write"]
