"""Sessions of a repeated game on a Ray cluster: a task each, put again where a node was lost.

Tasks hold no state that anybody would miss: a task that died with its node is played again from
its first period and ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayTaskError

from mos_agents.games.sessions import Played, Task
from mos_agents.market.types import InputError
from mos_agents.policies.faults import describe

TRIES = 20
"""How often a task may lose its worker before the play is given up."""


class RayWorkers:
    """Works off tasks on the cluster that this process has joined; see `ray.cluster.cluster`."""

    def __init__(self) -> None:
        self._play = ray.remote(num_cpus=1, max_retries=TRIES)(_played)

    def work(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Played]]:
        """Results with the numbers of their tasks, in the order in which they are done.

        The game is sent to each node once; two tasks a core are under way.
        """
        waiting = iter(tasks)
        games: dict[int, Any] = {}
        running: dict[Any, int] = {}
        try:
            while True:
                room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1))) - len(running)
                for number, task in _some(waiting, room):
                    key = id(task.game)
                    if key not in games:
                        games[key] = (task.game, ray.put(task.game))
                    bare = replace(task, game=None)
                    running[self._play.remote(games[key][1], bare)] = number
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    yield running.pop(reference), _result(reference)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _some(waiting: Iterator[Any], room: int) -> Iterator[Any]:
    for _ in range(room):
        try:
            yield next(waiting)
        except StopIteration:
            return


def _result(reference: Any) -> Played:
    try:
        found: Played = ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise InputError(str(error.cause)) from None
        raise
    except ray.exceptions.RayError as error:
        raise InputError(f"the cluster lost a task {TRIES} times: {describe(error)}") from None
    return found


def _played(game: Any, task: Task) -> Played:
    return replace(task, game=game)()
