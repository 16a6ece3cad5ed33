"""A run being written: rows gather in memory and reach the disk as whole parts, second by second.

The folder appears at once with `run.json` and `scenario.yaml`. Every part of a table is a complete
Parquet file. `aggregates` comes last of the three, so its newest part vouches for the others:
whatever moment the process dies at, what is read back is every tick up to some tick.
"""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mos_agents.market.market import Market
from mos_agents.market.types import Array, State, Step
from mos_agents.runs.files import (
    FolderLock,
    RunError,
    digest,
    write_whole,
    write_with_digest,
)
from mos_agents.runs.folder import RUN
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.runs.names import checked_name, names_in_turn, slug
from mos_agents.runs.plan import RecordingPlan
from mos_agents.runs.sealing import now, versions
from mos_agents.runs.tables import (
    TABLES,
    TickRecord,
    aggregate,
    aggregates_table,
    listings_table,
    participants_table,
    row,
    slot_numbers,
)
from mos_agents.wording import resuming, setting

SECONDS = 2.0
"""What a crash may cost: parts are written at least this often."""

VALUES = 4_000_000
"""Buffered numbers (32 MB) after which a part is written whatever the clock says."""


class Recording:
    """A run folder being written: `record` makes one, `add` takes a step, `finish` seals it.

    No other process can write to the folder until `finish`, `close` or the end of this process.

    Parameters
    ----------
    folder : Path
        The run's folder.
    facts : dict
        The content of run.json.
    market : Market
        The market that is played.
    plan : RecordingPlan
        Which markets and ticks are recorded.
    start : State
        The state before the first tick that is added.
    hold : FolderLock
        The lock on the folder.
    """

    def __init__(
        self,
        folder: Path,
        facts: dict[str, Any],
        market: Market,
        plan: RecordingPlan,
        start: State,
        hold: FolderLock,
    ) -> None:
        self.folder, self.facts, self.market, self.plan = folder, facts, market, plan
        self.seen = 0  # steps added
        self.ticks = 0  # taken in
        self.acknowledged = 0  # ticks on the disk
        self._before = start
        self._hold = hold
        self._digests: dict[str, list[str]] = {table: [] for table in TABLES}
        self._known: Iterator[Array] = iter(())
        self._hash = TrajectoryHash()
        self._rows: list[TickRecord] = []
        self._means: list[Array] = []
        self._values = 0
        self._parts = 0
        self._written = time.monotonic()

    def add(self, step: Step) -> None:
        """Take in one tick; from time to time, write a part.

        Raises RunError where the disk takes no more: the ticks acknowledged so far stay readable.
        """
        if self.seen == 0:  # compiling the kernels took its time before this
            self._written = time.monotonic()
        self._hash.add(step)
        due = self.seen % self.plan.every == 0
        kept = row(self.market, self._before, step, self.plan.markets) if due else None
        self._before = step.state
        self.seen += 1
        means = aggregate(self.market, step)
        if self.seen > self.ticks:
            self.take(kept, means)
            self.write_if_due()
        else:  # a resumed run passes over what it has
            self._pass_over(self.seen - 1, means)

    def _pass_over(self, at: int, means: Array) -> None:
        """A tick that is recorded: it must come out as it did, or the rest would be of another
        run."""
        known = next(self._known, None)
        if known is not None and not np.array_equal(known, means, equal_nan=True):
            raise RunError(
                f"{self.folder}: cannot go on: tick {at:,}, played again, is not as it was "
                "recorded. Either a policy does not decide the same again from the same seed, or "
                "the run was begun on another platform or version. Make the run again; with "
                f"{setting('backend', 'actors')}, what was decided is kept, and a run of such "
                "policies can go on"
            )

    def take(self, kept: TickRecord | None, means: Array) -> None:
        """Take in one tick as its rows (of a tick that is recorded) and its aggregates."""
        if kept is not None:
            self._rows.append(kept)
            self._values += kept.listings.size + kept.participants.size
        self._means.append(means)
        self._values += means.size
        self.ticks += 1

    def write_if_due(self) -> None:
        """Write a part if enough has gathered, or enough time has passed.

        Raises RunError where the disk takes no more: the ticks acknowledged so far stay readable.
        """
        if self._values > VALUES or time.monotonic() - self._written > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered as the next part of every table."""
        if self._means:
            digests = {}
            with self._naming_file():
                for name, make in self._tables().items():
                    data = parquet(make())
                    path = self.folder / name / f"part-{self._parts:06d}.parquet"
                    write_with_digest(path, data)
                    digests[name] = digest(data)
            for name, one in digests.items():
                self._digests[name].append(one)
            self._parts += 1
            self.acknowledged += len(self._means)
            self._rows, self._means, self._values = [], [], 0
        self._written = time.monotonic()

    def finish(self, trajectory: str | None = None, **facts: Any) -> str:
        """Write what is left, seal the run, and return the hash of its trajectory.

        trajectory: the hash, where the steps were taken elsewhere. facts: more for `run.json`.
        """
        self.flush()
        trajectory = trajectory or self._hash.hexdigest()
        self.facts |= {
            "finished": now(),
            "hash": trajectory,
            "parts": self._parts,
            **facts,
            "parts_sha256": self._digests,
        }
        with self._naming_file():
            RUN.write(self.folder, self.facts)
        self.close()
        return trajectory

    def go_on_from(self, ticks: int, digests: dict[str, list[str]], known: Iterator[Array]) -> None:
        """Continue a run that has so many ticks on the disk.

        digests: of its parts, by table. known: the aggregates of its ticks, one after another,
        to which the same ticks must lead where they are played again.
        """
        self.ticks = self.acknowledged = ticks
        self._digests, self._known = digests, known
        self._parts = len(digests["aggregates"])

    def close(self) -> None:
        """Let others write to the folder: what was not flushed is lost."""
        self._hold.release()

    def discard(self) -> None:
        """Remove a folder that holds nothing worth keeping: no tick ever reached the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def _tables(self) -> dict[str, Callable[[], pa.Table]]:
        """In the order of writing."""
        first = self.acknowledged
        return {
            "listings": lambda: listings_table(self.market, self._rows),
            "participants": lambda: participants_table(self.market, self._rows),
            "aggregates": lambda: aggregates_table(self.market, first, self._means),
        }

    @contextlib.contextmanager
    def _naming_file(self) -> Any:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{error.filename or self.folder}: cannot be written: {error.strerror or error}; "
                f"the first {self.acknowledged:,} ticks are recorded and readable; make room and "
                f"go on with {resuming('run', self.folder.name)}, or give another folder with "
                f"{setting('out')}"
            ) from None


def record(
    market: Market,
    root: Path | str = "runs",
    *,
    scenario: str = "market",
    described: str = "",
    seed: int = 0,
    ticks: int,
    markets: int = 1,
    plan: RecordingPlan | None = None,
    name: str | None = None,
    stem: str | None = None,
    actors: dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
    report: bool = True,
) -> Recording:
    """Make the folder of a new run below `root`. No existing file is ever overwritten.

    Parameters
    ----------
    market : Market
        The market that is played.
    root : Path or str
        The folder that holds the run folders.
    scenario : str
        The scenario's name.
    described : str
        The resolved scenario, as YAML.
    seed : int
        The seed of the run.
    ticks : int
        Ticks of the run.
    markets : int
        B, the number of markets.
    plan : RecordingPlan, optional
        Which markets and ticks are recorded; chosen by their number where left out.
    name : str, optional
        The folder's name; the next free one of `<stem>-s<seed>-001`, ... where left out.
    stem : str, optional
        What such a name begins with; the scenario's name where left out.
    actors : dict, optional
        How the participants were hosted, for run.json.
    inputs : dict, optional
        SHA-256 of the files that the scenario is read from, by path.
    report : bool
        Whether the run ends with a report, also if it is resumed.

    Returns
    -------
    Recording
        The open recording.

    Raises
    ------
    RunError
        If the folder cannot be made.
    """
    root = Path(root)
    plan = plan or RecordingPlan.of(market.layout, ticks, markets)
    facts: dict[str, Any] = {
        "name": "",
        "scenario": scenario,
        "seed": seed,
        "ticks": ticks,
        "markets": markets,
        "recorded_markets": plan.markets,
        "every": plan.every,
        "started": now(),
        "finished": None,
        "hash": None,
        "parts": None,
        "versions": versions(),
        "actors": actors,
        "inputs": inputs or {},
        "report": report,
        "market": market_facts(market),
        "scenario_sha256": digest(described.encode()),
    }
    opening = market.start(markets)  # before there is a folder: it may not fit in memory
    names = [name] if name is not None else names_in_turn(f"{slug(stem or scenario)}-s{seed}", root)
    for one in names:
        checked_name(one)

    def fill(hidden: Path) -> None:
        for table in TABLES:
            (hidden / table).mkdir()
        write_whole(hidden / "scenario.yaml", described.encode())

    try:
        folder, hold = RUN.create(root, names, facts, fill)
    except OSError as error:
        raise RunError(
            f"{root}: a run folder cannot be made here: {error.strerror or error}; give another "
            f"folder with {setting('out')}"
        ) from None
    return Recording(folder, facts, market, plan, opening, hold)


def parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file. Names come back as text: no Arrow schema rides along."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False)
    return buffer.getvalue()


def market_facts(market: Market) -> dict[str, Any]:
    """What `run.json` says of the market."""
    layout = market.layout
    return {
        "participants": list(layout.participants),
        "roles": list(layout.roles),
        "instruments": list(slot_numbers(layout)[0]),
        "choice": layout.choice,
        "actions": list(market.quotes.features),
        "held": bool((~market.made_to_order).any()),
        "made_to_order": _mixed(market.made_to_order),
        "mark": market.positions.valuation() or "cost",
        "reserve": market.execution.reserve_price(),
        "limit": finite(market.positions.limits()[1]),
        "surplus": market.execution.has_surplus(market),
        "kinds": layout.kind.tolist() if layout.goods else [],
    }


def _mixed(made_to_order: NDArray[np.bool_]) -> list[int]:
    """Which listings are made to order, where others are held in stock."""
    return [] if made_to_order.all() else [int(i) for i in np.flatnonzero(made_to_order)]


def finite(value: float | None) -> float | None:
    """JSON has no infinity: no limit is null."""
    return value if value is not None and math.isfinite(value) else None
