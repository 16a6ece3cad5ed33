"""The record of a run: what an outsider would see of its prices."""

from __future__ import annotations

import numpy as np
import polars as pl

from mos_agents import runs
from mos_agents.analysis.screens import Observed
from mos_agents.lab.audit_inputs import FEWEST_TICKS, AuditInput, ProductRecord
from mos_agents.market.types import Array, InputError, IntArray

MOST_TICKS = 5_000
"""Ticks of a run that are audited: the last ones, when learners have settled most."""

MOST_RECORDS = 30
"""Products times markets of a run that are audited."""

COLUMNS = ("ask", "ask_size", "bid", "bid_size", "sold", "cost")


def of_run(run: runs.Run) -> AuditInput:
    """The record of a run; InputError where its participants post no prices."""
    market = run.facts["market"]
    kind = "dealers" if "spread" in market["actions"] else "posted"
    if "bid" in market["actions"]:
        raise InputError(
            f"{run.name}: its participants submit bids and post no prices; the screens of an audit "
            "are for posted prices, and bid rigging needs others"
        )
    every = int(run.facts["every"])
    first = max(0, run.ticks - MOST_TICKS * every)
    frame = _recent(run, first)
    ticks = frame["tick"].unique().sort().to_numpy()
    if len(ticks) < FEWEST_TICKS:
        raise InputError(
            f"{run.name}: has {len(ticks)} recorded ticks; an audit needs at least {FEWEST_TICKS}"
        )
    notes = [] if not first else [f"the last {len(ticks):,} recorded ticks of {run.ticks:,}"]
    if kind == "dealers":
        notes.append(
            "dealers quote bid and ask: the price is the spread between them, and no cost is known"
        )
    many = int(run.facts["recorded_markets"]) > 1
    records = _records(frame, ticks, kind, many, across=market["choice"] == "across")
    if len(records) > MOST_RECORDS:
        notes.append(f"the first {MOST_RECORDS} of {len(records):,} records (products x markets)")
        records = records[:MOST_RECORDS]
    if not records:
        raise InputError(f"{run.name}: no participant's price stands at half of the ticks")
    return AuditInput(
        run.name,
        "run",
        tuple(records),
        tuple(map(str, ticks)),
        "tick",
        tuple(
            (f"{table} {number}", f"{table}/part-{number:06d}.parquet", sha)
            for table, digests in run.digests().items()
            if table == "listings"
            for number, sha in enumerate(digests)
        ),
        tuple(notes),
        "spread between bid and ask" if kind == "dealers" else "price",
    )


def _recent(run: runs.Run, first: int) -> pl.DataFrame:
    kept = [
        chunk.filter(pl.col("tick") >= first)
        for chunk in run.chunks(
            "listings", ("tick", "market", "participant", "instrument", *COLUMNS)
        )
    ]
    if not kept:
        raise InputError(f"{run.name}: nothing is recorded yet")
    return pl.concat(kept)


def _records(
    frame: pl.DataFrame, ticks: IntArray, kind: str, many: bool, across: bool
) -> list[ProductRecord]:
    """A record for each market and instrument; for each market where all instruments compete."""
    if across:
        each = frame.select("participant", "instrument").unique(maintain_order=True)
        alone = not each["participant"].is_duplicated().any()
        who = pl.col("participant") if alone else pl.format("{} {}", "participant", "instrument")
        frame = frame.with_columns(participant=who, instrument=pl.lit("the market"))
    made = []
    groups = frame.partition_by("market", "instrument", maintain_order=True, as_dict=True)
    for (number, instrument), rows in groups.items():
        sellers = rows["participant"].unique(maintain_order=True).to_list()
        grid = {name: np.full((len(ticks), len(sellers)), np.nan) for name in COLUMNS}
        row = np.searchsorted(ticks, rows["tick"].to_numpy())
        where = {name: i for i, name in enumerate(sellers)}
        column = np.array([where[name] for name in rows["participant"]])
        for name in COLUMNS:
            grid[name][row, column] = rows[name].to_numpy()
        title = f"{instrument}, market {number}" if many else str(instrument)
        made += _record(title, sellers, grid, kind)
    return made


def _record(
    name: str, sellers: list[str], grid: dict[str, Array], kind: str
) -> list[ProductRecord]:
    """The record of one instrument in one market; none where too little of it was seen."""
    standing = grid["ask_size"] > 0
    if kind == "dealers":
        standing &= grid["bid_size"] > 0
    with np.errstate(invalid="ignore"):
        price = grid["ask"] - grid["bid"] if kind == "dealers" else grid["ask"]
        seen = standing & np.isfinite(price) & (price > 0)
    own = np.flatnonzero(seen.mean(axis=0) >= 0.5)
    if not own.size:
        return []
    prices = np.where(seen, price, np.nan)[:, own]
    names = tuple(sellers[i] for i in own)
    observed = Observed(
        prices,
        cost=None if kind == "dealers" else grid["cost"][:, own],
        quantities=None if kind == "dealers" else np.nan_to_num(grid["sold"][:, own]),
        offered=seen[:, own],
        names=names,
    )
    return [ProductRecord(name, names, prices, observed)]
