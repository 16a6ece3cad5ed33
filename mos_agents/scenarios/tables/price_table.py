"""Observed prices from a user's file: [T, K, N] by time, product and seller, with gaps kept.

The file is a CSV, Parquet or Excel table in any dialect that `reading` takes in. Nothing is guessed
and nothing is filled in: a price that nobody observed stays missing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError
from mos_agents.scenarios.tables import numbers
from mos_agents.scenarios.tables.catalogue import LARGEST, number_notes
from mos_agents.scenarios.tables.clock import Clock, clock_of
from mos_agents.scenarios.tables.options import MOST_ROWS, TableFile
from mos_agents.scenarios.tables.price_columns import PriceColumns, price_columns
from mos_agents.scenarios.tables.price_roles import GivenColumns, Value
from mos_agents.scenarios.tables.reading import read_table
from mos_agents.scenarios.tables.table import FileTable, listed, printable
from mos_agents.wording import setting

MOST_CELLS = 50_000_000
"""Times x products x sellers of a table of prices."""

FEW_SEEN = 0.5
"""A seller whose price is known at a smaller share of the ticks is left out of that product."""

ALL = "all products"
"""The name of the product where a file names none."""


@short_repr
class PriceTable(NamedTuple):
    """Observed prices of K products of N sellers at T ticks of a regular clock.

    Parameters
    ----------
    prices : array [T, K, N]
        Prices in money per unit; NaN where none was observed.
    cost, quantity : array [T, K, N] or None
        Unit costs and units sold, where they are known.
    clock : Clock
        The ticks, with their dates.
    products, sellers : tuple of str
        Names, in the order in which they first occur.
    common : mapping of str to array [T]
        Series that reach all sellers.
    seasons : mapping of str to tuple of str [T]
        Labels of each tick.
    notes : tuple of str
        What was recognised and left out, in words.
    """

    prices: Array
    cost: Array | None
    quantity: Array | None
    clock: Clock
    products: tuple[str, ...]
    sellers: tuple[str, ...]
    common: Mapping[str, Array]
    seasons: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


def read_prices(
    file: TableFile,
    given: GivenColumns | None = None,
    every: str | None = None,
    value: Value = "price",
) -> PriceTable:
    """Observed prices of a file; InputError in one line where they cannot be read safely.

    Parameters
    ----------
    file : TableFile
        The file and its dialect.
    given : GivenColumns, optional
        Headings that the caller names.
    every : {"hour", "day", "week", "month", "quarter", "year"}, optional
        Average the prices to this step.
    value : {"price", "cost", "quantity", "series"}, optional
        What the file is of. Costs, quantities and series are then in `prices`.

    Returns
    -------
    PriceTable
        The prices on a regular clock.
    """
    table = read_table(file, MOST_ROWS)
    if not table.height:
        raise InputError(f"{file.path}: has no rows")
    columns = price_columns(table, given or GivenColumns(), value)
    clock = clock_of(table.shown, columns.times, table.lines, every)
    rows, notes = _rows(table, columns, clock, value)
    products = _unique(rows["product"])
    sellers = _unique(rows["seller"])
    cells = len(clock.labels) * len(products) * len(sellers)
    if not cells:
        raise InputError(f"{file.path}: every {value} is missing")
    if cells > MOST_CELLS:
        raise InputError(
            f"{file.path}: {len(clock.labels):,} times x {len(products):,} products x "
            f"{len(sellers):,} sellers are more than {MOST_CELLS:,} prices; give fewer products"
        )
    if every is None:
        _refuse_twice(table, rows, clock)
    prices = _grid(rows, "price", clock, products, sellers)
    cost, quantity = (
        _grid(rows, name, clock, products, sellers) if name in rows.columns else None
        for name in ("cost", "quantity")
    )
    left_out = _without_rare(prices) if value == "price" else []
    named = given or GivenColumns()
    series, of_series = _for_all(table, columns.common, named.common, clock, "series")
    labels, of_labels = _for_all(table, columns.season, named.season, clock, "labels")
    notes += [*of_series, *of_labels]
    return PriceTable(
        prices,
        cost,
        quantity,
        clock._replace(labels=tuple(map(printable, clock.labels))),
        products,
        sellers,
        {name: _filled(values) for name, values in series.items()},
        {name: tuple(str(one or "") for one in values) for name, values in labels.items()},
        (*table.notes, *columns.notes, *clock.notes, *notes, *_rare(left_out, products, sellers)),
    )


def _for_all(
    table: FileTable, headings: Sequence[str], named: Collection[str], clock: Clock, what: str
) -> tuple[dict[str, list[Any]], list[str]]:
    """[T] values of columns that reach all sellers, None where a tick has none; and what is said.

    A column that differs between rows of one time is refused where the caller names it, and left
    out where only its heading speaks for it.
    """
    made: dict[str, list[Any]] = {}
    notes = []
    for heading in headings:
        values = table.column(heading)
        if what == "series":
            column = _of_numbers(table, heading)
            values = numbers.numbers(table.shown, [column], table.lines, table.allowed)[0][0]
        frame = pl.DataFrame([pl.Series("tick", clock.tick), values.alias("value")])
        frame = frame.with_columns(pl.Series("line", table.lines)).drop_nulls()
        each = pl.col("value").n_unique().alias("n"), pl.col("value").first(), pl.col("line").max()
        by_tick = frame.group_by("tick").agg(each).sort("tick")
        wrong = by_tick.filter(pl.col("n") > 1)
        if wrong.height and heading in named:
            raise InputError(
                f"{table.shown}: row {wrong['line'][0]}: {heading} differs between rows of one "
                "time, so it is not the same for all sellers; give it once for each time"
            )
        if wrong.height:
            notes.append(f"{heading!r} not used: it differs between rows of one time")
            continue
        made[heading] = [None] * len(clock.labels)
        for tick, _, value, _ in by_tick.iter_rows():
            made[heading][tick] = value
        notes.append(
            f"{heading!r} taken as {'season labels' if what == 'labels' else 'a series'} "
            "for all sellers"
        )
    return made, notes


def _filled(values: list[Any]) -> Array:
    """[T] a series with its gaps interpolated."""
    made = pl.Series(values, dtype=pl.Float64).interpolate()
    return numbers.as_array(made.fill_null(strategy="forward").fill_null(strategy="backward"))


def _rows(
    table: FileTable, columns: PriceColumns, clock: Clock, value: Value
) -> tuple[pl.DataFrame, list[str]]:
    """A row for each price: tick, product, seller, price [, cost, quantity], row of the file."""
    headings = list(
        dict.fromkeys(
            [*columns.prices.values(), *columns.costs.values(), *columns.quantities.values()]
        )
    )
    given = [_of_numbers(table, heading) for heading in headings]
    read, texts, notation = numbers.numbers(table.shown, given, table.lines, table.allowed)
    money = [h for h in headings if h not in columns.quantities.values()]
    notes = number_notes(table, texts, notation, [t.name for t in texts if t.name in money])
    values = dict(zip(headings, read, strict=True))
    if value != "series":
        positive = set(columns.prices.values()) if value == "price" else set()
        _refuse_impossible(table, positive, values)
    names = _names(table, columns.product) if columns.product else None
    product = names if names is not None else pl.Series([ALL] * table.height)
    base = [
        pl.Series("tick", clock.tick),
        pl.Series("line", table.lines),
        product.alias("product"),
    ]
    parts = []
    for seller, heading in columns.prices.items():
        who = (
            _names(table, columns.seller) if columns.seller else pl.Series([seller] * table.height)
        )
        own = [*base, who.alias("seller"), values[heading].alias("price")]
        for name, group in (("cost", columns.costs), ("quantity", columns.quantities)):
            if group:
                own.append(values[group.get(seller, group.get("", ""))].alias(name))
        parts.append(pl.DataFrame(own))
    return pl.concat(parts).filter(pl.col("price").is_not_null()), notes


def _of_numbers(table: FileTable, heading: str) -> pl.Series:
    column = table.column(heading)
    if column.dtype == pl.Boolean or not (column.dtype.is_numeric() or column.dtype == pl.String):
        raise InputError(f"{table.shown}: column {heading!r} holds {column.dtype}, no numbers")
    return column


def _names(table: FileTable, heading: str) -> pl.Series:
    """Names as texts; InputError where one is missing."""
    column = table.column(heading)
    if column.dtype.is_float():
        column = column.cast(pl.Int64, strict=False)
    texts = column.cast(pl.String).str.strip_chars().fill_null("")
    lost = (texts == "").arg_true()
    if len(lost):
        raise InputError(
            f"{table.shown}: row {int(table.lines[lost[0]])}: {heading} is empty; fill it or "
            "delete the row"
        )
    odd = texts.str.contains(r"[\p{C}\p{Zl}\p{Zp}]")
    return pl.Series([printable(one) for one in texts]) if odd.any() else texts


def _refuse_impossible(
    table: FileTable, positive: set[str], values: Mapping[str, pl.Series]
) -> None:
    for heading, read in values.items():
        low = read <= 0.0 if heading in positive else read < 0.0
        wrong = (low | ~read.is_finite() | (read > LARGEST)).fill_null(False).arg_true()
        if len(wrong):
            must = "a price > 0" if heading in positive else "a number >= 0"
            raise InputError(
                f"{table.shown}: row {int(table.lines[wrong[0]])}: {heading}={read[wrong[0]]:g} "
                f"must be {must}; correct it, or leave the cell empty where nothing was observed"
            )


def _refuse_twice(table: FileTable, rows: pl.DataFrame, clock: Clock) -> None:
    keys = ["tick", "product", "seller"]
    first = pl.col("line").min().over(keys)
    again = rows.with_columns(first=first).filter(pl.col("line") != pl.col("first")).head(1)
    if again.height:
        one = again.row(0, named=True)
        what = "" if one["product"] == ALL else f" for {one['product']}"
        raise InputError(
            f"{table.shown}: row {one['line']}: {one['seller']} has a price{what} at "
            f"{clock.labels[one['tick']]} already in row {one['first']}; keep one of them, or say "
            f"{setting('every', clock.step)} to average them"
        )


def _unique(names: pl.Series) -> tuple[str, ...]:
    return tuple(names.unique(maintain_order=True).to_list())


def _grid(
    rows: pl.DataFrame,
    value: str,
    clock: Clock,
    products: tuple[str, ...],
    sellers: tuple[str, ...],
) -> Array:
    """[T, K, N] the mean of the values of each cell; NaN where there is none."""
    shape = len(clock.labels), len(products), len(sellers)
    known = rows.filter(pl.col(value).is_not_null())
    tick = known["tick"].to_numpy()
    product = known["product"].cast(pl.Enum(list(products))).to_physical().to_numpy()
    seller = known["seller"].cast(pl.Enum(list(sellers))).to_physical().to_numpy()
    cell = (tick * shape[1] + product.astype(np.int64)) * shape[2] + seller.astype(np.int64)
    size = int(np.prod(shape))
    total = np.bincount(cell, known[value].to_numpy(), size)
    count = np.bincount(cell, minlength=size)
    return np.divide(total, count, out=np.full(size, np.nan), where=count > 0).reshape(shape)


def _without_rare(prices: Array) -> list[tuple[int, int, float]]:
    """Take out, in place, the prices of sellers that are seldom seen; which, and how often."""
    seen = np.isfinite(prices).mean(axis=0)
    rare = (seen > 0.0) & (seen < FEW_SEEN)
    prices[:, rare] = np.nan
    return [(int(k), int(n), float(seen[k, n])) for k, n in np.argwhere(rare)]


def _rare(
    left_out: list[tuple[int, int, float]], products: tuple[str, ...], sellers: tuple[str, ...]
) -> list[str]:
    if not left_out:
        return []
    shown = [
        sellers[n] + ("" if products == (ALL,) else f" ({products[k]})") + f": {share:.0%}"
        for k, n, share in left_out
    ]
    return [
        f"left out, because a price is known for less than {FEW_SEEN:.0%} of the ticks: "
        f"{listed(shown, 5)}"
    ]
