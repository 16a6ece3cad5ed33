"""Columns of dates and times are known for what they are, in the ways people write them."""

from __future__ import annotations

import polars as pl
import pytest

from mos_agents.scenarios.tables.times import direction, gaps, times_of

UP = [
    ["2025-03-03", "2025-03-04", "2025-04-01"],
    ["2025-3-3", "2025-3-14", "2025-4-1"],
    ["2025/03/03", "2025/03/14"],
    ["2025.03.03", "2025.03.14"],
    ["03.03.2025", "14.03.2025"],
    ["3.3.25", "14.3.25"],
    ["03/13/2025", "04/01/2025"],
    ["13/03/2025", "01/04/2025"],
    ["13-03-2025", "01-04-2025"],
    ["Mar 3, 2025", "Apr 1, 2025"],
    ["March 3, 2025", "April 1, 2025"],
    ["Mar 3 2025", "Apr 1 2025"],
    ["3 Mar 2025", "1 Apr 2025"],
    ["3 March 2025", "1 April 2025"],
    ["03-Mar-2025", "01-Apr-2025"],
    ["03-Mar-25", "01-Apr-25"],
    ["20250303", "20250314"],
    ["2025-03", "2025-04"],
    ["2024Q4", "2025Q1"],
    ["2025-W09", "2025-W10"],
    ["2025M01", "2025M02"],
    ["202412", "202501"],
    ["Dec-24", "Jan-25"],
    ["Dec 2024", "Jan 2025"],
    ["December 2024", "January 2025"],
    ["2024 DEC", "2025 JAN"],
    ["12/2024", "01/2025"],
    ["2024/12", "2025/01"],
    ["Fri 28 Mar 2025", "Mon 31 Mar 2025"],
    ["Friday, March 28, 2025", "Monday, March 31, 2025"],
    ["2025-03-03 10:00", "2025-03-03 10:01"],
    ["2025-03-03 10:00:00", "2025-03-03 10:00:01"],
    ["2025-03-03T10:00:00", "2025-03-03T10:00:01"],
    ["2025-03-03T10:00:00.125", "2025-03-03T10:00:00.250"],
    ["2025-03-03T10:00:00Z", "2025-03-03T10:00:01Z"],
    ["2025-03-03 10:00:00 UTC", "2025-03-03 10:00:01 UTC"],
    ["2025-10-26T02:30:00+02:00", "2025-10-26T02:00:00+01:00"],
    ["2025-10-26 02:30:00+0200", "2025-10-26 02:00:00+0100"],
    ["3/13/2025 9:59 AM", "3/13/2025 4:00 PM"],
    ["13.03.2025 09:59", "13.03.2025 16:00"],
    ["09:59", "10:00"],
    ["9:59:30", "16:00:00"],
    ["11:59 AM", "12:00 PM"],
    ["1700000000", "1700000060"],
    ["1700000000000", "1700000060000"],
    ["1700000000000000", "1700000060000000"],
    ["1700000000000000000", "1700000060000000000"],
]


@pytest.mark.parametrize("texts", UP, ids=lambda texts: texts[0])
def test_a_way_of_writing_dates_is_known_and_so_is_its_order(texts: list[str]) -> None:
    found = times_of(pl.Series("when", texts))
    assert found is not None and found.moments is not None
    assert direction(found.moments) == 1
    back = times_of(pl.Series("when", texts[::-1]))
    assert back is not None and back.moments is not None
    assert direction(back.moments) == -1


@pytest.mark.parametrize(
    "texts",
    [
        ["50.1", "51.2"],
        ["1,5", "2,5"],
        ["1.234,50"],
        ["910000", "923577"],
        ["AAA", "BBB"],
        ["1", "2"],
        ["12.30", "13.30"],
        ["yes", "no"],
        ["", ""],
        ["v1.2.3", "v1.2.4"],
        ["100%"],
        ["1990.5", "1991.5"],
        ["-5", "7"],
        ["A-1", "A-2"],
    ],
    ids=lambda texts: texts[0],
)
def test_what_is_no_date_is_not_taken_for_one(texts: list[str]) -> None:
    assert times_of(pl.Series("x", texts)) is None


def test_dates_that_read_both_ways_have_an_order_only_where_the_two_agree() -> None:
    agree = times_of(pl.Series("d", ["01/02/2025", "02/03/2025"]))
    assert agree is not None and agree.moments is not None and direction(agree.moments) == 1
    differ = times_of(pl.Series("d", ["01/02/2025", "02/01/2025"]))
    assert differ is not None and differ.moments is None


def test_gaps_are_told_from_the_usual_step() -> None:
    days = pl.Series(["2025-03-03", "2025-03-04", "2025-03-05", "2025-03-10"]).str.to_datetime()
    assert gaps(days) == [
        "1 gap in time: the usual step is 1 day, the longest is 5 days, after 2025-03-05 00:00:00"
    ]
    assert gaps(days.head(3)) == []


@pytest.mark.parametrize("texts", [["1.2010", "1.2012"], ["May", "June"], ["12/24", "1/25"]])
def test_what_could_be_no_month_is_none(texts: list[str]) -> None:
    found = times_of(pl.Series("value", texts))
    assert found is None or found.description != "months"
