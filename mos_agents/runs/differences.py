"""Where two recorded tables differ: bit by bit, and never by a tolerance that was not asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from mos_agents.market.types import IntArray
from mos_agents.runs.reading import Run
from mos_agents.runs.structure import KEYS
from mos_agents.runs.tables import TABLES

ROUNDING = 1e-9
"""By how much means over all markets may differ that were put together from other shards."""


def first_difference(one: Run, two: Run) -> str:
    """The first value that two runs of one trajectory have recorded differently; "" if none.

    Only markets and ticks that both have recorded are looked at.
    """
    every = math.lcm(one.facts["every"], two.facts["every"])
    markets = min(one.facts["recorded_markets"], two.facts["recorded_markets"])
    same_shards = _shards(one) == _shards(two)
    for table in TABLES:
        whole = table == "aggregates"

        def kept(run: Run, table: str = table, whole: bool = whole) -> Iterator[pl.DataFrame]:
            for part in run.chunks(table):
                due = pl.col("tick") % every == 0, pl.col("market") < markets
                yield part if whole else part.filter(*due)

        for ours, theirs in _side_by_side(kept(one), kept(two)):
            rounding = ROUNDING if whole and not same_shards else 0.0
            if found := difference(table, ours, theirs, rounding):
                return f"{table}: {found}"
    return ""


def difference(table: str, one: pl.DataFrame, two: pl.DataFrame, rounding: float = 0.0) -> str:
    """The first value that differs between two frames of a table, with its place; "" if none.

    NaN differs from everything, itself too. rounding: relative, of numbers.
    """
    if one.height != two.height:
        return f"{one.height:,} rows and {two.height:,}"
    found: list[tuple[int, str]] = []
    for column in one.columns:
        wrong = _unequal(one[column], two[column], rounding)
        if wrong.size:
            found.append((int(wrong[0]), column))
    if not found:
        return ""
    row, column = min(found, key=lambda position: position[0])
    where = ", ".join(f"{key} {one[key][row]!r}" for key in KEYS[table])
    return f"{column!r} at {where}: {one[column][row]!r} and {two[column][row]!r}"


def _unequal(one: pl.Series, two: pl.Series, rounding: float) -> IntArray:
    """The rows in which two columns differ."""
    if one.dtype != two.dtype:
        return np.arange(1)
    if one.dtype != pl.Float64:
        return np.flatnonzero(one.ne_missing(two).to_numpy())
    gone = one.is_null().to_numpy(), two.is_null().to_numpy()
    ours, theirs = (s.fill_null(0.0).to_numpy() for s in (one, two))
    if rounding:
        near = np.isclose(ours, theirs, rtol=rounding, atol=rounding)
    else:
        near = (ours.view(np.uint64) == theirs.view(np.uint64)) & ~np.isnan(ours)
    return np.flatnonzero((gone[0] != gone[1]) | ~near)


def _side_by_side(
    one: Iterator[pl.DataFrame], two: Iterator[pl.DataFrame]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Frames of the same height from two sequences whose parts end at different rows.

    What one of them has more comes last, beside an empty frame.
    """
    left: list[pl.DataFrame | None] = [None, None]
    sources = (one, two)
    while True:
        for i, source in enumerate(sources):
            while (have := left[i]) is None or not have.height:
                following = next(source, None)
                if following is None:
                    break
                left[i] = following
        ours, theirs = left
        if ours is None or theirs is None:
            return
        height = min(ours.height, theirs.height)
        if not height:
            if ours.height or theirs.height:
                yield ours, theirs
            return
        yield ours[:height], theirs[:height]
        left = [ours[height:], theirs[height:]]


def _shards(run: Run) -> Any:
    return (run.facts.get("actors") or {}).get("shards", 1)
