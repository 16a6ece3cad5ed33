"""One maker and three, 1000 markets: Brownian mid, Poisson orders, exponential fills.

The model is mbt_gym's default, which cannot be installed from PyPI. Beside ours therefore runs
`Bare`: the same model in plain numpy, one maker hard-wired, without refusals, limits other than
the inventory's, metrics, accounts of the outside world, or random numbers with addresses. It is a
floor for numpy rather than a peer.
"""

from __future__ import annotations

import numpy as np

from experiments.benchmarks.timing import BenchmarkLine, Work, rates
from mos_agents.market.arrivals import Poisson
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.defaults import make_market
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import TwoSided
from mos_agents.market.reference import Brownian, Fundamentals
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import Array, Layout

MARKETS, TICKS = 1000, 200
RATE, DT, SIGMA, KAPPA, HALF_SPREAD, LIMIT = 140.0, 0.005, 2.0, 1.5, 0.7, 500.0


def market(makers: int) -> Market:
    """Makers who quote one asset; several compete for the same orders."""
    layout = Layout.dense([f"maker_{i}" for i in range(makers)], ["asset"], ["maker"] * makers)
    nothing = np.zeros(layout.L)
    return make_market(
        layout,
        Catalogue(nothing, np.full(layout.L, 100.0), nothing, nothing),
        FillIntensity(kappa=KAPPA, volatility_boost=0.0),
        quotes=TwoSided(tick_size=0.0, size=1.0, max_spread=5.0),
        arrivals=Poisson(RATE, RATE),
        reference=Fundamentals(Brownian(sigma=SIGMA)),
        positions=Ledger(limit=LIMIT, short=True, mark="reference"),
        dt=DT,
        horizon=TICKS,
    )


def ours(makers: int) -> Work:
    """Agent steps of whole ticks: the quotes are given, as they are to `Bare`."""
    one_market = market(makers)
    streams = Streams.of(0, MARKETS)
    quotes = np.tile(np.array([[[0.0, 2.0 * HALF_SPREAD]]]), (MARKETS, makers, 1))

    def work() -> int:
        state = one_market.start(MARKETS)
        for t in range(TICKS):
            state = tick(one_market, state, quotes, streams.at(t)).state
        return TICKS * MARKETS * makers

    return work


class Bare:
    """One maker in plain numpy: at most one order a side and step, as in mbt_gym."""

    def __init__(self, batch: int) -> None:
        self.generator = np.random.default_rng(0)
        self.cash, self.inventory = np.zeros(batch), np.zeros(batch)
        self.mid, self.time = np.full(batch, 100.0), 0.0

    def step(self, distance: Array) -> tuple[Array, Array]:
        """Observation [B, 4] and reward [B] upon the distances [B, 2] of bid and ask."""
        worth = self.cash + self.inventory * self.mid
        arrived = self.generator.random(distance.shape) < RATE * DT
        filled = arrived & (self.generator.random(distance.shape) < np.exp(-KAPPA * distance))
        bought = filled[:, 0] & (self.inventory < LIMIT)
        sold = filled[:, 1] & (self.inventory > -LIMIT)
        self.cash = (
            self.cash - bought * (self.mid - distance[:, 0]) + sold * (self.mid + distance[:, 1])
        )
        self.inventory = self.inventory + bought - sold
        normals = self.generator.standard_normal(self.mid.size)
        self.mid = self.mid + SIGMA * np.sqrt(DT) * normals
        self.time += DT
        clock = np.full(self.mid.size, self.time)
        observation = np.stack([self.cash, self.inventory, clock, self.mid], axis=1)
        return observation, self.cash + self.inventory * self.mid - worth


def bare() -> int:
    """Agent steps of the numpy floor."""
    plain, distance = Bare(MARKETS), np.full((MARKETS, 2), HALF_SPREAD)
    for _ in range(TICKS):
        plain.step(distance)
    return TICKS * MARKETS


def run(runs: int) -> list[BenchmarkLine]:
    found = rates({"one": ours(1), "three": ours(3), "bare": bare}, runs)
    other = "the same model, hard-wired in numpy (a floor)"
    return [
        BenchmarkLine(
            "one maker, 1000 markets", "agent steps", found["one"], other, found["bare"], None
        ),
        BenchmarkLine(
            "three makers, 1000 markets", "agent steps", found["three"], other, found["bare"], None
        ),
    ]
