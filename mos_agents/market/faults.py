"""Faults of policies as plain records: counted, added up, and described in lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

NOT_FINITE = "not a finite number"
FAULTS_OF = "FAULTS of"
"""How a line about faults begins, wherever it is printed."""

KINDS = 100
"""Kinds of fault that are kept apart; those after them are counted together."""


class Fault(NamedTuple):
    """A kind of fault of a policy, and how often it occurred.

    Parameters
    ----------
    participant : str
        The participant's name.
    reason : str
        The exception's class and text, or what was wrong with the action.
    first_tick : int
        The tick at which it first occurred.
    decisions : int
        Markets times ticks in which the participant made no usable action.
    """

    participant: str
    reason: str
    first_tick: int
    decisions: int

    @property
    def kind(self) -> str:
        """The class of the exception, or what was wrong with the action."""
        if self.reason.startswith(("action ", "act ")):
            return "wrong action"
        name = self.reason.split(" ")[0].rstrip(":")
        return name if name.isidentifier() and name[0].isupper() else self.reason


Faults = dict[tuple[str, str], Fault]


def count(faults: Faults, participant: str, reason: str, tick: int, decisions: int) -> None:
    """Add to the faults, in place."""
    # Messages may hold anything, a counter even: after the first few kinds they are one.
    if (participant, reason) not in faults and len(faults) >= KINDS:
        reason = "other failures"
    one = faults.get((participant, reason), Fault(participant, reason, tick, 0))
    faults[participant, reason] = one._replace(decisions=one.decisions + decisions)


def headline(faults: Iterable[Fault], decisions: int = 0) -> list[str]:
    """A line for each participant whose policy failed, the worst first, by kinds of fault.

    decisions: how many each participant had, where they are to be reported.
    """
    by_name: dict[str, list[Fault]] = {}
    for fault in faults:
        by_name.setdefault(fault.participant, []).append(fault)
    lines = []
    for name, found in sorted(by_name.items(), key=lambda item: -lost(item[1])):
        first = min(found, key=lambda fault: fault.first_tick)
        of = f" of {decisions:,}" if decisions else ""
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in by_kind(found).items())
        lines.append(
            f"{FAULTS_OF} {name}: {lost(found):,}{of} decisions lost ({kinds}), first at tick "
            f"{first.first_tick:,}: {first.reason}"
        )
    return lines


def added_up(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """The faults of several plays, those of one participant and reason together."""
    found: Faults = {}
    for one in faults:
        count(found, one.participant, one.reason, one.first_tick, one.decisions)
    return tuple(found.values())


def lost(faults: Iterable[Fault]) -> int:
    """Decisions that came to nothing."""
    return sum(fault.decisions for fault in faults)


def by_kind(faults: Iterable[Fault]) -> Mapping[str, int]:
    """Decisions lost by kind of fault, the most frequent first."""
    found: dict[str, int] = {}
    for fault in faults:
        found[fault.kind] = found.get(fault.kind, 0) + fault.decisions
    return dict(sorted(found.items(), key=lambda item: -item[1]))
