"""Boltzmann Q-learning: a seller that tries a price more often, the higher its value is.

The table is corrected as in Q-learning (Watkins 1989). The probability of a level is

    exp(Q(s, a) / T_t) / sum over b of exp(Q(s, b) / T_t),

with a temperature T_t that falls, as in Waltman and Kaymak (JEDC 32, 2008). At a high temperature
all levels are equally likely; at a low one, only the best level is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from mos_agents.learners.base import (
    Clocks,
    Moves,
    TabularLearner,
    best_of,
    check_clock,
    check_initial,
    check_rate,
    decaying,
    first_values,
    softmax,
)
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray
from mos_agents.policies.base import check_number, register

COLDEST = 1e-9


@short_repr
class Values(NamedTuple):
    q: Array  # [B C S, m] value of each level


@register("boltzmann")
@dataclass(frozen=True)
class Boltzmann(TabularLearner):
    """Q-learning with softmax exploration: a better price is tried more often.

    Its prices and states are set as in `PriceGrid`. The temperature falls as in Waltman and Kaymak
    (2008) [1]_.

    Parameters
    ----------
    alpha : float
        learning rate, in (0, 1].
    delta : float
        discount factor per tick, in [0, 1].
    temperature : float
        T at tick 0, in the unit of Q (money); it falls as exp(-beta t), > 0.
    beta : float
        how fast the temperature falls, per tick, >= 0.
    temperature_floor : float
        least temperature, in money, > 0.
    initial : float or tuple of float
        the first table, one number or one for each level, in money.
    discount_per : str
        delta is per "tick", or per own "move" (then delta^(1/k) per tick, for one that moves
        every k ticks).
    explore_per : str
        beta is per "tick", or per own "move" (then beta / k per tick).

    References
    ----------
    .. [1] Waltman, L. and Kaymak, U. (2008). Q-learning agents in a Cournot oligopoly model.
           Journal of Economic Dynamics and Control 32(10).
    """

    alpha: float = 0.15
    delta: float = 0.95
    temperature: float = 10.0
    beta: float = 1e-3
    temperature_floor: float = 1e-3
    initial: float | tuple[float, ...] = 0.0
    discount_per: str = "tick"
    explore_per: str = "tick"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self, "alpha")
        check_number(self, "delta", 0.0, 1.0)
        check_number(self, "temperature", COLDEST)
        check_number(self, "temperature_floor", COLDEST)
        check_number(self, "beta", 0.0)
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

    def tables(self, batch: int, choices: int, states: int) -> Values:
        return Values(first_values(self.initial, batch * choices * states, self.grid.size))

    def correct(self, tables: Values, moves: Moves) -> None:
        q, at = tables.q, (moves.row, moves.level)
        target = moves.discounted_return + moves.discount * q[moves.after].max(axis=1)
        q[at] = (1.0 - self.alpha) * q[at] + self.alpha * target

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        temperature = decaying(self.temperature, self.beta, self.temperature_floor, at)
        q = tables.q[rows]
        return softmax((q - q.max(axis=-1, keepdims=True)) / temperature)

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        return best_of(tables.q[rows])
