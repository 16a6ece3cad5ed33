"""What went wrong inside policies: counted, told, and nobody else's trouble."""

from __future__ import annotations

from typing import NamedTuple

KINDS = 100
"""Kinds of fault told apart; what comes after them is counted together."""


class Fault(NamedTuple):
    """What went wrong inside a policy, and how often."""

    participant: str
    reason: str
    first_tick: int
    decisions: int  # markets times ticks in which the participant made no usable action


Faults = dict[tuple[str, str], Fault]


def count(faults: Faults, participant: str, reason: str, tick: int, decisions: int) -> None:
    """Add to the faults, in place."""
    # Messages may hold anything, a counter even: after the first few kinds they are one.
    if (participant, reason) not in faults and len(faults) >= KINDS:
        reason = "other failures"
    one = faults.get((participant, reason), Fault(participant, reason, tick, 0))
    faults[participant, reason] = one._replace(decisions=one.decisions + decisions)
