"""How long things last when some were not seen to end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.statistics import sample_of
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError


@short_repr
@dataclass(frozen=True, eq=False)
class Survival(Framed):
    """How long things last when some were not seen to end.

    Parameters
    ----------
    time : array [J]
        The distinct durations at which one ended.
    share : array [J]
        The share lasting longer.
    median : float or None
        The first time at which the share is at most a half; None if it never is.
    mean : float
        The area under the curve up to the longest duration seen.
    """

    time: Array
    share: Array
    median: float | None
    mean: float


def survival(durations: ArrayLike, ended: ArrayLike) -> Survival:
    """Return the product-limit estimate [1]_ of how long things last.

    Parameters
    ----------
    durations : array [E]
        Durations, > 0.
    ended : array of bool [E]
        Whether each was seen to end.

    Returns
    -------
    Survival
        The curve, its median and its mean.

    Raises
    ------
    InputError
        If a duration is not > 0, or there is not one flag for each.

    References
    ----------
    .. [1] Kaplan, E. L. and Meier, P. (1958). Nonparametric estimation from incomplete
           observations. JASA 53(282).
    """
    length = sample_of(durations, "durations")
    over = np.asarray(ended, dtype=bool)
    if over.shape != length.shape or (length <= 0.0).any():
        raise InputError(
            f"durations must be > 0, and ended one flag for each: shapes {length.shape}, "
            f"{over.shape}, shortest {length.min():g}"
        )
    time = np.unique(length[over])
    ends = np.array([(length[over] == t).sum() for t in time])
    # One that is cut off at t was still there at t.
    there = np.array([(length >= t).sum() for t in time])
    share = np.cumprod(1.0 - ends / np.maximum(there, 1))
    steps = np.concatenate([[0.0], time, [length.max()]])
    mean = float((np.diff(steps) * np.concatenate([[1.0], share])).sum())
    half = np.flatnonzero(share <= 0.5 + 1e-12)
    return Survival(time, share, float(time[half[0]]) if half.size else None, mean)
