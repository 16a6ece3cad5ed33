"""Many sessions of a repeated game: over cores, over a cluster, and on from where it was stopped.

A session is one learning run from its first period until its greedy prices no longer change. What
is kept of it is how it ended: the greedy strategies, and where the play stood.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mos_agents.games.loops import SessionState
from mos_agents.games.repeated import WINDOW, RepeatedGame
from mos_agents.learners.q_learning import break_tie
from mos_agents.market.checks import check_whole, is_whole
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.runs.files import digest
from mos_agents.runs.folder import FolderKind
from mos_agents.tasks import (
    ArrayCodec,
    ResultFolder,
    Task,
    TaskProgress,
    ThreadPool,
    WorkerPool,
    run_tasks,
)

OnProgress = Callable[[int, int], bool | None]
"""(sessions done, sessions in all) -> True to stop."""

SESSIONS = FolderKind(
    "set of sessions", "sessions.json", "another process plays sessions in it", form=3
)

TRIES = 20
"""How often a task may lose its worker before the play is given up."""

LONGEST = 1_000_000_000
"""Periods after which a session that has not converged is given up, by default."""


@short_repr
@dataclass(frozen=True, eq=False)
class Played(Framed):
    """How S sessions of n players ended, in the order asked for.

    `best[s, first[i] + x]` is the price of the grid that player i asks in situation x. R is the
    number of situations of all players.

    Parameters
    ----------
    session : array of int [S]
        Numbers of the sessions.
    periods : array of int [S]
        Periods played, the window without a change included.
    converged : array of bool [S]
        Whether no greedy price changed for the window.
    best : array of int [S, R]
        Greedy prices, as positions in the grid; ties are broken.
    level : array of int [S, n]
        The prices in force at the end, as positions in the grid.
    now : array of int [S, n]
        The situation at the end.
    before : array of int [S, n]
        The situation one period earlier.
    late : array [S, n]
        Mean reward per period over the last `tail` periods; NaN if not asked for.
    place : array of int [S, G]
        The offer that holds the place of each choice group at the end; -1 for none.
    """

    row_name: ClassVar[str] = "session"

    session: IntArray  # [S] their numbers
    periods: IntArray  # [S] periods played, the window of no change included
    converged: Any  # [S] whether no greedy level changed for the window
    best: IntArray  # [S, R] greedy levels, ties broken
    level: IntArray  # [S, n] the levels in force at the end
    now: IntArray  # [S, n] the situation at the end
    before: IntArray  # [S, n] the situation one period earlier
    late: Array  # [S, n] mean reward per period over the last `tail` periods; NaN if not asked for
    place: IntArray  # [S, G] the offer that holds each group's place at the end; -1 for none

    def __len__(self) -> int:
        return len(self.session)

    def __str__(self) -> str:
        done = int(np.sum(self.converged))
        return (
            f"{len(self):,} sessions of {self.level.shape[1]} players: {done:,} converged; "
            f"{self.periods.mean():,.0f} periods on average, {self.periods.max():,} at most "
            "(games.GreedyGame(game, played).cycles() says what they do then)"
        )

    def part(self, which: Any) -> Played:
        """Some of the sessions: a slice, numbers or booleans."""
        return Played(*(getattr(self, one.name)[which] for one in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Played]) -> Played:
        """Several parts, one after another."""
        return cls(*(np.concatenate([getattr(p, one.name) for p in parts]) for one in fields(cls)))


def play_some(
    game: RepeatedGame, seed: int, sessions: tuple[int, ...], periods: int, window: int, tail: int
) -> Played:
    """Some sessions of a game, one after another; the numbers are those of `play_sessions`."""
    return Played.joined([_one(game, seed, one, periods, window, tail) for one in sessions])


def _one(
    game: RepeatedGame, seed: int, session: int, periods: int, window: int, tail: int
) -> Played:
    n = game.n
    state = game.start(seed, session)
    late = np.full(n, np.nan)
    game.advance(state, seed, session, periods - tail, window)
    if tail:
        trace, shown = np.empty((tail, n), np.int64), np.zeros(tail, np.int64)
        game.advance(state, seed, session, periods, trace=trace, shown=shown)
        late = game.stage.earned(trace, shown).mean(axis=0)
    return played_of(state, seed, session, window, late)


def played_of(state: SessionState, seed: int, session: int, window: int, late: Array) -> Played:
    """How a session ended, from its state and the mean rewards of its last periods [n]."""
    clock = int(state.clock[0])
    still = clock - int(state.changed.max())
    best = state.best.astype(np.int16)
    open_rows = np.flatnonzero(best < 0)
    if open_rows.size:  # situations never met since their values came to be the same
        draws = Streams.of(seed, np.array([session]), owner="ties left").at(0)
        uniforms = draws.uniforms("ties", best.size)[0]
        for row in open_rows:
            best[row] = break_tie(state.q, row, uniforms[row])
    one = lambda value: np.asarray(value)[None]  # noqa: E731
    return Played(
        one(session),
        one(clock),
        one(bool(window and still >= window)),
        one(best),
        one(state.level),
        one(state.now),
        one(state.before),
        one(late),
        one(state.place),
    )


def play_sessions(
    game: RepeatedGame,
    *,
    seed: int = 0,
    sessions: int | Sequence[int] = 100,
    periods: int = LONGEST,
    window: int = WINDOW,
    tail: int = 0,
    workers: WorkerPool | int = 2,
    folder: Path | None = None,
    per_task: int = 10,
    progress: OnProgress | None = None,
) -> Played:
    """Play sessions to the end of their learning.

    Parameters
    ----------
    game : RepeatedGame
        The game.
    seed : int, optional
        Seed of all random numbers, >= 0.
    sessions : int or sequence of int, optional
        How many sessions (0, 1, ...), or their numbers. Each is the same in any batch.
    periods : int, optional
        The most periods that a session plays.
    window : int, optional
        A session ends once no greedy price has changed for so many periods; 0 plays `periods` in
        all.
    tail : int, optional
        Rewards are averaged over so many last periods, in plays of one length (window=0).
    workers : int or WorkerPool, optional
        Threads, or where else sessions are played.
    folder : Path, optional
        Finished sessions are kept there and not played again. One process at a time plays into it.
    per_task : int, optional
        Sessions that a worker plays at a time.
    progress : callable, optional
        Called with the sessions done and the sessions in all. If it returns True, no more sessions
        begin, and those under way are kept.

    Returns
    -------
    Played
        How the sessions ended, in the order of their numbers as given.

    Raises
    ------
    InputError
        If a number is out of its range.
    RunError
        If another process plays into the folder, or it is of another game, seed or length.
    TasksStopped
        If `progress` asked to stop.
    """
    numbers = checked_sessions(sessions, seed, periods, window, tail, per_task)
    parts = [numbers[begin : begin + per_task] for begin in range(0, len(numbers), per_task)]
    tasks = [
        Task(
            sessions_key(part), play_some, game, (int(seed), part, periods, window, tail), len(part)
        )
        for part in parts
    ]
    reporter = SessionReporter(progress)
    state = TaskProgress(
        show=reporter.show, stop_requested=lambda: reporter.stopping, finish_running=True
    )
    pool = ThreadPool(workers) if isinstance(workers, int) else workers
    with contextlib.ExitStack() as stack:
        results = None
        if folder is not None:
            facts = game_facts(game, int(seed), periods, window, tail)
            results = stack.enter_context(
                ResultFolder.opened(folder, SESSIONS, facts, PlayedCodec(), sessions_refusal)
            )
        found = run_tasks(tasks, pool, results, state, tries=TRIES, noun="task")
    return Played.joined([found[task.key] for task in tasks])


class SessionReporter:
    """Calls the progress of `play_sessions` whenever sessions have ended."""

    def __init__(self, progress: OnProgress | None) -> None:
        self._progress, self._done = progress, -1
        self.stopping = False

    def show(self, state: TaskProgress) -> None:
        if self._progress is not None and state.done != self._done:
            self._done = state.done
            self.stopping = bool(self._progress(state.done, state.total))


def checked_sessions(
    sessions: int | Sequence[int], seed: int, periods: int, window: int, tail: int, per_task: int
) -> tuple[int, ...]:
    Streams.of(seed, 1)
    for name, number, least in (
        ("periods", periods, 1),
        ("window", window, 0),
        ("tail", tail, 0),
        ("per_task", per_task, 1),
    ):
        check_whole(name, number, least)
    if tail > periods:
        raise InputError(f"tail={tail} must be at most periods={periods}")
    if tail and window:
        raise InputError(
            f"tail={tail} is for plays of one length: set window=0, or leave tail out and average "
            "over the limit cycles"
        )
    listed: Any = range(int(sessions)) if is_whole(sessions) else sessions
    numbers = tuple(int(s) for s in listed)
    if not numbers or min(numbers) < 0 or len(set(numbers)) != len(numbers):
        raise InputError(
            f"sessions={sessions!r:.60} must be a number >= 1, or distinct session numbers >= 0"
        )
    return numbers


# --- kept in a folder -----------------------------------------------------------------------------


class PlayedCodec(ArrayCodec):
    """How sessions ended, as arrays."""

    def arrays(self, value: Played) -> Mapping[str, Any]:
        return {one.name: getattr(value, one.name) for one in fields(Played)}

    def value(self, arrays: Mapping[str, Any]) -> Played:
        return Played(*(arrays[one.name] for one in fields(Played)))


def sessions_key(sessions: tuple[int, ...]) -> str:
    return f"sessions-{sessions[0]:06d}-{digest(repr(sessions).encode())[:12]}"


def game_facts(
    game: RepeatedGame, seed: int, periods: int, window: int, tail: int
) -> dict[str, Any]:
    """What makes two plays the same: payoffs, situations, learners, turns, seed and length."""
    stage = game.stage
    tables = stage.places or stage
    arrays = (tables.payoffs, tables.states, stage.first_states, stage.first_levels)
    specs = [stage.market.spec(name) for name in stage.players]
    return {
        "game": digest(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)),
        "learners": [
            f"{spec.name} {spec.turn} {learner!r}"
            for spec, learner in zip(specs, game.learners, strict=True)
        ],
        "seed": seed,
        "periods": periods,
        "window": window,
        "tail": tail,
    } | ({} if stage.places is None else {"prominence": repr(stage.places.rule)})


def sessions_refusal(held: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    return "holds sessions of another game, seed or length"
