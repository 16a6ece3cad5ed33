"""What of a run is kept: all of a small one; of a large one the first markets, every n-th tick."""

from __future__ import annotations

from dataclasses import dataclass

from mos_agents.market.checks import MOST_WHOLE, echo
from mos_agents.market.types import InputError, Layout

ROWS = 2_000_000
"""Listings rows that a run keeps by default: some 30 MB and a few seconds of writing."""

FEW_MARKETS = 20
"""Markets kept of a run that is too large to keep whole: enough for a 5-95% band."""

LISTING_BYTES, PARTICIPANT_BYTES, AGGREGATE_BYTES = 14, 60, 100
"""Compressed bytes a row, about: 4 to 26, 29 to 85 and 75 to 108 over the presets."""


@dataclass(frozen=True)
class RecordingPlan:
    """Which markets and ticks are recorded. Aggregates over all markets are recorded at every tick.

    Parameters
    ----------
    markets : int
        How many markets are recorded, from the first.
    every : int
        One tick in `every` is recorded.
    ticks : int
        Ticks of the run.
    listings : int
        Listings of the market.
    participants : int
        Participants of the market.
    """

    markets: int
    every: int
    ticks: int
    listings: int
    participants: int

    @classmethod
    def of(
        cls,
        layout: Layout,
        ticks: int,
        markets: int,
        record_markets: int | None = None,
        every: int | None = None,
    ) -> RecordingPlan:
        """The plan for a run; what is not given is chosen to keep about ROWS rows of listings."""
        for name, value in (("record_markets", record_markets), ("every", every)):
            if value is not None and not 1 <= value < MOST_WHOLE:
                raise InputError(f"{name}={echo(value)} must be in [1, {MOST_WHOLE:,})")
        kept = min(markets, record_markets) if record_markets else markets
        if record_markets is None and ticks * kept * layout.L > ROWS:
            kept = min(kept, max(FEW_MARKETS, ROWS // (ticks * layout.L)))
        if every is None:
            every = -(-ticks * kept * layout.L // ROWS) or 1
        # A run has the first tick at least; a longer stride would say the same in other words.
        return cls(kept, min(every, ticks), ticks, layout.L, layout.N)

    @property
    def kept_ticks(self) -> int:
        """Ticks whose listings are kept."""
        return -(-self.ticks // self.every)

    @property
    def rows(self) -> int:
        """Rows of the listings table."""
        return self.kept_ticks * self.markets * self.listings

    @property
    def bytes(self) -> int:
        """About how much the run will take on the disk."""
        rows = self.kept_ticks * self.markets * self.participants
        means = self.ticks * self.participants
        overhead = 20_000
        return (
            self.rows * LISTING_BYTES
            + rows * PARTICIPANT_BYTES
            + means * AGGREGATE_BYTES
            + overhead
        )

    def describe(self, markets: int) -> str:
        """One line for the person who starts the run."""
        which = "all markets" if self.markets == markets else f"the first {self.markets:,} markets"
        when = "every tick" if self.every == 1 else f"every {ordinal(self.every)} tick"
        if markets == 1:
            which = "the market"
        return f"{which}, {when}: {self.rows:,} rows of quotes and trades, about {size(self.bytes)}"


def size(count: float) -> str:
    """Bytes for people: 3.4 MB."""
    units = ["bytes", "kB", "MB", "GB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000.0
        units.pop(0)
    digits = 0 if count >= 10 or units[0] == "bytes" else 1
    return f"{count:.{digits}f} {units[0]}"


def ordinal(number: int) -> str:
    """2nd, 3rd, 11th, 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number:,}{ending or 'th'}"
