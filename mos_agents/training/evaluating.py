"""How the trained do without exploring: an episode in markets of their own, as plain policies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mos_agents.learners.network import Network
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.policies.base import Policy, from_spec
from mos_agents.rollout import play
from mos_agents.training.seats import Seats


def table(seats: Seats, networks: Mapping[str, Network]) -> dict[str, Policy]:
    """What every participant plays: the learners their networks, the others their own."""
    plan = seats.plan
    others = {name: from_spec(policy) for name, policy in plan.policies.items()}
    trained = {
        agent: TrainedNetwork.of(networks[p.name]) for p in seats.policies for agent in p.agents
    }
    return {**plan.scenario.policies(), **others, **trained}


def evaluated(
    seats: Seats, networks: Mapping[str, Network], markets: int | None = None
) -> dict[str, float]:
    """Mean reward per tick and market of each learner over one episode, the same luck each time.

    Learners among the others begin anew in it: it is the networks that are looked at.
    """
    market = seats.playing
    count = seats.plan.evaluation_markets if markets is None else markets
    total, ticks = np.zeros(market.layout.N), 0
    for step in play(market, table(seats, networks), seed=seats.seed("evaluation"), markets=count):
        total += step.reward.mean(axis=0)
        ticks += 1
    names = market.layout.participants
    return {agent: float(total[names.index(agent)]) / ticks for agent in seats.agents}
