"""`mos replicate`: a published experiment, played again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

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
    all_of_them: Annotated[
        bool, typer.Option("--all", help="Play every experiment, and print one table.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Few sessions: a quick look.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table there as CSV.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Write the table there as LaTeX.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw ours against the published figures: .svg or .png.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
) -> None:
    """Play a published experiment, and compare its figures with ours.

    The exit code is 1 where a published figure is missed.
    """
    with loading():
        from mos_agents.lab import replicating
        from mos_agents.lab.feedback import Interrupted
        from mos_agents.lab.folders import check_writable
        from mos_agents.lab.literature import Literature, replicate_all
        from mos_agents.lab.replicating import Replication
        from mos_agents.market.printing import printable
        from mos_agents.market.types import InputError
        from mos_agents.report.replications import checked
        from mos_agents.runs.files import write_whole
        from mos_agents.wording import shown

    if list_them:
        _list()
        return
    if all_of_them and (name is not None or changes or sessions is not None):
        raise InputError("--all plays every experiment as it is: leave out NAME, --set, --sessions")
    if name is None and not all_of_them:
        raise InputError("which experiment? mos replicate --list shows them")
    for path in (json, csv, latex):
        if path is not None:
            check_writable(path, folder=False)
    if figure is not None:
        checked(figure)
    try:
        with progress() as bar:
            shared: dict[str, Any] = {
                "seed": seed,
                "quick": quick,
                "workers": workers,
                "backend": backend,
                "address": address,
                "insecure": insecure,
                "folder": folder,
                "on_progress": bar,
                "on_message": print_line,
            }
            found: Replication | Literature
            if name is None:
                found = replicate_all(**shared)
            else:
                found = replicating.replicate(
                    name, sessions=sessions, changes=changes or (), **shared
                )
    except Interrupted as stop:
        if not stop.at_once:
            raise
        sys.stdout.flush()
        print(printable(f"mos: {stop}"), file=sys.stderr, flush=True)
        os._exit(stop.code)  # threads inside compiled loops cannot be stopped
    _table(found.rows(), found.headings)
    for line in found.captions:
        print_line(line)
    for path, text in ((json, found.as_json), (csv, found.as_csv), (latex, found.as_latex)):
        if path is not None:
            write_whole(path, text().encode())
            print_line(f"written {shown(path)}")
    if figure is not None:
        found.draw(figure)
        print_line(f"written {shown(figure)}")
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


def _table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    """The findings: a table on a terminal, aligned text elsewhere."""
    with loading():
        from mos_agents.lab.replicating import WORDS, aligned
        from mos_agents.market.printing import cell

    if not sys.stdout.isatty():
        for line in aligned(rows, headings):
            print_line(line)
        return
    from rich.console import Console
    from rich.table import Table

    made = Table()
    for heading in headings:
        side = "left" if heading in WORDS else "right"
        made.add_column(heading, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*map(cell, row), style="bold red" if "NO" in row else None)
    Console().print(made)
