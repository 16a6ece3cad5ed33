"""What each column of a file of observed prices holds: time, product, seller, price and so on.

A *long* file has a row for each price, with a column that names the seller. A *wide* file has a row
for each time (and product), with a column of prices for each seller. Columns are found by their
headings, or named by the caller. Where two columns could be meant, the file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import polars as pl

from mos_agents.market.types import InputError
from mos_agents.scenarios.tables.columns import (
    MOSTLY,
    QUOTES,
    Columns,
    columns_of,
    share_of_numbers,
    words,
)
from mos_agents.scenarios.tables.numbers import numbers as numbers_of
from mos_agents.scenarios.tables.price_roles import (
    GivenColumns,
    Role,
    Value,
    of_seller,
    roles_of,
)
from mos_agents.scenarios.tables.row_order import refuse_unread_times, timestamps_of
from mos_agents.scenarios.tables.table import FileTable, key, listed
from mos_agents.scenarios.tables.times import Times, counted, times_of
from mos_agents.wording import setting

FAR = 20.0
"""A column of prices this many times above or below the others is none, unless it is named."""


class PriceColumns(NamedTuple):
    """What each column of a file of prices holds.

    Parameters
    ----------
    layout : {"long", "wide"}
        A column names the seller, or each seller has a column.
    times : tuple of Times
        The columns that say when.
    product, seller : str or None
        The headings of names; `seller` is None where the file is wide.
    prices, costs, quantities : mapping
        Headings by seller; by "" where one column holds those of all sellers.
    notes : tuple of str
        What was recognised, in words.
    """

    layout: Literal["long", "wide"]
    times: tuple[Times, ...]
    product: str | None
    seller: str | None
    prices: Mapping[str, str]
    costs: Mapping[str, str]
    quantities: Mapping[str, str]
    common: tuple[str, ...]
    season: tuple[str, ...]
    notes: tuple[str, ...]


def price_columns(table: FileTable, given: GivenColumns, value: Value = "price") -> PriceColumns:
    """What each column holds; InputError in one line where this cannot be told.

    Parameters
    ----------
    table : FileTable
        The file.
    given : GivenColumns
        Headings that the caller names.
    value : {"price", "cost", "quantity", "series"}
        What the file is of: a file of costs beside that of prices is read in the same way. Each
        column of a file of series is one.
    """
    given = given.exact(table)
    found = columns_of(table, "cost" if value == "cost" else "price")
    times = _times(table, found, given)
    if value == "series":
        own = {h: h for h in found.numbers if h not in {t.name for t in times}}
        if not own:
            raise InputError(f"{table.shown}: no column holds numbers")
        notes = (*_when(times), *_others(table, times, list(own), given))
        return PriceColumns("wide", times, None, None, own, {}, {}, (), (), notes)
    taken = {*given.headings, *(one.name for one in times)}
    beside = {role: _beside(found, role, taken) for role in ("common", "season")}
    given = given._replace(
        common=(*given.common, *beside["common"]), season=(*given.season, *beside["season"])
    )
    taken |= {*beside["common"], *beside["season"]}
    free = [c.name for c in table.columns if c.name not in taken]
    texts = [h for h in free if found.others.get(h) == "texts"]
    names = [*texts, *(h for h in free if h not in texts and _numbers_name(table, h, times))]
    product = given.product or _by_heading(table, "product", names)
    names = [h for h in names if h != product]
    seller = given.seller or _by_heading(table, "seller", names)
    seller = seller or _only_text(table, times, [h for h in texts if h != product], given)
    taken |= {name for name in (product, seller) if name is not None}
    given = given._replace(product=product, seller=seller)
    numbers = [h for h in found.numbers if h not in taken]
    if seller is not None:
        return _long(table, times, numbers, given, value)
    return _wide(table, times, numbers, found, given, value)


def _beside(found: Columns, role: Role, taken: set[str]) -> list[str]:
    """Columns that plainly hold a series or labels for all sellers, by their headings."""
    kinds = found.numbers if role == "common" else [*found.numbers, *found.others]
    return [h for h in dict.fromkeys(kinds) if h not in taken and roles_of(h) == {role}]


def _times(table: FileTable, found: Columns, given: GivenColumns) -> tuple[Times, ...]:
    """The columns that say when: the one that is named, or all that are recognised."""
    if given.time is not None:
        column = table.column(given.time)
        when = next((t for t in found.times if t.name == column.name), None) or times_of(column)
        if when is None:
            if share_of_numbers(column) < MOSTLY:
                raise InputError(
                    f"{table.shown}: column {column.name!r} holds no dates that can be read; write "
                    "dates as 2024-12-31, or number the ticks"
                )
            when = counted(column, "numbers of ticks")
        return (when,)
    times = tuple(t for t in found.times if t.name not in given.headings)
    if not times:
        refuse_unread_times(table, sorted(given.headings))
    stamps = timestamps_of(times)
    if stamps is None:
        # A tick that begins again for each seller: rows of a long file.
        counted_times = [t for t in times if t.moments is not None and not t.whole]
        return tuple(counted_times[:1]) if counted_times else times
    parts = set(stamps.name.split(" and "))
    return tuple(t for t in times if t.name in parts or t.description == "times of day" or t.whole)


def _numbers_name(table: FileTable, heading: str, times: Sequence[Times]) -> bool:
    """Whether a column of whole numbers names sellers or products: station 1, 2, 3, 1, 2, 3."""
    column = table.column(heading)
    if any(letter.isdigit() for letter in heading) or not _repeats(times):
        return False
    values = column.cast(pl.Float64, strict=False)
    whole = not values.is_null().any() and bool((values == values.floor()).all())
    return whole and 2 * values.n_unique() <= len(values)


def _repeats(times: Sequence[Times]) -> bool:
    """Whether several rows have one time."""
    when = timestamps_of(times)
    moments = when.moments if when is not None else (times[0].moments if times else None)
    return moments is not None and bool(moments.drop_nulls().is_duplicated().any())


def _by_heading(table: FileTable, role: Role, names: Sequence[str]) -> str | None:
    """The column of names whose heading says the role; InputError where several do."""
    alike = [h for h in names if roles_of(h) == {role}]
    exact = [h for h in alike if len(words(h)) == 1]
    alike = exact if len(exact) == 1 else alike
    if len(alike) > 1 and _same_names(table, alike):  # such as `station` and `station_id`
        alike = alike[:1]
    if len(alike) > 1:
        raise InputError(_several(table, role, alike))
    return alike[0] if alike else None


def _several(table: FileTable, role: str, alike: Sequence[str]) -> str:
    return (
        f"{table.shown}: columns {listed(alike)} could each hold the {role}; say which, as in "
        f"{setting(role, alike[0])}"
    )


def _same_names(table: FileTable, headings: Sequence[str]) -> bool:
    """Whether columns of names divide the rows in the same way."""
    columns = [table.column(h).cast(pl.String).alias(h) for h in headings]
    frame = pl.DataFrame(columns)
    return all(frame[h].n_unique() == frame.n_unique() for h in headings)


def _only_text(
    table: FileTable, times: Sequence[Times], texts: Sequence[str], given: GivenColumns
) -> str | None:
    """The only column of names, where the times repeat; InputError where there are several."""
    if not texts or not (_repeats(times) or len(given.price) == 1):
        return None
    if len(texts) > 1:
        raise InputError(
            f"{table.shown}: columns {listed(texts)} hold names; say which names the seller, as in "
            f"{setting('seller', texts[0])}"
        )
    return texts[0]


def _one_of(table: FileTable, role: Value, numbers: Sequence[str]) -> str | None:
    """The column of numbers whose heading says the role; InputError where several do."""
    alike = [h for h in numbers if role in roles_of(h)]
    exact = [h for h in alike if len(words(h)) == 1]
    alike = exact if len(exact) == 1 else alike
    if len(alike) > 1:
        raise InputError(_several(table, role, alike))
    return alike[0] if alike else None


def _long(
    table: FileTable,
    times: tuple[Times, ...],
    numbers: Sequence[str],
    given: GivenColumns,
    value: Value,
) -> PriceColumns:
    if not times:
        raise InputError(
            f"{table.shown}: {given.seller} names the sellers, but no column says when; add dates, "
            f"or number the ticks and say {setting('time', 'HEADING')}"
        )
    if len(given.price) > 1:
        raise InputError(
            f"{table.shown}: {given.seller} names the sellers, so one column holds all prices; "
            f"{setting('price')} names {len(given.price)}"
        )
    own: dict[Value, str | None] = {"cost": given.cost, "quantity": given.quantity}
    for role in ("cost", "quantity"):
        if own[role] is None and role != value:
            own[role] = _one_of(table, role, [h for h in numbers if h not in own.values()])
    left = [h for h in numbers if h not in own.values()]
    main = given.price[0] if given.price else _one_of(table, value, left)
    main = main or (left[0] if len(left) == 1 else None)
    if main is None:
        why = f"columns {listed(left)} could each be meant" if left else "none holds numbers"
        raise InputError(
            f"{table.shown}: no column is called {value}, and {why}; say which holds the "
            f"{_MANY[value]}, as in {setting('price', left[0] if left else 'HEADING')}"
        )
    notes = [f"a row for each {value}: seller in {given.seller!r}, {value} in {main!r}"]
    for role, heading in (("product", given.product), *own.items()):
        notes += [f"{role} in {heading!r}"] if heading else []
    cost, quantity = own["cost"], own["quantity"]
    used = [given.product, given.seller, main, cost, quantity]
    return PriceColumns(
        "long",
        times,
        given.product,
        given.seller,
        {"": main},
        {"": cost} if cost else {},
        {"": quantity} if quantity else {},
        given.common,
        given.season,
        (*_when(times), *notes, *_others(table, times, used, given)),
    )


_MANY = {"price": "prices", "cost": "costs", "quantity": "quantities", "series": "series"}


def _wide(
    table: FileTable,
    times: tuple[Times, ...],
    numbers: Sequence[str],
    found: Columns,
    given: GivenColumns,
    value: Value,
) -> PriceColumns:
    groups: dict[Value, dict[str, str]] = {"price": {}, "cost": {}, "quantity": {}}
    for heading in (*numbers, *given.price):
        role, name = of_seller(heading, value)
        if heading in given.price:
            role = value
        elif role == value and (given.price or heading not in found.candidates):
            continue  # row numbers, what is plainly something else, and what was not named
        if name in groups[role]:
            raise InputError(
                f"{table.shown}: columns {groups[role][name]!r} and {heading!r} are both the "
                f"{role} of {name or 'all sellers'}; give each seller one name"
            )
        groups[role][name] = heading
    own = {name or heading: heading for name, heading in groups[value].items()}
    if not own:
        what = "; ".join(f"{n or '(no name)'} holds {why}" for n, why in found.others.items())
        raise InputError(f"{table.shown}: no column holds {_MANY[value]}: {what[:300]}")
    if value == "price":
        _refuse_no_prices(table, own, given)
    costs, quantities = (
        {"": named}
        if (named := getattr(given, role))
        else _matched(table, role, groups[role], own)
        if role != value
        else {}
        for role in ("cost", "quantity")
    )
    notes = [f"a column of {_MANY[value]} for each seller: {listed(list(own.values()))}"]
    notes += [f"product in {given.product!r}"] if given.product else []
    for role, some in (("cost", costs), ("quantity", quantities)):
        notes += [f"{role} in {listed(list(some.values()))}"] if some else []
    used = [given.product, *own.values(), *costs.values(), *quantities.values()]
    return PriceColumns(
        "wide",
        times,
        given.product,
        None,
        own,
        costs,
        quantities,
        given.common,
        given.season,
        (*_when(times), *notes, *_others(table, times, used, given)),
    )


def _refuse_no_prices(table: FileTable, prices: Mapping[str, str], given: GivenColumns) -> None:
    """InputError for columns that look like prices and are not those of several sellers."""
    if given.price:
        return
    headings = list(prices.values())
    if len({word for h in headings for word in words(h) if word in QUOTES}) >= 3:
        raise InputError(
            f"{table.shown}: columns {listed(headings)} are the quotes of one instrument, not the "
            "prices of several sellers; give each seller a column"
        )
    read = numbers_of(table.shown, [table.column(h) for h in headings], table.lines, table.allowed)
    middles = [abs(float(c.median() or 0.0)) for c in read[0]]  # type: ignore[arg-type]
    usual = sorted(middles)[len(middles) // 2]
    for heading, middle in zip(headings, middles, strict=True):
        if len(headings) > 2 and usual > 0.0 and not usual / FAR <= middle <= FAR * usual:
            raise InputError(
                f"{table.shown}: column {heading!r} has values around {middle:g}, the others "
                f"around {usual:g}: is it a price? name the columns of prices, as in "
                f"{setting('price', headings[0])}, or the column that reaches all sellers, as in "
                f"{setting('common', heading)}"
            )


def _matched(
    table: FileTable, role: Value, own: Mapping[str, str], prices: Mapping[str, str]
) -> dict[str, str]:
    """Costs or quantities by the seller whose they are; one column alone is that of all."""
    if not own or set(own) == {""}:
        return dict(own)
    by_key = {key(name): name for name in prices}
    made: dict[str, str] = {}
    for name, heading in own.items():
        if key(name) in by_key:
            made[by_key[key(name)]] = heading
        elif len(own) == 1 and role == "cost":
            return {"": heading}
        else:
            raise InputError(
                f"{table.shown}: column {heading!r} is the {role} of no seller; sellers are "
                f"{listed(list(prices))}"
            )
    lacking = [name for name in prices if name not in made]
    if lacking:
        raise InputError(
            f"{table.shown}: {lacking[0]} has no column of {role}; give each seller one, or one "
            f"column for all, as in {setting(role, 'HEADING')}"
        )
    return made


def _when(times: Sequence[Times]) -> list[str]:
    return [f"{t.description} in {t.name or 'the column without a name'}" for t in times]


def _others(
    table: FileTable, times: Sequence[Times], used: Sequence[str | None], given: GivenColumns
) -> list[str]:
    """Which columns are not used."""
    known = {*used, *given.common, *given.season, *(t.name for t in times)}
    rest = [h for h in table.heading if h not in known]
    return [f"columns not used: {listed(rest)}"] if rest else []
