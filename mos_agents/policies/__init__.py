"""What participants do by themselves: rules, dealers' quotes, bids, orders, fees, exploration."""

from mos_agents.policies import (
    bidding,
    exploration,
    market_making,
    ordering,
    platform,
    rules,
    static_nash,
)
from mos_agents.policies.base import POLICIES, Policy, from_config, make, register, to_config

__all__ = [
    "POLICIES",
    "Policy",
    "from_config",
    "make",
    "register",
    "to_config",
    "bidding",
    "exploration",
    "market_making",
    "ordering",
    "platform",
    "rules",
    "static_nash",
]
