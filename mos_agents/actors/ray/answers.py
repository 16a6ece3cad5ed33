"""What comes back from a worker by Ray, taken as bytes: nothing of it is ever unpickled here.

`ray.get` turns what a process returned or raised into objects, and reading a pickle runs what it
says. So results are looked at as they lie in Ray's store: plain bytes, which `wire` reads, or the
number of an error, whose contents stay closed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.worker import global_worker
from ray.core.generated.common_pb2 import ErrorType  # type: ignore[attr-defined]
from ray.exceptions import GetTimeoutError, RayError

from mos_agents.actors.messages import MessageError
from mos_agents.actors.runtime import Answer

PLAIN = ray_constants.OBJECT_METADATA_TYPE_RAW
RAISED = ("TASK_EXECUTION_EXCEPTION", "TASK_CANCELLED")
"""Errors that leave a worker alive: it raised, where every verb of ours answers with a text."""

logger = logging.getLogger(__name__)

LAST_SECONDS = 5.0
"""How long an answer that is there may take to be fetched."""

Reader = Callable[[bytes], tuple[Any, float]]
"""Reads a verb's block: a value, and the seconds it took; MessageError where it is none."""


def keep_unasked_closed() -> None:
    """In this process Ray opens no error of a call whose result was not asked for.

    When the last reference to a failed call goes, Ray unpickles the error so as to print it. From
    here on this process prints the error's name instead, for every call of Ray's that it makes.
    """
    global_worker.raise_errors = _unasked  # type: ignore[method-assign]


def _unasked(stored: Sequence[Any], references: Sequence[Any]) -> None:
    for _, kind, *_ in stored:
        logger.warning("an abandoned call failed: %s", _unopened(kind or b"").error)


def answers(asked: Sequence[tuple[Any, Reader]], deadline: float | None) -> list[Answer]:
    """What comes back of each reference: a value, an error, a death, or nothing in time."""
    begin = time.monotonic()
    references = [reference for reference, _ in asked]
    try:  # the way it goes nearly always: one call for all
        found = _stored(references, deadline)
        if all(kind == PLAIN for _, kind in found):
            return [_opened(*one, read) for one, (_, read) in zip(found, asked, strict=True)]
    except (GetTimeoutError, RayError):
        pass
    left = None if deadline is None else max(0.0, deadline - (time.monotonic() - begin))
    ready, _ = ray.wait(references, num_returns=len(references), timeout=left)
    back = set(ready)
    return [
        answer(reference, read) if reference in back else Answer(late=True, error="late")
        for reference, read in asked
    ]


def answer(reference: Any, read: Reader) -> Answer:
    """What came back of a reference that is ready."""
    try:
        return _opened(*_stored([reference], LAST_SECONDS)[0], read)
    except (GetTimeoutError, RayError) as error:
        return Answer(dead=True, error=type(error).__name__)


def is_ready(reference: Any) -> bool:
    return bool(ray.wait([reference], timeout=0)[0])


def _stored(references: Sequence[Any], seconds: float | None) -> list[tuple[Any, bytes]]:
    """Data and kind of each result as they lie in the store."""
    global_worker.check_connected()
    milliseconds = -1 if seconds is None else int(1000 * seconds)
    core = global_worker.core_worker  # type: ignore[attr-defined]
    found = core.get_objects(list(references), milliseconds)
    return [(data, bytes(kind or b"")) for data, kind, *_ in found]


def _opened(data: Any, kind: bytes, read: Reader) -> Answer:
    if kind != PLAIN:
        return _unopened(kind)
    try:
        value, seconds = read(b"" if data is None else data.to_pybytes())
    except MessageError as error:
        return Answer(error=str(error))
    return Answer(value, seconds=seconds)


def _unopened(kind: bytes) -> Answer:
    """An error of Ray's, of which only the number is known, or something else than bytes."""
    number = kind.split(b",")[0]
    if not number.isdigit():
        return Answer(error="answered with an object where bytes were due; it was not opened")
    try:
        name = ErrorType.Name(int(number))
    except ValueError:
        name = "an unknown error"
    if name in RAISED:
        return Answer(error="raised an exception; it was not opened")
    return Answer(dead=True, error=f"died ({name})")
