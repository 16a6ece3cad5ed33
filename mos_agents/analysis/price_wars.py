"""When did a price war break out, how deep and how long was it, and who cut first?

A price war is a fall of the market's mean price, well below where it stood, in which several firms
take part at once; it is over when the price is back. That is a description, not a verdict: whether
a fall was a punishment (Green and Porter 1984, "Noncooperative Collusion under Imperfect Price
Information", Econometrica 52(1); Porter 1983, "A Study of Cartel Stability: The Joint Executive
Committee, 1880-1886", Bell Journal 14(2)), a learner's exploration or chance, the description
cannot tell. Prices drawn at random are full of such episodes: `screens.PriceWar` asks in addition
whether firms fall together more than they would by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.paths import finite, paths
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.frames import Framed
from mos_agents.market.kernels import kernel
from mos_agents.market.lazy import LazyModule
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

SLACK = 1e-9
"""Thresholds give way by this share of p_M - p_N: a fall of exactly `depth` counts, however the
money is scaled or the firms are ordered in the sum."""

BLOCK = 1 << 22  # numbers copied session by session at once


@dataclass(frozen=True)
class WarDefinition:
    """What counts as a price war. Money thresholds are shares of p_M - p_N, averaged over firms.

    An episode starts at the first tick t at which (a) at least `firms` firms have cut within the
    ticks t - window + 1 to t and (b) the mean price is below its pre-shock mean by `depth` or more.
    It ends at the first of `recovery` ticks in a row at which the mean price is within `band` of
    the pre-shock mean.

    Parameters
    ----------
    depth : float
        Fall of the mean price that starts a war, > 0.
    band : float
        Distance from the pre-shock mean that counts as back, < depth.
    firms : int
        Firms that must have cut.
    window : int
        Ticks within which they must have cut.
    recovery : int
        Ticks in a row at which the price must be back.
    level : int
        Ticks of the pre-shock mean: the trailing mean of the mean price up to t - window, just
        before the cuts could begin. A decline slower than about half of `level` moves the mean
        along and is no war. After a war only ticks from its end on are used, `recovery` of them at
        least; the first war needs `level` ticks before it.
    min_cut : float
        A cut is a fall of one firm's price by more than this share of it from one tick to the next.
        In noisy markets 0 makes every firm a cutter.
    above : bool
        Whether prices above the band count as recovered; if False, "within" is meant on both sides.
    longest : int, optional
        An episode of so many ticks that is not about to end is closed as settled: the market has a
        new level, from which the next war is measured. None lets it go on for ever.
    """

    depth: float = 0.25
    band: float = 0.1
    firms: int = 2
    window: int = 3
    recovery: int = 3
    level: int = 10
    min_cut: float = 0.01
    above: bool = True
    longest: int | None = None

    def __post_init__(self) -> None:
        check_real("depth", self.depth, 0.0, above=True)
        check_real("band", self.band, 0.0)
        if not self.band < self.depth:
            raise InputError(
                f"band={self.band!r} must be < depth={self.depth!r}: else a war ends at once"
            )
        for name in ("firms", "window", "recovery", "level"):
            check_whole(name, getattr(self, name), 1)
        check_real("min_cut", self.min_cut, 0.0, 1.0)
        if not isinstance(self.above, bool):
            raise InputError(f"above={self.above!r} must be True or False")
        if self.longest is not None:
            check_whole("longest", self.longest, self.recovery)


class WarEpisode(NamedTuple):
    """One price war. Ticks count from 0.

    Parameters
    ----------
    session : int
        The session.
    onset : int
        The tick at which the definition is first met.
    end : int or None
        The first tick back; None if the record ends before.
    duration : int
        Ticks from onset to end, or seen so far.
    depth : float
        The largest fall below the level, in units of p_M - p_N.
    level : float
        The mean price before the war, in money.
    area, squares : float
        Sums over the war's ticks of the fall below the level and of its square, in units of p_M -
        p_N. area / duration is the average depth.
    first_cut : int
        The tick of the earliest cut among those that set the war off.
    first_cutters : tuple of int
        The firms that cut then; several if they tie.
    recovered : bool
        Whether the price came back to its level. With an end but not recovered it settled below.
    """

    session: int
    onset: int
    end: int | None
    duration: int
    depth: float
    level: float
    area: float
    squares: float
    first_cut: int
    first_cutters: tuple[int, ...]
    recovered: bool


@short_repr
@dataclass(frozen=True, eq=False)
class PriceWars(Framed):
    """All E price wars of S sessions, ordered by session and onset. Iterating gives a `WarEpisode`
    each.

    Parameters
    ----------
    session : array of int [E]
        The session.
    onset, end : array of int [E]
        First tick of the war, and first tick after it; -1 where the record ended first.
    duration : array of int [E]
        Ticks from onset to end, or seen so far.
    depth : array [E]
        The largest fall below the level, in units of p_M - p_N.
    level : array [E]
        The pre-shock mean price, in money.
    area, squares : array [E]
        Sums over the war's ticks of the fall and of its square, in units of p_M - p_N.
    first_cut : array of int [E]
        Tick of the earliest cut among those that set the war off.
    first_cutters : array of bool [E, N]
        Which firms cut then.
    recovered : array of bool [E]
        Whether the price came back to its level.
    at_risk : array of int [S]
        Ticks at which a war could have begun.
    ticks, sessions : int
        T and S.
    """

    row_name: ClassVar[str] = "episode"

    session: IntArray
    onset: IntArray
    end: IntArray
    duration: IntArray
    depth: Array
    level: Array
    area: Array
    squares: Array
    first_cut: IntArray
    first_cutters: IntArray
    recovered: IntArray
    at_risk: IntArray
    ticks: int
    sessions: int

    @property
    def censored(self) -> IntArray:
        """[E] bool: still under way when the record ended: it lasted longer than that."""
        return self.end < 0

    @property
    def counts(self) -> IntArray:
        """[S] episodes of each session."""
        return np.bincount(self.session, minlength=self.sessions)

    def to_polars(self) -> pl.DataFrame:
        """Return a row per episode.

        Returns
        -------
        polars.DataFrame
            Session, onset, end, duration and the other columns of the episodes, and for each firm
            whether it cut first.
        """
        columns = {
            name: getattr(self, name) for name in WarEpisode._fields if name != "first_cutters"
        }
        firms = range(self.first_cutters.shape[1])
        cut = {f"first_cutter_{i}": self.first_cutters[:, i] for i in firms}
        return pl.DataFrame({"episode": np.arange(len(self)), **columns, **cut})

    def __len__(self) -> int:
        return self.session.size

    def __iter__(self) -> Iterator[WarEpisode]:
        for e in range(len(self)):
            yield WarEpisode(
                int(self.session[e]),
                int(self.onset[e]),
                None if self.end[e] < 0 else int(self.end[e]),
                int(self.duration[e]),
                float(self.depth[e]),
                float(self.level[e]),
                float(self.area[e]),
                float(self.squares[e]),
                int(self.first_cut[e]),
                tuple(np.flatnonzero(self.first_cutters[e]).tolist()),
                bool(self.recovered[e]),
            )

    def under_way(self) -> IntArray:
        """Say at which ticks a war is on.

        Returns
        -------
        array of bool [T, S]
            For shading pictures, and for the share of time at war.
        """
        out = np.zeros((self.ticks, self.sessions), dtype=bool)
        for s, onset, length in zip(self.session, self.onset, self.duration, strict=True):
            out[onset : onset + length, s] = True
        return out


def episodes(
    prices: ArrayLike, p_n: ArrayLike, p_m: ArrayLike, definition: WarDefinition | None = None
) -> PriceWars:
    """Find the price wars in price paths.

    A war that is under way when the record begins is not seen. Where costs move the benchmarks,
    hand in prices less the tick's p_N: else a fall in costs that all firms pass on is counted as a
    war.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    p_n, p_m : float or array [N] or [S, N]
        Bertrand-Nash and joint-profit prices. Only p_M - p_N matters, as the yardstick.
    definition : WarDefinition, optional
        What counts as a price war.

    Returns
    -------
    PriceWars
        All wars.

    Raises
    ------
    InputError
        If the definition asks for more firms than there are, or prices are negative.
    """
    definition = definition or WarDefinition()
    price = paths(prices, "prices")
    ticks, sessions, firms = price.shape
    if definition.firms > firms:
        raise InputError(f"firms={definition.firms} must be at most {firms}, the firms in prices")
    if definition.min_cut > 0.0 and (price < 0.0).any():
        raise InputError(
            f"prices={price.min():g} must be >= 0 for min_cut={definition.min_cut:g}, which is a "
            "share of the price; with min_cut=0 any fall is a cut"
        )
    gap = price_gap(p_n, p_m, sessions, firms)
    d = definition
    step = max(1, BLOCK // (ticks * firms))
    whole_numbers, numbers, cutters = [], [], []
    at_risk = np.zeros(sessions, dtype=np.int64)
    capacity = 4 * step + 16
    for begin in range(0, sessions, step):
        rows = np.ascontiguousarray(np.swapaxes(price[:, begin : begin + step], 0, 1))
        while True:
            table = np.empty((capacity, 6), dtype=np.int64)
            values = np.empty((capacity, 4))
            first = np.zeros((capacity, firms), dtype=np.bool_)
            found = find_episodes(
                rows,
                gap[begin : begin + step],
                d.depth,
                d.band,
                d.firms,
                d.window,
                d.recovery,
                d.level,
                d.min_cut,
                d.above,
                d.longest or 0,
                table,
                values,
                first,
                at_risk[begin : begin + step],
            )
            if found <= capacity:
                break
            capacity = 2 * found  # more wars than rows for them: count was right, once more
        table[:found, 0] += begin
        whole_numbers.append(table[:found])
        numbers.append(values[:found])
        cutters.append(first[:found])
    table, values = np.concatenate(whole_numbers), np.concatenate(numbers)
    return PriceWars(
        session=table[:, 0],
        onset=table[:, 1],
        end=table[:, 2],
        duration=table[:, 3],
        depth=values[:, 0],
        level=values[:, 1],
        area=values[:, 2],
        squares=values[:, 3],
        first_cut=table[:, 4],
        first_cutters=np.concatenate(cutters),
        recovered=table[:, 5] == 1,
        at_risk=at_risk,
        ticks=ticks,
        sessions=sessions,
    )


def price_gap(p_n: ArrayLike, p_m: ArrayLike, sessions: int, firms: int) -> Array:
    """Return p_M - p_N of each session, averaged over firms.

    Parameters
    ----------
    p_n, p_m : float or array [N] or [S, N]
        Bertrand-Nash and joint-profit prices, in money per unit.
    sessions, firms : int
        S and N.

    Returns
    -------
    array [S]
        The gap, in money per unit.

    Raises
    ------
    InputError
        If a gap is not > 0.
    """
    try:
        low, high = (
            np.broadcast_to(finite(value, name), (sessions, firms))
            for value, name in ((p_n, "p_n"), (p_m, "p_m"))
        )
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"p_n, p_m have shapes {np.shape(p_n)}, {np.shape(p_m)}; they must be one number, "
            f"[firms] or [sessions, firms], here {firms} and {sessions}"
        ) from None
    gap = (high - low).mean(axis=1)
    if not (gap > 0.0).all():
        raise InputError(
            f"p_m - p_n = {gap.min():g} must be > 0: it is the yardstick of depth and recovery"
        )
    return gap


@kernel
def find_episodes(  # type: ignore[no-untyped-def]
    prices,
    gaps,
    depth,
    band,
    firms,
    window,
    recovery,
    level,
    min_cut,
    above,
    longest,
    table,
    values,
    first,
    at_risk,
):
    """Fill the tables with the episodes of [S, T, N] paths; returns how many there are.

    table: [E, 6] session, onset, end, duration, first cut, recovered. values: [E, 4]
    depth, level, area, squares. first: [E, N]. Episodes beyond E are counted and not written.
    """
    sessions, ticks, n = prices.shape
    mean = np.empty(ticks)
    last_cut = np.empty(n, dtype=np.int64)
    count = 0
    for s in range(sessions):
        slack = SLACK * gaps[s]
        for t in range(ticks):
            total = 0.0
            for i in range(n):
                total += prices[s, t, i]
            mean[t] = total / n
        last_cut[:] = -window - 1
        at_risk[s] = 0
        floor, need = 0, level  # where the pre-shock mean may begin; ticks that it needs
        at_war, onset, base, calm = False, 0, 0.0, 0
        for t in range(1, ticks):
            for i in range(n):
                if prices[s, t, i] < prices[s, t - 1, i] * (1.0 - min_cut):
                    last_cut[i] = t
            if not at_war:
                begin = max(floor, t - window - level + 1)
                length = t - window - begin + 1
                if length < need:
                    continue
                at_risk[s] += 1
                cutting = 0
                for i in range(n):
                    cutting += last_cut[i] > t - window
                if cutting < firms:
                    continue
                # Summed again each time: a running sum would make bits depend on the past.
                base = 0.0
                for u in range(begin, begin + length):
                    base += mean[u]
                base /= length
                if mean[t] > base - depth * gaps[s] + slack:
                    continue
                at_war, onset, calm = True, t, 0
                if count < table.shape[0]:
                    found = False
                    for u in range(max(1, t - window + 1), t + 1):
                        for i in range(n):
                            cut = prices[s, u, i] < prices[s, u - 1, i] * (1.0 - min_cut)
                            first[count, i] = cut
                            found |= cut
                        if found:
                            table[count, 4] = u
                            break
            else:
                near = mean[t] >= base - band * gaps[s] - slack
                near &= above or mean[t] <= base + band * gaps[s] + slack
                calm = calm + 1 if near else 0
                recovered = calm == recovery
                settled = longest > 0 and calm == 0 and t - onset >= longest
                if recovered or settled:
                    end = t - recovery + 1 if recovered else t
                    measure(
                        table,
                        values,
                        count,
                        s,
                        onset,
                        end,
                        end - onset,
                        recovered,
                        base,
                        gaps[s],
                        mean,
                    )
                    count += 1
                    floor, need = end, min(level, recovery) if recovered else level
                    at_war = False
        if at_war:
            measure(table, values, count, s, onset, -1, ticks - onset, False, base, gaps[s], mean)
            count += 1
    return count


@kernel
def measure(  # type: ignore[no-untyped-def]
    table, values, e, session, onset, end, duration, recovered, base, gap, mean
):
    """One episode into the tables of `find_episodes`, if there is room."""
    if e < table.shape[0]:
        table[e, 0], table[e, 1], table[e, 2] = session, onset, end
        table[e, 3], table[e, 5] = duration, recovered
        values[e, :] = 0.0
        values[e, 1] = base
        for t in range(onset, onset + duration):
            fall = (base - mean[t]) / gap
            values[e, 0] = max(values[e, 0], fall)
            values[e, 2] += fall
            values[e, 3] += fall * fall
