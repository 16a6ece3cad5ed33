"""One of everything that can be added to MOS Agents from outside, as a package."""

from pathlib import Path

import mos_agents
from acme_market import buyers, sellers

mos_agents.register("scenario", "acme_shop", Path(__file__).with_name("acme_shop.yaml"))

__all__ = ["buyers", "sellers"]
