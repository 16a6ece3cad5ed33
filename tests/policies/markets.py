"""Small markets that the tests of policies, rollouts and estimates share."""

import numpy as np

from mos_agents.market.arrivals import FixedMass, Poisson
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Auction, Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice, SealedBid, TwoSided
from mos_agents.market.reference import Brownian, Fundamentals, GeometricBrownian
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.stages import Demand, Process
from mos_agents.market.types import Layout


def shop(
    sellers: int = 3,
    products: int = 2,
    sampled: bool = False,
    sized: bool = False,
    demand: Demand | None = None,
    **parts,
) -> Market:
    """Sellers of the same products at cost 10 and reference price 15, mass 20, logit demand."""
    names = [f"firm_{i + 1}" for i in range(sellers)]
    layout = Layout.dense(names, [f"p{k}" for k in range(products)], ["firm"] * sellers)
    size = layout.L
    catalogue = Catalogue(
        np.full(size, 10.0), np.full(size, 15.0), np.zeros(size), np.full(size, np.inf)
    )
    demand = demand or Logit()
    execution = Sampled(demand) if sampled else Expected(demand)
    parts = {
        "arrivals": Poisson(20.0) if sampled else FixedMass(20.0),
        "quotes": PostedPrice(
            low=5.0, high=40.0, sized=sized, size=50.0 if sized else np.inf, tick_size=0.0
        ),
        "reference": Fundamentals(price=GeometricBrownian(sigma=0.02)),
    } | parts
    return make_market(layout, catalogue, execution, **parts)


def dealers(makers: int = 2, assets: int = 1, ticks: int = 200, price=None, **parts) -> Market:
    """Makers as in Avellaneda and Stoikov (2008): mid 100, sigma 2, k 1.5, A 140, dt .005."""
    names = [f"maker_{i + 1}" for i in range(makers)]
    layout = Layout.dense(names, [f"a{k}" for k in range(assets)], ["maker"] * makers)
    size = layout.L
    catalogue = Catalogue(np.zeros(size), np.full(size, 100.0), np.zeros(size), np.zeros(size))
    parts = {
        "quotes": TwoSided(tick_size=0.0, size=1.0, max_spread=5.0),
        "arrivals": FixedMass(1.0, 1.0),
        "reference": Fundamentals(price=price or Brownian(sigma=2.0)),
        "positions": Ledger(limit=500.0, short=True, mark="reference"),
        "dt": 0.005,
        "horizon": ticks,
    } | parts
    return make_market(layout, catalogue, FillIntensity(scale=0.7, volatility_boost=0.0), **parts)


class Redrawn(Process):
    """Values redrawn each tick, uniform on [0, 1)."""

    def step(self, levels, opening, tick, dt, draws, key):
        return draws.uniforms(key, levels.shape[1])


def auction(bidders: int = 3, price: str = "first", reserve: float = 0.0, sized: bool = False):
    """One item a tick, private values uniform on [0, 1) (.5 before the first tick)."""
    names = [f"bidder_{i + 1}" for i in range(bidders)]
    layout = Layout.dense(names, ["item"], ["bidder"] * bidders)
    catalogue = Catalogue(
        np.full(bidders, 0.5), np.ones(bidders), np.zeros(bidders), np.full(bidders, np.inf)
    )
    return make_market(
        layout,
        catalogue,
        Auction(price=price, reserve=reserve),
        quotes=SealedBid(tick_size=0.0, high=10.0, sized=sized),
        arrivals=FixedMass(0.0, 1.0),
        reference=Fundamentals(cost=Redrawn()),
    )


def seen(spec: ParticipantSpec, **fields) -> np.ndarray:
    """[1, D_n] an observation from its fields; rivals are open and the rest 0 unless told."""
    row = np.zeros(spec.size)
    if "rival_open" in spec.where:
        row[spec.where["rival_open"]] = 1.0
    for name, value in fields.items():
        row[spec.where[name]] = value
    return row[None, :]


__all__ = ["MarketView", "Redrawn", "auction", "dealers", "seen", "shop"]
