"""Several tests of one record: how likely is a false alarm among all of them?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.types import Array, InputError


def holm(p_values: Sequence[float] | ArrayLike) -> Array:
    """Adjust p-values for their number, so that all tests together err at most at the level.

    The smallest of M p-values is multiplied by M, the next by M - 1, and so on; no adjusted value
    is below one before it. Rejecting where the adjusted value is at most .05 gives at least one
    false alarm in at most 5% of records in which all hypotheses hold, however the tests depend on
    each other [1]_.

    Parameters
    ----------
    p_values : array [M]
        p-values in [0, 1].

    Returns
    -------
    array [M]
        Adjusted p-values, in the same order.

    Raises
    ------
    InputError
        If a value is not in [0, 1].

    References
    ----------
    .. [1] Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian
           Journal of Statistics 6(2).
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0.0) & (values <= 1.0)).all():
        raise InputError(f"p_values={values.tolist()} must be a list of numbers in [0, 1]")
    order = np.argsort(values, kind="stable")
    factors = values.size - np.arange(values.size)
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted


def bonferroni(p_values: Sequence[float] | ArrayLike) -> float:
    """Combine p-values of one question about several records: is any of the hypotheses false?

    Parameters
    ----------
    p_values : array [M]
        p-values in [0, 1], M >= 1.

    Returns
    -------
    float
        M times the smallest, at most 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    return float(min(1.0, values.size * values.min()))
