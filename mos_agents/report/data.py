"""A run as arrays for drawing: recorded ticks T, recorded markets R, listings L, participants N."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import yaml

from mos_agents.market.types import Array, IntArray
from mos_agents.runs.reading import Run

CELLS = 1_000_000
"""Rows of listings that a report looks at; of a longer run, every n-th recorded tick."""

LISTINGS = (
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "sold",
    "sold_price",
    "bought",
    "bought_price",
    "lost",
    "inventory",
    "cost",
    "reference",
    "shown",
)
PARTICIPANTS = (
    "pnl",
    "reward",
    "spread_capture",
    "inventory_pnl",
    "holding_cost",
    "position_cost",
    "fees",
)
MOST_NAMED = 6
"""Participants with a colour of their own; the others share a grey."""


@dataclass(frozen=True, eq=False)
class Data:
    """The tables of a run as arrays, from which a report's charts are drawn.

    T are the recorded ticks, R the recorded markets, L the listings, N the participants.

    Parameters
    ----------
    run : Run
        The run.
    ticks : array
        [T] the recorded ticks.
    listings : mapping
        [T, R, L] the columns of the table of listings, by name.
    participants : mapping
        [T, R, N] the columns of the table of participants, by name.
    means : mapping
        [every tick, N] means over all markets, by name.
    names : tuple of str
        [N] the participants' names.
    instruments : tuple of str
        [K] the instruments' names.
    seller : array
        [L] the number of each listing's participant.
    instrument : array
        [L] the number of each listing's instrument.
    refusals : mapping
        Counts of refused quotes in the recorded ticks, by participant and reason.
    """

    run: Run
    ticks: IntArray
    listings: Mapping[str, Array]
    participants: Mapping[str, Array]
    means: Mapping[str, Array]
    names: tuple[str, ...]
    instruments: tuple[str, ...]
    seller: IntArray
    instrument: IntArray
    refusals: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, run: Run) -> Data:
        """Read the run; RunError where any part of it is damaged."""
        market = run.facts["market"]
        names, instruments = tuple(market["participants"]), tuple(market["instruments"])
        seller, instrument = _listings_of(run, names, instruments)
        rows = max(run.ticks // run.facts["every"], 1) * run.facts["recorded_markets"]
        skip = max(1, -(-rows * max(len(seller), 1) // CELLS)) * run.facts["every"]
        ticks, listings = _columns(run, "listings", LISTINGS, len(seller), skip)
        _, participants = _columns(run, "participants", PARTICIPANTS, len(names), skip)
        return cls(
            run,
            ticks,
            listings,
            participants,
            _means(run, len(names)),
            names,
            instruments,
            seller,
            instrument,
            _refusals(run),
        )

    @property
    def kind(self) -> str:
        """How participants quote: "posted", "dealers" or "auction"; or a "chain" of venues."""
        if self.run.facts["market"]["choice"] == "venues":
            return "chain"
        actions = self.run.facts["market"]["actions"]
        return "dealers" if "spread" in actions else "auction" if "bid" in actions else "posted"

    @property
    def R(self) -> int:
        """R, the number of markets whose rows are kept."""
        return int(self.listings["ask"].shape[1])

    @cached_property
    def held(self) -> Array:
        """[L] 1 where units are held in stock, 0 where they are made to order."""
        stocked = np.ones(len(self.seller))
        stocked[self.run.facts["market"].get("made_to_order", [])] = 0.0
        return stocked

    @cached_property
    def kinds(self) -> IntArray:
        """[L] what each row of `listings` is: 0 a quote, 1 an order, other numbers a rule."""
        kinds = self.run.facts["market"].get("kinds") or [0] * len(self.seller)
        return np.array(kinds, np.int64)

    @property
    def roles(self) -> tuple[str, ...]:
        """[N] the participants' roles."""
        return tuple(self.run.facts["market"]["roles"])

    @property
    def skip(self) -> int:
        """Recorded ticks of which one is looked at: more than 1 where a run is long."""
        if len(self.ticks) < 2:
            return 1
        return int(self.ticks[1] - self.ticks[0]) // int(self.run.facts["every"])

    @property
    def empty(self) -> bool:
        """Whether no tick was recorded."""
        return len(self.ticks) == 0

    @cached_property
    def units(self) -> Array:
        """[T, R, L] units sold and bought."""
        return self.listings["sold"] + self.listings["bought"]

    @cached_property
    def named(self) -> list[int]:
        """Participants with a colour, in roster order: all, or the largest by units traded."""
        if len(self.names) <= MOST_NAMED + 1:
            return list(range(len(self.names)))
        order = np.argsort(-self.means["units_traded"].sum(axis=0), kind="stable")
        return sorted(int(n) for n in order[:MOST_NAMED])

    @cached_property
    def groups(self) -> list[tuple[str, list[int]]]:
        """Who is drawn: the named participants, and the rest together."""
        rest = [n for n in range(len(self.names)) if n not in self.named]
        groups = [(self.names[n], [n]) for n in self.named]
        return groups + ([(f"{len(rest)} others", rest)] if rest else [])

    def by_seller(self, values: Array) -> Array:
        """[T, R, N] sums over own listings of [T, R, L]."""
        out = np.zeros((*values.shape[:2], len(self.names)))
        for n in range(len(self.names)):
            out[:, :, n] = values[:, :, self.seller == n].sum(axis=2)
        return out

    def by_group(self, values: Array) -> Array:
        """[T, R, groups] sums over the members of [T, R, N]."""
        return np.stack([values[:, :, members].sum(axis=2) for _, members in self.groups], axis=2)

    def mean_by_seller(self, values: Array, weights: Array) -> Array:
        """[T, R, N] weighted means over own listings; NaN without weight."""
        top, bottom = (
            self.by_seller(np.where(weights > 0, values, 0) * weights),
            self.by_seller(weights),
        )
        return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)

    def by_market(self, column: str) -> Array:
        """[R, N] sums over all ticks of a column of `participants`, a row per recorded market.

        Of a run that records every n-th tick: n times the sum over those.
        """
        if column not in self._by_market:
            self._by_market[column] = _totals(self.run, column, self.names)
        return self._by_market[column]

    @cached_property
    def _by_market(self) -> dict[str, Array]:
        return {}

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """[N] each participant's kind of policy, by the scenario; empty where it does not say."""
        kinds = _policy_kinds(self.run.scenario, self.names)
        return tuple(kinds.get(name, "") for name in self.names)

    def total(self, column: str) -> Array:
        """[N] sum over all ticks of the mean over all markets."""
        return self.means[column].sum(axis=0)


def _listings_of(
    run: Run, names: tuple[str, ...], instruments: tuple[str, ...]
) -> tuple[IntArray, IntArray]:
    """Seller and instrument of every listing, from the first recorded tick."""
    for chunk in run.chunks("listings", ["tick", "market", "participant", "instrument"]):
        if chunk.height:
            first = chunk.filter(
                (pl.col("tick") == chunk["tick"][0]) & (pl.col("market") == chunk["market"][0])
            )
            where = {name: i for i, name in enumerate(names)}
            what = {name: i for i, name in enumerate(instruments)}
            return (
                np.array([where[name] for name in first["participant"]]),
                np.array([what[name] for name in first["instrument"]]),
            )
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _columns(
    run: Run, table: str, columns: tuple[str, ...], width: int, skip: int
) -> tuple[IntArray, dict[str, Array]]:
    """Ticks [T] and columns [T, R, width] of every `skip`-th tick."""
    kept = []
    for chunk in run.chunks(table, ["tick", *columns]):
        kept.append(chunk.filter(pl.col("tick") % skip == 0))
    frame = pl.concat(kept) if kept else pl.DataFrame({c: [] for c in ("tick", *columns)})
    block = run.facts["recorded_markets"] * width
    shape = (-1, run.facts["recorded_markets"], width)
    ticks = frame["tick"].to_numpy()[:: max(block, 1)].astype(np.int64)
    if not block:
        return ticks, {c: np.zeros((0, 1, 0)) for c in columns}
    return ticks, {c: frame[c].to_numpy().astype(float).reshape(shape) for c in columns}


def _totals(run: Run, column: str, names: tuple[str, ...]) -> Array:
    total = np.zeros((run.facts["recorded_markets"], len(names)))
    where = {name: n for n, name in enumerate(names)}
    for chunk in run.chunks("participants", ["market", "participant", column]):
        sums = chunk.group_by("market", "participant").agg(pl.col(column).sum())
        for market, name, value in sums.iter_rows():
            total[market, where[name]] += value
    return total * run.facts["every"]


def _policy_kinds(scenario: str, names: tuple[str, ...]) -> dict[str, str]:
    """Kinds of policy by participant, from a scenario with every default written out."""
    found: dict[str, str] = {}
    try:
        groups = yaml.safe_load(scenario)["participants"]
        members = {}
        for group in groups:
            name, count = str(group["name"]), group["count"]
            members[name] = [name] if count is None else [f"{name}_{i + 1}" for i in range(count)]
        known = {one for name, own in members.items() if name != "*" for one in own}
        members["*"] = [name for name in names if name not in known]
        for group in groups:
            policy = group["policy"]
            dealt = policy if isinstance(policy, list) else [policy]
            for i, name in enumerate(members[str(group["name"])]):
                found[name] = str(dealt[i % len(dealt)]["kind"])
    except (yaml.YAMLError, KeyError, TypeError, IndexError):
        return {}  # a market made in Python has no scenario
    return found


def _means(run: Run, width: int) -> dict[str, Array]:
    table = run.aggregates()
    return {
        c: table[c].to_numpy().astype(float).reshape(-1, width)
        for c in table.columns
        if c not in ("tick", "participant")
    }


def _refusals(run: Run) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for chunk in run.chunks("participants", ["participant", "refused"]):
        refused = chunk.filter(pl.col("refused") != "").group_by("participant", "refused").len()
        for name, reason, count in refused.iter_rows():
            reasons = found.setdefault(name, {})
            reasons[reason] = reasons.get(reason, 0) + count
    return found
