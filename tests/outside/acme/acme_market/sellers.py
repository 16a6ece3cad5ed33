"""How acme's sellers price."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import mos_agents
from mos_agents.learners.base import TabularLearner, best_of, explored
from mos_agents.market.types import Array
from mos_agents.policies.base import Deterministic, quoted


@mos_agents.register("policy", "acme_double")
@dataclass(frozen=True)
class AcmeDouble(Deterministic):
    """A price that is a multiple of the unit cost.

    times: the price over the cost, > 0.
    """

    times: float = 2.0

    def decide(self, spec, observation):
        return quoted(spec, spec.read(observation, "cost") * self.times)


class AcmeTables(NamedTuple):
    value: Array  # [rows, prices] fading mean of the rewards


@mos_agents.register("learner", "acme_loyal")
@dataclass(frozen=True)
class AcmeLoyal(TabularLearner):
    """Asks the price that has paid best lately, and tries others now and then.

    epsilon: chance to try any price, in [0, 1].
    """

    epsilon: float = 0.1

    def tables(self, batch, choices, states):
        return AcmeTables(np.zeros((batch * choices * states, self.grid.size)))

    def correct(self, tables, moves):
        at = moves.row, moves.level
        tables.value[at] = 0.8 * tables.value[at] + 0.2 * moves.mean

    def chances(self, tables, rows, at):
        return explored(self.strategy(tables, rows), self.epsilon)

    def strategy(self, tables, rows):
        return best_of(tables.value[rows])
