"""Who reprices when: all together, in turns, at their own pace, or by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.checks import within_floats
from mos_agents.market.market import Market
from mos_agents.market.stages import Schedule
from mos_agents.market.streams import Draws
from mos_agents.market.types import InputError


@dataclass(frozen=True)
@within_floats
class Simultaneous(Schedule):
    """Every participant moves at every tick."""

    def moves(self, market: Market, tick: int, draws: Draws) -> NDArray[np.bool_]:
        return market.everybody

    def turn(self, market: Market, n: int) -> tuple[int, int]:
        return 1, 0


@dataclass(frozen=True)
@within_floats
class Alternating(Schedule):
    """One participant a tick, in roster order (Maskin and Tirole 1988)."""

    def moves(self, market: Market, tick: int, draws: Draws) -> NDArray[np.bool_]:
        return (np.arange(market.layout.N) == tick % market.layout.N)[None, :]

    def turn(self, market: Market, n: int) -> tuple[int, int]:
        return market.layout.N, n


@dataclass(frozen=True)
@within_floats
class Periodic(Schedule):
    """Participant n moves every `periods[n]` ticks, first at tick `offsets[n]`.

    Parameters
    ----------
    periods : tuple of int
        ticks from one move to the next, one number for each participant in roster order.
    offsets : tuple of int or None
        tick of the first move, one number for each participant; None is 0 for all.
    """

    periods: tuple[int, ...]
    offsets: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.periods or min(self.periods) < 1:
            raise InputError(f"periods={self.periods!r} must be whole numbers >= 1")
        if self.offsets is not None and len(self.offsets) != len(self.periods):
            raise InputError(f"offsets={self.offsets!r} must have one entry per period")
        pairs = zip(self.offsets or (), self.periods, strict=False)
        if any(not 0 <= offset < period for offset, period in pairs):
            raise InputError(
                f"offsets={self.offsets!r} must be first ticks of the periods {self.periods!r}, "
                "each from 0 to its period less 1"
            )

    def validate(self, market: Market) -> None:
        if len(self.periods) != market.layout.N:
            raise InputError(
                f"periods={self.periods!r} must have one entry for each of the "
                f"{market.layout.N} participants"
            )

    def moves(self, market: Market, tick: int, draws: Draws) -> NDArray[np.bool_]:
        offsets = self.offsets or (0,) * len(self.periods)
        return ((tick - np.array(offsets)) % np.array(self.periods) == 0)[None, :]

    def turn(self, market: Market, n: int) -> tuple[int, int]:
        return self.periods[n], self.offsets[n] if self.offsets else 0


@dataclass(frozen=True)
@within_floats
class RandomMoves(Schedule):
    """Each participant moves by chance at each tick, independently of the others (Calvo 1983).

    Parameters
    ----------
    probability : float
        chance of a move at a tick, in (0, 1].
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.probability <= 1.0:
            raise InputError(f"probability={self.probability!r} must be in (0, 1]")

    def moves(self, market: Market, tick: int, draws: Draws) -> NDArray[np.bool_]:
        moves: NDArray[np.bool_] = draws.uniforms("moves", market.layout.N) < self.probability
        return moves

    def turn(self, market: Market, n: int) -> tuple[int, int]:
        return 0, 0
