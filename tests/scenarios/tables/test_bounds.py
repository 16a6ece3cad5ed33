"""A file is looked at before it is taken in: what is too large or no file is refused at once."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import MOST_LISTINGS, options, reading, sources, workbook
from tests.scenarios.tables.helpers import HEAD, catalogue, refusal, series

FILES = ["goods.csv", "goods.csv.gz", "goods.parquet", "goods.xlsx"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "nothing", "link to a device"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    file = options.TableFile(path=str(path))
    with pytest.raises(InputError) as caught:
        reading.read_table(file, MOST_LISTINGS)
    assert "\n" not in str(caught.value)


def test_more_rows_than_listings_are_refused(tmp_path: Path) -> None:
    text = HEAD + "".join(f"p{i},a,1,2,0,\n" for i in range(MOST_LISTINGS + 1))
    assert "has more than 200,000 rows" in refusal(catalogue, tmp_path, text)
    quoted = text.replace("product", '"product"')
    assert "has more than 200,000 rows" in refusal(catalogue, tmp_path, quoted)
    assert "has more than 200,000 rows" in refusal(catalogue, tmp_path, text + "\n" * 20_000)


def test_more_columns_than_are_taken_are_refused(tmp_path: Path) -> None:
    text = ",".join(f"c{i}" for i in range(10_001)) + "\n" + ",".join(["1"] * 10_001) + "\n"
    assert "has 10,001 columns" in refusal(series, tmp_path, text)


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz"])
def test_more_bytes_than_are_taken_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sources, "LARGEST", 10_000)
    data = b"Close\n" + b"1\n" * 6_000
    given = gzip.compress(data) if name.endswith(".gz") else data
    found = refusal(series, tmp_path, given, name=name)
    assert "10,000" in found or "larger than" in found


@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8b", b"\x1f\x8b\x08\x00" + b"\0" * 30, gzip.compress(b"Close\n1\n")[:-9]],
    ids=["two bytes", "a heading alone", "cut off"],
)
def test_a_damaged_archive_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    assert "cannot be unpacked" in refusal(series, tmp_path, data, name="p.csv.gz")


def test_a_bomb_is_refused_within_little_memory(tmp_path: Path) -> None:
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"Close\n" + b"1" * 2**28, 1))
    code = (
        "import resource, sys\n"
        "from mos_agents.scenarios.tables import SeriesFile, read_series\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_series(SeriesFile(path=sys.argv[1]), 'price', ('a',))\n"
        "except Exception as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b.csv.gz")],
        capture_output=True,
        text=True,
        check=True,
    )
    message, grown = done.stdout.splitlines()
    assert "is larger than 200 MB unpacked" in message
    assert int(grown) < 100 * 1024  # kB


def test_a_workbook_with_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    found = refusal(catalogue, tmp_path, workbook.MAGIC + b"\0" * 100, name="goods.xlsx")
    assert "is no sound workbook" in found
