"""Tables of sweeps: a row per cell, with the interval that the statistics give."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mos_agents.analysis.statistics import mean_interval
from mos_agents.sweeps import SweepResult, TrialOutcome, TrialResult, sweep
from mos_agents.tasks import InProcess
from tests.sweeps.worlds import plan


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    return sweep(plan(seeds=5), tmp_path_factory.mktemp("sweep"), InProcess())


def test_a_cells_row_has_the_mean_over_seeds_with_its_interval(
    result: SweepResult,
) -> None:
    row = result.table.row(5, named=True)
    assert (row["firms"], row["arrivals.sessions"], row["trials"]) == (2, 20, 5)
    expected = mean_interval([2.0 + 10.0 * seed for seed in range(5)])
    assert (row["value"], row["value_low"], row["value_high"]) == expected[:3]


def test_measures_that_some_trials_lack_say_of_how_many_they_are(result: SweepResult) -> None:
    assert result.table["rare_n"].to_list() == [2] * 6
    assert "value_n" not in result.table.columns
    assert "nothing" not in result.table.columns


def test_the_csv_reads_back_as_the_table(result: SweepResult) -> None:
    read = pl.read_csv(io.BytesIO(result.files()["table.csv"]))
    assert read.columns == result.table.columns
    assert read["value_high"].to_list() == result.table["value_high"].to_list()
    trials = pl.read_parquet(io.BytesIO(result.files()["trials.parquet"]), use_pyarrow=False)
    assert trials.equals(result.trials)
    assert trials.height == 30 and trials["value"].to_list()[:5] == [1.0, 11.0, 21.0, 31.0, 41.0]


def test_one_seed_has_a_mean_and_no_limits() -> None:
    made = plan(["firms=1,2"], 1)
    done = {t.number: TrialOutcome(TrialResult({"value": float(t.cell)})) for t in made.trials}
    row = SweepResult(made, done).table.row(1, named=True)
    assert (row["value"], row["value_low"], row["value_high"]) == (1.0, None, None)


def test_a_sweep_cut_short_has_a_table_of_what_there_is() -> None:
    made = plan(["firms=1,2"], 3)
    part = SweepResult(made, {0: TrialOutcome(TrialResult({"value": 1.0}))})
    assert part.table["trials"].to_list() == [1, 0]
    assert part.table["value"].to_list() == [1.0, None]
    assert len(part.missing) == 5


def test_values_that_are_no_numbers_stand_in_the_table_as_in_the_grid() -> None:
    made = plan(["arrivals=poisson,{kind: fixed_mass, buy: 2.0}"], 1)
    column = SweepResult(made, {0: TrialOutcome(TrialResult({}))}).table["arrivals"]
    assert column.to_list() == ["poisson", "{buy: 2.0, kind: fixed_mass}"]


def test_the_page_asks_for_nothing_from_outside_and_escapes_every_word(
    result: SweepResult, tmp_path: Path
) -> None:
    from mos_agents.lab import sweep_page

    bad = "<script>alert(1)</script>"
    named = dict(result.done) | {0: TrialOutcome(TrialResult({"firms": 1.0}, (bad,)), bad)}
    hostile = SweepResult(result.plan, named)
    sweep(result.plan, tmp_path, InProcess())
    text = sweep_page.write(hostile, tmp_path).read_text()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "http://" not in text and "https://" not in text
    assert text.count("<svg") == len(sweep_page.drawn(hostile)) == 1


@pytest.mark.parametrize(("seeds", "few"), [(1, False), (3, True), (4, True), (5, False)])
def test_intervals_of_few_seeds_say_that_they_are_a_range(seeds: int, few: bool) -> None:
    from mos_agents.sweeps.table import caption

    assert ("a rough range" in caption(SweepResult(plan(seeds=seeds), {}))) == few


def test_an_interval_of_three_seeds_is_students() -> None:
    made = plan(["firms=1,2"], 3)
    done = {t.number: TrialOutcome(TrialResult({"value": float(t.seed)})) for t in made.trials}
    reach = 4.302653 / np.sqrt(3.0)  # Student's t of two degrees of freedom, of 0, 1 and 2
    found = SweepResult(made, done).interval(0, "value")[0]
    assert found[:3] == pytest.approx((1.0, 1.0 - reach, 1.0 + reach), rel=1e-6)


def test_print_of_a_sweep_is_its_table_and_says_what_the_figures_are(result: SweepResult) -> None:
    lines = str(result).splitlines()
    assert len(lines) == 2 + len(result.plan.cells)
    assert lines[0].split()[-1] == result.headline()[-1]
    assert "over seeds" in lines[-1]
    assert len({len(line) for line in lines[:-1]}) == 1
