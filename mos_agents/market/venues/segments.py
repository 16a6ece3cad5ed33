"""Parts of a tick between participants' orders: who comes from outside before each order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mos_agents.market.counts import add_orders, one_by_one
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, Arrivals, IntArray


@short_repr
class Segment(NamedTuple):
    """The arrivals between two orders, and their random numbers."""

    arrivals: Arrivals
    draws: SegmentDraws


@short_repr
class SegmentDraws(NamedTuple):
    """Random numbers of a part of the arrivals: theirs of the whole tick."""

    draws: Draws
    number: int
    whole: IntArray  # [B + 1] where each market's arrivals of the tick start
    first: IntArray  # [B] the first of this part, counted from there
    drawn: dict[str, Array]  # numbers of single arrivals, shared by all parts of the tick

    def uniforms(self, key: str, n: int) -> Array:
        return self.draws.uniforms(self._own(key), n)

    def normals(self, key: str, n: int) -> Array:
        return self.draws.normals(self._own(key), n)

    def block_uniforms(self, key: str, n: int) -> Array:
        return self.draws.block_uniforms(self._own(key), n)

    def ragged(self, key: str, start: IntArray) -> Array:
        if key not in self.drawn:
            self.drawn[key] = self.draws.ragged(key, self.whole)
        numbers = self.drawn[key]
        return numbers[_positions(self.whole[:-1] + self.first, np.diff(start))]

    def _own(self, key: str) -> str:
        return f"{key} {self.number}"


def segments(
    arrivals: Arrivals, times: Array, draws: Draws, trades_mass: bool
) -> Iterator[Segment]:
    """Split the arrivals of a tick at the times of orders.

    Single arrivals are spread over the tick in their order; a mass arrives at a steady rate.

    Parameters
    ----------
    arrivals : Arrivals
        Those of the whole tick.
    times : array [B, orders]
        When the orders come, as shares of the tick, in ascending order.
    draws : Draws
        The random numbers of the tick.
    trades_mass : bool
        Whether the execution trades the mass, and no single arrivals.

    Yields
    ------
    Segment
        One more than there are orders.
    """
    if not trades_mass and not arrivals.group.size:
        arrivals = one_by_one(arrivals, draws)
    batch, n_orders = times.shape
    counts = np.diff(arrivals.start)
    ends = np.column_stack([np.floor(times * (counts + 1)[:, None]), counts]).astype(np.int64)
    marks = np.column_stack([times, np.ones(batch)])
    first, since = np.zeros(batch, np.int64), np.zeros(batch)
    drawn: dict[str, Array] = {}
    for s in range(n_orders + 1):
        chosen = _positions(arrivals.start[:-1] + first, ends[:, s] - first)
        start = np.concatenate(([0], np.cumsum(ends[:, s] - first)))
        group, side = arrivals.group[chosen], arrivals.side[chosen]
        size, intent = arrivals.size[chosen], arrivals.intent[chosen]
        share = (marks[:, s] - since)[:, None]
        mass = arrivals.mass * share[:, :, None]
        if not trades_mass:
            mass = np.zeros(arrivals.mass.shape)
            market_of: IntArray = np.repeat(np.arange(batch), np.diff(start))
            add_orders(mass, market_of, group, side, size)
        returning = arrivals.returning if s == 0 else None  # they come at the start of the tick
        exposure = arrivals.exposure * share
        part = Arrivals(mass, exposure, start, group, side, size, intent, returning)
        yield Segment(part, SegmentDraws(draws, s, arrivals.start, first, drawn))
        first, since = ends[:, s], marks[:, s]


def _positions(first: IntArray, counts: IntArray) -> IntArray:
    """first[0], first[0] + 1, ... (counts[0] of them), then those of the next."""
    begin = np.concatenate(([0], np.cumsum(counts)[:-1]))
    places: IntArray = np.repeat(first - begin, counts) + np.arange(int(counts.sum()))
    return places
