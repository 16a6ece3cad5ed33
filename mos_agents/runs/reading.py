"""A run read back: what was recorded up to some tick, every part checked before it is used."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from mos_agents.market.printing import short_repr
from mos_agents.runs.files import RunError, digest, read_inside, read_with_digest
from mos_agents.runs.names import locate
from mos_agents.runs.recording import sealed
from mos_agents.runs.tables import TABLES

PART = re.compile(r"part-(\d{6})\.parquet")


@short_repr
@dataclass(frozen=True)
class Run:
    """A run folder: `facts` is its run.json, `scenario` its resolved scenario as YAML."""

    folder: Path
    facts: dict[str, Any]
    scenario: str
    parts: int

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        return self.facts["finished"] is not None

    @cached_property
    def ticks(self) -> int:
        """Ticks that can be read back."""
        last = list(self.chunks("aggregates", ["tick"], only=self.parts - 1)) if self.parts else []
        return int(last[0]["tick"].max()) + 1 if last else 0  # type: ignore[arg-type]

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
            return pl.DataFrame(schema={c: _kind(table, c) for c in columns or TABLES[table]})
        return pl.concat(chunks)

    def chunks(
        self, table: str, columns: Sequence[str] | None = None, only: int | None = None
    ) -> Iterator[pl.DataFrame]:
        """The table part by part, for runs that do not fit in memory."""
        for part in range(self.parts) if only is None else [only]:
            path = self.folder / table / f"part-{part:06d}.parquet"
            data = read_with_digest(path)
            try:
                wanted = None if columns is None else list(columns)
                yield pl.read_parquet(io.BytesIO(data), columns=wanted, use_pyarrow=False)
            except pl.exceptions.PolarsError as error:
                told = str(error).splitlines()[0]
                raise RunError(f"{path}: cannot be read as Parquet: {told}") from None

    def check(self) -> None:
        """Read every byte of every table; RunError at the first that is not as it was written."""
        for table in TABLES:
            for _ in self.chunks(table):
                pass


def _kind(table: str, column: str) -> type[pl.DataType]:
    """What a column holds where no part says it."""
    if column in ("participant", "instrument") or (table, column) == ("participants", "refused"):
        return pl.String
    others: dict[str, type[pl.DataType]] = {
        "tick": pl.Int64, "market": pl.Int32, "moved": pl.Boolean
    }  # fmt: skip
    return others.get(column, pl.Float64)


def read(run: str | Path, root: str | Path = "runs") -> Run:
    """The run of a name below `root`, or of a path; RunError where it is damaged or none."""
    folder = locate(str(run), root)
    facts = read_sealed(folder / "run.json")
    scenario = read_inside(folder / "scenario.yaml")
    if digest(scenario) != facts["scenario_sha256"]:
        raise RunError(
            f"{folder / 'scenario.yaml'}: damaged or edited: it is not what the run was made from; "
            "restore it, or make the run again"
        )
    return Run(folder, facts, scenario.decode(), _parts(folder, facts))


def read_sealed(path: Path) -> dict[str, Any]:
    """What `recording.sealed` wrote; RunError where it is not that to the byte."""
    data = read_inside(path)
    try:
        facts = json.loads(data)
        whole = isinstance(facts, dict) and sealed(facts) == data
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise RunError(f"{path}: damaged or edited: its checksum does not match; restore the file")
    return facts


def _parts(folder: Path, facts: dict[str, Any]) -> int:
    """Parts that all three tables have. Temporary files and unacknowledged parts do not count."""
    entries = {table: _entries(folder / table) for table in TABLES}
    found = (PART.fullmatch(entry) for entry in entries["aggregates"])
    numbers = sorted(int(match[1]) for match in found if match)
    expected = facts["parts"] if facts["parts"] is not None else len(numbers)
    if numbers != list(range(expected)):
        missing = sorted(set(range(expected)) - set(numbers)) or numbers
        raise RunError(f"{folder / 'aggregates'}: part {missing[0]} is missing; restore it")
    return expected


def _entries(folder: Path) -> list[str]:
    if folder.is_symlink() or not folder.is_dir():
        raise RunError(f"{folder}: missing; the run is damaged or is not a run folder")
    return [entry.name for entry in folder.iterdir()]
