"""How acme's customers come and choose."""

from dataclasses import dataclass

import numpy as np

import mos_agents
from mos_agents.market.arrivals import Poisson
from mos_agents.market.stages import Demand


@mos_agents.register("demand", "acme_patient")
@dataclass(frozen=True)
class AcmePatient(Demand):
    """Shoppers who visit one seller at random, and buy less the dearer it is.

    patience: share of shoppers who buy at half the reference price, > 0, <= 1.
    """

    patience: float = 0.5
    choice = "within"

    def shares(self, market, prices, available, reference):
        wanted = (1.5 - prices / reference) * self.patience
        return (available * wanted).clip(0.0, 1.0) / market.layout.N


@mos_agents.register("arrivals", "acme_returning")
@dataclass(frozen=True)
class AcmeReturning(Poisson):
    """Buyers leave for good once they have bought: fewer come the more was sold.

    tired: share of demand that is lost for each unit sold, >= 0.
    """

    tired: float = 0.001

    def memory(self, market):
        return {"sold": np.zeros(market.layout.G), "ticks": np.zeros((), np.int64)}

    def arrive(self, market, state, quotes, draws):
        left = np.exp(-self.tired * state.memory["sold"])
        fewer = state._replace(demand_scale=state.demand_scale * left)
        return super().arrive(market, fewer, quotes, draws)

    def remember(self, market, state, info, draws):
        sold = state.memory["sold"].copy()
        for listing, group in enumerate(market.layout.group):
            sold[:, group] += info.executions.sold[:, listing]
        return {"sold": sold, "ticks": state.memory["ticks"] + 1}
