"""Benchmarks of a supply chain: fees, retailers and makers above shoppers, dealers with stock.

Each is a closed form, or one root of its first-order condition, found to rounding.
"""

from mos_agents.market.equilibrium.chain.dealers import (
    DealerQuotes,
    amihud_mendelson,
    constant_quotes_profit,
)
from mos_agents.market.equilibrium.chain.fees import (
    FeeEquilibrium,
    best_commission,
    best_unit_fee,
    fee_equilibrium,
    fee_pass_through,
    hybrid_equilibrium,
    linear_fee_equilibrium,
    prominence_equilibrium,
)
from mos_agents.market.equilibrium.chain.logit_chain import LogitChain, WholesaleEquilibrium
from mos_agents.market.equilibrium.chain.of_market import best_platform_fee, chain_equilibrium
from mos_agents.market.equilibrium.chain.spengler import LinearChain, linear_chain
from mos_agents.market.equilibrium.chain.stocks import (
    OrderUpTo,
    StockFlow,
    base_stock,
    birth_death_stock,
)

__all__ = [
    "DealerQuotes",
    "FeeEquilibrium",
    "LinearChain",
    "LogitChain",
    "OrderUpTo",
    "StockFlow",
    "WholesaleEquilibrium",
    "amihud_mendelson",
    "base_stock",
    "best_commission",
    "best_platform_fee",
    "best_unit_fee",
    "birth_death_stock",
    "chain_equilibrium",
    "constant_quotes_profit",
    "fee_equilibrium",
    "fee_pass_through",
    "hybrid_equilibrium",
    "linear_chain",
    "linear_fee_equilibrium",
    "prominence_equilibrium",
]
