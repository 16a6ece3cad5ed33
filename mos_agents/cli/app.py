"""The commands of `mos`. The first line of each says what it does, its --help the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mos_agents import __version__, runs, scenarios
from mos_agents.cli.commands import explain as explaining
from mos_agents.cli.commands import exploit as exploiting
from mos_agents.cli.commands import sweep as sweeping
from mos_agents.cli.commands import train as training
from mos_agents.cli.examples import epilog
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
    importing,
    only,
)
from mos_agents.lab import comparing
from mos_agents.lab.folders import MARKS, kind_of, run_of
from mos_agents.lab.playing import (
    compiled,
    go_on,
    play,
    print_line,
    resolve,
    shown,
    stages,
)
from mos_agents.lab.reporting import finished, reported
from mos_agents.market.types import InputError
from mos_agents.runs.names import locate

app = typer.Typer(
    help="A laboratory for markets whose participants are independent and learn.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


BACKENDS = ("local", "actors", "ray")
ON_RESUMING = {"resume", "out", "report", "backend", "address", "insecure", "spread"}
"""What may be said when a run is resumed; everything else it began with."""
BY_SIZE = "by size"
RunGiven = Annotated[str, typer.Argument(metavar="RUN", help="Name or path of a run folder.")]
AnyGiven = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Name or path of a run's, training's or sweep's folder."),
]


def _version(wanted: bool) -> None:
    if wanted:
        print_line(f"mos-agents {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    pass


@app.command()
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

    The command ends with what the run came to, the report, the folder, and the hash of the
    trajectory: the same command and seed give the same hash.
    """
    if (scenario is None) == (resume is None):
        raise InputError("give a scenario, or --resume RUN, and not both; see mos run --help")
    if backend not in BACKENDS:
        raise InputError(f"backend={backend!r} must be one of {', '.join(BACKENDS)}")
    where: dict[str, Any] = {"address": address, "insecure": insecure, "spread": spread}
    if resume is not None:
        only(typed, ON_RESUMING, "a run that is resumed keeps what it began with")
        _resume(run_of(resume, out), where, report)
        return
    resolved = resolve(scenario or "", changes or [], ticks, markets, seed)
    how: dict[str, Any] = {
        "shards": shards,
        "workers": workers,
        "deadline": deadline,
        "audit": audit,
    }
    how = {name: value for name, value in how.items() if value is not None}
    if backend == "local":
        given = [f"--{k}" for k, v in (how | where).items() if v not in (None, False)]
        if given:
            raise InputError(f"{given[0]} is for actors: add --backend ray")
        _run(resolved, out, name, record_markets, every, report)
        return
    from mos_agents.lab import acting

    plan = acting.Acting(backend=backend, **how, **where)
    acting.check_fits(resolved, plan)
    finished(
        *acting.play(
            lambda: acting.open_recording(resolved, out, plan, name, record_markets, every),
            resolved,
            plan,
        ),
        report,
    )


@app.command()
def verify(run: RunGiven, out: Out = Path("runs")) -> None:
    """Make a finished run anew, and compare every table with it.

    It is made from its journal, or else from its scenario and seed.
    """
    from mos_agents.lab import verifying

    for line in verifying.verify(run_of(run, out)).lines():
        print_line(line)


@app.command()
def demo(
    sessions: Annotated[
        int, typer.Option(help="Learning runs, of the learners and of each control.", **WHOLE)
    ] = 100,
    seed: Annotated[int, typer.Option(help="Seed of all chance.", **WHOLE)] = 0,
    out: Out = Path("runs"),
    workers: Annotated[int, typer.Option(help="Cores to use.", **WHOLE)] = 2,
) -> None:
    """Two sellers learn to price: wars, answers to a cut, controls."""
    from mos_agents.lab.demonstration import (
        demonstrate,  # draws with matplotlib: only where it is needed
    )

    if not compiled():
        print_line("compiling the market's kernels: up to a minute, once")
    with stages() as progress:
        folder, sentence = demonstrate(sessions, seed, out, workers, progress)
    print_line(sentence)
    print_line(f"report  {shown(folder / 'report.html')}")


@app.command("scenarios")
def list_scenarios() -> None:
    """List the presets."""
    loaded = [scenarios.load(name) for name in scenarios.presets()]
    width = max(len(one.name) for one in loaded)
    for one in loaded:
        first = one.description.split(". ")[0].rstrip(".")
        print_line(f"{one.name:<{width}}  {first}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A preset's name or a scenario file.")],
    plain: Annotated[
        bool, typer.Option("--plain", help="Leave out the comments that explain each setting.")
    ] = False,
) -> None:
    """Print a scenario with every setting and what it means.

    It is a file to start from: mos show retail > mine.yaml.
    """
    loaded = scenarios.load(name)
    print_line((scenarios.dump(loaded) if plain else scenarios.commented(loaded)).rstrip())


@app.command()
def check(
    file: Annotated[
        str, typer.Argument(help="A scenario, catalogue, series, or what mos has written.")
    ],
) -> None:
    """Say what a file is and what is in it, or what is wrong."""
    from mos_agents.lab.checking import check

    for line in check(file):
        print_line(line)


@app.command()
def report(run: AnyGiven, out: Out = Path("runs")) -> None:
    """Write report.html of a run, training or sweep anew."""
    folder = locate(run, out)
    kind = kind_of(folder)
    if kind == "training":
        from mos_agents.lab import training_page
        from mos_agents.training import read_training

        print_line(f"report  {shown(training_page.write(read_training(folder)))}")
    elif kind == "sweep":
        from mos_agents.lab import sweep_page
        from mos_agents.sweeps import SweepFolder, SweepResult

        kept = SweepFolder.read(folder)
        print_line(
            f"report  {shown(sweep_page.write(SweepResult(kept.plan, kept.done()), folder))}"
        )
    elif kind == "run":
        reported(runs.read(folder))
    else:
        raise runs.RunError(
            f"{shown(folder)}: has none of {', '.join(MARKS.values())}; it is damaged, or is no "
            "run's, training's or sweep's folder"
        )


@app.command()
def compare(
    one: Annotated[str, typer.Argument(metavar="RUN", help="Name or path of a run folder.")],
    two: Annotated[str, typer.Argument(metavar="RUN", help="Another.")],
    out: Out = Path("runs"),
) -> None:
    """Compare two runs: totals, and whether every bit agrees."""
    for line in comparing.lines(run_of(one, out), run_of(two, out)):
        print_line(line)


@app.command()
def replicate(
    name: Annotated[
        str | None, typer.Argument(help="An experiment; --list tells which.", show_default=False)
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(help="Sessions to play.", show_default="the paper's", **WHOLE)
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A=B", help="Change a setting; may be given often."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of all chance.", show_default="0", **WHOLE)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Threads.", show_default="one a core", **WHOLE)
    ] = None,
    backend: Annotated[
        str, typer.Option(help="local: threads of this machine. ray: tasks on Ray.")
    ] = "local",
    address: Address = None,
    insecure: Insecure = False,
    folder: Annotated[
        Path | None, typer.Option(help="Keep finished sessions there; go on from those it has.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
) -> None:
    """Play a published experiment, and put its figures beside ours."""
    from mos_agents.lab import replicating

    if list_them or name is None:
        if not list_them:
            raise InputError("which experiment? mos replicate --list tells them")
        replicating.listed()
        return
    order = replicating.ReplicationRequest(
        name,
        sessions,
        tuple(changes or ()),
        seed,
        workers,
        backend,
        address,
        insecure,
        folder,
        json,
    )
    raise typer.Exit(replicating.replicate(order))


app.command()(explaining.explain)
app.command()(training.train)
app.command()(exploiting.exploit)
app.command()(sweeping.sweep)

for _command in app.registered_commands:
    assert _command.callback is not None
    _command.callback = importing(_command.callback)
    _command.epilog = epilog(str(_command.name or getattr(_command.callback, "__name__", "")))


def _run(
    scenario: scenarios.Scenario,
    out: Path,
    name: str | None = None,
    record_markets: int | None = None,
    every: int | None = None,
    report: bool = True,
    stem: str | None = None,
) -> None:
    finished(*play(scenario, out, name, record_markets, every, stem), report)


def _resume(run: runs.Run, where: dict[str, Any], report: bool) -> None:
    if run.facts.get("actors"):
        from mos_agents.lab import acting

        kept = acting.Acting.of(run.facts["actors"])
        finished(*acting.resume(run, replace(kept, **where)), report)
    else:
        finished(*go_on(run), report)
