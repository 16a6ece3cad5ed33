"""A line between two processes on one machine: questions go one way, answers the other.

Whatever an actor's call and its answer hold, Ray takes some 0.3 ms for them; a Unix socket takes a
tenth of that. So a clearing house sends its ticks to the hosts beside it by line (`ray_runtime`).
Only blocks of bytes go along it, behind a head each (length, number of the question, whether it
failed), and they are the business of whoever calls.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import select
import socket
import struct
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mos_agents.actors.messages import told

HEAD = struct.Struct("<QQ?")

CHUNK = 1 << 16
"""Bytes that are read at once."""

LARGEST = 1 << 30
"""Bytes of an answer at most: who announces more is not heard any more."""

GREETING_SECONDS = 5.0
"""How long a caller may take to say the secret."""

TAKING_SECONDS = 0.2
"""How long past a deadline what is there already is taken in: one who talks on holds nobody up."""


DOORS = "mos-"
"""How the names of the folders begin in which doors are."""


class Said(NamedTuple):
    """An answer: a block, or, where answering failed, one line on why."""

    block: bytes
    failed: bool


class Door:
    """The end that answers. It lets in one caller who knows the secret, and is then gone.

    path: a socket in a folder of its own that only this user may enter. Raises OSError where the
    machine has no such sockets.
    """

    def __init__(self) -> None:
        self.path = str(Path(tempfile.mkdtemp(prefix=DOORS), "line"))
        self.secret = secrets.token_bytes(32)
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(self.path)
            self._listener.listen(4)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Nobody is let in any more."""
        self._listener.close()
        taken_away(self.path)

    def serve(self, answer: Callable[[bytes], bytes]) -> None:
        """Answer the caller's questions one after the other, until it hangs up.

        What was asked before it did is still done.
        """
        with self._admitted() as line:
            while head := _exactly(line, HEAD.size):
                length, number, _ = HEAD.unpack(head)
                block = _exactly(line, length)
                if block is None:
                    return
                try:
                    said = Said(answer(block), failed=False)
                except BaseException as error:  # in a host's own process: nothing may end it so
                    said = Said(told(error).encode(errors="replace"), failed=True)
                with contextlib.suppress(OSError):
                    line.sendall(HEAD.pack(len(said.block), number, said.failed) + said.block)

    def _admitted(self) -> socket.socket:
        while True:
            line, _ = self._listener.accept()
            line.settimeout(GREETING_SECONDS)
            said = _exactly(line, len(self.secret))
            if said is not None and hmac.compare_digest(said, self.secret):
                line.settimeout(None)
                self.close()
                return line
            line.close()


def taken_away(path: str) -> None:
    """Take a door away, also one that somebody else opened who is dead now; and nothing else."""
    with contextlib.suppress(OSError):
        if Path(path).is_socket():
            os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _exactly(line: socket.socket, size: int) -> bytes | None:
    """So many bytes; None where the other end is gone or, with a timeout, says nothing."""
    parts = []
    while size:
        try:
            part = line.recv(size, socket.MSG_WAITALL)
        except OSError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Line:
    """The end that asks. Nothing here waits for the other end, except `wait`.

    answer: that to the last question, once it is here; answers to earlier ones are let go.
    gone: whether the other end is.
    """

    def __init__(self, path: str, secret: bytes) -> None:
        """Raises OSError where nobody listens."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        try:
            self._socket.connect(path)
            self._socket.sendall(secret)
        except OSError:
            self._socket.close()
            raise
        self._unsent: deque[bytes] = deque()  # of the first, what lies before `_at` is sent
        self._at, self._came, self._asked = 0, bytearray(), 0
        self._chunk = memoryview(bytearray(CHUNK))
        self.answer: Said | None = None
        self.gone = False

    @property
    def settled(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.gone or self.answer is not None

    def ask(self, block: bytes) -> None:
        """Put a question; what the socket does not take now is sent by `wait`."""
        self.answer = None
        self._asked += 1
        self._unsent.append(HEAD.pack(len(block), self._asked, False) + block)
        self._push()

    def close(self) -> list[bytes]:
        """Hang up; the blocks that were not sent to their end, which the other end lets go of."""
        self.gone = True
        self._socket.close()
        return [frame[HEAD.size :] for frame in self._unsent]

    def _push(self) -> None:
        """Send what the socket takes."""
        while self._unsent and not self.gone:
            frame = self._unsent[0]
            try:
                self._at += self._socket.send(memoryview(frame)[self._at :])
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if self._at == len(frame):
                self._unsent.popleft()
                self._at = 0

    def _pull(self) -> None:
        """Take in what has come."""
        try:
            size = self._socket.recv_into(self._chunk)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.close()
            return
        self._came += self._chunk[:size]
        while len(self._came) >= HEAD.size:
            length, number, failed = HEAD.unpack_from(self._came)
            end = HEAD.size + length
            if length > LARGEST:
                self.close()
                return
            if len(self._came) < end:
                return
            if number == self._asked:
                self.answer = Said(bytes(memoryview(self._came)[HEAD.size : end]), failed)
            del self._came[:end]


def wait(lines: Sequence[Line], seconds: float | None) -> None:
    """Until every line is settled, or so many seconds are over; what is there already is taken."""
    until = None if seconds is None else time.monotonic() + seconds
    while waiting := {line._socket.fileno(): line for line in lines if not line.settled}:
        poll = select.poll()
        for number, line in waiting.items():
            poll.register(number, select.POLLIN | (select.POLLOUT if line._unsent else 0))
        left = None if until is None else until - time.monotonic()
        ready = poll.poll(None if left is None else 1000.0 * max(0.0, left))
        if not ready or (left is not None and left < -TAKING_SECONDS):
            return
        for number, event in ready:
            line = waiting[number]
            if event & select.POLLOUT:
                line._push()
            if event & ~select.POLLOUT and not line.gone:
                line._pull()
