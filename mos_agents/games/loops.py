"""The loops in which tabular learners meet: one for any game, and two for the games most played.

A period here takes tens of nanoseconds. `play` does what the learners do tick by tick, whatever
their number and schedule; `play_pair` and `play_in_turn` do the same for two players, with what
changes every period in variables instead of arrays. All three choose by the same function, and
tests hold them together bit for bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mos_agents.games.places import shown_of_pair, shown_set, tie_draw, tie_draws
from mos_agents.learners.q_learning import break_tie, correct, value
from mos_agents.market.kernels import inlined
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import block
from mos_agents.market.types import Array, IntArray


@short_repr
class SessionState(NamedTuple):
    """Where a session stands. Rows of `q` and `best` are the players' states, one after another."""

    q: Array  # [R, m] tables; -infinity where a player has fewer levels than others
    best: IntArray  # [R] greedy levels; -1 where several are best
    level: IntArray  # [n] the levels in force
    row: IntArray  # [n] row of the last move
    discounted_return: Array  # [n]
    discount: Array  # [n]
    changed: IntArray  # [n] period at which a greedy level last changed
    now: IntArray  # [n] the situation that the last period left
    before: IntArray  # [n] the situation one period earlier
    epsilon: Array  # [n]
    clock: IntArray  # [1]
    place: IntArray  # [G] the offer that holds each group's place; -1 for none
    held: Array  # [G] the last price of that offer


@short_repr
class GameArrays(NamedTuple):
    """A stage game of n players and P profiles, as `StageGame` has it.

    Where a rule of prominence has V sets of offers to show, row v P + p is profile p with the v-th.
    """

    payoffs: Array  # [V P, n]
    states: IntArray  # [n, V P] the situation that a profile leaves to each player
    strides: IntArray  # [n] of each player's level in a profile's number
    sizes: IntArray  # [n] levels of each player
    counts: IntArray  # [n] situations that one period can leave to each player


@short_repr
class LearnerArrays(NamedTuple):
    """The parameters of n learners."""

    begin: IntArray  # [n + 1] first row of each learner's table
    alpha: Array  # [n]
    delta: Array  # [n] per period
    decay: Array  # [n] of epsilon, per period
    floor: Array  # [n] of epsilon
    periods: IntArray  # [n] past periods that a state holds
    turns: IntArray  # [n, 2] period and offset of each one's moves
    synchronous: Any  # [n] whether every level is corrected at every move


class Addresses(NamedTuple):
    """Where a session's random numbers are found."""

    philox_keys: Any  # [n, 2] of each player's streams
    session: np.uint64
    explore: np.uint64  # key of the draws that decide whether a level is tried
    attempt: np.uint64  # key of the draws that decide which


class PlayerAddresses(NamedTuple):
    """The same of one player."""

    philox_key: Any
    session: Any
    explore: Any
    attempt: Any


class LastMove(NamedTuple):
    """A player's last move, and what it has earned since."""

    row: Any
    level: Any
    discounted_return: Any
    discount: Any


@inlined
def addresses_of(addresses, i):  # type: ignore[no-untyped-def]
    """One player's addresses."""
    philox_key = (addresses.philox_keys[i, 0], addresses.philox_keys[i, 1])
    return PlayerAddresses(philox_key, addresses.session, addresses.explore, addresses.attempt)


@inlined
def four_draws(own, t):  # type: ignore[no-untyped-def]
    """The uniforms by which a player explores in the four periods of t's block."""
    return block(own.philox_key, np.uint64(1), np.uint64(t >> 2), own.session, own.explore)


@inlined
def choose(state, last, r, alpha, tries, size, own, t):  # type: ignore[no-untyped-def]
    """One player's turn in situation r: correct the last move's entry, then choose.

    The level chosen, and whether a greedy level changed.
    """
    q, best = state.q, state.best
    changed = False
    if last.row >= 0:
        target = last.discounted_return + last.discount * value(q, best, r)
        changed = correct(q, best, last.row, last.level, target, alpha)
    first = best[np.uint64(r)]
    if tries or first < 0:
        u0, u1, _, _ = block(own.philox_key, np.uint64(1), np.uint64(t), own.session, own.attempt)
        if first < 0:
            first = best[r] = break_tie(q, r, u1)
            changed = True
        if tries:
            return min(int(u0 * size), size - 1), changed
    return np.int64(first), changed


@inlined
def play(  # type: ignore[no-untyped-def]
    game, learners, addresses, places, state, periods, window, trace, tried, shown, scratch
):
    """Play a session on, whatever the number of players and the schedule.

    periods: to which period in all. window: stop once no greedy level has changed for so many
    periods; 0 plays on. trace: [T, n] filled with the levels in force in the first T periods.
    tried: [T, n] filled with who explored. places: the rule of prominence, or None. shown: [T]
    filled with the set of offers shown. scratch: [n, 4] memory for draws; an inlined kernel makes
    no arrays of its own.
    """
    n = game.sizes.shape[0]
    level, row, changed, now, before = (
        state.level,
        state.row,
        state.changed,
        state.now,
        state.before,
    )
    profile, last, start = 0, 0, state.clock[0]
    for i in range(n):
        profile += level[i] * game.strides[i]
        last = max(last, changed[i])
    for t in range(start, periods):
        word = t & 3
        if word == 0 or t == start:
            for i in range(n):
                u0, u1, u2, u3 = four_draws(addresses_of(addresses, i), t)
                scratch[i, 0], scratch[i, 1], scratch[i, 2], scratch[i, 3] = u0, u1, u2, u3
        was = profile
        for i in range(n):
            begin, stride = learners.begin[i], game.strides[i]
            if learners.synchronous[i] and t > 0:
                top = value(state.q, state.best, begin)
                base = was - level[i] * stride
                for a in range(game.sizes[i]):
                    target = game.payoffs[base + a * stride, i] + learners.delta[i] * top
                    if correct(state.q, state.best, begin, a, target, learners.alpha[i]):
                        changed[i] = last = t
            if (t - learners.turns[i, 1]) % learners.turns[i, 0] != 0:
                continue
            r = begin + now[i]
            if learners.periods[i] == 2:
                r = begin + now[i] * game.counts[i] + before[i]
            made = LastMove(
                -1 if learners.synchronous[i] else row[i],
                level[i],
                state.discounted_return[i],
                state.discount[i],
            )
            tries = scratch[i, word] < state.epsilon[i]
            if t - start < tried.shape[0]:
                tried[t - start, i] = tries
            size, alpha = game.sizes[i], learners.alpha[i]
            own = addresses_of(addresses, i)
            a, new = choose(state, made, r, alpha, tries, size, own, t)
            if new:
                changed[i] = last = t
            profile += (a - level[i]) * stride
            row[i], level[i], state.discounted_return[i], state.discount[i] = r, a, 0.0, 1.0
        outcome = profile
        if places is not None:
            found = shown_set(places, level, state.place, state.held, t)
            outcome += found * places.profiles
            if t - start < shown.shape[0]:
                shown[t - start] = found
        for i in range(n):
            before[i], now[i] = now[i], game.states[i, outcome]
            state.discounted_return[i] += state.discount[i] * game.payoffs[outcome, i]
            state.discount[i] *= learners.delta[i]
            state.epsilon[i] = max(state.epsilon[i] * learners.decay[i], learners.floor[i])
        if t - start < trace.shape[0]:
            for i in range(n):
                trace[t - start, i] = level[i]
        if window > 0 and t - last >= window:
            state.clock[0] = t + 1
            return
    state.clock[0] = max(start, periods)


@inlined
def play_pair(  # type: ignore[no-untyped-def]
    game, learners, addresses, places, state, periods, window, trace, tried, shown, scratch
):
    """`play` for two who always move together and remember one period: several times faster.

    What changes every period stands in variables, not in arrays.
    """
    pay, states, stride, begin = game.payoffs, game.states, game.strides[0], learners.begin[1]
    own_1, own_2 = addresses_of(addresses, 0), addresses_of(addresses, 1)
    size_1, size_2 = game.sizes[0], game.sizes[1]
    alpha_1, alpha_2 = learners.alpha[0], learners.alpha[1]
    delta_1, delta_2 = learners.delta[0], learners.delta[1]
    decay_1, decay_2 = learners.decay[0], learners.decay[1]
    floor_1, floor_2 = learners.floor[0], learners.floor[1]
    epsilon_1, epsilon_2 = state.epsilon[0], state.epsilon[1]
    made_1, made_2 = last_move(state, 0), last_move(state, 1)
    now_1, now_2, was_1, was_2 = state.now[0], state.now[1], state.before[0], state.before[1]
    changed_1, changed_2, start = state.changed[0], state.changed[1], state.clock[0]
    last = max(changed_1, changed_2)
    u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = w0 = w1 = w2 = w3 = 0.0
    recorded = trace.shape[0]
    place = state.place[0] if state.place[0] >= 0 else 2
    t = start
    while t < periods:
        word = t & 3
        if word == 0 or t == start:
            u0, u1, u2, u3 = four_draws(own_1, t)
            v0, v1, v2, v3 = four_draws(own_2, t)
            if places is not None and places.is_drawn:
                w0, w1, w2, w3 = tie_draws(places, 0, t)
            for _ in range(word):
                u0, u1, u2, v0, v1, v2 = u1, u2, u3, v1, v2, v3
                w0, w1, w2 = w1, w2, w3
        row_1, row_2 = now_1, begin + now_2
        tries_1, tries_2 = u0 < epsilon_1, v0 < epsilon_2
        level_1, new = choose(state, made_1, row_1, alpha_1, tries_1, size_1, own_1, t)
        if new:
            changed_1 = last = t
        level_2, new = choose(state, made_2, row_2, alpha_2, tries_2, size_2, own_2, t)
        if new:
            changed_2 = last = t
        if t - start < tried.shape[0]:
            tried[t - start, 0], tried[t - start, 1] = tries_1, tries_2
        profile = np.uint64(level_1 * stride + level_2)
        if places is not None:
            lowered_1, lowered_2 = level_1 <= made_1.level, level_2 <= made_2.level
            place = shown_of_pair(places, profile, lowered_1, lowered_2, place)
            if place == 2:
                if not places.is_drawn:
                    w0 = tie_draw(places, 0, t)
                place = np.int64(w0 >= 0.5)
            w0, w1, w2 = w1, w2, w3
            profile += np.uint64(place * places.profiles)
            if t - start < shown.shape[0]:
                shown[t - start] = place
        was_1, was_2 = now_1, now_2
        now_1, now_2 = states[0, profile], states[1, profile]
        made_1 = LastMove(row_1, level_1, pay[profile, 0], delta_1)
        made_2 = LastMove(row_2, level_2, pay[profile, 1], delta_2)
        epsilon_1, epsilon_2 = max(epsilon_1 * decay_1, floor_1), max(epsilon_2 * decay_2, floor_2)
        u0, u1, u2, v0, v1, v2 = u1, u2, u3, v1, v2, v3
        if t - start < recorded:
            trace[t - start, 0], trace[t - start, 1] = level_1, level_2
        t += 1
        if window > 0 and t - last > window:
            break
    keep_move(state, 0, made_1)
    keep_move(state, 1, made_2)
    state.changed[0], state.changed[1], state.now[0], state.now[1] = (
        changed_1,
        changed_2,
        now_1,
        now_2,
    )
    state.before[0], state.before[1] = was_1, was_2
    state.epsilon[0], state.epsilon[1] = epsilon_1, epsilon_2
    if places is not None:
        state.place[0] = place
        state.held[0] = places.score[place, made_1.level if place == 0 else made_2.level]
    state.clock[0] = t


@inlined
def play_in_turn(  # type: ignore[no-untyped-def]
    game, learners, addresses, places, state, periods, window, trace, tried, shown, scratch
):
    """`play` for two who move in turn, the first at even periods, and remember one period."""
    pay, states, stride, begin = game.payoffs, game.states, game.strides[0], learners.begin[1]
    own_1, own_2 = addresses_of(addresses, 0), addresses_of(addresses, 1)
    size_1, size_2 = game.sizes[0], game.sizes[1]
    alpha_1, alpha_2 = learners.alpha[0], learners.alpha[1]
    delta_1, delta_2 = learners.delta[0], learners.delta[1]
    decay_1, decay_2 = learners.decay[0], learners.decay[1]
    floor_1, floor_2 = learners.floor[0], learners.floor[1]
    epsilon_1, epsilon_2 = state.epsilon[0], state.epsilon[1]
    made_1, made_2 = last_move(state, 0), last_move(state, 1)
    now_1, now_2, was_1, was_2 = state.now[0], state.now[1], state.before[0], state.before[1]
    changed_1, changed_2, start = state.changed[0], state.changed[1], state.clock[0]
    last, recorded = max(changed_1, changed_2), trace.shape[0]
    u0 = u2 = v1 = v3 = 0.0  # of a block's four uniforms, each uses the two of its own periods
    t = start
    while t < periods:
        word = t & 3
        if word & 1 == 0:
            if word == 0 or t < start + 2:
                u0, _, u2, _ = four_draws(own_1, t)
            tries = (u0 if word == 0 else u2) < epsilon_1
            if t - start < tried.shape[0]:
                tried[t - start, 0] = tries
            level, new = choose(state, made_1, now_1, alpha_1, tries, size_1, own_1, t)
            made_1 = LastMove(now_1, level, 0.0, 1.0)
            if new:
                changed_1 = last = t
        else:
            if word == 1 or t < start + 2:
                _, v1, _, v3 = four_draws(own_2, t)
            tries = (v1 if word == 1 else v3) < epsilon_2
            if t - start < tried.shape[0]:
                tried[t - start, 1] = tries
            r = begin + now_2
            level, new = choose(state, made_2, r, alpha_2, tries, size_2, own_2, t)
            made_2 = LastMove(r, level, 0.0, 1.0)
            if new:
                changed_2 = last = t
        profile = np.uint64(made_1.level * stride + made_2.level)
        was_1, was_2 = now_1, now_2
        now_1, now_2 = states[0, profile], states[1, profile]
        made_1 = earned(made_1, pay[profile, 0], delta_1)
        made_2 = earned(made_2, pay[profile, 1], delta_2)
        epsilon_1, epsilon_2 = max(epsilon_1 * decay_1, floor_1), max(epsilon_2 * decay_2, floor_2)
        if t - start < recorded:
            trace[t - start, 0], trace[t - start, 1] = made_1.level, made_2.level
        t += 1
        if window > 0 and t - last > window:
            break
    keep_move(state, 0, made_1)
    keep_move(state, 1, made_2)
    state.changed[0], state.changed[1], state.now[0], state.now[1] = (
        changed_1,
        changed_2,
        now_1,
        now_2,
    )
    state.before[0], state.before[1] = was_1, was_2
    state.epsilon[0], state.epsilon[1] = epsilon_1, epsilon_2
    state.clock[0] = t


@inlined
def last_move(state, i):  # type: ignore[no-untyped-def]
    """A player's last move, out of the arrays."""
    return LastMove(state.row[i], state.level[i], state.discounted_return[i], state.discount[i])


@inlined
def keep_move(state, i, made):  # type: ignore[no-untyped-def]
    """A player's last move, into the arrays."""
    state.row[i], state.level[i] = made.row, made.level
    state.discounted_return[i], state.discount[i] = made.discounted_return, made.discount


@inlined
def earned(made, reward, delta):  # type: ignore[no-untyped-def]
    """The last move after another period's reward."""
    total = made.discounted_return + made.discount * reward
    return LastMove(made.row, made.level, total, made.discount * delta)
