"""Files that tests write and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables import (
    CatalogueFile,
    CatalogueTable,
    Series,
    SeriesFile,
    read_catalogue,
    read_series,
)
from mos_agents.scenarios.tables.columns import Part

HEAD = "product,seller,cost,reference_price,quality,stock\n"
ROWS = "tea,a,1.5,2.5,0.5,10\nmilk,a,2,3,0,\n"
CASES = Path(__file__).parents[2] / "cases"


def written(folder: Path, data: str | bytes, name: str) -> str:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def catalogue(
    folder: Path, data: str | bytes, name: str = "goods.csv", **options: Any
) -> CatalogueTable:
    return read_catalogue(CatalogueFile(path=written(folder, data, name), **options))


def series(
    folder: Path,
    data: str | bytes,
    names: Sequence[str] = ("asset",),
    part: Part = "price",
    name: str = "prices.csv",
    **options: Any,
) -> Series:
    return read_series(SeriesFile(path=written(folder, data, name), **options), part, names)


def refusal(read: Callable[..., Any], *given: Any, **options: Any) -> str:
    """The one line with which a file is refused, without its folder."""
    with pytest.raises(InputError) as caught:
        read(*given, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(f"{given[0]}/", "")
