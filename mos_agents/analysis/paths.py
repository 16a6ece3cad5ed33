"""Price and profit paths as the measures take them: ticks first, then sessions, then firms.

A *session* is one market lived through once; several sessions differ only in their random numbers.
Every measure of this package takes [T, S, N] arrays (T ticks, S sessions, N firms, one price each)
and checks them here. A market of several products is measured product by product, or on each firm's
average price; the caller decides which.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.types import Array, InputError


def finite(values: ArrayLike, name: str) -> Array:
    """The values as float64; InputError unless all are finite numbers."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an array of numbers, all rows of one length") from None
    if not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name}{list(at)}={array[at]} must be finite; leave such sessions out")
    return array


def paths(values: ArrayLike, name: str, ticks: int = 1) -> Array:
    """The values as [T, S, N] float64 with at least `ticks` ticks; InputError otherwise."""
    array = finite(values, name)
    if array.ndim != 3 or array.size == 0:
        raise InputError(
            f"{name} has shape {array.shape}, needs [ticks, sessions, firms]; "
            "for one session write path[:, None, :]"
        )
    if array.shape[0] < ticks:
        raise InputError(f"{name} has {array.shape[0]} ticks, needs at least {ticks}")
    return array


def like(values: ArrayLike, name: str, other: Array, of: str) -> Array:
    """The values as an array of the other's shape; InputError otherwise."""
    array = finite(values, name)
    if array.shape != other.shape:
        raise InputError(f"{name} has shape {array.shape}, needs that of {of}, {other.shape}")
    return array


def per_firm(values: ArrayLike, name: str, firms: int) -> Array:
    """A number for all firms, or one for each, as [N]; InputError otherwise."""
    array = finite(values, name)
    if array.shape not in ((), (1,), (firms,)):
        raise InputError(f"{name} has shape {array.shape}, needs one number or {firms}, one a firm")
    return np.broadcast_to(array, (firms,)).copy()
