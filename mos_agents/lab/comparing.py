"""Two runs side by side: what each participant earned, and whether every bit agrees."""

from __future__ import annotations

import os
from dataclasses import dataclass

import polars as pl

from mos_agents.lab.folders import RunLike, run_of
from mos_agents.market.frames import Printed
from mos_agents.market.printing import printable, short_repr
from mos_agents.runs import Run, RunError, fault_lines
from mos_agents.runs.differences import first_difference
from mos_agents.wording import function, plural

COLUMNS = ("reward", "pnl", "revenue", "units_traded", "lost")


def totals(run: Run, per_tick: bool = False) -> pl.DataFrame:
    """Sums over the ticks of the means over all markets, per participant in roster order.

    per_tick: means over the ticks in their place.
    """
    table = run.aggregates(["participant", *COLUMNS])
    taken = pl.col(COLUMNS).mean() if per_tick else pl.col(COLUMNS).sum()
    return table.group_by("participant", maintain_order=True).agg(taken)


@short_repr
@dataclass(frozen=True, eq=False)
class RunComparison(Printed):
    """Two runs side by side; `print` shows the table and the verdict.

    Attributes
    ----------
    one, two : Run
        The runs.
    table : polars.DataFrame
        A row for each participant of either run, with the measures of the first run, of the second
        (`reward_2`) and their difference (`reward_difference`). Totals over the ticks; means per
        tick where the runs differ in length. A participant of only one run has nulls.
    verdict : str
        One sentence: whether both runs have the same bits.
    """

    one: Run
    two: Run
    table: pl.DataFrame
    verdict: str

    def lines(self) -> list[str]:
        """The faults of policies, the runs, a block of text for each measure, and the verdict."""
        return [*_head(self.one, self.two), *_blocks(self), self.verdict]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def compare(one: RunLike, two: RunLike, *, root: str | os.PathLike[str] = "runs") -> RunComparison:
    """Compare two runs: what each participant earned, and whether every bit agrees.

    Parameters
    ----------
    one, two : str, path or Run
        The runs' names below `root`, or their folders.
    root : str or path
        The folder that holds the run folders.

    Returns
    -------
    RunComparison
        What each participant earned in both runs, and whether every bit agrees.

    Raises
    ------
    InputError, RunError
        Where there is no such run, or a table of either is damaged.
    """
    one, two = run_of(one, root), run_of(two, root)
    for run in (one, two):
        run.check()
    return RunComparison(one, two, compared(one, two), hashes(one, two))


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


def _head(one: Run, two: Run) -> list[str]:
    failed = [
        f"{which} {line}"
        for which, run in (("first:", one), ("second:", two))
        for line in fault_lines(run.facts)
    ]
    lines = [*failed, f"first   {_about(one)}", f"second  {_about(two)}"]
    if one.ticks != two.ticks:
        lines.append(
            f"the runs differ in length: {one.ticks:,} and {two.ticks:,} ticks; all figures are "
            "means per tick"
        )
    return [*lines, ""]


def _blocks(found: RunComparison) -> list[str]:
    names = [printable(str(name)).replace("\n", "\\n") for name in found.table["participant"]]
    per_tick = " per tick" if found.one.ticks != found.two.ticks else ""
    titles = [c.replace("_", " ") + per_tick for c in COLUMNS]
    width = max([11, *map(len, names), *map(len, titles)])
    head = "".join(f"{label:>14}" for label in ("first", "second", "difference"))
    lines = []
    for column, title in zip(COLUMNS, titles, strict=True):
        lines.append(f"{title:<{width}}{head}")
        for name, row in zip(names, found.table.iter_rows(named=True), strict=True):
            values = (row[column], row[f"{column}_2"], row[f"{column}_difference"])
            lines.append(f"{name:<{width}}" + "".join(f"{_number(v):>14}" for v in values))
        lines.append("")
    return lines


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
            f"the two is damaged, {function('verify')} says which"
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
