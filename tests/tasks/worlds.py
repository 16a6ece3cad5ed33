"""Tasks for the tests, as functions that another process can find."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

FIRST_PROCESS = os.getpid()


def square(shared: int, number: int) -> int:
    """A result that says which task it is of."""
    return shared + number * number


def fails_at(shared: int, number: int) -> int:
    if number == shared:
        raise ZeroDivisionError(f"{number} is not liked")
    return number


def dies_until(folder: str, number: int, deaths: int) -> int:
    """End this process, so often for each number; then return the number."""
    for attempt in range(deaths):
        mark = Path(folder) / f"{number}-{attempt}"
        if not mark.exists():
            mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
    return number


def waits_for(event: threading.Event, number: int) -> int:
    event.wait()
    return number
