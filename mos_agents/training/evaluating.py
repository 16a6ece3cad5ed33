"""How the trained do without exploring: an episode in markets of their own, as plain policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mos_agents.learners.network import Network
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.market.faults import Fault
from mos_agents.policies.base import Policy
from mos_agents.rollout import Table, turns
from mos_agents.training import hosted
from mos_agents.training.seats import Seats


def everybody(
    seats: Seats, networks: Mapping[str, Network], memories: Mapping[str, Any] | None = None
) -> tuple[dict[str, Policy], int]:
    """What every participant plays, and in how many markets.

    Learners play their networks. memories: of those among the others who learn by themselves; they
    play them and learn no more, each market its own, in as many as they have learnt in. Others who
    learn begin anew.
    """
    kept = memories or {}
    learnt = hosted.played(seats, kept)
    trained = {
        agent: TrainedNetwork.of(networks[p.name]) for p in seats.policies for agent in p.agents
    }
    count = hosted.markets(seats, kept) if learnt else seats.plan.evaluation_markets
    return {**seats.seating.policies, **learnt, **trained}, count


def evaluated(
    seats: Seats, networks: Mapping[str, Network], memories: Mapping[str, Any] | None = None
) -> tuple[dict[str, float], tuple[Fault, ...]]:
    """Mean reward per tick and market of each learner over one episode, the same luck each time;
    and what policies did wrong in it."""
    return _earned(seats, *everybody(seats, networks, memories))


def without_training(seats: Seats) -> dict[str, float]:
    """What each learner's own policy in the scenario earns in the markets of an evaluation, before
    the same luck; of those whose policies do not learn by themselves."""
    policies = seats.plan.scenario.policies()
    own = [agent for agent in seats.agents if not hosted.learns(policies[agent])]
    if not own:
        return {}
    found, _ = _earned(seats, {**policies, **seats.seating.policies}, seats.plan.evaluation_markets)
    return {agent: found[agent] for agent in own}


def _earned(
    seats: Seats, policies: Mapping[str, Policy], markets: int
) -> tuple[dict[str, float], tuple[Fault, ...]]:
    market, seed = seats.playing, seats.seed("evaluation")
    total, ticks = np.zeros(market.layout.N), 0
    table = Table.of(market, policies, seed, markets, on_fault="hold")
    for turn in turns(market, policies, seed=seed, markets=markets, table=table):
        total += turn.step.reward.mean(axis=0)
        ticks += 1
    names = market.layout.participants
    earned = {agent: float(total[names.index(agent)]) / ticks for agent in seats.agents}
    return earned, tuple(table.faults.values())
