"""Catalogues: who offers what at which cost, from the user's own files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, Layout
from mos_agents.runs.names import participant_fault
from mos_agents.scenarios.tables import numbers
from mos_agents.scenarios.tables.options import MOST_LISTINGS, TableFile
from mos_agents.scenarios.tables.reading import read_table
from mos_agents.scenarios.tables.table import FileTable, key, listed

REQUIRED = ("product", "seller", "cost", "reference_price", "quality", "stock")
OPTIONAL = ("nest", "share")
NAMES = ("product", "seller")
READ = (*REQUIRED, "nest")
LARGEST = 1e15
LONGEST_NAME = 200
"""Characters of a product's name."""

NEAR = 0.85
"""How alike a heading must be to a column's name to be taken for it."""


class CatalogueFile(TableFile):
    """Rows product, seller, cost, reference_price, quality, stock [, nest] of a file.

    Parameters
    ----------
    columns : mapping
        which heading holds which of them where it is called otherwise, as in product: Artikel.
    missing : {'refuse', 'drop'}
        what happens to a row in which something is missing: refuse the file, or drop the row.
    """

    kind: Literal["file"] = "file"
    columns: dict[str, str] = Field(default_factory=dict)
    missing: Literal["refuse", "drop"] = "refuse"

    @field_validator("columns")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        strange = [name for name in value if name not in READ]
        if strange:
            raise ValueError(
                f"{strange[0]!r} is no column of a catalogue; they are {', '.join(READ)}"
            )
        return value


@short_repr
class CatalogueTable(NamedTuple):
    """A catalogue file, row by row, and what was recognised and left out on the way."""

    product: list[str]
    seller: list[str]
    cost: Array
    reference_price: Array
    quality: Array
    stock: Array
    nest: list[str]
    notes: tuple[str, ...] = ()


def read_catalogue(file: CatalogueFile) -> CatalogueTable:
    """The rows of a catalogue: product, seller, cost, reference_price, quality, stock [, nest].

    An empty stock means made to order. Each problem is one line naming file, row and column.
    """
    table = read_table(file, MOST_LISTINGS)
    found, notes = matched(table, file.columns)
    if not table.height:
        raise InputError(
            f"{file.path}: has no rows; every row is one seller's offer of one product"
        )
    table, found, dropped = _without_gaps(table, found, file.missing)
    texts = {c: _names(table, c, found[c]) for c in NAMES}
    _refuse_twice(table, texts)
    values, of_numbers = _numbers(table, {c: found[c] for c in REQUIRED[2:]})
    nest = _texts(found["nest"]).to_list() if "nest" in found else []
    return CatalogueTable(
        product=texts["product"].to_list(),
        seller=texts["seller"].to_list(),
        **values,
        nest=nest,
        notes=(*table.notes, *notes, *dropped, *of_numbers),
    )


def looks_like_catalogue(table: FileTable) -> bool:
    """Whether a table has the columns of a catalogue, or most of them."""
    names = [key(name) for name in table.heading]
    return sum(key(name) in names for name in REQUIRED) >= 3


def matched(table: FileTable, columns: Mapping[str, str]) -> tuple[dict[str, pl.Series], list[str]]:
    """The columns that a catalogue needs by their names, and what is to be said of them."""
    found: dict[str, pl.Series] = {}
    notes: list[str] = []
    for name, heading in columns.items():
        found[name] = table.column(heading, f"columns.{name}={heading!r}")
    taken = {column.name for column in found.values()}
    free = [heading for heading in table.heading if heading not in taken]
    for name in READ:
        if name in found:
            continue
        alike = _heading_of(table, name, free)
        if alike is None:
            continue
        found[name] = table.column(alike)
        free.remove(alike)
        if alike != name:
            notes.append(f"column {alike!r} taken for {name}")
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise InputError(
            f"{table.shown}: column {missing[0]!r} is missing; a catalogue has the columns "
            f"{', '.join(REQUIRED)} and, if nested, nest; here are {listed(table.heading)}; if it "
            f"is one of these, say columns: {{{missing[0]}: {_example(free)}}}"
        )
    rest = [h for h in [*free, *(name for name, _ in table.left_out)] if h not in OPTIONAL]
    if rest:
        notes.append(f"columns not needed and left out: {listed(rest)}")
    return found, notes


def _example(free: Sequence[str]) -> str:
    return free[0] if free and free[0] else "HEADING"


def _heading_of(table: FileTable, name: str, free: Sequence[str]) -> str | None:
    """The heading that says a name: as it is, in other letters or nearly, and no other one."""
    if name in free:
        return name
    alike = [h for h in free if key(h) == key(name)]
    if not alike:
        others = {key(other) for other in READ if other != name}
        alike = [h for h in free if key(h) not in others and _near(key(h), key(name))]
    if len(set(alike)) > 1:
        raise InputError(
            f"{table.shown}: columns {listed(alike)} could each be {name!r}; say which, as in "
            f"columns: {{{name}: {alike[0]}}}"
        )
    return alike[0] if alike else None


def _near(heading: str, name: str) -> bool:
    digits = re.sub(r"\D", "", heading)
    short = abs(len(heading) - len(name)) <= 2 and not heading.endswith("id")
    return not digits and short and difflib.SequenceMatcher(None, heading, name).ratio() >= NEAR


def _texts(column: pl.Series) -> pl.Series:
    """A column as texts without blanks around them; whole numbers as people write them."""
    if column.dtype.is_float():
        whole = column.fill_null(0.0) == column.fill_null(0.0).floor()
        if whole.all():
            column = column.cast(pl.Int64, strict=False)
    return column.cast(pl.String).str.strip_chars().fill_null("")


def _without_gaps(
    table: FileTable, found: dict[str, pl.Series], missing: str
) -> tuple[FileTable, dict[str, pl.Series], list[str]]:
    """The rows in which nothing is missing that must be there, if the others are to be dropped."""
    if missing == "refuse":
        return table, found, []
    kept = pl.Series(np.ones(table.height, bool))
    for name in REQUIRED:
        column = found[name]
        if name == "stock":
            continue
        texts = _texts(column)
        absent = [""] if name in NAMES else numbers.MISSING
        kept &= ~texts.str.to_lowercase().is_in(absent)
    if kept.all():
        return table, found, []
    if not kept.any():
        raise InputError(f"{table.shown}: every row lacks something; nothing is left")
    dropped = [dropped_rows(int((~kept).sum()))]
    return table.rows(kept), {n: c.filter(kept) for n, c in found.items()}, dropped


def dropped_rows(count: int) -> str:
    """How many rows were left out because `missing: drop` says so."""
    return f"{count:,} row{'' if count == 1 else 's'} dropped: something is missing"


def _names(table: FileTable, name: str, column: pl.Series) -> pl.Series:
    """The names of products or sellers; InputError for one that cannot be shown or is too long."""
    texts = _texts(column)
    _refuse(table, name, texts, texts == "", "is empty; give it a name", value=False)
    if name == "seller":
        for one in texts.unique(maintain_order=True):
            if (fault := participant_fault(one)) is not None:
                _refuse(table, name, texts, texts == one, fault)
        return texts
    odd = texts.str.contains(r"[\p{C}\p{Zl}\p{Zp}]")
    _refuse(table, name, texts, odd, "holds a character that cannot be shown; leave it out")
    long = texts.str.len_chars() > LONGEST_NAME
    _refuse(table, name, texts, long, f"is longer than {LONGEST_NAME} characters")
    return texts


def _refuse(
    table: FileTable, name: str, texts: pl.Series, wrong: pl.Series, why: str, value: bool = True
) -> None:
    rows = wrong.fill_null(False).arg_true()
    if len(rows):
        shown = f"{name}={texts[rows[0]][:60]!r}" if value else name
        raise InputError(f"{table.shown}: row {int(table.lines[rows[0]])}: {shown} {why}")


def _refuse_twice(table: FileTable, texts: Mapping[str, pl.Series]) -> None:
    pairs = pl.DataFrame([texts["seller"].alias("s"), texts["product"].alias("p")]).with_row_index()
    seen = pairs.with_columns(first=pl.col("index").min().over("s", "p"))
    again = seen.filter(pl.col("index") != pl.col("first"))
    if again.height:
        row, seller, product, first = again.row(0)
        raise InputError(
            f"{table.shown}: row {int(table.lines[row])}: {seller} offers {product} already in row "
            f"{int(table.lines[first])}; keep one of them"
        )


def _numbers(
    table: FileTable, columns: Mapping[str, pl.Series]
) -> tuple[dict[str, Array], list[str]]:
    """Costs, prices, qualities and stocks as they may be, and in which notation they stood."""
    for name, column in columns.items():
        if not (column.dtype.is_numeric() or column.dtype == pl.String):
            raise InputError(
                f"{table.shown}: column {column.name!r} holds {_kind(column)}; {name} is a number"
            )
    given = [_unlimited(column) if name == "stock" else column for name, column in columns.items()]
    read, texts, notation = numbers.numbers(table.shown, given, table.lines, table.allowed)
    notes = number_notes(
        table,
        texts,
        notation,
        money=[columns[c].name for c in ("cost", "reference_price", "stock")],
    )
    made: dict[str, Array] = {}
    for (name, column), values in zip(columns.items(), read, strict=True):
        shown = _texts(column)
        lost = values.is_null()
        if name == "stock":
            lost &= ~_made_to_order(column)
        if name == "stock":
            remedy = "must be a number; leave it empty for made to order"
            _refuse(table, name, shown, lost, remedy)
        remedy = "is missing; fill it, delete the row, or say missing: drop"
        _refuse(table, name, shown, lost, remedy)
        wrong = ~values.is_finite().fill_null(True) | (values.abs() > LARGEST).fill_null(False)
        _refuse(table, name, shown, wrong, f"must be finite, at most {LARGEST:g} in size")
        if name != "quality":
            low = (values <= 0.0) if name == "reference_price" else (values < 0.0)
            least = "> 0" if name == "reference_price" else ">= 0"
            _refuse(table, name, shown, low, f"must be {least}")
        array = numbers.as_array(values)
        made[name] = np.where(np.isnan(array), np.inf, array) if name == "stock" else array
    percent = _percent(texts)
    if percent is not None:
        made["quality"] = made["quality"] / 100.0
        notes.append(f"{percent}: percent signs read as hundredths")
    return made, notes


def _kind(column: pl.Series) -> str:
    return "truth values" if column.dtype == pl.Boolean else "dates or times"


def _made_to_order(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column.is_null() | (column.is_infinite() if column.dtype.is_float() else False)
    return (
        column.str.strip_chars()
        .str.to_lowercase()
        .is_in(["", "inf", ".inf", "+inf", "infinity", "∞"])
    )


def _unlimited(stock: pl.Series) -> pl.Series:
    """A stock column in which nothing stands for no limit, as an empty cell does."""
    return stock.set(_made_to_order(stock), None)


def _percent(texts: Sequence[numbers.Texts]) -> str | None:
    return next((t.name for t in texts if t.percent is not None and (t.percent == "%").any()), None)


def number_notes(
    table: FileTable,
    texts: Sequence[numbers.Texts],
    notation: numbers.Notation | None,
    money: Sequence[str] = (),
) -> list[str]:
    """What is to be said of how numbers are written. InputError where signs do not go together.

    money: names of the columns in which a percent sign makes no sense.
    """
    notes = []
    marked = [t for t in texts if t.bare.str.contains(r"[,' ]|^\d{1,3}\.\d{3}(?:\.|$)").any()]
    if notation is not None and marked:
        if not any(t.bare.str.contains(notation.thousands, literal=True).any() for t in marked):
            notation = numbers.Notation(notation.decimal, "")
        notes.append(f"numbers with {notation} (in {listed([t.name for t in marked])})")
    signs: dict[str, tuple[str, int]] = {}
    for text in texts:
        if text.currency is not None:
            for sign in text.currency.filter(text.bare.is_not_null()).unique(maintain_order=True):
                if sign and sign.casefold() not in signs:
                    row = (text.currency == sign).arg_true()[0]
                    signs[sign.casefold()] = (text.name, int(table.lines[row]))
        if text.percent is None or not (text.percent == "%").any():
            continue
        row = (text.percent == "%").arg_true()[0]
        if text.name in money:
            raise InputError(
                f"{table.shown}: row {int(table.lines[row])}: {text.name} has a percent sign; it "
                "is an amount, not a share"
            )
        bare = text.percent.filter(text.bare.is_not_null())
        if not (bare == "%").all():
            raise InputError(
                f"{table.shown}: {text.name} has percent signs in some rows and none in others, as "
                f"from row {int(table.lines[row])}; write all in one way"
            )
    if len(signs) > 1:
        (one, (first, row)), (two, (second, other)) = list(signs.items())[:2]
        raise InputError(
            f"{table.shown}: row {row}: {first} is in {one}, row {other}: {second} in {two}; give "
            "all amounts in one currency"
        )
    if signs:
        notes.append(f"currency sign {next(iter(signs))} read over")
    return notes


def arrange(
    table: CatalogueTable, roster: Sequence[str], roles: Sequence[str], choice: str
) -> tuple[Layout, Catalogue]:
    """Layout and catalogue with the listings in roster order."""
    number = {name: n for n, name in enumerate(roster)}
    strangers = sorted(set(table.seller) - set(number))
    if strangers:
        raise InputError(
            f"seller {strangers[0]!r} of the catalogue is not among the participants; add it, or "
            "a participant named '*' for all sellers not named"
        )
    products = list(dict.fromkeys(table.product))
    market = {name: k for k, name in enumerate(products)}
    seller = np.array([number[s] for s in table.seller])
    instrument = np.array([market[p] for p in table.product])
    order = np.lexsort((instrument, seller))
    layout = Layout(
        tuple(roster), tuple(roles), tuple(products), seller[order], instrument[order], choice
    )
    nest = None
    if table.nest:
        nest = np.unique(np.array(table.nest), return_inverse=True)[1][order]
    catalogue = Catalogue(
        table.cost[order],
        table.reference_price[order],
        table.quality[order],
        table.stock[order],
        nest,
    )
    return layout, catalogue


def spread(values: Array) -> str:
    """The range of some numbers, in words."""
    if not values.size:
        return "none"
    low, high = float(values.min()), float(values.max())
    return f"{low:.10g}" if low == high else f"{low:.10g} to {high:.10g}"
