"""`mos compare`: two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli import loading
from mos_agents.cli.options import Out
from mos_agents.cli.terminal import print_line


def compare(
    one: Annotated[str, typer.Argument(metavar="RUN", help="Name or path of a run folder.")],
    two: Annotated[str, typer.Argument(metavar="RUN", help="Another.")],
    out: Out = Path("runs"),
) -> None:
    """Compare two runs: totals, and whether every bit agrees."""
    with loading():
        from mos_agents.lab import comparing

    for line in comparing.compare(one, two, root=out).lines():
        print_line(line)
