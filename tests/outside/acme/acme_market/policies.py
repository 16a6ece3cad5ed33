"""A seller who asks a fixed multiple of its cost."""

from dataclasses import dataclass

import mos_agents
from mos_agents.policies.base import Deterministic, quoted


@mos_agents.register("policy", "double_cost")
@dataclass(frozen=True)
class DoubleCost(Deterministic):
    """Asks a multiple of the unit cost.

    times: the price over the cost, > 0.
    """

    times: float = 2.0

    def decide(self, spec, observation):
        return quoted(spec, spec.read(observation, "cost") * self.times)
