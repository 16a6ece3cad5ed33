"""Default retail: 3 sellers, 10 products, 30 browsing sessions a tick, sampled; 1000 markets.

The floor is one numba loop with numpy's own generator that draws the same sessions, views and
choices and counts who sold what: no rules for quotes, no stock, no books, no observations, no
metrics, nothing that could be replaced, and luck that depends on the order of drawing.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from experiments.benchmarks.timing import Line, Work, rates
from mos_agents.market.arrivals import Browsing
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.demand import Elasticity
from mos_agents.market.execution import Sampled
from mos_agents.market.positions import Ledger
from mos_agents.market.random import Streams
from mos_agents.market.rewards import Objective
from mos_agents.market.tick import Market, tick
from mos_agents.market.types import Array, Layout

MARKETS, TICKS, SELLERS, PRODUCTS = 1000, 10, 3, 10


def market() -> Market:
    """The preset's parts and defaults."""
    layout = Layout.dense(
        ["platform", "firm_1", "firm_2"],
        [f"product_{k}" for k in range(PRODUCTS)],
        ["platform", "firm", "firm"],
    )
    weights = {"pnl": 1.0, "volatility": -0.1, "holding_cost": -0.5, "lost_opportunity": -0.3}
    return Market(
        layout,
        Catalogue.drawn(layout, 0),
        Sampled(Elasticity()),
        arrivals=Browsing(),
        positions=Ledger(base_stock=1.0, lead_time=1, holding_cost=0.002),
        rewards=Objective(weights),
    )


def prices(place: Market) -> Array:
    """[B, L] prices up to 10% around the reference price, so that shoppers have to compare."""
    noise = np.random.default_rng(0).uniform(0.9, 1.1, (MARKETS, place.layout.L))
    return np.maximum(place.catalogue.reference_price * noise, place.catalogue.cost * 1.05)


def ours() -> Work:
    """Market ticks, whole."""
    place = market()
    luck, quotes = Streams.of(0, MARKETS), prices(place)[:, :, None]

    def work() -> int:
        state = place.start(MARKETS)
        for t in range(TICKS):
            state = tick(place, state, quotes, luck.at(t)).state
        return TICKS * MARKETS

    return work


@numba.njit(cache=True, error_model="numpy")
def bare(generator: Any, prices: Any, reference: Any, sold: Any) -> None:
    """One tick of every market: the same draws and choices as the defaults', nothing else."""
    chance = np.empty((PRODUCTS, SELLERS))
    deck = np.arange(PRODUCTS)
    for b in range(prices.shape[0]):
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
        for _ in range(30):
            intent, views = 1.0, 1 + np.int64(generator.random() * 4)
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


def floor() -> Work:
    """Market ticks of the bare loop."""
    place = market()
    generator, quotes = np.random.default_rng(0), prices(place)

    def work() -> int:
        for _ in range(TICKS):
            bare(generator, quotes, place.catalogue.reference_price, np.zeros_like(quotes))
        return TICKS * MARKETS

    return work


def run(runs: int) -> list[Line]:
    found = rates({"ours": ours(), "floor": floor()}, runs)
    other = "bare numba loop, same draws and choices (a floor)"
    return [
        Line("default retail, 1000 markets", "market ticks", found["ours"], other, found["floor"],
             0.5)
    ]  # fmt: skip
