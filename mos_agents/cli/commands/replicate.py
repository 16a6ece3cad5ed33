"""`mos replicate`: a published experiment, played again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli import loading
from mos_agents.cli.options import WHOLE, Address, Insecure
from mos_agents.cli.terminal import print_line, progress


def replicate(
    name: Annotated[
        str | None, typer.Argument(help="An experiment; --list shows them.", show_default=False)
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
    """Play a published experiment, and compare its figures with ours.

    The exit code is 1 where a published figure is missed.
    """
    with loading():
        from mos_agents.lab import replicating
        from mos_agents.lab.feedback import Interrupted
        from mos_agents.lab.folders import check_writable
        from mos_agents.market.printing import printable
        from mos_agents.market.types import InputError
        from mos_agents.runs.files import write_whole
        from mos_agents.wording import shown

    if list_them:
        _list()
        return
    if name is None:
        raise InputError("which experiment? mos replicate --list shows them")
    if json is not None:
        check_writable(json, folder=False)
    try:
        with progress() as bar:
            found = replicating.replicate(
                name,
                sessions=sessions,
                changes=changes or (),
                seed=seed,
                workers=workers,
                backend=backend,
                address=address,
                insecure=insecure,
                folder=folder,
                on_progress=bar,
                on_message=print_line,
            )
    except Interrupted as stop:
        if not stop.at_once:
            raise
        sys.stdout.flush()
        print(printable(f"mos: {stop}"), file=sys.stderr, flush=True)
        os._exit(stop.code)  # threads inside compiled loops cannot be told to stop
    _table(found.rows())
    print_line(replicating.CAPTION)
    if json is not None:
        write_whole(json, found.as_json().encode())
        print_line(f"written {shown(json)}")
    print_line(found.effort)
    if found.missed:
        print_line(f"not within sampling error of what was published: {', '.join(found.missed)}")
    raise typer.Exit(int(bool(found.missed)))


def _list() -> None:
    with loading():
        from mos_agents.lab import replicating

    titles = replicating.experiments()
    width = max(map(len, titles))
    for name, title in titles.items():
        print_line(f"{name:<{width}}  {title}")


def _table(rows: Sequence[Sequence[str]]) -> None:
    """The findings: a table on a terminal, aligned text elsewhere."""
    with loading():
        from mos_agents.lab.replicating import HEADINGS, aligned
        from mos_agents.market.printing import cell

    if not sys.stdout.isatty():
        for line in aligned(rows):
            print_line(line)
        return
    from rich.console import Console
    from rich.table import Table

    made = Table()
    for heading in HEADINGS:
        side = "left" if heading in ("quantity", "source") else "right"
        made.add_column(heading, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*map(cell, row), style="bold red" if row[4] == "NO" else None)
    Console().print(made)
