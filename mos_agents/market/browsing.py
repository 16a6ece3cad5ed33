"""Shoppers who browse: sessions that look at several products, some of them scrapers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.market.arrivals import needs
from mos_agents.market.checks import within_floats
from mos_agents.market.counts import check_orders, grown, poisson_counts, whole
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.stages import ArrivalProcess
from mos_agents.market.streams import Draws, given, has_addresses, source, take
from mos_agents.market.types import BUY, SELL, Array, Arrivals, InputError, IntArray, Quotes, State

MOST_VIEWS = 1_000_000
"""Products that a session views, and how many times as many a scraper does."""


@dataclass(frozen=True)
@within_floats
class Browsing(ArrivalProcess):
    """Sessions that look at several distinct products; some sessions are scrapers.

    A session views distinct products, all equally likely, and compares their sellers.

    Parameters
    ----------
    sessions : float
        sessions a tick; with `poisson`, their mean, in [0, 1e7].
    views : tuple of 2 int
        least and most products that a session views, each number between equally likely.
    contamination : float
        share of the sessions that are scrapers, in [0, 1].
    scraper_views : float
        a scraper views so many times as many products (at most all), >= 0.
    scraper_intent : float
        a scraper buys with so many times a customer's probability, in [0, 1].
    poisson : bool
        draw the number of sessions at each tick, in place of the same number.
    """

    ignores_quotes: ClassVar[bool] = True

    sessions: float = 30.0
    views: tuple[int, int] = (1, 4)
    contamination: float = 0.1
    scraper_views: float = 3.0
    scraper_intent: float = 0.01
    poisson: bool = False

    def __post_init__(self) -> None:
        needs("sessions", self.sessions, 0.0, 1e7)
        needs("contamination", self.contamination, 0.0, 1.0)
        needs("scraper_views", self.scraper_views, 0.0, MOST_VIEWS)
        needs("scraper_intent", self.scraper_intent, 0.0, 1.0)
        low, high = self.views
        if not 1 <= low <= high <= MOST_VIEWS:
            raise InputError(
                f"views={self.views!r} must be (least, most) with 1 <= least <= most <= "
                f"{MOST_VIEWS:,}"
            )

    def validate(self, market: Market) -> None:
        if market.layout.choice != "within":
            raise InputError(
                f"choice={market.layout.choice!r} must be 'within' for browsing arrivals: sessions "
                "view products and compare their sellers"
            )
        if "price" not in market.quotes.features:
            raise InputError(
                f"arrivals of browsing shoppers need posted prices, not quotes of "
                f"{'/'.join(market.quotes.features)}: set arrivals.kind to fixed_mass, poisson or "
                "hawkes"
            )
        self._check(market, 1.0)

    def _check(self, market: Market, scale: float, tick: int | None = None) -> None:
        """scale: the mean of a market's demand scales."""
        moved = grown(scale, tick)
        cause = f"sessions={self.sessions!r}, views={self.views!r}{moved}"
        views = scale * self.mean_views(market.layout.G)
        check_orders(cause, views, "lower sessions, views or scraper_views")

    def mean_orders(self, market: Market) -> float:
        return self.mean_views(market.layout.G)

    def reads_time_step(self) -> bool:
        return type(self) is not Browsing

    def mean_views(self, groups: int) -> float:
        """Looks of a tick on average, at demand scale 1, those of scrapers among them."""

        def looked(factor: float) -> float:
            return float(np.minimum(np.rint(looks * factor), groups).mean())

        least, most = self.views
        looks = np.linspace(least, most, min(most - least + 1, 1000))
        customers = (1.0 - self.contamination) * looked(1.0)
        return self.sessions * (customers + self.contamination * looked(self.scraper_views))

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        batch, groups = state.demand_scale.shape
        crowd = int(self.sessions)
        if not self.poisson and self.sessions == crowd and all_ones(state.demand_scale):
            name = ("sessions", batch, crowd)
            sessions, everybody = market.cached(name, lambda: np.full(batch, crowd)), batch * crowd
        else:
            sessions = self._sessions(market, state, draws)
            crowd, everybody = int(sessions.max(initial=0)), int(sessions.sum())
        least, most = self.views
        rule = (groups, least, most, self.contamination, self.scraper_views)
        start = np.empty(batch + 1, np.int64)
        # Room for as many views as there could be: what is not used is never touched.
        room = everybody * min(groups, max(most, round(most * self.scraper_views)))
        if has_addresses(draws):
            visitors, views = source(draws, "sessions", start), source(draws, "views", start)
        else:
            table = draws.uniforms("sessions", 2 * crowd)
            room = count_views(table, sessions, start, *rule)
            visitors, views = given(table), source(draws, "views", start)
        mass, exposure = np.empty((batch, groups, 2)), np.empty((batch, groups))
        group, intent = np.empty(room, np.int64), np.empty(room)
        total = browse(
            sessions,
            start,
            mass,
            exposure,
            group,
            intent,
            *rule,
            self.scraper_intent,
            *visitors,
            views[0],
            views[-1],
        )
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

    def _sessions(self, market: Market, state: State, draws: Draws) -> IntArray:
        """[B] whole numbers of sessions: the demand scale's mean over products moves them."""
        scale = state.demand_scale.mean(axis=1)
        self._check(market, float(scale.max()), state.tick)
        mean = self.sessions * scale
        if self.poisson:
            counts = poisson_counts(mean[:, None], draws.uniforms("crowd", 1))[:, 0]
        elif self.sessions == int(self.sessions) and (mean == self.sessions).all():
            counts = mean
        else:
            counts = whole(mean[:, None], draws.uniforms("crowd", 1))[:, 0]
        sessions: IntArray = np.maximum(counts, 0.0).astype(np.int64)
        return sessions


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
    sessions,
    start,
    mass,
    exposure,
    group,
    intent,
    n_groups,
    least,
    most,
    contamination,
    factor,
    scraper_intent,
    given,
    philox_key,
    tick,
    markets,
    key,
    views_given,
    views_key,
):
    """Draw the sessions and the products that each views: distinct ones, all equally likely.

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
        take(visitors, b, 2 * n, 2 * crowd * np.int64(b), given, philox_key, tick, markets, key)
        for g in range(groups):
            deck[g] = g
            wished[g] = seen_by[g] = 0.0
        total = 0
        for s in range(np.uint64(n)):
            viewed[s] = _views(visitors, s, n_groups, least, most, contamination, factor)
            total += viewed[s]
        take(uniforms, b, total, start[b], views_given, philox_key, tick, markets, views_key)
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
            mass[b, g, BUY] = mass[b, g, SELL] = wished[g]
            exposure[b, g] = seen_by[g]
    return start[sessions.shape[0]]
