"""What the demonstration plays: sessions to the end of their learning, trials, and forced cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.analysis.collusion import profit_gain
from mos_agents.analysis.impulse import Deviation, ReturnTime, profitability, punishment, response
from mos_agents.analysis.war_effects import WarEffect, war_effect
from mos_agents.games.deviations import deviate
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.strategies import Cycles, GreedyGame
from mos_agents.games.trials import TriedPaths, play_trials
from mos_agents.lab.feedback import Feedback, WorkProgress
from mos_agents.learners import QLearning
from mos_agents.market.equilibrium import PriceBenchmarks
from mos_agents.market.types import Array

STRETCH = 10_000
"""Periods with trials after the learning of each session."""
TRIES = 0.01
"""Chance with which a seller explores in one of them."""
LEAD, AFTER = 3, 17
PER_TASK = 5
"""Sessions that a worker plays at a time, of many."""


@dataclass(frozen=True, eq=False)
class DemoGroup:
    """One way to learn: the sessions and what was measured of them, a value a session."""

    name: str
    game: RepeatedGame
    greedy: GreedyGame
    cycles: Cycles
    paths: dict[str, TriedPaths]  # by arm, after the learning
    effects: dict[str, WarEffect]  # of low trials, by arm
    gain: Array  # [S] profit gain
    away: Array  # [S] periods that prices are away after a forced cut; NaN where nobody could cut
    returned: Array  # [S] share of forced cuts after which prices came back within the record
    unprofitable: Array  # [S] share of forced cuts that did not pay; likewise
    deviator: Array  # [T, S] relative price changes
    rivals: Array  # [T, S]


def group(
    name: str,
    market: Any,
    learners: dict[str, QLearning],
    theory: PriceBenchmarks,
    sessions: int,
    seed: int,
    workers: int,
    feedback: Feedback,
    arms: tuple[str, ...] = ("learning",),
) -> DemoGroup:
    """Play one way to learn to the end of its learning, with trials, and force a cut on it."""

    def report(done: int, total: int) -> None:
        feedback.progress(WorkProgress(name, done, total))

    game = RepeatedGame.of(market, learners)
    made = play_trials(
        game,
        seed=seed,
        sessions=sessions,
        ticks=STRETCH,
        chance=TRIES,
        arms=arms,
        workers=workers,
        per_task=PER_TASK if sessions > 10 * PER_TASK else 1,
        progress=report,
    )
    effects = {
        arm: war_effect(paths.prices, paths.tried, theory.p_N, theory.p_M)
        for arm, paths in made.paths.items()
    }
    greedy = GreedyGame(game, made.played)
    cycles = greedy.cycles()
    gain = profit_gain(cycles.mean(game.stage.payoffs), theory.pi_N, theory.pi_M)
    cuts = [cut(greedy, cycles, i) for i in range(game.n)]
    weight = sum(one["weight"] for one in cuts)
    weight = np.where(weight > 0.0, weight, np.nan)
    total = {key: sum(one[key] for one in cuts) / weight for key in cuts[0] if key != "weight"}
    return DemoGroup(
        name,
        game,
        greedy,
        cycles,
        dict(made.paths),
        effects,
        gain,
        total["away"],
        total["returned"],
        total["unprofitable"],
        total["deviator"],
        total["rivals"],
    )


def cut(greedy: GreedyGame, cycles: Cycles, player: int) -> dict[str, Array]:
    """Sums over the deviations of each session, weighted so that a session counts once."""
    paths = deviate(greedy, cycles, player, lead=LEAD + 20, ticks=200)
    S = len(greedy.played)
    found = {key: np.zeros(S) for key in ("weight", "away", "returned", "unprofitable")}
    found |= {key: np.zeros((LEAD + AFTER, S)) for key in ("deviator", "rivals")}
    if not paths.session.size:
        return found
    pair = Deviation(
        paths.prices,
        paths.undeviated_prices,
        paths.profits,
        paths.undeviated_profits,
        paths.shock,
        player,
    )
    answer = response(pair)
    shown = slice(paths.shock - LEAD, paths.shock + AFTER)
    stage = greedy.game.stage
    delta = greedy.game.learners[player].tick_discount(stage.market.spec(stage.players[player]))
    back = punishment(pair, ReturnTime(to="cycle"))
    values = {
        "weight": np.ones(len(paths.session)),
        "away": back.length,
        "returned": back.returned,
        "unprofitable": profitability(pair, delta).unprofitable,
        "deviator": answer.deviator[shown],
        "rivals": answer.rivals[shown],
    }
    for key, value in values.items():
        np.add.at(found[key].T, paths.session, (value * paths.weight).T)
    return found
