"""One seller made to leave the path, against the same play left alone.

The sellers' strategies are frozen at what they have learnt; one of them is forced to another price
for a while, from every point of the limit cycle, and both runs are handed to
`mos_agents.analysis.impulse`. Without exploration nothing is left to chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.games.strategies import Cycles, GreedyGame
from mos_agents.market.checks import is_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class DeviationPaths:
    """Paired paths of D deviations, with the deviation and without it.

    Parameters
    ----------
    prices, undeviated_prices : array [T, D, n]
        Prices, in money per unit.
    profits, undeviated_profits : array [T, D, n]
        Profits per tick, in money.
    shock : int
        Row of the first forced tick.
    player : int
        The player that was forced.
    session : array of int [D]
        Positions in the sessions played.
    weight : array [D]
        One over the number of deviations made from the session, so that every session counts once.
    """

    prices: Array
    undeviated_prices: Array
    profits: Array
    undeviated_profits: Array
    shock: int
    player: int
    session: IntArray
    weight: Array


def deviate(
    greedy: GreedyGame,
    cycles: Cycles,
    player: int,
    *,
    to: str | int = "best_reply",
    forced: int | None = 1,
    lead: int = 20,
    ticks: int = 200,
) -> DeviationPaths:
    """Force a player to another price from each point of its limit cycle, without exploration.

    Points of the cycle at which the player is not on the move, or already asks that price, give no
    deviation.

    Parameters
    ----------
    greedy : GreedyGame
        The game with the learned strategies.
    cycles : Cycles
        Their limit cycles.
    player : int
        The player that is forced.
    to : {"best_reply", "up", "down"} or int, optional
        "best_reply" is the best reply of the stage game to what the others ask at the shock. "up"
        is one price of the grid more than the own one, "down" one less. A number is a price of the
        grid.
    forced : int, optional
        Ticks for which the price is held; None holds it to the end.
    lead : int, optional
        Ticks before the shock that are kept.
    ticks : int, optional
        Ticks from the shock on.

    Returns
    -------
    Paths
        Paired paths. `mos_agents.analysis.Deviation` takes them.

    Raises
    ------
    InputError
        If the player, `to`, or the numbers of ticks do not fit.
    """
    stage, n = greedy.game.stage, greedy.game.n
    if not 0 <= player < n:
        raise InputError(f"player={player!r} must be in 0 to {n - 1}")
    if lead < 1 or ticks < 3 or (forced is not None and not 1 <= forced < ticks):
        raise InputError(
            f"lead={lead!r}, ticks={ticks!r}, forced={forced!r} must have lead >= 1, ticks >= 3 "
            "and forced < ticks"
        )
    alone = greedy.paths(cycles, lead + ticks)
    wanted = _levels(stage, player, alone[:, lead], to)
    spec = stage.market.spec(stage.players[player])
    period, offset = spec.turn
    on_move = (cycles.phase + lead - offset) % period == 0
    own = stage.levels(alone[:, lead])[:, player]
    points = np.flatnonzero(on_move & (wanted != own))
    held = lead + ticks if forced is None else lead + forced
    pressed = np.full((len(points), held, n), -1, np.int64)
    pressed[:, lead:, player] = wanted[points, None]
    deviated = greedy.paths(cycles, lead + ticks, pressed, points)
    session = np.searchsorted(cycles.start, points, side="right") - 1
    alone = alone[points]
    return DeviationPaths(
        stage.prices[deviated.T],
        stage.prices[alone.T],
        stage.payoffs[deviated.T],
        stage.payoffs[alone.T],
        lead,
        player,
        session,
        1.0 / np.bincount(session, minlength=len(greedy.played))[session],
    )


def _levels(stage: Any, player: int, profile: IntArray, to: str | int) -> IntArray:
    """[D] the level to which the player is forced."""
    m, stride = int(stage.sizes[player]), int(stage.strides[player])
    own = (profile // stride) % m
    if to == "best_reply":
        base = profile - own * stride
        table = stage.payoffs[base[:, None] + np.arange(m) * stride, player]
        return np.asarray(table.argmax(axis=1))
    if to in ("up", "down"):
        return np.clip(own + (1 if to == "up" else -1), 0, m - 1)
    if not is_whole(to) or not 0 <= to < m:
        raise InputError(f"to={to!r} must be 'best_reply', 'up', 'down' or a level in 0 to {m - 1}")
    return np.full(len(profile), int(to))
