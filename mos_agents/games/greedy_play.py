"""What the players of finished sessions do and earn once they neither learn nor explore.

`strategies` finds the limit cycles of play without chance. With a rule of prominence a draw decides
which of several equal offers is shown. Here the greedy strategies are played on for some periods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array

SETTLING = 1000
"""Periods of greedy play before the measured ones: what was tried last may have left the cycle."""


@short_repr
@dataclass(frozen=True, eq=False)
class GreedyPlay:
    """Means over the periods of greedy play, a row for each session.

    Parameters
    ----------
    means : mapping of str to array [S, ...]
        The mean of each measure.
    constant : array of bool [S]
        Whether nobody changed its price.
    steady : mapping of str to array of bool [S, ...]
        Whether each measure was the same in all periods, to a billionth.
    """

    means: Mapping[str, Array]
    constant: Any
    steady: Mapping[str, Any]


def play_on(
    game: RepeatedGame, played: Played, seed: int, periods: int, measures: Mapping[str, Array]
) -> GreedyPlay:
    """Play on from the ends of sessions, with greedy prices alone.

    Parameters
    ----------
    game : RepeatedGame
        The game.
    played : Played
        Sessions of it.
    seed : int
        The seed that they were played with.
    periods : int
        How many periods.
    measures : mapping of str to array
        What is averaged: rows as `StageGame.measured` gives them.

    Returns
    -------
    GreedyPlay
        The means, and who kept its price.
    """
    found: dict[str, list[Array]] = {name: [] for name in measures}
    steady: dict[str, list[Any]] = {name: [] for name in measures}
    constant = np.zeros(len(played), np.bool_)
    for s, session in enumerate(played.session):
        state = game.resumed(seed, played.part(slice(s, s + 1)))
        trace, shown = np.empty((periods, game.n), np.int64), np.zeros(periods, np.int64)
        settled = int(state.clock[0]) + SETTLING
        game.advance(state, seed, int(session), settled, greedy=True)
        end = settled + periods
        game.advance(state, seed, int(session), end, trace=trace, shown=shown, greedy=True)
        outcome = game.stage.outcome(trace, shown)
        for name, values in measures.items():
            met = values[outcome]
            found[name].append(met.mean(axis=0))
            steady[name].append(np.ptp(met, axis=0) <= 1e-9)
        constant[s] = bool((trace == trace[0]).all())
    means = {name: np.stack(rows) for name, rows in found.items()}
    return GreedyPlay(means, constant, {name: np.stack(rows) for name, rows in steady.items()})
