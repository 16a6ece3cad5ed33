"""A recorded series is played as it was meant: column, order, and nothing that is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import market_making_v0, retail_v0
from mos_agents import scenarios
from mos_agents.market.reference import Fundamentals, Replay
from mos_agents.market.types import InputError
from mos_agents.rollout import rollout
from mos_agents.scenarios.tables.columns import Part
from tests.scenarios.tables.helpers import CASES, refusal, series

OHLCV = (
    "Date,Open,High,Low,Close,Volume\n"
    "2025-03-03,50.1,51.3,49.2,50.6,910000\n"
    "2025-03-04,51.1,52.3,50.2,51.6,923577\n"
    "2025-03-05,52.1,53.3,51.2,52.6,937154\n"
)
DATED = "Date,Close\n2025-03-03,10\n2025-03-04,11\n2025-03-05,12\n"
WIDE = "Date,AAA,BBB\n2025-03-03,10,500\n2025-03-04,11,510\n2025-03-05,12,520\n"
TWO = ("asset_1", "asset_2")


def load_refused(case: str, file: str = "s.yaml") -> str:
    with pytest.raises(InputError) as caught:
        scenarios.load(CASES / case / file).market()
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{CASES / case}/", "")


def test_an_empty_cell_is_refused_by_row_and_column() -> None:
    found = load_refused("empty_cell_replaces_an_asset")
    assert "wide.csv: row 3: BBB is empty; fill it" in found


def test_a_file_of_open_high_low_close_and_volume_has_to_be_told_which() -> None:
    found = load_refused("ohlcv_volume_becomes_a_price")
    assert "(Open, High, Low, Close); say which, as in columns: [Close]" in found
    scenario = scenarios.load(CASES / "ohlcv_volume_becomes_a_price" / "s.yaml")
    named = scenarios.override(scenario, ["reference.price.columns=[Close]"])
    price = named.market().reference.price
    assert price.path.ravel().tolist() == [50.6, 51.6, 52.6, 53.6, 54.6, 55.6, 56.6, 57.6]


def test_a_file_without_a_heading_is_refused_and_loses_no_row_when_told_so() -> None:
    found = load_refused("file_without_a_heading")
    assert "candles.csv: the first row has no names" in found
    assert "add a heading such as time,open,high,low,close,volume,trades" in found
    assert "one.csv: the first row has no names" in load_refused(
        "file_without_a_heading", "one.yaml"
    )
    one = scenarios.load(CASES / "file_without_a_heading" / "one.yaml")
    path = scenarios.override(one, ["reference.price.heading=false"]).market().reference.price.path
    assert path.ravel().tolist() == [100.0 + t for t in range(9)]


@pytest.mark.parametrize("case", ["parquet_with_a_date_column", "parquet_with_a_category_column"])
def test_a_parquet_file_with_dates_or_categories_is_taken_as_its_csv_is(case: str) -> None:
    market, read = scenarios.load(CASES / case / "s.yaml").made()
    assert market.reference.price.path.ravel().tolist() == [10.0, 11.0, 12.0]
    assert read.series["price"].headings == ("Close",)
    assert "column 'Close' taken" in read.series["price"].notes


@pytest.mark.parametrize("file", ["s.yaml", "named.yaml"])
def test_a_row_of_nulls_is_named_with_what_can_be_done(file: str) -> None:
    found = load_refused("one_null_row_in_a_price_series", file)
    assert "row 3" in found.lower()
    assert "delete the row" in found
    assert "missing: previous, interpolate or drop" in found


def test_demand_may_be_nothing_and_nobody_comes_then() -> None:
    scenario = scenarios.load(CASES / "demand_of_closed_hours" / "s.yaml")
    result = rollout(scenario.market(), scenario.policies(), seed=0, ticks=5)
    assert np.isfinite(np.asarray(result.metrics)).all()
    assert scenario.market().reference.demand.path.ravel().tolist() == [0.0, 0.0, 0.2, 1.0, 1.5]


def test_the_column_of_numbers_beside_dates_is_taken_and_said(tmp_path: Path) -> None:
    found = series(tmp_path, DATED)
    assert found.values.tolist() == [[10.0], [11.0], [12.0]]
    assert found.headings == ("Close",)
    assert found.span == ("2025-03-03", "2025-03-05")
    assert "column 'Close' taken" in found.notes
    assert "dates in Date" in found.notes


TAKEN: list[tuple[str, str, str, list[float]]] = [
    ("Unix seconds", "time,price\n1700000000,10\n1700086400,11\n", "price", [10, 11]),
    ("Unix milliseconds", "x,price\n1700000000000,10\n1700000060000,11\n", "price", [10, 11]),
    ("an index of pandas", ",Close\n0,10\n1,11\n2,12\n", "Close", [10, 11, 12]),
    ("days by number", "day,tea\n1,2\n2,3\n3,4\n", "tea", [2, 3, 4]),
    ("ticks", "tick,p\n7,2\n8,3\n9,4\n", "p", [2, 3, 4]),
    ("volumes", "p,Volume\n5,900\n6,700\n", "p", [5, 6]),
    ("order sizes", "p,size\n5,9.5\n6,7.5\n", "p", [5, 6]),
    ("trades", "p,Number of trades\n5,9\n6,7\n", "p", [5, 6]),
    ("changes", "Price,Change %\n5,0.5%\n6,-0.2%\n", "Price", [5, 6]),
    ("truth in words", "p,open?\n5,yes\n6,no\n", "p", [5, 6]),
    ("days in words", "Day,Close\nMon,5\nTue,6\n", "Close", [5, 6]),
    ("months", "month,Close\n2025-01,5\n2025-02,6\n", "Close", [5, 6]),
    ("quarters", "q,Close\n2024Q4,5\n2025Q1,6\n", "Close", [5, 6]),
    ("years", "Year,Close\n1990,5\n1991,6\n", "Close", [5, 6]),
    ("American dates", "Date,Close\n12/31/2024,5\n1/2/2025,6\n", "Close", [5, 6]),
    ("German dates", "Datum;Kurs\n31.12.2024;5,5\n02.01.2025;6,5\n", "Kurs", [5.5, 6.5]),
    ("named months", "Date,Close\nDec 31 2024,5\n", "Close", [5]),
    (
        "zones",
        "t,Close\n2025-10-26T02:30:00+02:00,5\n2025-10-26T02:00:00+01:00,6\n",
        "Close",
        [5, 6],
    ),
    ("an empty column", "Close,Note\n5,\n6,\n", "Close", [5, 6]),
    ("a total", "Date,A\n2025-01-01,5\n2025-01-02,6\nTotal,11\n", "A", [5, 6]),
    ("prices that count up", "Close\n100\n101\n102\n", "Close", [100, 101, 102]),
]


@pytest.mark.parametrize(("beside", "text", "heading", "values"), TAKEN, ids=[t[0] for t in TAKEN])
def test_what_is_plainly_no_price_is_not_taken_for_one(
    tmp_path: Path, beside: str, text: str, heading: str, values: list[float]
) -> None:
    found = series(tmp_path, text)
    assert found.headings == (heading,)
    assert found.values.ravel().tolist() == values


REFUSED: list[tuple[str, str, tuple[str, ...], dict[str, Any], str]] = [
    (
        "one column for two assets",
        DATED,
        TWO,
        {},
        "one column of numbers, Close, for 2 instruments; say columns: [Close]",
    ),
    ("four prices for four assets", OHLCV, ("a", "b", "c", "d"), {}, "columns: [Close]"),
    ("bid and ask", "time,bid,ask\n10:00,1,2\n", TWO, {}, "more than one column could be meant"),
    ("prices of one share", "Index,X.Open,X.Close\n2025-03-03,1,2\n", TWO, {}, "[X.Close]"),
    ("German words", "Datum;Hoch;Tief\n02.01.2025;6,5;5,5\n", TWO, {}, "(Hoch, Tief); say which"),
    (
        "prices without words",
        "a,b,c,d\n5,6,4.9,5.5\n5.5,6.1,5.4,6\n5,5.5,4.8,5\n",
        ("w", "x", "y", "z"),
        {},
        "more than one column could be meant",
    ),
    ("too few columns", WIDE, ("a", "b", "c"), {}, "(AAA, BBB) for 3 instruments"),
    ("too many columns", WIDE, ("a",), {}, "(AAA, BBB) for 1 instrument; say which"),
    ("another name", WIDE, ("AAA", "CCC"), {}, "none is called 'CCC'"),
    ("the other order", WIDE, ("AAA", "BBB"), {"columns": ["BBB", "AAA"]}, "in another order"),
    ("one column twice", "Close,Close\n1,2\n", TWO, {}, "'Close' is there twice"),
    ("no such column", DATED, ("a",), {"columns": ["Kurs"]}, "column 'Kurs' is not there"),
    ("a column of dates", DATED, ("a",), {"columns": ["Date"]}, "'Date' holds dates, no numbers"),
    (
        "an asset without a column",
        WIDE,
        TWO,
        {"columns": {"asset_1": "AAA"}},
        "'asset_2' has no column",
    ),
    (
        "a column without an asset",
        WIDE,
        TWO,
        {"columns": {"asset_3": "AAA"}},
        "'asset_3' is not driven",
    ),
    ("three for two", OHLCV, TWO, {"columns": ["Open", "High", "Low"]}, "one for each, or one"),
    (
        "newest first",
        "Date,Close\n2025-03-05,1\n2025-03-04,2\n",
        ("a",),
        {},
        "Date goes from new to old; say order: newest_first",
    ),
    ("newest number first", "Year,Close\n1991,1\n1990,2\n", ("a",), {}, "order: newest_first"),
    ("newest hour first", "hour,p\n11:00,1\n10:00,2\n", ("a",), {}, "order: newest_first"),
    (
        "no order",
        "Date,Close\n2025-03-05,1\n2025-03-07,2\n2025-03-06,3\n",
        ("a",),
        {},
        "row 4: Date goes back and forth",
    ),
    ("an order against the dates", DATED, ("a",), {"order": "newest_first"}, "says the opposite"),
    ("day or month", "Date,Close\n01/02/2025,1\n02/01/2025,2\n", ("a",), {}, "day and month"),
    ("a text among dates", DATED + "soon,13\n", ("a",), {}, "row 5: Date='soon' is none of the"),
    (
        "series below each other",
        "Date,S,Close\n2025-03-03,A,1\n2025-03-03,B,2\n",
        ("a",),
        {},
        "holds several series one below the other (S: A, B)",
    ),
    (
        "series below each other, undated",
        "Symbol,Close\nA,1\nB,2\n",
        ("a",),
        {},
        "holds several series one below the other",
    ),
    ("names only", "Date,Name\n2025-03-03,A\n", ("a",), {}, "no column could be a price > 0"),
    ("row numbers only", "x\n1\n2\n3\n", ("a",), {}, "x holds row numbers"),
    ("a price of 0", "Close\n1\n0\n", ("a",), {}, "row 3: Close=0 must be a price > 0"),
    ("a negative price", "Close\n1\n-2\n", ("a",), {}, "row 3: Close=-2 must be a price > 0"),
    ("an infinite price", "Close\n1\ninf\n", ("a",), {}, "row 3: Close='inf' must be a number"),
    ("a huge price", "Close\n1\n1e300\n", ("a",), {}, "at most 1e+15"),
    ("a text among prices", "Close\n1\nten\n3\n", ("a",), {}, "row 3: Close='ten' must be"),
    ("a percentage", "Close\n10%\n20%\n", ("a",), {}, "it is an amount, not a share"),
    ("no rows", "Date,Close\n", ("a",), {}, "has no rows"),
    ("two readings", "Close\n1,234\n2,500\n", ("a",), {}, "can be 1234 or 1.234"),
]


@pytest.mark.parametrize(
    ("fault", "text", "names", "options", "message"), REFUSED, ids=[r[0] for r in REFUSED]
)
def test_a_series_that_could_be_meant_otherwise_is_refused_in_one_line(
    tmp_path: Path,
    fault: str,
    text: str,
    names: tuple[str, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    assert message in refusal(series, tmp_path, text, names, **options)


def test_a_named_column_drives_every_asset(tmp_path: Path) -> None:
    found = series(tmp_path, OHLCV, ("a", "b", "c"), columns=["Close"])
    assert found.values.tolist() == [[50.6], [51.6], [52.6]]
    assert found.left_out == ("Open", "High", "Low", "Volume")


def test_columns_can_be_named_by_asset(tmp_path: Path) -> None:
    found = series(tmp_path, WIDE, TWO, columns={"asset_2": "aaa", "asset_1": "BBB"})
    assert found.headings == ("BBB", "AAA")
    assert found.values[0].tolist() == [500.0, 10.0]


def test_columns_with_the_names_of_the_assets_go_to_them_in_any_order(tmp_path: Path) -> None:
    found = series(tmp_path, WIDE, ("BBB", "AAA"))
    assert found.values[0].tolist() == [500.0, 10.0]
    only = series(tmp_path, WIDE, ("BBB",))
    assert only.values.ravel().tolist() == [500.0, 510.0, 520.0]


def test_what_counts_up_is_taken_where_it_has_the_name_of_the_asset(tmp_path: Path) -> None:
    text = "Date,AAA,BBB\n2025-03-03,1,500\n2025-03-04,2,510\n2025-03-05,3,520\n"
    assert series(tmp_path, text, ("AAA",)).values.ravel().tolist() == [1.0, 2.0, 3.0]


def test_newest_first_is_turned_around_when_the_scenario_says_so(tmp_path: Path) -> None:
    text = "Date,Close\n2025-03-05,1\n2025-03-04,2\n2025-03-03,3\n"
    found = series(tmp_path, text, order="newest_first")
    assert found.values.ravel().tolist() == [3.0, 2.0, 1.0]
    assert found.span == ("2025-03-03", "2025-03-05")
    assert "newest first: played from the last row on" in found.notes
    as_is = series(tmp_path, text, order="as_is")
    assert as_is.values.ravel().tolist() == [1.0, 2.0, 3.0]
    undated = series(tmp_path, "Close\n1.5\n2\n", order="newest_first")
    assert undated.values.ravel().tolist() == [2.0, 1.5]


KLINES = (
    "open_time,open,high,low,close,volume,close_time,ignore\n"
    "1672617720000,3,4,2,3.5,9,1672617779999,0\n"
    "1672617660000,2,3,1,2.5,8,1672617719999,0\n"
    "1672617600000,1,2,0.5,1.5,7,1672617659999,0\n"
)


def test_times_of_opening_and_closing_are_times_and_no_prices(tmp_path: Path) -> None:
    assert "open_time goes from new to old" in refusal(series, tmp_path, KLINES, columns=("close",))
    read = series(tmp_path, KLINES, columns=("close",), order="newest_first")
    assert read.values[:, 0].tolist() == [1.5, 2.5, 3.5]
    assert "open_time" not in refusal(series, tmp_path, KLINES, order="newest_first").split(";")[0]


@pytest.mark.parametrize(
    "dates",
    [
        ["Mar-10", "Feb-10", "Jan-10"],
        ["03/2010", "02/2010", "01/2010"],
        ["Wed 03 Mar 2010", "Tue 02 Mar 2010", "Mon 01 Mar 2010"],
        ["1672617600.5", "1672617599.25", "1672617598.0"],
        ["0.3", "0.2", "0.1"],
    ],
)
def test_newest_first_is_seen_however_times_are_written(tmp_path: Path, dates: list[str]) -> None:
    text = "time,price\n" + "".join(f"{date},{i + 7}\n" for i, date in enumerate(dates))
    assert "goes from new to old" in refusal(series, tmp_path, text)
    assert series(tmp_path, text, order="newest_first").values[:, 0].tolist() == [9, 8, 7]


def test_dates_that_cannot_be_read_leave_the_order_to_the_scenario(tmp_path: Path) -> None:
    text = "Datum,Preis\n2. Mai 2010,7\n1. Mai 2010,8\n"
    found = refusal(series, tmp_path, text)
    assert "Datum='2. Mai 2010' is no date that can be read" in found and "order:" in found
    assert series(tmp_path, text, order="newest_first").values[:, 0].tolist() == [8, 7]
    assert series(tmp_path, text, order="oldest_first").values[:, 0].tolist() == [7, 8]
    weekdays = "date,weekday,price\n2024-01-01,1 (Mon),7\n2024-01-02,2 (Tue),8\n"
    assert len(series(tmp_path, weekdays, columns=("price",)).values) == 2


def test_shops_below_each_other_are_seen_though_they_are_numbers(tmp_path: Path) -> None:
    days = [f"2024-01-0{d}" for d in (1, 2, 3)]
    text = "date,store,sales\n" + "".join(f"{d},{k},5\n" for d in days for k in (1, 2))
    found = refusal(series, tmp_path, text, part="demand", columns=("sales",))
    assert "every date stands in 2 rows or more" in found
    whole = series(tmp_path, text, part="demand", columns=("sales",), order="as_is")
    assert len(whole.values) == 6
    hours = "date,hr,cnt\n" + "".join(f"{d},{h},5\n" for d in days for h in range(3))
    assert len(series(tmp_path, hours, part="demand", columns=("cnt",)).values) == 9


@pytest.mark.parametrize("heading", ["visitors", "Units Sold", "orders_per_day", "demand"])
def test_demand_that_grows_by_one_is_no_row_number(tmp_path: Path, heading: str) -> None:
    text = f"date,{heading}\n" + "".join(f"2024-01-0{i},{i}\n" for i in range(1, 6))
    assert series(tmp_path, text, part="demand").values[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_large_volumes_and_market_values_are_no_unix_time(tmp_path: Path) -> None:
    text = "symbol,market_cap,Volume,date,price\n" + "".join(
        f"A,{cap},{cap},2024-01-0{i},{i}.5\n"
        for i, cap in enumerate((1_700_000_000, 1_600_000_000, 1_800_000_000), 1)
    )
    assert series(tmp_path, text, columns=("price",)).span == ("2024-01-01", "2024-01-03")


@pytest.mark.parametrize(
    "heading, example",
    [
        ("Price,Open,High,Low", "Price"),
        ("<OPEN>,<HIGH>,<LOW>,<CLOSE>", "<CLOSE>"),
        ("Open,High,Low,Close/Last", "Close/Last"),
        ("store,item,price", "price"),
    ],
)
def test_the_example_names_the_column_that_is_likely_meant(
    tmp_path: Path, heading: str, example: str
) -> None:
    width = heading.count(",") + 1
    rows = "".join(",".join(f"{i + 5}.{k}" for k in range(width)) + "\n" for i in range(3))
    assert f"columns: [{example}]" in refusal(series, tmp_path, f"{heading}\n{rows}")


def test_gaps_and_repeated_dates_are_told(tmp_path: Path) -> None:
    days = ["03", "04", "04", "05", "17", "18"]
    text = "Date,Close\n" + "".join(f"2025-03-{day},1\n" for day in days)
    notes = series(tmp_path, text).notes
    assert any("1 row has the time of the row before" in note for note in notes)
    assert any("1 gap in time" in note and "12 days" in note for note in notes)


MISSING = "Date,AAA,BBB\n2025-03-03,10,500\n2025-03-04,11,{}\n2025-03-05,12,520\n"


@pytest.mark.parametrize("word", ["", "null", "NaN", "NA", "n/a", "#N/A", ".", "-", "None", " "])
def test_missing_values_are_refused_or_filled_as_the_scenario_says(
    tmp_path: Path, word: str
) -> None:
    text = MISSING.format(word)
    found = refusal(series, tmp_path, text, TWO)
    assert "row 3: BBB is" in found
    assert "missing: previous, interpolate or drop" in found
    filled = {
        how: series(tmp_path, text, TWO, missing=how).values[:, 1].tolist()
        for how in ("previous", "interpolate", "drop")
    }
    assert filled == {
        "previous": [500.0, 500.0, 520.0],
        "interpolate": [500.0, 510.0, 520.0],
        "drop": [500.0, 520.0],
    }


@pytest.mark.parametrize("text", ["Close\n1\n\n3\n", "Close\n1\n \n3\n", '"Close"\n1\n""\n3\n'])
def test_an_empty_line_in_the_only_column_is_a_missing_value(tmp_path: Path, text: str) -> None:
    assert "row 3: Close is empty" in refusal(series, tmp_path, text)
    assert series(tmp_path, text + "\n\n", missing="drop").values.ravel().tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("values", "how", "side"),
    [
        (["", "5"], "previous", "before"),
        (["", "5"], "interpolate", "before"),
        (["5", ""], "interpolate", "after"),
    ],
)
def test_what_has_no_neighbour_is_not_filled(
    tmp_path: Path, values: list[str], how: str, side: str
) -> None:
    text = "d,A\n" + "".join(f"2025-01-0{i + 1},{v}\n" for i, v in enumerate(values))
    assert f"has no value {side} it" in refusal(series, tmp_path, text, missing=how)


def test_missing_values_before_and_after_are_those_in_time(tmp_path: Path) -> None:
    text = "Date,A\n2025-01-03,7\n2025-01-02,\n2025-01-01,5\n"
    found = series(tmp_path, text, order="newest_first", missing="previous")
    assert found.values.ravel().tolist() == [5.0, 5.0, 7.0]


@pytest.mark.parametrize("part", ["cost", "demand"])
def test_costs_and_demand_may_be_nothing_and_not_less(tmp_path: Path, part: Part) -> None:
    assert series(tmp_path, "x\n1.5\n0\n", part=part).values.ravel().tolist() == [1.5, 0.0]
    found = refusal(series, tmp_path, "x\n1.5\n-1\n", ("a",), part)
    assert f"row 3: x=-1 must be a {part} >= 0" in found


def test_what_is_no_price_may_be_a_demand(tmp_path: Path) -> None:
    text = "hour,visitors\n00:00,0\n01:00,2\n"
    assert series(tmp_path, text, part="demand").headings == ("visitors",)
    assert series(tmp_path, "Volume\n5\n0\n", part="demand").headings == ("Volume",)


@pytest.mark.parametrize("zero", ["price", "cost", "demand"])
def test_a_replay_of_nothing_is_refused_for_prices_alone(zero: Part) -> None:
    market = scenarios.preset("retail", products=1, ticks=3).market()
    path = np.zeros((3, 1))
    moved = Fundamentals(**{zero: Replay(path)})
    if zero == "price":
        with pytest.raises(InputError, match="prices must be > 0"):
            market.with_parts(reference=moved)
    else:
        market.with_parts(reference=moved)
    with pytest.raises(InputError, match="must be >= 0"):
        Replay(path - 1.0)


def with_demand(preset: str, path: Path, **settings: Any) -> scenarios.Scenario:
    scenario = scenarios.preset(preset, ticks=6, **settings)
    replay = f"reference.demand={{kind: replay, path: {path}, columns: [x]}}"
    return scenarios.override(scenario, [replay])


@pytest.mark.parametrize("preset", ["retail", "market_making", "auction"])
def test_ticks_without_demand_leave_every_number_finite(tmp_path: Path, preset: str) -> None:
    (tmp_path / "d.csv").write_text("x\n0\n0\n1.5\n0\n1\n0\n")
    scenario = with_demand(preset, tmp_path / "d.csv")
    result = rollout(scenario.market(), scenario.policies(), seed=0, ticks=6, markets=2)
    assert np.isfinite(np.asarray(result.metrics)).all()


@pytest.mark.parametrize("arrivals", ["fixed_mass", "poisson", "browsing"])
@pytest.mark.parametrize("kind", ["logit", "elasticity"])
def test_no_customers_and_no_costs_leave_every_number_finite(
    tmp_path: Path, arrivals: str, kind: str
) -> None:
    (tmp_path / "d.csv").write_text("x\n0\n0\n1.5\n0\n1\n0\n")
    scenario = with_demand("retail", tmp_path / "d.csv", products=2)
    costs = f"reference.cost={{kind: replay, path: {tmp_path}/d.csv, columns: [x]}}"
    changes = [
        costs,
        f"arrivals={arrivals}",
        f"execution={{kind: sampled, demand: {{kind: {kind}}}}}",
    ]
    scenario = scenarios.override(scenario, changes)
    result = rollout(scenario.market(), scenario.policies(), seed=0, ticks=6, markets=2)
    assert np.isfinite(np.asarray(result.metrics)).all()


@pytest.mark.parametrize(
    ("env", "preset"), [(retail_v0, "retail"), (market_making_v0, "market_making")]
)
def test_environments_live_through_ticks_without_demand(
    tmp_path: Path, env: Any, preset: str
) -> None:
    (tmp_path / "d.csv").write_text("x\n0\n0\n1.5\n0\n1\n0\n")
    scenario = with_demand(preset, tmp_path / "d.csv")
    (tmp_path / "s.yaml").write_text(scenarios.dump(scenario))
    made = env.parallel_env(scenario=str(tmp_path / "s.yaml"))
    made.reset(seed=0)
    while made.agents:
        actions = {agent: made.action_space(agent).sample() for agent in made.agents}
        observations, rewards, *_ = made.step(actions)
        assert all(np.isfinite(o).all() for o in observations.values())
        assert np.isfinite(list(rewards.values())).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 10**8), min_size=3, max_size=3), min_size=3, max_size=12),
    st.permutations(["AAA", "BBB", "CCC"]),
    st.sampled_from([(",", "."), (";", ","), ("\t", "."), ("|", ",")]),
)
def test_every_asset_is_driven_by_the_column_of_its_name(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[int]],
    names: list[str],
    dialect: tuple[str, str],
) -> None:
    separator, decimal = dialect
    lines = [separator.join(["AAA", "BBB", "CCC"])]
    lines += [separator.join(f"{v // 100}{decimal}{v % 100:02d}" for v in row) for row in rows]
    folder = tmp_path_factory.mktemp("series")
    try:
        found = series(folder, "\n".join(lines), names)
    except InputError as error:
        assert "must be a price > 0" not in str(error)
        return
    places = ["ABC".index(name[0]) for name in names]
    assert np.allclose(found.values, np.array(rows)[:, places] / 100, rtol=1e-12)


def test_year_month_and_day_in_columns_of_their_own_are_one_date(tmp_path: Path) -> None:
    head, rows = "year,month,day,price\n", ["2010,1,30,5", "2010,1,31,6", "2010,2,1,7"]
    up = series(tmp_path, head + "\n".join(rows) + "\n")
    assert up.values[:, 0].tolist() == [5, 6, 7]
    back = head + "\n".join(rows[::-1]) + "\n"
    assert "year and month and day goes from new to old" in refusal(series, tmp_path, back)
    mixed = head + "\n".join([rows[1], rows[0], rows[2]]) + "\n"
    assert "goes back and forth" in refusal(series, tmp_path, mixed)
