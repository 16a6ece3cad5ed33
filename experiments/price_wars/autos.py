"""The same question in the US car market of 1990: do five learning manufacturers fight?

The observed prices are Bertrand-Nash at the calibrated costs, so that level 1.00 of every firm is
the competitive outcome and no estimate. Five manufacturers learn one lever each, a level that all
their models share; the other fifteen keep their prices. Demand is expected and cars are made to
order: a tick's profits follow from the levels alone, and the game is played compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.price_wars.outcomes import DEFINITION, SCREEN
from experiments.price_wars.worlds import decay_of
from mos_agents.analysis.collusion import Benchmarks
from mos_agents.analysis.impulse import Deviation, profitability, response
from mos_agents.analysis.price_wars import episodes
from mos_agents.analysis.screens import SessionPaths
from mos_agents.analysis.shares import bounded_interval, share_interval
from mos_agents.analysis.statistics import Interval, mean_interval
from mos_agents.games.deviations import deviate
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import Cycles, GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.types import Array
from mos_agents.scenarios import autos_1990

FIRMS = ("general_motors", "toyota", "honda", "chrysler", "ford")
NASH = 1  # the number of level 1.00


@dataclass(frozen=True)
class Autos:
    """Five manufacturers. low, high, prices: of the learners' grid, over the observed
    prices; 1.00 is among them.

    periods: in all; exploration has fallen to .005 at 70% of them. look: periods of which the
    prices are looked at, from 10% of the periods on (exploring) and after the end (frozen).
    """

    sessions: int = 40
    periods: int = 200_000
    seed: int = 0
    alpha: float = 0.15
    delta: float = 0.95
    low: float = 0.95
    high: float = 1.15
    prices: int = 5
    features: str = "mean"
    look: int = 2000


def game_of(a: Autos) -> RepeatedGame:
    """The market's stage game, and learners that start from the mean payoff of each level."""
    # A change of more than a fifth is clipped in the preset, and .95 to 1.15 is more.
    market = autos_1990(quotes__max_relative_change=100.0)
    bare = QLearning(
        scope="firm",
        features=a.features,
        low=a.low,
        high=a.high,
        prices=a.prices,
        alpha=a.alpha,
        delta=a.delta,
        beta=decay_of(int(0.7 * a.periods)),
    )
    names = tuple(name for name in market.layout.participants if name in FIRMS)
    stage = StageGame.of(market, dict.fromkeys(names, bare))
    return RepeatedGame.of(
        market,
        {
            name: replace(bare, initial=tuple((stage.uniform_rivals(i) / (1.0 - a.delta)).tolist()))
            for i, name in enumerate(names)
        },
    )


def measured(a: Autos, workers: int = 2) -> dict[str, Any]:
    """Wars while exploring and afterwards, prices and profits against Nash, and what force does."""
    game = game_of(a)
    stage, n = game.stage, game.n
    nash = int(np.full(n, NASH) @ stage.strides)
    joint = stage.joint_maximum()
    # In levels rather than in money: a dear make does not count for more than a cheap one.
    grid = game.learners[0].grid
    known = Benchmarks(
        grid[stage.levels(nash)],
        grid[stage.levels(joint)],
        stage.payoffs[nash].mean(),
        stage.payoffs[joint].mean(),
    )
    played = play_sessions(
        game, seed=a.seed, sessions=a.sessions, periods=a.periods, window=0, workers=workers
    )
    greedy = GreedyGame(game, played)
    cycles = greedy.cycles()
    late = greedy.paths(cycles, a.look, at=cycles.start[:-1])  # [S, T] one path a session
    early = np.empty((a.sessions, a.look), np.int64)
    for s in range(a.sessions):
        state, begin = game.start(a.seed, s), a.periods // 10
        game.advance(state, a.seed, s, begin)
        trace = np.empty((a.look, n), np.int64)
        game.advance(state, a.seed, s, begin + a.look, trace=trace)
        early[s] = trace @ stage.strides
    record: dict[str, Any] = {
        "pure_nash_is_observed": bool(
            (stage.pure_nash() == nash).any() and stage.pure_nash().size == 1
        ),
        "joint_levels": grid[stage.levels(joint)].tolist(),
        "firms": list(stage.players),
        "cycle_length_1_share": float((cycles.length == 1).mean()),
    }
    for name, profiles in (("learning", early), ("learnt", late)):
        prices = grid[stage.levels(profiles.T)]  # [T, S, n]
        wars = episodes(prices, known.price_nash, known.price_joint, DEFINITION)
        earned = stage.payoffs[profiles].mean(axis=(1, 2))
        record[name] = {
            "wars_per_1000": _interval_record(1000.0 * wars.counts / wars.ticks),
            "with_a_war": _shared(wars.counts > 0),
            "together": float(SCREEN(SessionPaths(prices, known)).mean()),
            "mean_level": _interval_record(prices.mean(axis=(0, 2))),
            "profit_gain": _interval_record(
                (earned - known.profit_nash[0]) / (known.profit_joint[0] - known.profit_nash[0])
            ),
            "profit_over_nash_by_firm": (
                stage.payoffs[profiles].mean(axis=(0, 1)) / stage.payoffs[nash] - 1.0
            ).tolist(),
        }
    record["force"] = {
        to: found
        for to in ("best_reply", "up")
        if (found := _forced(a, greedy, cycles, to)) is not None
    }
    return record


def _forced(a: Autos, greedy: GreedyGame, cycles: Cycles, to: str) -> dict[str, Any] | None:
    """The largest firm forced for a period: the rivals' answer, and whether it pays."""
    paths = deviate(greedy, cycles, 0, to=to, ticks=100)
    if not paths.session.size:
        return None
    pair = Deviation(
        paths.prices,
        paths.undeviated_prices,
        paths.profits,
        paths.undeviated_profits,
        paths.shock,
        0,
    )

    def over(values: Array, share: bool = False) -> dict[str, Any]:
        total = np.bincount(paths.session, paths.weight * values, a.sessions)
        weight = np.bincount(paths.session, paths.weight, a.sessions)
        each = total[weight > 0] / weight[weight > 0]
        return (
            _interval_record(np.clip(each, 0.0, 1.0), bounded_interval)
            if share
            else _interval_record(each)
        )

    return {
        "sessions": int(np.unique(paths.session).size),
        "rivals_change_at_2_to_11": over(
            response(pair).rivals[paths.shock + 1 : paths.shock + 11].mean(axis=0)
        ),
        "unprofitable": over(profitability(pair, a.delta).unprofitable.astype(np.float64), True),
    }


def _shared(flags: Any) -> dict[str, Any]:
    """The share of sessions, with the limits of Clopper and Pearson."""
    found = share_interval(flags)
    return {"mean": found.estimate, "ci95": [found.low, found.high]}


def _interval_record(
    values: Array, interval: Callable[[Array], Interval] = mean_interval
) -> dict[str, Any]:
    if len(values) < 2:
        return {"mean": float(np.mean(values)), "ci95": [float("-inf"), float("inf")]}
    found = interval(values)
    return {"mean": found.estimate, "ci95": [found.low, found.high]}


def conditions(a: Autos) -> dict[str, Autos]:
    """The market, and two controls in it."""
    return {
        "autos": a,
        "autos_myopic": replace(a, delta=0.0),
        "autos_blind": replace(a, features="own"),
    }
