"""The specification of a participant: its listings, its limits, and what it observes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.fields import ObservationField
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray, Layout, QuoteRefused


@short_repr
class SpecPart(NamedTuple):
    """A participant's quotes or orders in one venue, as a participant of their own."""

    name: str  # the venue's, or that and ".orders"
    spec: ParticipantSpec
    columns: IntArray  # of the own observation, in the order of the part's fields
    slots: slice  # of the own slots


@short_repr
@dataclass(frozen=True)
class ParticipantSpec:
    """What a participant knows before it plays: its listings, its limits, its observations.

    Parameters
    ----------
    low, high : array
        [L_n, A] limits of its actions.
    tick_sizes : array
        [L_n] steps of the price grid, 0 where prices are continuous.
    opening_cost : array
        [L_n] own unit costs before the first tick, NaN where they are not observed.
    sigma : array
        [L_n] volatility of the price of what each listing trades, per square root of time; in
        shares of the price where `sigma_relative` [L_n], otherwise in money. A replayed price
        has the volatility of its rows, see `Replay`; 0 where no variance grows with time
        (constant, redrawn, moved by a shock).
    turn : tuple of 2 int
        (period, offset), the participant moves at the ticks t with (t - offset) % period == 0;
        (0, 0) where moves are random.
    order_decay : float
        kappa of a dealer market, NaN elsewhere.
    order_rate : float
        orders per unit of time and side of a dealer market, NaN elsewhere.
    reserve : float
        least bid that wins in an auction, in money; 0 elsewhere.
    parts : tuple of SpecPart
        one for the quotes and one for the orders in each venue, where there are several.
    """

    name: str
    role: str
    layout: Layout
    number: int
    listings: slice
    features: tuple[str, ...]
    low: Array
    high: Array
    opening_price: Array
    opening_cost: Array
    tick_sizes: Array
    fields: tuple[ObservationField, ...]
    columns: slice
    dt: float
    horizon: int
    sigma: Array
    sigma_relative: NDArray[np.bool_]
    order_decay: float
    order_rate: float
    reserve: float
    turn: tuple[int, int]
    parts: tuple[SpecPart, ...] = ()

    @cached_property
    def where(self) -> dict[str, slice]:
        """Columns of each field within the own observation."""
        found, begin = {}, 0
        for one in self.fields:
            found[one.name] = slice(begin, begin + one.size)
            begin += one.size
        return found

    @cached_property
    def rivals(self) -> IntArray:
        """[L_n, r] entries of `rival_ask` that compete with each own listing; -1 fills up rows.

        Those are the offers of the same instrument; where nobody else offers it, all public offers.
        """
        shown = next((f.index for f in self.fields if f.name.startswith("rival_")), None)
        if shown is None:
            return np.empty((self.low.shape[0], 0), np.int64)
        instrument = self.layout.instrument
        rows = [np.flatnonzero(instrument[shown] == k) for k in instrument[self.listings]]
        rows = [row if row.size else np.arange(shown.size) for row in rows]
        table = np.full((len(rows), max(row.size for row in rows)), -1)
        for own, row in enumerate(rows):
            table[own, : row.size] = row
        return table

    @cached_property
    def rival_firms(self) -> list[tuple[int, IntArray]]:
        """(participant, its entries of `rival_ask`), in roster order; none where none are seen."""
        shown = next((f.index for f in self.fields if f.name == "rival_ask"), None)
        if shown is None:
            return []
        sellers = self.layout.seller[shown]
        return [(int(n), np.flatnonzero(sellers == n)) for n in np.unique(sellers)]

    @cached_property
    def rival_offers(self) -> list[tuple[int, IntArray]]:
        """(participant, its entry [L_n] of `rival_ask` for each own listing); see `rivals`."""
        shown = next((f.index for f in self.fields if f.name == "rival_ask"), None)
        if shown is None:
            return []
        sellers, table = self.layout.seller[shown], self.rivals
        return [(int(sellers[table[0, r]]), table[:, r]) for r in range(table.shape[1])]

    @property
    def size(self) -> int:
        """D_n, the length of the own observation."""
        return self.columns.stop - self.columns.start

    @property
    def action_shape(self) -> tuple[int, int]:
        """(L_n, A)."""
        return self.low.shape[0], self.low.shape[1]

    def own(self, observation: Array) -> Array:
        """[B, D_n] own part of everybody's observations [B, sum of D_n]."""
        return observation[:, self.columns]

    def read(self, own_observation: Array, name: str) -> Array:
        """[B, size] one field of the own observation."""
        if name not in self.where:
            raise InputError(f"field {name!r} is not observed here; fields are {list(self.where)}")
        return own_observation[:, self.where[name]]

    def checked(self, action: Any, batch: int) -> Array:
        """The action as an array [B, L_n, A], or QuoteRefused in one line."""
        try:
            array = np.asarray(action)
        except Exception:  # whatever a stranger's object raises when it is read
            raise QuoteRefused(
                f"{self.name}: action is no array; needs {self._shape(batch)}"
            ) from None
        if array.dtype.kind not in "fiu":
            raise QuoteRefused(
                f"{self.name}: action of type {array.dtype} must be numbers of shape "
                f"{self._shape(batch)}"
            )
        wanted = (batch, *self.action_shape)
        if array.shape != wanted:
            if array.shape in ((batch, self.action_shape[0]), self.action_shape) and (
                array.size == np.prod(wanted)
            ):
                array = array.reshape(wanted)
            else:
                raise QuoteRefused(
                    f"{self.name}: action of shape {array.shape} must be {self._shape(batch)}"
                )
        return array.astype(np.float64, copy=False)

    def _shape(self, batch: int) -> str:
        listings, features = self.action_shape
        return f"({batch}, {listings}, {features}) = (markets, listings, {'/'.join(self.features)})"
