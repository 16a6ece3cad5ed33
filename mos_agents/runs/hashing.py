"""One number for a whole trajectory: two runs agree to the last bit, or their hashes differ."""

from __future__ import annotations

import hashlib

import numpy as np

from mos_agents.market.types import Step


class TrajectoryHash:
    """BLAKE2b over what happened at every tick in all markets: quotes, executions, positions,
    rewards, metrics.

    Bits may differ between processors (`exp` and `log` do); on one platform the same command and
    seed give the same hash.
    """

    def __init__(self) -> None:
        self._state = hashlib.blake2b(b"trajectory 1", digest_size=16)

    def add(self, step: Step) -> None:
        """Take in one tick."""
        state, info = step.state, step.info
        for values in (
            *info.quotes, *info.executions, *state.positions, step.reward, step.metrics
        ):  # fmt: skip
            self._state.update(repr(values.shape).encode())
            self._state.update(np.asarray(values, dtype=np.float64).tobytes())

    def hexdigest(self) -> str:
        """The hash so far, 32 hexadecimal digits."""
        return self._state.hexdigest()
