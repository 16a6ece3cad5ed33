"""How fast the compiled repeated game is: the Calvano baseline against a bare loop of its own.

The floor is what cannot be left out: two tables, two draws from a cheap generator (xorshift) where
exploring, one correction a player, the best price of the row kept up to date, and the check for
convergence; two players and one market are written into it.
"""

from __future__ import annotations

import numpy as np

from mos_agents.market.kernels import kernel


@kernel
def floor(pay1, pay2, q1, q2, best1, best2, seed, alpha, delta, decay, periods, window):  # type: ignore[no-untyped-def]
    """Play until converged or `periods`; the periods played."""
    m = q1.shape[1]
    x = np.uint64(seed * 2 + 1) * np.uint64(0x9E3779B97F4A7C15)
    unit = 1.0 / 9007199254740992.0
    epsilon, last, a1, a2 = 1.0, 0, 0, 0
    state = a1 * m + a2
    for t in range(periods):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        a1 = best1[state]
        if np.float64(x >> np.uint64(11)) * unit < epsilon:
            x ^= x << np.uint64(13)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
            a1 = np.int64(np.float64(x >> np.uint64(11)) * unit * m)
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        a2 = best2[state]
        if np.float64(x >> np.uint64(11)) * unit < epsilon:
            x ^= x << np.uint64(13)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
            a2 = np.int64(np.float64(x >> np.uint64(11)) * unit * m)
        after = a1 * m + a2
        new = (1.0 - alpha) * q1[state, a1] + alpha * (
            pay1[after] + delta * q1[after, best1[after]]
        )
        old, q1[state, a1] = q1[state, a1], new
        top = best1[state]
        if a1 == top:
            if new < old:
                for a in range(m):
                    if q1[state, a] > q1[state, top]:
                        top = a
        elif new > q1[state, top]:
            top = a1
        if top != best1[state]:
            best1[state], last = top, t
        new = (1.0 - alpha) * q2[state, a2] + alpha * (
            pay2[after] + delta * q2[after, best2[after]]
        )
        old, q2[state, a2] = q2[state, a2], new
        top = best2[state]
        if a2 == top:
            if new < old:
                for a in range(m):
                    if q2[state, a] > q2[state, top]:
                        top = a
        elif new > q2[state, top]:
            top = a2
        if top != best2[state]:
            best2[state], last = top, t
        state = after
        epsilon *= decay
        if t - last >= window:
            return t + 1
    return periods
