"""`mos train`: let participants learn, or go on with a training."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mos_agents.cli import loading, options, plan_options
from mos_agents.cli.options import WHOLE
from mos_agents.cli.terminal import Pace, print_line
from mos_agents.market.printing import cell
from mos_agents.market.types import InputError
from mos_agents.runs import fault_facts
from mos_agents.training.folder import check_free, fault_lines
from mos_agents.wording import plural, shown

if TYPE_CHECKING:
    with loading():
        from mos_agents.training import Trained

ON_RESUMING = {"resume", "out", "backend", "address", "insecure", "iterations"}
"""Options that a resumed training takes; it began with everything else."""


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
        list[str] | None, plan_options.others("Policy of a participant that does not learn")
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
    the learning curves; mos exploit measures what others would gain against the learned
    policies. --resume continues an interrupted training; with more --iterations it trains further.
    """
    if (scenario is None) == (resume is None):
        raise InputError("give a scenario, or --resume RUN, and not both; see mos train --help")
    if backend not in ("local", "ray"):
        raise InputError(f"backend={backend!r} must be 'local' or 'ray'")
    if backend == "local" and (address is not None or insecure):
        raise InputError(
            f"--{'address' if address else 'insecure'} is for clusters: add --backend ray"
        )
    with loading():
        from mos_agents.lab import trainings

    settings = plan_options.settings(typed.params)
    if resume is not None:
        options.only(typed, ON_RESUMING, "a training that is resumed keeps what it began with")
    else:
        check_free(out, name)
    begun = None if resume is not None else options.resolved(scenario or "", changes, seed=seed)
    with progress() as show:
        if begun is None:
            trained = trainings.resume_training(
                resume or "",
                root=out,
                iterations=iterations,
                address=address,
                insecure=insecure,
                on_progress=show,
                on_message=print_line,
            )
        else:
            trained = trainings.train(
                begun,
                name=name,
                out=out,
                address=address,
                insecure=insecure,
                on_progress=show,
                on_message=print_line,
                **settings,
            )
    _show(trained)


def _show(trained: Trained) -> None:
    """What came of the training, and the commands that take it."""
    assert trained.folder is not None
    last = trained.history[-1]
    early = "" if trained.ended == "iterations" else f"; stopped at {trained.ended}"
    for line in fault_lines(trained.history, fault_facts(trained.faults)):
        print_line(line)
    print_line(
        f"trained {plural(last['iteration'], 'iteration')}, {last['steps']:,} market ticks{early}"
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
def progress(who: str = "") -> Iterator[Callable[[Mapping[str, Any], int], None]]:
    """A bar on a terminal; elsewhere a plain line now and then. who: learns, where it matters."""
    of = f"{who} " if who else ""
    if not sys.stdout.isatty():
        pace = Pace()

        def line(record: Mapping[str, Any], total: int) -> None:
            if pace.due(record["iteration"] == total or "evaluation" in record):
                print_line(
                    f"{of}iteration {record['iteration']:,} of {total:,}: {_in_words(record)}"
                )

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(f"{cell(of)}iterations"), BarColumn(30), MofNCompleteColumn())
    with Progress(*columns, Remaining(compact=True), TextColumn("{task.description}")) as bar:
        task = bar.add_task("starting", total=None)
        kept: dict[str, Any] = {}

        def show(record: Mapping[str, Any], total: int) -> None:
            kept.update(record)
            bar.update(
                task, completed=record["iteration"], total=total, description=_in_words(kept)
            )

        yield show


def _in_words(record: Mapping[str, Any]) -> str:
    parts = [f"{record['steps']:,} ticks"]
    if "reward" in record:
        parts.append(f"reward {record['reward']:.5g}")
    if "evaluation" in record:
        parts.append(f"without exploring {record['evaluation']:.5g}")
    return ", ".join(parts)
