"""`mos sweep`: a scenario over a grid of settings and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli import loading, options, sweep_table
from mos_agents.cli.options import THEIRS, WHOLE
from mos_agents.cli.sweep_table import progress
from mos_agents.cli.terminal import print_line
from mos_agents.market.types import InputError

ON_RESUMING = {
    "resume",
    "out",
    "backend",
    "workers",
    "cpus",
    "gpus",
    "address",
    "insecure",
    "show",
    "report",
}
"""Options that a resumed sweep takes; it began with everything else."""


def sweep(
    typed: typer.Context,
    scenario: options.ScenarioName = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="A.B=1,2,3",
            help="Values that a setting takes; several grids are crossed.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="How many; every cell has the same ones.", **WHOLE)
    ] = 10,
    changes: options.Changes = None,
    ticks: options.Ticks = None,
    markets: options.Markets = None,
    seed: Annotated[
        int | None, typer.Option(help="The first seed.", show_default=THEIRS, **WHOLE)
    ] = None,
    burn_in: Annotated[
        int | None, typer.Option(help="Ticks left out of the means.", show_default="0", **WHOLE)
    ] = None,
    sessions: Annotated[
        int | None,
        typer.Option(
            help="Play so many compiled sessions of Q-learners to convergence, not the ticks.",
            show_default=False,
            **WHOLE,
        ),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar='"KEY=VALUE ..."',
            help="Train deep learners and evaluate them: algo=ppo iterations=50 hidden=[32,32] ...",
            show_default=False,
        ),
    ] = None,
    theory: Annotated[
        bool,
        typer.Option(
            "--theory", help="Profit gain, RPDI and Lerner index too; can take seconds a trial."
        ),
    ] = False,
    out: options.Out = Path("runs"),
    name: Annotated[
        str | None, typer.Option(help="Name of the sweep.", show_default="the next free one")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="SWEEP", help="Go on with a sweep; retry failed trials.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="ray: trials at once. local: one after another, in this process.")
    ] = "ray",
    workers: Annotated[
        int | None, typer.Option(help="Trials at a time.", show_default="by free cores", **WHOLE)
    ] = None,
    cpus: Annotated[
        float | None, typer.Option(help="Cores that a trial takes.", show_default="1")
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(help="GPUs that a trial takes.", show_default="0")
    ] = None,
    address: options.Address = None,
    insecure: options.Insecure = False,
    show: Annotated[
        str | None,
        typer.Option(
            help="Measures to print, such as reward,share.firm_1.", show_default="the main ones"
        ),
    ] = None,
    report: options.Report = True,
) -> None:
    """Play or train a scenario over a grid of settings and seeds.

    A trial is a cell of the grid with one seed: the scenario played tick by tick, or --sessions, or
    --train. A grid goes over settings of the scenario (firms=2,3), or of the trial itself:
    play.burn_in, sessions.window, train.lr, ... Every finished trial is kept in the sweep's folder,
    and --resume plays what is missing. The table has a row for every cell: means over the seeds
    with 95% intervals.
    """
    if (scenario is None) == (resume is None):
        raise InputError("give a scenario, or --resume SWEEP, and not both; see mos sweep --help")
    with loading():
        from mos_agents.lab import sweeping

    with progress() as watch:
        if resume is not None:
            options.only(typed, ON_RESUMING, "a sweep that is resumed keeps what it began with")
            played = sweeping.resume_sweep(
                resume,
                root=out,
                backend=backend,
                workers=workers,
                cpus=cpus,
                gpus=gpus,
                address=address,
                insecure=insecure,
                report=False,
                on_progress=watch,
                on_message=print_line,
            )
        else:
            played = sweeping.sweep(
                options.resolved(scenario or "", changes, ticks, markets, seed),
                grid or [],
                seeds=seeds,
                ticks=ticks,
                markets=markets,
                burn_in=burn_in,
                sessions=sessions,
                train=train,
                theory=theory,
                name=name,
                out=out,
                backend=backend,
                workers=workers,
                cpus=1.0 if cpus is None else cpus,
                gpus=gpus or 0.0,
                address=address,
                insecure=insecure,
                report=False,
                on_progress=watch,
                on_message=print_line,
            )
    chosen = tuple(one.strip() for one in (show or "").split(",") if one.strip())
    sweep_table.show(played, chosen, report)
    raise typer.Exit(int(bool(played.result.failed)))
