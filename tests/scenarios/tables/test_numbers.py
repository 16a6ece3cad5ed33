"""Numbers are read as they were meant, or refused: never as another number."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables.numbers import NOTATIONS, Notation, numbers, possible

SETTINGS = settings(max_examples=200, deadline=None)


def read(*texts: str, decimal: str | None = None, thousands: str | None = None) -> list[float]:
    column = pl.Series("price", texts, dtype=pl.String)
    lines = np.arange(len(texts)) + 2
    made, _, _ = numbers("f.csv", [column], lines, possible(decimal, thousands))
    return made[0].fill_null(math.nan).to_list()


def written(value: int, digits: int, notation: Notation, grouped: bool) -> str:
    """A number of hundredths and the like as this notation writes it, in plain Python."""
    whole, part = divmod(value, 10**digits)
    text = f"{whole:,}".replace(",", notation.thousands) if grouped else str(whole)
    return text + (notation.decimal + f"{part:0{digits}d}" if digits else "")


@SETTINGS
@given(
    st.lists(
        st.tuples(st.integers(0, 10**10), st.integers(0, 4), st.booleans()), min_size=1, max_size=6
    ),
    st.sampled_from(NOTATIONS),
)
def test_a_column_is_read_as_it_was_written_or_is_refused(
    values: list[tuple[int, int, bool]], notation: Notation
) -> None:
    texts = [written(value, digits, notation, grouped) for value, digits, grouped in values]
    try:
        found = read(*texts)
    except InputError as error:
        assert "decimal: " in str(error)
        return
    assert found == pytest.approx([value / 10**digits for value, digits, _ in values], rel=1e-12)


@SETTINGS
@given(
    st.lists(
        st.tuples(st.integers(0, 10**10), st.integers(0, 4), st.booleans()), min_size=1, max_size=6
    ),
    st.sampled_from(NOTATIONS),
)
def test_with_the_marks_given_every_column_is_read_as_it_was_written(
    values: list[tuple[int, int, bool]], notation: Notation
) -> None:
    texts = [written(value, digits, notation, grouped) for value, digits, grouped in values]
    found = read(*texts, decimal=notation.decimal, thousands=notation.thousands)
    assert found == pytest.approx([value / 10**digits for value, digits, _ in values], rel=1e-12)


TOLD = [
    (["1.234,50", "2,10"], [1234.5, 2.1]),
    (["1,234.50", "2.10"], [1234.5, 2.1]),
    (["1 234,50"], [1234.5]),
    (["1\u00a0234,50", "1\u202f000"], [1234.5, 1000.0]),
    (["1'234.50", "7"], [1234.5, 7.0]),
    (["1’234.50"], [1234.5]),
    (["12,34,567.00"], [1234567.0]),
    (["1.234.567", "3"], [1234567.0, 3.0]),
    (["1,234", "3.5"], [1234.0, 3.5]),
    (["1.234", "3,5"], [1234.0, 3.5]),
    (["0,125"], [0.125]),
    (["0.125"], [0.125]),
    (["1234,567"], [1234.567]),
    (["€ 3,49", "€ 1.000,00"], [3.49, 1000.0]),
    (["3.49 EUR", "4 EUR"], [3.49, 4.0]),
    (["$1,234.50"], [1234.5]),
    (["−3.5", "+2.25"], [-3.5, 2.25]),
    (["1e3", "2.5E-2"], [1000.0, 0.025]),
    ([" 7 ", "8\t"], [7.0, 8.0]),
    (["100", "2000"], [100.0, 2000.0]),
]


@pytest.mark.parametrize(("texts", "values"), TOLD)
def test_what_only_one_notation_takes_is_read(texts: list[str], values: list[float]) -> None:
    assert read(*texts) == pytest.approx(values, rel=1e-15)


@pytest.mark.parametrize("text", ["1,234", "1.234", "12,500", "999.999", "-1,234", "€1.234"])
def test_a_value_of_two_readings_is_refused_with_the_option_that_decides(text: str) -> None:
    with pytest.raises(InputError, match=r"f\.csv: row 3: price=.* can be .* or .*decimal: "):
        read("5", text)
    one = read(text, decimal=".")[0]
    other = read(text, decimal=",")[0]
    assert abs(one / other) == pytest.approx(1000.0) or abs(other / one) == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["1.5", "2,5"], 3),
        (["1.234.567,8", "1,234,567.8"], 3),
        (["3", "1_000"], 3),
        (["3", "12 kg"], 3),
        (["3", "1,2,3"], 3),
        (["3", "1.2.3"], 3),
        (["3", "0x10"], 3),
        (["1", "2", "ten"], 4),
        (["3", "1..5"], 3),
        (["3", "3M"], 3),
        (["3", "(4)"], 3),
        (["3", "inf"], 3),
    ],
)
def test_what_no_one_notation_takes_is_refused_by_row(texts: list[str], line: int) -> None:
    with pytest.raises(InputError, match=rf"f\.csv: row {line}: price=.*must be a number"):
        read(*texts)


@pytest.mark.parametrize(
    "text", ["", " ", "null", "NULL", "NaN", "NA", "n/a", "#N/A", ".", "-", "--", "None", "#DIV/0!"]
)
def test_what_stands_for_a_missing_value_is_missing(text: str) -> None:
    first, second = read("1", text)
    assert first == 1.0
    assert math.isnan(second)


def test_thousands_none_says_that_there_are_none() -> None:
    assert read("1.234", decimal=".", thousands="") == [1.234]
    with pytest.raises(InputError, match="must be a number"):
        read("1,234", decimal=".", thousands="")


def test_both_marks_alike_are_refused() -> None:
    with pytest.raises(InputError, match="must differ"):
        possible(",", ",")
