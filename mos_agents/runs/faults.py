"""What a run's policies did wrong, from its run.json: the first lines of every summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mos_agents.market.faults import FAULTS_OF, Fault, headline

LOST = ("failed", "late", "misaddressed", "not finite")
"""Of what actors are counted for: the decisions that came to nothing."""


def fault_facts(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """Write faults as plain data for run.json.

    Parameters
    ----------
    faults : iterable of Fault
        The faults.

    Returns
    -------
    list of dict
        A mapping for each fault.
    """
    return [fault._asdict() for fault in faults]


def lost_by(faults: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Decisions lost by participant, and the first tick. Words and lines of code are left out: they
    are another's where the code was moved, or names an address in memory."""
    found: dict[str, tuple[int, int]] = {}
    for one in faults:
        lost, first = found.get(one["participant"], (0, one["first_tick"]))
        found[one["participant"]] = lost + one["decisions"], min(first, one["first_tick"])
    return found


def fault_lines(facts: Mapping[str, Any]) -> list[str]:
    """Describe the faults of a run, a line for each participant whose policy failed.

    Parameters
    ----------
    facts : mapping
        The content of run.json. An interrupted run has no faults there yet.

    Returns
    -------
    list of str
        The lines, the participant with the most faults first.
    """
    each = int(facts["ticks"]) * int(facts["markets"])
    if facts.get("faults"):
        return headline([Fault(**fault) for fault in facts["faults"]], each)
    withdrawn = set(facts.get("withdrawn") or ())
    lines = []
    for name, counts in (facts.get("trouble") or {}).items():
        kinds = {kind: counts[kind] for kind in LOST if counts.get(kind)}
        if not kinds and name not in withdrawn:
            continue
        text = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items()) or "none failed"
        ended = "; withdrawn" if name in withdrawn else ""
        total = sum(kinds.values())
        why = (facts.get("reasons") or {}).get(name)
        first = f", first: {why}" if why else ""
        line = f"{FAULTS_OF} {name}: {total:,} of {each:,} decisions lost ({text}){ended}{first}"
        lines.append((total, line))
    return [line for _, line in sorted(lines, key=lambda pair: -pair[0])]
