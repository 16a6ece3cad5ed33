"""Whatever a Parquet file holds, the outcome is a series, a catalogue or one line."""

from __future__ import annotations

import datetime
import random
import struct
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import (
    MOST_LISTINGS,
    CatalogueFile,
    SeriesFile,
    read_catalogue,
    read_series,
)
from mos_agents.scenarios.tables.parquet import MOST_FOOTER
from tests.scenarios.tables.helpers import HEAD, refusal

DAY = datetime.date(2025, 3, 3)
NOON = datetime.datetime(2025, 3, 3, 12)
OTHER_COLUMNS: dict[str, Any] = {
    "categories": pl.Series(["X", "X", "Y"], dtype=pl.Categorical),
    "an enum": pl.Series(["X", "X", "Y"], dtype=pl.Enum(["X", "Y"])),
    "dates": pl.Series([DAY + datetime.timedelta(days=i) for i in range(3)]),
    "moments": pl.Series([NOON + datetime.timedelta(hours=i) for i in range(3)]),
    "moments with a zone": pl.Series(
        [NOON + datetime.timedelta(hours=i) for i in range(3)],
        dtype=pl.Datetime("ms", "Asia/Tokyo"),
    ),
    "nanoseconds": pl.Series([1, 2, 3], dtype=pl.Datetime("ns")),
    "times": pl.Series([datetime.time(9), datetime.time(10), datetime.time(11)]),
    "durations": pl.Series([datetime.timedelta(days=i) for i in range(3)]),
    "truth values": pl.Series([True, False, True]),
    "lists": pl.Series([[1.0], [2.0, 3.0], []]),
    "structures": pl.Series([{"a": 1.0}, {"a": 2.0}, {"a": 3.0}]),
    "arrays": pl.Series([[1.0, 2.0]] * 3, dtype=pl.Array(pl.Float64, 2)),
    "nothing": pl.Series([None, None, None]),
    "no numbers": pl.Series([None, None, None], dtype=pl.Float64),
    "no texts": pl.Series([None, None, None], dtype=pl.String),
    "bytes": pl.Series([b"a", b"\x00", b"\xff"]),
    "texts": pl.Series(["one", "two", "three"]),
    "an index": pl.Series([0, 1, 2], dtype=pl.Int64),
}
NUMBERS: dict[str, pl.Series] = {
    **{
        str(dtype): pl.Series([10, 11, 12], dtype=dtype)
        for dtype in (
            pl.Int8,
            pl.Int16,
            pl.Int32,
            pl.Int64,
            pl.UInt8,
            pl.UInt16,
            pl.UInt32,
            pl.UInt64,
            pl.Float32,
            pl.Float64,
        )
    },
    "decimal": pl.Series([Decimal("10"), Decimal("11"), Decimal("12")], dtype=pl.Decimal(9, 2)),
    "texts of numbers": pl.Series(["10", "11.0", "12"]),
    "categories of numbers": pl.Series(["10", "11.0", "12"], dtype=pl.Categorical),
}


def stored(folder: Path, **columns: pl.Series) -> str:
    path = folder / "prices.parquet"
    pl.DataFrame([c.alias(n) for n, c in columns.items()]).write_parquet(path)
    return str(path)


@pytest.mark.parametrize("kind", OTHER_COLUMNS)
def test_a_column_that_cannot_be_a_price_is_passed_over_and_refused_by_name(
    tmp_path: Path, kind: str
) -> None:
    other, close = OTHER_COLUMNS[kind], pl.Series([10.0, 11.5, 12.0])
    path = stored(tmp_path, other=other, Close=close)
    found = read_series(SeriesFile(path=path), "price", ("a",))
    assert found.values.ravel().tolist() == [10.0, 11.5, 12.0]
    if kind != "an index":
        with pytest.raises(InputError, match=r"prices\.parquet: ") as caught:
            read_series(SeriesFile(path=path, columns=("other",)), "price", ("a",))
        assert "\n" not in str(caught.value)
    alone = stored(tmp_path, other=other)
    with pytest.raises(InputError, match=r"prices\.parquet: "):
        read_series(SeriesFile(path=alone), "price", ("a",))


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_type_are_read_exactly(tmp_path: Path, kind: str) -> None:
    path = stored(tmp_path, Close=NUMBERS[kind])
    found = read_series(SeriesFile(path=path), "price", ("a",))
    assert found.values.ravel().tolist() == [10.0, 11.0, 12.0]


def test_half_floats_and_large_types_of_other_writers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    table = pa.table(
        {
            "Close": pa.array(np.array([10, 11, 12], np.float16)),
            "name": pa.array(["a", "b", "c"], pa.large_string()),
            "key": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)
    found = read_series(SeriesFile(path=str(path)), "price", ("a",))
    assert found.values.ravel().tolist() == [10.0, 11.0, 12.0]


def test_nan_and_null_are_missing_and_named_by_row(tmp_path: Path) -> None:
    for hole in (None, float("nan")):
        path = stored(tmp_path, Close=pl.Series([10.0, hole, 12.0], dtype=pl.Float64))
        with pytest.raises(InputError, match="row 2: Close is"):
            read_series(SeriesFile(path=path), "price", ("a",))
        filled = read_series(SeriesFile(path=path, missing="interpolate"), "price", ("a",))
        assert filled.values.ravel().tolist() == [10.0, 11.0, 12.0]


def test_an_infinite_price_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path, Close=pl.Series([10.0, float("inf")]))
    with pytest.raises(InputError, match="row 2: Close=inf must be a price > 0"):
        read_series(SeriesFile(path=path), "price", ("a",))


def test_dates_of_a_parquet_file_are_looked_at(tmp_path: Path) -> None:
    days = [DAY, DAY - datetime.timedelta(days=1)]
    path = stored(tmp_path, Date=pl.Series(days), Close=pl.Series([10.0, 11.0]))
    with pytest.raises(InputError, match="Date goes from new to old"):
        read_series(SeriesFile(path=path), "price", ("a",))


def test_a_catalogue_of_pandas_types_says_the_same_as_its_csv(tmp_path: Path) -> None:
    path = tmp_path / "goods.parquet"
    pl.DataFrame(
        {
            "product": pl.Series([1001, 1002]),
            "seller": pl.Series(["a", "a"], dtype=pl.Categorical),
            "cost": pl.Series([Decimal("1.5"), Decimal("2")], dtype=pl.Decimal(9, 2)),
            "reference_price": pl.Series([2, 3], dtype=pl.UInt8),
            "quality": pl.Series([0.5, 0.0], dtype=pl.Float32),
            "stock": pl.Series([10.0, None]),
            "pictures": pl.Series([[1], [2]]),
        }
    ).write_parquet(path)
    table = read_catalogue(CatalogueFile(path=str(path)))
    assert table.product == ["1001", "1002"]
    assert table.cost.tolist() == [1.5, 2.0]
    assert table.stock.tolist() == [10.0, np.inf]
    assert "columns not needed and left out: pictures" in table.notes


@pytest.mark.parametrize("option", ["separator", "encoding", "skip_lines", "heading", "sheet"])
def test_an_option_for_other_files_is_refused(tmp_path: Path, option: str) -> None:
    path = stored(tmp_path, Close=pl.Series([10.0, 11.0]))
    given: dict[str, Any] = {"separator": ";", "encoding": "utf-8", "skip_lines": 1}
    given |= {"heading": True, "sheet": "a"}
    with pytest.raises(InputError, match=f"{option} is for other files"):
        read_series(SeriesFile(path=path, **{option: given[option]}), "price", ("a",))


def bomb(path: Path, rows: int) -> None:
    """Few bytes that unpack to many rows."""
    one = {"product": "a", "seller": "a", "cost": 1.0, "reference_price": 1.0, "quality": 1.0}
    columns = [pl.repeat(value, rows).alias(name) for name, value in {**one, "stock": 1.0}.items()]
    pl.select(columns).write_parquet(path, compression="zstd")


def test_a_file_of_more_rows_than_are_taken_is_refused_by_its_footer(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    bomb(path, MOST_LISTINGS + 1)
    with pytest.raises(InputError, match=r"has 200,001 rows; at most 200,000 are taken"):
        read_catalogue(CatalogueFile(path=str(path)))
    bomb(path, 6_000_000)
    with pytest.raises(InputError, match=r"has 6,000,000 rows; at most 5,000,000 are taken"):
        read_series(SeriesFile(path=str(path)), "price", ("a",))


def test_long_lists_in_a_column_that_is_not_needed_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    many = pa.array([list(range(1000))] * 6000, pa.list_(pa.int32()))
    pq.write_table(pa.table({"Close": np.linspace(1.0, 2.0, 6000), "x": many}), path)
    found = read_series(SeriesFile(path=str(path)), "price", ("a",))
    assert found.left_out == ()
    assert len(found.values) == 6000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1" + b"\0" * 20 + b"PAR1",
        b"x" * 100,
        b"PAR1" + b"\0" * 20 + struct.pack("<I", MOST_FOOTER + 1) + b"PAR1",
        b"PAR1" + b"\0" * 20 + struct.pack("<I", 2**32 - 1) + b"PAR1",
    ],
)
def test_what_is_no_whole_parquet_file_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.parquet").write_bytes(data)
    with pytest.raises(InputError, match=r"p\.parquet: ") as caught:
        read_series(SeriesFile(path=str(tmp_path / "p.parquet")), "price", ("a",))
    assert "\n" not in str(caught.value)


def test_damaged_parquet_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    days = [DAY + datetime.timedelta(days=i) for i in range(50)]
    frame = pl.DataFrame({"Date": days, "Close": [10.0 + i for i in range(50)], "s": ["x"] * 50})
    frame.write_parquet(path)
    sound, draws = path.read_bytes(), random.Random(0)
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(draws.randint(1, 4)):
            data[draws.randrange(len(data))] = draws.randrange(256)
        if draws.random() < 0.2:
            del data[draws.randrange(len(data)) :]
        path.write_bytes(bytes(data))
        try:
            read_series(SeriesFile(path=str(path)), "price", ("a",))
        except InputError as error:
            assert "\n" not in str(error)


def test_a_hundred_thousand_rows_of_a_catalogue_are_read_without_a_loop_over_values(
    tmp_path: Path,
) -> None:
    rows = 100_000
    text = HEAD + "".join(f"p{i},s{i % 7},{i % 90 + 1}.50,{i % 90 + 2},0.5,\n" for i in range(rows))
    (tmp_path / "goods.csv").write_text(text)
    begin = time.process_time()
    table = read_catalogue(CatalogueFile(path=str(tmp_path / "goods.csv")))
    spent = time.process_time() - begin
    assert len(table.product) == rows
    assert table.cost[:2].tolist() == [1.5, 2.5]
    print(f"{spent:.2f} s of processors for {rows:,} rows")


def test_refusals_name_the_file_first(tmp_path: Path) -> None:
    from tests.scenarios.tables.helpers import series

    assert refusal(series, tmp_path, "Close\n1\nx\n").startswith("prices.csv: row 3: ")
