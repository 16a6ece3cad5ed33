"""Shoppers of several types, each with a demand model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.market.checks import within_floats
from mos_agents.market.demand import Linear, Logit
from mos_agents.market.market import Market
from mos_agents.market.stages import Demand
from mos_agents.market.types import Array, InputError

ROUNDING = 1e-9


@dataclass(frozen=True)
@within_floats
class ShopperTypes(Demand):
    """Shoppers of several types, each of whom chooses by a demand model of its own.

    The type of an arrival is drawn, and nobody is told it. Types of logit demand that differ in
    what a unit of price or quality is worth to them are random coefficients with few values
    (McFadden and Train, Journal of Applied Econometrics 15(5), 2000).

    Parameters
    ----------
    types : tuple of Demand
        how each type chooses. Their own `choice` is left out.
    weights : tuple of float
        share of the shoppers that each type is; they add up to 1.
    search_costs : tuple of float
        what looking at the offers costs each type, in money, as if each offer were dearer by so
        much; nothing by default.
    choice : str
        what a customer compares: "within" the sellers of one product, or "across" all offers.
    """

    types: tuple[Demand, ...] = (Logit(), Logit(price_coefficient=3.0))
    weights: tuple[float, ...] = (0.5, 0.5)
    search_costs: tuple[float, ...] = ()
    choice: str = "within"

    def __post_init__(self) -> None:
        if self.choice not in ("within", "across"):
            raise InputError(f"choice={self.choice!r} must be 'within' or 'across'")
        for one in self.types:
            if not isinstance(one, Demand) or isinstance(one, ShopperTypes):
                raise InputError(f"types={type(one).__name__}: each must be a plain demand model")
            if one.choice == "across" and self.choice == "within":
                raise InputError(
                    f"types: {type(one).__name__} has choice='across', and the types together "
                    "have 'within': set choice beside types"
                )
        if len(self.types) < 2:
            raise InputError(f"types: {len(self.types)} given, must be 2 or more")
        if len({isinstance(one, Linear) for one in self.types}) > 1:
            raise InputError(
                "types: linear demand gives units and other models give chances; take one of them"
            )
        for name in ("weights", "search_costs"):
            numbers = getattr(self, name)
            if len(numbers) != len(self.types) and (numbers or name == "weights"):
                raise InputError(
                    f"{name}={list(numbers)} must have {len(self.types)} numbers, one for each type"
                )
            if not all(0.0 <= one < np.inf for one in numbers):
                raise InputError(f"{name}={list(numbers)} must be >= 0")
        if abs(sum(self.weights) - 1.0) > ROUNDING:
            raise InputError(
                f"weights={list(self.weights)} add up to {sum(self.weights):.10g}, not 1"
            )

    def shares(self, market: Market, prices: Array, available: Any, reference: Array) -> Array:
        together = np.zeros(prices.shape)
        for one, weight, cost in self._each():
            seen = prices + cost if cost else prices
            together += weight * one.shares(market, seen, available, reference)
        return together

    def surplus(
        self, market: Market, prices: Array, available: Any, reference: Array
    ) -> Array | None:
        """The mean of the types' surpluses, search costs taken off; None where a type has none."""
        together = np.zeros((len(prices), market.layout.G))
        for one, weight, cost in self._each():
            seen = prices + cost if cost else prices
            worth = one.surplus(market, seen, available, reference)
            if worth is None:
                return None
            together += weight * worth
        return together

    def _each(self) -> Iterator[tuple[Demand, float, float]]:
        """Each type's demand model, its weight, and its search cost."""
        costs = self.search_costs or (0.0,) * len(self.types)
        return zip(self.types, self.weights, costs, strict=True)
