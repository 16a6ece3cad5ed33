"""Tabular Q-learning: a seller that stores a value of each price in each situation.

After each of its moves it corrects one value by the reward (Watkins 1989). It mostly asks the price
with the highest value. The defaults are the baseline of Calvano, Calzolari, Denicolò and Pastorello
(AER 110(10), 2020): alpha .15, delta .95, exploration exp(-4e-6 t), a memory of one period.
"""

# The functions compiled here play single rows; `learn` and `act` below play them tick by tick in
# any market, and `mos_agents.games` plays the same functions for millions of periods in one loop.

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mos_agents.learners.base import (
    Clocks,
    Learner,
    best_of,
    chance_of,
    check_clock,
    check_exploration,
    check_initial,
    check_rate,
    explored,
    first_values,
    needed_openings,
    on_turn,
    rows_of,
    situation,
)
from mos_agents.learners.price_grid import check_table_memory, nearest
from mos_agents.market.kernels import inlined, kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import check_number, register, uniform_choice


@short_repr
class QMemory(NamedTuple):
    """What a Q-learner remembers in B markets, with C independent choices of S states each.

    A choice's rows lie together: row (b C + c) S + s is state s of choice c in market b.
    """

    q: Array  # [B C S, m] value of each level
    best: IntArray  # [B C S] the greedy level; -1 where several are best and none is chosen yet
    row: IntArray  # [B, C] row of the last move; -1 before the first
    level: IntArray  # [B, C] level of the last move
    discounted_return: Array  # [B, C] discounted rewards since then
    discount: Array  # [B, C] discount of the next reward
    changed: IntArray  # [B, C] tick at which a greedy level last changed
    now: IntArray  # [B, C] the situation as `learn` read it at the tick `observed_at`
    before: IntArray  # [B, C] the situation one period ago
    opening: Array  # [B, r] what rival firms asked at first
    clock: IntArray  # [1] ticks lived
    observed_at: IntArray  # [1] the tick of `now`; -1 before the first
    epsilon: Array  # [1] chance of exploring at the next tick


@register("q_learning")
@dataclass(frozen=True)
class QLearning(Learner):
    """Q-learning (Watkins 1989 [1]_) with epsilon-greedy exploration.

    Its prices and states are set as in `PriceGrid`. The defaults are the baseline of Calvano et al.
    (2020) [2]_.

    Where moves alternate, the rewards between two own moves are discounted and summed (Klein 2021
    [3]_, equation 4). Where moves are random, the level corrected is the one in force. Ties among
    best levels are broken at random when they are first met.

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
    initial_spread : float
        a uniform draw from [0, initial_spread) comes on top of each entry, in money, >= 0.
    payoffs : tuple of tuples of float or None
        own profits by own level (rows) and state of the rivals (columns). With them every level
        is corrected at every move, by what it would have earned ("synchronous"
        learning, Asker, Fershtman and Pakes 2022 [4]_); None corrects the level played.
    discount_per : str
        delta is per "tick", or per own "move" (then delta^(1/k) per tick, for one that moves
        every k ticks).
    explore_per : str
        beta is per "tick", or per own "move" (then beta / k per tick).

    References
    ----------
    .. [1] Watkins, C. J. C. H. (1989). Learning from Delayed Rewards. PhD thesis, University of
           Cambridge.
    .. [2] Calvano, E., Calzolari, G., Denicolo, V. and Pastorello, S. (2020). Artificial
           intelligence, algorithmic pricing, and collusion. American Economic Review 110(10).
    .. [3] Klein, T. (2021). Autonomous algorithmic collusion: Q-learning under sequential
           pricing. RAND Journal of Economics 52(3).
    .. [4] Asker, J., Fershtman, C. and Pakes, A. (2022). Artificial intelligence, algorithm
           design, and pricing. AEA Papers and Proceedings 112.
    """

    alpha: float = 0.15
    delta: float = 0.95
    epsilon: float = 1.0
    beta: float = 4e-6
    epsilon_floor: float = 0.0
    initial: float | tuple[float, ...] = 0.0
    initial_spread: float = 0.0
    payoffs: tuple[tuple[float, ...], ...] | None = None
    discount_per: str = "tick"
    explore_per: str = "tick"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self, "alpha")
        check_number(self, "delta", 0.0, 1.0)
        check_exploration(self)
        check_initial(self)
        check_number(self, "initial_spread", 0.0)
        check_clock(self, "discount_per", "explore_per")
        if self.payoffs is not None:
            self._check_payoffs()

    def _check_payoffs(self) -> None:
        try:
            table = np.asarray(self.payoffs, dtype=np.float64)
        except (TypeError, ValueError):
            table = np.empty(0)
        if table.ndim != 2 or len(table) != self.grid.size or not np.isfinite(table).all():
            raise InputError(
                f"{self.kind}.payoffs must be a table of {self.grid.size} rows (own levels) with a "
                "finite profit for each situation of the rivals"
            )
        object.__setattr__(self, "payoffs", tuple(tuple(row) for row in table.tolist()))

    @cached_property
    def clocks(self) -> Clocks:
        """What its discount and its exploration count in."""
        return Clocks(self.discount_per, self.explore_per)

    @property
    def discount(self) -> float:
        """Discount factor of the rewards between two own moves, per tick or per move."""
        return self.delta

    @property
    def decay(self) -> float:
        """What the chance to explore is multiplied by, per tick or per move (`explore_per`)."""
        return math.exp(-self.beta)

    def tick_decay(self, spec: ParticipantSpec) -> float:
        """What the chance to explore is multiplied by, tick after tick."""
        return math.exp(-self.clocks.tick_rate(self.beta, spec))

    def first_table(self, rows: int) -> Array:
        """[rows, m] the table before anything is drawn on top."""
        return first_values(self.initial, rows, self.grid.size)

    def start(self, spec: ParticipantSpec, batch: int) -> QMemory:
        self.check_spec(spec)
        self.clocks.check(self, spec)
        stateless = self.features == "nothing" and spec.turn == (1, 0) and self.choices(spec) == 1
        if self.payoffs is not None and not stateless:
            raise InputError(
                f"{spec.name}: {self.kind}.payoffs is for learners of one price without states "
                "that move at every tick (features='nothing'; for several listings scope='firm')"
            )
        check_table_memory([(spec, self)], batch)
        choices, states = self.choices(spec), self.states(spec)
        q = self.first_table(batch * choices * states)
        whole, money = np.zeros((batch, choices), np.int64), np.zeros((batch, choices))
        return QMemory(
            q,
            greedy_levels(q),
            whole - 1,
            whole,
            money,
            money + 1.0,
            whole.copy(),
            whole,
            whole,
            np.zeros((batch, needed_openings(self, spec))),
            np.zeros(1, np.int64),
            np.full(1, -1),
            np.array([self.epsilon]),
        )

    def row_bytes(self) -> int:
        table = self.first_table(1)
        return table.nbytes + greedy_levels(table).nbytes

    def _rows(
        self, spec: ParticipantSpec, observation: Array, memory: QMemory
    ) -> tuple[IntArray, IntArray]:
        """[B, C] the rows of the table for the situation now, and the situation itself."""
        if memory.observed_at[0] != memory.clock[0]:
            return situation(self, spec, observation, memory.before, memory.opening)
        return rows_of(self, spec, memory.now, memory.before), memory.now

    def learn(
        self,
        spec: ParticipantSpec,
        observation: Array,
        reward: Array,
        memory: QMemory,
        draws: Draws,
    ) -> QMemory:
        """Correct the table by the last tick's reward; its arrays are written to."""
        at = int(memory.clock[0])
        if at == 0:
            memory = self._begun(spec, observation, memory, draws)
        rows, now = self._rows(spec, observation, memory)
        turn = on_turn(spec.turn, at)
        level = memory.level
        if spec.turn[0] == 0 and at:  # the level in force in the last tick, whether we moved or not
            level = self.level_of(spec, observation, self.own_level(spec, observation))
        if self.payoffs is not None:
            self._correct_all(spec, observation, memory, at)
        else:
            add_rewards(
                memory.q,
                memory.best,
                memory.row,
                level,
                memory.discounted_return,
                memory.discount,
                memory.changed,
                np.ascontiguousarray(self.profit(spec, observation, reward)),
                rows,
                turn,
                self.alpha,
                self.tick_discount(spec),
                at,
            )
        if turn and (memory.best[rows] < 0).any():
            uniforms = draws.uniforms("try", 2 * rows.shape[1])[:, 1::2]
            break_ties(memory.q, memory.best, rows, uniforms, memory.changed, at)
        return memory._replace(now=now, observed_at=memory.clock)

    def _begun(
        self, spec: ParticipantSpec, observation: Array, memory: QMemory, draws: Draws
    ) -> QMemory:
        if memory.opening.shape[1]:
            memory = memory._replace(opening=self.opening_rivals(spec, observation))
        if self.initial_spread > 0.0:
            batch = len(observation)
            drawn = draws.uniforms("first table", memory.q.size // batch)
            memory.q[:] += self.initial_spread * drawn.reshape(memory.q.shape)
            memory.best[:] = greedy_levels(memory.q)
        return memory

    def _correct_all(
        self, spec: ParticipantSpec, observation: Array, memory: QMemory, at: int
    ) -> None:
        """Synchronous learning: every level, by what it would have earned against what rivals did.

        For [C = 1] choices without states; the row of each market is the market's number.
        """
        if at == 0:
            return
        table = np.asarray(self.payoffs)
        ratios = self.rival_ratios(spec, observation, memory.opening)
        column = np.zeros(len(observation), np.int64)
        for grid, ratio in zip(self._rival_grids(spec), ratios, strict=True):
            column = column * grid.size + nearest(grid, ratio[:, 0])
        if table.shape[1] <= column.max():
            raise InputError(f"{spec.name}: {self.kind}.payoffs has too few situations of rivals")
        correct_all_rows(
            memory.q,
            memory.best,
            np.ascontiguousarray(table.T),
            column,
            memory.changed,
            self.alpha,
            self.delta,
            at,
        )

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: QMemory, draws: Draws
    ) -> tuple[Array, QMemory]:
        at = int(memory.clock[0])
        rows, now = self._rows(spec, observation, memory)
        epsilon = memory.epsilon * self.tick_decay(spec)
        np.maximum(epsilon, self.epsilon_floor, out=epsilon)
        after = memory._replace(clock=memory.clock + 1, epsilon=epsilon, before=now)
        if not on_turn(spec.turn, at):
            return self.priced(spec, observation, memory.level), after
        uniforms = draws.uniforms("try", 2 * rows.shape[1])
        greedy = self._greedy(memory, rows, uniforms[:, 1::2])
        tries = draws.block_uniforms("explore", rows.shape[1]) < memory.epsilon[0]
        level = np.where(tries, uniform_choice(uniforms[:, ::2], self.grid.size), greedy)
        fresh = np.zeros(rows.shape)
        after = after._replace(row=rows, level=level, discounted_return=fresh, discount=fresh + 1.0)
        return self.priced(spec, observation, level), after

    def _greedy(self, memory: QMemory, rows: IntArray, uniforms: Array) -> IntArray:
        """[B, C] the best level in the situation; one of several at random."""
        best = memory.best[rows].astype(np.int64)
        for b, h in np.argwhere(best < 0):
            best[b, h] = break_tie(memory.q, rows[b, h], uniforms[b, h])
        return best

    def strategy_of(self, memory: QMemory, rows: IntArray) -> Array:
        best, levels = memory.best[rows][..., None], np.arange(self.grid.size)
        return np.where(best >= 0, (best == levels).astype(np.float64), best_of(memory.q[rows]))

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: QMemory
    ) -> Array:
        if on_turn(spec.turn, int(memory.clock[0])):
            rows, _ = self._rows(spec, observation, memory)
            greedy = self.strategy_of(memory, rows)
            chances = explored(greedy, float(memory.epsilon[0]))
        else:  # who is not on the move repeats itself
            chances = self.repeated(memory.level)
        return chance_of(self, spec, observation, action, chances)


def greedy_levels(q: Array) -> IntArray:
    """[R] the best level of each row of a table [R, m]; -1 where several are as good."""
    top = q == q.max(axis=1, keepdims=True)
    return np.where(top.sum(axis=1) == 1, top.argmax(axis=1), -1).astype(np.int32)


# --- one row of a table: for the loop tick by tick and for the compiled game ---------------------


# Indices are unsigned: a signed one is asked at every access whether it counts from the end.


@inlined
def value(q, best, row):  # type: ignore[no-untyped-def]
    """The value of the best level of a row."""
    r = np.uint64(row)
    level = best[r]
    if level >= 0:
        return q[r, np.uint64(level)]
    top = q[r, 0]
    for a in range(np.uint64(1), np.uint64(q.shape[1])):
        top = max(top, q[r, a])
    return top


@kernel
def rank(q, best, row):  # type: ignore[no-untyped-def]
    """Find the best level of a row again; -1 if there are several."""
    r = np.uint64(row)
    top, found = q[r, 0], 0
    for a in range(1, q.shape[1]):
        entry = q[r, np.uint64(a)]
        if entry > top:
            top, found = entry, a
        elif entry == top:
            found = -1
    best[r] = found


@inlined
def correct(q, best, row, level, target, alpha):  # type: ignore[no-untyped-def]
    """Move one entry towards its target; whether the greedy level of the row changed."""
    r, a = np.uint64(row), np.uint64(level)
    old = q[r, a]
    new = (1.0 - alpha) * old + alpha * target
    q[r, a] = new
    first = best[r]
    if first == level:
        if new >= old:
            return False
        rank(q, best, row)
    elif first >= 0:
        top = q[r, np.uint64(first)]
        if new < top:
            return False
        best[r] = level if new > top else -1
    else:
        rank(q, best, row)
    return best[r] != first


@kernel
def break_tie(q, row, uniform):  # type: ignore[no-untyped-def]
    """One of the best levels of a row, each with equal chance."""
    top, ties = q[row, 0], 1
    for a in range(1, q.shape[1]):
        if q[row, a] > top:
            top, ties = q[row, a], 1
        elif q[row, a] == top:
            ties += 1
    left = min(int(uniform * ties), ties - 1)
    for a in range(q.shape[1]):
        if q[row, a] == top:
            if left == 0:
                return a
            left -= 1
    return 0  # not reached


# --- many rows ------------------------------------------------------------------------------------


@kernel
def add_rewards(  # type: ignore[no-untyped-def]
    q, best, row, level, discounted_return, discount, changed, reward, rows, turn, alpha, delta, at
):
    """Add up rewards [B, C]; whoever is on the move corrects its last move's entry."""
    for b in range(row.shape[0]):
        for h in range(row.shape[1]):
            if row[b, h] < 0:
                continue
            discounted_return[b, h] += discount[b, h] * reward[b, h]
            discount[b, h] *= delta
            if turn:
                target = discounted_return[b, h] + discount[b, h] * value(q, best, rows[b, h])
                if correct(q, best, row[b, h], level[b, h], target, alpha):
                    changed[b, h] = at


@kernel
def break_ties(q, best, rows, uniforms, changed, at):  # type: ignore[no-untyped-def]
    """Break ties in the situations met."""
    for b in range(rows.shape[0]):
        for h in range(rows.shape[1]):
            if best[rows[b, h]] < 0:
                best[rows[b, h]] = break_tie(q, rows[b, h], uniforms[b, h])
                changed[b, h] = at


@kernel
def correct_all_rows(q, best, payoffs, column, changed, alpha, delta, at):  # type: ignore[no-untyped-def]
    """Synchronous correction of the one row of each market; payoffs is [situations, m]."""
    for b in range(column.shape[0]):
        top = value(q, best, b)
        for a in range(q.shape[1]):
            target = payoffs[column[b], a] + delta * top
            if correct(q, best, b, a, target, alpha):
                changed[b, 0] = at
