"""The repeated game in one compiled loop: tabular learners meet for millions of periods.

The same game as tick by tick, and the same bits: payoffs come from the market (`StageGame`), tables
are corrected by the learners' own functions (`learners.q_learning`), and luck has the same
addresses (participant, session, tick). A *session* is one market of the batch from first to last
tick: session s of a seed is the same in any company and in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mos_agents.games.stage_game import StageGame
from mos_agents.learners.q_learning import (
    QLearning,
    correct,
    greedy_levels,
    settled,
    value,
)
from mos_agents.market.kernels import inlined
from mos_agents.market.random import Streams, block, purpose_number
from mos_agents.market.tick import Market
from mos_agents.market.types import Array, InputError, IntArray

WINDOW = 100_000
"""Periods without a change of any greedy price after which a session has converged."""


@dataclass(frozen=True, eq=False)
class RepeatedGame:
    """A stage game, who plays it, and when they move."""

    stage: StageGame
    learners: tuple[QLearning, ...]

    @classmethod
    def of(cls, market: Market, learners: Mapping[str, QLearning]) -> RepeatedGame:
        """The repeated game of the market's participants named; the others keep their prices.

        Raises InputError in one line where the market or a learner cannot be played so.
        """
        for name, one in learners.items():
            if type(one) is not QLearning:
                raise InputError(
                    f"{name}: {getattr(one, 'kind', one)!r} is not played in the compiled game, "
                    "q_learning is; play it tick by tick with mos_agents.rollout"
                )
        for name in learners:
            if market.seat(name).turn[0] == 0:
                raise InputError(
                    "schedule: random moves are played tick by tick only; use simultaneous, "
                    "alternating or periodic ones"
                )
        stage = StageGame.of(market, learners)
        made = cls(stage, tuple(learners[name] for name in stage.players))
        for name, learner in zip(stage.players, made.learners, strict=True):
            learner.start(market.seat(name), 1)
        return made

    @property
    def n(self) -> int:
        return self.stage.n

    def states(self, player: int) -> int:
        """Situations that a player tells apart."""
        return int(self.stage.state_counts[player]) ** self.learners[player].periods

    def start(self, seed: int, session: int) -> Session:
        """A session before its first period."""
        stage, n = self.stage, self.n
        rows = np.array([self.states(i) for i in range(n)], np.int64)
        begin = np.concatenate(([0], rows.cumsum()))
        q = np.full((int(begin[-1]), int(stage.sizes.max())), -np.inf)
        for i, learner in enumerate(self.learners):
            part = q[begin[i] : begin[i + 1], : stage.sizes[i]]
            part[:] = learner.first_table(int(rows[i]))
            if learner.initial_spread > 0.0:
                luck = Streams.of(seed, np.array([session]), owner=stage.players[i]).at(0)
                drawn = luck.uniforms("first table", part.size)
                part[:] += learner.initial_spread * drawn.reshape(part.shape)
        whole, money = np.zeros(n, np.int64), np.zeros(n)
        return Session(
            q, greedy_levels(q), stage.first_levels.copy(), whole - 1, money.copy(), money + 1.0,
            whole.copy(), stage.first_states.copy(), whole.copy(),
            np.array([learner.epsilon for learner in self.learners]), np.zeros(1, np.int64),
        )  # fmt: skip

    def advance(
        self,
        state: Session,
        seed: int,
        session: int,
        periods: int,
        window: int = 0,
        trace: IntArray | None = None,
    ) -> int:
        """Play on, in place, to the period `periods` in all, or until converged; periods played.

        window: stop once no greedy level has changed for so many periods; 0 plays to the end.
        trace: [T, n] filled with the levels that stand in the first T periods of this call.
        """
        stage, n = self.stage, self.n
        rows = np.concatenate(([0], np.cumsum([self.states(i) for i in range(n)]))).astype(np.int64)
        seats = [stage.market.seat(name) for name in stage.players]
        numbers = {name: np.array([getattr(one, name) for one in self.learners])
                   for name in ("alpha", "delta", "decay", "epsilon_floor", "periods")}  # fmt: skip
        turns = np.array([seat.turn for seat in seats], np.int64)
        keys = np.stack([Streams.of(seed, 1, owner=name).key for name in stage.players])
        full = np.array([one.payoffs is not None for one in self.learners])
        pair = (
            n == 2
            and not full.any()
            and bool((turns == [1, 0]).all() and (numbers["periods"] == 1).all())
        )
        (_play_pair if pair else _play)(
            stage.payoffs, stage.states, stage.strides, stage.sizes, stage.state_counts, rows,
            numbers["alpha"], numbers["delta"], numbers["decay"], numbers["epsilon_floor"],
            numbers["periods"], turns, full, keys, np.uint64(session),
            np.uint64(purpose_number("explore")), np.uint64(purpose_number("try")), *state,
            max(periods, int(state.clock[0])), window,
            np.empty((0, n), np.int64) if trace is None else trace, np.empty((n, 4)),
        )  # fmt: skip
        return int(state.clock[0])


class Session(NamedTuple):
    """Where a session stands. Rows of `q` and `best` are the players' states, one after another."""

    q: Array  # [R, m] tables; -infinity where a player has fewer levels than others
    best: IntArray  # [R] greedy levels; -1 where several are best
    level: IntArray  # [n] the levels that stand
    row: IntArray  # [n] row of the last move
    gain: Array  # [n]
    power: Array  # [n]
    changed: IntArray  # [n] period at which a greedy level last changed
    now: IntArray  # [n] the situation that the last period left
    before: IntArray  # [n] the situation one period earlier
    epsilon: Array  # [n]
    clock: IntArray  # [1]


@inlined
def move(  # type: ignore[no-untyped-def]
    q, best, row, level, gain, power, r, alpha, tries, levels, key, t, session, attempt
):
    """One player's turn in situation r: correct the last move's entry, then choose.

    The level chosen, and whether a greedy level changed.
    """
    changed = False
    if row >= 0:
        changed = correct(q, best, row, level, gain + power * value(q, best, r), alpha)
    first = best[np.uint64(r)]
    if tries or first < 0:
        u0, u1, _, _ = block(key, np.uint64(1), np.uint64(t), session, attempt)
        if first < 0:
            first = best[r] = settled(q, r, u1)
            changed = True
        if tries:
            return min(int(u0 * levels), levels - 1), changed
    return np.int64(first), changed


@inlined
def _play(  # type: ignore[no-untyped-def]
    pay, states, strides, sizes, counts, rows, alpha, delta, decay, floor, memory, turns, full,
    keys, session, explore, attempt, q, best, level, row, gain, power, changed, now, before,
    epsilon, clock, periods, window, trace, page,
):  # fmt: skip
    """Play a session on, whatever the number of players and the schedule.

    page: [n, 4] room for draws; an inlined kernel makes no arrays of its own.
    """
    n = sizes.shape[0]
    profile, last, start = 0, 0, clock[0]
    for i in range(n):
        profile += level[i] * strides[i]
        last = max(last, changed[i])
    for t in range(start, periods):
        word = t & 3
        if word == 0 or t == start:
            for i in range(n):
                key = (keys[i, 0], keys[i, 1])
                u0, u1, u2, u3 = block(key, np.uint64(1), np.uint64(t >> 2), session, explore)
                page[i, 0], page[i, 1], page[i, 2], page[i, 3] = u0, u1, u2, u3
        was = profile
        for i in range(n):
            if full[i] and t > 0:
                top = value(q, best, rows[i])
                base = was - level[i] * strides[i]
                for a in range(sizes[i]):
                    target = pay[base + a * strides[i], i] + delta[i] * top
                    if correct(q, best, rows[i], a, target, alpha[i]):
                        changed[i] = last = t
            if (t - turns[i, 1]) % turns[i, 0] != 0:
                continue
            r = rows[i] + now[i]
            if memory[i] == 2:
                r = rows[i] + now[i] * counts[i] + before[i]
            a, new = move(
                q, best, -1 if full[i] else row[i], level[i], gain[i], power[i], r, alpha[i],
                page[i, word] < epsilon[i], sizes[i], (keys[i, 0], keys[i, 1]), t, session,
                attempt,
            )  # fmt: skip
            if new:
                changed[i] = last = t
            profile += (a - level[i]) * strides[i]
            row[i], level[i], gain[i], power[i] = r, a, 0.0, 1.0
        for i in range(n):
            before[i], now[i] = now[i], states[i, profile]
            gain[i] += power[i] * pay[profile, i]
            power[i] *= delta[i]
            epsilon[i] = max(epsilon[i] * decay[i], floor[i])
        if t - start < trace.shape[0]:
            for i in range(n):
                trace[t - start, i] = level[i]
        if window > 0 and t - last >= window:
            clock[0] = t + 1
            return
    clock[0] = max(start, periods)


@inlined
def _play_pair(  # type: ignore[no-untyped-def]
    pay, states, strides, sizes, counts, rows, alpha, delta, decay, floor, memory, turns, full,
    keys, session, explore, attempt, q, best, level, row, gain, power, changed, now, before,
    epsilon, clock, periods, window, trace, page,
):  # fmt: skip
    """`_play` for two who always move together and remember one period: several times faster.

    What changes every period stands in variables, not in arrays; the moves are the same function.
    """
    first, second = (keys[0, 0], keys[0, 1]), (keys[1, 0], keys[1, 1])
    stride, begin = strides[0], rows[1]
    alpha_1, alpha_2, delta_1, delta_2 = alpha[0], alpha[1], delta[0], delta[1]
    decay_1, decay_2, floor_1, floor_2 = decay[0], decay[1], floor[0], floor[1]
    epsilon_1, epsilon_2 = epsilon[0], epsilon[1]
    size_1, size_2 = sizes[0], sizes[1]
    level_1, level_2, row_1, row_2 = level[0], level[1], row[0], row[1]
    gain_1, gain_2, power_1, power_2 = gain[0], gain[1], power[0], power[1]
    now_1, now_2, was_1, was_2 = now[0], now[1], before[0], before[1]
    changed_1, changed_2, start = changed[0], changed[1], clock[0]
    last = max(changed_1, changed_2)
    u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = 0.0
    recorded = trace.shape[0]
    t = start
    while t < periods:
        word = t & 3
        if word == 0 or t == start:
            at = np.uint64(t >> 2)
            u0, u1, u2, u3 = block(first, np.uint64(1), at, session, explore)
            v0, v1, v2, v3 = block(second, np.uint64(1), at, session, explore)
            for _ in range(word):
                u0, u1, u2, v0, v1, v2 = u1, u2, u3, v1, v2, v3
        row_before, level_before = row_1, level_1
        row_1 = now_1
        level_1, new = move(
            q, best, row_before, level_before, gain_1, power_1, row_1, alpha_1, u0 < epsilon_1,
            size_1, first, t, session, attempt,
        )  # fmt: skip
        if new:
            changed_1 = last = t
        row_before, level_before = row_2, level_2
        row_2 = begin + now_2
        level_2, new = move(
            q, best, row_before, level_before, gain_2, power_2, row_2, alpha_2, v0 < epsilon_2,
            size_2, second, t, session, attempt,
        )  # fmt: skip
        if new:
            changed_2 = last = t
        profile = np.uint64(level_1 * stride + level_2)
        was_1, was_2 = now_1, now_2
        now_1, now_2 = states[0, profile], states[1, profile]
        gain_1, gain_2, power_1, power_2 = pay[profile, 0], pay[profile, 1], delta_1, delta_2
        epsilon_1, epsilon_2 = max(epsilon_1 * decay_1, floor_1), max(epsilon_2 * decay_2, floor_2)
        u0, u1, u2, v0, v1, v2 = u1, u2, u3, v1, v2, v3
        if t - start < recorded:
            trace[t - start, 0], trace[t - start, 1] = level_1, level_2
        t += 1
        if window > 0 and t - last > window:
            break
    level[0], level[1], row[0], row[1] = level_1, level_2, row_1, row_2
    gain[0], gain[1], power[0], power[1] = gain_1, gain_2, power_1, power_2
    changed[0], changed[1], now[0], now[1] = changed_1, changed_2, now_1, now_2
    before[0], before[1], epsilon[0], epsilon[1] = was_1, was_2, epsilon_1, epsilon_2
    clock[0] = t


__all__ = ["RepeatedGame", "Session", "WINDOW"]
