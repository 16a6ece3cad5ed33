"""How calls and replies travel between processes: one block of plain bytes, no object in it.

A block: length of the heading (4 bytes), the heading (JSON: whom it concerns, which tick, what
shapes follow), and the numbers as they lie in memory (float64, little end first). Pickling the same
messages takes five times as long, and reading a stranger's pickle would run what it says.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from mos_agents.actors.messages import Call, MessageError, Reply
from mos_agents.market.types import Array

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


def packed_calls(calls: Sequence[Call]) -> bytes:
    """What a host is asked at one tick."""
    heading = [[*call[:4], *call.observation.shape] for call in calls]
    return _block(heading, [array for call in calls for array in (call.observation, call.reward)])


def calls_in(block: bytes) -> list[Call]:
    """The calls in a block; their arrays are read-only."""
    heading, numbers = _opened(block)
    shapes = [shape for *_, batch, size in heading for shape in ((batch, size), (batch,))]
    arrays = _arrays(numbers, shapes)
    return [
        Call(run, tick, name, life, arrays[2 * i], arrays[2 * i + 1])
        for i, (run, tick, name, life, *_) in enumerate(heading)
    ]


def packed_replies(replies: Sequence[Reply], seconds: float) -> bytes:
    """What a host answers, and the seconds that it took to."""
    heading = [
        [*reply[:4], None if reply.action is None else reply.action.shape, reply.fault]
        for reply in replies
    ]
    return _block([seconds, heading], [r.action for r in replies if r.action is not None])


def replies_in(block: bytes) -> tuple[list[Reply], float]:
    """The replies in a block, and the seconds that they took by their own account.

    Raises MessageError where a stranger put something else into it. Whether the replies are those
    to the calls is another question: `checked_reply`.
    """
    try:
        (seconds, heading), numbers = _opened(block)
        arrays = iter(_arrays(numbers, [shape for *_, shape, _ in heading if shape is not None]))
        replies = [
            Reply(run, tick, name, life, None if shape is None else next(arrays), fault)
            for run, tick, name, life, shape, fault in heading
        ]
        return replies, float(seconds)
    except (ValueError, TypeError, OverflowError, struct.error, RecursionError) as error:
        raise MessageError(f"answered with no block of replies: {error}") from None


def _block(heading: Any, arrays: Sequence[Array]) -> bytes:
    text = json.dumps(heading).encode()
    text += b" " * (-(len(text) + LENGTH.size) % 8)  # the numbers then lie where processors read
    parts = [np.ascontiguousarray(array, NUMBER).data for array in arrays]
    return b"".join([LENGTH.pack(len(text)), text, *parts])


def _opened(block: bytes) -> tuple[Any, Array]:
    (length,) = LENGTH.unpack_from(block)
    begin = LENGTH.size + length
    heading = json.loads(block[LENGTH.size : begin])
    if len(block) == begin:  # numpy takes nothing for an error
        return heading, np.empty(0)
    return heading, np.frombuffer(block, NUMBER, offset=begin)


def _arrays(numbers: Array, shapes: Sequence[Sequence[int]]) -> list[Array]:
    """The arrays that lie one behind the other in `numbers`, and nothing else."""
    found, at = [], 0
    for shape in shapes:
        size = 1
        for n in shape:
            if type(n) is not int or n < 0:
                raise ValueError(f"no shape: {shape!r}")
            size *= n
        found.append(numbers[at : at + size].reshape(shape))
        at += size
    if at != numbers.size:
        raise ValueError(f"{numbers.size} numbers where {at} were announced")
    return found
