"""Markets of every kind for the tests, random play in them, and the bits of what comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson
from mos_agents.market.browsing import Browsing
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.execution import Auction, Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import SealedBid, TwoSided
from mos_agents.market.reference import (
    Fundamentals,
    GeometricBrownian,
    OrnsteinUhlenbeck,
)
from mos_agents.market.schedules import RandomMoves
from mos_agents.market.shopper_types import ShopperTypes
from mos_agents.market.types import Layout


def retail(n: int = 3, k: int = 4, stock: float = 20.0, **parts: Any) -> Market:
    """Sellers of the same products, browsing customers, stock that is ordered again."""
    names = ["platform", *(f"firm_{i}" for i in range(1, n))]
    layout = Layout.dense(names, [f"p{j}" for j in range(k)], ["platform"] + ["firm"] * (n - 1))
    fees = {"fee": 0.1, "payer": "seller"} if n > 1 else {}  # somebody else must pay them
    ledger = Ledger(base_stock=1.0, lead_time=1, holding_cost=0.002, **fees)
    if np.isinf(stock):
        ledger = Ledger(**fees)
    defaults: dict[str, Any] = {
        "execution": Sampled(Elasticity()),
        "arrivals": Browsing(sessions=12.0),
        "positions": ledger,
        "reference": Fundamentals(demand=OrnsteinUhlenbeck(sigma=0.3)),
    }
    return make_market(layout, Catalogue.drawn(layout, 0, stock=stock), **(defaults | parts))


def makers(n: int = 3, k: int = 2, **parts: Any) -> Market:
    """Market makers, self-exciting orders, mid prices in geometric Brownian motion."""
    layout = Layout.dense(
        [f"maker_{i}" for i in range(n)], [f"asset_{j}" for j in range(k)], ["maker"] * n
    )
    size = layout.L
    flat = Catalogue(np.zeros(size), np.full(size, 100.0), np.zeros(size), np.zeros(size))
    defaults: dict[str, Any] = {
        "execution": FillIntensity(),
        "quotes": TwoSided(),
        "arrivals": Hawkes(mu=8.0),
        "positions": Ledger(limit=60.0, short=True, mark="reference"),
        "reference": Fundamentals(GeometricBrownian(sigma=0.02)),
        "dt": 0.25,
    }
    return make_market(layout, flat, **(defaults | parts))


def auction(n: int = 4, k: int = 2, **parts: Any) -> Market:
    """Bidders for single items; what they win is used at once for its private value."""
    layout = Layout.dense(
        [f"bidder_{i}" for i in range(n)], [f"item_{j}" for j in range(k)], ["bidder"] * n
    )
    size = layout.L
    worth = Catalogue(
        np.linspace(10.0, 90.0, size), np.full(size, 50.0), np.zeros(size), np.full(size, np.inf)
    )
    defaults: dict[str, Any] = {
        "execution": Auction("second", reserve=20.0),
        "quotes": SealedBid(high=100.0),
        "arrivals": Poisson(buy=0.0, sell=1.5),
    }
    return make_market(layout, worth, **(defaults | parts))


def differentiated(**parts: Any) -> Market:
    """Nine products of three firms in three nests: one choice over the whole market."""
    layout = Layout(
        ("a", "b", "c"),
        ("firm",) * 3,
        tuple(f"p{j}" for j in range(9)),
        np.array([0, 0, 0, 0, 1, 1, 1, 2, 2]),
        np.arange(9),
        "across",
    )
    rng = np.random.default_rng(5)
    catalogue = Catalogue(
        rng.uniform(1.0, 2.0, 9),
        rng.uniform(2.0, 4.0, 9),
        rng.random(9),
        np.full(9, 30.0),
        rng.integers(0, 3, 9),
    )
    demand = Logit(1.0, 1.5, relative=False, nesting=0.5, choice="across")
    defaults: dict[str, Any] = {
        "execution": Sampled(demand),
        "arrivals": Poisson(buy=25.0),
        "positions": Ledger(base_stock=1.0),
        "reference": Fundamentals(cost=GeometricBrownian(sigma=0.05)),
    }
    return make_market(layout, catalogue, **(defaults | parts))


def expected(**parts: Any) -> Market:
    """The repeated game of the literature: shares times mass, made to order."""
    return retail(
        **(
            {
                "stock": np.inf,
                "execution": Expected(Logit()),
                "arrivals": FixedMass(10.0),
                "positions": Ledger(),
            }
            | parts
        )
    )


KINDS = {
    "retail": retail,
    "makers": makers,
    "auction": auction,
    "differentiated": differentiated,
    "expected": expected,
}


NOISY = {"schedule": RandomMoves(0.7), "observations": MarketView(quote_delay=2, quote_noise=0.05)}


def noisy(kind: str) -> dict[str, Any]:
    """The noisy parts that a market of this kind can heed: sealed bids are not public."""
    return {"schedule": NOISY["schedule"]} if kind == "auction" else NOISY


MODELS = [
    Logit(),
    Logit(32.0, 3.0, 1.0, relative=False, outside=0.5, scale=0.25),
    Logit(1.0, 1.5, nesting=0.6),
    Elasticity(),
    Elasticity(0.8, 1.3, 2.0),
    Linear(20.0, 1.0, 0.5),
    Linear(15.0, 2.0, 1.9),
    Cheapest(),
    Cheapest(12.0, 0.05),
    ShopperTypes((Logit(), Logit(0.0, 3.0)), (0.25, 0.75), (0.0, 0.1)),
]
"""Demand models with numbers of every kind."""


def with_catalogue(market: Market, **columns: Any) -> Market:
    """The same market with other columns of its catalogue."""
    return market.with_parts(catalogue=replace(market.catalogue, **columns))
