"""What participants are after: a weighted sum of the tick's metrics, term by term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mos_agents.market import unused_settings
from mos_agents.market.checks import changes_nothing, within_floats
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.metrics import METRICS, metric
from mos_agents.market.stages import RewardRule
from mos_agents.market.types import Array, InputError, IntArray


@dataclass(frozen=True)
@within_floats
class Objective(RewardRule):
    """The reward of a tick: the sum of weight x metric.

    Parameters
    ----------
    weights : mapping
        weight of each metric by its name; metrics not named count nothing.
    by_participant : mapping
        weights of single participants by name, in place of the common ones.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"pnl": 1.0})
    by_participant: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for weights in (self.weights, *self.by_participant.values()):
            for name, weight in weights.items():
                if name not in METRICS:
                    raise InputError(f"weights: {name!r} is not a metric; metrics are {METRICS}")
                if not np.isfinite(weight):
                    raise InputError(f"weights: {name}={weight!r} must be a finite number")

    def validate(self, market: Market) -> None:
        for name in self.by_participant:
            if name not in market.layout.participants:
                raise InputError(
                    f"by_participant: {name!r} is not one of the participants "
                    f"{market.layout.participants}"
                )
        zero = unused_settings.always_zero(market)
        named = {f"by_participant.{n}": w for n, w in self.by_participant.items()}
        for owner, weights in {"weights": self.weights, **named}.items():
            for name, weight in weights.items():
                if weight and name in zero:
                    raise changes_nothing(
                        f"rewards.{owner}.{name}",
                        float(weight),
                        f"this metric is always 0, as {zero[name]}",
                        "set it to 0, or leave it out",
                    )
        everybody = set(self.by_participant) == set(market.layout.participants)
        if everybody and dict(self.weights) != {"pnl": 1.0}:
            raise changes_nothing(
                "rewards.weights",
                dict(self.weights),
                "by_participant gives everybody weights of their own",
            )

    def _table(self, market: Market) -> tuple[IntArray, Array]:
        rows = [self.by_participant.get(n, self.weights) for n in market.layout.participants]
        used = [m for m in METRICS if any(r.get(m) for r in rows)]
        weights = np.array([[r.get(m, 0.0) for m in used] for r in rows], dtype=np.float64)
        return np.array([metric(m) for m in used], dtype=np.int64), weights

    def table(self, market: Market) -> tuple[IntArray, Array]:
        """Columns [J] of the metrics that count, and their weights [N, J]."""
        found: tuple[IntArray, Array] = market.cached("objective", lambda: self._table(market))
        return found

    def score(self, market: Market, metrics: Array) -> Array:
        reward = np.empty(metrics.shape[:2])
        weigh(reward, metrics, *self.table(market))
        return reward

    def breakdown(self, market: Market, metrics: Array) -> dict[str, Array]:
        columns, weights = self.table(market)
        return {METRICS[c]: weights[:, j] * metrics[:, :, c] for j, c in enumerate(columns)}


@kernel
def weigh(reward, metrics, columns, weights):  # type: ignore[no-untyped-def]
    """Fill in rewards [B, N]: the sum of weights [N, J] x metrics [B, N, columns[J]] in order."""
    for b in range(np.uint64(metrics.shape[0])):
        for n in range(np.uint64(metrics.shape[1])):
            total = 0.0
            for j in range(np.uint64(columns.shape[0])):
                total += weights[n, j] * metrics[b, n, np.uint64(columns[j])]
            reward[b, n] = total
