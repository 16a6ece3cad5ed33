"""A run read back: what was recorded up to some tick, every part checked before it is used."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mos_agents.market.frames import as_pandas, cell, table_html
from mos_agents.market.printing import short_repr
from mos_agents.runs.facts import check_facts
from mos_agents.runs.files import RunError, digest, read_run_file, read_with_digest
from mos_agents.runs.names import locate
from mos_agents.runs.sealing import read_sealed
from mos_agents.runs.structure import (
    KEYS,
    ExpectedParts,
    ExpectedRows,
    check_columns,
    check_keys,
    check_values,
    columns_of,
    kind,
)
from mos_agents.runs.tables import TABLES

PART = re.compile(r"part-(\d{6})\.parquet")


@short_repr
@dataclass(frozen=True)
class Run:
    """A recorded run: its folder and what stands in it.

    Parameters
    ----------
    folder : Path
        The run's folder.
    facts : dict
        The content of run.json.
    scenario : str
        The resolved scenario, as YAML.
    parts : int
        How many files each table has.
    """

    folder: Path
    facts: dict[str, Any]
    scenario: str
    parts: int

    def __str__(self) -> str:
        facts = self.facts
        state = "" if self.finished else f", interrupted after {self.ticks:,}"
        return (
            f"{self.name}: {facts['scenario']}, {facts['ticks']:,} ticks{state}, "
            f"markets={facts['markets']:,}, seed {facts['seed']} (report.summarise gives its "
            "results)"
        )

    def to_polars(self, table: str = "aggregates") -> pl.DataFrame:
        """Return one of the tables.

        Parameters
        ----------
        table : {"aggregates", "participants", "listings"}
            The table: means over all markets by tick and participant, or what was recorded by
            participant, or by listing.

        Returns
        -------
        polars.DataFrame
            The whole table, as `Run.table` gives it.

        Raises
        ------
        RunError
            If a part of the table is damaged.
        """
        return self.table(table)

    def to_pandas(self, table: str = "aggregates") -> Any:
        """Return the frame of `to_polars` as a pandas frame.

        Parameters
        ----------
        table : {"aggregates", "participants", "listings"}
            As for `to_polars`.

        Returns
        -------
        pandas.DataFrame
            The same rows and columns.

        Raises
        ------
        InputError
            If pandas is not installed.
        RunError
            If a part of the table is damaged.
        """
        return as_pandas(self.to_polars(table))

    def _repr_html_(self) -> str:
        keys = ("scenario", "ticks", "markets", "seed", "finished", "hash")
        rows = [(key, cell(self.facts.get(key))) for key in keys if key in self.facts]
        return table_html(("fact", "value"), rows, [str(self)])

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the run has reached its last tick."""
        return self.facts["finished"] is not None

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """The first tick of every part, and after them the one that follows the last.

        Raises RunError where the parts of `aggregates` do not follow on each other.
        """
        expected, edges = ExpectedRows.of(self.facts), [0]
        for part in range(self.parts):
            path = self._path("aggregates", part)
            rows = self._read("aggregates", part, KEYS["aggregates"])
            edges.append(expected.end_of(rows, edges[-1], path))
        due = self.facts["ticks"]
        if edges[-1] > due or (self.finished and edges[-1] < due):
            where = self._path("aggregates", max(self.parts - 1, 0))
            raise RunError(
                f"{where}: ends with tick {edges[-1] - 1} where tick {due - 1} should be the last: "
                "damaged"
            )
        return tuple(edges)

    @property
    def ticks(self) -> int:
        """Ticks that can be read back."""
        return self.edges[-1]

    def listings(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A row per recorded tick, market and listing."""
        return self.table("listings", columns)

    def participants(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A row per recorded tick, market and participant."""
        return self.table("participants", columns)

    def aggregates(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A row per tick and participant: means over all markets."""
        return self.table("aggregates", columns)

    def table(self, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A whole table; RunError where any part of it is damaged."""
        chunks = list(self.chunks(table, columns))
        if not chunks:
            wanted = columns or columns_of(table, self.facts)
            return pl.DataFrame(schema={c: kind(table, c) for c in wanted})
        return pl.concat(chunks)

    def chunks(
        self, table: str, columns: Sequence[str] | None = None, only: int | None = None
    ) -> Iterator[pl.DataFrame]:
        """The table part by part, for runs that do not fit in memory.

        Raises RunError at a part that is damaged, or is not the one that belongs in its place.
        """
        expected, edges = ExpectedRows.of(self.facts), self.edges
        wanted = tuple(columns_of(table, self.facts) if columns is None else columns)
        for number in range(self.parts) if only is None else [only]:
            rows = self._read(table, number, tuple(dict.fromkeys((*KEYS[table], *wanted))))
            path = self._path(table, number)
            if table == "aggregates":
                expected.end_of(rows, edges[number], path)
            else:
                ticks = edges[number], edges[number + 1]
                expected.check(table, rows, ticks, self._listed, path)
            yield rows.select(wanted)

    @cached_property
    def _listed(self) -> ExpectedParts:
        """Who sells what, from the first part of `listings` that has rows."""
        for part in range(self.parts):
            rows = self._read("listings", part, KEYS["listings"])
            if rows.height:
                return ExpectedRows.of(self.facts).listed(rows, self._path("listings", part))
        return ExpectedParts(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def _path(self, table: str, part: int) -> Path:
        return self.folder / table / f"part-{part:06d}.parquet"

    def _read(self, table: str, part: int, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of a part; RunError where the file is not as it was written."""
        path, digests = self._path(table, part), self.facts.get("parts_sha256")
        data = read_with_digest(path, digests[table][part] if digests else None)
        try:
            schema = pl.read_parquet_schema(io.BytesIO(data))
            check_columns(table, columns_of(table, self.facts), schema, path)
            rows = pl.read_parquet(io.BytesIO(data), columns=list(columns), use_pyarrow=False)
        except pl.exceptions.PolarsError as error:
            text = str(error).splitlines()[0]
            raise RunError(f"{path}: cannot be read as Parquet: {text}") from None
        check_keys(table, rows, path)
        return rows

    def digests(self) -> dict[str, list[str]]:
        """SHA-256 of every part, by table."""
        return {
            table: [digest(read_run_file(self._path(table, n))) for n in range(self.parts)]
            for table in TABLES
        }

    def check(self) -> None:
        """Read every byte of every table; RunError at the first that is not as it was written, at
        a tick that is not there once, at a value that is not a number, and where something lies
        in the folder of a finished table that is no part of it."""
        for table in TABLES:
            if self.finished:
                _check_nothing_else(self.folder / table)
            for number, rows in enumerate(self.chunks(table)):
                check_values(rows, self._path(table, number))


def read(run: str | Path, root: str | Path = "runs") -> Run:
    """Read a run back.

    Parameters
    ----------
    run : str or Path
        Name of a run below `root`, or its folder.
    root : str or Path, optional
        The folder that holds the runs.

    Returns
    -------
    Run
        The run. Its tables are read when they are asked for.

    Raises
    ------
    RunError
        If there is no such run, or it is damaged.
    """
    folder = locate(str(run), root)
    facts = read_sealed(folder / "run.json")
    check_facts(facts, folder / "run.json")
    scenario = read_run_file(folder / "scenario.yaml")
    if digest(scenario) != facts["scenario_sha256"]:
        raise RunError(
            f"{folder / 'scenario.yaml'}: damaged or edited: it is not what the run was made from; "
            "restore it, or make the run again"
        )
    return Run(folder, facts, scenario.decode(), _parts(folder, facts))


def _parts(folder: Path, facts: dict[str, Any]) -> int:
    """Parts that all three tables have.

    Of an interrupted run, temporary files and parts that `aggregates` does not vouch for do not
    count; a finished run has just those that it was sealed with.
    """
    numbers: list[int] = []
    for table in TABLES:
        found = (PART.fullmatch(entry) for entry in _entries(folder / table))
        numbers = sorted(int(match[1]) for match in found if match)
        expected = facts["parts"] if facts["parts"] is not None else len(numbers)
        whole = list(range(expected))
        if facts["parts"] is None and table != "aggregates":
            continue
        if missing := sorted(set(whole) - set(numbers)):
            raise RunError(f"{folder / table}: part {missing[0]} is missing; restore it")
        if surplus := sorted(set(numbers) - set(whole)):
            raise _one_too_many(folder / table / f"part-{surplus[0]:06d}.parquet", facts)
    return len(numbers)


def _check_nothing_else(folder: Path) -> None:
    """RunError where others, who read a folder of Parquet files whole, would read more than us."""
    for name in sorted(_entries(folder)):
        left = name.startswith(".") and name.endswith(".tmp")  # by a kill; nobody reads it
        if not left and not PART.fullmatch(name.removesuffix(".sha256")):
            raise RunError(f"{folder / name}: is no part of the table; remove it")


def _one_too_many(path: Path, facts: dict[str, Any]) -> RunError:
    try:
        rows = pl.read_parquet(io.BytesIO(read_run_file(path)), columns=["tick"])
        begins = f"begins with tick {rows['tick'][0]} where tick {facts['ticks']} should be, and "
    except (pl.exceptions.PolarsError, RunError, IndexError):
        begins = ""
    return RunError(
        f"{path}: {begins}is none of the {facts['parts']:,} parts that run.json tells of; remove it"
    )


def _entries(folder: Path) -> list[str]:
    if folder.is_symlink() or not folder.is_dir():
        raise RunError(f"{folder}: missing; the run is damaged or is not a run folder")
    return [entry.name for entry in folder.iterdir()]
