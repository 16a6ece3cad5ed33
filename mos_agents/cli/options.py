"""Options that several commands have, declared once: the same words mean the same everywhere."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mos_agents.scenarios import Scenario

# The market's modules load numpy: what needs them imports them, so that --help is quick.


def whole(text: str) -> int:
    """A whole number as typed, of at most 18 digits."""
    from mos_agents.market.checks import MOST_WHOLE, echo

    try:
        number = int(text)
    except ValueError:
        raise typer.BadParameter(f"{echo(text)} must be a whole number") from None
    if not -MOST_WHOLE < number < MOST_WHOLE:
        raise typer.BadParameter(
            f"{echo(number)} is beyond the numbers that are computed with: at most 18 digits"
        )
    return number


WHOLE: dict[str, Any] = {"parser": whole, "metavar": "N"}
THEIRS = "the scenario's"

ScenarioName = Annotated[
    str | None, typer.Argument(help="A preset's name or a scenario file.", show_default=False)
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Change a setting of the scenario; may be given often."
    ),
]
Ticks = Annotated[int | None, typer.Option(help="Ticks to play.", show_default=THEIRS, **WHOLE)]
Markets = Annotated[
    int | None, typer.Option(help="Independent copies of the market.", show_default=THEIRS, **WHOLE)
]
Seed = Annotated[int | None, typer.Option(help="Seed of all chance.", show_default=THEIRS, **WHOLE)]
Out = Annotated[Path, typer.Option(help="Folder that holds the run folders.")]
RunName = Annotated[
    str | None, typer.Option(help="Name of the run.", show_default="the next free one")
]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster to join.", show_default="one of its own")
]
Insecure = Annotated[bool, typer.Option(help="Join a cluster that demands no token.")]
Report = Annotated[bool, typer.Option(help="Write report.html at the end.")]


RunGiven = Annotated[str, typer.Argument(metavar="RUN", help="Name or path of a run folder.")]
AnyGiven = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Name or path of a run's, training's or sweep's folder."),
]


IMPORTED = "imported"
Imported = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Import a module of yours that registers classes; may be given often.",
    ),
]


def importing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with `--import MODULE`: what those modules register is known to it."""
    found = inspect.signature(command, eval_str=True)
    by_name = inspect.Parameter.KEYWORD_ONLY
    own = inspect.Parameter(IMPORTED, by_name, default=None, annotation=Imported)

    @functools.wraps(command)
    def called(**given: Any) -> Any:
        if modules := given.pop(IMPORTED):
            from mos_agents import registry
            from mos_agents.wording import note_import

            for module in modules:
                registry.load(module)
                note_import(module)
        return command(**given)

    named = [one.replace(kind=by_name) for one in found.parameters.values()]
    called.__signature__ = found.replace(parameters=[*named, own])  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in (*named, own)}
    return called


def was_typed(typed: typer.Context, name: str) -> bool:
    """Whether an option was given on the command line."""
    source = typed.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def only(typed: typer.Context, allowed: Container[str | None], why: str) -> None:
    """InputError for the first option that was typed and is not among those allowed."""
    from mos_agents.market.types import InputError

    for one in typed.command.params:
        if one.name == IMPORTED:
            continue
        if was_typed(typed, one.name or "") and one.name not in allowed:
            raise InputError(f"{one.opts[0]}: {why}")


def resolved(
    scenario: str,
    changes: list[str] | None,
    ticks: int | None = None,
    markets: int | None = None,
    seed: int | None = None,
) -> Scenario:
    """The scenario with the changes that were typed; errors name the option."""
    from mos_agents.lab.settings import resolve

    return resolve(scenario, changes or [], ticks, markets, seed)
