"""Shoppers who wait for a price below what they hold for normal."""

from dataclasses import dataclass

import mos_agents
from mos_agents.market.stages import Demand
from mos_agents.market.types import InputError


@mos_agents.register("demand", "patient")
@dataclass(frozen=True)
class Patient(Demand):
    """Shoppers who buy from any seller, and the less the dearer it is.

    patience: share of shoppers who would buy at half the reference price, > 0, <= 1.
    """

    patience: float = 0.5
    choice = "within"

    def __post_init__(self) -> None:
        if not 0.0 < self.patience <= 1.0:
            raise InputError(f"patience={self.patience!r} must be > 0 and at most 1")

    def shares(self, market, prices, available, reference):
        wanted = (available * (1.5 - prices / reference) * self.patience).clip(0.0, 1.0)
        return wanted / market.layout.N
