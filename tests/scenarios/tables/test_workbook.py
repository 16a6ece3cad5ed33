"""Workbooks are read as the tables that they show; several sheets have to be distinguished."""

from __future__ import annotations

import io
import random
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import workbook
from mos_agents.scenarios.tables.options import LARGEST
from tests.scenarios.tables.helpers import catalogue, refusal, series

HEADING = ["product", "seller", "cost", "reference_price", "quality", "stock"]
ROWS: list[list[Any]] = [["tea", "a", 1.5, 2.5, 0.5, 10], ["milk", "a", 2, 3, 0, None]]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKED = "http://schemas.openxmlformats.org/package/2006"


class Day(int):
    """A day as workbooks count them: 45719 is 3 March 2025."""


def cell(market: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{market}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, Day):
        return f'<c r="{market}" s="1"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{market}"><v>{value!r}</v></c>'
    return f'<c r="{market}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def book(**sheets: list[list[Any]]) -> bytes:
    """A workbook as small as Excel takes it, written by hand."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        kinds = "".join(
            f'<Override PartName="/xl/worksheets/s{i}.xml" ContentType="application/'
            'vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
            for i in range(len(sheets))
        )
        packed.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKED}/content-types"><Default Extension="xml" ContentType='
            '"application/xml"/><Default Extension="rels" ContentType="application/'
            'vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
            'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+'
            f'xml"/>{kinds}</Types>',
        )
        packed.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKED}/relationships"><Relationship Id="r" Type="{LINKS}/'
            'officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        packed.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>'
            + "".join(
                f'<sheet name="{n}" sheetId="{i + 1}" r:id="r{i}"/>' for i, n in enumerate(sheets)
            )
            + "</sheets></workbook>",
        )
        packed.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKED}/relationships">'
            + "".join(
                f'<Relationship Id="r{i}" Type="{LINKS}/worksheet" Target="worksheets/s{i}.xml"/>'
                for i in range(len(sheets))
            )
            + f'<Relationship Id="rs" Type="{LINKS}/styles" Target="styles.xml"/></Relationships>',
        )
        packed.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/>'
            "</cellXfs></styleSheet>",
        )
        for i, rows in enumerate(sheets.values()):
            lines = "".join(
                f'<row r="{r + 1}">'
                + "".join(cell(f"{chr(65 + c)}{r + 1}", v) for c, v in enumerate(row))
                + "</row>"
                for r, row in enumerate(rows)
            )
            packed.writestr(
                f"xl/worksheets/s{i}.xml",
                f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>',
            )
    return out.getvalue()


def test_a_workbook_says_the_same_as_its_csv(tmp_path: Path) -> None:
    table = catalogue(tmp_path, book(Goods=[HEADING, *ROWS]), "goods.xlsx")
    assert table.product == ["tea", "milk"]
    assert table.cost.tolist() == [1.5, 2.0]
    assert table.stock.tolist() == [10.0, np.inf]


def test_titles_empty_rows_and_totals_are_left_out_and_said(tmp_path: Path) -> None:
    rows = [["Prices of 2025"], [], HEADING, *ROWS, [], ["Total", None, 3.5, 5.5, None, 10]]
    table = catalogue(tmp_path, book(Goods=rows), "goods.xlsx")
    assert table.product == ["tea", "milk"]
    assert "1 line before the heading left out" in table.notes
    assert any("('Total') left out" in note for note in table.notes)


def test_rows_are_named_as_the_workbook_numbers_them(tmp_path: Path) -> None:
    rows = [["Prices"], [], HEADING, *ROWS, ["bread", "a", "free", 2, 0, 1]]
    found = refusal(catalogue, tmp_path, book(Goods=rows), "goods.xlsx")
    assert "row 6: cost='free' must be a number" in found


def test_product_numbers_are_shown_as_they_are(tmp_path: Path) -> None:
    rows = [HEADING, [1001, "a", 1, 2, 0, 1], [1002, "a", 1, 2, 0, 1]]
    assert catalogue(tmp_path, book(G=rows), "g.xlsx").product == ["1001", "1002"]


def test_of_several_sheets_one_has_to_be_named(tmp_path: Path) -> None:
    data = book(Goods=[HEADING, *ROWS], Notes=[["by us"]])
    found = refusal(catalogue, tmp_path, data, "goods.xlsx")
    assert "has the sheets Goods, Notes; say which, as in sheet: Goods" in found
    assert catalogue(tmp_path, data, "goods.xlsx", sheet="Goods").product == ["tea", "milk"]
    assert "sheet='Wares' is not there" in refusal(
        catalogue, tmp_path, data, "goods.xlsx", sheet="Wares"
    )
    one = catalogue(tmp_path, book(Goods=[HEADING, *ROWS], Empty=[]), "goods.xlsx")
    assert "sheet 'Goods'" in one.notes


def test_dates_of_a_workbook_are_dates_and_their_order_is_looked_at(tmp_path: Path) -> None:
    rows = [["Date", "Close"], [Day(45719), 10], [Day(45720), 11.5]]
    found = series(tmp_path, book(P=rows), name="p.xlsx")
    assert found.values.ravel().tolist() == [10.0, 11.5]
    assert found.span == ("2025-03-03", "2025-03-04")
    back = [rows[0], rows[2], rows[1]]
    assert "from new to old" in refusal(series, tmp_path, book(P=back), name="p.xlsx")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["Date", "Close"], [Day(45719), None], [Day(45720), 11]], "row 2: Close is empty"),
        ([["Date", "Close"], [Day(45719), "#N/A"], [Day(45720), 11]], "row 2: Close is missing"),
        ([[Day(45719), 10], [Day(45720), 11]], "the first row has no names"),
        ([["Open", "Close"], [1, 2], [3, 4]], "say which, as in columns: [Close]"),
        ([["Close"], [True], [False]], "Close holds truth values"),
        ([["Close"], ["1,234"], ["2,500"]], "can be 1234 or 1.234"),
        ([["Close"], [1.5], ["2,5"]], "write all in one way"),
        ([], "no sheet holds anything"),
    ],
)
def test_a_series_in_a_workbook_is_refused_as_in_a_file_of_text(
    tmp_path: Path, rows: list[list[Any]], message: str
) -> None:
    assert message in refusal(series, tmp_path, book(P=rows), name="p.xlsx")


def test_without_the_extra_one_line_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    found = refusal(catalogue, tmp_path, book(Goods=[HEADING, *ROWS]), "goods.xlsx")
    assert "pip install python-calamine, or save the sheet as CSV" in found


def test_a_workbook_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "LARGEST", 100_000)
    rows = [["Close"], *([1.0] for _ in range(20_000))]
    assert "is larger than" in refusal(series, tmp_path, book(P=rows), name="p.xlsx")
    assert LARGEST > 100_000


def test_damaged_workbooks_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    sound, draws = book(Goods=[HEADING, *ROWS]), random.Random(0)
    for _ in range(200):
        data = bytearray(sound)
        for _ in range(draws.randint(1, 4)):
            data[draws.randrange(4, len(data))] = draws.randrange(256)
        try:
            catalogue(tmp_path, bytes(data), "goods.xlsx")
        except InputError as error:
            assert "\n" not in str(error)
    assert "is no sound workbook" in refusal(catalogue, tmp_path, b"PK\x03\x04 no", "g.xlsx")
