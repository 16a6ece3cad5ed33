"""Every experiment of the literature, one after another, in one table."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mos_agents.lab.feedback import OnMessage, OnProgress
from mos_agents.lab.folders import check_writable
from mos_agents.lab.replicating import (
    CAPTION,
    HEADINGS,
    Replication,
    aligned,
    draw_agreement,
    known_experiments,
    replicate,
    tables_of_findings,
)
from mos_agents.market.frames import Printed
from mos_agents.market.printing import short_repr

TOGETHER = (
    "the published figures of all experiments are judged together: one in twenty such tables has a "
    "figure that is off by chance"
)


@short_repr
@dataclass(frozen=True, eq=False)
class Literature(Printed):
    """Several experiments of the literature, played again; `print` shows one table.

    Attributes
    ----------
    replications : tuple of Replication
        The experiments, in the order in which they were played.
    """

    replications: tuple[Replication, ...]

    @property
    def tables(self) -> dict[str, list[Any]]:
        """The findings that have a published figure, by experiment, judged together."""
        tables = tables_of_findings()
        found = {one.name: tables.published_only(one.findings) for one in self.replications}
        return dict(tables.judged_together(found))

    @property
    def missed(self) -> list[str]:
        """The quantities, as "experiment: quantity", that are not within sampling error."""
        return [
            f"{name}: {one.quantity}"
            for name, found in self.tables.items()
            for one in found
            if one.within is False
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """The table, without its headings."""
        return [
            (name, *row)
            for name, found in self.tables.items()
            for row in tables_of_findings().table(found)
        ]

    def as_json(self) -> str:
        """The records of all experiments as JSON."""
        tables = tables_of_findings()
        made = [tables.record(one.name, one.settings, one.findings) for one in self.replications]
        return json.dumps({"experiments": made}, indent=2, allow_nan=False) + "\n"

    def as_csv(self) -> str:
        """The table as CSV, with all digits."""
        return str(tables_of_findings().as_csv(self.tables))

    def as_latex(self) -> str:
        """The table as a LaTeX tabular."""
        return str(tables_of_findings().as_latex(self.tables))

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings of the table."""
        return ("experiment", *HEADINGS)

    @property
    def captions(self) -> tuple[str, ...]:
        """The lines under the table."""
        return CAPTION, TOGETHER

    @property
    def effort(self) -> str:
        """The time and the sessions of each experiment."""
        return "; ".join(f"{one.name}: {one.effort}" for one in self.replications)

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw ours against the published figures, with intervals, into a .svg or .png file."""
        draw_agreement(self.tables, Path(path))

    def __str__(self) -> str:
        return "\n".join([*aligned(self.rows(), self.headings), *self.captions])


def replicate_all(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    seed: int | None = None,
    workers: int | None = None,
    backend: str = "local",
    address: str | None = None,
    insecure: bool = False,
    folder: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
    on_message: OnMessage | None = None,
) -> Literature:
    """Play published experiments again, each with its own defaults, and make one table of them.

    Parameters
    ----------
    names : sequence of str
        The experiments; all of them where left out.
    quick : bool
        Play few sessions of each: a quick look, with wide intervals.
    seed : int, optional
        The seed of all random numbers.
    workers : int, optional
        Threads of this machine, one a core where left out.
    backend, address, insecure
        As in `replicate`.
    folder : str or path, optional
        Finished sessions are kept there, in a folder for each experiment that can keep them.
    on_progress, on_message : callable, optional
        Called after each session, and with lines of text.

    Returns
    -------
    Literature
        The published figures beside ours.

    Raises
    ------
    InputError, RunError
        One line about a setting that is wrong.
    Interrupted
        On Ctrl-C or SIGTERM. What is in `folder` stays, and the same call goes on.
    """
    known = known_experiments()
    wanted = tuple(names) or tuple(known.EXPERIMENTS)
    for name in wanted:
        known.settings(name, known.quick(name) if quick else (), seed=seed)
    kept = None if folder is None else Path(folder)
    if kept is not None:
        check_writable(kept, folder=True)
        kept.mkdir(exist_ok=True)
    return Literature(
        tuple(
            replicate(
                name,
                quick=quick,
                seed=seed,
                workers=workers,
                backend=backend,
                address=address,
                insecure=insecure,
                folder=kept / name if kept is not None and known.keeps(name) else None,
                on_progress=on_progress,
                on_message=on_message,
            )
            for name in wanted
        )
    )
