"""What participants are after: a weighted sum of the tick's metrics, term by term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mos_agents.market import unused_settings
from mos_agents.market.checks import changes_nothing, within_floats
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.metrics import MARKET_MEANINGS, METRICS, TERMS
from mos_agents.market.stages import RewardRule
from mos_agents.market.types import Array, InputError, IntArray


@dataclass(frozen=True)
@within_floats
class Objective(RewardRule):
    """The reward of a tick: the sum of weight x metric.

    Beside the metrics of a participant, it may count `fee_revenue` (the fees that it receives),
    `own_profit` (its profit apart from fees), and of the whole market `consumer_surplus` and
    `output` (units sold to the outside): what a platform may be after.

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
                if name not in COUNTED:
                    raise InputError(f"weights: {name!r} is not a metric; metrics are {COUNTED}")
                if not np.isfinite(weight):
                    raise InputError(f"weights: {name}={weight!r} must be a finite number")

    def validate(self, market: Market) -> None:
        for name in self.by_participant:
            if name not in market.layout.participants:
                raise InputError(
                    f"by_participant: {name!r} is not one of the participants "
                    f"{market.layout.participants}"
                )
        if "consumer_surplus" in self.market_metrics:
            _check_surplus(market)
        zero = unused_settings.always_zero(market)
        for term, parts in TERMS.items():
            if all(name in zero for name in parts):
                zero[term] = zero[next(iter(parts))]
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

    @cached_property
    def market_metrics(self) -> tuple[str, ...]:
        rows = self.weights, *self.by_participant.values()
        return tuple(name for name in MARKET_MEANINGS if any(row.get(name) for row in rows))

    def _table(self, market: Market) -> tuple[IntArray, Array]:
        weights = (self.by_participant.get(n, self.weights) for n in market.layout.participants)
        rows = [_spread(one) for one in weights]
        used = [m for m in market.metrics if any(r.get(m) for r in rows)]
        table = np.array([[r.get(m, 0.0) for m in used] for r in rows], dtype=np.float64)
        return np.array([market.metrics.index(m) for m in used], dtype=np.int64), table

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
        names = market.metrics
        return {names[c]: weights[:, j] * metrics[:, :, c] for j, c in enumerate(columns)}


COUNTED = (*METRICS, *TERMS, *MARKET_MEANINGS)
"""What rewards can count."""


def _spread(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights of metrics alone."""
    found = {name: weight for name, weight in weights.items() if name not in TERMS}
    for term, parts in TERMS.items():
        for name, factor in parts.items():
            if weights.get(term):
                found[name] = found.get(name, 0.0) + factor * weights[term]
    return found


def _check_surplus(market: Market) -> None:
    """InputError where nobody knows what shoppers gain."""
    if not market.execution.has_surplus(market):
        raise InputError(
            "rewards.consumer_surplus: no demand model of this market has a consumer surplus; take "
            "logit or linear demand, or leave it out"
        )
    if not unused_settings.nothing_lost(market):
        raise InputError(
            "rewards.consumer_surplus: nobody knows it in ticks in which stock runs out; set "
            "catalogue.stock=.inf, or leave it out"
        )


@kernel
def weigh(reward, metrics, columns, weights):  # type: ignore[no-untyped-def]
    """Fill in rewards [B, N]: the sum of weights [N, J] x metrics [B, N, columns[J]] in order."""
    for b in range(np.uint64(metrics.shape[0])):
        for n in range(np.uint64(metrics.shape[1])):
            total = 0.0
            for j in range(np.uint64(columns.shape[0])):
                total += weights[n, j] * metrics[b, n, np.uint64(columns[j])]
            reward[b, n] = total
