"""EXP3: a bandit that makes no assumption about its market: rewards may change in any way.

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
    """EXP3: exponential weights for exploration and exploitation (Auer et al. 2002 [1]_).

    Its prices and states are set as in `PriceGrid`.

    The reward of a move is the mean reward per tick while it was in force. Where moves are random,
    it learns only from ticks in which the level proposed is the one in force. The importance
    weights are then not exact: the learner cannot distinguish a move from a repeated proposal of
    the level in force. With `features`, every situation has a bandit of its own.

    Parameters
    ----------
    gamma : float
        share of draws that explore, and the learning rate, in (0, 1].
    reward_low : float
        what a tick earns at least, in money.
    reward_high : float
        what a tick earns at most, in money. Rewards are scaled by both into [0, 1], and what
        lies beyond counts as the bound.

    References
    ----------
    .. [1] Auer, P., Cesa-Bianchi, N., Freund, Y. and Schapire, R. E. (2002). The nonstochastic
           multiarmed bandit problem. SIAM Journal on Computing 32(1).
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
