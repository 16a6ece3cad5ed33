"""Reasons for which the market refuses an action, and their counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mos_agents.market.types import IntArray

REASONS = (
    "taken",
    "not a finite number",
    "outside the limits of an action",
    "off the price grid",
    "below the margin floor",
    "changed by more than allowed",
    "the bid is not below the ask",
    "an order on a side that is closed",
    "an order beyond the credit",
    "weights that show nobody",
)
(
    TAKEN,
    NOT_FINITE,
    OUTSIDE,
    OFF_GRID,
    BELOW_FLOOR,
    TOO_FAST,
    CROSSED,
    CLOSED_SIDE,
    BEYOND_CREDIT,
    SHOWS_NOBODY,
) = range(len(REASONS))
"""Indices of `REASONS`; `TAKEN` is no refusal."""


def refusals(participants: Sequence[str], refused: IntArray) -> dict[str, dict[str, int]]:
    """Count refused actions.

    Parameters
    ----------
    participants
        Names in roster order.
    refused
        [B, N] indices of `REASONS`, as in `info.refused`.

    Returns
    -------
    dict
        Counts by participant and reason; only what occurred.
    """
    found: dict[str, dict[str, int]] = {}
    for n, name in enumerate(participants):
        reasons, counts = np.unique(refused[:, n], return_counts=True)
        record = {REASONS[r]: int(c) for r, c in zip(reasons, counts, strict=True) if r}
        if record:
            found[name] = record
    return found
