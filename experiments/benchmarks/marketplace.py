"""The preset marketplace: a platform, 3 firms, 2 makers and 2 goods; 1000 markets.

The floor is one numba loop that draws the same self-exciting orders, their sizes and reservation
prices, the same shoppers and their choices, and fills the firms' orders at the best ask. It has no
stock, no rules for quotes, no settlement, no observations and no metrics, and nothing in it can be
replaced. Its random numbers come from numpy's generator.

`python -m experiments.benchmarks.marketplace` prints speed and memory by the number of firms,
makers and goods.
"""

from __future__ import annotations

import tracemalloc

import numba
import numpy as np

from experiments.benchmarks.timing import BenchmarkLine, Work, rates
from mos_agents import scenarios
from mos_agents.market.market import Market
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import FEE, ORDER, QUOTE, Array

MARKETS, TICKS, FIRMS, MAKERS, GOODS = 1000, 10, 3, 2, 2
MU, ALPHA, BETA, SIZE = 5.0, 0.5, 1.0, 3.0
SHOPPERS, FOLLOWERS, SCALE, SEARCH = 25.0, 0.6, 0.4, 0.5
ORDERED = 4.0
"""Units that a firm orders of each good in a tick."""


def actions_of(market: Market, batch: int) -> Array:
    """[B, L, A] quotes, orders and rules, the same at every tick: prices differ by market."""
    layout = market.layout
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (batch, layout.L))
    actions = np.zeros((batch, layout.L, market.action_width))
    dealer = np.array([layout.roles[n] == "maker" for n in layout.seller])
    for chosen, first, second in (
        (layout.kind == FEE, 0.1, 0.0),
        (layout.kind == ORDER, ORDERED, 16.0),
        ((layout.kind == QUOTE) & dealer, -0.5, 4.0),
        ((layout.kind == QUOTE) & ~dealer, 15.0, 0.0),
        (layout.kind > FEE, 1.0, 0.0),
    ):
        actions[:, chosen, 0], actions[:, chosen, 1] = first, second
    priced = layout.kind == QUOTE
    actions[:, priced, 0] += noise[:, priced]
    return actions


def ours(
    firms: int = FIRMS, makers: int = MAKERS, goods: int = GOODS, batch: int = MARKETS
) -> Work:
    """Market ticks, whole."""
    market = scenarios.marketplace(firms=firms, makers=makers, goods=goods)
    streams, actions = Streams.of(0, batch), actions_of(market, batch)

    def work() -> int:
        state = market.start(batch)
        for t in range(TICKS):
            state = tick(market, state, actions, streams.at(t)).state
        return TICKS * batch

    return work


@numba.njit(cache=True, error_model="numpy")
def order_flow(generator, excess, asks, bids, traded):  # type: ignore[no-untyped-def]
    """The orders of one good in one tick: times, sizes, reservation prices, best quotes first."""
    for side in range(2):
        t = 0.0
        while True:
            wait = generator.exponential() / MU
            if excess[side] > 0.0:
                left = 1.0 - BETA * generator.exponential() / excess[side]
                if left > 0.0:
                    wait = min(wait, -np.log(left) / BETA)
            if t + wait > 1.0:
                excess[side] *= np.exp(-BETA * (1.0 - t))
                break
            t += wait
            excess[side] = excess[side] * np.exp(-BETA * wait) + ALPHA
            size, draw = np.ceil(SIZE * generator.exponential()), generator.random()
            if side == 0:
                best, limit = asks.argmin(), 10.0 * (1.3 - 0.4 * draw)
                if asks[best] <= limit:
                    traded[0, best] += size
            else:
                best, limit = bids.argmax(), 10.0 * (0.4 + 0.6 * draw)
                if bids[best] >= limit:
                    traded[1, best] += size


@numba.njit(cache=True, error_model="numpy")
def bare(generator, asks, bids, prices, excess, traded, sold):  # type: ignore[no-untyped-def]
    """One tick of every market: the same draws and choices, nothing else."""
    utility, all_seen = np.empty(prices.shape[2]), np.empty(prices.shape[2])
    for b in range(prices.shape[0]):
        for g in range(prices.shape[1]):
            order_flow(generator, excess[b, g], asks[b, g], bids[b, g], traded[b, g])
            traded[b, g, 0, asks[b, g].argmin()] += ORDERED * prices.shape[2]
            shown, whole = int(generator.random() * prices.shape[2]), 1.0
            for n in range(prices.shape[2]):
                utility[n] = np.exp((0.8 - 1.5 * prices[b, g, n] / 16.0) / SCALE)
                all_seen[n] = np.exp((0.8 - 1.5 * (prices[b, g, n] + SEARCH) / 16.0) / SCALE)
                whole += all_seen[n]
            followed = FOLLOWERS * utility[shown] / (1.0 + utility[shown])
            for _ in range(generator.poisson(SHOPPERS)):
                draw, low = generator.random(), followed
                if draw < low:
                    sold[b, g, shown] += 1.0
                    continue
                for n in range(prices.shape[2]):
                    low += (1.0 - FOLLOWERS) * all_seen[n] / whole
                    if draw < low:
                        sold[b, g, n] += 1.0
                        break


def floor() -> Work:
    """Market ticks of the bare loop."""
    rng = np.random.default_rng(0)
    asks = rng.uniform(11.0, 12.0, (MARKETS, GOODS, MAKERS))
    prices = rng.uniform(14.5, 15.5, (MARKETS, GOODS, FIRMS))
    generator = np.random.Generator(np.random.Philox(1))

    def work() -> int:
        excess = np.full((MARKETS, GOODS, 2), MU)
        traded = np.zeros((MARKETS, GOODS, 2, MAKERS))
        sold = np.zeros(prices.shape)
        for _ in range(TICKS):
            bare(generator, asks, asks - 4.0, prices, excess, traded, sold)
        return TICKS * MARKETS

    return work


def run(runs: int) -> list[BenchmarkLine]:
    """Ours beside the floor."""
    found = rates({"ours": ours(), "bare": floor()}, runs)
    return [
        BenchmarkLine(
            "marketplace, 1000 markets",
            "market ticks",
            found["ours"],
            "bare numba loop with numpy's generator (a floor)",
            found["bare"],
            0.4,
        )
    ]


def by_size(runs: int = 3) -> None:
    """Print speed and memory as the numbers of firms, makers and goods grow."""
    print("firms  makers  goods  slots  market ticks/s  MB for 1000 markets")
    sizes = [
        (3, 2, 2),
        (6, 2, 2),
        (12, 2, 2),
        (3, 4, 2),
        (3, 8, 2),
        (3, 2, 4),
        (3, 2, 8),
        (12, 8, 8),
    ]
    for firms, makers, goods in sizes:
        work = ours(firms, makers, goods)
        speed = rates({"ours": work}, runs)["ours"]
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        slots = scenarios.marketplace(firms=firms, makers=makers, goods=goods).layout.L
        print(f"{firms:5}  {makers:6}  {goods:5}  {slots:5}  {speed:14,.0f}  {peak:19.0f}")


if __name__ == "__main__":
    by_size()
