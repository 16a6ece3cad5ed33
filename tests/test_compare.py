"""`mos compare`: per tick where lengths differ, over all tables, and safe for a terminal."""

from __future__ import annotations

import math
import re
from pathlib import Path

import polars as pl
import pytest

from mos_agents import runs
from mos_agents.cli import run
from mos_agents.lab import comparing
from mos_agents.market.printing import printable
from mos_agents.runs import RecordingPlan
from mos_agents.runs.differences import difference, first_difference
from tests.commands import refused
from tests.forging import part, reseal, rewrite
from tests.test_runs import recorded, small

pytestmark = pytest.mark.usefixtures("here")


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that goes well prints."""
    assert run(arguments) == 0, capsys.readouterr().err
    return capsys.readouterr().out


# --- runs of unequal length -----------------------------------------------------------------------


def test_runs_of_unequal_length_are_compared_per_tick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = ["run", "retail", "--set", "products=2", "--no-report"]
    output_of(capsys, *short, "--ticks", "40", "--name", "long")
    output_of(capsys, *short, "--ticks", "10", "--name", "short")
    given = output_of(capsys, "compare", "long", "short")
    warning = "the runs differ in length: 40 and 10 ticks; all figures are means per tick"
    assert given.index(warning) < given.index("reward per tick")  # before any figure
    assert re.search(r"^reward ", given.replace("reward per tick", ""), re.MULTILINE) is None
    for name, column in (("platform", "reward"), ("firm_1", "pnl")):
        block = given[given.index(f"{column} per tick") :]
        cells = re.search(rf"^{name} +(\S+) +(\S+) +(\S+)$", block, re.MULTILINE)
        assert cells
        found = [float(cell.replace(",", "")) for cell in cells.groups()]
        means = [
            runs.read(r).aggregates().filter(pl.col("participant") == name)[column].mean()
            for r in ("long", "short")
        ]
        assert found == pytest.approx([*means, means[1] - means[0]], abs=0.011)


def test_a_longer_run_of_the_same_market_is_not_ahead_by_its_length(tmp_path: Path) -> None:
    """The same policies in 10 and in 200 ticks: totals differ twentyfold, means hardly."""
    one, two = (
        runs.read(recorded(tmp_path / str(t), small(ticks=t, markets=20)).folder) for t in (20, 200)
    )
    table = comparing.compared(one, two)
    ratio = (table["units_traded_2"] / table["units_traded"]).to_list()
    assert all(0.5 < r < 2.0 for r in ratio)


def test_an_interrupted_run_is_compared_per_tick(tmp_path: Path) -> None:
    whole = runs.read(recorded(tmp_path / "a", small()).folder)
    cut = runs.read(recorded(tmp_path / "b", small(), (9,), stop=9).folder)
    lines = comparing.compare(whole, cut).lines()
    assert any("12 and 9 ticks" in line for line in lines[:3])
    assert "did not finish" in lines[-1]


def test_runs_of_equal_length_are_compared_by_their_totals(tmp_path: Path) -> None:
    one = runs.read(recorded(tmp_path / "a", small()).folder)
    lines = comparing.compare(one, one).lines()
    assert not any("per tick" in line for line in lines)
    total = one.aggregates().filter(pl.col("participant") == "platform")["pnl"].sum()
    assert any(f"{total:,.2f}" in line for line in lines)


# --- the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("table", runs.TABLES)
def test_a_damaged_table_is_not_the_same_bits(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (recorded(Path("runs"), small(), (5,)).folder for _ in range(2))
    assert "hashes agree" in output_of(capsys, "compare", one.name, two.name)
    path = part(two, table, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert f"{table}/part-000001.parquet: damaged" in refused(capsys, "compare", one.name, two.name)
    path.write_bytes(whole)
    rewrite(path, lambda d: d.with_columns(pl.col(pl.Float64) * 2.0), "the digest")
    assert "sealed with" in refused(capsys, "compare", one.name, two.name)
    reseal(two)
    line = refused(capsys, "compare", one.name, two.name)
    assert f"the hashes agree and the tables do not: {table}: " in line and "mos verify" in line


def test_runs_that_recorded_different_parts_of_one_trajectory_have_the_same_bits(
    tmp_path: Path,
) -> None:
    scenario = small(markets=5)
    layout = scenario.market().layout
    made = [
        runs.read(
            recorded(
                tmp_path / f"{kept}-{every}",
                scenario,
                ends,
                plan=RecordingPlan.of(layout, 12, 5, record_markets=kept, every=every),
            ).folder
        )
        for kept, every, ends in [(5, 1, (3, 7)), (2, 2, (5,)), (3, 3, ()), (1, 12, (1, 2))]
    ]
    for one in made:
        for two in made:
            assert first_difference(one, two) == ""
            assert "same bits" in comparing.hashes(one, two)


def test_shards_round_their_means_and_are_the_same_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["run", "retail", "--ticks", "12", "--markets", "6", "--no-report", "--name"]
    output_of(capsys, *command, "one")
    output_of(capsys, *command, "four", "--backend", "actors", "--shards", "4")
    one, two = runs.read("one"), runs.read("four")
    assert not one.aggregates().equals(two.aggregates())  # in the last place
    assert "hashes agree" in output_of(capsys, "compare", "one", "four")


def test_what_is_not_a_number_is_never_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(Path("runs"), small()).folder
    rewrite(
        part(folder, "participants", 0),
        lambda d: d.with_columns(pl.lit(math.nan).alias("cash")),
        "the seal",
    )
    reseal(folder)
    for command in (["compare", folder.name, folder.name], ["verify", folder.name]):
        assert "column 'cash' is NaN, not a number, at tick 0" in refused(capsys, *command)


NUMBERS = [
    (1.0, 1.0, True),
    (1.0, math.nextafter(1.0, 2.0), False),
    (0.0, -0.0, False),
    (math.nan, math.nan, False),
    (None, None, True),
    (None, 0.0, False),
    (math.nan, None, False),
    (math.inf, math.inf, True),
    (math.inf, -math.inf, False),
    (1e308, 1e308, True),
]


@pytest.mark.parametrize(("one", "two", "same"), NUMBERS)
def test_values_are_compared_by_their_bits(
    one: float | None, two: float | None, same: bool
) -> None:
    def frame(value: float | None) -> pl.DataFrame:
        return pl.DataFrame(
            {"tick": [0, 1], "participant": ["a", "a"], "reward": [2.0, value]},
            schema_overrides={"reward": pl.Float64},
        )

    found = difference("aggregates", frame(one), frame(two))
    assert (found == "") == same
    if not same:
        assert found.startswith("'reward' at tick 1, participant 'a': ")


def test_a_comparison_of_other_seeds_is_no_error(tmp_path: Path) -> None:
    one, two = (
        runs.read(recorded(tmp_path / str(seed), small(seed=seed)).folder) for seed in (0, 1)
    )
    assert "hashes differ" in comparing.compare(one, two).lines()[-1]
    assert "'" in first_difference(one, two)


# --- names ----------------------------------------------------------------------------------------

NAMES = [
    ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    ("a\rb", r"a\rb"),
    ("bell\x07", r"bell\x07"),
    ("\x9b2J", r"\x9b2J"),
    ("\u202eevil", r"\u202eevil"),
    ("a\u200bb", r"a\u200bb"),
    ("plain", "plain"),
    ("Müller & Söhne", "Müller & Söhne"),
    ("名", "名"),
    ("\x00", r"\x00"),
    ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    ("\x7f", r"\x7f"),
    ("two\nlines", "two\nlines"),
]


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_what_steers_a_terminal_is_shown_and_not_sent(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_names_from_a_file_reach_the_terminal_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = recorded(Path("runs"), small()).folder
    hostile = "firm\x1b[2J_1"
    for table in runs.TABLES:
        rewrite(
            part(folder, table, 0),
            lambda d: d.with_columns(pl.col("participant").replace("firm_1", hostile)),
            "the seal",
        )
    market = runs.read(folder).facts["market"]
    names = [hostile if name == "firm_1" else name for name in market["participants"]]
    reseal(folder, market=market | {"participants": names})
    found = output_of(capsys, "compare", folder.name, folder.name)
    assert "\x1b" not in found and r"firm\x1b[2J_1 " in found
    rows = [line for line in found.splitlines() if line.startswith(("firm", "platform"))]
    assert len({len(line) for line in rows}) == 1  # the columns stay in line
    assert "\x1b" not in refused(capsys, "verify", folder.name)
