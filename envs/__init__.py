"""Environments for training: a PettingZoo environment per scenario, and batches of markets.

Importing this package adds them to PettingZoo's registry, in both of its interfaces:
`pettingzoo.make("parallel", "mos_agents/retail_v0", firms=1)`.
"""

from pettingzoo import aec_registry, parallel_registry, register

MODULES = ("retail_v0", "market_making_v0", "auction_v0", "marketplace_v0")

for _module in MODULES:
    _id = f"mos_agents/{_module.replace('_v', '-v')}"
    if _id not in parallel_registry:  # PettingZoo warns of a name that is entered twice
        register("parallel", _id, f"envs.{_module}:parallel_env")
    if _id not in aec_registry:
        register("aec", _id, f"envs.{_module}:env")
