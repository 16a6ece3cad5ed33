"""`mos check`: what a file is."""

from __future__ import annotations

from typing import Annotated

import typer

from mos_agents.cli import loading
from mos_agents.cli.terminal import print_line


def check(
    file: Annotated[
        str, typer.Argument(help="A scenario, catalogue, series, or what mos has written.")
    ],
) -> None:
    """Say what a file is and what is in it, or what is wrong."""
    with loading():
        from mos_agents.lab import checking

    for line in checking.check(file).lines:
        print_line(line)
