"""Default retail: 3 sellers, 10 products, 30 browsing sessions a tick, sampled; 1000 markets.

The floor is one numba loop that draws the same sessions, views and choices and counts who sold
what: no rules for quotes, no stock, no settlement, no observations, no metrics, nothing that could
be replaced. It runs twice: with random numbers that have addresses, as ours has, and with numpy's
generator, whose numbers depend on the order of drawing and costs a third.
"""

from __future__ import annotations

import numba
import numpy as np

from experiments.benchmarks.timing import BenchmarkLine, Work, rates
from mos_agents.market.browsing import Browsing
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Elasticity
from mos_agents.market.execution import Sampled
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.rewards import Objective
from mos_agents.market.streams import Streams, _fill
from mos_agents.market.tick import tick
from mos_agents.market.types import Array, Layout

MARKETS, TICKS, SELLERS, PRODUCTS, SESSIONS = 1000, 10, 3, 10, 30


def market() -> Market:
    """The preset's parts and defaults."""
    layout = Layout.dense(
        ["platform", "firm_1", "firm_2"],
        [f"product_{k}" for k in range(PRODUCTS)],
        ["platform", "firm", "firm"],
    )
    weights = {"pnl": 1.0, "volatility": -0.1, "holding_cost": -0.5, "lost_opportunity": -0.3}
    return make_market(
        layout,
        Catalogue.drawn(layout, 0),
        Sampled(Elasticity()),
        arrivals=Browsing(),
        positions=Ledger(base_stock=1.0, lead_time=1, holding_cost=0.002),
        rewards=Objective(weights),
    )


def prices(one_market: Market) -> Array:
    """[B, L] prices up to 10% around the reference price, so that shoppers have to compare."""
    noise = np.random.default_rng(0).uniform(0.9, 1.1, (MARKETS, one_market.layout.L))
    return np.maximum(
        one_market.catalogue.reference_price * noise, one_market.catalogue.cost * 1.05
    )


def ours() -> Work:
    """Market ticks, whole."""
    one_market = market()
    streams, quotes = Streams.of(0, MARKETS), prices(one_market)[:, :, None]

    def work() -> int:
        state = one_market.start(MARKETS)
        for t in range(TICKS):
            state = tick(one_market, state, quotes, streams.at(t)).state
        return TICKS * MARKETS

    return work


@numba.njit(cache=True, error_model="numpy")
def choices(prices, reference, b, chance):  # type: ignore[no-untyped-def]
    """Chance [K, N] that one view of a product ends in a purchase from each seller."""
    for k in range(PRODUCTS):
        cheapest = prices[b, k]
        for n in range(1, SELLERS):
            cheapest = min(cheapest, prices[b, n * PRODUCTS + k])
        diverted, first = 0.0, 0
        for n in range(SELLERS):
            price, normal = prices[b, n * PRODUCTS + k], reference[n * PRODUCTS + k]
            wants = min(0.3 / ((price / normal) * (price / normal)), 1.0) / SELLERS
            if price > cheapest:
                stays = np.exp(-0.5 * (price - cheapest) / normal)
                diverted += wants * (1.0 - stays)
                wants *= stays
            else:
                first = n
            chance[k, n] = wants
        chance[k, first] += diverted


@numba.njit(cache=True, error_model="numpy")
def bare(generator, prices, reference, sold):  # type: ignore[no-untyped-def]
    """One tick of every market: the same draws and choices as the defaults', nothing else."""
    chance, deck = np.empty((PRODUCTS, SELLERS)), np.arange(PRODUCTS)
    for b in range(prices.shape[0]):
        choices(prices, reference, b, chance)
        for _ in range(SESSIONS):
            intent, views = 1.0, 1 + int(generator.random() * 4)
            if generator.random() < 0.1:
                intent, views = 0.01, min(3 * views, PRODUCTS)
            for i in range(views):
                j = i + np.int64(generator.random() * (PRODUCTS - i))
                k = deck[j]
                deck[j], deck[i] = deck[i], k
                draw, low = generator.random(), 0.0
                for n in range(SELLERS):
                    low += chance[k, n] * intent
                    if draw < low:
                        sold[b, n * PRODUCTS + k] += 1.0
                        break


@numba.njit(cache=True, error_model="numpy")
def bare_addressed(philox_key, at, prices, reference, sold):  # type: ignore[no-untyped-def]
    """As `bare`, from three addressed streams a market."""
    chance, deck = np.empty((PRODUCTS, SELLERS)), np.arange(PRODUCTS)
    visitors = np.empty(2 * SESSIONS)
    shuffles, draws = np.empty(SESSIONS * PRODUCTS), np.empty(SESSIONS * PRODUCTS)
    for b in range(prices.shape[0]):
        choices(prices, reference, b, chance)
        market = np.uint64(b)
        _fill(philox_key, at, market, np.uint64(1), visitors, 0, visitors.size, visitors.size)
        total = 0
        for s in range(SESSIONS):
            views = 1 + int(visitors[2 * s + 1] * 4)
            total += views if visitors[2 * s] >= 0.1 else min(3 * views, PRODUCTS)
        _fill(philox_key, at, market, np.uint64(2), shuffles, 0, total, total)
        _fill(philox_key, at, market, np.uint64(3), draws, 0, total, total)
        e = 0
        for s in range(SESSIONS):
            intent, views = 1.0, 1 + int(visitors[2 * s + 1] * 4)
            if visitors[2 * s] < 0.1:
                intent, views = 0.01, min(3 * views, PRODUCTS)
            for i in range(views):
                j = i + np.int64(shuffles[e] * (PRODUCTS - i))
                k = deck[j]
                deck[j], deck[i] = deck[i], k
                low = 0.0
                for n in range(SELLERS):
                    low += chance[k, n] * intent
                    if draws[e] < low:
                        sold[b, n * PRODUCTS + k] += 1.0
                        break
                e += 1


def floors() -> dict[str, Work]:
    """Market ticks of the bare loops."""
    one_market = market()
    quotes, reference = prices(one_market), one_market.catalogue.reference_price
    generator, philox_key = np.random.default_rng(0), Streams.of(0).philox_key

    def drawn() -> int:
        for _ in range(TICKS):
            bare(generator, quotes, reference, np.zeros_like(quotes))
        return TICKS * MARKETS

    def addressed() -> int:
        for t in range(TICKS):
            bare_addressed(philox_key, np.uint64(t), quotes, reference, np.zeros_like(quotes))
        return TICKS * MARKETS

    return {"drawn": drawn, "addressed": addressed}


def run(runs: int) -> list[BenchmarkLine]:
    found = rates({"ours": ours(), **floors()}, runs)
    name, unit = "default retail, 1000 markets", "market ticks"
    return [
        BenchmarkLine(
            name,
            unit,
            found["ours"],
            "bare numba loop with addressed random numbers (a floor)",
            found["addressed"],
            0.5,
        ),
        BenchmarkLine(
            name,
            unit,
            found["ours"],
            "bare numba loop with numpy's generator (a floor)",
            found["drawn"],
            0.5,
        ),
    ]
