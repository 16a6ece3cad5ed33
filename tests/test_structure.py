"""Parts of tables begin where the last ended, and every command that reads them looks."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mos_agents import runs
from mos_agents.runs import RecordingPlan, RunError
from mos_agents.runs.files import digest, write_whole, write_with_digest
from mos_agents.runs.sealing import sealed
from tests.commands import refused
from tests.test_runs import recorded, small

PARTS = (4, 9)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of twelve ticks in three parts: of 4, 5 and 3."""
    return recorded(tmp_path_factory.mktemp("runs"), small(), PARTS).folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished, tmp_path / "runs" / finished.name))


def part(folder: Path, table: str, number: int) -> Path:
    return folder / table / f"part-{number:06d}.parquet"


def resealed(folder: Path, **changes: object) -> None:
    """run.json with the digests of the parts that lie there, and other changes, sealed again."""
    facts = json.loads((folder / "run.json").read_text())
    if facts["parts"] is not None:
        facts["parts_sha256"] = {
            table: [digest(p.read_bytes()) for p in sorted((folder / table).glob("*.parquet"))]
            for table in runs.TABLES
        }
    write_whole(folder / "run.json", sealed(facts | changes))


def rewritten(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """A part with its rows changed, and its digest made again."""
    out = io.BytesIO()
    change(pl.read_parquet(path)).write_parquet(out)
    write_with_digest(path, out.getvalue())


# --- what is told ---------------------------------------------------------------------------------


@pytest.mark.parametrize("table", runs.TABLES)
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (0, 1, "part-000001.parquet: begins with tick 0 where tick 4 should be"),
        (1, 2, "part-000002.parquet: begins with tick 4 where tick 9 should be"),
        (2, 0, "part-000000.parquet: begins with tick 9 where tick 0 should be"),
    ],
)
def test_a_part_in_anothers_place_is_told_with_the_tick_that_should_be_there(
    table: str, source: int, target: int, message: str, copy: Path
) -> None:
    write_with_digest(part(copy, table, target), part(copy, table, source).read_bytes())
    resealed(copy)
    with pytest.raises(RunError, match=message):
        runs.read(copy).check()


@pytest.mark.parametrize("command", ["report", "verify", "compare"])
@pytest.mark.parametrize("table", runs.TABLES)
def test_no_command_reads_a_table_with_a_hole_and_a_doubled_stretch(
    command: str, table: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_with_digest(part(copy, table, 1), part(copy, table, 0).read_bytes())
    resealed(copy)
    names = [copy.name] * (2 if command == "compare" else 1)
    line = refused(capsys, command, *names)
    assert f"{table}/part-000001.parquet: begins with tick 0 where tick 4 should be" in line
    assert not (copy / "report.html").exists()


@pytest.mark.parametrize("table", runs.TABLES)
def test_an_interrupted_run_with_a_part_twice_is_not_resumed(
    table: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    recording = recorded(tmp_path / "runs", small(), PARTS, stop=9)
    recording.close()
    folder = recording.folder
    write_with_digest(part(folder, table, 1), part(folder, table, 0).read_bytes())
    assert "begins with tick 0 where tick 4" in refused(capsys, "run", "--resume", folder.name)


@pytest.mark.parametrize("table", runs.TABLES)
def test_a_part_beyond_the_last_is_one_too_many(table: str, copy: Path) -> None:
    """As where somebody copies a part of a run that has only one."""
    write_with_digest(part(copy, table, 3), part(copy, table, 0).read_bytes())
    with pytest.raises(RunError, match=r"part-000003.*begins with tick 0 where tick 12 should be"):
        runs.read(copy)


Rows = Callable[[pl.DataFrame], pl.DataFrame]
HARM: list[tuple[str, Rows, str]] = [
    ("the first row dropped", lambda d: d[1:], "row|rows"),
    ("the last row dropped", lambda d: d[:-1], "row|rows"),
    ("a row twice", lambda d: pl.concat([d[:1], d]), "row|rows"),
    ("the last row twice", lambda d: pl.concat([d, d[-1:]]), "row|rows"),
    ("rows backwards", lambda d: d[::-1], "begins with tick"),
    ("a tick left out", lambda d: d.filter(pl.col("tick") != 5), "where tick 5 should be"),
    ("the last tick left out", lambda d: d.filter(pl.col("tick") != 8), "tick|rows"),
    (
        "a tick too many",
        lambda d: pl.concat(
            [d, d.filter(pl.col("tick") == 8).with_columns(tick=pl.lit(9, pl.Int64))]
        ),
        "tick|rows",
    ),
    ("ticks moved by one", lambda d: d.with_columns(pl.col("tick") + 1), "begins with tick 5"),
    ("nothing left", lambda d: d[:0], "holds no rows|0 rows"),
    (
        "a participant renamed",
        lambda d: d.with_columns(pl.col("participant").replace("firm_1", "firm_9")),
        "firm_9",
    ),
    (
        "a participant as another",
        lambda d: d.with_columns(pl.col("participant").replace("firm_1", "firm_2")),
        "firm_1|firm_2|listings",
    ),
    ("no participant", lambda d: d.with_columns(participant=pl.lit(None, pl.String)), "lacks"),
    ("ticks as floats", lambda d: d.with_columns(pl.col("tick").cast(pl.Float64)), "holds Float64"),
    ("a column gone", lambda d: d.drop("refused" if "refused" in d.columns else "ask"), "column"),
    ("a column more", lambda d: d.with_columns(extra=pl.lit(1.0)), "extra"),
    ("columns in another order", lambda d: d.select(reversed(d.columns)), "order"),
    (
        "a column as 32 bits",
        lambda d: d.with_columns(pl.col(pl.Float64).cast(pl.Float32)),
        "Float32",
    ),
]


@pytest.mark.parametrize("table", runs.TABLES)
@pytest.mark.parametrize(("harm", "change", "message"), HARM, ids=[h[0] for h in HARM])
def test_rows_that_do_not_say_every_tick_once_are_told(
    table: str, harm: str, change: Rows, message: str, copy: Path
) -> None:
    rewritten(part(copy, table, 1), change)
    resealed(copy)
    with pytest.raises(RunError, match=message) as error:
        runs.read(copy).check()
    assert f"{table}/part-00000" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("table", ["listings", "participants"])
@pytest.mark.parametrize("market", ["swapped", "one twice", "one too many"])
def test_a_market_that_is_not_there_once_a_tick_is_told(
    table: str, market: str, copy: Path
) -> None:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        if market == "swapped":
            return rows.with_columns(1 - pl.col("market"))
        if market == "one twice":
            return rows.with_columns(pl.lit(0, pl.Int32).alias("market"))
        return rows.with_columns(pl.col("market") * 2)

    rewritten(part(copy, table, 1), change)
    resealed(copy)
    with pytest.raises(RunError, match="market"):
        runs.read(copy).check()


def test_listings_that_change_places_are_told(copy: Path) -> None:
    rewritten(
        part(copy, "listings", 1),
        lambda d: d.with_columns(pl.col("instrument").reverse().over("tick", "market")),
    )
    resealed(copy)
    with pytest.raises(RunError, match="instrument"):
        for _ in runs.read(copy).chunks("listings"):
            pass


def test_a_finished_run_that_ends_early_or_late_is_told(copy: Path) -> None:
    for ticks in (11, 13):
        resealed(copy, ticks=ticks)
        with pytest.raises(RunError, match=rf"ends with tick 11 where tick {ticks - 1} should be"):
            runs.read(copy).check()


@pytest.mark.parametrize("table", runs.TABLES)
def test_a_part_that_is_not_the_one_of_the_seal_is_told(table: str, copy: Path) -> None:
    """Its own digest beside it is right: somebody wrote both."""
    rewritten(part(copy, table, 2), lambda d: d.with_columns(pl.col(pl.Float64) * 2.0))
    with pytest.raises(RunError, match="sealed with: run"):
        runs.read(copy).check()


@pytest.mark.parametrize("table", runs.TABLES)
def test_what_is_not_a_number_is_told_with_its_place(table: str, copy: Path) -> None:
    column = {"listings": "sold_price", "participants": "cash", "aggregates": "reward"}[table]
    rewritten(
        part(copy, table, 1),
        lambda d: d.with_columns(
            pl.when(pl.col("tick") == 6).then(float("nan")).otherwise(pl.col(column)).alias(column)
        ),
    )
    resealed(copy)
    with pytest.raises(RunError, match=rf"{column!r} is NaN.* at tick 6"):
        runs.read(copy).check()


def test_sound_runs_of_every_kind_are_read(tmp_path: Path) -> None:
    scenario = small(markets=5)
    layout = scenario.market().layout
    for number, (kept, every, ends) in enumerate(
        [(5, 1, ()), (1, 1, (1, 2, 3)), (3, 5, (2, 7)), (2, 100, (6,)), (5, 4, range(1, 12))]
    ):
        plan = RecordingPlan.of(layout, 12, 5, record_markets=kept, every=every)
        run = runs.read(recorded(tmp_path / str(number), scenario, tuple(ends), plan=plan).folder)
        run.check()
        assert run.ticks == 12
        assert run.listings()["tick"].unique().to_list() == list(range(0, 12, every))
        assert run.listings().height == len(range(0, 12, every)) * kept * layout.L


def test_a_tick_of_which_nothing_is_recorded_leaves_a_table_of_the_same_types(
    tmp_path: Path,
) -> None:
    plan = RecordingPlan.of(small().market().layout, 12, 2, every=100)
    run = runs.read(recorded(tmp_path, small(), (3, 6), plan=plan).folder)
    for table in runs.TABLES:
        schemas = {tuple(chunk.schema.items()) for chunk in run.chunks(table)}
        assert len(schemas) == 1


# --- run.json -------------------------------------------------------------------------------------

FACTS: list[tuple[str, object]] = [
    ("seed", -1),
    ("seed", "0"),
    ("seed", 1.5),
    ("ticks", 0),
    ("ticks", None),
    ("markets", "two"),
    ("recorded_markets", 0),
    ("recorded_markets", 99),
    ("every", 0),
    ("every", True),
    ("finished", 3),
    ("finished", None),
    ("hash", "x"),
    ("hash", None),
    ("parts", -1),
    ("parts", None),
    ("parts", 4),
    ("versions", []),
    ("actors", "none"),
    ("inputs", {"a": "b"}),
    ("market", {}),
    ("market", None),
    ("scenario_sha256", "0"),
    ("name", 3),
    ("parts_sha256", {"listings": []}),
    ("trouble", {"firm_1": {"late": -1}}),
    ("withdrawn", "a"),
]


@pytest.mark.parametrize(("field", "value"), FACTS, ids=lambda v: str(v)[:20])
def test_a_field_that_no_run_could_have_is_told_by_its_name(
    field: str, value: object, copy: Path
) -> None:
    resealed(copy, **{field: value})
    with pytest.raises(RunError) as error:
        runs.read(copy).check()
    text = str(error.value)
    assert "run.json" in text or field == "parts"
    assert field in text.replace("part-", "parts") and "\n" not in text


def test_a_name_that_stands_twice_in_run_json_is_told(copy: Path) -> None:
    facts = json.loads((copy / "run.json").read_text())
    facts["market"]["participants"][1] = facts["market"]["participants"][0]
    resealed(copy, market=facts["market"])
    with pytest.raises(RunError, match=r"market\.participants has a name twice"):
        runs.read(copy)
