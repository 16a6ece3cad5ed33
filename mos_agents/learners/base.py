"""What learners share: whose turn it is, what the last move has earned, how the next one is drawn.

A learner of this kind states three things: the tables it keeps, how a move that is over corrects
them, and the chance of each level now. Its moves are drawn from those chances and from nothing
else, so that the propensity it states is the chance with which it acted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mos_agents.learners.price_grid import PriceGrid, check_table_memory
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import Policy, check_number, check_numbers


@short_repr
class Memory(NamedTuple):
    """What a learner remembers in B markets, with C independent choices of S states each.

    Row (b C + c) S + s of a table is state s of choice c in market b.

    Parameters
    ----------
    tables : named tuple of arrays
        The learner's own arrays, by row.
    row : array
        [B, C] the row of the last move; -1 before the first.
    level : array
        [B, C] the level of the last move.
    discounted_return : array
        [B, C] the discounted rewards since then.
    discount : array
        [B, C] the discount of the next reward.
    ticks : array
        [B, C] ticks since then.
    before : array
        [B, C] the state one period ago.
    opening : array
        [B, r] the first prices of rivals.
    clock : array
        [1] ticks played.
    """

    tables: Any  # the learner's own arrays, by row
    row: IntArray  # [B, C] row of the last move; -1 before the first
    level: IntArray  # [B, C] level of the last move
    discounted_return: Array  # [B, C] discounted rewards since then
    discount: Array  # [B, C] discount of the next reward
    ticks: IntArray  # [B, C] ticks since then
    before: IntArray  # [B, C] the situation one period ago
    opening: Array  # [B, r] what rival firms asked at first
    clock: IntArray  # [1] ticks lived


@short_repr
class Moves(NamedTuple):
    """Finished moves of a learner, n of them, each of another choice.

    Parameters
    ----------
    row : array of int [n]
        Row of the tables for the situation in which the move was made.
    level : array of int [n]
        The price in force, as a position in the grid.
    proposed : array of int [n]
        The price proposed, as a position in the grid. It differs from `level` only in markets where
        turns are random.
    discounted_return : array [n]
        Sum of the discounted rewards while the price was in force, in money.
    discount : array [n]
        Discount factor of what comes after the move.
    ticks : array of int [n]
        Ticks for which the price was in force.
    after : array of int [n]
        Row of the tables for the situation to which the move led.
    """

    row: IntArray
    level: IntArray
    proposed: IntArray
    discounted_return: Array
    discount: Array
    ticks: IntArray
    after: IntArray

    @property
    def mean(self) -> Array:
        """[n] reward per tick while the level was in force, where nothing is discounted."""
        return self.discounted_return / self.ticks


@dataclass(frozen=True)
class Clocks:
    """The units in which a learner's discount and exploration count: "tick" or "move".

    Take a learner that moves every k ticks and counts in ticks. Per move it is less patient
    (delta^k) than one that moves at every tick, and explores less at the same number of moves. So a
    comparison of both mixes pace, patience and exploration. Counted in moves, both stay the same
    per move: the discount per tick is delta^(1/k), and exploration at tick t is that of age t / k.

    Parameters
    ----------
    discount_per : str
        the unit of the discount.
    explore_per : str
        the unit in which exploration falls.
    """

    discount_per: str = "tick"
    explore_per: str = "tick"

    def check(self, learner: Any, spec: ParticipantSpec) -> None:
        """InputError where a spec cannot tell how many ticks lie between its moves."""
        for name in ("discount_per", "explore_per"):
            if getattr(self, name) == "move" and spec.turn[0] == 0:
                raise InputError(
                    f"{spec.name}: {learner.kind}.{name}='move' needs moves at fixed distances, "
                    f"but here they come by chance; give {name}='tick', or another schedule"
                )

    def tick_discount(self, discount: float, spec: ParticipantSpec) -> float:
        """The discount factor per tick."""
        return discount if self.discount_per == "tick" else float(discount ** (1 / spec.turn[0]))

    def tick_rate(self, rate: float, spec: ParticipantSpec) -> float:
        """The rate per tick at which exploration falls."""
        return rate if self.explore_per == "tick" else rate / spec.turn[0]

    def age(self, at: int, spec: ParticipantSpec) -> float:
        """Ticks, or moves, that exploration has fallen for at tick `at`."""
        return at if self.explore_per == "tick" else at / spec.turn[0]


@dataclass(frozen=True)
class Learner(PriceGrid, Policy):
    """A policy that chooses among prices and updates itself from its own rewards.

    The base class of all learners. Its parameters are those of `PriceGrid`. Subclasses write
    `start`, `learn`, `act`, `propensity`, `strategy_of` and `row_bytes`. `TabularLearner` writes
    most of them.
    """

    @property
    def discount(self) -> float:
        """Discount factor of the rewards between two own moves, per tick or per move."""
        return 1.0

    @cached_property
    def clocks(self) -> Clocks:
        """What its discount and its exploration count in."""
        return Clocks()

    def tick_discount(self, spec: ParticipantSpec) -> float:
        """The discount factor per tick."""
        return self.clocks.tick_discount(self.discount, spec)

    def strategy_of(self, memory: Any, rows: IntArray) -> Array:
        """[..., m] the chance of each level in rows of its tables with nothing tried out."""
        raise NotImplementedError

    def repeated(self, level: IntArray) -> Array:
        """[B, C, m] chances of a participant that is not on the move: it repeats its level."""
        again: Array = (level[:, :, None] == np.arange(self.grid.size)).astype(np.float64)
        return again


@dataclass(frozen=True)
class TabularLearner(Learner):
    """A learner with tables. Subclasses write `tables`, `correct`, `chances` and `strategy`.

    Its parameters are those of `PriceGrid`.
    """

    def tables(self, batch: int, choices: int, states: int) -> Any:
        """The tables before anything is learnt: a NamedTuple of arrays."""
        raise NotImplementedError

    def row_bytes(self) -> int:
        return sum(array.nbytes for array in self.tables(1, 1, 1))

    def correct(self, tables: Any, moves: Moves) -> None:
        """Learn from moves that are over, writing to the tables."""
        raise NotImplementedError

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        """[B, C, m] the chance of each level in the rows [B, C] at age `at`: ticks, or own moves
        where exploration counts in those."""
        raise NotImplementedError

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        """[B, C, m] the same with nothing tried out: what has been learnt, as a mixed strategy."""
        raise NotImplementedError

    def strategy_of(self, memory: Any, rows: IntArray) -> Array:
        return self.strategy(memory.tables, rows)

    def choose(self, tables: Any, rows: IntArray, at: float, draws: Draws) -> IntArray:
        """[B, C] levels drawn with `chances`."""
        return drawn(self.chances(tables, rows, at), draws.uniforms("choose", rows.shape[1]))

    def start(self, spec: ParticipantSpec, batch: int) -> Memory:
        self.check_spec(spec)
        self.clocks.check(self, spec)
        check_table_memory([(spec, self)], batch)
        choices, states = self.choices(spec), self.states(spec)
        whole, money = np.zeros((batch, choices), np.int64), np.zeros((batch, choices))
        return Memory(
            self.tables(batch, choices, states),
            whole - 1,
            whole,
            money,
            money + 1.0,
            whole.copy(),
            whole.copy(),
            np.zeros((batch, needed_openings(self, spec))),
            np.zeros(1, np.int64),
        )

    def learn(
        self,
        spec: ParticipantSpec,
        observation: Array,
        reward: Array,
        memory: Memory,
        draws: Draws,
    ) -> Memory:
        """Add up the last tick's reward; on the own turn, learn from the move that is now over."""
        at = int(memory.clock[0])
        if at == 0 and memory.opening.shape[1]:
            memory = memory._replace(opening=self.opening_rivals(spec, observation))
        made = memory.row >= 0
        if not made.any():
            return memory
        earned = np.broadcast_to(self.profit(spec, observation, reward), made.shape)
        memory.discounted_return[made] += memory.discount[made] * earned[made]
        memory.discount[made] *= self.tick_discount(spec)
        memory.ticks[made] += 1
        if on_turn(spec.turn, at):
            after, _ = situation(self, spec, observation, memory.before, memory.opening)
            in_force = self.level_in_force(spec, observation, memory)
            over = (
                memory.row,
                in_force,
                memory.level,
                memory.discounted_return,
                memory.discount,
                memory.ticks,
                after,
            )
            self.correct(memory.tables, Moves(*(part[made] for part in over)))
        return memory

    def level_in_force(self, spec: ParticipantSpec, observation: Array, memory: Memory) -> IntArray:
        """[B, C] the level in force in the last tick: the last move's, or, where turns are not
        known, what the own quote says."""
        if spec.turn[0] > 0:
            return memory.level
        return self.level_of(spec, observation, self.own_level(spec, observation))

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Memory, draws: Draws
    ) -> tuple[Array, Memory]:
        at = int(memory.clock[0])
        rows, now = situation(self, spec, observation, memory.before, memory.opening)
        after = memory._replace(clock=memory.clock + 1, before=now)
        if not on_turn(spec.turn, at):
            return self.priced(spec, observation, memory.level), after
        level = self.choose(memory.tables, rows, self.clocks.age(at, spec), draws)
        money = np.zeros(rows.shape)
        after = after._replace(
            row=rows,
            level=level,
            discounted_return=money,
            discount=money + 1.0,
            ticks=np.zeros_like(rows),
        )
        return self.priced(spec, observation, level), after

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Memory
    ) -> Array:
        at = int(memory.clock[0])
        if on_turn(spec.turn, at):
            rows, _ = situation(self, spec, observation, memory.before, memory.opening)
            chances = self.chances(memory.tables, rows, self.clocks.age(at, spec))
        else:  # who is not on the move repeats itself
            chances = self.repeated(memory.level)
        return chance_of(self, spec, observation, action, chances)


# --- turns and situations -------------------------------------------------------------------------


def on_turn(turn: tuple[int, int], at: int) -> bool:
    """Whether a participant moves at this tick; always, where that is not known beforehand."""
    period, offset = turn
    return period == 0 or (at - offset) % period == 0


def needed_openings(learner: PriceGrid, spec: ParticipantSpec) -> int:
    """How many rivals' opening prices have to be remembered to read their levels."""
    relative = learner.scope == "firm" and learner.relative_to == "opening"
    return learner.rivals(spec) if relative and learner.features not in ("own", "nothing") else 0


def situation(
    learner: PriceGrid, spec: ParticipantSpec, observation: Array, before: IntArray, opening: Array
) -> tuple[IntArray, IntArray]:
    """[B, C] the rows of the tables for the situation now, and the situation of this period."""
    now = learner.encode(spec, observation, opening if opening.shape[1] else None)
    return rows_of(learner, spec, now, before), now


def rows_of(learner: PriceGrid, spec: ParticipantSpec, now: IntArray, before: IntArray) -> IntArray:
    """[B, C] the rows of the tables for the situation now, given that of the period before."""
    state = now if learner.periods == 1 else now * learner.states_now(spec) + before
    rows: IntArray = np.arange(now.size).reshape(now.shape) * learner.states(spec) + state
    return rows


# --- chances --------------------------------------------------------------------------------------


def decaying(first: float, beta: float, least: float, at: float) -> float:
    """What begins at `first` and falls as exp(-beta t), to no less than `least`."""
    return max(first * math.exp(-beta * at), least)


def best_of(values: Array) -> Array:
    """[..., m] chances that fall on the best level alone; on several as good, in equal parts."""
    top = values == values.max(axis=-1, keepdims=True)
    return top / top.sum(axis=-1, keepdims=True)


def softmax(logits: Array) -> Array:
    """[..., m] exp(logits) over their sum, without overflow. Sums run in order: the same bits in
    a batch of any size."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.cumsum(axis=-1)[..., -1:]


def explored(chances: Array, epsilon: float) -> Array:
    """Chances of one that with probability epsilon draws any level."""
    return epsilon / chances.shape[-1] + (1.0 - epsilon) * chances


def drawn(chances: Array, uniforms: Array) -> IntArray:
    """[B, C] levels with these chances [B, C, m], from uniforms [B, C]."""
    until = chances.cumsum(axis=-1)
    passed = until <= (uniforms[:, :, None] * until[:, :, -1:])
    return np.minimum(passed.sum(axis=-1), chances.shape[-1] - 1)


def chance_of(
    learner: PriceGrid, spec: ParticipantSpec, observation: Array, action: Array, chances: Array
) -> Array:
    """[B] the chance of an action [B, L_n, A] when choices draw levels with chances [B, C, m].

    Several levels may come to one price (beyond the limits of the quotes): their chances add up.
    """
    batch, choices, count = chances.shape
    found = np.zeros((batch, choices))
    for a in range(count):
        own = learner.priced(spec, observation, np.full((batch, choices), a))
        asked: Any = (np.abs(action - own) <= 1e-9 * np.maximum(1.0, np.abs(own))).all(axis=2)
        if choices == 1:  # one lever for all listings
            asked = asked.all(axis=1, keepdims=True)
        found += np.where(asked, chances[:, :, a], 0.0)
    product: Array = found.prod(axis=1)
    return product


# --- parameters that several learners have --------------------------------------------------------


def check_rate(learner: Any, name: str) -> None:
    """InputError unless the learning rate is in (0, 1]."""
    check_number(learner, name, 0.0, 1.0)
    if getattr(learner, name) == 0.0:
        raise InputError(f"{learner.kind}.{name}=0 must be in (0, 1]: with 0 nothing is learnt")


def check_exploration(learner: Any) -> None:
    """InputError unless epsilon, beta and epsilon_floor can be a decaying chance of exploration."""
    for name, high in (("epsilon", 1.0), ("epsilon_floor", 1.0), ("beta", np.inf)):
        check_number(learner, name, 0.0, high)


def check_clock(learner: Any, *names: str) -> None:
    """InputError unless each setting is "tick" or "move"."""
    for name in names:
        if getattr(learner, name) not in ("tick", "move"):
            raise InputError(
                f"{learner.kind}.{name}={getattr(learner, name)!r} must be 'tick' or 'move'"
            )


def check_initial(learner: Any) -> None:
    """InputError unless `initial` is one number or one for each level."""
    check_numbers(learner, "initial")
    if np.ndim(learner.initial) and len(learner.initial) != learner.grid.size:
        raise InputError(
            f"{learner.kind}.initial has {len(learner.initial)} numbers, but there are "
            f"{learner.grid.size} levels; give one, or one for each"
        )


def first_values(initial: float | tuple[float, ...], rows: int, levels: int) -> Array:
    """[rows, m] a table that says the same in every row."""
    return np.tile(np.broadcast_to(np.asarray(initial, np.float64), (levels,)), (rows, 1))


def check_rewards(learner: Any) -> None:
    """InputError unless reward_low < reward_high."""
    check_number(learner, "reward_low")
    check_number(learner, "reward_high")
    low, high = learner.reward_low, learner.reward_high
    if not low < high:
        raise InputError(
            f"{learner.kind}.reward_low={low!r} must be below reward_high={high!r}: the least and "
            "the most that a tick may earn"
        )


def scaled(reward: Array, low: float, high: float) -> Array:
    """Rewards as shares of the way from `low` to `high`; what lies beyond counts as the bound."""
    share: Array = np.clip((reward - low) / (high - low), 0.0, 1.0)
    return share
