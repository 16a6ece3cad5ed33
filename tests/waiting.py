"""Waiting for an event. Tests wait for what should happen and never measure how long it takes."""

import time
from collections.abc import Callable

PATIENCE = 600.0
"""Seconds after which a test gives up: many times what anything here takes on a busy machine."""


def eventually(happened: Callable[[], object], message: str = "") -> None:
    """Wait until something is so; AssertionError if it is not for very long."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, message or "waited in vain"
        time.sleep(0.02)
