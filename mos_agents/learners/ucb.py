"""UCB1: a seller asks the price whose mean reward could be the highest, given its trials so far.

Auer, Cesa-Bianchi and Fischer (Machine Learning 47, 2002), fig. 1: every level once, then the one
with the greatest

    mean_a + sqrt(2 ln n / n_a),

where rewards are scaled into [0, 1], n is the number of trials, and n_a that of level a.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mos_agents.learners.base import Moves, TabularLearner, best_of, check_rewards, scaled
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray
from mos_agents.policies.base import check_number, register


@short_repr
class Trials(NamedTuple):
    mean: Array  # [B C S, m] scaled reward per tick of each level
    trials: IntArray  # [B C S, m] moves it stands on


@register("ucb1")
@dataclass(frozen=True)
class UCB1(TabularLearner):
    """UCB1: the price with the highest upper confidence bound is asked (Auer et al. 2002 [1]_).

    Its prices and states are set as in `PriceGrid`.

    The reward of a move is the mean reward per tick while it was in force. Levels not yet tried
    are drawn with equal chance, and so are equally good ones. With `features`, every situation has
    a bandit of its own.

    Parameters
    ----------
    reward_low : float
        what a tick earns at least, in money.
    reward_high : float
        what a tick earns at most, in money. Rewards are scaled by both into [0, 1], and what
        lies beyond counts as the bound.
    confidence : float
        the 2 of the formula: how much a level is tried for being little known, >= 0.

    References
    ----------
    .. [1] Auer, P., Cesa-Bianchi, N. and Fischer, P. (2002). Finite-time analysis of the
           multiarmed bandit problem. Machine Learning 47.
    """

    features: str = "nothing"
    reward_low: float = 0.0
    reward_high: float = field(kw_only=True)
    confidence: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rewards(self)
        check_number(self, "confidence", 0.0)

    def tables(self, batch: int, choices: int, states: int) -> Trials:
        shape = batch * choices * states, self.grid.size
        return Trials(np.zeros(shape), np.zeros(shape, np.int64))

    def correct(self, tables: Trials, moves: Moves) -> None:
        at = moves.row, moves.level
        reward = scaled(moves.mean, self.reward_low, self.reward_high)
        tables.trials[at] += 1
        tables.mean[at] += (reward - tables.mean[at]) / tables.trials[at]

    def index(self, tables: Trials, rows: IntArray) -> Array:
        """[B, C, m] the upper confidence bounds; infinite where a level was never tried."""
        count = tables.trials[rows]
        trials = np.maximum(count.sum(axis=-1, keepdims=True), 1)
        width = np.sqrt(self.confidence * np.log(trials) / np.maximum(count, 1))
        return np.where(count == 0, np.inf, tables.mean[rows] + width)

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        return best_of(self.index(tables, rows))

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        # What was never tried is nobody's best; where nothing was, all levels are alike.
        tried = tables.trials[rows] > 0
        return best_of(np.where(tried, tables.mean[rows], -1.0))
