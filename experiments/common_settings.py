"""What the settings of the studies have in common: the limits of their numbers, and even grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from experiments.replication import check_numbers
from mos_agents.market.types import Array, InputError

Limits = tuple[type, float, float]
COMMON: Mapping[str, Limits] = {
    "n": (int, 2, 6),
    "alpha": (float, 0.0, 1.0),
    "beta": (float, 0.0, 1.0),
    "delta": (float, 0.0, 0.9999),
    "mu": (float, 1e-3, 1e3),
    "outside": (float, -1e3, 1e3),
    "cost": (float, 0.0, 1e3),
    "low": (float, 0.0, 1e3),
    "high": (float, 0.0, 1e3),
    "levels": (int, 2, 1000),
    "initial": (float, -1e6, 1e6),
    "sessions": (int, 1, 10**6),
    "seed": (int, 0, 2**63 - 1),
    "periods": (int, 1, 10**12),
    "window": (int, 1, 10**12),
}
"""The type and the limits of settings that several studies have."""


def check_settings(
    settings: Any,
    own: Mapping[str, Limits] | None = None,
    above: Sequence[str] = (),
    unchecked: Sequence[str] = (),
) -> None:
    """Check the numbers of a study, those of `COMMON` by their names.

    Parameters
    ----------
    settings : dataclass
        The settings.
    own : mapping, optional
        Limits of further settings, and limits that differ from the common ones.
    above : sequence of str
        Settings that have to be more than their lower limit.
    unchecked : sequence of str
        Settings with a common name that are no numbers here.

    Raises
    ------
    InputError
        In one line, where a setting is no number within its limits; also where it has the ends of
        a grid, `low` and `high`, and they are in the wrong order.
    """
    limits = {**COMMON, **(own or {})}
    names = [one.name for one in fields(settings) if one.name in limits]
    check_numbers(settings, {n: limits[n] for n in names if n not in unchecked}, above)
    if "low" in names and not settings.low < settings.high:
        raise InputError(f"low={settings.low!r} must be below high={settings.high!r}")


def even_prices(low: float, high: float, levels: int) -> Array:
    """[levels] prices in equal steps from low to high."""
    return low + np.arange(levels) / (levels - 1) * (high - low)
