"""What a run came to: one to three sentences, some more for the page, and a table.

The same words stand at the end of `mos run`, at the top of the report and in Python. Nothing here
names a winner whom chance could have named; see `verdicts`.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mos_agents.analysis.numbers import join_names, number, percent
from mos_agents.analysis.verdicts import money_text
from mos_agents.market.frames import as_pandas, table_html
from mos_agents.market.lazy import LazyModule
from mos_agents.report import verdicts
from mos_agents.report.chain_words import chain_details, chain_headline, chain_table
from mos_agents.report.data import Data
from mos_agents.report.measures import (
    bids_of,
    division,
    inside,
    listed,
    markups,
    mean_spreads,
    paid_per_unit,
    quoted,
    sold_out,
)
from mos_agents.runs.faults import fault_lines
from mos_agents.runs.reading import Run, read

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

MOST_ROWS = 12
"""Rows of the table on a terminal; the report has them all."""

MOST_TOLD = 6
"""Participants that one sentence names, one after another."""


class SummaryTable(NamedTuple):
    """A row per participant."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class RunSummary(NamedTuple):
    """A run in words: what matters most, further sentences, and a table of all participants.

    Parameters
    ----------
    headline : tuple of str
        The first sentences.
    details : tuple of str
        Further sentences, for the page.
    table : Table
        A row per participant.
    columns : tuple of str
        The columns of the table that a terminal shows.
    faults : tuple of str
        A line for each participant whose policy failed. They come before all else.
    """

    headline: tuple[str, ...]
    details: tuple[str, ...]
    table: SummaryTable
    columns: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def text(self, width: int = 96) -> str:
        """Return the headline and the columns of the table that fit.

        Parameters
        ----------
        width : int, optional
            Characters in a line.

        Returns
        -------
        str
            Lines of text.
        """
        lines = textwrap.wrap(" ".join(self.headline), width, break_on_hyphens=False)
        return "\n".join([*self.faults, *lines, *_columns(self.table, self.columns, width)])

    def __str__(self) -> str:
        return self.text()

    def to_polars(self) -> pl.DataFrame:
        """Return the table, a row per participant.

        Returns
        -------
        polars.DataFrame
            The columns of the report's table, as the texts that it shows.
        """
        columns = (
            zip(*self.table.rows, strict=True) if self.table.rows else [()] * len(self.table.head)
        )
        return pl.DataFrame(
            {name: list(cells) for name, cells in zip(self.table.head, columns, strict=True)}
        )

    def to_pandas(self) -> Any:
        """Return the frame of `to_polars` as a pandas frame.

        Returns
        -------
        pandas.DataFrame
            The same rows and columns.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        return as_pandas(self.to_polars())

    def _repr_html_(self) -> str:
        notes = [*self.faults, " ".join(self.headline)]
        return table_html(self.table.head, self.table.rows, notes, self.table.note)


def summarise(run: Run | str | Path, root: str | Path = "runs") -> RunSummary:
    """Say what a recorded run came to, in words and a table.

    Parameters
    ----------
    run : Run, str or Path
        A run, its name below `root`, or its folder.
    root : str or Path, optional
        The folder that holds the runs.

    Returns
    -------
    Summary
        `print` shows the sentences and the table.

    Raises
    ------
    RunError
        If there is no such run, or a part of it is damaged.
    """
    return summary_of(Data.of(run if isinstance(run, Run) else read(str(run), root)))


def summary_of(data: Data, theory: Sequence[str] = ()) -> RunSummary:
    """The summary of a run that is read; theory: sentences on its benchmarks."""
    if data.empty:
        text = (
            "Nothing was recorded."
            if data.run.finished
            else ("The run was interrupted before anything was recorded.")
        )
        return RunSummary((text,), (), SummaryTable((), ()), (), tuple(fault_lines(data.run.facts)))
    headline, details, table, columns = KINDS[data.kind]
    with warnings.catch_warnings():
        # In a tick without quotes or trades a mean is of nothing: NaN is left out or a dash.
        warnings.simplefilter("ignore", RuntimeWarning)
        return RunSummary(
            (*headline(data), *theory, refusal_sentences(data)),
            details(data),
            table(data),
            columns,
            tuple(fault_lines(data.run.facts)),
        )


def refusal_sentences(data: Data) -> str:
    """How many quotes were refused, whose and why."""
    counts = {name: sum(reasons.values()) for name, reasons in data.refusals.items()}
    if not counts:
        return "No quote was refused."
    worst = max(counts, key=lambda name: counts[name])
    reason = max(data.refusals[worst], key=lambda r: data.refusals[worst][r])
    return (
        f"{sum(counts.values()):,} of the recorded quotes were refused, most of them from "
        f"{worst} ({reason})."
    )


# --- posted prices --------------------------------------------------------------------------------


def posted_headline(data: Data) -> tuple[str, ...]:
    return (*verdicts.profit(data), *_over_cost(data), *_turned_away(data))


def posted_details(data: Data) -> tuple[str, ...]:
    units = data.total("sold")
    order = np.argsort(-units, kind="stable")[:3]
    shares = [f"{data.names[n]} sold {percent(units[n] / _some(units.sum()))}" for n in order]
    return (f"Of the units sold, {join_names(shares)}.",)


def _over_cost(data: Data) -> list[str]:
    over = np.nanmean(markups(data), axis=(0, 1))
    if not np.isfinite(over).any():
        return []
    low, high = int(np.nanargmin(over)), int(np.nanargmax(over))
    mean = f"Prices stood {percent(float(np.nanmean(over)))} over cost on average"
    if percent(over[low]) == percent(over[high]):
        return [f"{mean}."]
    return [
        f"{mean}, between {percent(over[low])} ({data.names[low]}) and {percent(over[high])} "
        f"({data.names[high]})."
    ]


def _turned_away(data: Data) -> list[str]:
    if not data.run.facts["market"]["held"]:
        return []
    gone, sold = data.total("lost").sum(), data.total("sold").sum()
    share = float((data.listings["inventory"][:, :, data.held > 0] <= 0).mean())
    if gone <= 0 and share <= 0:
        return ["Nothing was ever sold out."]
    return [
        f"What is stocked was sold out {percent(share)} of the time; {number(gone)} units"
        f"{_each(data)} were turned away ({percent(gone / _some(gone + sold))} of what was asked "
        "for)."
    ]


def posted_table(data: Data) -> SummaryTable:
    units, sold_money = data.total("sold"), data.total("revenue")
    over = np.nanmean(np.where(np.isfinite(m := markups(data)), m, np.nan), axis=(0, 1))
    out = sold_out(data).mean(axis=(0, 1))  # NaN where all is made to order
    held = data.run.facts["market"]["held"]
    pnl = data.by_market("pnl")
    head = [
        "participant",
        "role",
        "PnL",
        "sd of PnL",
        "revenue",
        "units sold",
        "share of units",
        "price over cost",
    ]
    head += ["sold out", "units lost"] if held else ["units lost"]
    rows = []
    for n in listed(data):
        row = [
            data.names[n],
            data.run.facts["market"]["roles"][n],
            money_text(pnl[:, n]),
            verdicts.deviation(pnl[:, n]),
            number(sold_money[n]),
            number(units[n]),
            percent(units[n] / _some(units.sum())),
            percent(over[n]),
        ]
        row += [percent(out[n])] if held else []
        rows.append((*row, number(data.total("lost")[n]), number(data.total("refused")[n])))
    note = f"Sums over all ticks{_per_market(data)}"
    note += "; sold out: share of products in stock and ticks with nothing left" if held else ""
    note += ". sd: standard deviation over markets." if data.R > 1 else "."
    return SummaryTable((*head, "quotes refused"), tuple(rows), note + verdicts.interval_note(data))


# --- dealers --------------------------------------------------------------------------------------


def dealers_headline(data: Data) -> tuple[str, ...]:
    lines = [*verdicts.profit(data), *verdicts.risk(data)]
    wide, gap = quoted(data), inside(data)
    if np.isfinite(wide).any():
        lines.append(
            f"A maker's own spread was {number(float(np.nanmean(wide)))} on average; the best bid "
            f"and ask of all stood {number(float(np.nanmean(gap)))} apart."
        )
    if (lost := data.total("lost").sum()) > 0:
        lines.append(f"{number(lost)} units{_each(data)} were turned away at position limits.")
    return tuple(lines)


def dealers_details(data: Data) -> tuple[str, ...]:
    capture, moved = data.total("spread_capture"), data.total("inventory_pnl")
    units = data.total("units_traded")
    shares = [
        f"{data.names[n]} traded {percent(units[n] / _some(units.sum()))}"
        for n in data.named[:MOST_TOLD]
    ]
    return (
        *verdicts.held(data),
        f"All makers together captured {number(capture.sum())} of spread{_each(data)}, and the "
        f"mid's moves {'added' if moved.sum() >= 0 else 'took'} {number(abs(moved.sum()))}.",
        f"Of {number(units.sum())} units{_each(data)}, {join_names(shares)}.",
    )


def dealers_table(data: Data) -> SummaryTable:
    units, wide = data.total("units_traded"), mean_spreads(data)
    held = verdicts.rms_by_seller(data, data.listings["inventory"]).mean(axis=0)
    pnl = data.by_market("pnl")
    rows = tuple(
        (
            data.names[n],
            data.policies[n] or "–",
            money_text(pnl[:, n]),
            verdicts.deviation(pnl[:, n]),
            verdicts.per_risk(pnl[:, n]),
            number(held[n]),
            number(data.total("spread_capture")[n]),
            number(data.total("inventory_pnl")[n]),
            percent(units[n] / _some(units.sum())),
            number(wide[n]),
            number(data.total("lost")[n]),
            number(data.total("refused")[n]),
        )
        for n in listed(data)
    )
    head = (
        "maker",
        "policy",
        "PnL",
        "sd of PnL",
        "PnL / sd",
        "rms inventory",
        "spread capture",
        "inventory PnL",
        "share of units",
        "mean spread",
        "units turned away",
        "quotes refused",
    )
    return SummaryTable(
        head,
        rows,
        f"Sums over all ticks{_per_market(data)}. sd: standard deviation over markets; PnL / sd: "
        "what a market earns per unit of that risk; rms inventory: root of the mean square of what "
        "is held, per asset. Units are turned away at the position limit."
        + verdicts.interval_note(data),
    )


# --- auctions -------------------------------------------------------------------------------------


def auction_headline(data: Data) -> tuple[str, ...]:
    revenue, kept, fees, wasted = division(data)
    whole = _some(revenue + kept + fees + wasted)
    charged = f"{percent(fees / whole)} went into fees, " if fees else ""
    price, _, _ = paid_per_unit(data)
    return (
        *verdicts.profit(data, "surplus"),
        f"An item sold for {number(float(np.nanmean(price)))} on average."
        if np.isfinite(price).any()
        else "No item was sold.",
        f"Of the value of the items sold the seller received {percent(revenue / whole)}, the "
        f"bidders kept {percent(kept / whole)}, {charged}and {percent(wasted / whole)} was wasted "
        "on winners who did not value the item most.",
    )


def auction_details(data: Data) -> tuple[str, ...]:
    won = data.total("bought")
    shares = [f"{data.names[n]} won {percent(won[n] / _some(won.sum()))}" for n in data.named]
    return (f"Of {number(won.sum())} items{_each(data)}, {join_names(shares)}.",)


def auction_table(data: Data) -> SummaryTable:
    bids, worth = bids_of(data), data.listings["cost"]
    ratio = np.divide(bids, worth, out=np.full_like(bids, np.nan), where=worth > 0)
    won, money, pnl = data.total("bought"), data.total("cost"), data.by_market("pnl")
    paid = data.listings["bought"] * data.listings["bought_price"]
    rows = []
    for n in listed(data):
        mine = data.seller == n
        own = ratio[:, :, mine]
        units = data.listings["bought"][:, :, mine].sum()
        mean = paid[:, :, mine].sum() / units if units else float("nan")
        rows.append(
            (
                data.names[n],
                money_text(pnl[:, n]),
                verdicts.deviation(pnl[:, n]),
                number(won[n]),
                percent(won[n] / _some(won.sum())),
                number(money[n]),
                number(mean),
                percent(float(np.nanmean(own)) if np.isfinite(own).any() else float("nan")),
                number(data.total("refused")[n]),
            )
        )
    head = (
        "bidder",
        "surplus",
        "sd of surplus",
        "items won",
        "share of items",
        "paid",
        "mean price paid",
        "bid over value",
        "bids refused",
    )
    note = f"Sums over all ticks{_per_market(data)}"
    note += ". sd: standard deviation over markets." if data.R > 1 else "."
    return SummaryTable(head, tuple(rows), note + verdicts.interval_note(data))


# --- all kinds ------------------------------------------------------------------------------------

Words = Callable[[Data], tuple[str, ...]]
KINDS: dict[str, tuple[Words, Words, Callable[[Data], SummaryTable], tuple[str, ...]]] = {
    "posted": (
        posted_headline,
        posted_details,
        posted_table,
        ("participant", "PnL", "share of units", "price over cost", "units lost", "quotes refused"),
    ),
    "dealers": (
        dealers_headline,
        dealers_details,
        dealers_table,
        ("maker", "policy", "PnL", "sd of PnL", "rms inventory", "mean spread"),
    ),
    "auction": (
        auction_headline,
        auction_details,
        auction_table,
        ("bidder", "surplus", "share of items", "mean price paid", "bid over value"),
    ),
    "chain": (
        chain_headline,
        chain_details,
        lambda data: SummaryTable(*chain_table(data)),
        ("participant", "PnL", "mean price paid", "mean price got", "mean stock", "units lost"),
    ),
}
"""By how participants quote: headline, details, table, and its columns on a terminal."""


def _some(total: float) -> float:
    """A total to divide by: of nothing, the shares are 0."""
    return max(float(total), 1e-300)


def _per_market(data: Data) -> str:
    if data.run.facts["markets"] < 2:
        return ""
    return ", per market (mean over all markets); refused: in all markets together"


def _each(data: Data) -> str:
    """What sums that are means over markets are per."""
    return " a market" if data.run.facts["markets"] > 1 else ""


def _columns(table: SummaryTable, wanted: Sequence[str], width: int) -> list[str]:
    """The wanted columns as lines of text, as many as fit; a blank line before them."""
    if not table.rows or not wanted:
        return []
    chosen: list[list[str]] = []
    for name in wanted:
        at = table.head.index(name) if name in table.head else None
        if at is None:
            continue
        cells = [name, *(row[at] for row in table.rows[:MOST_ROWS])]
        wide = max(map(len, cells))
        if sum(len(column[0]) + 2 for column in chosen) + wide > width:
            break
        chosen.append([f"{c:<{wide}}" if not chosen else f"{c:>{wide}}" for c in cells])
    lines = ["  ".join(cells).rstrip() for cells in zip(*chosen, strict=True)]
    more = len(table.rows) - MOST_ROWS
    return ["", *lines, *([f"and {more} more, in the report"] if more > 0 else [])]
