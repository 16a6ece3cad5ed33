"""Tests of whether an outcome follows treated cases, when chance decided which were treated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.types import InputError


def turned_p_value(treated: ArrayLike, outcome: ArrayLike) -> float:
    """Test whether an outcome follows treated cases more often than the others.

    The pattern of treated cases is turned round against the outcomes by every number of places. The
    p-value is the share of turns with as many outcomes among the treated as were seen, or more.
    Common shocks, seasons and trends move outcomes of both groups, and a turn keeps how both follow
    one another in time.

    Parameters
    ----------
    treated, outcome : array of bool [n]
        Cases in order of time.

    Returns
    -------
    float
        One-sided p-value, in (0, 1]; 1 where no case is treated, or all are.

    Raises
    ------
    InputError
        If there is not one outcome for each case.
    """
    where, happened = np.flatnonzero(treated), np.flatnonzero(outcome)
    n = np.asarray(treated).size
    if np.asarray(outcome).size != n:
        raise InputError(f"outcome has {np.asarray(outcome).size} cases, needs {n} as treated has")
    if where.size in (0, n):
        return 1.0
    found = np.zeros(n, np.int64)  # outcomes among the treated, by the number of places turned
    for at in where:
        found += np.bincount((happened - at) % n, minlength=n)
    return float((found >= found[0]).mean())


def exact_p_value(treated: ArrayLike, outcome: ArrayLike) -> float:
    """Fisher's exact test of whether an outcome is more frequent among treated cases.

    Parameters
    ----------
    treated, outcome : array of bool [n]
        Cases in any order.

    Returns
    -------
    float
        One-sided p-value, in (0, 1]; 1 where no case is treated, or all are.
    """
    from scipy import stats  # large, and seldom needed

    group, happened = np.asarray(treated, dtype=bool), np.asarray(outcome, dtype=bool)
    if not 0 < group.sum() < group.size:
        return 1.0
    both = int((group & happened).sum())
    chance = stats.hypergeom.sf(both - 1, group.size, int(happened.sum()), int(group.sum()))
    return min(float(chance), 1.0)
