"""Measures how often each screen sounds in each world: `python -m mos_agents.corpus`.

The table that is shipped comes from the command without options. It takes about a quarter of an
hour of one core. Rows are written as they are measured. Those in the file are not measured again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from mos_agents.analysis.screens import SCREENS, Observed, Screen
from mos_agents.analysis.screens.rates import LEVELS
from mos_agents.corpus.learners import LEVELS as LEARNERS
from mos_agents.corpus.worlds import WORLDS, LabelledMarket, World

SIZES = ((52, 5, 1.0), (156, 3, 0.5), (52, 2, 0.3), (365, 3, 0.3))
"""Dates and firms, and the share of the sessions: a year and three years of weeks, a year of
days."""

SUSPECT_SHARE = 0.3
"""Suspect worlds are drawn less often than competitive ones: power needs fewer digits."""

STEP = 100
"""Markets held in memory at a time."""

FIELDS = (
    "screen",
    "world",
    "kind",
    "ticks",
    "firms",
    "sessions",
    "refused",
    *(f"alarms_{one:g}" for one in LEVELS),
)


def record_for(market: LabelledMarket, kind: type[Screen]) -> Observed:
    """The record with what a screen needs, and no more.

    Parameters
    ----------
    market : LabelledMarket
        The market.
    kind : type of Screen
        The screen.

    Returns
    -------
    Observed
        Its record. Screens that can do without theory or a control market get neither.
    """
    if ("benchmarks",) in kind.needs:
        return market.theory
    return market.compared if ("control",) in kind.needs else market.observed


def measure(world: World, sessions: int, ticks: int, firms: int, seed: int) -> list[dict[str, str]]:
    """Put all screens to markets of one world.

    Parameters
    ----------
    world : World
        The world.
    sessions, ticks, firms : int
        Markets, dates and firms.
    seed : int
        Seed of all random numbers.

    Returns
    -------
    list of dict
        One row for each screen that applies.
    """
    p_values: dict[str, list[float]] = {name: [] for name in SCREENS}
    refused = dict.fromkeys(SCREENS, 0)
    for begin in range(0, sessions, STEP):
        # Markets of a step are drawn with a seed of their own.
        part = world.generate(min(STEP, sessions - begin), ticks, firms, seed + begin // STEP)
        for n, market in enumerate(part):
            for name, kind in SCREENS.items():
                result = kind(seed=begin + n).test(record_for(market, kind))
                if result.p_value is None:
                    refused[name] += 1
                else:
                    p_values[name].append(result.p_value)
    rows = []
    for name, found in p_values.items():
        if not found:
            continue
        row = {
            "screen": name,
            "world": world.name,
            "kind": world.kind,
            "ticks": str(ticks),
            "firms": str(firms),
            "sessions": str(len(found)),
            "refused": str(refused[name]),
        }
        for level in LEVELS:
            alarms = sum(p <= level * (1.0 + 1e-9) for p in found)
            row[f"alarms_{level:g}"] = str(alarms)
        rows.append(row)
    return rows


def cells(sessions: int) -> Iterator[tuple[World, int, int, int]]:
    """World, markets, dates and firms of every cell of the table."""
    for ticks, firms, share in SIZES:
        for world in WORLDS.values():
            if world.learners and firms not in LEARNERS:
                continue
            part = share * (1.0 if world.kind == "competitive" else SUSPECT_SHARE)
            yield world, max(1, round(part * sessions)), ticks, firms


def make_table(path: Path, sessions: int = 1000, seed: int = 0) -> Iterator[str]:
    """Measure the cells of the table that are missing, and write each when it is done.

    Parameters
    ----------
    path : Path
        The table.
    sessions : int, optional
        Markets of each competitive world.
    seed : int, optional
        Seed of all random numbers.

    Yields
    ------
    str
        A line for each cell.
    """
    done: set[tuple[str, str, str]] = set()
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            done = {(row["world"], row["ticks"], row["firms"]) for row in csv.DictReader(file)}
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, FIELDS, lineterminator="\n").writeheader()
    for world, count, ticks, firms in cells(sessions):
        if (world.name, str(ticks), str(firms)) in done:
            continue
        rows = measure(world, count, ticks, firms, seed)
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, FIELDS, lineterminator="\n").writerows(rows)
        yield f"{world.name}, {ticks} dates, {firms} firms: {count} markets"
