"""The tables of a run made again, tick by tick, and checked against those that it recorded.

A digest shows that a file is what somebody once wrote. Whoever writes the file can write the digest
as well; only the same market, cleared again, shows that the numbers are what came of it.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa

from mos_agents.market.market import Market
from mos_agents.market.types import Array, Step
from mos_agents.runs.differences import difference
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.runs.reading import Run
from mos_agents.runs.tables import (
    TABLES,
    TickRecord,
    aggregate,
    aggregates_table,
    listings_table,
    participants_table,
    row,
)


class Rebuilding:
    """A run's recorded tables beside the same ticks made again. `take` every tick in order.

    first: the tick that is taken first; what is recorded before it is not looked at.
    differs: the first difference found, with its place; "" as long as there is none.
    """

    def __init__(self, run: Run, market: Market, first: int = 0) -> None:
        self.run, self.market, self.first = run, market, first
        self.ticks = first
        self.differs = ""
        self._hash = TrajectoryHash()
        self._before = market.start(run.facts["markets"])
        self._rows: list[TickRecord] = []
        self._means: list[Array] = []
        self._part = sum(edge <= first for edge in run.edges[1:])

    def add(self, step: Step) -> None:
        """The next tick as a step of all markets."""
        self._hash.add(step)
        due = self.ticks % self.run.facts["every"] == 0
        recorded = self.run.facts["recorded_markets"]
        kept = row(self.market, self._before, step, recorded) if due else None
        self._before = step.state
        self.take(kept, aggregate(self.market, step))

    @property
    def hash(self) -> str:
        """The hash of the steps that were added."""
        return self._hash.hexdigest()

    def take(self, kept: TickRecord | None, means: Array) -> None:
        """The next tick: its rows where it is one of the recorded ones, and its aggregates."""
        self.ticks += 1
        if self.differs or self.ticks > self.run.ticks:
            return
        if kept is not None:
            self._rows.append(kept)
        self._means.append(means)
        if self.ticks == self.run.edges[self._part + 1]:
            self._compare()

    def _compare(self) -> None:
        """Hold the part that is now complete against the same ticks made again."""
        begin = max(self.run.edges[self._part], self.first)
        anew: dict[str, Callable[[], pa.Table]] = {
            "listings": lambda: listings_table(self.market, self._rows),
            "participants": lambda: participants_table(self.market, self._rows),
            "aggregates": lambda: aggregates_table(self.market, begin, self._means),
        }
        for table in TABLES:
            (recorded,) = self.run.chunks(table, only=self._part)
            made = pl.from_arrow(anew[table]())
            assert isinstance(made, pl.DataFrame)
            plain = made.with_columns(pl.col(pl.Categorical).cast(pl.String))
            found = difference(table, recorded.filter(pl.col("tick") >= begin), plain)
            if found:
                self.differs = f"{table}/part-{self._part:06d}.parquet: {found} in the repeated run"
                return
        self._rows, self._means = [], []
        self._part += 1
