"""What the driver learns of a shard's ticks: what to record of them, and who gave trouble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mos_agents.market.types import Array, IntArray
from mos_agents.runs.tables import TickRecord


class TickSummary(NamedTuple):
    """What is recorded of a tick: rows of the recorded markets, and means over all of the shard."""

    row: TickRecord | None
    means: Array  # [values, N]
    rewards: Array | None  # [B, N], for quantiles over several shards


class Summaries(list[TickSummary]):
    """Summaries of consecutive ticks. They travel as a handful of arrays, not as several a tick:
    wrapping up a small array takes longer than clearing a small market."""

    def __reduce__(self) -> Any:
        rows = [one.row for one in self if one.row is not None]
        return _unpacked, (
            [one.row is not None for one in self],
            [row.tick for row in rows],
            _stacked([row.listings for row in rows]),
            _stacked([row.participants for row in rows]),
            _stacked([row.moved for row in rows]),
            _stacked([row.refused for row in rows]),
            _stacked([one.means for one in self]),
            _stacked([one.rewards for one in self if one.rewards is not None]),
        )


def _stacked(arrays: Sequence[Array | IntArray]) -> Any:
    return np.stack(arrays) if arrays else ()


def _unpacked(
    recorded: list[bool],
    ticks: list[int],
    listings: Any,
    participants: Any,
    moved: Any,
    refused: Any,
    means: Any,
    rewards: Any,
) -> Summaries:
    rows = iter(map(TickRecord, ticks, listings, participants, moved, refused))
    return Summaries(
        TickSummary(next(rows) if kept else None, means[i], rewards[i] if len(rewards) else None)
        for i, kept in enumerate(recorded)
    )


class Progress(NamedTuple):
    """What the driver learns of some ticks: what to record, and who gave trouble."""

    tick: int  # next to be cleared
    summaries: Summaries  # one a tick
    digests: Any  # [B, 2]
    counts: dict[str, dict[str, int]]
    seconds: dict[str, float]  # latency of the slowest reply, by participant
    withdrawn: tuple[str, ...]
    reasons: dict[str, str]  # by participant, the first words on why a decision failed
