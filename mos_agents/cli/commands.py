"""The commands of `mos`. The first line of each says what it does, its --help the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mos_agents import __version__, runs, scenarios
from mos_agents.cli import comparing
from mos_agents.cli.playing import play, plural, resolve, say, shown

app = typer.Typer(
    help="A laboratory for markets whose participants are independent and learn.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def whole(text: str) -> int:
    """A whole number as typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be a whole number") from None


THEIRS, BY_SIZE = "the scenario's", "by size"
WHOLE: dict[str, Any] = {"parser": whole, "metavar": "N"}
Out = Annotated[Path, typer.Option(help="Folder that holds the run folders.")]
Ticks = Annotated[int | None, typer.Option(help="Ticks to play.", show_default=THEIRS, **WHOLE)]
Seed = Annotated[int | None, typer.Option(help="Seed of all chance.", show_default=THEIRS, **WHOLE)]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name or path of a run folder.")]


def _version(wanted: bool) -> None:
    if wanted:
        say(f"mos-agents {__version__}")
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
    scenario: Annotated[str, typer.Argument(help="A preset's name or a scenario file.")],
    ticks: Ticks = None,
    markets: Annotated[
        int | None, typer.Option(help="Independent copies.", show_default=THEIRS, **WHOLE)
    ] = None,
    seed: Seed = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change a setting; may be given often."),
    ] = None,
    out: Out = Path("runs"),
    name: Annotated[
        str | None, typer.Option(help="Name of the run.", show_default="the next free one")
    ] = None,
    record_markets: Annotated[
        int | None,
        typer.Option(help="Record the first N markets.", show_default=BY_SIZE, **WHOLE),
    ] = None,
    every: Annotated[
        int | None, typer.Option(help="Record every N-th tick.", show_default=BY_SIZE, **WHOLE)
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Play a scenario, record it in a run folder, and write its report."""
    resolved = resolve(scenario, changes or [], ticks, markets, seed)
    _run(resolved, out, name, record_markets, every, report)


@app.command()
def demo(ticks: Ticks = None, seed: Seed = None, out: Out = Path("runs")) -> None:
    """A platform and two firms compete for shoppers: run it and write its report."""
    _run(resolve("retail", [], ticks, None, seed), out, stem="demo")


@app.command("scenarios")
def list_scenarios() -> None:
    """List the presets."""
    loaded = [scenarios.load(name) for name in scenarios.presets()]
    width = max(len(one.name) for one in loaded)
    for one in loaded:
        first = one.description.split(". ")[0].rstrip(".")
        say(f"{one.name:<{width}}  {first}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A preset's name or a scenario file.")]) -> None:
    """Print a scenario with every default filled in: a file to start from."""
    say(scenarios.dump(scenarios.load(name)).rstrip())


@app.command()
def check(file: Annotated[str, typer.Argument(help="A scenario file.")]) -> None:
    """Check a scenario file, and say what it describes."""
    scenario = scenarios.load(file)
    market = scenario.market()
    scenario.policies()
    layout = market.layout
    plan = runs.Plan.of(layout, scenario.ticks, scenario.markets)
    say(
        f"{scenario.name} is fine: {plural(layout.N, 'participant')}, "
        f"{plural(layout.K, 'instrument')}, {plural(layout.L, 'listing')}, "
        f"{scenario.ticks:,} ticks, {plural(scenario.markets, 'market')}"
    )
    say(f"a run records {plan.told(scenario.markets)}")


@app.command()
def report(run: RunName, out: Out = Path("runs")) -> None:
    """Write report.html of a run anew, from its folder alone."""
    _report(runs.read(run, out))


@app.command()
def compare(
    one: Annotated[str, typer.Argument(metavar="RUN", help="Name or path of a run folder.")],
    two: Annotated[str, typer.Argument(metavar="RUN", help="Another.")],
    out: Out = Path("runs"),
) -> None:
    """Compare two runs: totals per participant, and whether every bit agrees."""
    for line in comparing.lines(runs.read(one, out), runs.read(two, out)):
        say(line)


def _run(
    scenario: scenarios.Scenario,
    out: Path,
    name: str | None = None,
    record_markets: int | None = None,
    every: int | None = None,
    report: bool = True,
    stem: str | None = None,
) -> None:
    folder, trajectory = play(scenario, out, name, record_markets, every, stem)
    say(f"run     {shown(folder)}")
    say(f"hash    {trajectory}")
    if report:
        _report(runs.read(folder))


def _report(run: runs.Run) -> None:
    from mos_agents.report import write  # draws with matplotlib: loaded only where it is needed

    say(f"report  {shown(write(run))}")
