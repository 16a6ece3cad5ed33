"""How the trained do without exploring: an episode in markets of their own, as plain policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mos_agents.learners.network import Network
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.market.faults import Fault
from mos_agents.policies.base import Policy
from mos_agents.rollout import ParticipantPool, transitions
from mos_agents.training import hosted
from mos_agents.training.assignment import TrainingAssignment


def everybody(
    assignment: TrainingAssignment,
    networks: Mapping[str, Network],
    memories: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Policy], int]:
    """What every participant plays, and in how many markets.

    Learners play their networks. memories: of those among the others who learn by themselves; they
    play them and learn no more, each market its own, in as many as they have learnt in. Others who
    learn begin anew.
    """
    kept = memories or {}
    learnt = hosted.played(assignment, kept)
    trained = {
        agent: TrainedNetwork.of(networks[p.name])
        for p in assignment.policies
        for agent in p.agents
    }
    count = hosted.markets(assignment, kept) if learnt else assignment.plan.evaluation_markets
    return {**assignment.participants.policies, **learnt, **trained}, count


def evaluated(
    assignment: TrainingAssignment,
    networks: Mapping[str, Network],
    memories: Mapping[str, Any] | None = None,
) -> tuple[dict[str, float], tuple[Fault, ...]]:
    """Mean reward per tick and market of each learner over one episode, the same random numbers
    each time; and what policies did wrong in it."""
    return _earned(assignment, *everybody(assignment, networks, memories))


def without_training(assignment: TrainingAssignment) -> dict[str, float]:
    """What each learner's own policy in the scenario earns in the markets of an evaluation, with
    the same random numbers; of those whose policies do not learn by themselves."""
    policies = assignment.plan.scenario.policies()
    own = [agent for agent in assignment.agents if not hosted.learns(policies[agent])]
    if not own:
        return {}
    found, _ = _earned(
        assignment,
        {**policies, **assignment.participants.policies},
        assignment.plan.evaluation_markets,
    )
    return {agent: found[agent] for agent in own}


def _earned(
    assignment: TrainingAssignment, policies: Mapping[str, Policy], markets: int
) -> tuple[dict[str, float], tuple[Fault, ...]]:
    market, seed = assignment.playing, assignment.seed("evaluation")
    total, ticks = np.zeros(market.layout.N), 0
    pool = ParticipantPool.of(market, policies, seed, markets, on_fault="hold")
    for transition in transitions(market, policies, seed=seed, markets=markets, pool=pool):
        total += transition.step.reward.mean(axis=0)
        ticks += 1
    names = market.layout.participants
    earned = {agent: float(total[names.index(agent)]) / ticks for agent in assignment.agents}
    return earned, tuple(pool.faults.values())
