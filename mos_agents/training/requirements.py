"""What a training needs: packages that an installation need not have, and memory."""

from __future__ import annotations

import importlib.util

from mos_agents.learners.base import Learner
from mos_agents.market.memory import MOST_OF_MEMORY, memory
from mos_agents.market.types import InputError
from mos_agents.training.assignment import PolicyAssignment, TrainingAssignment
from mos_agents.training.hosted_learners import innermost
from mos_agents.training.plan import CAPACITY
from mos_agents.trees import named

NEEDED = ("torch", "dm_tree", "tensorboard")
_MODULES = {"dm_tree": "tree"}


def check_packages() -> None:
    """InputError in one line where a package is not there."""
    for name in NEEDED:
        if importlib.util.find_spec(_MODULES.get(name, name)) is None:
            raise InputError(
                f"training needs {name}, which is not installed: make train-env, or "
                'pip install "mos-agents[train]"'
            )


def check_memory(assignment: TrainingAssignment, workers: bool = False) -> None:
    """InputError unless a training fits in this machine's memory, as far as can be estimated.

    workers: whether they play on this machine too; without, only what the learner itself needs.
    """
    plan = assignment.plan
    fixed = plan.evaluation_markets * market_bytes(assignment) * bool(plan.evaluate_every)
    if plan.algo in ("dqn", "sac"):
        fixed += CAPACITY * sum(len(p.agents) * (8 * p.size + 24) for p in assignment.policies)
    runners = max(1, plan.workers)
    each = runners * fragment_bytes(assignment)
    if workers or not plan.workers:
        each += runners * (market_bytes(assignment) + hosted_bytes(assignment))
    there = MOST_OF_MEMORY * memory()
    needed = fixed + plan.markets * each
    if needed <= there:
        return
    fit = int((there - fixed) / each)
    remedy = f"train in at most {fit:,} markets, or with" if fit > 0 else "train with"
    less = "ticks" if fit > 0 else "evaluation_markets, ticks or agents"
    raise InputError(
        f"markets={plan.markets}: a training in so many takes about {needed / 1e9:,.1f} GB, and "
        f"{MOST_OF_MEMORY:.0%} of this machine's memory are {there / 1e9:,.1f} GB; {remedy} fewer "
        f"{less}"
    )


def market_bytes(assignment: TrainingAssignment) -> int:
    """Bytes of a market while it is played: its state twice, and what a tick hands out."""
    market = assignment.playing
    state = sum(array.nbytes for _, array in named(market.start(1)))
    seen = sum(spec.size for spec in market.specs)
    size = 32 * market.layout.L + 64 * market.layout.N
    return 2 * state + 8 * (3 * seen + size)


def hosted_bytes(assignment: TrainingAssignment) -> int:
    """Bytes of the tables that learners among the others keep for a market, and of their copies in
    a checkpoint."""
    own = [
        (spec, innermost(assignment.participants.policies[spec.name]))
        for spec in assignment.participants.hosted
    ]
    return 2 * sum(p.memory_needed(spec, 1) for spec, p in own if isinstance(p, Learner))


def fragment_bytes(assignment: TrainingAssignment) -> int:
    """Bytes of what is kept of a market until it is learnt from, and of its copies there."""
    plan = assignment.plan
    # DQN and SAC put it by and learn from few at a time.
    hidden = 0 if plan.algo in ("dqn", "sac") else sum(plan.hidden)
    return plan.fragment * sum(len(p.agents) * _row(p, hidden) for p in assignment.policies)


def _row(policy: PolicyAssignment, hidden: int) -> int:
    """Of one agent's tick: seen, done and earned, and what layers of so many units make of it."""
    outputs = policy.low.size * max(2, policy.levels)
    return 12 * policy.size + 16 * outputs + 4 * hidden + 64
