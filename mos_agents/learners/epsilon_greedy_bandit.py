"""The simplest bandit: it asks the price with the highest average reward, and sometimes another.

Sutton and Barto (2018), ch. 2: sample means (eq. 2.3), or a constant step (eq. 2.5). A constant
step forgets the past, so it follows rivals that change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mos_agents.learners.base import (
    Clocks,
    Moves,
    TabularLearner,
    best_of,
    check_clock,
    check_exploration,
    check_initial,
    check_rate,
    decaying,
    explored,
    first_values,
)
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray
from mos_agents.policies.base import register


@short_repr
class Means(NamedTuple):
    mean: Array  # [B C S, m] reward per tick of each level
    trials: IntArray  # [B C S, m] moves it stands on


@register("bandit_epsilon_greedy")
@dataclass(frozen=True)
class EpsilonGreedyBandit(TabularLearner):
    """A bandit with epsilon-greedy exploration (Sutton and Barto 2018 [1]_).

    Its prices and states are set as in `PriceGrid`.

    The reward of a move is the mean reward per tick while it was in force. With `features`, every
    situation has a bandit of its own.

    Parameters
    ----------
    step : float or None
        weight of the newest reward, in (0, 1]; None weighs all alike (sample means).
    epsilon : float
        chance to draw any level at tick 0; it falls as exp(-beta t), in [0, 1].
    beta : float
        how fast that chance falls, per tick, >= 0.
    epsilon_floor : float
        least chance to draw any level, in [0, 1].
    initial : float or tuple of float
        what levels are thought to earn before they are tried, in money, one number or one for
        each; a high one has all of them tried (sample means forget it at the first try).
    explore_per : str
        beta is per "tick", or per own "move" (then beta / k per tick).

    References
    ----------
    .. [1] Sutton, R. S. and Barto, A. G. (2018). Reinforcement Learning: An Introduction, 2nd
           edition, chapter 2. MIT Press.
    """

    features: str = "nothing"
    step: float | None = None
    epsilon: float = 0.1
    beta: float = 0.0
    epsilon_floor: float = 0.0
    initial: float | tuple[float, ...] = 0.0
    explore_per: str = "tick"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None:
            check_rate(self, "step")
        check_exploration(self)
        check_initial(self)
        check_clock(self, "explore_per")

    @cached_property
    def clocks(self) -> Clocks:
        """What its discount and its exploration count in."""
        return Clocks(explore_per=self.explore_per)

    def tables(self, batch: int, choices: int, states: int) -> Means:
        mean = first_values(self.initial, batch * choices * states, self.grid.size)
        return Means(mean, np.zeros(mean.shape, np.int64))

    def correct(self, tables: Means, moves: Moves) -> None:
        at = moves.row, moves.level
        tables.trials[at] += 1
        step = 1.0 / tables.trials[at] if self.step is None else self.step
        tables.mean[at] += step * (moves.mean - tables.mean[at])

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        epsilon = decaying(self.epsilon, self.beta, self.epsilon_floor, at)
        return explored(self.strategy(tables, rows), epsilon)

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        return best_of(tables.mean[rows])
