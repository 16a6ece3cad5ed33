"""`mos train`: a training's plan from the command line, its progress, and what came of it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mos_agents import scenarios
from mos_agents.cli.playing import asked_to_stop, plural, say, shown, stopped_by
from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario
from mos_agents.scenarios.files import parsed_value

SHOW_SECONDS = 5.0

ON_RESUMING = {"resume", "out", "backend", "address", "insecure", "iterations"}
"""What may be said when a training is resumed; everything else it began with."""


def whole(text: str) -> int:
    """A whole number as typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be a whole number") from None


WHOLE: dict[str, Any] = {"parser": whole, "metavar": "N"}
DEFAULT = {"show_default": "the algorithm's"}


def train(
    typed: typer.Context,
    scenario: Annotated[
        str | None, typer.Argument(help="A preset's name or a scenario file.", show_default=False)
    ] = None,
    algo: Annotated[str, typer.Option(help="ppo, dqn, sac or appo.")] = "ppo",
    policies: Annotated[
        str, typer.Option(help="independent, shared (one for all) or by-role.")
    ] = "independent",
    agents: Annotated[
        str | None,
        typer.Option(help="Who learns, with commas between.", show_default="all who can"),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--other",
            metavar="NAME=POLICY",
            help="What one who does not learn plays: a kind, a {kind: ...}, or a network's .npz.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change a setting; may be given often."),
    ] = None,
    actions: Annotated[str | None, typer.Option(help="continuous or discrete.", **DEFAULT)] = None,
    levels: Annotated[int, typer.Option(help="Points of the grid.", **WHOLE)] = 15,
    band: Annotated[
        str | None,
        typer.Option(metavar="LOW,HIGH", help="Prices, in reference prices.", show_default="0.6,2"),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(
            "--horizon",
            "--ticks-per-episode",
            help="Ticks of an episode.",
            show_default="the scenario's",
            **WHOLE,
        ),
    ] = None,
    markets: Annotated[int, typer.Option(help="Side by side in each worker.", **WHOLE)] = 64,
    workers: Annotated[
        int, typer.Option(help="Processes that play; 0: this one alone.", **WHOLE)
    ] = 0,
    ticks: Annotated[int, typer.Option(help="Played in each market an iteration.", **WHOLE)] = 64,
    iterations: Annotated[
        int | None, typer.Option(help="At most so many.", show_default="100", **WHOLE)
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option(metavar="WHAT=N,...", help="End earlier, at steps=, reward= or seconds=."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of all chance.", show_default="the scenario's", **WHOLE)
    ] = None,
    hidden: Annotated[str, typer.Option(metavar="N,...", help="Widths of the networks.")] = "64,64",
    activation: Annotated[str, typer.Option(help="tanh, relu, silu or linear.")] = "tanh",
    lr: Annotated[float | None, typer.Option(help="Learning rate.", **DEFAULT)] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Discount factor per tick.", show_default="0.95")
    ] = None,
    hyper: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting of RLlib's own; may be given often."),
    ] = None,
    normalise: Annotated[str, typer.Option(help="pilot (measured beforehand) or none.")] = "pilot",
    evaluate_every: Annotated[int, typer.Option(help="Iterations; 0: never.", **WHOLE)] = 10,
    checkpoint_every: Annotated[int, typer.Option(help="Iterations.", **WHOLE)] = 10,
    out: Annotated[Path, typer.Option(help="Folder that holds the run folders.")] = Path("runs"),
    name: Annotated[
        str | None, typer.Option(help="Name of the run.", show_default="the next free one")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with an interrupted training.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="local: this machine. ray: a cluster, see --address.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to join.", show_default="one of its own")
    ] = None,
    insecure: Annotated[bool, typer.Option(help="Join a cluster without a token.")] = False,
) -> None:
    """Let participants learn with deep networks: PPO, DQN, SAC or APPO of RLlib."""
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
        for option in typed.params:
            source = typed.get_parameter_source(option)
            if source is not None and source.name == "COMMANDLINE" and option not in ON_RESUMING:
                named = {"others": "other", "changes": "set"}.get(option, option).replace("_", "-")
                raise InputError(f"--{named}: a training that is resumed keeps what it began with")
        run = training.read_training(resume, out)
        most = run.plan.iterations if iterations is None else iterations
        extra.needed()
        say(f"{run.folder.name}: going on with {run.plan.algo}")
        _play(most, lambda tell: training.resume(
            run.folder, root=out, on_progress=tell, iterations=iterations, **where
        ))  # fmt: skip
        return
    resolved = _scenario(scenario or "", changes or [], seed)
    plan = training.TrainingPlan(
        resolved, algo, None if agents is None else tuple(agents.split(",")),
        _others(others or []), policies, actions, levels, _pair(band), None, horizon, markets,
        workers, ticks, 100 if iterations is None else iterations, _stops(stop),
        _widths(hidden), activation, lr, gamma, _settings(hyper or []), normalise, evaluate_every,
        16, checkpoint_every, True, resolved.seed,
    )  # fmt: skip
    training.check(plan)
    extra.needed()
    say(
        f"{resolved.name}: {plan.algo}, {plan.actions}, {plural(plan.markets, 'market')} x "
        f"{max(1, plan.workers)}, {plan.ticks} ticks an iteration, seed {plan.seed}"
    )
    _play(plan.iterations, lambda tell: training.train(
        plan, out, name=name, on_progress=tell, **where
    ))  # fmt: skip


def _play(iterations: int, work: Callable[[Any], Any]) -> None:
    with asked_to_stop() as asked, _progress(iterations) as show:

        def tell(record: Mapping[str, Any]) -> bool:
            show(record)
            return bool(asked)

        trained = work(tell)
    last = trained.history[-1]
    told = f"; stopped at {trained.ended}" if trained.ended not in ("iterations", "asked") else ""
    if trained.ended == "asked":
        raise stopped_by(
            f"mos: stopped after iteration {last['iteration']:,}; "
            f"mos train --resume {shown(trained.folder)} goes on", asked[0],
        )  # fmt: skip
    say(f"trained {plural(last['iteration'], 'iteration')}, {last['steps']:,} market ticks{told}")
    for agent in trained.seats.agents:
        found = next((r for r in reversed(trained.history) if f"evaluation/{agent}" in r), None)
        if found is not None:
            say(f"  {agent}: {found[f'evaluation/{agent}']:.6g} a tick without exploring")
    say(f"run     {shown(trained.folder)}")
    say(f"play    mos run {shown(trained.folder / 'trained.yaml')}")


@contextlib.contextmanager
def _progress(iterations: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A bar on a terminal; elsewhere a plain line now and then."""
    if not sys.stdout.isatty():
        last = [time.monotonic()]

        def line(record: Mapping[str, Any]) -> None:
            over = record["iteration"] == iterations
            if over or "evaluation" in record or time.monotonic() - last[0] > SHOW_SECONDS:
                last[0] = time.monotonic()
                say(f"iteration {record['iteration']:,} of {iterations:,}: {_told(record)}")

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("iterations"), BarColumn(30), MofNCompleteColumn())
    with Progress(*columns, Remaining(compact=True), TextColumn("{task.description}")) as bar:
        task = bar.add_task("starting", total=iterations)
        kept: dict[str, Any] = {}

        def show(record: Mapping[str, Any]) -> None:
            kept.update(record)
            bar.update(task, completed=record["iteration"], description=_told(kept))

        yield show


def _told(record: Mapping[str, Any]) -> str:
    parts = [f"{record['steps']:,} ticks"]
    if "reward" in record:
        parts.append(f"reward {record['reward']:.5g}")
    if "evaluation" in record:
        parts.append(f"without exploring {record['evaluation']:.5g}")
    return ", ".join(parts)


# --- what was typed -------------------------------------------------------------------------------


def _scenario(name: str, changes: list[str], seed: int | None) -> Scenario:
    more = [*changes, *([] if seed is None else [f"seed={seed}"])]
    loaded = scenarios.load(name)
    return scenarios.override(loaded, more) if more else loaded


def _others(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in given:
        name, value = _split("--other", one, "firm_2=reactive")
        if isinstance(value, str):
            value = (
                {"kind": "network", "path": value} if value.endswith(".npz") else {"kind": value}
            )
        if not isinstance(value, Mapping):
            raise InputError(
                f"--other {one!r}: {value!r} must be a kind, a {{kind: ...}} or a .npz"
            )
        found[name] = dict(value)
    return found


def _settings(given: list[str]) -> dict[str, Any]:
    return dict(_split("--hyper", one, "entropy_coeff=0.01") for one in given)


def _split(option: str, text: str, example: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{option} {text!r} must be KEY=VALUE, such as {example}")
    return key.strip(), parsed_value(value, f"{option} {text!r}")


def _stops(text: str | None) -> dict[str, float]:
    found = {}
    for one in [] if text is None else text.split(","):
        key, _, value = one.partition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError:
            raise InputError(
                f"--stop {one!r} must be WHAT=NUMBER, such as steps=1e6 or reward=0.3"
            ) from None
    return found


def _widths(text: str) -> tuple[int, ...]:
    return tuple(whole(one) for one in text.split(","))


def _pair(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(one) for one in text.split(","))
    except ValueError:
        raise InputError(f"--band {text!r} must be two numbers, such as 0.6,2") from None
    return low, high
