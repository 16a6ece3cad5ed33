"""`mos run`: play a scenario into a folder, or go on with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli import loading
from mos_agents.cli.options import (
    WHOLE,
    Address,
    Changes,
    Insecure,
    Markets,
    Out,
    Report,
    RunName,
    ScenarioName,
    Seed,
    Ticks,
    only,
    resolved,
    was_typed,
)
from mos_agents.cli.terminal import print_line, progress, width

BY_SIZE = "by size"
ON_RESUMING = {"resume", "out", "report", "backend", "address", "insecure", "spread"}
"""Options that a resumed run takes; it began with everything else."""


def run(
    typed: typer.Context,
    scenario: ScenarioName = None,
    ticks: Ticks = None,
    markets: Markets = None,
    seed: Seed = None,
    changes: Changes = None,
    out: Out = Path("runs"),
    name: RunName = None,
    record_markets: Annotated[
        int | None, typer.Option(help="Record the first N markets.", show_default=BY_SIZE, **WHOLE)
    ] = None,
    every: Annotated[
        int | None, typer.Option(help="Record every N-th tick.", show_default=BY_SIZE, **WHOLE)
    ] = None,
    report: Report = True,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="local: one loop. actors: actors in this process. ray: on Ray.")
    ] = "local",
    shards: Annotated[
        int | None, typer.Option(help="Clearing houses; each has its markets.", **WHOLE)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Actors that hold the participants.", show_default="one each", **WHOLE),
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(help="Seconds a tick waits for quotes.", show_default="for ever")
    ] = None,
    audit: Annotated[bool, typer.Option(help="Keep the whole journal, for mos verify.")] = False,
    address: Address = None,
    insecure: Insecure = False,
    spread: Annotated[
        bool,
        typer.Option(
            "--spread", help="Participants on all nodes, not beside their clearing house."
        ),
    ] = False,
) -> None:
    """Play a scenario, record it in a folder, and write its report.

    The command ends with a summary of the run, the paths of its report and its folder, and the hash
    of the trajectory. The same command and seed give the same hash.
    """
    with loading():
        import mos_agents.lab.reporting  # noqa: F401
        from mos_agents.lab.running import BACKENDS, resume_run
        from mos_agents.lab.running import run as play
        from mos_agents.market.types import InputError
        from mos_agents.wording import shown

    if (scenario is None) == (resume is None):
        raise InputError("give a scenario, or --resume RUN, and not both; see mos run --help")
    if backend not in BACKENDS:
        raise InputError(f"backend={backend!r} must be one of {', '.join(BACKENDS)}")
    if resume is not None:
        only(typed, ON_RESUMING, "a run that is resumed keeps what it began with")
    with progress() as bar:
        if resume is not None:
            result = resume_run(
                resume,
                root=out,
                report=report if was_typed(typed, "report") else None,
                address=address,
                insecure=insecure,
                spread=spread,
                on_progress=bar,
                on_message=print_line,
            )
        else:
            result = play(
                resolved(scenario or "", changes, ticks, markets, seed),
                backend=backend,
                name=name,
                out=out,
                record_markets=record_markets,
                every=every,
                report=report,
                shards=shards,
                workers=workers,
                deadline=deadline,
                audit=audit,
                address=address,
                insecure=insecure,
                spread=spread,
                on_progress=bar,
                on_message=print_line,
            )
    print_line("")
    print_line(result.summary._replace(faults=()).text(width()))  # faults were the first lines
    print_line("")
    if result.report is not None:
        print_line(f"report  {shown(result.report)}")
    print_line(f"run     {shown(result.folder)}")
    print_line(f"hash    {result.hash}")
