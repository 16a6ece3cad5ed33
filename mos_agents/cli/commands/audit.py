"""`mos audit`: observed prices, put to every screen that applies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mos_agents.cli import loading
from mos_agents.cli.options import WHOLE
from mos_agents.cli.terminal import print_line, width

_MANY = "may be given often."


def audit(
    prices: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE", help="A file of observed prices, or a run."),
    ],
    cost: Annotated[
        str | None,
        typer.Option(help="Unit costs: a column's heading, a file, or a number.", metavar="COST"),
    ] = None,
    quantity: Annotated[
        str | None, typer.Option(help="Units sold: a column's heading, or a file.", metavar="UNITS")
    ] = None,
    demand: Annotated[
        str | None,
        typer.Option(help="A scenario whose demand gives prices of theory.", metavar="SCENARIO"),
    ] = None,
    common: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A series for all sellers, such as a cost index: a heading or file; {_MANY}"
        ),
    ] = None,
    season: Annotated[
        list[str] | None,
        typer.Option(help=f"A column of labels, such as promotions; {_MANY}", metavar="HEADING"),
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="A file of prices of a comparable market.", metavar="FILE")
    ] = None,
    vendors: Annotated[
        list[str] | None,
        typer.Option(
            "--vendors", help=f"Who supplies a seller's pricing software; {_MANY}", metavar="A=B"
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="The column of dates.", metavar="HEADING")
    ] = None,
    seller: Annotated[
        str | None, typer.Option(help="The column of sellers.", metavar="HEADING")
    ] = None,
    product: Annotated[
        str | None, typer.Option(help="The column of products.", metavar="HEADING")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help=f"The column of prices; of a wide file, {_MANY}", metavar="HEADING"),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(help="Average prices by hour, day, week, month, quarter or year."),
    ] = None,
    read: Annotated[
        list[str] | None,
        typer.Option(help=f"How the file is written, as decimal=comma; {_MANY}", metavar="A=B"),
    ] = None,
    level: Annotated[
        float, typer.Option(help="Share of competitive markets with any false alarm.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of resampling.", **WHOLE)] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a page with pictures, and JSON and CSV, into this folder."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table of them to this file.")] = None,
    root: Annotated[Path, typer.Option(help="Folder that holds the run folders.")] = Path("runs"),
) -> None:
    """Look for signs of collusion and price wars in observed prices.

    The prices come from a file or from a run. A file is long (columns for time, seller and price)
    or wide (a column of dates, and a column of prices for each seller).
    """
    with loading():
        import textwrap

        from mos_agents.lab import auditing
        from mos_agents.lab.folders import check_writable
        from mos_agents.runs.files import write_whole
        from mos_agents.wording import shown

    for path, folder in ((json, False), (csv, False), (out, True)):
        if path is not None:
            check_writable(path, folder=folder)
    columns = {"time": time, "seller": seller, "product": product, "price": price}
    found = auditing.audit(
        prices,
        cost=cost,
        quantity=quantity,
        demand=demand,
        common=common or (),
        season=season or (),
        control=control,
        vendors=_pairs("vendors", vendors),
        columns={name: value for name, value in columns.items() if value},
        read=_read(read),
        every=every,
        level=level,
        seed=seed,
        root=root,
        on_message=lambda note: print_line(f"recognised: {note}"),
    )
    print_line("")
    for line in found.lines():
        indent = "  " * line.startswith("  ")
        wrapped = textwrap.wrap(line, width(), subsequent_indent=indent) or [""]
        for one in wrapped:
            print_line(one)
    if json is not None:
        write_whole(json, found.as_json().encode())
        print_line(f"written {shown(json)}")
    if csv is not None:
        write_whole(csv, found.as_csv().encode())
        print_line(f"written {shown(csv)}")
    if out is not None:
        print_line(f"report  {shown(found.write(out))}")


def _pairs(name: str, given: list[str] | None) -> dict[str, str]:
    from mos_agents.market.types import InputError

    made = {}
    for text in given or ():
        left, mark, right = text.partition("=")
        if not mark or not left.strip() or not right.strip():
            raise InputError(f"--{name} {text}: must be written A=B")
        made[left.strip()] = right.strip()
    return made


def _read(given: list[str] | None) -> dict[str, object]:
    """Settings of the reader: numbers and yes or no as such."""
    words: dict[str, object] = {"true": True, "false": False}
    return {
        name: int(text) if text.isdecimal() else words.get(text.lower(), text)
        for name, text in _pairs("read", given).items()
    }
