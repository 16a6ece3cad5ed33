"""`mos train`: a training's plan from the command line, its progress, and what came of it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mos_agents.cli import options, plan_options
from mos_agents.cli.options import WHOLE
from mos_agents.lab.folders import located
from mos_agents.lab.playing import asked_to_stop, plural, print_line, resolve, shown, stopped_by
from mos_agents.market.printing import cell
from mos_agents.market.types import InputError
from mos_agents.runs import as_facts
from mos_agents.training.folder import check_free, fault_lines, going_on

SHOW_SECONDS = 5.0

ON_RESUMING = {"resume", "out", "backend", "address", "insecure", "iterations"}
"""What may be said when a training is resumed; everything else it began with."""


def train(
    typed: typer.Context,
    scenario: options.ScenarioName = None,
    algo: plan_options.Algo = None,
    sharing: Annotated[
        str | None,
        typer.Option(
            "--policies",
            help="independent (a network each), shared (one for all) or by-role.",
            show_default="independent",
        ),
    ] = None,
    agents: Annotated[
        str | None,
        typer.Option(
            help="Who learns, with commas between.",
            show_default="all but those who hold their price",
        ),
    ] = None,
    policies: Annotated[
        list[str] | None, plan_options.others("What one plays who does not learn")
    ] = None,
    changes: options.Changes = None,
    actions: plan_options.Actions = None,
    levels: plan_options.Levels = None,
    band: plan_options.Band = None,
    horizon: plan_options.Horizon = None,
    markets: Annotated[
        int | None, plan_options.of_plan("markets", help=plan_options.MARKETS, **WHOLE)
    ] = None,
    workers: plan_options.Workers = None,
    ticks: plan_options.TicksEach = None,
    iterations: plan_options.Iterations = None,
    stop: plan_options.Stop = None,
    seed: options.Seed = None,
    hidden: plan_options.Hidden = None,
    activation: plan_options.Activation = None,
    lr: plan_options.Lr = None,
    gamma: plan_options.Gamma = None,
    hyper: plan_options.Hyper = None,
    normalise: plan_options.Normalise = None,
    evaluate_every: Annotated[
        int | None,
        plan_options.of_plan(
            "evaluate_every",
            help="Iterations between evaluations without exploring; 0: none.",
            **WHOLE,
        ),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        plan_options.of_plan("checkpoint_every", help="Iterations between checkpoints.", **WHOLE),
    ] = None,
    out: options.Out = Path("runs"),
    name: options.RunName = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with an interrupted training.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="local: this machine. ray: a cluster, see --address.")
    ] = "local",
    address: options.Address = None,
    insecure: options.Insecure = False,
) -> None:
    """Let participants learn with PPO, DQN, SAC or APPO of RLlib.

    The training's folder keeps the figures of every iteration, checkpoints, the networks, and
    trained.yaml: the scenario with the networks in it, to be played with mos run. mos report draws
    the learning curves; mos exploit tells what others would gain against what was learnt. A
    training that was cut off goes on with --resume, and trains on with more --iterations.
    """
    if (scenario is None) == (resume is None):
        raise InputError("give a scenario, or --resume RUN, and not both; see mos train --help")
    if backend not in ("local", "ray"):
        raise InputError(f"backend={backend!r} must be 'local' or 'ray'")
    if backend == "local" and (address is not None or insecure):
        raise InputError(
            f"--{'address' if address else 'insecure'} is for clusters: add --backend ray"
        )
    where = {"address": address, "insecure": insecure}
    from mos_agents import training
    from mos_agents.training import extra

    if resume is not None:
        options.only(typed, ON_RESUMING, "a training that is resumed keeps what it began with")
        run = training.read_training(located(resume, out, "training"))
        plan, _ = going_on(run, iterations)
        extra.needed()
        print_line(f"{run.folder.name}: going on with {plan.algo}")
        _play(
            plan.iterations,
            lambda on_progress: training.resume(
                run.folder, root=out, on_progress=on_progress, iterations=iterations, **where
            ),
        )
        return
    check_free(out, name)
    resolved = resolve(scenario or "", changes or [], None, None, seed)
    plan = training.TrainingPlan(
        resolved, seed=resolved.seed, **plan_options.settings(typed.params)
    )
    training.check(plan)
    extra.needed()
    each = f" in each of {plural(plan.workers, 'worker')}" if plan.workers else ""
    print_line(
        f"{resolved.name}: {plan.algo}, {plan.actions}, {plural(plan.markets, 'market')}{each}, "
        f"{plan.ticks} ticks an iteration, seed {plan.seed}"
    )
    _play(
        plan.iterations,
        lambda on_progress: training.train(plan, out, name=name, on_progress=on_progress, **where),
    )


def _play(iterations: int, work: Callable[[Any], Any]) -> None:
    with asked_to_stop() as asked, progress(iterations) as show:

        def on_progress(record: Mapping[str, Any]) -> bool:
            show(record)
            return bool(asked)

        trained = work(on_progress)
    last = trained.history[-1]
    text = f"; stopped at {trained.ended}" if trained.ended not in ("iterations", "asked") else ""
    if trained.ended == "asked":
        raise stopped_by(
            f"mos: stopped after iteration {last['iteration']:,}; "
            f"mos train --resume {shown(trained.folder)} goes on",
            asked[0],
        )
    for line in fault_lines(trained.history, as_facts(trained.faults)):
        print_line(line)
    print_line(
        f"trained {plural(last['iteration'], 'iteration')}, {last['steps']:,} market ticks{text}"
    )
    for agent in trained.assignment.agents:
        found = next((r for r in reversed(trained.history) if f"evaluation/{agent}" in r), None)
        if found is not None:
            print_line(
                f"  {agent}: reward {found[f'evaluation/{agent}']:.6g} a tick without exploring"
            )
    print_line(f"run     {shown(trained.folder)}")
    print_line(f"play    mos run {shown(trained.folder / 'trained.yaml')}")
    print_line(f"report  mos report {shown(trained.folder)}")


@contextlib.contextmanager
def progress(iterations: int, who: str = "") -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A bar on a terminal; elsewhere a plain line now and then. who: learns, where it matters."""
    of = f"{who} " if who else ""
    if not sys.stdout.isatty():
        last = [time.monotonic()]

        def line(record: Mapping[str, Any]) -> None:
            over = record["iteration"] == iterations
            if over or "evaluation" in record or time.monotonic() - last[0] > SHOW_SECONDS:
                last[0] = time.monotonic()
                print_line(
                    f"{of}iteration {record['iteration']:,} of {iterations:,}: "
                    f"{_progress_line(record)}"
                )

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(f"{cell(of)}iterations"), BarColumn(30), MofNCompleteColumn())
    with Progress(*columns, Remaining(compact=True), TextColumn("{task.description}")) as bar:
        task = bar.add_task("starting", total=iterations)
        kept: dict[str, Any] = {}

        def show(record: Mapping[str, Any]) -> None:
            kept.update(record)
            bar.update(task, completed=record["iteration"], description=_progress_line(kept))

        yield show


def _progress_line(record: Mapping[str, Any]) -> str:
    parts = [f"{record['steps']:,} ticks"]
    if "reward" in record:
        parts.append(f"reward {record['reward']:.5g}")
    if "evaluation" in record:
        parts.append(f"without exploring {record['evaluation']:.5g}")
    return ", ".join(parts)
