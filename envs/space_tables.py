"""What every number of a space means, as a table that a person and a test can read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from envs.actions import ContinuousActions, GridActions
from mos_agents.market.spec import ParticipantSpec

HEADER = ("index", "name", "range", "unit", "meaning")
MEANINGS = {
    "price": ("own price", "money per unit"),
    "bid": ("own sealed bid", "money per unit"),
    "offset": ("middle of the quotes less the mid price", "money per unit"),
    "spread": ("ask less bid", "money per unit"),
    "size": ("units behind the quote", "units"),
    "quantity": ("units ordered; below 0 to sell", "units"),
    "limit": ("worst price of the order", "money per unit"),
    "fee": ("share of the money of trades that is charged", "1"),
    "unit_fee": ("money per unit that is charged", "money per unit"),
    "placement": ("bid for a prominent place", "money per unit"),
    "weight": ("weight of the offer among those that are shown", "1"),
}
UNUSED = ("-", "not read", "-")
"""A number that a slot has and does not read, where other slots need more numbers."""


class SpaceRow(NamedTuple):
    """A run of indices of one space."""

    space: str
    first: int
    last: int
    step: int
    name: str
    meaning: str
    unit: str
    low: float
    high: float

    @property
    def cells(self) -> tuple[str, ...]:
        index = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        if self.step > 1 and self.first < self.last:
            index += f" by {self.step}"
        shown = f"[{_bound(self.low)}, {_bound(self.high)}]"
        return (index, self.name, shown, self.unit, self.meaning)


def rows(spec: ParticipantSpec, choices: ContinuousActions | GridActions) -> list[SpaceRow]:
    """The rows of a participant's observation and of its action."""
    found, begin = [], 0
    for one in spec.fields:
        end = begin + one.size
        found.append(
            SpaceRow(
                "observation", begin, end - 1, 1, one.name, one.meaning, one.unit, one.low, one.high
            )
        )
        begin = end
    n_features = spec.action_shape[1]
    if isinstance(choices, GridActions):
        counts = [len(table) for table in choices.table(spec.name)]
        what = "/".join(spec.features)
        return [
            *found,
            *_alike(
                [
                    SpaceRow(
                        "action",
                        i,
                        i,
                        1,
                        "level",
                        f"point of the grid of {what}",
                        "level",
                        0,
                        n - 1,
                    )
                    for i, n in enumerate(counts)
                ]
            ),
        ]
    for first, count, features, where in _blocks(spec):
        for j in range(n_features):
            name, meaning, unit = _meaning(features[j] if j < len(features) else "", where)
            runs = [
                SpaceRow(
                    "action",
                    i * n_features + j,
                    i * n_features + j,
                    n_features,
                    name,
                    meaning,
                    unit,
                    float(spec.low[i, j]),
                    float(spec.high[i, j]),
                )
                for i in range(first, first + count)
            ]
            found += _alike(runs)
    return found


def _blocks(spec: ParticipantSpec) -> list[tuple[int, int, tuple[str, ...], str]]:
    """First slot, slots, features and venue of every kind of slot that a participant has."""
    if not spec.parts:
        return [(0, spec.action_shape[0], spec.features, "")]
    return [
        (p.slots.start, p.slots.stop - p.slots.start, p.spec.features, p.name.split(".")[0])
        for p in spec.parts
    ]


def _meaning(feature: str, venue: str) -> tuple[str, str, str]:
    """Name, meaning and unit of an action's number."""
    if not feature:
        return UNUSED
    meaning, unit = MEANINGS.get(feature, (feature, ""))
    return feature, f"{meaning} ({venue})" if venue else meaning, unit


def table(rows_: Sequence[SpaceRow]) -> str:
    """The rows as text, columns lined up: the observation first, then the action."""
    blocks = []
    for space in ("observation", "action"):
        lines = [HEADER, *(row.cells for row in rows_ if row.space == space)]
        widths = [max(len(line[j]) for line in lines) for j in range(len(HEADER) - 1)]
        shown = [
            "  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]])
            for line in lines
        ]
        blocks.append("\n".join([f"{space}:", *shown]))
    return "\n\n".join(blocks)


def parse(text: str) -> list[tuple[str, range, str, float, float]]:
    """(space, indices, name, low, high) of every row of the table within `text`."""
    found, space = [], ""
    for line in text.splitlines():
        if line in ("observation:", "action:"):
            space = line[:-1]
        cells = re.split(r"  +", line.strip())
        if not space or len(cells) != len(HEADER) or not cells[0][0].isdigit():
            continue
        run, _, step = cells[0].partition(" by ")
        first, _, last = run.partition("-")
        indices = range(int(first), int(last or first) + 1, int(step or 1))
        low, high = (float(c) for c in cells[2].strip("[]").split(","))
        found.append((space, indices, cells[1], low, high))
    return found


def _alike(runs: Sequence[SpaceRow]) -> list[SpaceRow]:
    """Neighbouring rows that differ only in their index, as one."""
    found: list[SpaceRow] = []
    for row in runs:
        if found and found[-1][3:] == row[3:]:
            found[-1] = found[-1]._replace(last=row.last)
        else:
            found.append(row)
    return found


def _bound(value: float) -> str:
    return "inf" if value == float("inf") else "-inf" if value == -float("inf") else f"{value:g}"
