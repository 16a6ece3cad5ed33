"""Benchmarks of theory: Bertrand-Nash prices and joint-profit prices of a market.

`bertrand_nash`, `joint_profit`, `best_response` and `benchmarks` take a `Market` with any demand
model; `LogitMarket` is the textbook's logit oligopoly by itself, with its derivatives.
"""

from mos_agents.market.equilibrium.logit import (
    EquilibriumError,
    LogitMarket,
    PriceSolution,
    mean_utilities,
)
from mos_agents.market.equilibrium.pricing import (
    MarketPrices,
    PriceBenchmarks,
    benchmarks,
    bertrand_nash,
    best_response,
    joint_profit,
)
from mos_agents.market.equilibrium.stage import stage_profits

__all__ = [
    "EquilibriumError",
    "LogitMarket",
    "MarketPrices",
    "PriceBenchmarks",
    "PriceSolution",
    "benchmarks",
    "bertrand_nash",
    "best_response",
    "joint_profit",
    "mean_utilities",
    "stage_profits",
]
