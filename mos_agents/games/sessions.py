"""Many sessions of a repeated game: over cores, over a cluster, and on from where it was stopped.

A session is one learning run from its first period until its greedy prices no longer change. What
is kept of it is how it ended: the greedy strategies, and where the play stood.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from mos_agents.games.repeated import WINDOW, RepeatedGame
from mos_agents.learners.q_learning import break_tie
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.runs.files import RunError, alone, claim, read_with_digest, write_with_digest

LONGEST = 1_000_000_000
"""Periods after which a session that has not converged is given up, unless told otherwise."""


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


@short_repr
@dataclass(frozen=True, eq=False)
class Task:
    """Some sessions of a game, for one worker; its numbers are those of `play_sessions`."""

    game: RepeatedGame
    seed: int
    sessions: tuple[int, ...]
    periods: int
    window: int
    tail: int

    def __call__(self) -> Played:
        return Played.joined([self._one(session) for session in self.sessions])

    def _one(self, session: int) -> Played:
        game, n = self.game, self.game.n
        state = game.start(self.seed, session)
        late = np.full(n, np.nan)
        game.advance(state, self.seed, session, self.periods - self.tail, self.window)
        if self.tail:
            trace = np.empty((self.tail, n), np.int64)
            game.advance(state, self.seed, session, self.periods, trace=trace)
            late = game.stage.payoffs[trace @ game.stage.strides].mean(axis=0)
        clock = int(state.clock[0])
        still = clock - int(state.changed.max())
        best = state.best.astype(np.int16)
        open_rows = np.flatnonzero(best < 0)
        if open_rows.size:  # situations never met since their values came to be the same
            draws = Streams.of(self.seed, np.array([session]), owner="ties left").at(0)
            uniforms = draws.uniforms("ties", best.size)[0]
            for row in open_rows:
                best[row] = break_tie(state.q, row, uniforms[row])
        one = lambda value: np.asarray(value)[None]  # noqa: E731
        return Played(
            one(session),
            one(clock),
            one(bool(self.window and still >= self.window)),
            one(best),
            one(state.level),
            one(state.now),
            one(state.before),
            one(late),
        )


class Workers(Protocol):
    """Where tasks are worked off: threads of this process, or a cluster."""

    def work(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Played]]:
        """Results with the numbers of their tasks, in the order in which they are done."""


@dataclass(frozen=True)
class Threads:
    """Tasks on the cores of this machine: the compiled loop lets go of Python's lock."""

    count: int = 2

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or self.count < 1:
            raise InputError(f"workers={self.count!r} must be a whole number >= 1")

    def work(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Played]]:
        waiting = iter(tasks)
        with ThreadPoolExecutor(self.count) as pool:
            running: dict[Future[Played], int] = {}
            try:
                while True:
                    for number, task in itertools.islice(waiting, self.count - len(running)):
                        running[pool.submit(task)] = number
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for one in done:
                        yield running.pop(one), one.result()
            finally:
                for one in running:
                    one.cancel()


def play_sessions(
    game: RepeatedGame,
    *,
    seed: int = 0,
    sessions: int | Sequence[int] = 100,
    periods: int = LONGEST,
    window: int = WINDOW,
    tail: int = 0,
    workers: Workers | int = 2,
    folder: Path | None = None,
    per_task: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> Played:
    """Play sessions to their ends; how they ended, in the order of their numbers as given.

    sessions: how many (0, 1, ...), or their numbers. Each is the same in any company.
    periods: the most that a session plays. window: it ends once no greedy level has changed for so
        many; 0 plays `periods` in all.
    tail: rewards are averaged over so many last periods of plays of one length (window=0).
    folder: finished tasks are kept there, each whole or not at all, and not played again. One
        process at a time plays into it; RunError where another one does.
    progress: called with sessions done and sessions in all.
    """
    numbers = _checked(sessions, seed, periods, window, tail, per_task)
    tasks = {
        number: Task(game, int(seed), numbers[begin : begin + per_task], periods, window, tail)
        for number, begin in enumerate(range(0, len(numbers), per_task))
    }
    with contextlib.ExitStack() as stack:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(alone(folder, "another process plays sessions in it"))
        store = None if folder is None else Store(folder, tasks[0])
        return _played(tasks, store, workers, progress)


def _played(
    tasks: dict[int, Task],
    store: Store | None,
    workers: Workers | int,
    progress: Callable[[int, int], None] | None,
) -> Played:
    """The tasks' results in order: those in the store, and the rest played and put there."""
    found: dict[int, Played] = {}
    sessions = sum(len(task.sessions) for task in tasks.values())
    if store is not None:
        for number, task in tasks.items():
            if (kept := store.read(task)) is not None:
                found[number] = kept
    done = sum(len(part) for part in found.values())
    if progress is not None:
        progress(done, sessions)
    left = [(number, task) for number, task in tasks.items() if number not in found]
    crew = Threads(workers) if isinstance(workers, int) else workers
    for number, part in crew.work(left):
        if store is not None:
            store.write(tasks[number], part)
        found[number] = part
        done += len(part)
        if progress is not None:
            progress(done, sessions)
    return Played.joined([found[number] for number in tasks])


def _checked(
    sessions: int | Sequence[int], seed: int, periods: int, window: int, tail: int, per_task: int
) -> tuple[int, ...]:
    Streams.of(seed, 1)
    for name, number, least in (
        ("periods", periods, 1),
        ("window", window, 0),
        ("tail", tail, 0),
        ("per_task", per_task, 1),
    ):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise InputError(f"{name}={number!r} must be a whole number >= {least}")
    if tail > periods:
        raise InputError(f"tail={tail} must be at most periods={periods}")
    if tail and window:
        raise InputError(
            f"tail={tail} is for plays of one length: set window=0, or leave tail out and average "
            "over the limit cycles"
        )
    whole = isinstance(sessions, int | np.integer) and not isinstance(sessions, bool)
    listed: Any = range(int(sessions)) if whole else sessions  # type: ignore[arg-type]
    numbers = tuple(int(s) for s in listed)
    if not numbers or min(numbers) < 0 or len(set(numbers)) != len(numbers):
        raise InputError(
            f"sessions={sessions!r:.60} must be a number >= 1, or distinct session numbers >= 0"
        )
    return numbers


@dataclass(frozen=True)
class Store:
    """A folder of finished tasks: an .npz each, with its digest; `game.txt` says of which game."""

    folder: Path
    task: Task

    def __post_init__(self) -> None:
        mark = fingerprint(self.task)
        if claim(self.folder, "game.txt", mark) != mark:
            raise RunError(
                f"{self.folder}: holds sessions of another game, seed or length; give another "
                "folder, or the same settings to go on"
            )

    def _path(self, task: Task) -> Path:
        named = hashlib.sha256(repr(task.sessions).encode()).hexdigest()[:12]
        return self.folder / f"sessions-{task.sessions[0]:06d}-{named}.npz"

    def read(self, task: Task) -> Played | None:
        """The task's result if it is there; RunError if it is damaged."""
        path = self._path(task)
        if not path.exists():
            return None
        with np.load(io.BytesIO(read_with_digest(path)), allow_pickle=False) as arrays:
            return Played(*(arrays[one.name] for one in fields(Played)))

    def write(self, task: Task, played: Played) -> None:
        held = io.BytesIO()
        np.savez(held, **{one.name: getattr(played, one.name) for one in fields(Played)})
        write_with_digest(self._path(task), held.getvalue())


def fingerprint(task: Task) -> str:
    """What makes two plays the same: payoffs, situations, learners, turns, seed and length."""
    stage = task.game.stage
    digest = hashlib.sha256()
    for array in (stage.payoffs, stage.states, stage.first_states, stage.first_levels):
        digest.update(np.ascontiguousarray(array).tobytes())
    specs = [stage.market.spec(name) for name in stage.players]
    lines = [
        "mos-agents sessions, form 1",
        digest.hexdigest(),
        *(
            f"{spec.name} {spec.turn} {learner!r}"
            for spec, learner in zip(specs, task.game.learners, strict=True)
        ),
        f"seed {task.seed} periods {task.periods} window {task.window} tail {task.tail}",
    ]
    return "\n".join(lines) + "\n"
