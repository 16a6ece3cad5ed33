"""How far tasks have come, and the wish to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TaskProgress:
    """The progress of tasks. `show` is called at every change, and now and then in between.

    Parameters
    ----------
    total, done
        Sizes of all tasks, and of those that have ended.
    found
        Of those that had been kept before.
    failed
        Of those that ended without a result; counted by whoever keeps the results.
    running
        The keys of the tasks under way, each with when it began (time.monotonic).
    latest
        The key of the task that ended last.
    began, ended
        When the first task began, and when the last one ended.
    stop_requested
        Whether the tasks are to stop.
    finish_running
        Whether running tasks are then finished and kept; otherwise they are abandoned.
    show
        Called with this progress.
    """

    total: int = 0
    done: int = 0
    found: int = 0
    failed: int = 0
    running: dict[str, float] = field(default_factory=dict)
    latest: str = ""
    began: float | None = None
    ended: float = 0.0
    show: Callable[[TaskProgress], None] = lambda progress: None
    stop_requested: Callable[[], bool] = lambda: False
    finish_running: bool = False

    def begin(self, key: str) -> None:
        """A task is under way."""
        self.running[key] = time.monotonic()
        self.began = self.running[key] if self.began is None else self.began
        self.show(self)

    def end(self, key: str, size: int) -> None:
        """A task has ended, and its result is kept."""
        self.done, self.latest, self.ended = self.done + size, key, time.monotonic()
        self.show(self)

    @property
    def seconds_left(self) -> float:
        """By the pace of the tasks that have ended here; infinite before the first."""
        played = self.done - self.found
        if not played or self.began is None:
            return float("inf")
        whole = (self.ended - self.began) / played * (self.total - self.done)
        return max(0.0, whole - (time.monotonic() - self.ended))


class TasksStopped(Exception):
    """Tasks were stopped on request. found: the results that there are, by key."""

    def __init__(self, found: Mapping[str, Any], missing: int) -> None:
        super().__init__(f"stopped on request with {missing:,} tasks missing")
        self.found = dict(found)
