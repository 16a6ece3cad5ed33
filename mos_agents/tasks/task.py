"""A task: one piece of work that depends on no other one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mos_agents.market.printing import short_repr

ONE_CORE: Mapping[str, float] = {"CPU": 1.0}


@short_repr
@dataclass(frozen=True, eq=False)
class Task:
    """One piece of work, `function(shared, *arguments)`.

    Parameters
    ----------
    key
        Unique among the tasks that run together. Kept results are found by it.
    function
        A function of a module, so that other processes can find it.
    shared
        What many tasks have in common; a cluster's node gets it once.
    arguments
        What this task alone needs.
    size
        How much the task counts for in the progress, such as its number of sessions.
    resources
        What the task takes of a cluster: its own process first, then each process that it starts.
    fresh
        Whether the task needs a process to itself, from its start to its end.
    """

    key: str
    function: Callable[..., Any]
    shared: Any = None
    arguments: tuple[Any, ...] = ()
    size: int = 1
    resources: tuple[Mapping[str, float], ...] = (ONE_CORE,)
    fresh: bool = False


class TaskOutcome(NamedTuple):
    """What a task returned.

    Parameters
    ----------
    value : any
        The value.
    seconds : float
        How long the task took.
    node : str
        The node of a cluster that ran it; "" is this machine.
    """

    value: Any
    seconds: float = 0.0
    node: str = ""


def execute(function: Callable[..., Any], shared: Any, arguments: tuple[Any, ...]) -> TaskOutcome:
    """Run a task's function, in whatever process this is."""
    begun = time.perf_counter()
    value = function(shared, *arguments)
    return TaskOutcome(value, time.perf_counter() - begun)
