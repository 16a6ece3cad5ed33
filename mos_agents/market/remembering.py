"""What stages of your own remember between ticks: declared, a row a market, checked every tick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mos_agents.market.finite import NotFinite
from mos_agents.market.stages import Stage
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, Info, InputError, State

if TYPE_CHECKING:
    from mos_agents.market.market import Market


def remembering(market: Market, names: tuple[str, ...]) -> tuple[tuple[str, Stage], ...]:
    """The stages of these names that have a memory. InputError where two use the same name."""
    found: list[tuple[str, Stage]] = []
    owners: dict[str, str] = {}
    for name in names:
        stage: Stage = getattr(market, name)
        if any(stage is other for _, other in found):
            continue
        held = stage.memory(market)
        for key, opening in held.items():
            if not isinstance(opening, np.ndarray) or opening.dtype.kind not in "fiub":
                raise InputError(f"{name}: memory {key!r} must be an array of numbers")
            if key in owners:
                raise InputError(
                    f"{name}: memory {key!r} is a name that {owners[key]} uses too; take another"
                )
            owners[key] = name
        if held:
            found.append((name, stage))
    return tuple(found)


def opening(market: Market, batch: int) -> dict[str, Array]:
    """What is remembered before the first tick, for `batch` markets."""
    found = {}
    for _, stage in market.remembering:
        for key, one in stage.memory(market).items():
            found[key] = _kept(np.repeat(np.asarray(one)[None], batch, axis=0))
    return found


def remembered(market: Market, state: State, info: Info, draws: Draws) -> State:
    """The state after a tick, with the updated memories of the stages.

    Raises InputError where a stage gives other arrays than it has declared.
    """
    memory: dict[str, Array] = {}
    for name, stage in market.remembering:
        declared = stage.memory(market)
        given = stage.remember(market, state, info, draws)
        if set(given) != set(declared):
            raise InputError(
                f"{name}: remember gave {sorted(given)}, must give {sorted(declared)}: every array "
                "of its memory and no other"
            )
        for key, array in given.items():
            before = state.memory[key]
            if not isinstance(array, np.ndarray) or array.shape != before.shape:
                raise InputError(
                    f"{name}: memory {key!r} is {_shape(array)} after tick {state.tick - 1}, must "
                    f"be an array of shape {before.shape}, a row a market"
                )
            if array.dtype != before.dtype:
                raise InputError(
                    f"{name}: memory {key!r} is {array.dtype} after tick {state.tick - 1}, must "
                    f"stay {before.dtype}"
                )
            if not np.isfinite(array).all():
                raise NotFinite(
                    f"{name}: memory {key!r} is not finite after tick {state.tick - 1}, and the "
                    "market stops"
                )
            memory[key] = _kept(array)
    return state._replace(memory=memory)


def numbers(market: Market) -> int:
    """How many numbers the stages remember of one market."""
    return sum(np.size(one) for one in _declared(market))


def _declared(market: Market) -> Iterator[Array]:
    for _, stage in market.remembering:
        yield from stage.memory(market).values()


def _kept(array: Array) -> Array:
    """Nothing is written in place: another tick may still be looked at."""
    array.flags.writeable = False
    return array


def _shape(array: object) -> str:
    return f"of shape {np.shape(array)}" if isinstance(array, np.ndarray) else repr(array)[:60]
