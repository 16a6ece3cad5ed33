"""Files of observed prices become arrays on a regular clock, or one clear line."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import TableFile
from mos_agents.scenarios.tables.beside import series_beside, values_beside
from mos_agents.scenarios.tables.price_roles import GivenColumns
from mos_agents.scenarios.tables.price_table import PriceTable, read_prices

WEEKS = [dt.date(2024, 1, 1) + dt.timedelta(7 * i) for i in range(53)]
SELLERS = ("A", "B", "C")


def price(tick: int, seller: int) -> float:
    """A price that tells where it belongs."""
    return 10.0 + seller + 0.01 * tick


def long(
    head: str = "week,firm,price",
    separator: str = ",",
    date: str = "%Y-%m-%d",
    number: str = "{:.2f}",
    comma: bool = False,
    days: list[dt.date] = WEEKS,
) -> str:
    """A file with a row for each price, one seller below the other."""
    rows = [head.replace(",", separator)]
    for n, seller in enumerate(SELLERS):
        for t, day in enumerate(days):
            text = number.format(price(t, n))
            rows.append(
                separator.join(
                    [day.strftime(date), seller, text.replace(".", ",") if comma else text]
                )
            )
    return "\n".join(rows) + "\n"


def wide(date: str = "%Y-%m-%d", days: list[dt.date] = WEEKS, more: str = "") -> str:
    """A file with a column for each seller, and perhaps another one that is always 7."""
    rows = ["date," + ",".join(SELLERS) + (f",{more}" if more else "")]
    for t, day in enumerate(days):
        values = [f"{price(t, n):.2f}" for n in range(3)] + (["7"] if more else [])
        rows.append(",".join([day.strftime(date), *values]))
    return "\n".join(rows) + "\n"


def read(
    folder: Path, text: str | bytes, every: str | None = None, name: str = "p.csv", **given: object
) -> PriceTable:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_prices(TableFile(path=str(file)), GivenColumns(**given), every)  # type: ignore[arg-type]


EXPECTED = np.array([[price(t, n) for n in range(3)] for t in range(53)])

MONTHS = [dt.date(2023 + i // 12, 1 + i % 12, 1) for i in range(36)]
WORKDAYS = [d for i in range(200) if (d := dt.date(2024, 1, 1) + dt.timedelta(i)).weekday() < 5]


@pytest.mark.parametrize(
    "text",
    [
        long(),
        wide(),
        long(
            head="Datum;Anbieter;Preis".replace(";", ","),
            separator=";",
            date="%d.%m.%Y",
            comma=True,
        ),
        long(date="%m/%d/%Y"),
        long(date="%d/%m/%Y"),
        long().encode("utf-16"),
        long(number="{:.2f} €"),
        "\n".join([wide().splitlines()[0], *wide().splitlines()[:0:-1]]),
        "prices of three shops\n\n" + wide(),
        wide() + "Source: the shops\n",
    ],
    ids="long wide german us_dates eu_dates utf16 euro newest_first title remark".split(),
)
def test_every_dialect_gives_the_same_prices(tmp_path, text):
    found = read(tmp_path, text)
    assert found.sellers == SELLERS
    assert np.allclose(found.prices[:, 0], EXPECTED)
    assert found.clock.step == "week"
    assert (found.clock.labels[0], found.clock.labels[-1]) == ("2024-01-01", "2024-12-30")


def test_a_parquet_file_is_read_like_text(tmp_path):
    frame = pl.DataFrame({"date": WEEKS, **{s: EXPECTED[:, n] for n, s in enumerate(SELLERS)}})
    frame.write_parquet(tmp_path / "p.parquet")
    found = read_prices(TableFile(path=str(tmp_path / "p.parquet")))
    assert np.allclose(found.prices[:, 0], EXPECTED)
    assert found.clock.step == "week"


@pytest.mark.parametrize(
    ("days", "date", "step", "ticks"),
    [
        (MONTHS, "%Y-%m-%d", "month", 36),
        (MONTHS, "%d/%m/%Y", "month", 36),
        (MONTHS, "%Y-%m", "month", 36),
        (WORKDAYS, "%Y-%m-%d", "day", len(WORKDAYS)),
        (WEEKS[1:], "%Y-W%W", "week", 52),
    ],
    ids="months months_day_first year_month workdays iso_weeks".split(),
)
def test_the_clock_has_the_step_of_the_dates(tmp_path, days, date, step, ticks):
    found = read(tmp_path, wide(date=date, days=days))
    assert (found.clock.step, len(found.clock.labels)) == (step, ticks)
    assert np.isfinite(found.prices).all()


def test_missing_weeks_stay_gaps(tmp_path):
    found = read(tmp_path, wide(days=[d for i, d in enumerate(WEEKS) if i not in (10, 11, 30)]))
    assert len(found.clock.labels) == 53
    assert np.isnan(found.prices[:, 0]).all(axis=1).nonzero()[0].tolist() == [10, 11, 30]
    assert found.clock.labels[10] == "2024-03-11"
    assert any("3 weeks without any price" in note for note in found.notes)


def test_a_seller_that_is_seldom_seen_is_left_out_and_named(tmp_path):
    kept = [line for line in long().splitlines() if ",C," not in line or line < "2024-03"]
    found = read(tmp_path, "\n".join(kept))
    assert np.isnan(found.prices[:, 0, 2]).all()
    assert any("C: 17%" in note for note in found.notes)


def test_costs_and_quantities_of_each_seller_are_found_by_their_headings(tmp_path):
    head = "week,price_A,price_B,cost_A,cost_B,units A,units B"
    found = read(tmp_path, "\n".join([head, *(f"{d},10,11,6,7,3,4" for d in WEEKS)]))
    assert found.sellers == ("A", "B")
    assert found.cost is not None and found.quantity is not None
    assert found.cost[0, 0].tolist() == [6, 7]
    assert found.quantity[0, 0].tolist() == [3, 4]


def test_one_cost_serves_all_sellers(tmp_path):
    found = read(tmp_path, wide(more="cost"))
    assert found.cost is not None
    assert (found.cost == 7.0).all()


def test_several_products_are_kept_apart(tmp_path):
    rows = [
        f"{d},{p},{s},1{i}.5" for d in WEEKS for i, p in enumerate(("tea", "milk")) for s in "XY"
    ]
    found = read(tmp_path, "\n".join(["week,product,seller,price", *rows]))
    assert found.products == ("tea", "milk")
    assert (found.prices[:, 0] == 10.5).all()
    assert (found.prices[:, 1] == 11.5).all()


def test_a_series_for_all_sellers_is_no_seller(tmp_path):
    found = read(tmp_path, wide(more="temperature"))
    assert found.sellers == SELLERS
    assert (found.common["temperature"] == 7.0).all()


def test_labels_of_promotions_are_seasons(tmp_path):
    rows = [
        f"{d},{10 + t % 3},{10 + t % 2},{'yes' if t % 9 == 0 else 'no'}"
        for t, d in enumerate(WEEKS)
    ]
    found = read(tmp_path, "\n".join(["date,A,B,promo", *rows]))
    assert found.seasons["promo"][:2] == ("yes", "no")


def test_sellers_may_be_numbers_and_ticks_may_be_counted(tmp_path):
    rows = [f"{t},{s},10.{t:02d}" for t in range(60) for s in (101, 102)]
    found = read(tmp_path, "\n".join(["t,station_id,price", *rows]))
    assert found.sellers == ("101", "102")
    assert (found.clock.step, len(found.clock.labels)) == ("tick", 60)


def test_a_year_and_a_week_make_one_clock(tmp_path):
    rows = [f"{y},{w},{f},10.{w:02d}" for f in "AB" for y in (2023, 2024) for w in range(1, 53)]
    found = read(tmp_path, "\n".join(["year,week,firm,price", *rows]))
    assert (found.clock.step, len(found.clock.labels)) == ("week", 104)
    assert np.isfinite(found.prices).all()


def test_irregular_times_are_averaged_where_the_caller_says_so(tmp_path):
    times = [
        dt.datetime(2024, 1, 1) + dt.timedelta(hours=5.0 * i + 4.0 * (i * i % 7))
        for i in range(200)
    ]
    text = "\n".join(["time,shop,price", *(f"{t},{s},10" for s in "AB" for t in times)])
    with pytest.raises(InputError, match=r"irregular.*every='week'"):
        read(tmp_path, text)
    assert read(tmp_path, text, every="week").clock.step == "week"


REFUSED = {
    "empty": ("", "the file is empty"),
    "heading alone": ("week,firm,price\n", "has no rows"),
    "html": ("<html></html>", "no table"),
    "json": ('{"a": 1}', "no table"),
    "negative": (long() + "2025-01-06,A,-1\n", "row 161: price=-1 must be a price > 0"),
    "zero": (long() + "2025-01-06,A,0\n", "row 161: price=0 must be a price > 0"),
    "word": (long() + "2025-01-06,A,cheap\n", "row 161: price='cheap' must be a number"),
    "infinite": (long() + "2025-01-06,A,inf\n", "price='inf' must be a number"),
    "no date": (long() + "someday,A,9\n", "week='someday' is no date"),
    "no seller": (long() + "2025-01-06,,9\n", "row 161: firm is empty"),
    "twice": (long() + "2024-01-01,A,9\n", "already in row 2"),
    "open quote": (long() + '2025-01-06,"A,9\n', "a quote is opened"),
    "two notations": (
        "date;A;B\n" + "\n".join(f"{d};1,234;1,250" for d in WEEKS),
        "can be 1234 or 1.234",
    ),
    "day or month": (
        wide(date="%d/%m/%Y", days=MONTHS[:12]),
        "day and month cannot be distinguished",
    ),
    "two columns of names": (
        "date,town,kind,price\n" + "\n".join(f"{d},{t},x,9" for d in WEEKS for t in "ns"),
        "say which names the seller",
    ),
    "two prices": (
        "date,shop,price net,price gross\n"
        + "\n".join(f"{d},{s},9,10" for d in WEEKS for s in "AB"),
        "could each hold the price",
    ),
    "open, high, low, close": (
        "Date,Open,High,Low,Close\n" + "\n".join(f"{d},10,11,9,10" for d in WEEKS),
        "the quotes of one instrument",
    ),
    "a column that is no price": (wide(more="gdp").replace(",7\n", ",70000\n"), "is it a price?"),
    "products without sellers": (
        "date,product,price\n" + "\n".join(f"{d},tea,9" for d in WEEKS),
        "",
    ),
    "no numbers": ("date,A\n" + "\n".join(f"{d},x" for d in WEEKS), "no column holds prices"),
    "gap of years": (
        wide(days=[*WEEKS[:5], dt.date(2034, 1, 2)]),
        "irregular",
    ),
    "a fee that differs": (
        "week,firm,price,fee\n"
        + "\n".join(f"{d},{f},9,{i}" for d in WEEKS for i, f in enumerate("AB")),
        "",
    ),
}


@pytest.mark.parametrize("name", [n for n, (_, message) in REFUSED.items() if message])
def test_a_file_that_cannot_be_read_safely_is_refused_in_one_line(tmp_path, name):
    text, message = REFUSED[name]
    with pytest.raises(InputError) as refusal:
        read(tmp_path, text)
    line = str(refusal.value)
    assert message in line
    assert "\n" not in line
    assert "p.csv" in line


def test_a_series_that_differs_between_sellers_is_not_used_and_refused_where_it_is_named(tmp_path):
    text = REFUSED["a fee that differs"][0]
    assert not read(tmp_path, text).common
    with pytest.raises(InputError, match="fee differs between rows of one time"):
        read(tmp_path, text, common=("fee",))


def test_columns_may_be_named(tmp_path):
    text = "d,who,what,a,b\n" + "\n".join(f"{d},{s},x,9,10" for d in WEEKS for s in "AB")
    found = read(tmp_path, text, time="d", seller="who", product="what", price=("b",))
    assert (found.prices == 10.0).all()
    with pytest.raises(InputError, match="price='c': column 'c' is not there"):
        read(tmp_path, text, price=("c",))


def test_a_wide_file_takes_the_columns_that_are_named(tmp_path):
    found = read(tmp_path, wide(more="gdp"), price=("A", "B"))
    assert found.sellers == ("A", "B")


# --- files beside the prices ----------------------------------------------------------------------


def beside(folder: Path, text: str) -> TableFile:
    (folder / "beside.csv").write_text(text)
    return TableFile(path=str(folder / "beside.csv"))


def test_monthly_costs_give_each_week_the_last_one_known(tmp_path):
    prices = read(tmp_path, wide())
    months = [dt.date(2023, 12, 1), *MONTHS[12:24]]
    text = "month,cost\n" + "\n".join(f"{d},{i}" for i, d in enumerate(months))
    cost = values_beside(beside(tmp_path, text), "cost", prices, None)
    assert cost.shape == prices.prices.shape
    assert cost[0].tolist() == [[1, 1, 1]]
    assert cost[5].tolist() == [[2, 2, 2]]  # 5 February


def test_costs_are_matched_by_the_names_of_the_sellers(tmp_path):
    prices = read(tmp_path, wide())
    text = "date,C,B,A\n" + "\n".join(f"{d},3,2,1" for d in WEEKS)
    cost = values_beside(beside(tmp_path, text), "cost", prices, None)
    assert cost[7].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,A,B\n" + "\n".join(f"{d},1,2" for d in WEEKS), "has no seller 'C'"),
        ("date,cost\n" + "\n".join(f"{d},1" for d in WEEKS[9:]), "has no value at 2024-01-01"),
        ("date,cost\n" + "\n".join(f"{d},1" for d in WEEKS[:20]), "ends at 2024-05-13"),
        ("date,cost\n" + "\n".join(f"{d},-1" for d in WEEKS), "must be a number >= 0"),
        ("t,cost\n" + "\n".join(f"{t},1" for t in range(53)), "give both dates"),
    ],
    ids=["seller missing", "begins late", "ends early", "negative", "no dates"],
)
def test_costs_that_do_not_fit_the_prices_are_refused(tmp_path, text, message):
    prices = read(tmp_path, wide())
    with pytest.raises(InputError, match=message):
        values_beside(beside(tmp_path, text), "cost", prices, None)


def test_each_column_of_a_file_of_series_is_a_series(tmp_path):
    prices = read(tmp_path, wide())
    text = "date,oil,wage index\n" + "\n".join(f"{d},{t - 9},5" for t, d in enumerate(WEEKS))
    found = series_beside(beside(tmp_path, text), prices, None)
    assert found["oil"].tolist() == list(range(-9, 44))
    assert (found["wage index"] == 5.0).all()
