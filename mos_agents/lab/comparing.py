"""Two runs side by side: what each participant earned, and whether every bit agrees."""

from __future__ import annotations

import polars as pl

from mos_agents.lab.playing import plural
from mos_agents.market.printing import printable
from mos_agents.runs import Run, RunError, fault_lines
from mos_agents.runs.differing import first_difference

COLUMNS = ("reward", "pnl", "revenue", "units_traded", "lost")


def totals(run: Run, per_tick: bool = False) -> pl.DataFrame:
    """Sums over the ticks of the means over all markets, per participant in roster order.

    per_tick: means over the ticks in their place.
    """
    table = run.aggregates(["participant", *COLUMNS])
    taken = pl.col(COLUMNS).mean() if per_tick else pl.col(COLUMNS).sum()
    return table.group_by("participant", maintain_order=True).agg(taken)


def compared(one: Run, two: Run) -> pl.DataFrame:
    """A row per participant of either run; a participant of only one run has nulls.

    Runs of different lengths are compared per tick: the totals of a longer run are larger.
    """
    per_tick = one.ticks != two.ticks
    first, second = totals(one, per_tick), totals(two, per_tick)
    joined = first.join(
        second,
        on="participant",
        how="full",
        coalesce=True,
        suffix="_2",
        maintain_order="left_right",
    )
    return joined.with_columns(
        (pl.col(f"{c}_2") - pl.col(c)).alias(f"{c}_difference") for c in COLUMNS
    )


def lines(one: Run, two: Run) -> list[str]:
    """The comparison as a table of text, and one sentence on the hashes.

    Raises RunError where a table of either run is damaged, or holds what is not a number.
    """
    for run in (one, two):
        run.check()
    table = compared(one, two)
    names = [printable(str(name)).replace("\n", "\\n") for name in table["participant"]]
    per_tick = one.ticks != two.ticks
    titles = [c.replace("_", " ") + (" per tick" if per_tick else "") for c in COLUMNS]
    width = max([11, *map(len, names), *map(len, titles)])
    head = "".join(f"{label:>14}" for label in ("first", "second", "difference"))
    failed = [
        f"{which} {line}"
        for which, run in (("first:", one), ("second:", two))
        for line in fault_lines(run.facts)
    ]
    rows = [*failed, f"first   {_about(one)}", f"second  {_about(two)}"]
    if per_tick:
        rows.append(
            f"the runs differ in length: {one.ticks:,} and {two.ticks:,} ticks; all figures are "
            "means per tick"
        )
    rows.append("")
    for column, title in zip(COLUMNS, titles, strict=True):
        rows.append(f"{title:<{width}}{head}")
        for name, row in zip(names, table.iter_rows(named=True), strict=True):
            values = (row[column], row[f"{column}_2"], row[f"{column}_difference"])
            rows.append(f"{name:<{width}}" + "".join(f"{_number(v):>14}" for v in values))
        rows.append("")
    return [*rows, hashes(one, two)]


def hashes(one: Run, two: Run) -> str:
    """Whether the trajectories agree, in one sentence.

    Raises RunError where the hashes say so and the tables do not.
    """
    a, b = one.facts["hash"], two.facts["hash"]
    if a is None or b is None:
        unfinished = " and ".join(r.name for r in (one, two) if r.facts["hash"] is None)
        return f"hashes cannot be compared: {unfinished} did not finish"
    if a != b:
        return f"hashes differ ({a} and {b}): the two trajectories are not the same"
    if found := first_difference(one, two):
        raise RunError(
            f"{one.name} and {two.name}: the hashes agree and the tables do not: {found}; one of "
            "the two is damaged, mos verify says which"
        )
    return (
        f"hashes agree ({a}): the two trajectories have the same bits, and so has all that both "
        "have recorded"
    )


def _about(run: Run) -> str:
    facts = run.facts
    state = "" if run.finished else ", interrupted"
    return (
        f"{run.name}: {facts['scenario']}, seed {facts['seed']}, {run.ticks:,} ticks, "
        f"{plural(facts['markets'], 'market')}{state}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
