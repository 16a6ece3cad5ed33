"""One number for a whole trajectory: two runs agree to the last bit, or their hashes differ.

Every market has a digest of its own, so that a batch and its shards, wherever they are played, come
to the same hash: that of the markets' digests in the order of their numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.kernels import kernel
from mos_agents.market.types import Step

Digests = NDArray[np.uint64]


class TrajectoryHash:
    """A hash of what happens at each tick: quotes, executions, positions, rewards, metrics.

    It detects accidents, not adversaries: 128 bits a market, mixed like xxHash64 in two lanes. On
    one platform, the same command and seed give the same hash. Between processors bits may differ,
    because `exp` and `log` do.

    Parameters
    ----------
    digests : array or None
        [B, 2] the digests of the markets, from which a hash is continued; None begins a new one.
    """

    def __init__(self, digests: Digests | None = None) -> None:
        self._digests = None if digests is None else digests.copy()

    def add(self, step: Step) -> None:
        """Take in one tick."""
        state, info = step.state, step.info
        batch = len(step.reward)
        if self._digests is None:
            self._digests = np.tile(np.array([1, 2], np.uint64), (batch, 1))
        for array in (
            *info.quotes,
            *info.executions.arrays,
            *state.positions,
            step.reward,
            step.metrics,
        ):
            rows = np.ascontiguousarray(array, np.float64).reshape(batch, -1)
            update_digest(self._digests, rows.view(np.uint64))

    @property
    def digests(self) -> Digests:
        """[B, 2] the digest of every market so far; a hash goes on from them."""
        return np.zeros((0, 2), np.uint64) if self._digests is None else self._digests.copy()

    def hexdigest(self) -> str:
        """The hash so far, 32 hexadecimal digits."""
        return combined(self.digests)


def combined(digests: Digests) -> str:
    """The hash of a run from the digests [B, 2] of its markets, in the order of their numbers."""
    return hashlib.blake2b(
        np.ascontiguousarray(digests, "<u8").tobytes(), digest_size=16
    ).hexdigest()


@kernel
def update_digest(digests, rows):  # type: ignore[no-untyped-def]
    """Mix the bits of one row [B, W] into each market's two lanes, in place.

    Four markets at a time: a market's own numbers must wait for each other, its neighbours' not.
    """
    whole = rows.shape[0] - rows.shape[0] % 4
    for p in range(0, whole, 4):
        q, r, s = p + 1, p + 2, p + 3
        p1, p2, q1, q2 = digests[p, 0], digests[p, 1], digests[q, 0], digests[q, 1]
        r1, r2, s1, s2 = digests[r, 0], digests[r, 1], digests[s, 0], digests[s, 1]
        for i in range(rows.shape[1]):
            p1, p2 = _mixed(p1, p2, rows[p, i])
            q1, q2 = _mixed(q1, q2, rows[q, i])
            r1, r2 = _mixed(r1, r2, rows[r, i])
            s1, s2 = _mixed(s1, s2, rows[s, i])
        digests[p, 0], digests[p, 1], digests[q, 0], digests[q, 1] = p1, p2, q1, q2
        digests[r, 0], digests[r, 1], digests[s, 0], digests[s, 1] = r1, r2, s1, s2
    for b in range(whole, rows.shape[0]):
        one, two = digests[b, 0], digests[b, 1]
        for i in range(rows.shape[1]):
            one, two = _mixed(one, two, rows[b, i])
        digests[b, 0], digests[b, 1] = one, two


@kernel
def _mixed(one, two, number):  # type: ignore[no-untyped-def]
    """Both lanes after one number more."""
    prime, other = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
    third = np.uint64(0x165667B19E3779F9)
    left, right = np.uint64(31), np.uint64(33)
    one += number * other
    one = ((one << left) | (one >> right)) * prime
    two = (two ^ number) * third
    two = ((two << right) | (two >> left)) + one
    return one, two
