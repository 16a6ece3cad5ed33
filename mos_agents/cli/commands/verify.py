"""`mos verify`: make a finished run again."""

from __future__ import annotations

from pathlib import Path

from mos_agents.cli import loading
from mos_agents.cli.options import Out, RunGiven
from mos_agents.cli.terminal import print_line, progress


def verify(run: RunGiven, out: Out = Path("runs")) -> None:
    """Repeat a finished run, and compare every table with it.

    The run is repeated from its journal, or else from its scenario and seed.
    """
    with loading():
        from mos_agents.lab import verifying

    with progress() as bar:
        result = verifying.verify(run, root=out, on_progress=bar)
    for line in result.lines():
        print_line(line)
