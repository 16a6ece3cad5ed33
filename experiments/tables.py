"""Findings as tables: aligned text, JSON, CSV and LaTeX, of one experiment or of several."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from scipy import stats

from experiments.replication import Finding, notes
from mos_agents.analysis.interval_text import four_digits, limits_text

COLUMNS = ("experiment", "quantity", "published", "ours", "low", "high", "within", "source")
"""The columns of a CSV file."""


def table(findings: Sequence[Finding]) -> list[tuple[str, str, str, str, str, str]]:
    """Rows of texts: quantity, published, ours, 95% interval, within, source."""
    rows = []
    for one in findings:
        low = one.ci95[0]
        rows.append(
            (
                one.quantity,
                "-" if one.published is None else f"{one.published:.6g}",
                ("at least " if one.at_least else "") + f"{one.ours:.6g}",
                "exact" if one.computed else "-" if math.isnan(low) else _limits(one),
                {None: "-", True: "yes", False: "NO"}[one.within],
                one.source or "-",
            )
        )
    return rows


def _limits(one: Finding) -> str:
    """[0.84, 0.87]; of figures that are all alike the number of sessions, not a width of 0."""
    low, high = one.ci95
    if low == high:
        return f"the same in all {one.sessions:,}" if one.sessions else four_digits(low)
    return limits_text(low, high, end=one.end if math.isinf(high) else math.inf)


def published_only(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that have a published figure."""
    return [one for one in findings if one.published is not None]


def judged_together(tables: Mapping[str, Sequence[Finding]]) -> dict[str, list[Finding]]:
    """Findings of several experiments, judged so that one in twenty *sets* may be off by chance.

    Each experiment alone holds its J figures to the level .05 / J. Here J counts all of them.
    """
    judged = [f for found in tables.values() for f in found if f.within is not None]
    limit = float(stats.norm.ppf(1.0 - 0.025 / max(len(judged), 1)))

    def again(one: Finding) -> Finding:
        return one if one.within is None else replace(one, within=one.agrees(limit))

    return {name: [again(one) for one in found] for name, found in tables.items()}


def record(name: str, settings: Any, findings: Sequence[Finding]) -> dict[str, Any]:
    """An experiment as JSON has it: the settings, its conventions, and a record a quantity."""
    made: dict[str, Any] = {"experiment": name, "settings": asdict(settings)}
    if told := notes(name, settings):
        made["notes"] = told
    rows = [asdict(one) for one in findings]
    for row in rows:  # JSON has no word for what is not a number
        for key in ("computed", "sessions", "end", "z"):
            del row[key]
        if not row["at_least"]:
            del row["at_least"]
        row["ci95"] = [bound if math.isfinite(bound) else None for bound in row["ci95"]]
    return made | {"results": rows}


def as_json(name: str, settings: Any, findings: Sequence[Finding]) -> str:
    """The form that all experiments write."""
    return json.dumps(record(name, settings, findings), indent=2, allow_nan=False) + "\n"


def as_csv(tables: Mapping[str, Sequence[Finding]]) -> str:
    """Findings by experiment as CSV, with the columns `COLUMNS`.

    Numbers have all their digits. A cell is empty where there is no number.
    """
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, found in tables.items():
        for one in found:
            low, high = (bound if math.isfinite(bound) else "" for bound in one.ci95)
            within = {None: "", True: "yes", False: "no"}[one.within]
            published = "" if one.published is None else one.published
            writer.writerow(
                (name, one.quantity, published, one.ours, low, high, within, one.source or "")
            )
    return held.getvalue()


def as_latex(tables: Mapping[str, Sequence[Finding]]) -> str:
    r"""Findings by experiment as a LaTeX `tabular`, without packages.

    Every word is escaped, so that names and sources stay text.
    """
    lines = [
        r"\begin{tabular}{llrrrl}",
        r"\hline",
        r"experiment & quantity & published & ours & 95\% interval & within \\",
        r"\hline",
    ]
    for name, found in tables.items():
        for i, row in enumerate(table(found)):
            cells = [name if i == 0 else "", *row[:5]]
            lines.append(" & ".join(map(_escaped, cells)) + r" \\")
        lines.append(r"\hline")
    return "\n".join([*lines, r"\end{tabular}", ""])


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {mark: f"\\{mark}" for mark in "&%$#_{}"}


def _escaped(text: str) -> str:
    made = "".join(_LATEX.get(mark, mark) for mark in text)
    return f"{{{made}}}" if made.startswith("[") else made  # not the option of a line break
