"""`mos sweep`: a scenario over a grid of settings and seeds, on Ray Tune, with one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli.playing import resolve
from mos_agents.cli.training import WHOLE
from mos_agents.market.types import InputError

THEIRS = "the scenario's"


def sweep(
    scenario: Annotated[
        str | None, typer.Argument(help="A preset's name or a scenario file.", show_default=False)
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="A.B=1,2,3", help="Vary a setting; several are crossed."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds of every cell, the same ones.", **WHOLE)] = 10,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change a setting; may be given often."),
    ] = None,
    ticks: Annotated[
        int | None, typer.Option(help="Ticks to play.", show_default=THEIRS, **WHOLE)
    ] = None,
    markets: Annotated[
        int | None, typer.Option(help="Independent copies.", show_default=THEIRS, **WHOLE)
    ] = None,
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
            metavar='"algo=ppo ..."',
            help="Train deep learners with these settings of mos train, and evaluate them.",
            show_default=False,
        ),
    ] = None,
    theory: Annotated[
        bool, typer.Option("--theory", help="Tell profit gain too; it can take seconds a trial.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where the sweeps lie.")] = Path("runs"),
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
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to join.", show_default="one of its own")
    ] = None,
    insecure: Annotated[bool, typer.Option(help="Join a cluster that demands no token.")] = False,
    show: Annotated[
        str | None,
        typer.Option(help="Measures to print: a,b.firm_1.", show_default="the main ones"),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Play a scenario under many settings and seeds, and put them into one table."""
    from mos_agents import sweeps
    from mos_agents.cli import sweep_play

    if (scenario is None) == (resume is None):
        raise InputError("give a scenario, or --resume SWEEP, and not both; see mos sweep --help")
    shown_ones = tuple(one.strip() for one in (show or "").split(",") if one.strip())
    order = sweep_play.Order(backend, workers, address, insecure, report, shown_ones)
    if resume is not None:
        given = {
            "--grid": grid, "--set": changes, "--ticks": ticks, "--markets": markets,
            "--seed": seed, "--burn-in": burn_in, "--sessions": sessions, "--train": train,
            "--theory": theory, "--name": name,
        }  # fmt: skip
        for option, value in given.items():
            if value:
                raise InputError(f"{option}: a sweep that is resumed keeps what it began with")
        folder = sweeps.folder.found(resume, out)
        plan = sweeps.SweepFolder.read(folder, cpus, gpus).plan
    else:
        work = sweep_play.work(train, sessions, theory, burn_in, ticks, markets)
        resolved = resolve(scenario or "", changes or [], ticks, markets, seed)
        plan = sweeps.SweepPlan.of(
            resolved, grid or [], seeds, work, 1.0 if cpus is None else cpus, gpus or 0.0
        )
        folder = sweeps.folder.place(out, plan, name)
    raise typer.Exit(sweep_play.play(plan, folder, order))
