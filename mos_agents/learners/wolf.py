"""WoLF-PHC: a seller with a mixed strategy that learns fast while it loses, slowly while it wins.

Bowling and Veloso (Artificial Intelligence 136, 2002), "Win or Learn Fast" policy hill-climbing:
each situation has values Q as in Q-learning, a strategy pi, and the average of the strategies so
far. After each move pi climbs towards the best level: by `win` in all where it earns more than the
average strategy would, and by `lose` where it does not.
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
    check_clock,
    check_exploration,
    check_initial,
    check_rate,
    decaying,
    explored,
    first_values,
)
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import check_number, register


@short_repr
class Strategies(NamedTuple):
    q: Array  # [B C S, m] value of each level
    now: Array  # [B C S, m] pi, the chance of each level
    average: Array  # [B C S, m] the mean of the strategies so far
    visits: IntArray  # [B C S] moves made there


@register("wolf_phc")
@dataclass(frozen=True)
class WolfPHC(TabularLearner):
    """Policy hill-climbing with a variable learning rate [1]_.

    Its prices and states are set as in `PriceGrid`.

    Of several best levels the strategy climbs towards the lowest.

    Parameters
    ----------
    alpha : float
        learning rate of Q, in (0, 1].
    delta : float
        discount factor per tick, in [0, 1].
    win : float
        step of the strategy while it earns more than its average would, in (0, 1]; at most
        lose.
    lose : float
        step of the strategy while it does not, in (0, 1].
    epsilon : float
        chance to draw any level at tick 0; it falls as exp(-beta t), in [0, 1].
    beta : float
        how fast that chance falls, per tick, >= 0.
    epsilon_floor : float
        least chance to draw any level, in [0, 1].
    initial : float or tuple of float
        the first table, one number or one for each level, in money.
    discount_per : str
        delta is per "tick", or per own "move" (then delta^(1/k) per tick, for one that moves
        every k ticks).
    explore_per : str
        beta is per "tick", or per own "move" (then beta / k per tick).

    References
    ----------
    .. [1] Bowling, M. and Veloso, M. (2002). Multiagent learning using a variable learning
           rate. Artificial Intelligence 136(2).
    """

    alpha: float = 0.15
    delta: float = 0.95
    win: float = 0.01
    lose: float = 0.04
    epsilon: float = 0.1
    beta: float = 0.0
    epsilon_floor: float = 0.0
    initial: float | tuple[float, ...] = 0.0
    discount_per: str = "tick"
    explore_per: str = "tick"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alpha", "win", "lose"):
            check_rate(self, name)
        check_number(self, "delta", 0.0, 1.0)
        if self.win > self.lose:
            raise InputError(
                f"{self.kind}.win={self.win!r} must be at most lose={self.lose!r}: who wins is to "
                "learn more slowly"
            )
        check_exploration(self)
        check_initial(self)
        check_clock(self, "discount_per", "explore_per")

    @property
    def discount(self) -> float:
        """Discount factor of the rewards between two own moves, per tick or per move."""
        return self.delta

    @cached_property
    def clocks(self) -> Clocks:
        """What its discount and its exploration count in."""
        return Clocks(self.discount_per, self.explore_per)

    def tables(self, batch: int, choices: int, states: int) -> Strategies:
        rows, count = batch * choices * states, self.grid.size
        alike = np.full((rows, count), 1.0 / count)
        q = first_values(self.initial, rows, count)
        return Strategies(q, alike, alike.copy(), np.zeros(rows, np.int64))

    def correct(self, tables: Strategies, moves: Moves) -> None:
        q, row, at = tables.q, moves.row, (moves.row, moves.level)
        target = moves.discounted_return + moves.discount * q[moves.after].max(axis=1)
        q[at] = (1.0 - self.alpha) * q[at] + self.alpha * target
        values, now = q[row], tables.now[row]
        tables.visits[row] += 1
        average = tables.average[row]
        average += (now - average) / tables.visits[row, None]
        tables.average[row] = average
        winning = (now * values).sum(axis=1) > (average * values).sum(axis=1)
        step = np.where(winning, self.win, self.lose)[:, None]
        best = values.argmax(axis=1)
        given = np.minimum(now, step / (values.shape[1] - 1))
        given[np.arange(row.size), best] = 0.0
        now -= given
        now[np.arange(row.size), best] += given.sum(axis=1)
        tables.now[row] = now

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        epsilon = decaying(self.epsilon, self.beta, self.epsilon_floor, at)
        return explored(self.strategy(tables, rows), epsilon)

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        now = tables.now[rows]
        return now / now.cumsum(axis=-1)[..., -1:]  # small errors do not add up to another chance
