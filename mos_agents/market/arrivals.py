"""Who comes to the market: a fixed mass, a Poisson crowd, self-exciting order flow, or browsers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import pdtrik

from mos_agents.market.kernels import kernel
from mos_agents.market.random import Shocks, given, has_addresses, source, take
from mos_agents.market.types import Array, Arrivals, InputError, IntArray, Quotes, State

if TYPE_CHECKING:
    from mos_agents.market.tick import Market

# Every process also knows its mean, for benchmarks of theory: `mean_mass(market, scale)` is [G],
# the units that buyers want in a tick on average at demand scales [G].

_NONE = np.empty(0)
_NO_INDEX = np.empty(0, np.int64)


def _needs(name: str, value: float, low: float, high: float = np.inf) -> None:
    if not low <= value <= high or np.isnan(value):
        allowed = f">= {low:g}" if high == np.inf else f"in [{low:g}, {high:g}]"
        raise InputError(f"{name}={value!r} must be {allowed}")


@dataclass(frozen=True)
class FixedMass:
    """The same outside demand at every tick, per choice group: `buy` and `sell` units."""

    ahead: ClassVar[bool] = True

    buy: float = 1.0
    sell: float = 0.0

    def __post_init__(self) -> None:
        _needs("buy", self.buy, 0.0)
        _needs("sell", self.sell, 0.0)

    def arrive(
        self, market: Market, state: State, quotes: Quotes, shocks: Shocks
    ) -> tuple[Arrivals, Array]:
        mass, looks, start = fixed_mass(state.demand_scale, self.buy, self.sell)
        bulk = Arrivals(mass, looks, start, _NO_INDEX, _NO_INDEX, _NONE, _NONE)
        return bulk, state.excitation

    def mean_mass(self, market: Market, scale: Array) -> Array:
        return self.buy * scale


@dataclass(frozen=True)
class Poisson:
    """Independent arrivals at rates `buy` and `sell` per unit of time and choice group."""

    ahead: ClassVar[bool] = True

    buy: float = 1.0
    sell: float = 0.0

    def __post_init__(self) -> None:
        _needs("buy", self.buy, 0.0)
        _needs("sell", self.sell, 0.0)

    def arrive(
        self, market: Market, state: State, quotes: Quotes, shocks: Shocks
    ) -> tuple[Arrivals, Array]:
        scale = state.demand_scale
        uniforms = shocks.uniforms("arrivals", scale.shape[1] * 2)
        buy, sell = self.buy * market.dt, self.sell * market.dt
        mass, looks, start, large = poisson_mass(scale, uniforms, buy, sell)
        if large:
            rates = scale[:, :, None] * np.array([buy, sell])
            mass = poisson_counts(rates, uniforms.reshape(rates.shape))
            looks = mass.sum(-1)
        bulk = Arrivals(mass, looks, start, _NO_INDEX, _NO_INDEX, _NONE, _NONE)
        return bulk, state.excitation

    def mean_mass(self, market: Market, scale: Array) -> Array:
        return self.buy * market.dt * scale


@dataclass(frozen=True)
class Hawkes:
    """Order flow that excites itself: intensity mu + alpha sum exp(-beta (t - t_i)), per side.

    Both sides of every instrument run their own process; sizes are exponential with mean
    `mean_size`, rounded up to whole lots of `lot` (0 leaves them as drawn). Simulated exactly, not
    on a grid, by the two-exponential decomposition of Dassios and Zhao (2013). The stationary rate
    is mu / (1 - alpha / beta); the market opens in it.
    """

    ahead: ClassVar[bool] = True

    mu: float = 20.0
    alpha: float = 0.5
    beta: float = 1.0
    mean_size: float = 10.0
    lot: float = 1.0

    def __post_init__(self) -> None:
        _needs("mu", self.mu, 0.0)
        _needs("alpha", self.alpha, 0.0)
        _needs("lot", self.lot, 0.0)
        if not 0.0 < self.beta < np.inf or self.alpha >= self.beta:
            raise InputError(
                f"alpha={self.alpha!r}, beta={self.beta!r} must have 0 <= alpha < beta: "
                "with alpha >= beta the order flow explodes"
            )
        if not 0.0 < self.mean_size < np.inf:
            raise InputError(f"mean_size={self.mean_size!r} must be > 0 units")

    @property
    def opening_excitation(self) -> float:
        """Stationary mean of the intensity above mu."""
        return self.mu / (1.0 - self.alpha / self.beta) - self.mu

    def fits(self, market: Market) -> None:
        events = market.dt * self.mu / (1.0 - self.alpha / self.beta) * market.layout.G * 2
        if events > 1e6:
            raise InputError(
                f"mu={self.mu!r} makes {events:.3g} orders a tick and market, at most 1e6 are "
                "played: lower mu or dt, or draw alpha away from beta"
            )

    def arrive(
        self, market: Market, state: State, quotes: Quotes, shocks: Shocks
    ) -> tuple[Arrivals, Array]:
        batch, groups = state.demand_scale.shape
        mean = market.dt * (self.mu + self.opening_excitation) * groups * 2
        page = int(2 * (mean + 6.0 * np.sqrt(mean)) + 4 * groups) + 8
        while True:  # a longer page repeats the shorter one, so the luck does not depend on it
            drawn = hawkes_events(
                shocks.uniforms("arrivals", page), state.excitation, state.demand_scale,
                self.mu, self.alpha, self.beta, market.dt,
            )  # fmt: skip
            if drawn[-1]:
                break
            page *= 2
        excitation, start, group, side, _, _ = drawn
        size = -self.mean_size * np.log1p(-shocks.ragged("sizes", start))
        if self.lot > 0.0:
            size = np.maximum(np.ceil(size / self.lot), 1.0) * self.lot
        mass = np.zeros((batch, groups, 2))
        market_of = np.repeat(np.arange(batch), np.diff(start))
        np.add.at(mass, (market_of, group, side), size)
        arrivals = Arrivals(
            mass, mass.sum(-1), start, group, side, size, np.ones(group.size)
        )  # fmt: skip
        return arrivals, excitation

    def mean_mass(self, market: Market, scale: Array) -> Array:
        # In the stationary state; an exponential size rounded up to whole lots is geometric.
        lots = self.lot / -np.expm1(-self.lot / self.mean_size) if self.lot else self.mean_size
        rate = self.mu / (1.0 - self.alpha / self.beta)
        return rate * market.dt * lots * scale


@dataclass(frozen=True)
class Browsing:
    """Sessions that look at several distinct products; some sessions are scrapers.

    Each session views between `views[0]` and `views[1]` products, all equally likely. A share
    `contamination` of sessions are scrapers: they view `scraper_views` times as many (at most all)
    and buy with `scraper_intent` times a customer's probability. `poisson=True` draws the number
    of sessions with mean `sessions`.
    """

    ahead: ClassVar[bool] = True

    sessions: float = 30.0
    views: tuple[int, int] = (1, 4)
    contamination: float = 0.1
    scraper_views: float = 3.0
    scraper_intent: float = 0.01
    poisson: bool = False

    def __post_init__(self) -> None:
        _needs("sessions", self.sessions, 0.0, 1e7)
        _needs("contamination", self.contamination, 0.0, 1.0)
        _needs("scraper_views", self.scraper_views, 0.0)
        _needs("scraper_intent", self.scraper_intent, 0.0, 1.0)
        low, high = self.views
        if not 1 <= low <= high:
            raise InputError(f"views={self.views!r} must be (least, most) with 1 <= least <= most")

    def fits(self, market: Market) -> None:
        if market.layout.choice != "within":
            raise InputError(
                f"choice={market.layout.choice!r} must be 'within' for browsing arrivals: sessions "
                "view products and compare their sellers"
            )

    def arrive(
        self, market: Market, state: State, quotes: Quotes, shocks: Shocks
    ) -> tuple[Arrivals, Array]:
        batch, groups = state.demand_scale.shape
        crowd = int(self.sessions)
        if not self.poisson and self.sessions == crowd and all_ones(state.demand_scale):
            name = ("sessions", batch, crowd)
            sessions, everybody = market.cached(name, lambda: np.full(batch, crowd)), batch * crowd
        else:
            sessions = self._sessions(state, shocks)
            crowd, everybody = int(sessions.max(initial=0)), int(sessions.sum())
        least, most = self.views
        rule = (groups, least, most, self.contamination, self.scraper_views)
        start = np.empty(batch + 1, np.int64)
        # Room for as many views as there could be: what is not used is never touched.
        room = everybody * min(groups, max(most, round(most * self.scraper_views)))
        if has_addresses(shocks):
            visitors, views = source(shocks, "sessions", start), source(shocks, "views", start)
        else:
            table = shocks.uniforms("sessions", 2 * crowd)
            room = count_views(table, sessions, start, *rule)
            visitors, views = given(table), source(shocks, "views", start)
        mass, exposure = np.empty((batch, groups, 2)), np.empty((batch, groups))
        group, intent = np.empty(room, np.int64), np.empty(room)
        total = browse(
            sessions, start, mass, exposure, group, intent, *rule, self.scraper_intent, *visitors,
            views[0], views[-1],
        )  # fmt: skip
        side, size = single_buyers(total)
        arrivals = Arrivals(mass, exposure, start, group[:total], side, size, intent[:total])
        return arrivals, state.excitation

    def mean_mass(self, market: Market, scale: Array) -> Array:
        # Scrapers count by their intent, as they do in `Arrivals.mass`.
        least, most = self.views
        looks = np.arange(least, most + 1)
        customers = np.minimum(looks, scale.size).mean()
        scrapers = np.minimum(np.rint(looks * self.scraper_views), scale.size).mean()
        per_session = (
            1.0 - self.contamination
        ) * customers + self.contamination * self.scraper_intent * scrapers
        sessions = self.sessions * scale.mean()
        return np.full(scale.size, sessions * per_session / scale.size)

    def _sessions(self, state: State, shocks: Shocks) -> IntArray:
        """[B] whole numbers of sessions: the demand scale's mean over products moves them."""
        mean = self.sessions * state.demand_scale.mean(axis=1)
        if self.poisson:
            counts = poisson_counts(mean[:, None], shocks.uniforms("crowd", 1))[:, 0]
        elif self.sessions == int(self.sessions) and (mean == self.sessions).all():
            counts = mean
        else:
            counts = whole(mean[:, None], shocks.uniforms("crowd", 1))[:, 0]
        sessions = counts.astype(np.int64)
        return sessions


def whole(mean: Array, uniforms: Array) -> Array:
    """Whole numbers around `mean`: 2.4 is two, and a third with probability 0.4."""
    counts: Array = np.floor(mean) + (uniforms < mean - np.floor(mean))
    return counts


def poisson_counts(rates: Array, uniforms: Array) -> Array:
    """Poisson numbers by inversion, so that a higher rate never gives fewer arrivals."""
    counts = np.empty(rates.shape)
    _poisson_inverse(rates.ravel(), uniforms.ravel(), counts.ravel())
    large = rates > 400.0
    if large.any():
        counts[large] = np.ceil(np.maximum(pdtrik(uniforms[large], rates[large]), 0.0))
    return counts


def in_units(arrivals: Arrivals, shocks: Shocks) -> Arrivals:
    """Bulk demand in whole units, with `start` where each market's would stand in a list of all."""
    mass = arrivals.mass
    start = np.empty(len(mass) + 1, np.int64)
    if not count_units(mass, start):
        parts = shocks.uniforms("parts", mass.shape[1] * 2).reshape(mass.shape)
        mass = whole(mass, parts)
        count_units(mass, start)
    return Arrivals(mass, arrivals.exposure, start, *arrivals[3:])


def one_by_one(arrivals: Arrivals, shocks: Shocks) -> Arrivals:
    """Split bulk demand into single customers of one unit, buyers and sellers in turn."""
    mass, exposure, start = in_units(arrivals, shocks)[:3]
    group, side = np.empty((2, int(start[-1])), np.int64)
    list_units(mass, start, group, side)
    ones = np.ones(group.size)
    return Arrivals(mass, exposure, start, group, side, ones, ones)


class _Crowd:
    """Sides and sizes of buyers of one unit each, however many come: all alike, so made once."""

    side, size = np.zeros(0, np.int64), np.ones(0)


def single_buyers(number: int) -> tuple[IntArray, Array]:
    """Side BUY and size 1 of so many buyers; read-only, as everybody gets the same ones."""
    if _Crowd.size.size < number:
        side, size = np.zeros(2 * number, np.int64), np.ones(2 * number)
        side.flags.writeable = size.flags.writeable = False
        _Crowd.side, _Crowd.size = side, size
    return _Crowd.side[:number], _Crowd.size[:number]


@kernel
def fixed_mass(scale, buy, sell):  # type: ignore[no-untyped-def]
    """Mass [B, G, 2], exposure [B, G] and start [B + 1] without single arrivals."""
    batch, groups = scale.shape
    mass, exposure = np.empty((batch, groups, 2)), np.empty((batch, groups))
    for b in range(batch):
        for g in range(groups):
            mass[b, g, 0], mass[b, g, 1] = scale[b, g] * buy, scale[b, g] * sell
            exposure[b, g] = mass[b, g, 0] + mass[b, g, 1]
    return mass, exposure, np.zeros(batch + 1, np.int64)


@kernel
def poisson_mass(scale, uniforms, buy, sell):  # type: ignore[no-untyped-def]
    """As `fixed_mass` with Poisson numbers, and whether a rate was too large for that."""
    batch, groups = scale.shape
    mass, exposure = np.empty((batch, groups, 2)), np.empty((batch, groups))
    # Rates are mostly alike: the quantiles of the last one are kept, and counted without a branch,
    # the rarer ones only where all of the first are passed.
    table, length, last, large = np.empty(64), 0, -1.0, False
    for b in range(batch):
        for g in range(groups):
            for s in range(2):
                rate, uniform = scale[b, g] * (buy if s == 0 else sell), uniforms[b, 2 * g + s]
                if rate > 400.0:
                    large = True
                    continue
                if rate > 8.0:
                    mass[b, g, s] = _inverse(rate, np.exp(-rate), uniform)
                    continue
                if rate != last:
                    last, length = rate, _quantiles(rate, table)
                count = 0
                for k in range(min(length, 4)):
                    count += uniform >= table[k]
                if count == 4:
                    for k in range(4, length):
                        count += uniform >= table[k]
                mass[b, g, s] = count
            exposure[b, g] = mass[b, g, 0] + mass[b, g, 1]
    return mass, exposure, np.zeros(batch + 1, np.int64), large


@kernel
def _quantiles(rate, table):  # type: ignore[no-untyped-def]
    """Fill in the cumulative Poisson probabilities that `_inverse` would meet; how many."""
    probability = cumulative = np.exp(-rate)
    k = 0
    while k < rate or probability > 1e-18:
        table[k] = cumulative
        k += 1
        probability *= rate / k
        cumulative += probability
    return k


@kernel
def _poisson_inverse(rates, uniforms, counts):  # type: ignore[no-untyped-def]
    for i in range(rates.shape[0]):
        if rates[i] <= 400.0:  # beyond, exp(-rate) would soon underflow
            counts[i] = _inverse(rates[i], np.exp(-rates[i]), uniforms[i])


@kernel
def _inverse(rate, none, uniform):  # type: ignore[no-untyped-def]
    """The Poisson number at a quantile, given the probability of none."""
    k, probability, cumulative = 0, none, none
    # Rounding can leave the cumulative just below 1: the tail's end is where terms vanish.
    while uniform >= cumulative and (k < rate or probability > 1e-18):
        k += 1
        probability *= rate / k
        cumulative += probability
    return k


@kernel
def count_units(mass, start):  # type: ignore[no-untyped-def]
    """Where each market's units start, into start [B + 1]; False if a mass is not whole."""
    start[0] = 0
    for b in range(mass.shape[0]):
        total = 0.0
        for g in range(np.uint64(mass.shape[1])):
            buys, sells = mass[b, g, 0], mass[b, g, 1]
            if buys != np.floor(buys) or sells != np.floor(sells):
                return False
            total += buys + sells
        start[b + 1] = start[b] + np.int64(total)
    return True


@kernel
def units_of(mass, b, g):  # type: ignore[no-untyped-def]
    """How many units a group has, how many of them take turns (buyers first), the rest's side."""
    buys, sells = np.int64(mass[b, g, 0]), np.int64(mass[b, g, 1])
    return buys + sells, 2 * min(buys, sells), 1 if sells > buys else 0


@kernel
def list_units(mass, start, group, side):  # type: ignore[no-untyped-def]
    """Group and side of each unit of all markets, group by group."""
    for b in range(mass.shape[0]):
        e = start[b]
        for g in range(mass.shape[1]):
            number, in_turn, rest = units_of(mass, b, g)
            for unit in range(number):
                group[e] = g
                side[e] = unit & 1 if unit < in_turn else rest
                e += 1


@kernel
def hawkes_events(uniforms, excitation, scale, mu, alpha, beta, dt):  # type: ignore[no-untyped-def]
    """Events of every side of every group in one tick, in time order within each market.

    Returns excitation at the tick's end [B, G, 2], start [B + 1], group, side and time [E], and
    whether the uniforms sufficed.
    """
    batch, groups = scale.shape
    page = uniforms.shape[1]
    after = np.empty_like(excitation)
    start = np.zeros(batch + 1, np.int64)
    most = batch * (page // 2 + 1)
    group, side = np.empty(most, np.int64), np.empty(most, np.int64)
    time = np.empty(most)
    e = 0
    for b in range(batch):
        drawn = 0
        for g in range(groups):
            base = mu * scale[b, g]
            for s in range(2):
                t, excess = 0.0, excitation[b, g, s]
                while True:
                    if drawn + 2 > page:
                        return after, start, group[:0], side[:0], time[:0], False
                    wait = np.inf
                    if base > 0.0:
                        wait = -np.log1p(-uniforms[b, drawn]) / base
                    if excess > 0.0:
                        left = 1.0 + beta * np.log1p(-uniforms[b, drawn + 1]) / excess
                        if left > 0.0:
                            wait = min(wait, -np.log(left) / beta)
                    drawn += 2
                    if t + wait > dt:
                        after[b, g, s] = excess * np.exp(-beta * (dt - t))
                        break
                    t += wait
                    excess = excess * np.exp(-beta * wait) + alpha
                    group[e], side[e], time[e] = g, s, t
                    e += 1
        start[b + 1] = e
        first = start[b]
        if e - first > 1:
            order = np.argsort(time[first:e], kind="mergesort")
            group[first:e] = group[first:e][order]
            side[first:e] = side[first:e][order]
            time[first:e] = time[first:e][order]
    return after, start, group[:e].copy(), side[:e].copy(), time[:e].copy(), True


@kernel
def all_ones(numbers):  # type: ignore[no-untyped-def]
    """Whether every one of the numbers is 1."""
    for number in numbers.flat:
        if number != 1.0:
            return False
    return True


@kernel
def _views(visitors, s, n_groups, least, most, contamination, factor):  # type: ignore[no-untyped-def]
    """How many products a session views, by its place in the market's row of visitors."""
    wanted = least + np.int64(visitors[2 * s + 1] * (most - least + 1))
    if visitors[2 * s] < contamination:
        wanted = np.int64(np.rint(wanted * factor))
    return min(wanted, n_groups)


@kernel
def count_views(  # type: ignore[no-untyped-def]
    visitors, sessions, start, n_groups, least, most, contamination, factor
):
    """Where each market's views start, into start [B + 1]; returns how many there are."""
    total = 0
    start[0] = 0
    for b in range(sessions.shape[0]):
        for s in range(sessions[b]):
            total += _views(visitors[b], s, n_groups, least, most, contamination, factor)
        start[b + 1] = total
    return total


@kernel
def browse(  # type: ignore[no-untyped-def]
    sessions, start, mass, exposure, group, intent, n_groups, least, most, contamination, factor,
    scraper_intent, given, key, tick, markets, purpose, views_given, views_purpose,
):  # fmt: skip
    """Who comes and which products each session views: distinct ones, all equally likely.

    Fills in start [B + 1], mass [B, G, 2], exposure [B, G], and the views' group and intent;
    returns how many views there are. The last seven are the `source` of the sessions, two numbers
    each, and what differs in that of the views, one number each.
    """
    one, groups = np.uint64(1), np.uint64(n_groups)
    deck, wished, seen_by = np.empty(n_groups, np.uint64), np.empty(n_groups), np.empty(n_groups)
    crowd = sessions.max() if sessions.shape[0] else 0
    widest = min(n_groups, max(most, np.int64(np.rint(most * factor))))
    visitors, uniforms = np.empty(2 * crowd + 3), np.empty(crowd * widest + 3)
    viewed = np.empty(crowd, np.int64)
    e = np.uint64(0)
    start[0] = 0
    for b in range(np.uint64(sessions.shape[0])):
        n = sessions[b]
        take(visitors, b, 2 * n, 2 * crowd * np.int64(b), given, key, tick, markets, purpose)
        for g in range(groups):
            deck[g] = g
            wished[g] = seen_by[g] = 0.0
        total = 0
        for s in range(np.uint64(n)):
            viewed[s] = _views(visitors, s, n_groups, least, most, contamination, factor)
            total += viewed[s]
        take(uniforms, b, total, start[b], views_given, key, tick, markets, views_purpose)
        start[b + one] = start[b] + total
        draw = np.uint64(0)
        for s in range(np.uint64(n)):
            wants = scraper_intent if visitors[s + s] < contamination else 1.0
            left = float(n_groups)
            # A partial shuffle from any order of the deck: no need to put it back in order.
            for i in range(np.uint64(viewed[s])):
                j = i + np.uint64(np.int64(uniforms[draw] * left))
                seen = deck[j]
                deck[j] = deck[i]
                deck[i] = seen
                group[e], intent[e] = seen, wants
                wished[seen] += wants
                seen_by[seen] += 1.0
                left -= 1.0
                draw += one
                e += one
        for g in range(groups):
            mass[b, g, 0] = mass[b, g, 1] = wished[g]
            exposure[b, g] = seen_by[g]
    return start[sessions.shape[0]]
