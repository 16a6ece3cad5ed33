"""`mos demo`: two sellers who learn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli import loading
from mos_agents.cli.options import WHOLE, Out
from mos_agents.cli.terminal import print_line, progress, width


def demo(
    sessions: Annotated[
        int, typer.Option(help="Learning runs, of the learners and of each control.", **WHOLE)
    ] = 100,
    seed: Annotated[int, typer.Option(help="Seed of all chance.", **WHOLE)] = 0,
    out: Out = Path("runs"),
    workers: Annotated[int, typer.Option(help="Cores to use.", **WHOLE)] = 2,
) -> None:
    """Let two sellers learn to set prices, with four controls.

    The report shows the price wars that follow low trials, their prices, the reaction to a forced
    price cut, and a verdict.
    """
    with loading():
        from mos_agents.lab import demonstration
        from mos_agents.wording import shown

    with progress() as bar:
        result = demonstration.demo(
            sessions, seed=seed, workers=workers, out=out, on_progress=bar, on_message=print_line
        )
    print_line(result.verdict.text(width()))
    print_line(f"report  {shown(result.report)}")
