"""Who sees what: the own book, the public tape of quotes, the reference price, and no more.

True demand is nobody's to observe: it stands only in the step's info.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mos_agents.market.kernels import kernel
from mos_agents.market.random import Shocks
from mos_agents.market.types import Array, Arrivals, Executions, InputError, IntArray, State

if TYPE_CHECKING:
    from mos_agents.market.tick import Market


class ObservationField(NamedTuple):
    """A named run of numbers in a participant's observation."""

    name: str
    meaning: str
    unit: str
    low: float
    high: float
    source: int  # row of SOURCES
    index: IntArray  # which listings, instruments, participants
    labels: tuple[str, ...]

    @property
    def size(self) -> int:
        return int(self.index.size)


# Where a number comes from, by the code in `gather`.
(ASK, BID, SOLD, BOUGHT, EXPOSURE, INVENTORY, COST, REFERENCE, CASH, CLOCK, TAPE_ASK, TAPE_BID,
 TAPE_OPEN, SIZE) = range(14)  # fmt: skip


@dataclass(frozen=True)
class Book:
    """Own book and public tape.

    tape_delay: ticks by which rivals' quotes lag behind the last ones.
    tape_noise: relative error of the rivals' prices seen, drawn anew for each observer and tick.
    show_rivals: False hides the tape altogether.
    show_cost: False hides the own unit cost (or private worth).
    """

    tape_delay: int = 0
    tape_noise: float = 0.0
    show_rivals: bool = True
    show_cost: bool = True

    def __post_init__(self) -> None:
        if self.tape_delay < 0 or self.tape_delay != int(self.tape_delay):
            raise InputError(f"tape_delay={self.tape_delay!r} must be a whole number >= 0")
        if not 0.0 <= self.tape_noise < np.inf:
            raise InputError(f"tape_noise={self.tape_noise!r} must be >= 0")

    @property
    def delay(self) -> int:
        return int(self.tape_delay)

    def fields(self, market: Market, n: int) -> tuple[ObservationField, ...]:
        layout, inf = market.layout, np.inf
        own = np.arange(layout.first[n], layout.first[n + 1])
        mine = tuple(layout.instruments[k] for k in layout.instrument[own])
        asks, bids = market.asks, market.bids
        found: list[ObservationField] = []

        def add(name: str, meaning: str, unit: str, low: float, high: float, source: int,
                index: IntArray, labels: tuple[str, ...]) -> None:  # fmt: skip
            found.append(ObservationField(name, meaning, unit, low, high, source, index, labels))

        money = "money per unit"
        lowest = -inf if bids else 0.0  # quotes around a mid price may fall below 0 with it
        if asks:
            add("own_ask", "own standing ask", money, lowest, inf, ASK, own, mine)
            add("own_sold", "own units sold, last tick", "units", 0, inf, SOLD, own, mine)
        if bids:
            add("own_bid", "own standing bid", money, -inf, inf, BID, own, mine)
            add("own_bought", "own units bought, last tick", "units", 0, inf, BOUGHT, own, mine)
        add("exposure", "looks at (or orders for) the instrument, last tick", "looks", 0, inf,
            EXPOSURE, layout.group[own], mine)  # fmt: skip
        add("inventory", "own inventory", "units", -inf, inf, INVENTORY, own, mine)
        add("cash", "own cash", "money", -inf, inf, CASH, np.array([n]), ("",))
        if self.show_cost:
            add("cost", "own unit cost (a bidder's worth of the item)", money, 0, inf, COST, own,
                mine)  # fmt: skip
        add("reference", "reference or mid price", money, -inf, inf, REFERENCE, own, mine)
        if self.show_rivals:
            rivals = np.array(
                [i for i in range(layout.L) if layout.seller[i] != n
                 and (layout.choice == "across" or layout.instrument[i] in layout.instrument[own])],
                dtype=np.int64,
            )  # fmt: skip
            names = tuple(
                f"{layout.participants[layout.seller[i]]}.{layout.instruments[layout.instrument[i]]}"
                for i in rivals
            )
            if rivals.size and asks:
                add(
                    "rival_ask",
                    "rivals' asks on the tape",
                    money,
                    lowest,
                    inf,
                    TAPE_ASK,
                    rivals,
                    names,
                )
            if rivals.size and bids and not market.sealed:
                add("rival_bid", "rivals' bids on the tape", money, -inf, inf, TAPE_BID, rivals,
                    names)  # fmt: skip
            if rivals.size and not market.sealed:
                add("rival_open", "1 if the rival quotes (mask)", "0 or 1", 0, 1, TAPE_OPEN,
                    rivals, names)  # fmt: skip
        add("clock", "share of the horizon that has passed", "1", 0, 1, CLOCK, np.array([0]), ("",))
        return tuple(found)

    def observe(
        self, market: Market, state: State, arrivals: Arrivals, executions: Executions,
        shocks: Shocks,
    ) -> Array:  # fmt: skip
        source, index, runs = market.observation_plan
        quotes, positions = state.quotes, state.positions
        seen: Array = gather(
            source, index, runs, quotes.ask, quotes.bid, executions.sold, executions.bought,
            arrivals.exposure, positions.inventory, state.cost, state.reference, market.premium,
            market.layout.instrument, positions.cash, min(state.tick / market.horizon, 1.0),
            quotes.ask_size, quotes.bid_size, state.tape,
        )  # fmt: skip
        if self.tape_noise > 0.0:
            noisy = np.flatnonzero((source == TAPE_ASK) | (source == TAPE_BID))
            if noisy.size:
                errors = shocks.normals("tape" if state.tick else "first tape", noisy.size)
                seen[:, noisy] *= np.exp(self.tape_noise * errors)
        return seen


@kernel
def _copy(out, table, index, begin, end, first, last):  # type: ignore[no-untyped-def]
    if end - begin == 1:  # a loop of one costs twice its content
        i = index[begin]
        for b in range(first, last):
            out[b, begin] = table[b, i]
        return
    for b in range(first, last):
        for c in range(begin, end):
            out[b, c] = table[b, index[c]]


@kernel
def _copy_tape(out, tape, row, index, begin, end, first, last):  # type: ignore[no-untyped-def]
    for b in range(first, last):
        for c in range(begin, end):
            out[b, c] = tape[b, tape.shape[1] - 1, row, index[c]]


@kernel
def gather(  # type: ignore[no-untyped-def]
    source, index, runs, ask, bid, sold, bought, exposure, inventory, cost, reference, premium,
    instrument, cash, clock, ask_size, bid_size, tape,
):  # fmt: skip
    """[B, sum of D_n] observations: column c takes entry index[c] of source[c].

    Columns runs[r] to runs[r + 1] have one source. The tape is [B, delay, 4, L]: asks, bids, ask
    sizes and bid sizes, newest first; with no delay the standing quotes are the tape. Markets go
    by in blocks small enough for the cache, and within a block source by source.
    """
    batch, lagged = ask.shape[0], tape.shape[1] > 0
    out = np.empty((batch, source.shape[0]))
    for first in range(0, batch, 32):
        last = min(first + 32, batch)
        for r in range(runs.shape[0] - 1):
            begin, end = runs[r], runs[r + 1]
            s = source[begin]
            if s == 0 or (s == 10 and not lagged):
                _copy(out, ask, index, begin, end, first, last)
            elif s == 1 or (s == 11 and not lagged):
                _copy(out, bid, index, begin, end, first, last)
            elif s == 2:
                _copy(out, sold, index, begin, end, first, last)
            elif s == 3:
                _copy(out, bought, index, begin, end, first, last)
            elif s == 4:
                _copy(out, exposure, index, begin, end, first, last)
            elif s == 5:
                _copy(out, inventory, index, begin, end, first, last)
            elif s == 6:
                _copy(out, cost, index, begin, end, first, last)
            elif s == 7:
                for b in range(first, last):
                    for c in range(begin, end):
                        i = index[c]
                        out[b, c] = reference[b, instrument[i]] * premium[i]
            elif s == 8:
                _copy(out, cash, index, begin, end, first, last)
            elif s == 9:
                for b in range(first, last):
                    out[b, begin:end] = clock
            elif s == 10:
                _copy_tape(out, tape, 0, index, begin, end, first, last)
            elif s == 11:
                _copy_tape(out, tape, 1, index, begin, end, first, last)
            else:
                for b in range(first, last):
                    for c in range(begin, end):
                        i = index[c]
                        if lagged:
                            size = tape[b, -1, 2, i] + tape[b, -1, 3, i]
                        else:
                            size = ask_size[b, i] + bid_size[b, i]
                        out[b, c] = 1.0 if size > 0.0 else 0.0
    return out
