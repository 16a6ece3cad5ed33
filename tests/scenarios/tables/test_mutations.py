"""However a file is spoilt, it is read or refused in one line that names it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import CatalogueFile, SeriesFile, read_catalogue, read_series
from mos_agents.scenarios.tables.descriptions import describe_file

CATALOGUE = (
    "Prices of 2025;;;;;\nproduct;seller;cost;reference_price;quality;stock\n"
    "Müsli;laden;2,10;3,49;0,5;40\nKäse;laden;1.234,50;1.999,00;0,7;\nTotal;;1.236,60;;;40\n"
)
SERIES = (
    "Date,Open,High,Low,Close,Volume\n2025-03-03,50.1,51.3,49.2,50.6,910000\n"
    '2025-03-04,51.1,52.3,50.2,null,923577\n2025-03-05,52.1,53.3,51.2,"1,052.6",937154\n'
)
PIECES = [
    "",
    "\n",
    "\n\n",
    ",",
    ";",
    "\t",
    "|",
    '"',
    '""',
    "'",
    " ",
    "\r",
    "0",
    "-1",
    "1,234",
    "1.234",
    "1e999",
    "inf",
    "nan",
    "null",
    "%",
    "€",
    "$",
    "2025-03-03",
    "03/04/2025",
    "12:30",
    "\ufeff",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "é",
    "𝔘",
    "Total",
    "sep=;\n",
    "(5)",
    "=1+1",
    "9" * 400,
    "Close",
    "1700000000",
    "true",
    "[1]",
    "{",
    "<html>",
    "../../x",
    "x" * 300,
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"decimal": "comma"},
    {"separator": ","},
    {"heading": False},
    {"heading": True},
    {"skip_lines": 1},
    {"missing": "drop"},
    {"encoding": "utf-8"},
    {"thousands": "none"},
]


def spoilt(text: str, draws: random.Random) -> bytes:
    for _ in range(draws.randint(1, 4)):
        at, kind = draws.randrange(len(text) + 1), draws.randrange(4)
        end = min(len(text), at + draws.randrange(12))
        if kind == 0:
            text = text[:at] + draws.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + draws.choice(PIECES) + text[end:]
        elif kind == 2:
            text = text[:at] + text[end:]
        else:
            lines = text.split("\n")
            draws.shuffle(lines)
            text = "\n".join(lines)
    coded = text.encode(draws.choice(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"]))
    if draws.random() < 0.1:
        coded = coded[: draws.randrange(len(coded) + 1)]
    return coded


@pytest.mark.parametrize("seed", range(4))
def test_spoilt_files_are_read_or_refused_in_one_line(tmp_path: Path, seed: int) -> None:
    draws, path = random.Random(seed), tmp_path / "f.csv"
    for _ in range(125):
        path.write_bytes(spoilt(draws.choice([CATALOGUE, SERIES]), draws))
        options = draws.choice(OPTIONS)
        given: dict[str, Any] = {"path": str(path), **options}
        try:
            table = read_catalogue(CatalogueFile(**given))
            assert all(np.isfinite(a).all() for a in (table.cost, table.reference_price))
        except InputError as error:
            assert "\n" not in str(error) and "f.csv" in str(error)
        part = draws.choice(["price", "cost", "demand"])
        if draws.random() < 0.5:
            given["columns"] = (draws.choice(["Close", "Volume", "Date", "column_2", "stock"]),)
        try:
            found = read_series(SeriesFile(**given), part, ("a",))  # type: ignore[arg-type]
            assert np.isfinite(found.values).all() and (found.values >= 0.0).all()
            assert part != "price" or (found.values > 0.0).all()
        except InputError as error:
            assert "\n" not in str(error) and "f.csv" in str(error)
        try:
            assert all("\n" not in line for line in describe_file(str(path), "f.csv"))
        except InputError as error:
            assert "\n" not in str(error)
