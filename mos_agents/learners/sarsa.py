"""SARSA: a seller that values a price by its own next moves, experiments included.

On-policy temporal differences (Rummery and Niranjan 1994; Sutton and Barto 2018, sec. 6.4):

    Q(s, a) <- (1 - alpha) Q(s, a) + alpha (r + delta Q(s', a')),

where a' is the level chosen in s'. Q-learning uses the best level's value instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mos_agents.learners.base import (
    Clocks,
    Memory,
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
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, IntArray
from mos_agents.policies.base import check_number, register


@short_repr
class SarsaTables(NamedTuple):
    """Values, and the move that still waits for the one after it: none where row is -1."""

    q: Array  # [B C S, m]
    row: IntArray  # [B C]
    level: IntArray  # [B C]
    discounted_return: Array  # [B C]
    discount: Array  # [B C]


@register("sarsa")
@dataclass(frozen=True)
class Sarsa(TabularLearner):
    """SARSA [1]_ with epsilon-greedy exploration (Sutton and Barto 2018 [2]_, section 6.4).

    Its prices and states are set as in `PriceGrid`.

    Of several best levels one is drawn at each choice. As in the textbook's algorithm, a' is chosen
    by the table before (s, a) is corrected: a move is corrected once the reward of the next one is
    known, before any other choice.

    Parameters
    ----------
    alpha : float
        learning rate, in (0, 1].
    delta : float
        discount factor per tick, in [0, 1].
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
    .. [1] Rummery, G. A. and Niranjan, M. (1994). On-line Q-learning using connectionist
           systems. Technical report CUED/F-INFENG/TR 166, University of Cambridge.
    .. [2] Sutton, R. S. and Barto, A. G. (2018). Reinforcement Learning: An Introduction, 2nd
           edition, section 6.4. MIT Press.
    """

    alpha: float = 0.15
    delta: float = 0.95
    epsilon: float = 1.0
    beta: float = 4e-6
    epsilon_floor: float = 0.0
    initial: float | tuple[float, ...] = 0.0
    discount_per: str = "tick"
    explore_per: str = "tick"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self, "alpha")
        check_number(self, "delta", 0.0, 1.0)
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

    def tables(self, batch: int, choices: int, states: int) -> SarsaTables:
        q = first_values(self.initial, batch * choices * states, self.grid.size)
        none = np.full(batch * choices, -1, np.int64)
        money = np.zeros(batch * choices)
        return SarsaTables(q, none, none.copy(), money, money.copy())

    def learn(
        self,
        spec: ParticipantSpec,
        observation: Array,
        reward: Array,
        memory: Memory,
        draws: Draws,
    ) -> Memory:
        in_force = self.level_in_force(spec, observation, memory)
        self._correct_waiting(memory.tables, memory.row.ravel(), in_force.ravel())
        return super().learn(spec, observation, reward, memory, draws)

    def _correct_waiting(self, tables: SarsaTables, row: IntArray, level: IntArray) -> None:
        """Correct the moves that waited, now that the next ones [B C] are known."""
        waits = tables.row >= 0
        at = tables.row[waits], tables.level[waits]
        follows = tables.q[row[waits], level[waits]]
        target = tables.discounted_return[waits] + tables.discount[waits] * follows
        tables.q[at] = (1.0 - self.alpha) * tables.q[at] + self.alpha * target
        tables.row[:] = -1

    def correct(self, tables: SarsaTables, moves: Moves) -> None:
        """Let the moves wait for the ones after them."""
        choice = moves.row // (len(tables.q) // tables.row.size)
        tables.row[choice], tables.level[choice] = moves.row, moves.level
        tables.discounted_return[choice], tables.discount[choice] = (
            moves.discounted_return,
            moves.discount,
        )

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        epsilon = decaying(self.epsilon, self.beta, self.epsilon_floor, at)
        return explored(self.strategy(tables, rows), epsilon)

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        return best_of(tables.q[rows])
