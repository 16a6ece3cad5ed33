"""What every stage of the package keeps: the shipped suites, over markets of every kind."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from mos_agents import registry
from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson
from mos_agents.market.browsing import Browsing
from mos_agents.market.dealing import ReservationPrices
from mos_agents.market.demand import Elasticity, Linear, Logit
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.market import PARTS
from mos_agents.market.positions import Ledger
from mos_agents.market.reference import (
    Brownian,
    Fundamentals,
    JumpDiffusion,
    Replay,
    Shock,
    UniformDraw,
)
from mos_agents.market.returning import ReturningShoppers
from mos_agents.market.schedules import Alternating, Periodic
from mos_agents.scenarios import parts as _names_of_stages  # noqa: F401 (it registers them all)
from mos_agents.testing import DemandSuite, StageSuite
from tests.market.test_remembering import ReturningBuyers
from tests.market.test_venues_alone import both
from tests.market.venue_worlds import chain
from tests.market.worlds import KINDS, MODELS, auction, expected, makers, noisy, retail

MARKETS = {
    **KINDS,
    **{
        f"{kind}, delayed and noisy": lambda kind=kind: KINDS[kind](**noisy(kind)) for kind in KINDS
    },
    "makers in turn": lambda: makers(schedule=Alternating()),
    "periodic": lambda: expected(schedule=Periodic((2, 1, 3), (0, 0, 1))),
    "private values": lambda: auction(reference=Fundamentals(cost=UniformDraw(10.0, 90.0))),
    "jumps": lambda: makers(reference=Fundamentals(JumpDiffusion())),
    "money": lambda: makers(
        reference=Fundamentals(Brownian(sigma=0.5)), arrivals=Poisson(4.0, 4.0)
    ),
    "a replay and a shock": lambda: expected(
        reference=Fundamentals(
            Replay(np.linspace(15.0, 25.0, 40)[:, None], hold=True), demand=Shock(3, 2.0)
        )
    ),
    "short stock": lambda: retail(
        execution=Expected(Elasticity()), arrivals=FixedMass(30.0), stock=10.0
    ),
    "orders in crowds": lambda: retail(arrivals=Hawkes(mu=6.0), execution=Sampled(Logit())),
    "a memory": lambda: expected(arrivals=ReturningBuyers()),
    "shoppers who return": lambda: expected(
        arrivals=ReturningShoppers(FixedMass(20.0), 0.6, 3, drift=0.2, pull=0.1)
    ),
    "browsing shoppers who return": lambda: retail(
        arrivals=ReturningShoppers(Browsing(sessions=12.0), 0.5)
    ),
    "a chain whose shoppers return": lambda: chain(
        retail={"arrivals": ReturningShoppers(Poisson(20.0), 0.5, 3)}
    ),
    "two venues": both,
    "a chain": chain,
    "a chain, delivered later": lambda: chain({"delivery": 3, "order_time": "last"}),
    "reservation prices": lambda: makers(
        execution=ReservationPrices(0.9, 1.1, 0.9, 1.1), arrivals=Poisson(4.0, 4.0)
    ),
    "fees": lambda: retail(positions=Ledger(fee=0.12, unit_fee=0.1, payer="seller")),
}


@pytest.mark.parametrize("case", MARKETS)
class TestEveryMarket(StageSuite):
    @pytest.fixture(autouse=True)
    def _case(self, case):
        self.make = MARKETS[case]


def stages_of(market):
    """The classes of all parts of a market, and of what those are made of."""
    waiting = [getattr(market, name) for name in PARTS]
    while waiting:
        one = waiting.pop()
        yield type(one)
        if is_dataclass(one):
            waiting += [getattr(one, field.name) for field in fields(one)]
        elif isinstance(one, tuple):
            waiting += one


def test_every_registered_stage_is_under_this_contract():
    tried = {cls for make in MARKETS.values() for cls in stages_of(make())}
    tried |= {type(model) for model in MODELS}
    parts = ("demand", "process", *PARTS)
    registered = {
        cls
        for part in parts
        for cls in registry.table(part).values()
        if cls.__module__.startswith("mos_agents.")
    }
    assert registered <= tried


@pytest.mark.parametrize("choice", ["within", "across"])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{type(m).__name__}{MODELS.index(m)}")
class TestEveryDemandModel(DemandSuite):
    @pytest.fixture(autouse=True)
    def _case(self, model, choice):
        self.make = lambda: type(model)(**{**vars(model), "choice": choice})
        self.gives_units = isinstance(model, Linear)
