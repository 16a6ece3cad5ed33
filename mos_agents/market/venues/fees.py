"""Fees of a venue: fixed, scheduled, or set by the platform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.market.checks import check_whole, within_floats
from mos_agents.market.stages import FeeRule
from mos_agents.market.types import Array, InputError


@dataclass(frozen=True)
@within_floats
class FixedFees(FeeRule):
    """The same fees at every tick.

    Parameters
    ----------
    fee : float
        share of the money that changes hands, in (-1, 1); below 0 it is a rebate.
    unit_fee : float
        money per unit; below 0 it is a rebate.
    """

    fee: float = 0.0
    unit_fee: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fee("fee", self.fee)
        _check_unit_fee("unit_fee", self.unit_fee)

    def rates(self, tick: int, chosen: Array) -> Array:
        return np.array([[self.fee, self.unit_fee]])

    @property
    def is_charged(self) -> bool:
        return self.fee != 0.0 or self.unit_fee != 0.0

    @property
    def can_change(self) -> bool:
        return False


@dataclass(frozen=True)
@within_floats
class ScheduledFees(FeeRule):
    """Fees that change at fixed ticks, in a known order; the last ones stay.

    Parameters
    ----------
    fees : tuple of float
        shares of the money that changes hands, one after the other, each between -1 and 1.
    unit_fees : tuple of float
        money per unit, one after the other; as many numbers as `fees`, or one.
    every : int
        ticks for which each of them is in force, >= 1.
    """

    fees: tuple[float, ...] = (0.0,)
    unit_fees: tuple[float, ...] = (0.0,)
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for value in self.fees:
            _check_fee("fee", value)
        for value in self.unit_fees:
            _check_unit_fee("unit_fee", value)
        check_whole("every", self.every, 1)
        sizes = len(self.fees), len(self.unit_fees)
        if min(sizes) < 1 or (sizes[0] != sizes[1] and min(sizes) > 1):
            raise InputError(
                f"fees={list(self.fees)}, unit_fees={list(self.unit_fees)} must be as many "
                "numbers, or one of them a single number"
            )

    def rates(self, tick: int, chosen: Array) -> Array:
        at = tick // self.every
        return np.array([[one[min(at, len(one) - 1)] for one in (self.fees, self.unit_fees)]])

    @property
    def is_charged(self) -> bool:
        return any(self.fees) or any(self.unit_fees)


@dataclass(frozen=True)
@within_floats
class SetByPlatform(FeeRule):
    """Fees that the platform sets by its actions, within bounds.

    What the platform sets at a tick is in force for the trades of this tick.

    Parameters
    ----------
    fee : float
        share of the money that changes hands before the platform has moved, >= 0 and at most
        `highest_fee`.
    unit_fee : float
        money per unit before the platform has moved, >= 0, at most `highest_unit_fee`.
    highest_fee : float
        highest share that the platform may set, in [0, 1); with 0 it sets money per unit alone.
    highest_unit_fee : float
        highest money per unit that the platform may set, >= 0; with 0 it sets a share alone.
    every : int
        ticks from one change of the fees to the next, >= 1; actions between them change no fee.
    """

    fee: float = 0.0
    unit_fee: float = 0.0
    highest_fee: float = 0.5
    highest_unit_fee: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.highest_fee < 1.0:
            raise InputError(f"highest_fee={self.highest_fee!r} must be a share in [0, 1)")
        if not 0.0 <= self.highest_unit_fee < np.inf:
            raise InputError(
                f"highest_unit_fee={self.highest_unit_fee!r} must be >= 0, in money, and finite"
            )
        if not self.features:
            raise InputError(
                "highest_fee=0, highest_unit_fee=0: the platform could set nothing; raise one, or "
                "take fixed fees"
            )
        for name in ("fee", "unit_fee"):
            value, highest = getattr(self, name), getattr(self, f"highest_{name}")
            if not 0.0 <= value <= highest:
                raise InputError(
                    f"{name}={value!r} must be in [0, {highest:.10g}]: highest_{name} is the most "
                    "that the platform may set"
                )
        check_whole("every", self.every, 1)

    @property
    def features(self) -> tuple[str, ...]:
        bounds = {"fee": self.highest_fee, "unit_fee": self.highest_unit_fee}
        return tuple(name for name, highest in bounds.items() if highest > 0.0)

    @property
    def opening(self) -> tuple[float, float]:
        return self.fee, self.unit_fee

    @property
    def period(self) -> int:
        return self.every

    def limits(self) -> tuple[Array, Array]:
        highest = np.array([getattr(self, f"highest_{name}") for name in self.features])
        return np.zeros(highest.size), highest

    def rates(self, tick: int, chosen: Array) -> Array:
        return chosen


def _check_fee(name: str, value: float) -> None:
    if not -1.0 < value < 1.0:
        raise InputError(f"{name}={value!r} must be in (-1, 1), a share; below 0 is a rebate")


def _check_unit_fee(name: str, value: float) -> None:
    if not np.isfinite(value):
        raise InputError(f"{name}={value!r} must be a finite sum of money per unit")
