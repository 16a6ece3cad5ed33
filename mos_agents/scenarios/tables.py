"""Catalogues and price series from the user's own CSV and Parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, Layout
from mos_agents.runs.files import check_source

REQUIRED = ("product", "seller", "cost", "reference_price", "quality", "stock")
OPTIONAL = ("nest", "share")
BUILTIN = "builtin:"
_DATA = Path(__file__).parent / "data"
_LARGEST = 500 * 2**20


@short_repr
class CatalogueTable(NamedTuple):
    """A catalogue file, row by row."""

    product: list[str]
    seller: list[str]
    cost: Array
    reference_price: Array
    quality: Array
    stock: Array
    nest: list[str]


def resolve(path: str) -> Path:
    """The file behind a path in a scenario; `builtin:NAME` is one that ships with the package."""
    if path.startswith(BUILTIN):
        name = path.removeprefix(BUILTIN)
        shipped = sorted(p.name for p in _DATA.glob("*.csv"))
        if name not in shipped:
            raise InputError(f"path={path!r} is not shipped; shipped are {shipped}")
        return _DATA / name
    return Path(path)


def read_table(path: str) -> pl.DataFrame:
    """A CSV or Parquet file as texts and numbers, or InputError in one line."""
    file = resolve(path)
    check_source(file, _LARGEST, f"path={str(path)!r}")
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        if file.suffix == ".csv":
            return pl.read_csv(file, infer_schema=False)
    except Exception as error:  # polars raises many kinds; the user needs one line
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"path={str(path)!r} cannot be read: {first}") from None
    raise InputError(f"path={str(path)!r} must end in .csv or .parquet")


def digest_of(path: str) -> str:
    """SHA-256 of a file's bytes: whether it is still the one that a run was made from."""
    file = resolve(path)
    check_source(file, shown=f"path={path!r}")
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"path={path!r} cannot be read: {error.strerror}") from None


def read_catalogue(path: str) -> CatalogueTable:
    """The rows of a catalogue: product, seller, cost, reference_price, quality, stock [, nest].

    An empty stock means made to order. Each problem is one line naming file, row and column.
    """
    table = read_table(path)
    missing = [c for c in REQUIRED if c not in table.columns]
    if missing:
        raise InputError(
            f"{path}: column {missing[0]!r} is missing; a catalogue has the columns "
            f"{', '.join(REQUIRED)} and, if nested, nest"
        )
    unknown = [c for c in table.columns if c not in REQUIRED + OPTIONAL]
    if unknown:
        raise InputError(
            f"{path}: column {unknown[0]!r} is not known; columns are "
            f"{', '.join(REQUIRED + OPTIONAL)}"
        )
    if not table.height:
        raise InputError(f"{path}: has no rows; every row is one seller's offer of one product")
    texts = {c: [_text(v) for v in table[c].to_list()] for c in ("product", "seller")}
    for column, values in texts.items():
        for row, value in enumerate(values):
            if not value:
                raise InputError(f"{path}: row {row + 2}: {column} is empty; give it a name")
    seen: dict[tuple[str, str], int] = {}
    for row, pair in enumerate(zip(texts["seller"], texts["product"], strict=True)):
        if pair in seen:
            raise InputError(
                f"{path}: row {row + 2}: {pair[0]} offers {pair[1]} already in row "
                f"{seen[pair] + 2}; keep one of them"
            )
        seen[pair] = row
    numbers = {c: _numbers(path, table, c) for c in REQUIRED[2:]}
    nest = [_text(v) for v in table["nest"].to_list()] if "nest" in table.columns else []
    return CatalogueTable(texts["product"], texts["seller"], **numbers, nest=nest)


def arrange(table: CatalogueTable, roster: Sequence[str], roles: Sequence[str],
            choice: str) -> tuple[Layout, Catalogue]:  # fmt: skip
    """Layout and catalogue with the listings in roster order."""
    number = {name: n for n, name in enumerate(roster)}
    strangers = sorted(set(table.seller) - set(number))
    if strangers:
        raise InputError(
            f"seller {strangers[0]!r} of the catalogue is not among the participants; add it, or "
            "a participant named '*' for all sellers not named"
        )
    products = list(dict.fromkeys(table.product))
    place = {name: k for k, name in enumerate(products)}
    seller = np.array([number[s] for s in table.seller])
    instrument = np.array([place[p] for p in table.product])
    order = np.lexsort((instrument, seller))
    layout = Layout(tuple(roster), tuple(roles), tuple(products), seller[order],
                    instrument[order], choice)  # fmt: skip
    nest = None
    if table.nest:
        nest = np.unique(np.array(table.nest), return_inverse=True)[1][order]
    catalogue = Catalogue(
        table.cost[order], table.reference_price[order], table.quality[order],
        table.stock[order], nest,
    )  # fmt: skip
    return layout, catalogue


def read_series(path: str, columns: Sequence[str]) -> Array:
    """[T, M] a recorded path, a column per series; by default every column with numbers only."""
    table = read_table(path)
    for column in columns:
        if column not in table.columns:
            raise InputError(f"{path}: column {column!r} is not there; columns are {table.columns}")
    wanted = list(columns) or [c for c in table.columns if _is_numeric(table[c])]
    if not wanted or not table.height:
        raise InputError(f"{path}: no column of numbers; columns are {table.columns}")
    series = np.stack([_numbers(path, table, c) for c in wanted], axis=1)
    if not np.isfinite(series).all() or series.min() <= 0.0:
        row, column = np.argwhere(~(np.isfinite(series) & (series > 0.0)))[0]
        raise InputError(
            f"{path}: row {row + 2}: {wanted[column]}={series[row, column]:g} must be a price > 0"
        )
    return np.ascontiguousarray(series)


def _is_numeric(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or bool(
        column.cast(pl.Float64, strict=False).is_not_null().all()
    )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _numbers(path: str, table: pl.DataFrame, column: str) -> Array:
    values = np.empty(table.height)
    for row, value in enumerate(table[column].to_list()):
        text = _text(value)
        if column == "stock" and not text:
            values[row] = np.inf
            continue
        try:
            values[row] = float(text)
        except ValueError:
            raise InputError(
                f"{path}: row {row + 2}: {column}={text!r} must be a number"
                + ("; leave it empty for made to order" if column == "stock" else "")
            ) from None
        low = 0.0 if column in ("cost", "stock") else -np.inf
        wrong = np.isnan(values[row]) or values[row] < low
        wrong |= column != "stock" and np.isinf(values[row])
        if wrong or (column == "reference_price" and values[row] <= 0.0):
            allowed = {"cost": ">= 0", "stock": ">= 0", "reference_price": "> 0"}
            raise InputError(
                f"{path}: row {row + 2}: {column}={text} must be {allowed.get(column, 'finite')}"
            )
    return values
