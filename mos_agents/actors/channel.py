"""A socket channel between two processes on one machine: requests go one way, responses the other.

Ray takes some 0.3 ms for an actor's call and its answer, whatever they hold. A Unix socket takes a
tenth of that. So a clearing house sends its ticks over channels to the workers on its own machine
(`ray.runtime`). A channel carries blocks of bytes only. Each block follows a header: its length,
the number of the request, and whether the request failed.
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

from mos_agents.policies.faults import describe

HEADER = struct.Struct("<QQ?")

READ_BYTES = 1 << 16
"""Bytes that one read takes at most."""

MAX_RESPONSE_BYTES = 1 << 30
"""A channel closes when the other end announces a longer response."""

HANDSHAKE_SECONDS = 5.0
"""How long a listener waits for the secret of a caller."""

DRAIN_SECONDS = 0.2
"""How long `wait` still reads after its deadline. No sender delays others for longer."""

FOLDER_PREFIX = "mos-"
"""The folders of sockets have names that begin with this."""

SOCKET_NAME = "socket"


class Response(NamedTuple):
    """A block of bytes or, if the request failed, one line that says why."""

    block: bytes
    failed: bool


class Listener:
    """The end of a channel that answers requests. It accepts one caller, which knows the secret.

    Attributes
    ----------
    path : str
        The socket. It lies in a folder of its own that only this user may enter. Both are removed
        when the caller is accepted.
    secret : bytes
        What the caller must send first.

    Raises
    ------
    OSError
        If the machine has no Unix sockets.
    """

    def __init__(self) -> None:
        self.path = str(Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX), SOCKET_NAME))
        self.secret = secrets.token_bytes(32)
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.bind(self.path)
            self._socket.listen(4)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Accept no more callers, and remove the socket."""
        self._socket.close()
        remove_socket(self.path)

    def serve(self, answer: Callable[[bytes], bytes]) -> None:
        """Answer the caller's requests in their order until the caller closes the channel.

        Requests that arrived whole before the end are still answered.

        Parameters
        ----------
        answer : Callable
            Maps the block of a request to that of its response. If it raises, the response is one
            line about the error.
        """
        with self._accepted() as caller:
            while header := _receive(caller, HEADER.size):
                length, number, _ = HEADER.unpack(header)
                block = _receive(caller, length)
                if block is None:
                    return
                try:
                    response = Response(answer(block), failed=False)
                except BaseException as error:  # no error may end the worker's process
                    response = Response(describe(error).encode(errors="replace"), failed=True)
                with contextlib.suppress(OSError):
                    header = HEADER.pack(len(response.block), number, response.failed)
                    caller.sendall(header + response.block)

    def _accepted(self) -> socket.socket:
        while True:
            caller, _ = self._socket.accept()
            caller.settimeout(HANDSHAKE_SECONDS)
            sent = _receive(caller, len(self.secret))
            if sent is not None and hmac.compare_digest(sent, self.secret):
                caller.settimeout(None)
                self.close()
                return caller
            caller.close()


def remove_socket(path: str) -> None:
    """Remove a socket and its folder, also those of a dead process, and no other file."""
    with contextlib.suppress(OSError):
        if Path(path).is_socket():
            os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _receive(caller: socket.socket, size: int) -> bytes | None:
    """Exactly `size` bytes. None if the other end is gone or the socket's timeout is over."""
    parts = []
    while size:
        try:
            part = caller.recv(size, socket.MSG_WAITALL)
        except OSError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Channel:
    """The end of a channel that sends requests. It never blocks; only `wait` waits.

    Attributes
    ----------
    response : Response or None
        The response to the last request, once it is here. Responses to earlier requests are
        dropped.
    closed : bool
        Whether the channel is closed, by either end.

    Raises
    ------
    OSError
        If no process listens.
    """

    def __init__(self, path: str, secret: bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        try:
            self._socket.connect(path)
            self._socket.sendall(secret)
        except OSError:
            self._socket.close()
            raise
        self._unsent: deque[bytes] = deque()
        self._sent = 0  # bytes of the first unsent frame that the socket has taken
        self._received, self._requests = bytearray(), 0
        self._buffer = memoryview(bytearray(READ_BYTES))
        self.response: Response | None = None
        self.closed = False

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.closed or self.response is not None

    def request(self, block: bytes) -> None:
        """Send a request. `wait` sends what the socket does not take now."""
        self.response = None
        self._requests += 1
        self._unsent.append(HEADER.pack(len(block), self._requests, False) + block)
        self._send()

    def close(self) -> list[bytes]:
        """Close the channel.

        Returns
        -------
        list of bytes
            The blocks that were not sent whole. The other end ignores the part that it has.
        """
        self.closed = True
        self._socket.close()
        return [frame[HEADER.size :] for frame in self._unsent]

    def _send(self) -> None:
        """Send what the socket takes now."""
        while self._unsent and not self.closed:
            frame = self._unsent[0]
            try:
                self._sent += self._socket.send(memoryview(frame)[self._sent :])
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if self._sent == len(frame):
                self._unsent.popleft()
                self._sent = 0

    def _receive(self) -> None:
        """Read what has arrived."""
        try:
            size = self._socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.close()
            return
        self._received += self._buffer[:size]
        while len(self._received) >= HEADER.size:
            length, number, failed = HEADER.unpack_from(self._received)
            end = HEADER.size + length
            if length > MAX_RESPONSE_BYTES:
                self.close()
                return
            if len(self._received) < end:
                return
            if number == self._requests:
                block = bytes(memoryview(self._received)[HEADER.size : end])
                self.response = Response(block, failed)
            del self._received[:end]


def wait(channels: Sequence[Channel], seconds: float | None) -> None:
    """Wait until every channel is done, for at most `seconds` (None: without limit)."""
    until = None if seconds is None else time.monotonic() + seconds
    while waiting := {c._socket.fileno(): c for c in channels if not c.done}:
        poll = select.poll()
        for number, channel in waiting.items():
            poll.register(number, select.POLLIN | (select.POLLOUT if channel._unsent else 0))
        left = None if until is None else until - time.monotonic()
        ready = poll.poll(None if left is None else 1000.0 * max(0.0, left))
        if not ready or (left is not None and left < -DRAIN_SECONDS):
            return
        for number, event in ready:
            channel = waiting[number]
            if event & select.POLLOUT:
                channel._send()
            if event & ~select.POLLOUT and not channel.closed:
                channel._receive()
