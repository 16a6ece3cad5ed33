"""What participants can do by themselves: rules of thumb, dealers' quotes, bids, exploration."""

from mos_agents.policies import bidding, exploration, market_making, ordering, rules
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
    "rules",
]
