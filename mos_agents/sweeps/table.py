"""What a sweep came to: a row per trial, and a row per cell with means and intervals over seeds."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from mos_agents import scenarios
from mos_agents.analysis.interval_text import four_digits, interval_text
from mos_agents.analysis.statistics import FEWEST_SESSIONS, Interval, mean_interval
from mos_agents.market.frames import MOST_ROWS, Framed, table_html
from mos_agents.market.printing import short_repr
from mos_agents.runs.recording import parquet
from mos_agents.sweeps.folder import TrialOutcome
from mos_agents.sweeps.plan import SweepPlan, Trial


@short_repr
@dataclass(frozen=True, eq=False)
class SweepResult(Framed):
    """The results of a sweep. Trials that have not been played are `missing`.

    Parameters
    ----------
    plan : SweepPlan
        The plan.
    done : mapping
        How trials ended (`TrialOutcome`), by their number.
    confidence : float
        The confidence of the intervals, in (0, 1).
    """

    plan: SweepPlan
    done: Mapping[int, TrialOutcome]
    confidence: float = 0.95

    def __str__(self) -> str:
        head, rows = lines(self, self.headline())
        return "\n".join([*aligned([head, *rows]), caption(self)])

    @property
    def missing(self) -> tuple[Trial, ...]:
        """Trials that have not ended."""
        return tuple(trial for trial in self.plan.trials if trial.number not in self.done)

    @property
    def failed(self) -> tuple[tuple[Trial, str], ...]:
        """Trials that ended without measures, and why."""
        ended = [(trial, self.done.get(trial.number)) for trial in self.plan.trials]
        return tuple((t, done.error) for t, done in ended if done is not None and done.error)

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The names of all measures that any trial has, in the order in which they first came."""
        names = (name for n in sorted(self.done) for name in self.done[n].result.measures)
        return tuple(dict.fromkeys(names))

    @cached_property
    def trials(self) -> pl.DataFrame:
        """A row per trial that has ended: cell, grid values, seed, error, and its measures."""
        rows = []
        for trial in self.plan.trials:
            if (done := self.done.get(trial.number)) is None:
                continue
            row = {
                "cell": trial.cell,
                **self._values(trial.cell),
                "seed": trial.seed,
                "error": done.error,
            }
            rows.append(row | {name: done.result.measures.get(name) for name in self.measures})
        kinds = {"cell": pl.Int64, **self._kinds, "seed": pl.Int64, "error": pl.String}
        return pl.DataFrame(rows, {**kinds, **dict.fromkeys(self.measures, pl.Float64)})

    def interval(self, cell: int, measure: str) -> tuple[Interval, int]:
        """Mean over seeds with its interval, and of how many trials; NaN of none.

        The limits of a single trial are infinite.
        """
        rows = [
            self.done[t.number].result.measures
            for t in self.plan.trials
            if t.cell == cell and t.number in self.done
        ]
        values = [row[measure] for row in rows if measure in row]
        if not values:
            nan = float("nan")
            return Interval(nan, nan, nan, nan), 0
        return mean_interval(values, self.confidence), len(values)

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row per cell: grid values, trials, failed, errors, and per measure X, X_low, X_high.

        X_n, the trials behind X, where some trial that ended well has no X.
        """
        rows: list[dict[str, Any]] = []
        failed: dict[int, list[str]] = {cell.number: [] for cell in self.plan.cells}
        for trial, reason in self.failed:
            failed[trial.cell].append(f"seed {trial.seed}: {reason}")
        ended = [trial.cell for trial in self.plan.trials if trial.number in self.done]
        for cell in self.plan.cells:
            bad = failed[cell.number]
            row: dict[str, Any] = {
                **self._values(cell.number),
                "trials": ended.count(cell.number) - len(bad),
                "failed": len(bad),
                "errors": "; ".join(bad) or None,
            }
            for name in self.measures:
                found, count = self.interval(cell.number, name)
                row |= {
                    name: _known(found.estimate),
                    f"{name}_low": _known(found.low),
                    f"{name}_high": _known(found.high),
                    f"{name}_n": count,
                }
            rows.append(row)
        schema: dict[str, Any] = {
            **self._kinds,
            "trials": pl.Int64,
            "failed": pl.Int64,
            "errors": pl.String,
        }
        for name in self.measures:
            schema |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), pl.Float64)
            schema[f"{name}_n"] = pl.Int64
        made = pl.DataFrame(rows, schema)
        whole = [n for n in self.measures if (made[f"{n}_n"] == made["trials"]).all()]
        return made.drop([f"{name}_n" for name in whole])

    def to_polars(self) -> pl.DataFrame:
        """Return the table: a row per cell.

        Returns
        -------
        polars.DataFrame
            The same as `table`. `trials` has a row per trial.
        """
        return self.table

    def _repr_html_(self) -> str:
        head, rows = lines(self, self.headline())
        return table_html(head, rows[:MOST_ROWS], (), caption(self))

    def headline(self, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The measures to print: those wanted, or the usual ones of its kind of trial."""
        names = wanted or self.plan.spec.headline
        return tuple(name for name in names if name in self.measures)

    def files(self) -> dict[str, bytes]:
        """`table.csv` and `trials.parquet`, by name."""
        text = io.BytesIO()
        self.table.write_csv(text)
        return {"table.csv": text.getvalue(), "trials.parquet": parquet(self.trials.to_arrow())}

    @cached_property
    def _kinds(self) -> dict[str, Any]:
        """Of the axes' columns: numbers where all values are, texts as in YAML otherwise."""
        kinds: dict[str, Any] = {}
        for axis in self.plan.grid:
            types = {type(value) for value in axis.values}
            kinds[axis.path] = (
                pl.Int64 if types == {int} else pl.Float64 if types <= {int, float} else pl.String
            )
        return kinds

    def _values(self, cell: int) -> dict[str, Any]:
        values = self.plan.cells[cell].values
        return {
            path: scenarios.inline(values[path]) if kind == pl.String else values[path]
            for path, kind in self._kinds.items()
        }


def lines(result: SweepResult, measures: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: a cell each, a mean with its interval per measure."""
    plan = result.plan
    labels = [axis.label for axis in plan.grid]
    whole = len(set(labels)) == len(labels)
    head = labels if whole else [axis.path for axis in plan.grid]
    rows = []
    for one in plan.cells:
        row = [scenarios.inline(value) for value in one.values.values()]
        good = [t for t in plan.trials if t.cell == one.number and t.number in result.done]
        failed = sum(1 for t in good if result.done[t.number].error)
        row.append(f"{len(good) - failed:,}" + (f" ({failed} failed)" if failed else ""))
        rows.append([*row, *(formatted(result, one.number, name) for name in measures)])
    return [*head, "trials", *measures], rows


def formatted(result: SweepResult, cell: int, measure: str) -> str:
    """0.853 [0.841, 0.866]; without limits where there is one trial, or all trials agree."""
    found, count = result.interval(cell, measure)
    if not count:
        return "-"
    return four_digits(found.estimate) if count == 1 else interval_text(found, count, "seed")


def caption(result: SweepResult) -> str:
    """What the figures of the table are."""
    few = "; of fewer than 5 seeds it is a rough range"
    seeds = len(result.plan.seeds)
    return "mean over seeds with its 95% interval" + few * (1 < seeds < FEWEST_SESSIONS)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of text, in columns that end below each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)) for row in rows]


def _known(value: float) -> float | None:
    """NaN, and the infinite limits of a single trial, are empty in a table."""
    return value if -float("inf") < value < float("inf") else None
