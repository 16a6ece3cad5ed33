"""One of everything that can be added to MOS Agents from outside."""

from pathlib import Path

import mos_agents
from acme_market import demand, policies

mos_agents.register("scenario", "corner_shop", Path(__file__).with_name("corner_shop.yaml"))

__all__ = ["demand", "policies"]
