"""How calls and replies travel between processes: one block of plain bytes, no object in it.

A block: length of the heading (4 bytes), the heading (JSON: whom it concerns, which tick, what
shapes follow), and the numbers as they lie in memory (float64, little end first; a memory's arrays
keep their types). Pickling the same messages takes five times as long, and reading a stranger's
pickle would run what it says. So all that a worker sends is such a block: replies, memories, its
location, and errors (as a text in place of the rest).
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from mos_agents.actors.messages import Call, MessageError, Reply
from mos_agents.actors.participant import Snapshot
from mos_agents.market.types import Array
from mos_agents.policies.faults import describe, one_line

LENGTH = struct.Struct("<I")
NUMBER = np.dtype("<f8")

INLINE = 96_000
"""What Ray sends along with a call, an argument: 100 kB less some wrapping. Whatever is larger goes
by way of the object store, which takes milliseconds."""

MOST = 1_000_000
"""Up to here a block is sent along in pieces; a larger one is left to the object store."""


def pieces(block: bytes) -> list[bytes]:
    """The block as arguments that Ray sends along with the call, where it can."""
    if not INLINE < len(block) <= MOST:
        return [block]
    return [block[at : at + INLINE] for at in range(0, len(block), INLINE)]


def pack_calls(calls: Sequence[Call]) -> bytes:
    """What a worker is asked at one tick."""
    heading = [[*call[:4], *call.observation.shape] for call in calls]
    return _block(heading, [array for call in calls for array in (call.observation, call.reward)])


def unpack_calls(block: bytes) -> list[Call]:
    """The calls in a block; their arrays are read-only."""
    heading, numbers = _opened(block)
    shapes = [shape for *_, batch, size in heading for shape in ((batch, size), (batch,))]
    arrays = _arrays(_numbers(numbers), shapes)
    return [
        Call(run, tick, name, life, arrays[2 * i], arrays[2 * i + 1])
        for i, (run, tick, name, life, *_) in enumerate(heading)
    ]


def pack_replies(replies: Sequence[Reply], seconds: float) -> bytes:
    """What a worker answers, and the seconds that it took to."""
    heading = [
        [*reply[:4], None if reply.action is None else reply.action.shape, reply.fault]
        for reply in replies
    ]
    return _block([seconds, heading], [r.action for r in replies if r.action is not None])


def unpack_replies(block: bytes) -> tuple[list[Reply], float]:
    """The replies in a block, and the seconds that they took by their own account.

    Raises MessageError where a stranger put something else into it. Whether the replies are those
    to the calls is another question: `checked_reply`.
    """
    return _read(block, _replies, "replies")


def _replies(heading: Any, numbers: memoryview) -> list[Reply]:
    arrays = iter(
        _arrays(_numbers(numbers), [shape for *_, shape, _ in heading if shape is not None])
    )
    return [
        Reply(run, tick, name, life, None if shape is None else next(arrays), fault)
        for run, tick, name, life, shape, fault in heading
    ]


def pack_snapshots(snapshots: Mapping[str, Snapshot], seconds: float = 0.0) -> bytes:
    """The memories of a worker's participants; arrays of any type of numbers."""
    heading = {
        name: [snapshot.tick, [[array.dtype.str, array.shape] for array in snapshot.memory]]
        for name, snapshot in snapshots.items()
    }
    arrays = [array for snapshot in snapshots.values() for array in snapshot.memory]
    return _framed([seconds, heading], [np.ascontiguousarray(array).tobytes() for array in arrays])


def unpack_snapshots(block: bytes) -> tuple[dict[str, Snapshot], float]:
    """The snapshots in a block, as copies. Raises MessageError as `unpack_replies` does."""
    return _read(block, _snapshots, "memories")


NUMBERS = re.compile(r"[<>|][fiub][0-9]{1,2}")
"""Types of the arrays of a memory, as numpy writes them: no objects, no texts, no records."""


def _snapshots(heading: Any, numbers: memoryview) -> dict[str, Snapshot]:
    found, at = {}, 0
    for name, (tick, arrays) in heading.items():
        memory = []
        for kind, shape in arrays:
            if type(kind) is not str or not NUMBERS.fullmatch(kind):
                raise ValueError(f"no type of numbers: {kind!r:.40}")
            dtype, size = np.dtype(kind), _size(shape)
            end = at + size * dtype.itemsize
            if end > len(numbers):
                raise ValueError(f"{len(numbers)} bytes where at least {end} were announced")
            # A copy: a policy may write to its own. numpy takes an empty buffer for an error.
            filled = np.frombuffer(numbers[at:end], dtype) if size else np.empty(0, dtype)
            memory.append(filled.reshape(shape).copy())
            at = end
        found[name] = Snapshot(tick, memory)
    if at != len(numbers):
        raise ValueError(f"{len(numbers)} bytes where {at} were announced")
    return found


def pack_fact(value: Any, seconds: float = 0.0) -> bytes:
    """Plain data (texts, numbers, lists of them, None)."""
    return _framed([seconds, value], [])


def unpack_fact(block: bytes) -> tuple[Any, float]:
    """The plain data of a block. Raises MessageError as `unpack_replies`."""
    return _read(block, _fact, "facts")


def _fact(heading: Any, numbers: memoryview) -> Any:
    if len(numbers):
        raise ValueError(f"{len(numbers)} bytes where none were announced")
    return heading


def pack_failure(why: str) -> bytes:
    """What a worker answers where it cannot: one line on why, which every reader raises."""
    return _framed([FAILED, why], [])


FAILED = "failed"
"""In the place of the seconds: what follows is why there is no answer."""

T = TypeVar("T")


class Failure(MessageError):
    """The other end says that it failed, and why."""


def _read(block: bytes, reader: Callable[[Any, memoryview], T], what: str) -> tuple[T, float]:
    """What a reader makes of a block by a stranger, and the seconds in it."""
    try:
        heading, numbers = _opened(block)
        seconds, form = heading
        if seconds == FAILED:
            raise Failure(one_line(str(form)))
        return reader(form, numbers), float(seconds)
    except MessageError:
        raise
    except (
        ValueError,
        TypeError,
        OverflowError,
        KeyError,
        AttributeError,
        struct.error,
        RecursionError,
        MemoryError,
    ) as error:
        raise MessageError(f"answered with no block of {what}: {describe(error)}") from None


def _block(heading: Any, arrays: Sequence[Array]) -> bytes:
    return _framed(heading, [np.ascontiguousarray(array, NUMBER).data for array in arrays])


def _framed(heading: Any, parts: Sequence[Any]) -> bytes:
    text = json.dumps(heading).encode()
    text += b" " * (-(len(text) + LENGTH.size) % 8)  # the numbers then lie where processors read
    return b"".join([LENGTH.pack(len(text)), text, *parts])


def _opened(block: bytes) -> tuple[Any, memoryview]:
    (length,) = LENGTH.unpack_from(block)
    begin = LENGTH.size + length
    return json.loads(block[LENGTH.size : begin]), memoryview(block)[begin:]


def _numbers(data: memoryview) -> Array:
    return np.frombuffer(data, NUMBER) if len(data) else np.empty(0)


def _size(shape: Any) -> int:
    size = 1
    for n in shape:
        if type(n) is not int or n < 0:
            raise ValueError(f"no shape: {shape!r:.40}")
        size *= n
    return size


def _arrays(numbers: Array, shapes: Sequence[Sequence[int]]) -> list[Array]:
    """The arrays that lie one behind the other in `numbers`, and nothing else."""
    found, at = [], 0
    for shape in shapes:
        size = _size(shape)
        found.append(numbers[at : at + size].reshape(shape))
        at += size
    if at != numbers.size:
        raise ValueError(f"{numbers.size} numbers where {at} were announced")
    return found
