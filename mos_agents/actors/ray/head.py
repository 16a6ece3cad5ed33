"""The head node of the Ray cluster, and whether it is still there while a caller waits.

Without its head node Ray answers no request, and ends the process after a minute.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError

from mos_agents.policies.faults import describe

Found = TypeVar("Found")


class HeadLost(Exception):
    """The head node of the cluster is gone, and the cluster with it."""


HEAD_SECONDS = 10.0
"""How long the head node may be away. Ray itself gives up after 60 s, and ends the process."""

CHECK_SECONDS = 2.0
"""How often the head node is checked."""


class Head:
    """Checks now and then whether the head node answers, while a caller waits for the cluster."""

    def __init__(self) -> None:
        self._address: tuple[str, int] | None = None  # known once this process has joined
        self._checked_at = time.monotonic()
        self._away: float | None = None  # since when

    def check(self) -> None:
        """Raise HeadLost if nobody has answered at its address for `HEAD_SECONDS`."""
        if time.monotonic() - self._checked_at > CHECK_SECONDS:
            self._answers()

    def wait(self) -> None:
        """Wait until the head node answers: without it Ray blocks. Raises HeadLost."""
        while not self._answers():
            time.sleep(0.5)

    def _answers(self) -> bool:
        if self._address is None:
            host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
            self._address = host.strip("[]"), int(port)
        try:
            socket.create_connection(self._address, timeout=1.0).close()
            self._away = None
        except OSError as error:
            now = time.monotonic()
            self._away = now if self._away is None else self._away
            if now - self._away > HEAD_SECONDS:
                address = "{}:{}".format(*self._address)
                raise HeadLost(
                    f"the cluster's head node at {address} is lost: {describe(error)}"
                ) from None
        self._checked_at = time.monotonic()
        return self._away is None


class HeadWatch:
    """Watches the head node from a thread, and interrupts work that waits for a lost cluster.

    Use it as a context manager. In a task of the cluster it watches nothing: the driver does.
    """

    def __init__(self) -> None:
        self._lost: HeadLost | None = None
        self._working = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._former: Any = None

    def __enter__(self) -> HeadWatch:
        if ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
            return self
        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGALRM, self._interrupt)
        self._thread = threading.Thread(target=self._look, args=(Head(),), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._former is not None:
            signal.signal(signal.SIGALRM, self._former)

    def call(self, work: Callable[..., Found], *arguments: Any) -> Found:
        """The result of work that needs the cluster. Raises HeadLost.

        Work that hangs is interrupted where it runs in the main thread. Elsewhere the loss shows
        when the work has ended.
        """
        self._check()
        try:
            self._working = True
            found = work(*arguments)
        except (Exception, KeyboardInterrupt) as error:
            self._check()
            if isinstance(error, RayError) and self._thread is not None:
                Head().wait()  # was it the head node? It may be away for some seconds
            raise
        finally:
            self._working = False
        self._check()
        return found

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _look(self, head: Head) -> None:
        while self._lost is None and not self._ended.wait(CHECK_SECONDS):
            try:
                head.check()
            except HeadLost as error:
                self._lost = error
        while not self._ended.wait(1.0):  # again and again: a library may swallow one
            if self._working and self._former is not None:
                with contextlib.suppress(ProcessLookupError, ValueError):
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._working and self._lost is not None:
            raise KeyboardInterrupt  # the only exception that leaves a `ray.get`
