"""`mos report`: the page of a run, training or sweep."""

from __future__ import annotations

from pathlib import Path

from mos_agents.cli import loading
from mos_agents.cli.options import AnyGiven, Out
from mos_agents.cli.terminal import print_line


def report(run: AnyGiven, out: Out = Path("runs")) -> None:
    """Write report.html of a run, training or sweep again."""
    with loading():
        from mos_agents.lab import reporting
        from mos_agents.wording import shown

    print_line(f"report  {shown(reporting.report(run, root=out))}")
