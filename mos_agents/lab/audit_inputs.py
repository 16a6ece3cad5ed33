"""What an audit looks at: the prices of a file or a run, and what stands beside them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from mos_agents.analysis.screens import Observed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.scenarios.tables import TableFile, digest_of
from mos_agents.scenarios.tables.beside import series_beside, values_beside
from mos_agents.scenarios.tables.clock import SEASONS
from mos_agents.scenarios.tables.price_roles import GivenColumns
from mos_agents.scenarios.tables.price_table import ALL, PriceTable, read_prices
from mos_agents.scenarios.tables.reading import is_table
from mos_agents.wording import setting

FEWEST_TICKS = 8
"""A shorter record is refused: no screen says anything about it."""

MOST_PRODUCTS = 100
"""Products of one audit."""

REPEATS = 2
"""The calendar must come round so often before its seasons can be told from other changes."""

Number = int | float


@short_repr
@dataclass(frozen=True, eq=False)
class ProductRecord:
    """One product: what was observed of its sellers, and the record that screens take.

    Parameters
    ----------
    name : str
        The product.
    sellers : tuple of str
        Its sellers.
    prices : array [T, N]
        Prices in money per unit, NaN where none was observed.
    observed : Observed
        The record.
    """

    name: str
    sellers: tuple[str, ...]
    prices: Array
    observed: Observed


@short_repr
@dataclass(frozen=True, eq=False)
class AuditInput:
    """What is audited.

    Parameters
    ----------
    source : str
        The file or run.
    kind : {"file", "run"}
        Which of them it is.
    products : tuple of ProductRecord
        A record for each product.
    labels : tuple of str
        [T] the date or number of each tick.
    tick : str
        What a tick is, such as "week".
    digests : tuple of tuple (str, str, str)
        What it is, path and SHA-256 of every input file.
    notes : tuple of str
        What was recognised and left out, in words.
    price : str
        What the price is, such as "price" or "spread between bid and ask".
    """

    source: str
    kind: str
    products: tuple[ProductRecord, ...]
    labels: tuple[str, ...]
    tick: str
    digests: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    price: str = "price"

    @property
    def sellers(self) -> tuple[str, ...]:
        """All sellers, in the order in which they first occur."""
        return tuple(dict.fromkeys(name for one in self.products for name in one.sellers))


@dataclass(frozen=True)
class AuditOptions:
    """What the caller says about the prices; see `lab.audit`."""

    cost: str | os.PathLike[str] | Number | None = None
    quantity: str | os.PathLike[str] | None = None
    common: tuple[str, ...] = ()
    season: tuple[str, ...] = ()
    control: str | os.PathLike[str] | None = None
    vendors: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    read: Mapping[str, Any] = field(default_factory=dict)
    every: str | None = None


def of_file(path: str, options: AuditOptions) -> AuditInput:
    """The record of a file of prices; InputError in one line where it cannot be read safely."""
    file = _table_file(path, options.read)
    cost_file, cost_heading, cost_number = _given(options.cost, "cost")
    quantity_file, quantity_heading, _ = _given(options.quantity, "quantity")
    series_files = [one for one in options.common if _is_file(one)]
    given = _columns(
        options.columns,
        cost=cost_heading,
        quantity=quantity_heading,
        common=tuple(one for one in options.common if one not in series_files),
        season=options.season,
    )
    digests = [("prices", path)]
    with _hints():
        table = read_prices(file, given, options.every)
        cost, quantity = table.cost, table.quantity
        if cost_file is not None:
            cost = values_beside(_table_file(cost_file, {}), "cost", table, options.every)
            digests.append(("cost", cost_file))
        if cost_number is not None:
            cost = np.full(table.prices.shape, cost_number)
        if quantity_file is not None:
            beside = _table_file(quantity_file, {})
            quantity = values_beside(beside, "quantity", table, options.every)
            digests.append(("quantity", quantity_file))
        common = dict(table.common)
        for one in series_files:
            common |= series_beside(_table_file(one, {}), table, options.every)
            digests.append(("common", one))
        control = None
        if options.control is not None:
            name = os.fspath(options.control)
            found = series_beside(_table_file(name, {}), table, options.every, "price")
            control = np.stack(list(found.values()), axis=1)
            digests.append(("control", name))
    seasons = {**_calendar(table), **table.seasons}
    notes = [*table.notes]
    if seasons:
        notes.append(f"seasons taken out: {', '.join(seasons)}")
    products = _products(table, cost, quantity, common, seasons, control, options.vendors, notes)
    return AuditInput(
        path,
        "file",
        products,
        table.clock.labels,
        table.clock.step,
        tuple((what, one, digest_of(one)) for what, one in digests),
        tuple(notes),
    )


def _table_file(path: str, read: Mapping[str, Any]) -> TableFile:
    try:
        return TableFile(path=path, **read)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            known = ", ".join(n for n in TableFile.model_fields if n not in ("kind", "path"))
            raise InputError(f"{setting('read')}: {name} must be one of {known}") from None
        text = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{setting('read')}: {name}={first['input']!r}: {text}") from None


_SAID = re.compile(r"\b(separator|decimal|thousands|encoding|skip_lines|heading|sheet): (\w[\w-]*)")


@contextlib.contextmanager
def _hints() -> Iterator[None]:
    """Adds to a refusal of the reader how the caller gives the setting that it names."""
    try:
        yield
    except InputError as error:
        named = _SAID.search(str(error))
        if named is None:
            raise
        how = setting("read", f"{named[1]}={named[2]}")
        raise InputError(f"{error} (say it with {how})") from None


def _is_file(given: str) -> bool:
    return is_table(given) and (os.sep in given or Path(given).exists())


def _given(
    value: str | os.PathLike[str] | Number | None, name: str
) -> tuple[str | None, str | None, float | None]:
    """A file, a heading or a number."""
    if value is None:
        return None, None, None
    if isinstance(value, bool) or not isinstance(value, str | os.PathLike | int | float):
        raise InputError(f"{setting(name)}={value!r} must be a file, a heading or a number")
    if not isinstance(value, int | float):
        text = os.fspath(value)
        if is_table(text):
            return text, None, None
        try:
            value = float(text)
        except ValueError:
            return None, text, None
    if name != "cost":
        raise InputError(f"{setting(name)}={value!r} must be a file or the heading of a column")
    if not 0.0 <= value < 1e15:
        raise InputError(f"{setting(name)}={value!r} must be a unit cost >= 0")
    return None, None, float(value)


def _columns(
    columns: Mapping[str, str | Sequence[str]],
    cost: str | None,
    quantity: str | None,
    common: tuple[str, ...],
    season: tuple[str, ...],
) -> GivenColumns:
    known = ("time", "product", "seller", "price")
    strange = [name for name in columns if name not in known]
    if strange:
        raise InputError(f"columns: {strange[0]!r} must be one of {', '.join(known)}")
    price = columns.get("price", ())
    single: dict[str, str] = {}
    for name, value in columns.items():
        if name != "price":
            if not isinstance(value, str):
                raise InputError(f"columns: {name}={value!r} must be the heading of one column")
            single[name] = value
    return GivenColumns(
        price=(price,) if isinstance(price, str) else tuple(price),
        cost=cost,
        quantity=quantity,
        common=common,
        season=season,
        **single,
    )


def _calendar(table: PriceTable) -> dict[str, tuple[str, ...]]:
    """Labels of the calendar, where it comes round often enough to be told from other changes."""
    step, labels = table.clock.step, table.clock.labels
    period = SEASONS.get(step)
    if period is None or not labels or not re.match(r"\d{4}-\d{2}", labels[0]):
        return {}
    ticks = len(labels)
    if step in ("hour", "day"):
        days = np.array([np.datetime64(text[:10]) for text in labels])
        found = {"weekday": tuple(str(d) for d in (days.astype(np.int64) + 3) % 7)}
        if step == "hour":
            found["hour"] = tuple(text[11:13] for text in labels)
        return found if ticks >= REPEATS * 7 * (24 if step == "hour" else 1) else {}
    if ticks < REPEATS * period:
        return {}
    return {"month of the year": tuple(text[5:7] for text in labels)}


def _products(
    table: PriceTable,
    cost: Array | None,
    quantity: Array | None,
    common: Mapping[str, Array],
    seasons: Mapping[str, tuple[str, ...]],
    control: Array | None,
    vendors: Mapping[str, str],
    notes: list[str],
) -> tuple[ProductRecord, ...]:
    ticks = len(table.clock.labels)
    if ticks < FEWEST_TICKS:
        raise InputError(
            f"the prices cover {ticks} {table.clock.step}s; an audit needs at least "
            f"{FEWEST_TICKS}, and most screens need 20 or more"
        )
    table, cost, quantity = _joined(table, cost, quantity, notes)
    strange = [name for name in vendors if name not in table.sellers]
    if strange:
        raise InputError(
            f"{setting('vendors')}: {strange[0]!r} is no seller; sellers are "
            f"{', '.join(table.sellers[:12])}"
        )
    made = []
    for k, name in enumerate(table.products):
        prices = table.prices[:, k]
        here = np.flatnonzero(np.isfinite(prices).any(axis=0))
        if not here.size:
            notes.append(f"{name} left out: no seller's price is known often enough")
            continue
        sellers = tuple(table.sellers[n] for n in here)
        own = prices[:, here]
        made.append(
            ProductRecord(
                "the market" if name == ALL else name,
                sellers,
                own,
                Observed(
                    own,
                    cost=None if cost is None else _filled(cost[:, k][:, here]),
                    quantities=_complete(quantity, k, here, notes),
                    common=dict(common),
                    seasons=seasons,  # type: ignore[arg-type]  # labels become codes
                    control=control,
                    vendors=tuple(vendors.get(one) for one in sellers) if vendors else None,
                    dates=table.clock.labels,
                    names=sellers,
                ),
            )
        )
    if not made:
        raise InputError("no product has a seller whose price is known often enough to be audited")
    if len(made) > MOST_PRODUCTS:
        raise InputError(
            f"{len(made):,} products are more than {MOST_PRODUCTS}; give a file with fewer products"
        )
    return tuple(made)


def _joined(
    table: PriceTable, cost: Array | None, quantity: Array | None, notes: list[str]
) -> tuple[PriceTable, Array | None, Array | None]:
    """One market of all sellers, where each product has one seller: all of them compete."""
    there = np.isfinite(table.prices).any(axis=0)  # [K, N]
    if len(table.products) < 2 or (there.sum(axis=1) > 1).any():
        return table, cost, quantity
    pairs = [(int(k), int(n)) for k, n in np.argwhere(there)]
    alone = len({n for _, n in pairs}) == len(pairs)
    names = tuple(
        table.sellers[n] if alone else f"{table.sellers[n]} {table.products[k]}" for k, n in pairs
    )
    notes.append("each product has one seller, so all products are taken as one market")
    rows, columns = [k for k, _ in pairs], [n for _, n in pairs]
    prices, cost, quantity = (
        None if one is None else one[:, rows, columns][:, None, :]
        for one in (table.prices, cost, quantity)
    )
    assert prices is not None
    joined = table._replace(prices=prices, products=(ALL,), sellers=names)
    return joined, cost, quantity


def _filled(values: Array) -> Array:
    """Costs with the last known one where a price is missing too."""
    import polars as pl

    columns = []
    for column in values.T:
        series = pl.Series(column).fill_nan(None)
        series = series.fill_null(strategy="forward").fill_null(strategy="backward")
        columns.append(series.to_numpy())
    return np.stack(columns, axis=1)


def _complete(quantity: Array | None, k: int, here: IntArray, notes: list[str]) -> Array | None:
    """Quantities without a gap; None, and a note, where there is one."""
    if quantity is None:
        return None
    own = quantity[:, k][:, here]
    if np.isnan(own).any():
        notes.append("quantities not used: some are missing; fill them to use them")
        return None
    return own
