"""Two runs side by side: what each participant earned, and whether every bit agrees."""

from __future__ import annotations

import polars as pl

from mos_agents.cli.playing import plural
from mos_agents.runs import Run

COLUMNS = ("reward", "pnl", "revenue", "units_traded", "lost")


def totals(run: Run) -> pl.DataFrame:
    """Sums over the ticks of the means over all markets, per participant in roster order."""
    table = run.aggregates(["participant", *COLUMNS])
    return table.group_by("participant", maintain_order=True).agg(pl.col(COLUMNS).sum())


def compared(one: Run, two: Run) -> pl.DataFrame:
    """A row per participant of either run; a participant of only one run has nulls."""
    first, second = totals(one), totals(two)
    joined = first.join(second, on="participant", how="full", coalesce=True, suffix="_2",
                        maintain_order="left_right")  # fmt: skip
    return joined.with_columns(
        (pl.col(f"{c}_2") - pl.col(c)).alias(f"{c}_difference") for c in COLUMNS
    )


def lines(one: Run, two: Run) -> list[str]:
    """The comparison as a table of text, and one sentence on the hashes."""
    table = compared(one, two)
    names = [str(name) for name in table["participant"]]
    width = max([11, *(len(name) for name in names)])
    head = "".join(f"{label:>14}" for label in ("first", "second", "difference"))
    told = [f"first   {_about(one)}", f"second  {_about(two)}", ""]
    for column in COLUMNS:
        told.append(f"{column.replace('_', ' '):<{width}}{head}")
        for name, row in zip(names, table.iter_rows(named=True), strict=True):
            values = (row[column], row[f"{column}_2"], row[f"{column}_difference"])
            told.append(f"{name:<{width}}" + "".join(f"{_number(v):>14}" for v in values))
        told.append("")
    if one.ticks != two.ticks:
        told.append(f"the runs differ in length: {one.ticks:,} and {two.ticks:,} ticks")
    return [*told, hashes(one, two)]


def hashes(one: Run, two: Run) -> str:
    """Whether the trajectories agree, in one sentence."""
    a, b = one.facts["hash"], two.facts["hash"]
    if a is None or b is None:
        unfinished = " and ".join(r.name for r in (one, two) if r.facts["hash"] is None)
        return f"hashes cannot be compared: {unfinished} did not finish"
    if a == b:
        return f"hashes agree ({a}): the two trajectories have the same bits"
    return f"hashes differ ({a} and {b})"


def _about(run: Run) -> str:
    facts = run.facts
    state = "" if run.finished else ", interrupted"
    return (
        f"{run.name}: {facts['scenario']}, seed {facts['seed']}, {run.ticks:,} ticks, "
        f"{plural(facts['markets'], 'market')}{state}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
