"""Whether the parts of a table fit together: every tick once, in order, for everybody who has rows.

A digest says that a part is what was once written; only its rows say that it is in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.printing import short_repr
from mos_agents.market.types import IntArray
from mos_agents.runs.files import RunError
from mos_agents.runs.tables import NULLABLE, SURPLUS, TABLES

KEYS = {
    "listings": ("tick", "market", "participant", "instrument"),
    "participants": ("tick", "market", "participant"),
    "aggregates": ("tick", "participant"),
}
"""The columns that say what a row is about."""


def kind(table: str, column: str) -> type[pl.DataType]:
    """What a column holds."""
    if column in ("participant", "instrument") or (table, column) == ("participants", "refused"):
        return pl.String
    others: dict[str, type[pl.DataType]] = {
        "tick": pl.Int64,
        "market": pl.Int32,
        "moved": pl.Boolean,
    }
    return others.get(column, pl.Float64)


def check_keys(table: str, part: pl.DataFrame, path: Path) -> None:
    """RunError where a row does not say what it is about."""
    for column in KEYS[table]:
        if part[column].null_count():
            raise RunError(f"{path}: column {column!r} lacks values: damaged")


def columns_of(table: str, facts: dict[str, Any]) -> tuple[str, ...]:
    """The columns of a run's table, given the facts of `run.json`."""
    extra = table == "participants" and facts["market"].get("surplus", False)
    return (*TABLES[table], *((SURPLUS,) if extra else ()))


def check_columns(table: str, columns: tuple[str, ...], schema: dict[str, Any], path: Path) -> None:
    """RunError unless a part has the table's columns, in their order and of their types."""
    found = list(schema)
    if found != list(columns):
        odd = set(found) ^ set(columns)
        what = f"column {min(odd)!r}" if odd else "the order of its columns"
        raise RunError(f"{path}: {what} is not as the table {table} has it: damaged")
    for column, dtype in schema.items():
        if dtype != kind(table, column):
            raise RunError(
                f"{path}: column {column!r} holds {dtype} where {kind(table, column).__name__} "
                "should be: damaged"
            )


@short_repr
class ExpectedParts(NamedTuple):
    """Who sells what: the numbers of participant and instrument of every listing."""

    seller: IntArray  # [L]
    sold: IntArray  # [L]


@dataclass(frozen=True)
class ExpectedRows:
    """What the rows of a run are about.

    Parameters
    ----------
    markets : int
        how many are recorded, from the first.
    every : int
        each so many-th tick is.
    """

    participants: tuple[str, ...]
    instruments: tuple[str, ...]
    markets: int
    every: int

    @classmethod
    def of(cls, facts: dict[str, Any]) -> ExpectedRows:
        """From the facts of `run.json`."""
        market = facts["market"]
        return cls(
            tuple(market["participants"]),
            tuple(market["instruments"]),
            facts["recorded_markets"],
            facts["every"],
        )

    def end_of(self, part: pl.DataFrame, begin: int, path: Path) -> int:
        """The tick after a part of `aggregates` that begins with tick `begin`; RunError where its
        rows do not say so."""
        width = len(self.participants)
        self._first_tick(part, begin, path)
        end = begin + -(-part.height // width)
        self._rows(part, np.arange(begin, end), width, path)
        self._names(part, "participant", self.participants, np.arange(width), path)
        return end

    def check(
        self,
        table: str,
        part: pl.DataFrame,
        ticks: tuple[int, int],
        listed: ExpectedParts,
        path: Path,
    ) -> None:
        """RunError unless a part of `listings` or `participants` has the recorded ones of `ticks`
        (first, and the one after the last), each once for every market and participant or listing.
        """
        begin, end = ticks
        due = np.arange(-(-begin // self.every) * self.every, end, self.every)
        if part.height and due.size:
            self._first_tick(part, int(due[0]), path)
        listings = table == "listings"
        width = listed.seller.size if listings else len(self.participants)
        self._rows(part, due, self.markets * width, path)
        markets = np.repeat(np.arange(self.markets), width)
        self._same(part["market"].to_numpy(), markets, "market", path)
        sellers = listed.seller if listings else np.arange(width)
        self._names(part, "participant", self.participants, sellers, path)
        if listings:
            self._names(part, "instrument", self.instruments, listed.sold, path)

    def listed(self, part: pl.DataFrame, path: Path) -> ExpectedParts:
        """Who sells what, from the first rows of a part of `listings`."""
        first = part.filter(
            (pl.col("tick") == part["tick"][0]) & (pl.col("market") == part["market"][0])
        )
        seller = self._codes(first, "participant", self.participants, path).astype(np.int64)
        sold = self._codes(first, "instrument", self.instruments, path).astype(np.int64)
        pairs = seller * len(self.instruments) + sold
        if (np.diff(seller) < 0).any() or np.unique(pairs).size < pairs.size:
            raise RunError(f"{path}: its listings are out of order or there twice: damaged")
        return ExpectedParts(seller, sold)

    def _first_tick(self, part: pl.DataFrame, begin: int, path: Path) -> None:
        found = part["tick"][0] if part.height else None
        if found != begin:
            what = "holds no rows" if found is None else f"begins with tick {found}"
            raise RunError(f"{path}: {what} where tick {begin} should be: damaged")

    def _rows(self, part: pl.DataFrame, ticks: IntArray, width: int, path: Path) -> None:
        """Every tick has `width` rows, in order."""
        found, due = part["tick"].to_numpy(), np.repeat(ticks, width)
        shorter = min(found.size, due.size)
        wrong = np.flatnonzero(found[:shorter] != due[:shorter])
        if wrong.size:
            at = int(wrong[0])
            raise RunError(
                f"{path}: row {at + 1:,} is of tick {found[at]} where tick {due[at]} should be: "
                "damaged"
            )
        if found.size != due.size:
            raise RunError(
                f"{path}: holds {found.size:,} rows where {due.size:,} should be: damaged"
            )

    def _names(
        self, part: pl.DataFrame, column: str, names: Sequence[str], due: IntArray, path: Path
    ) -> None:
        self._same(self._codes(part, column, names, path), due, column, path, names)

    @staticmethod
    def _codes(part: pl.DataFrame, column: str, names: Sequence[str], path: Path) -> IntArray:
        """The names of a column as their numbers in `names`."""
        texts = part[column]
        try:
            # An Enum numbers its names in their order, which a Categorical does not promise.
            return texts.cast(pl.Enum(list(names))).to_physical().to_numpy()
        except (pl.exceptions.PolarsError, ValueError):
            odd = sorted(set(texts.unique().to_list()) - set(names), key=str)
            raise RunError(
                f"{path}: {column} {odd[:1] or names!r:.60} is not one of the run's: damaged"
            ) from None

    @staticmethod
    def _same(
        found: IntArray, block: IntArray, column: str, path: Path, names: Sequence[str] = ()
    ) -> None:
        """A column repeats one block from its first row to its last."""
        if not found.size:
            return
        wrong = np.flatnonzero(found != np.resize(block, found.size))
        if wrong.size:
            at = int(wrong[0])
            one, other = int(found[at]), int(block[at % block.size])
            given = (names[one], names[other]) if names else (one, other)
            raise RunError(
                f"{path}: row {at + 1:,} is of {column} {given[0]!r} where {given[1]!r} should be: "
                "damaged"
            )


def check_values(part: pl.DataFrame, path: Path) -> None:
    """RunError where a number is NaN, or a value is missing that every row has."""
    for column in part.columns:
        values = part[column]
        if column not in NULLABLE and values.null_count():
            raise RunError(f"{path}: column {column!r} lacks values: damaged")
        if values.dtype == pl.Float64 and values.is_nan().any():
            row = int(values.is_nan().arg_max() or 0)
            where = ", ".join(f"{key} {part[key][row]}" for key in KEYS["listings"] if key in part)
            raise RunError(
                f"{path}: column {column!r} is NaN, not a number, at {where}: the market left the "
                "finite numbers there, or the table is damaged; nothing that follows can be used"
            )
