"""Sessions of a compiled game, some to a task, on whatever pool an experiment runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from experiments.replication import ExecutionConfig
from mos_agents.tasks import Task, TaskProgress, run_tasks


def sessions_played(
    execution: ExecutionConfig,
    play: Callable[..., Sequence[Any]],
    game: Any,
    seed: int,
    sessions: int,
    *limits: Any,
    what: str = "sessions",
) -> list[Any]:
    """How each session ended.

    Parameters
    ----------
    execution : ExecutionConfig
        Where sessions are played, and who sees the progress.
    play : callable
        A module's function (game, seed, session numbers, *limits) that plays some sessions.
    game : object
        The game.
    seed, sessions : int
        Seed of all random numbers, and how many sessions.
    *limits
        More arguments of `play`.
    what : str
        What progress calls the sessions.

    Returns
    -------
    list
        One result of `play` for each session.
    """
    per_task = 10 if sessions >= 100 else 1
    parts = [range(b, min(b + per_task, sessions)) for b in range(0, sessions, per_task)]
    tasks = [Task(f"{one[0]}", play, game, (seed, tuple(one), *limits), len(one)) for one in parts]
    tell, stop = execution.progress_of(what), []

    def show(state: Any) -> None:
        if tell(state.done, state.total):
            stop.append(True)

    progress = TaskProgress(show=show, stop_requested=lambda: bool(stop), finish_running=True)
    found = run_tasks(tasks, execution.workers, None, progress, noun="task")
    return [one for task in tasks for one in found[task.key]]
