"""`mos sweep`: a scenario over a grid of settings and seeds, on Ray Tune, with one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli import options
from mos_agents.cli.options import THEIRS, WHOLE
from mos_agents.lab.folders import of_kind
from mos_agents.lab.playing import resolve
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
"""What may be said when a sweep is resumed; everything else it began with."""


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
        str, typer.Option(help="ray: Ray Tune. local: one trial after another, in this process.")
    ] = "ray",
    workers: Annotated[
        int | None, typer.Option(help="Trials at a time.", show_default="by room", **WHOLE)
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
    with 95% bootstrap intervals.
    """
    from mos_agents import sweeps
    from mos_agents.lab import sweeping

    if (scenario is None) == (resume is None):
        raise InputError("give a scenario, or --resume SWEEP, and not both; see mos sweep --help")
    shown_ones = tuple(one.strip() for one in (show or "").split(",") if one.strip())
    order = sweeping.Order(backend, workers, address, insecure, report, shown_ones)
    if resume is not None:
        options.only(typed, ON_RESUMING, "a sweep that is resumed keeps what it began with")
        folder = of_kind(sweeps.folder.found(resume, out), "sweep")
        plan = sweeps.SweepFolder.read(folder, cpus, gpus).plan
    else:
        work = sweeping.work(train, sessions, theory, burn_in, ticks, markets)
        resolved = resolve(scenario or "", changes or [], ticks, markets, seed)
        plan = sweeps.SweepPlan.of(
            resolved, grid or [], seeds, work, 1.0 if cpus is None else cpus, gpus or 0.0
        )
        folder = sweeps.folder.place(out, plan, name)
    raise typer.Exit(sweeping.play(plan, folder, order))
