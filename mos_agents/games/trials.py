"""Price trials after learning: an experiment on what learning sellers have learnt.

Sessions are played to the end of their learning. Then everybody explores with a small constant
chance, and it is recorded who explored when. `mos_agents.analysis.war_effects` compares the prices
after such trials with those after calm periods.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.games.loops import SessionState
from mos_agents.games.repeated import WINDOW, RepeatedGame
from mos_agents.games.sessions import (
    LONGEST,
    SESSIONS,
    TRIES,
    OnProgress,
    Played,
    SessionReporter,
    checked_sessions,
    game_facts,
    played_of,
    sessions_key,
    sessions_refusal,
)
from mos_agents.games.stage_game import StageGame
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.tasks import (
    ArrayCodec,
    ResultFolder,
    Task,
    TaskProgress,
    ThreadPool,
    WorkerPool,
    run_tasks,
)

ARMS = ("learning", "not_learning", "strangers")
"""What is played after the learning: the same firms while they go on learning; the same firms with
their tables as they are; firms of different sessions, which go on learning."""


@short_repr
@dataclass(frozen=True, eq=False)
class TriedPaths:
    """Prices, and who explored: what `mos_agents.analysis.war_effect` compares.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    tried : array of bool [T, S, N]
        Which firm explored in which tick.
    """

    prices: Array
    tried: IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class TrialSessions:
    """Sessions with trials after their learning.

    Parameters
    ----------
    played : Played
        How the learning of S sessions ended.
    paths : mapping of str to TriedPaths
        Prices and trials [T, S, n] of each arm that was asked for.
    """

    played: Played
    paths: Mapping[str, TriedPaths]


def play_trials(
    game: RepeatedGame,
    *,
    seed: int = 0,
    sessions: int | Sequence[int] = 100,
    ticks: int = 10_000,
    chance: float = 0.01,
    arms: Sequence[str] = ("learning",),
    periods: int = LONGEST,
    window: int = WINDOW,
    workers: WorkerPool | int = 2,
    folder: Path | None = None,
    per_task: int = 10,
    progress: OnProgress | None = None,
) -> TrialSessions:
    """Play sessions to the end of their learning, and then periods with trials.

    Parameters
    ----------
    game : RepeatedGame
        The game.
    seed : int, optional
        Seed of all random numbers, >= 0.
    sessions : int or sequence of int, optional
        How many sessions (0, 1, ...), or their numbers. Each is the same in any batch.
    ticks : int, optional
        Periods with trials, T.
    chance : float, optional
        Chance with which each player explores in a period, in (0, 1).
    arms : sequence of str, optional
        "learning" goes on learning. "not_learning" keeps the tables as they are. "strangers" puts
        firm i of session s together with those of sessions s + 1, s + 2, ..., which never met; they
        go on learning.
    periods, window : int, optional
        When the learning ends, as in `play_sessions`.
    workers : int or WorkerPool, optional
        Threads, or where else sessions are played.
    folder : Path, optional
        Finished sessions are kept there and not played again.
    per_task : int, optional
        Sessions that a worker plays at a time.
    progress : callable, optional
        Called with the sessions done and the sessions in all; True stops.

    Returns
    -------
    TrialSessions
        How the sessions ended, and the prices and trials of each arm.

    Raises
    ------
    InputError
        If a number is out of its range, or an arm is unknown.
    """
    numbers = checked_sessions(sessions, seed, periods, window, 0, per_task)
    check_whole("ticks", ticks, 1)
    check_real("chance", chance, 0.0, 1.0, above=True)
    chosen = tuple(arms)
    for arm in chosen:
        if arm not in ARMS:
            raise InputError(f"arms: {arm!r} must be one of {', '.join(ARMS)}")
    if "strangers" in chosen and game.stage.places is not None:
        raise InputError("arms: 'strangers' is for markets without a rule of prominence")
    plan = TrialPlan(ticks, float(chance), chosen, periods, window)
    parts = [numbers[begin : begin + per_task] for begin in range(0, len(numbers), per_task)]
    tasks = [
        Task(sessions_key(part), play_some, game, (seed, part, plan), len(part)) for part in parts
    ]
    reporter = SessionReporter(progress)
    state = TaskProgress(
        show=reporter.show, stop_requested=lambda: reporter.stopping, finish_running=True
    )
    pool = ThreadPool(workers) if isinstance(workers, int) else workers
    with contextlib.ExitStack() as stack:
        results = None
        if folder is not None:
            facts = game_facts(game, int(seed), periods, window, 0) | {"trials": repr(plan)}
            results = stack.enter_context(
                ResultFolder.opened(folder, SESSIONS, facts, TrialCodec(), sessions_refusal)
            )
        found = run_tasks(tasks, pool, results, state, tries=TRIES, noun="task")
    rows = [found[task.key] for task in tasks]
    played = Played.joined([row.played for row in rows])
    return TrialSessions(played, {arm: _paths(game, rows, k) for k, arm in enumerate(chosen)})


@dataclass(frozen=True)
class TrialPlan:
    """What is played: periods with trials, their chance, the arms, and when the learning ends."""

    ticks: int
    chance: float
    arms: tuple[str, ...]
    periods: int
    window: int


@short_repr
@dataclass(frozen=True, eq=False)
class TrialRecords:
    """Some sessions as they are kept: levels and trials [S, arms, T, n]."""

    played: Played
    level: IntArray
    tried: IntArray


def play_some(
    game: RepeatedGame, seed: int, sessions: tuple[int, ...], plan: TrialPlan
) -> TrialRecords:
    """Some sessions of `play_trials`, one after another."""
    ends: dict[int, SessionState] = {}

    def end_of(session: int) -> SessionState:
        if session not in ends:
            ends[session] = game.start(seed, session)
            game.advance(ends[session], seed, session, plan.periods, plan.window)
        return copied(ends[session])

    shape = (len(sessions), len(plan.arms), plan.ticks, game.n)
    level, tried = np.empty(shape, np.int16), np.empty(shape, np.bool_)
    played = []
    for row, session in enumerate(sessions):
        alone = np.full(game.n, np.nan)
        played.append(played_of(end_of(session), seed, session, plan.window, alone))
        for k, arm in enumerate(plan.arms):
            state = end_of(session)
            if arm == "strangers":
                others = [end_of(session + i) for i in range(game.n)]
                state = strangers(game, others)
            trace = np.empty((plan.ticks, game.n), np.int64)
            game.advance(
                state,
                seed,
                session,
                int(state.clock[0]) + plan.ticks,
                trace=trace,
                tried=tried[row, k],
                explore=plan.chance,
                learning=arm != "not_learning",
            )
            level[row, k] = trace
        ends.pop(session)
    return TrialRecords(Played.joined(played), level, tried)


def static_best_reply(stage: StageGame) -> Callable[[Array], Array]:
    """Return the best replies of a stage game as a function of prices.

    Parameters
    ----------
    stage : StageGame
        The game.

    Returns
    -------
    callable
        Takes prices [E, n] and returns each player's best price [E, n] of its grid against the
        others' prices, each taken as the nearest price of its owner's grid.
    """
    replies, asked_at = [], []
    for i in range(stage.n):
        table = stage.payoffs[:, i].reshape(stage.sizes)
        best = np.broadcast_to(table.argmax(axis=i, keepdims=True), table.shape)
        asked = stage.prices[:, i].reshape(stage.sizes)
        replies.append(np.take_along_axis(asked, best, axis=i).reshape(-1))
        asked_at.append(np.moveaxis(asked, i, 0).reshape(stage.sizes[i], -1)[:, 0])
    by_profile = np.stack(replies, axis=1)

    def reply(prices: Array) -> Array:
        levels = np.stack(
            [np.abs(prices[:, i, None] - own).argmin(axis=1) for i, own in enumerate(asked_at)],
            axis=1,
        )
        found: Array = by_profile[stage.profile(levels)]
        return found

    return reply


def copied(state: SessionState) -> SessionState:
    """The same state in arrays of its own."""
    return SessionState(*(np.array(one) for one in state))


def strangers(game: RepeatedGame, states: Sequence[SessionState]) -> SessionState:
    """A session in which player i is the one of the i-th state, as it stands there."""
    made, stage = copied(states[0]), game.stage
    rows = np.concatenate(([0], np.cumsum([game.states(i) for i in range(game.n)])))
    for i, other in enumerate(states):
        own = slice(rows[i], rows[i + 1])
        made.q[own], made.best[own] = other.q[own], other.best[own]
        for ours, theirs in (
            (made.level, other.level),
            (made.row, other.row),
            (made.discounted_return, other.discounted_return),
            (made.discount, other.discount),
        ):
            ours[i] = theirs[i]
    now = stage.states[:, stage.profile(made.level)]
    made.now[:], made.before[:] = now, now
    return made


def _paths(game: RepeatedGame, rows: Sequence[TrialRecords], arm: int) -> TriedPaths:
    level = np.concatenate([row.level[:, arm] for row in rows]).astype(np.int64)
    tried = np.concatenate([row.tried[:, arm] for row in rows])
    prices = game.stage.prices[game.stage.profile(level)]
    return TriedPaths(np.swapaxes(prices, 0, 1), np.swapaxes(tried, 0, 1))


class TrialCodec(ArrayCodec):
    """Sessions with trials, as arrays."""

    def arrays(self, value: TrialRecords) -> Mapping[str, Any]:
        ended = {one.name: getattr(value.played, one.name) for one in fields(Played)}
        return ended | {"trial_level": value.level, "trial_tried": value.tried}

    def value(self, arrays: Mapping[str, Any]) -> TrialRecords:
        played = Played(*(arrays[one.name] for one in fields(Played)))
        return TrialRecords(played, arrays["trial_level"], arrays["trial_tried"])
