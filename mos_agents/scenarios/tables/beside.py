"""What stands in files beside that of the prices: costs, quantities, series, a control market.

Their rows are matched with the ticks of the prices by date. A file with fewer dates than prices,
such as monthly costs beside weekly prices, gives each tick the last value known by then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.scenarios.tables.clock import Clock
from mos_agents.scenarios.tables.options import TableFile
from mos_agents.scenarios.tables.price_roles import GivenColumns, Value
from mos_agents.scenarios.tables.price_table import ALL, PriceTable, read_prices
from mos_agents.scenarios.tables.table import key, listed


def values_beside(file: TableFile, value: Value, prices: PriceTable, every: str | None) -> Array:
    """[T, K, N] costs or quantities of another file, at the ticks of the prices.

    Parameters
    ----------
    file : TableFile
        The file: long, wide, or one column for all sellers.
    value : {"cost", "quantity"}
        What it is of.
    prices : PriceTable
        The prices that it stands beside.
    every : str or None
        The step to which both are averaged.
    """
    found = read_prices(file, GivenColumns(), every, value)
    rows = _rows_for(file.path, found.clock, prices.clock, last_known=value == "cost")
    products = _matched(file.path, "product", found.products, prices.products, ALL)
    only = found.sellers[0] if len(found.sellers) == 1 else None
    sellers = _matched(file.path, "seller", found.sellers, prices.sellers, only)
    values = found.prices[rows][:, products][:, :, sellers]
    lost = np.isnan(values) & np.isfinite(prices.prices)
    if value == "cost" and lost.any():
        tick, k, n = (int(i) for i in np.argwhere(lost)[0])
        raise InputError(
            f"{file.path}: has no {value} of {prices.sellers[n]}"
            f"{'' if prices.products[k] == ALL else f' for {prices.products[k]}'} at "
            f"{prices.clock.labels[tick]}; add it"
        )
    return values


def series_beside(
    file: TableFile, prices: PriceTable, every: str | None, value: Value = "series"
) -> dict[str, Array]:
    """[T] each column of another file, at the ticks of the prices, by its heading.

    Parameters
    ----------
    file : TableFile
        The file.
    prices : PriceTable
        The prices that it stands beside.
    every : str or None
        The step to which both are averaged.
    value : {"series", "price"}, optional
        Any series, or the prices of a market that is compared.
    """
    found = read_prices(file, GivenColumns(), every, value)
    if len(found.products) > 1:
        raise InputError(f"{file.path}: holds several products; give a column for each series")
    rows = _rows_for(file.path, found.clock, prices.clock, last_known=True)
    made = {name: found.prices[rows, 0, n] for n, name in enumerate(found.sellers)}
    for name, values in made.items():
        if np.isnan(values).any():
            at = prices.clock.labels[int(np.isnan(values).argmax())]
            raise InputError(f"{file.path}: {name} has no value at {at}; add it")
    return made


def _rows_for(path: str, own: Clock, wanted: Clock, last_known: bool) -> IntArray:
    """The row of a file for each tick of the prices: that of the date, or the last one known."""
    if (own.step == "tick") != (wanted.step == "tick"):
        raise InputError(
            f"{path}: its rows are {own.step}s, those of the prices {wanted.step}s; give both dates"
        )
    rows = np.searchsorted(own.at, wanted.at, side="right") - 1
    missing = rows < 0
    if not last_known:
        missing |= own.at[np.maximum(rows, 0)] != wanted.at
    if missing.any():
        at = wanted.labels[int(missing.argmax())]
        raise InputError(f"{path}: has no value at {at}, where prices begin or go on; add it")
    usual = float(np.median(np.diff(own.at))) if len(own.at) > 1 else np.inf
    if float(wanted.at[-1] - own.at[-1]) >= 2.0 * usual:
        raise InputError(
            f"{path}: ends at {own.labels[-1]}, prices at {wanted.labels[-1]}; add the rest"
        )
    return rows.astype(np.int64)


def _matched(
    path: str, what: str, own: Sequence[str], wanted: Sequence[str], for_all: str | None
) -> list[int]:
    """The number of each wanted name among the file's own; one that is for all serves each."""
    by_key = {key(name): i for i, name in enumerate(own)}
    if not any(key(name) in by_key for name in wanted) and for_all in own:
        return [list(own).index(for_all)] * len(wanted)  # type: ignore[arg-type]
    lacking = [name for name in wanted if key(name) not in by_key]
    if lacking:
        raise InputError(
            f"{path}: has no {what} {lacking[0]!r}; it has {listed(own)}; give one for each "
            f"{what}, or one for all"
        )
    return [by_key[key(name)] for name in wanted]
