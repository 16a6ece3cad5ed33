"""How fast the compiled repeated game is: Calvano's and Klein's baselines against bare loops.

The floor is what cannot be left out: two tables, two draws from a cheap generator (xorshift) where
exploring, one correction a player, the best price of the row kept up to date, and the check for
convergence; two players and one market are written into it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np

from experiments.benchmarks.timing import BenchmarkLine, Work, rates
from experiments.calvano_2020 import run as calvano
from experiments.johnson_rhodes_wildenbeest_2023 import run as jrw
from experiments.klein_2021 import run as klein
from mos_agents.games.repeated import RepeatedGame
from mos_agents.learners.q_learning import greedy_levels
from mos_agents.market.kernels import kernel


@kernel
def floor(pay1, pay2, q1, q2, best1, best2, seed, alpha, delta, decay, periods, window):  # type: ignore[no-untyped-def]
    """Play until converged or `periods`; the periods played."""
    m = q1.shape[1]
    x = np.uint64(seed * 2 + 1) * np.uint64(0x9E3779B97F4A7C15)
    unit = 1.0 / 9007199254740992.0
    epsilon, last, a1, a2 = 1.0, 0, 0, 0
    state = a1 * m + a2
    for t in range(periods):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        a1 = best1[state]
        if np.float64(x >> np.uint64(11)) * unit < epsilon:
            x ^= x << np.uint64(13)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
            a1 = np.int64(np.float64(x >> np.uint64(11)) * unit * m)
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        a2 = best2[state]
        if np.float64(x >> np.uint64(11)) * unit < epsilon:
            x ^= x << np.uint64(13)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
            a2 = np.int64(np.float64(x >> np.uint64(11)) * unit * m)
        after = a1 * m + a2
        new = (1.0 - alpha) * q1[state, a1] + alpha * (
            pay1[after] + delta * q1[after, best1[after]]
        )
        old, q1[state, a1] = q1[state, a1], new
        top = best1[state]
        if a1 == top:
            if new < old:
                for a in range(m):
                    if q1[state, a] > q1[state, top]:
                        top = a
        elif new > q1[state, top]:
            top = a1
        if top != best1[state]:
            best1[state], last = top, t
        new = (1.0 - alpha) * q2[state, a2] + alpha * (
            pay2[after] + delta * q2[after, best2[after]]
        )
        old, q2[state, a2] = q2[state, a2], new
        top = best2[state]
        if a2 == top:
            if new < old:
                for a in range(m):
                    if q2[state, a] > q2[state, top]:
                        top = a
        elif new > q2[state, top]:
            top = a2
        if top != best2[state]:
            best2[state], last = top, t
        state = after
        epsilon *= decay
        if t - last >= window:
            return t + 1
    return periods


@kernel
def floor_in_turn(pay, q1, q2, best1, best2, seed, alpha, delta, decay, periods):  # type: ignore[no-untyped-def]
    """Two players who move in turn and see the other's price (Klein 2021); the periods played."""
    m = q1.shape[1]
    x = np.uint64(seed * 2 + 1) * np.uint64(0x9E3779B97F4A7C15)
    unit = 1.0 / 9007199254740992.0
    epsilon, a1, a2 = 1.0, m // 2, m // 2
    s1, s2, gain1, gain2 = -1, -1, 0.0, 0.0
    for t in range(periods):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        tries = np.float64(x >> np.uint64(11)) * unit < epsilon
        if tries:
            x ^= x << np.uint64(13)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
        level = np.int64(np.float64(x >> np.uint64(11)) * unit * m)
        if t & 1 == 0:
            if s1 >= 0:
                target = gain1 + delta * delta * q1[a2, best1[a2]]
                new = (1.0 - alpha) * q1[s1, a1] + alpha * target
                old, q1[s1, a1] = q1[s1, a1], new
                top = best1[s1]
                if a1 == top:
                    if new < old:
                        for a in range(m):
                            if q1[s1, a] > q1[s1, top]:
                                top = a
                elif new > q1[s1, top]:
                    top = a1
                best1[s1] = top
            s1, gain1 = a2, 0.0
            a1 = level if tries else best1[a2]
            gain1, gain2 = pay[a1, a2], gain2 + delta * pay[a2, a1]
        else:
            if s2 >= 0:
                target = gain2 + delta * delta * q2[a1, best2[a1]]
                new = (1.0 - alpha) * q2[s2, a2] + alpha * target
                old, q2[s2, a2] = q2[s2, a2], new
                top = best2[s2]
                if a2 == top:
                    if new < old:
                        for a in range(m):
                            if q2[s2, a] > q2[s2, top]:
                                top = a
                elif new > q2[s2, top]:
                    top = a2
                best2[s2] = top
            s2, gain2 = a1, 0.0
            a2 = level if tries else best2[a1]
            gain2, gain1 = pay[a2, a1], gain1 + delta * pay[a1, a2]
        epsilon *= decay
    return periods


PERIODS = 2_000_000


def together() -> tuple[Work, Work]:
    """The Calvano baseline: ours, and the floor; each call plays another session."""
    settings = calvano.CalvanoSettings()
    market = calvano.market(settings)
    learners = calvano.learners(settings, market)
    game = RepeatedGame.of(market, learners)
    one = game.learners[0]
    pay = [np.ascontiguousarray(game.stage.payoffs[:, i]) for i in range(2)]
    numbers = [iter(range(10**9)) for _ in range(2)]

    def ours() -> int:
        session = next(numbers[0])
        state = game.start(0, session)
        return game.advance(state, 0, session, PERIODS, settings.window)

    def others() -> int:
        tables = [one.first_table(game.states(0)) for _ in range(2)]
        best = [greedy_levels(table) for table in tables]
        played: int = floor(
            *pay,
            *tables,
            *best,
            next(numbers[1]),
            one.alpha,
            one.delta,
            one.decay,
            PERIODS,
            settings.window,
        )
        return played

    return ours, others


def in_turn(k: int) -> tuple[Work, Work]:
    """Klein's game with prices 0, 1/k, ..., 1."""
    settings = klein.KleinSettings(k=k)
    learner = klein.learner(settings)
    game = RepeatedGame.of(klein.market(settings), dict.fromkeys(klein.FIRMS, learner))
    pay = np.ascontiguousarray(game.stage.own(0))
    numbers = [iter(range(10**9)) for _ in range(2)]

    def ours() -> int:
        session = next(numbers[0])
        return game.advance(game.start(0, session), 0, session, settings.periods)

    def others() -> int:
        tables = [np.zeros((k + 1, k + 1)) for _ in range(2)]
        best = [np.zeros(k + 1, np.int32) for _ in range(2)]
        played: int = floor_in_turn(
            pay,
            *tables,
            *best,
            next(numbers[1]),
            settings.alpha,
            settings.delta,
            learner.decay,
            settings.periods,
        )
        return played

    return ours, others


def prominent(prominence: str, n: int) -> tuple[Work, Work]:
    """Sellers among whom a rule of prominence decides, and the same sellers without a rule."""
    settings = jrw.ProminenceSettings(prominence=prominence, n=n, levels=15 if n == 2 else 8)
    plain = replace(settings, prominence="none")

    def played(game: RepeatedGame) -> Work:
        sessions = count()

        def play() -> int:
            session = next(sessions)
            return game.advance(game.start(0, session), 0, session, PERIODS // n)

        return play

    return played(jrw.game(settings)), played(jrw.game(plain))


def run(runs: int) -> list[BenchmarkLine]:
    lines = []
    for n in (2, 3):
        for rule in ("cheapest", "dynamic", "random"):
            ours, others = prominent(rule, n)
            found = rates({"ours": ours, "others": others}, runs)
            lines.append(
                BenchmarkLine(
                    f"{n} sellers, prominence {rule}",
                    "periods",
                    found["ours"],
                    "the game without a rule",
                    found["others"],
                    0.5,
                )
            )
    games = {"Calvano baseline": together()} | {f"Klein, k = {k}": in_turn(k) for k in (6, 12, 24)}
    for name, (ours, others) in games.items():
        found = rates({"ours": ours, "others": others}, runs)
        lines.append(
            BenchmarkLine(
                name, "periods", found["ours"], "a bare loop (a floor)", found["others"], 0.6
            )
        )
    return lines
