"""A catalogue in any dialect is read as it was meant and says so, or is refused with the remedy."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import CatalogueTable
from mos_agents.scenarios.tables.text import read_text
from tests.scenarios.tables.helpers import CASES, HEAD, ROWS, catalogue, refusal, series

PLAIN = HEAD + ROWS


def is_plain(table: CatalogueTable) -> bool:
    return (
        table.product == ["tea", "milk"]
        and table.seller == ["a", "a"]
        and table.cost.tolist() == [1.5, 2.0]
        and table.reference_price.tolist() == [2.5, 3.0]
        and table.quality.tolist() == [0.5, 0.0]
        and table.stock.tolist() == [10.0, np.inf]
    )


def test_a_european_catalogue_of_excel_is_read_with_its_thousands_and_decimals() -> None:
    folder = CASES / "catalogue_with_semicolons_and_decimal_commas"
    market, read = scenarios.load(folder / "s.yaml").made()
    assert market.layout.instruments == ("Müsli", "Käse")
    assert market.catalogue.cost.tolist() == [2.1, 1234.5]
    assert market.catalogue.reference_price.tolist() == [3.49, 1999.0]
    assert market.catalogue.stock.tolist() == [40.0, np.inf]
    assert read.catalogue is not None
    assert "fields separated by semicolons" in read.catalogue.notes
    assert any("a comma before decimals" in note for note in read.catalogue.notes)
    whole = scenarios.load(folder / "whole.yaml").market()
    assert whole.catalogue.cost.tolist() == [1.0]


def semicolons(text: str) -> str:
    return text.replace(",", ";").replace(".", ",")


READ: list[tuple[str, str | bytes, str, str]] = [
    ("commas", PLAIN, "g.csv", ""),
    ("semicolons", semicolons(PLAIN), "g.csv", "fields separated by semicolons"),
    ("tabs", PLAIN.replace(",", "\t"), "g.tsv", "fields separated by tabs"),
    ("bars", PLAIN.replace(",", "|"), "g.txt", "fields separated by bars"),
    ("Excel's first line", "sep=;\n" + semicolons(PLAIN), "g.csv", "as its first line says"),
    ("a byte order mark", "\ufeff" + PLAIN, "g.csv", ""),
    ("UTF-16", PLAIN.encode("utf-16"), "g.csv", "encoding UTF-16"),
    ("UTF-16 without a mark", PLAIN.encode("utf-16-le"), "g.csv", "encoding UTF-16-LE"),
    ("UTF-32", PLAIN.encode("utf-32"), "g.csv", "encoding UTF-32"),
    ("gzip", gzip.compress(PLAIN.encode()), "g.csv.gz", ""),
    ("line ends of Windows", PLAIN.replace("\n", "\r\n"), "g.csv", ""),
    ("line ends of old Macs", PLAIN.replace("\n", "\r"), "g.csv", ""),
    ("no last line end", PLAIN.strip(), "g.csv", ""),
    ("quotes", re.sub(r"[\w.]+", r'"\g<0>"', PLAIN), "g.csv", ""),
    ("empty lines", "\n" + PLAIN.replace("\n", "\n\n"), "g.csv", ""),
    ("rows of separators", PLAIN + ",,,,,\n,,,,,\n", "g.csv", ""),
    ("a title", "Prices of 2025\n\n" + PLAIN, "g.csv", "2 lines before the heading left out"),
    ("a title of Excel", "Prices,,,,,\n" + PLAIN, "g.csv", "1 line before the heading left out"),
    ("a total", PLAIN + "Total,,3.5,5.5,,10\n", "g.csv", "row 4 ('Total') left out"),
    ("a remark", PLAIN + "\nSource: the shop\n", "g.csv", "row 5 ('Source: the shop') left out"),
    ("capitals", PLAIN.replace("product", "PRODUCT"), "g.csv", "'PRODUCT' taken for product"),
    ("blanks", PLAIN.replace("reference_price", " reference price "), "g.csv", "'reference price'"),
    ("hyphens", PLAIN.replace("reference_price", "Reference-Price"), "g.csv", "'Reference-Price'"),
    ("near headings", PLAIN.replace("cost", "Costs"), "g.csv", "column 'Costs' taken for cost"),
    (
        "a misspelling",
        PLAIN.replace("reference_price", "Referenz price"),
        "g.csv",
        "'Referenz price'",
    ),
    ("currencies", PLAIN.replace("2.5", "$2.5").replace(",3,", ",$ 3,"), "g.csv", "sign $"),
]


@pytest.mark.parametrize(("dialect", "data", "name", "note"), READ, ids=[r[0] for r in READ])
def test_the_same_catalogue_is_read_from_every_dialect_and_the_dialect_is_said(
    tmp_path: Path, dialect: str, data: str | bytes, name: str, note: str
) -> None:
    table = catalogue(tmp_path, data, name)
    assert is_plain(table)
    assert not note or any(note in message for message in table.notes), table.notes


def test_columns_that_are_not_needed_are_left_out_and_said(tmp_path: Path) -> None:
    text = "id,colour," + HEAD + "7,red,tea,a,1.5,2.5,0.5,10\n8,,milk,a,2,3,0,\n"
    table = catalogue(tmp_path, text)
    assert is_plain(table)
    assert "columns not needed and left out: id, colour" in table.notes


def test_columns_can_be_called_otherwise(tmp_path: Path) -> None:
    text = semicolons("Artikel,Laden,Einkauf,Preis,Güte,Bestand\n" + ROWS)
    names = {"product": "Artikel", "seller": "Laden", "cost": "Einkauf"}
    names |= {"reference_price": "Preis", "quality": "güte", "stock": "Bestand"}
    assert is_plain(catalogue(tmp_path, text, columns=names))
    found = refusal(catalogue, tmp_path, text, columns={**names, "stock": "Lager"})
    assert "columns.stock='Lager': column 'Lager' is not there" in found
    assert "say columns: {product: Artikel}" in refusal(catalogue, tmp_path, text)


OPTIONS: list[tuple[str | bytes, dict[str, Any]]] = [
    (semicolons(PLAIN), {"separator": "semicolon", "decimal": "comma"}),
    (PLAIN.replace(",", "\t"), {"separator": "\t"}),
    (PLAIN.encode("utf-16-be"), {"encoding": "utf-16-be"}),
    ("made by us, for us, in a hurry, twice, at night, alone\n" + PLAIN, {"skip_lines": 1}),
    (
        PLAIN.replace("2.5", '"2,5"').replace("1.5", '"1,5"').replace("0.5", '"0,5"'),
        {"decimal": ","},
    ),
    (
        ROWS,
        {
            "heading": False,
            "columns": {name: f"column_{i + 1}" for i, name in enumerate(HEAD.strip().split(","))},
        },
    ),
    (PLAIN + "bread,a,,2,0,\n", {"missing": "drop"}),
]


@pytest.mark.parametrize(("data", "options"), OPTIONS)
def test_options_say_how_a_catalogue_is_read(
    tmp_path: Path, data: str | bytes, options: dict[str, Any]
) -> None:
    assert is_plain(catalogue(tmp_path, data, **options))


REFUSED: list[tuple[str, str | bytes, str]] = [
    (
        "an ambiguous number",
        HEAD + 'tea,a,"1,234",2000,0,5\n',
        "row 2: cost='1,234' can be 1234 or 1.234; say decimal: point, or decimal: comma",
    ),
    (
        "thousands or decimals",
        HEAD.replace(",", ";") + "tea;a;1.234;2000;0;5\n",
        "cost='1.234' can be 1.234 or 1234",
    ),
    ("two notations", HEAD.replace(",", ";") + "tea;a;1,5;2.5;0;5\n", "write all in one way"),
    (
        "decimal commas between commas",
        HEAD + "tea,a,2,10,3,49,0,5,40\n",
        "row 2 has 9 fields, the heading has 6; where a number has a decimal comma",
    ),
    ("too few fields", PLAIN + "bread,a,1,2,0\n", "row 4 has 5 fields, the heading has 6"),
    ("two currencies", HEAD + "tea,a,$1,€2,0,5\n", "give all amounts in one currency"),
    ("a percentage of money", HEAD + "tea,a,10%,2,0,5\n", "it is an amount, not a share"),
    ("some percentages", HEAD + "tea,a,1,2,70%,5\nb,a,1,2,70,5\n", "write all in one way"),
    (
        "no heading",
        ROWS,
        "the first row has no names (tea, a, 1.5, 2.5, 0.5, 10); add a heading "
        "such as product,seller,cost,reference_price,quality,stock",
    ),
    (
        "another thing by a like name",
        PLAIN.replace("quality", "quantity"),
        "column 'quality' is missing",
    ),
    ("price is not cost", PLAIN.replace("cost", "price"), "say columns: {cost: price}"),
    (
        "two near headings",
        PLAIN.replace("cost", "COST")
        .replace("stock", "stock,Cost ")
        .replace("10\n", "10,1\n")
        .replace("0,\n", "0,,1\n"),
        "COST, Cost could each be 'cost'",
    ),
    ("a column twice", "cost," + HEAD + "1,tea,a,1,2,0,\n", "column 'cost' is there 2 times"),
    (
        "another alphabet",
        (HEAD + "Чай,a,1,2,0,\n").encode("cp1251"),
        "row 2: is not UTF-8 text; say which encoding it has",
    ),
    ("Polish letters", (HEAD + "Masło,a,1,2,0,\n").encode("cp1250"), "encoding: cp1252"),
    ("bytes", b"\x00\x01\x02\x03" * 50, "row 1: holds the control character"),
    ("HTML", "<html><table><tr><td>1</td></tr></table></html>", "HTML, XML or JSON"),
    ("JSON", '{"product": "tea"}', "HTML, XML or JSON"),
    ("a workbook by another name", b"PK\x03\x04....", "is a workbook or a zip"),
    ("nothing", "", "the file is empty"),
    ("blank lines", "\n\n \n", "the file is empty"),
    ("two separators", "a;b,c\n1;2,3\n4;5,6\n", "may be separated by commas or semicolons"),
    ("an open quote", "x," + HEAD + '"5,tea,a,1,2,0,3\nb,milk,a,1,2,0,3\n', "row 2: a quote"),
    ("an open quote far from the end", HEAD + 'tea,a,1,2,0,"5\n' + ROWS * 9000, "row 2: a quote"),
    ("a code of missing", HEAD + "tea,a,n/a,2,0,5\n", "row 2: cost='n/a' is missing; fill it"),
    ("stock not known", HEAD + "tea,a,1,2,0,NA\n", "leave it empty for made to order"),
    ("beyond the range", HEAD + "tea,a,1e16,2,0,5\n", "at most 1e+15 in size"),
]


@pytest.mark.parametrize(("fault", "data", "message"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_cannot_be_read_for_sure_is_refused_in_one_line_with_the_remedy(
    tmp_path: Path, fault: str, data: str | bytes, message: str
) -> None:
    assert message in refusal(catalogue, tmp_path, data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title\n" + HEAD + "tea,a,x,2,0,5\n", "row 3: cost='x' must be a number"),
        (HEAD + "\n\ntea,a,x,2,0,5\n", "row 4: cost='x' must be a number"),
        (HEAD + '"a\nb",a,1,2,0,5\ntea,a,x,2,0,5\n', "row 2: product="),
        ("note," + HEAD + '"a\nb",m,a,1,2,0,5\n,tea,a,x,2,0,5\n', "row 4: cost='x' must be"),
        (HEAD + "tea,a,1,2,0,5\n" * 2, "row 3: a offers tea already in row 2"),
        ("title\n\n" + HEAD + "tea,a,1,2,0,5\n" * 2, "row 5: a offers tea already in row 4"),
    ],
)
def test_a_row_is_named_by_its_line_in_the_file(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(catalogue, tmp_path, text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(categories=("L", "N"), include_characters=" -&'"), min_size=1)
            .map(str.strip)
            .filter(lambda s: s and len(s) < 90),
            st.integers(1, 10**7),
            st.integers(1, 10**7),
            st.none() | st.integers(0, 10**6),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda row: row[0],
    ),
    st.sampled_from([(",", "."), (";", ","), ("\t", ","), ("|", "."), (";", ".")]),
    st.booleans(),
)
def test_a_catalogue_that_a_spreadsheet_writes_is_read_as_written_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, int, int, int | None]],
    dialect: tuple[str, str],
    quoted: bool,
) -> None:
    separator, decimal = dialect
    mark = '"' if quoted else ""
    lines = [HEAD.strip().replace(",", separator)]
    for name, cost, price, stock in rows:
        money = [f"{v // 100}{decimal}{v % 100:02d}" for v in (cost, price)]
        held = "" if stock is None else str(stock)
        lines.append(separator.join([f"{mark}{name}{mark}", "me", *money, "0", held]))
    try:
        table = catalogue(tmp_path_factory.mktemp("goods"), "\n".join(lines))
    except InputError as error:
        assert separator != "," or any("," in name for name, *_ in rows), error
        return
    assert table.product == [row[0] for row in rows]
    assert np.allclose(table.cost, [row[1] / 100 for row in rows], rtol=1e-12)
    assert np.allclose(table.reference_price, [row[2] / 100 for row in rows], rtol=1e-12)
    assert table.stock.tolist() == [np.inf if row[3] is None else row[3] for row in rows]


def test_the_rows_of_a_quoted_file_are_those_of_the_same_file_without_quotes() -> None:
    from mos_agents.scenarios.tables import TableFile

    options = TableFile(path="f.csv")
    plain = read_text(PLAIN, "f.csv", options, 100, [])
    text = PLAIN.replace("tea", '"tea"')
    quoted = read_text(text, "f.csv", options, 100, [])
    assert [c.to_list() for c in plain.columns] == [c.to_list() for c in quoted.columns]
    assert plain.lines.tolist() == quoted.lines.tolist() == [2, 3]


@pytest.mark.parametrize("name", ["Max", "Total", "Sum", "Media"])
def test_a_product_with_the_name_of_a_total_stays_though_its_stock_is_empty(
    tmp_path: Path, name: str
) -> None:
    read = catalogue(tmp_path, f"{HEAD}tea,a,1,2,0.5,10\n{name},a,1,2,0.5,\n")
    assert read.product == ["tea", name] and read.stock[1] == np.inf


def test_a_heading_of_three_lines_is_read_as_one(tmp_path: Path) -> None:
    rows = "2024-01-02,2,20\n2024-01-03,3,30\n"
    one = "Price,Close,Volume\nTicker,AAPL,AAPL\nDate,,\n" + rows
    read = series(tmp_path, one)
    assert read.values[:, 0].tolist() == [2.0, 3.0] and read.headings == ("Close",)
    assert read.span == ("2024-01-02", "2024-01-03") and "three lines" in read.notes[0]
    several = "Price,Close,Close\nTicker,AAPL,MSFT\nDate,,\n" + rows
    read = series(tmp_path, several, names=("a", "b"))
    assert read.values.tolist() == [[2.0, 20.0], [3.0, 30.0]]
    assert read.headings == ("Close AAPL", "Close MSFT")
