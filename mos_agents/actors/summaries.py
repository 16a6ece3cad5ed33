"""Records a shard's ticks for the driver: digests, summaries, and counts of what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mos_agents.actors.plan import ShardPlan
from mos_agents.market.market import Market
from mos_agents.market.types import Array, IntArray, State, Step
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.runs.tables import TickRecord, aggregate, row

BATCH_MARKETS = 64
"""How many markets' ticks are summarised together."""


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


class Recorder:
    """Digests and summarises the ticks of a shard.

    Nobody waits for either, so ticks of few markets are collected and done together. Several ticks
    then take hardly longer than one, since what they need is in the processor's caches.

    Attributes
    ----------
    digest : TrajectoryHash
        The hash of the ticks summarised so far.
    """

    def __init__(self, plan: ShardPlan, market: Market) -> None:
        self.plan, self.market, self.digest = plan, market, TrajectoryHash()
        self._batch = max(1, BATCH_MARKETS // len(plan.markets))
        self._pending: list[tuple[State, Step]] = []
        self._summaries = Summaries()

    def add(self, before: State, step: Step) -> None:
        """Add a tick: the state before it, and its step."""
        self._pending.append((before, step))

    def summarise_if_due(self) -> None:
        """Summarise the added ticks once they are enough to be done together."""
        if len(self._pending) >= self._batch:
            self.summarise()

    def summarise(self) -> None:
        """Summarise the added ticks."""
        for before, step in self._pending:
            self.digest.add(step)
            self._summaries.append(self._summary(before, step))
        self._pending.clear()

    def take(self) -> Summaries:
        """The summaries of all ticks since the last call."""
        self.summarise()
        summaries, self._summaries = self._summaries, Summaries()
        return summaries

    def _summary(self, before: State, step: Step) -> TickSummary:
        recorded = self.plan.recorded and before.tick % self.plan.every == 0
        kept = row(self.market, before, step, self.plan.recorded) if recorded else None
        rewards = step.reward if self.plan.rewards else None
        return TickSummary(kept, aggregate(self.market, step), rewards)
