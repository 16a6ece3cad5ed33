"""The loops in which tabular learners meet: one for any game, and two for the games most played.

A period here takes tens of nanoseconds. `play` does what the learners do tick by tick, whatever
their number and schedule; `play_pair` and `play_in_turn` do the same for two players, with what
changes every period in variables instead of arrays. All three move by the same function, and tests
hold them together bit for bit. Arguments are those of `RepeatedGame.advance`; `drawn_block` is
scratch.
"""

from __future__ import annotations

import numpy as np

from mos_agents.learners.q_learning import break_tie, correct, value
from mos_agents.market.kernels import inlined
from mos_agents.market.streams import block


@inlined
def move(  # type: ignore[no-untyped-def]
    q,
    best,
    row,
    level,
    discounted_return,
    discount,
    r,
    alpha,
    tries,
    levels,
    philox_key,
    t,
    session,
    attempt,
):
    """One player's turn in situation r: correct the last move's entry, then choose.

    The level chosen, and whether a greedy level changed.
    """
    changed = False
    if row >= 0:
        changed = correct(
            q, best, row, level, discounted_return + discount * value(q, best, r), alpha
        )
    first = best[np.uint64(r)]
    if tries or first < 0:
        u0, u1, _, _ = block(philox_key, np.uint64(1), np.uint64(t), session, attempt)
        if first < 0:
            first = best[r] = break_tie(q, r, u1)
            changed = True
        if tries:
            return min(int(u0 * levels), levels - 1), changed
    return np.int64(first), changed


@inlined
def play(  # type: ignore[no-untyped-def]
    pay,
    states,
    strides,
    sizes,
    counts,
    rows,
    alpha,
    delta,
    decay,
    floor,
    memory,
    turns,
    full,
    philox_keys,
    session,
    explore,
    attempt,
    q,
    best,
    level,
    row,
    discounted_return,
    discount,
    changed,
    now,
    before,
    epsilon,
    clock,
    periods,
    window,
    trace,
    drawn_block,
):
    """Play a session on, whatever the number of players and the schedule.

    drawn_block: [n, 4] room for draws; an inlined kernel makes no arrays of its own.
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
                philox_key = (philox_keys[i, 0], philox_keys[i, 1])
                u0, u1, u2, u3 = block(
                    philox_key, np.uint64(1), np.uint64(t >> 2), session, explore
                )
                drawn_block[i, 0], drawn_block[i, 1], drawn_block[i, 2], drawn_block[i, 3] = (
                    u0,
                    u1,
                    u2,
                    u3,
                )
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
                q,
                best,
                -1 if full[i] else row[i],
                level[i],
                discounted_return[i],
                discount[i],
                r,
                alpha[i],
                drawn_block[i, word] < epsilon[i],
                sizes[i],
                (philox_keys[i, 0], philox_keys[i, 1]),
                t,
                session,
                attempt,
            )
            if new:
                changed[i] = last = t
            profile += (a - level[i]) * strides[i]
            row[i], level[i], discounted_return[i], discount[i] = r, a, 0.0, 1.0
        for i in range(n):
            before[i], now[i] = now[i], states[i, profile]
            discounted_return[i] += discount[i] * pay[profile, i]
            discount[i] *= delta[i]
            epsilon[i] = max(epsilon[i] * decay[i], floor[i])
        if t - start < trace.shape[0]:
            for i in range(n):
                trace[t - start, i] = level[i]
        if window > 0 and t - last >= window:
            clock[0] = t + 1
            return
    clock[0] = max(start, periods)


@inlined
def play_pair(  # type: ignore[no-untyped-def]
    pay,
    states,
    strides,
    sizes,
    counts,
    rows,
    alpha,
    delta,
    decay,
    floor,
    memory,
    turns,
    full,
    philox_keys,
    session,
    explore,
    attempt,
    q,
    best,
    level,
    row,
    discounted_return,
    discount,
    changed,
    now,
    before,
    epsilon,
    clock,
    periods,
    window,
    trace,
    drawn_block,
):
    """`play` for two who always move together and remember one period: several times faster.

    What changes every period stands in variables, not in arrays; the moves are the same function.
    """
    first, second = (philox_keys[0, 0], philox_keys[0, 1]), (philox_keys[1, 0], philox_keys[1, 1])
    stride, begin = strides[0], rows[1]
    alpha_1, alpha_2, delta_1, delta_2 = alpha[0], alpha[1], delta[0], delta[1]
    decay_1, decay_2, floor_1, floor_2 = decay[0], decay[1], floor[0], floor[1]
    epsilon_1, epsilon_2 = epsilon[0], epsilon[1]
    size_1, size_2 = sizes[0], sizes[1]
    level_1, level_2, row_1, row_2 = level[0], level[1], row[0], row[1]
    return_1, return_2, discount_1, discount_2 = (
        discounted_return[0],
        discounted_return[1],
        discount[0],
        discount[1],
    )
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
            q,
            best,
            row_before,
            level_before,
            return_1,
            discount_1,
            row_1,
            alpha_1,
            u0 < epsilon_1,
            size_1,
            first,
            t,
            session,
            attempt,
        )
        if new:
            changed_1 = last = t
        row_before, level_before = row_2, level_2
        row_2 = begin + now_2
        level_2, new = move(
            q,
            best,
            row_before,
            level_before,
            return_2,
            discount_2,
            row_2,
            alpha_2,
            v0 < epsilon_2,
            size_2,
            second,
            t,
            session,
            attempt,
        )
        if new:
            changed_2 = last = t
        profile = np.uint64(level_1 * stride + level_2)
        was_1, was_2 = now_1, now_2
        now_1, now_2 = states[0, profile], states[1, profile]
        return_1, return_2, discount_1, discount_2 = (
            pay[profile, 0],
            pay[profile, 1],
            delta_1,
            delta_2,
        )
        epsilon_1, epsilon_2 = max(epsilon_1 * decay_1, floor_1), max(epsilon_2 * decay_2, floor_2)
        u0, u1, u2, v0, v1, v2 = u1, u2, u3, v1, v2, v3
        if t - start < recorded:
            trace[t - start, 0], trace[t - start, 1] = level_1, level_2
        t += 1
        if window > 0 and t - last > window:
            break
    level[0], level[1], row[0], row[1] = level_1, level_2, row_1, row_2
    discounted_return[0], discounted_return[1], discount[0], discount[1] = (
        return_1,
        return_2,
        discount_1,
        discount_2,
    )
    changed[0], changed[1], now[0], now[1] = changed_1, changed_2, now_1, now_2
    before[0], before[1], epsilon[0], epsilon[1] = was_1, was_2, epsilon_1, epsilon_2
    clock[0] = t


@inlined
def play_in_turn(  # type: ignore[no-untyped-def]
    pay,
    states,
    strides,
    sizes,
    counts,
    rows,
    alpha,
    delta,
    decay,
    floor,
    memory,
    turns,
    full,
    philox_keys,
    session,
    explore,
    attempt,
    q,
    best,
    level,
    row,
    discounted_return,
    discount,
    changed,
    now,
    before,
    epsilon,
    clock,
    periods,
    window,
    trace,
    drawn_block,
):
    """`play` for two who move in turn, the first at even periods, and remember one period."""
    first, second = (philox_keys[0, 0], philox_keys[0, 1]), (philox_keys[1, 0], philox_keys[1, 1])
    stride, begin = strides[0], rows[1]
    alpha_1, alpha_2, delta_1, delta_2 = alpha[0], alpha[1], delta[0], delta[1]
    decay_1, decay_2, floor_1, floor_2 = decay[0], decay[1], floor[0], floor[1]
    epsilon_1, epsilon_2 = epsilon[0], epsilon[1]
    size_1, size_2 = sizes[0], sizes[1]
    level_1, level_2, row_1, row_2 = level[0], level[1], row[0], row[1]
    return_1, return_2, discount_1, discount_2 = (
        discounted_return[0],
        discounted_return[1],
        discount[0],
        discount[1],
    )
    now_1, now_2, was_1, was_2 = now[0], now[1], before[0], before[1]
    changed_1, changed_2, start = changed[0], changed[1], clock[0]
    last, recorded = max(changed_1, changed_2), trace.shape[0]
    u0 = u2 = v1 = v3 = 0.0  # of a block's four uniforms, each uses the two of its own periods
    t = start
    while t < periods:
        word = t & 3
        if word & 1 == 0:
            if word == 0 or t < start + 2:
                u0, _, u2, _ = block(first, np.uint64(1), np.uint64(t >> 2), session, explore)
            draw = u0 if word == 0 else u2
            level_1, new = move(
                q,
                best,
                row_1,
                level_1,
                return_1,
                discount_1,
                now_1,
                alpha_1,
                draw < epsilon_1,
                size_1,
                first,
                t,
                session,
                attempt,
            )
            row_1, return_1, discount_1 = now_1, 0.0, 1.0
            if new:
                changed_1 = last = t
        else:
            if word == 1 or t < start + 2:
                _, v1, _, v3 = block(second, np.uint64(1), np.uint64(t >> 2), session, explore)
            draw = v1 if word == 1 else v3
            level_2, new = move(
                q,
                best,
                row_2,
                level_2,
                return_2,
                discount_2,
                begin + now_2,
                alpha_2,
                draw < epsilon_2,
                size_2,
                second,
                t,
                session,
                attempt,
            )
            row_2, return_2, discount_2 = begin + now_2, 0.0, 1.0
            if new:
                changed_2 = last = t
        profile = np.uint64(level_1 * stride + level_2)
        was_1, was_2 = now_1, now_2
        now_1, now_2 = states[0, profile], states[1, profile]
        return_1 += discount_1 * pay[profile, 0]
        return_2 += discount_2 * pay[profile, 1]
        discount_1 *= delta_1
        discount_2 *= delta_2
        epsilon_1, epsilon_2 = max(epsilon_1 * decay_1, floor_1), max(epsilon_2 * decay_2, floor_2)
        if t - start < recorded:
            trace[t - start, 0], trace[t - start, 1] = level_1, level_2
        t += 1
        if window > 0 and t - last > window:
            break
    level[0], level[1], row[0], row[1] = level_1, level_2, row_1, row_2
    discounted_return[0], discounted_return[1], discount[0], discount[1] = (
        return_1,
        return_2,
        discount_1,
        discount_2,
    )
    changed[0], changed[1], now[0], now[1] = changed_1, changed_2, now_1, now_2
    before[0], before[1], epsilon[0], epsilon[1] = was_1, was_2, epsilon_1, epsilon_2
    clock[0] = t
