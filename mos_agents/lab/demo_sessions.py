"""What the demonstration plays: sessions to the end of their learning, and a cut forced on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.analysis.collusion import profit_gain
from mos_agents.analysis.impulse import Deviation, ReturnTime, profitability, punishment, response
from mos_agents.games.deviations import deviate
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.strategies import Cycles, GreedyGame
from mos_agents.lab.feedback import Feedback, WorkProgress
from mos_agents.learners import QLearning
from mos_agents.market.equilibrium import PriceBenchmarks
from mos_agents.market.types import Array

STRETCH = 10_000
"""Periods per session in which price wars are counted, and where they begin: while a firm still
tries a price once in a hundred moves."""
TRIES = 0.01
LEAD, AFTER = 3, 17


@dataclass(frozen=True, eq=False)
class DemoGroup:
    """One way to learn: the sessions and what was measured of them, a value a session."""

    name: str
    game: RepeatedGame
    greedy: GreedyGame
    cycles: Cycles
    prices: Array  # [T, S, n] while prices are still tried
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
) -> DemoGroup:
    """Play one way to learn to the end of its learning, and force a cut on what was learnt."""

    def report(done: int, total: int) -> None:
        feedback.progress(WorkProgress(name, done, total))

    game = RepeatedGame.of(market, learners)
    played = play_sessions(
        game,
        seed=seed,
        sessions=sessions,
        workers=workers,
        per_task=1,
        progress=report,
    )
    greedy = GreedyGame(game, played)
    cycles = greedy.cycles()
    gain = profit_gain(cycles.mean(game.stage.payoffs), theory.pi_N, theory.pi_M)
    prices = np.stack([tried(game, seed, s) for s in range(sessions)], axis=1)
    made = [cut(greedy, cycles, i) for i in range(game.n)]
    weight = sum(one["weight"] for one in made)
    weight = np.where(weight > 0.0, weight, np.nan)
    total = {key: sum(one[key] for one in made) / weight for key in made[0] if key != "weight"}
    return DemoGroup(
        name,
        game,
        greedy,
        cycles,
        prices,
        gain,
        total["away"],
        total["returned"],
        total["unprofitable"],
        total["deviator"],
        total["rivals"],
    )


def tried(game: RepeatedGame, seed: int, session: int) -> Array:
    """[T, n] prices of a session from where firms still try others once in a hundred moves."""
    learner = game.learners[0]
    begin = first_tried(learner)
    state = game.start(seed, session)
    game.advance(state, seed, session, begin)
    trace = np.empty((STRETCH, game.n), np.int64)
    game.advance(state, seed, session, begin + STRETCH, trace=trace)
    prices: Array = game.stage.prices[game.stage.profile(trace)]
    return prices


def first_tried(learner: QLearning) -> int:
    """The period from which on a firm tries prices less than `TRIES` of the time."""
    return max(0, int(np.log(learner.epsilon / TRIES) / learner.beta)) if learner.beta else 0


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
