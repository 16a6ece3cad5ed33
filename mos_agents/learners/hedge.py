"""Hedge: a seller that draws each price with a weight for what the price would have earned so far.

With w_a = exp(-eta_t x (losses of level a so far)), and losses of 1 less the reward in [0, 1]:

- where a payoff table is given, every level's loss is known at every move: Hedge (Freund and
  Schapire, J. Computer and System Sciences 55, 1997) with eta_t = sqrt(8 ln m / t); the regret
  after T moves is at most 2 sqrt(T ln m / 2) + sqrt(ln m / 8) (Cesa-Bianchi and Lugosi, Prediction,
  Learning, and Games, 2006, theorem 2.3);
- otherwise only the level played has a reward, and its loss counts as loss / (p_a + gamma_t), the
  others' as 0: Exp3-IX (Neu, NIPS 2015) with eta_t = 2 gamma_t = sqrt(ln m / (m t)). It was chosen
  over Exp3.P because it needs neither the horizon nor uniform draws, and over plain importance
  weights because its regret is small with high probability, not in the mean alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mos_agents.learners.base import Memory, Moves, TabularLearner, check_rewards, scaled, softmax
from mos_agents.learners.price_grid import nearest
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import register


@short_repr
class Losses(NamedTuple):
    loss: Array  # [B C S, m] losses so far, or their estimates
    rounds: IntArray  # [B C S] moves learnt from


@register("hedge")
@dataclass(frozen=True)
class Hedge(TabularLearner):
    """Multiplicative weights: Hedge [1]_ with full information, Exp3-IX [2]_ without.

    Its prices and states are set as in `PriceGrid`.

    Rewards are scaled into [0, 1] by `reward_low` and `reward_high`; rewards beyond count as the
    bound. The reward of a move is the mean reward per tick while it was in force. Where moves are
    random, it learns only from ticks in which the level proposed is the one in force, as in `exp3`.

    Parameters
    ----------
    payoffs : tuple of tuples of float or None
        own profits by own level (rows) and by the rivals' levels (columns; the rivals' digits
        in roster order, the first rival's the most significant). For learners without states
        that move at every tick, and see their rivals.
    reward_low : float or None
        what a tick earns at least, in money; None takes the least of the payoffs.
    reward_high : float or None
        what a tick earns at most, in money; None takes the greatest of the payoffs.

    References
    ----------
    .. [1] Freund, Y. and Schapire, R. E. (1997). A decision-theoretic generalization of on-line
           learning and an application to boosting. Journal of Computer and System Sciences
           55(1).
    .. [2] Neu, G. (2015). Explore no more: improved high-probability regret bounds for non-
           stochastic bandits. Advances in Neural Information Processing Systems 28.
    """

    features: str = "nothing"
    reward_low: float | None = None
    reward_high: float | None = None
    payoffs: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.payoffs is not None:
            table = self._table()
            for name, bound in (("reward_low", table.min()), ("reward_high", table.max())):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, float(bound))
        for name in ("reward_low", "reward_high"):
            if getattr(self, name) is None:
                raise InputError(
                    f"{self.kind}.{name} is missing: without payoffs, say what a tick earns at "
                    "least and at most"
                )
        check_rewards(self)

    def _table(self) -> Array:
        try:
            table = np.asarray(self.payoffs, dtype=np.float64)
        except (TypeError, ValueError):
            table = np.empty(0)
        fits = table.ndim == 2 and len(table) == self.grid.size and table.size > 0
        if not fits or not np.isfinite(table).all():
            raise InputError(
                f"{self.kind}.payoffs must be a table of {self.grid.size} rows (own levels) with a "
                "finite profit for each situation of the rivals"
            )
        object.__setattr__(self, "payoffs", tuple(tuple(row) for row in table.tolist()))
        return table

    def start(self, spec: ParticipantSpec, batch: int) -> Memory:
        memory = super().start(spec, batch)
        if self.payoffs is not None:
            if self.features != "nothing" or spec.turn != (1, 0):
                raise InputError(
                    f"{spec.name}: {self.kind}.payoffs is for learners without states "
                    "(features='nothing') that move at every tick"
                )
            columns, wanted = len(self.payoffs[0]), math.prod(g.size for g in self._grids(spec))
            if columns != wanted:
                raise InputError(
                    f"{spec.name}: {self.kind}.payoffs has {columns} columns, but the rivals seen "
                    f"have {wanted} combinations of levels"
                )
            if self.scope == "firm" and self.relative_to == "opening":
                memory = memory._replace(opening=np.zeros((batch, self.rivals(spec))))
        return memory

    def _grids(self, spec: ParticipantSpec) -> list[Array]:
        """The levels on which each rival's prices are read."""
        if self.rival_prices is None:
            return [self.grid] * self.rivals(spec)
        return [np.asarray(row) for row in self.rival_prices]

    def tables(self, batch: int, choices: int, states: int) -> Losses:
        rows = batch * choices * states
        return Losses(np.zeros((rows, self.grid.size)), np.zeros(rows, np.int64))

    def learn(
        self,
        spec: ParticipantSpec,
        observation: Array,
        reward: Array,
        memory: Memory,
        draws: Draws,
    ) -> Memory:
        if self.payoffs is None or memory.clock[0] == 0:
            return super().learn(spec, observation, reward, memory, draws)
        column = np.zeros(memory.row.shape, np.int64)  # what the rivals did in the last tick
        grids = self._grids(spec)
        opening = memory.opening if memory.opening.shape[1] else None
        ratios = self.rival_ratios(spec, observation, opening) if grids else ()
        for grid, ratio in zip(grids, ratios, strict=True):
            column = column * grid.size + nearest(grid, ratio)
        earned = np.asarray(self.payoffs)[:, column.ravel()].T
        memory.tables.loss[:] += 1.0 - self._scaled(earned)
        memory.tables.rounds[:] += 1
        return memory

    def correct(self, tables: Losses, moves: Moves) -> None:
        exact = moves.level == moves.proposed
        row, level = moves.row[exact], moves.level[exact]
        # The row has not changed since the draw: its chances still are those of the draw.
        chance = self.strategy(tables, row)[np.arange(row.size), level]
        implicit = 0.5 * self._rate(tables.rounds[row])
        tables.loss[row, level] += (1.0 - self._scaled(moves.mean[exact])) / (chance + implicit)
        tables.rounds[row] += 1

    def _scaled(self, reward: Array) -> Array:
        assert self.reward_low is not None and self.reward_high is not None
        return scaled(reward, self.reward_low, self.reward_high)

    def _rate(self, rounds: IntArray) -> Array:
        """eta of the move that follows so many rounds."""
        count = self.grid.size
        factor = 8.0 if self.payoffs is not None else 1.0 / count
        rate: Array = np.sqrt(factor * math.log(count) / (rounds + 1.0))
        return rate

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        return self.strategy(tables, rows)

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        return softmax(-self._rate(tables.rounds[rows])[..., None] * tables.loss[rows])
