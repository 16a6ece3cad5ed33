"""EXP3: a seller that trusts nothing about its market, not even that it stays as it is.

Auer, Cesa-Bianchi, Freund and Schapire (SIAM J. Computing 32, 2002), fig. 1: level a is drawn with

    p_a = (1 - gamma) w_a / (sum of w) + gamma / m,

and the level drawn gets w_a exp(gamma x / (p_a m)), x its reward in [0, 1]. Whatever rivals do, the
average regret against the best single price vanishes (theorem 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mos_agents.learners.base import (
    Moves,
    TabularLearner,
    check_rate,
    check_rewards,
    explored,
    scaled,
    softmax,
)
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray
from mos_agents.policies.base import register


@short_repr
class Weights(NamedTuple):
    log: Array  # [B C S, m] logarithms of the weights; the greatest of a row is kept at 0


@register("exp3")
@dataclass(frozen=True)
class Exp3(TabularLearner):
    """Exponential weights for exploration and exploitation.

    gamma: share of draws that explore, and the learning rate, in (0, 1].
    reward_low: what a tick earns at least, in money.
    reward_high: what a tick earns at most, in money. Rewards are scaled by both into [0, 1], and
        what lies beyond counts as the bound.

    The reward of a move is the mean per tick it was in force. Where nobody knows whose turn it is,
    only ticks in which the level proposed is the one in force are learnt from. The weights by
    chance are then not exact: a proposal of the level that stands anyway cannot be told from a
    move. With `features`, every situation
    has a bandit of its own.
    """

    features: str = "nothing"
    gamma: float = 0.1
    reward_low: float = 0.0
    reward_high: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self, "gamma")
        check_rewards(self)

    def tables(self, batch: int, choices: int, states: int) -> Weights:
        return Weights(np.zeros((batch * choices * states, self.grid.size)))

    def correct(self, tables: Weights, moves: Moves) -> None:
        exact = moves.level == moves.proposed
        row, level = moves.row[exact], moves.level[exact]
        reward = scaled(moves.mean[exact], self.reward_low, self.reward_high)
        # The row has not changed since the draw: its chances still are those of the draw.
        chance = self.chances(tables, row, 0)[np.arange(row.size), level]
        tables.log[row, level] += self.gamma * reward / (chance * self.grid.size)
        tables.log[row] -= tables.log[row].max(axis=1, keepdims=True)

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        return explored(self.strategy(tables, rows), self.gamma)

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        return softmax(tables.log[rows])
