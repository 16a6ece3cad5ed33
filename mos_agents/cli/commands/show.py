"""`mos show`: a scenario in full."""

from __future__ import annotations

from typing import Annotated

import typer

from mos_agents.cli import loading
from mos_agents.cli.terminal import print_line


def show(
    name: Annotated[str, typer.Argument(help="A preset's name or a scenario file.")],
    plain: Annotated[
        bool, typer.Option("--plain", help="Leave out the comments that explain each setting.")
    ] = False,
) -> None:
    """Print a scenario with every setting and what it means.

    It is a file to start from: mos show retail > mine.yaml.
    """
    with loading():
        from mos_agents.scenarios import commented, dump, load

    loaded = load(name)
    print_line((dump(loaded) if plain else commented(loaded)).rstrip())
