"""Letting a market run.

`play` is the one loop. `rollout` adds up what came of it, `compare_policies` sets policies against
each other with the same random numbers, `forced_deviation` makes a firm change its price and keeps
what the others do, and `log_decisions` keeps what off-policy evaluation needs.
"""

from mos_agents.market.faults import Fault
from mos_agents.policies.guard import ON_FAULT, PolicyFault
from mos_agents.rollout.comparing import Compared, Comparison, compare_policies, mean_interval
from mos_agents.rollout.decisions import Decisions, log_decisions
from mos_agents.rollout.episode import ParticipantPool, Transition, play, transitions
from mos_agents.rollout.forcing import forced_deviation
from mos_agents.rollout.outcome import SERIES, Rollout, rollout
from mos_agents.rollout.trials import exploration_of, tried_paths

__all__ = [
    "ON_FAULT",
    "SERIES",
    "Compared",
    "Comparison",
    "Decisions",
    "Fault",
    "PolicyFault",
    "Rollout",
    "ParticipantPool",
    "Transition",
    "compare_policies",
    "exploration_of",
    "forced_deviation",
    "log_decisions",
    "mean_interval",
    "play",
    "rollout",
    "transitions",
    "tried_paths",
]
