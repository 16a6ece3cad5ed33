"""The study's pictures: prices with the wars shaded and what force does; effects with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.price_wars.outcomes import DEFINITION, benchmarks
from mos_agents.analysis.price_wars import episodes
from mos_agents.runs.files import write_whole

if TYPE_CHECKING:
    from experiments.price_wars.study import WarStudy

SHOWN = {
    "wars": "wars per 1000 ticks",
    "wars_learning": "… while exploring",
    "rpdi": "price level, 0 to 1",
}
TITLES = {
    "down_once": "forced down, one move",
    "down_for_good": "forced down for good",
    "up_once": "forced up, one move",
    "up_for_good": "forced up for good",
}
LOOK = 200
"""Ticks of a path that is shown."""


def draw(found: WarStudy, folder: Path) -> list[Path]:
    """Write the pictures into the folder; their paths."""
    from mos_agents.report import price_wars as drawn

    lived = found.lived["base"]
    known, learning = benchmarks(lived), int(lived["learning"])
    late = lived.paths("prices")[learning:]
    under = episodes(late, known.price_nash, known.price_joint, DEFINITION)
    marks = {"competitive": float(known.price_nash[0]), "joint profit": float(known.price_joint[0])}
    panels = []
    products, names = lived["prices"].shape[3], ["platform"]
    names += [f"firm {i + 1}" for i in range(lived["prices"].shape[2] - 1)]
    for label, path in _chosen(under):
        begin = _busiest(drawn.shaded(under, path), LOOK)
        span = slice(begin, begin + LOOK)
        panels.append(
            drawn.WarPanel(
                f"{label}: session {path // products}, product {path % products + 1}",
                late[span, path],
                drawn.shaded(under, path)[span],
                learning + begin,
            )
        )
    answers = [
        drawn.ForcedResponse(TITLES[name], force.path[0], force.path[1], 5)
        for name, force in found.forces["base"].items()
    ]
    made = drawn.write(drawn.prices_and_answers(panels, answers, names, marks), "wars")
    if found.effects:
        columns = {
            title: [
                drawn.EffectRow(e.label, e.factor, e.difference, *e.ci95, e.distinct)
                for e in found.effects
                if e.quantity == quantity
            ]
            for quantity, title in SHOWN.items()
        }
        base = {
            title: float(found.outcomes["base"].by_session[quantity].mean())
            for quantity, title in SHOWN.items()
        }
        made |= drawn.write(drawn.effects(columns, base), "effects")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        write_whole(folder / name, data)
    return [folder / name for name in made]


def _chosen(wars: object) -> list[tuple[str, int]]:
    """Paths by rule and not by eye: the most wars, the median of those with one, and the first
    without one."""
    counts = np.asarray(wars.counts)  # type: ignore[attr-defined]
    order = np.argsort(counts, kind="stable")
    some, none = order[counts[order] > 0], order[counts[order] == 0]
    found = []
    if some.size:
        found = [(f"most wars ({counts[some[-1]]})", int(some[-1]))]
    if some.size > 1:
        middle = int(some[(some.size - 1) // 2])
        found.append((f"median of the paths with a war ({counts[middle]})", middle))
    if none.size or not found:
        found.append(("a path without a war", int(none[0] if none.size else order[0])))
    return found


def _busiest(at_war: np.ndarray, length: int) -> int:
    """Where the stretch of so many ticks with the most of them at war begins."""
    if len(at_war) <= length:
        return 0
    total = np.concatenate(([0], np.cumsum(at_war)))
    return int((total[length:] - total[:-length]).argmax())
