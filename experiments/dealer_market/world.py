"""The dealer market of the study: one asset, self-exciting order flow, makers who share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mos_agents import scenarios
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array
from mos_agents.policies.base import Deterministic, check_fits, check_number, quoted
from mos_agents.scenarios import Scenario


@dataclass(frozen=True)
class DealerWorld:
    """Makers of one asset whose mid price is an arithmetic Brownian motion.

    makers: how many share the flow. gamma: risk aversion, per money: a maker's reward of a tick is
    what it captures of the spread less gamma / 2 (sigma q)^2 dt. That is its profit less the risk,
    without the gains and losses of what it holds: the mid price being a martingale they are nothing
    on average, and would drown the rest. sigma: money per square root of time. mu, alpha, beta:
    Hawkes flow, orders per unit of time and side. size: mean units an order. kappa: decay of an
    order's willingness to trade, per money. ticks: of an episode; dt: time a tick.
    """

    makers: int = 2
    gamma: float = 0.005
    sigma: float = 2.0
    mu: float = 20.0
    alpha: float = 0.5
    beta: float = 1.0
    size: float = 10.0
    kappa: float = 1.5
    ticks: int = 200
    dt: float = 0.01

    def __post_init__(self) -> None:
        check_whole("makers", self.makers, 1, 16)
        check_real("gamma", self.gamma, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """The makers."""
        return tuple(f"maker_{i + 1}" for i in range(self.makers))

    def scenario(self) -> Scenario:
        """The market as a scenario; every maker plays Avellaneda and Stoikov's quotes in it."""
        changes = {
            "name": "dealer_market",
            "ticks": self.ticks,
            "dt": self.dt,
            "instruments": 1,
            "makers": self.makers,
            "catalogue.reference_price": 100.0,
            "quotes.max_spread": 3.0,
            "quotes.max_offset": 1.0,
            "quotes.size": 1000.0,
            "arrivals.mu": self.mu,
            "arrivals.alpha": self.alpha,
            "arrivals.beta": self.beta,
            "arrivals.mean_size": self.size,
            "execution.kappa": self.kappa,
            "execution.volatility_boost": 0.0,
            "positions.limit": 2000.0,
            "observations.relative": True,
        }
        settings = [f"{key}={scenarios.inline(value)}" for key, value in changes.items()]
        made = scenarios.override(scenarios.load("market_making"), settings)
        record: dict[str, Any] = made.model_dump()
        record["reference"]["price"] = {"kind": "brownian", "sigma": self.sigma}
        record["rewards"]["weights"] = {
            "spread_capture": 1.0,
            "inventory_risk": -self.gamma * self.dt,
        }
        for one in record["participants"]:
            one["policy"] = {"kind": "avellaneda_stoikov", "gamma": max(self.gamma, 1e-12)}
        return Scenario.model_validate(record)


@dataclass(frozen=True)
class Leaning(Deterministic):
    """A spread around a middle that leans against the inventory: offset = -lean x inventory.

    spread: money. lean: money per unit held. The optimum among these, found by search, is the
    yardstick for a maker alone: in the infinite horizon the optimal quotes are near to it (Gueant,
    Lehalle and Fernandez-Tapia 2013).
    """

    kind: ClassVar[str] = "leaning"

    spread: float = 1.0
    lean: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "spread", 0.0)
        check_number(self, "lean", 0.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "offset", "inventory")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        inventory = spec.read(observation, "inventory")
        return quoted(spec, -self.lean * inventory, np.full(inventory.shape, self.spread))
