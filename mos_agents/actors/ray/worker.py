"""A worker as a Ray actor, and the link over which its clearing house asks it."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from mos_agents.actors import wire
from mos_agents.actors.channel import (
    FOLDER_PREFIX,
    SOCKET_NAME,
    Channel,
    Listener,
    remove_socket,
)
from mos_agents.actors.messages import MessageError
from mos_agents.actors.participant import Worker, worker_of
from mos_agents.actors.ray.answers import Reader, answer, is_ready
from mos_agents.actors.ray.nodes import this_node
from mos_agents.policies.faults import describe

SECRETS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Removed from a worker's environment before any policy runs."""

Verb = Callable[..., bytes]


def errors_as_text(verb: Verb) -> Verb:
    """A worker's verb that returns its errors as text: Ray would send an exception as a pickle."""

    @functools.wraps(verb)
    def answered(self: Any, *arguments: Any) -> bytes:
        try:
            return verb(self, *arguments)
        except BaseException as error:
            return wire.pack_failure(describe(error))

    return answered


class WorkerActor:
    """A worker in its own process: every verb returns a block of plain bytes and raises nothing."""

    def __init__(self, parts: list[tuple[Any, ...]]) -> None:
        for name in SECRETS:  # Ray has read them; a policy and its programs do not need them
            os.environ.pop(name, None)
        self._listener: Listener | None = None
        self._worker: Worker
        self.begin(parts)

    @errors_as_text
    def begin(self, parts: list[tuple[Any, ...]]) -> bytes:
        self._worker = worker_of([])
        self._worker = worker_of(parts)
        return wire.pack_fact(None)

    @errors_as_text
    def ready(self) -> bytes:
        return wire.pack_fact(self._worker.ready())

    @errors_as_text
    def decide(self, *pieces: bytes) -> bytes:
        begin = time.perf_counter()
        replies = self._worker.decide(wire.unpack_calls(b"".join(pieces)))
        return wire.pack_replies(replies, time.perf_counter() - begin)

    @errors_as_text
    def catch_up(self, *pieces: bytes) -> bytes:
        self._worker.catch_up(wire.unpack_calls(b"".join(pieces)))
        return wire.pack_fact(None)

    @errors_as_text
    def snapshot(self) -> bytes:
        return wire.pack_snapshots(self._worker.snapshot())

    @errors_as_text
    def restore(self, *pieces: bytes) -> bytes:
        self._worker.restore(wire.unpack_snapshots(b"".join(pieces))[0])
        return wire.pack_fact(None)

    @errors_as_text
    def location(self) -> bytes:
        """The node and the process of this worker."""
        return wire.pack_fact([this_node(), os.getpid()])

    @errors_as_text
    def listen(self, caller: str) -> bytes:
        """Open a listener for a caller on this node; its path and its secret, or None."""
        if this_node() != caller:
            return wire.pack_fact(None)
        if self._listener is not None:
            self._listener.close()
        self._listener = Listener()
        return wire.pack_fact([self._listener.path, self._listener.secret.hex()])

    @errors_as_text
    def serve(self) -> bytes:
        """Decide on the calls that come over the channel, until the caller closes it."""
        assert self._listener is not None
        self._listener.serve(self.decide)
        return wire.pack_fact(None)


READERS: dict[str, Reader] = {"decide": wire.unpack_replies, "snapshot": wire.unpack_snapshots}
"""How the answers to a verb are read. Those to all other verbs are facts."""

WRITERS: dict[str, Callable[..., bytes]] = {
    "catch_up": wire.pack_calls,
    "restore": wire.pack_snapshots,
}
"""How the arguments of a verb are packed. Those of all other verbs are sent as they are."""


class WorkerLink:
    """Sends requests to one worker: calls over a channel if it is on this machine, else by Ray.

    All other requests go by Ray. Requests are answered in their order: `serve` waits in Ray's queue
    behind all earlier requests, and ends when the channel is closed.

    Parameters
    ----------
    handle : Any
        Ray's handle of the worker.
    node : str
        The node of this process; "" for no channels.
    """

    def __init__(self, handle: Any, node: str) -> None:
        self._handle, self._node = handle, node
        self._location = handle.location.remote()
        self._address: Any = handle.listen.remote(node)
        self._channel: Channel | None = None
        self._far = False

    def request(self, verb: str, arguments: tuple[Any, ...]) -> Any:
        """Send a request; returns the channel over which the answer comes, or Ray's reference."""
        if verb != "decide":
            self._close_channel()
            packed = WRITERS[verb](*arguments) if verb in WRITERS else None
            return getattr(self._handle, verb).remote(
                *(arguments if packed is None else wire.pieces(packed))
            )
        block = wire.pack_calls(*arguments)
        channel = self.channel()
        if channel is None:
            return self._handle.decide.remote(*wire.pieces(block))
        channel.request(block)
        return channel

    def channel(self) -> Channel | None:
        """The channel, if there is one. If not, ask the worker to listen, for a later tick."""
        if self._channel is None and not self._far:
            if self._address is None:
                self._address = self._handle.listen.remote(self._node)
            elif is_ready(self._address):
                self._connect()
        return self._channel

    def _connect(self) -> None:
        found = answer(self._address, unpack_address)
        with contextlib.suppress(OSError):  # no such sockets, or a dead worker: Ray reports it
            self._channel = None if found.value is None else Channel(*found.value)
        if self._channel is None:
            self._far = True
        else:
            self._handle.serve.remote()

    def _close_channel(self) -> None:
        """Go back to Ray. The worker answers first what came over the channel, then what the
        socket had not taken, then what Ray gets next."""
        if self._channel is not None:
            for block in self._channel.close():
                self._handle.decide.remote(*wire.pieces(block))
            self._channel, self._address = None, None

    def end(self) -> None:
        """Remove what a killed worker leaves. Ray asks its process to end, but a stopped process
        (SIGSTOP) does not react: kill it."""
        if self._channel is not None:
            self._channel.close()
        with contextlib.suppress(RayError, OSError):
            if self._address is not None and is_ready(self._address):
                if (found := answer(self._address, unpack_address).value) is not None:
                    remove_socket(found[0])
        with contextlib.suppress(RayError, OSError):
            if is_ready(self._location):
                found = answer(self._location, wire.unpack_fact)
                node, pid = _node_and_pid(found.value) if found.ok else ("", 0)
                if node == this_node() and _is_stopped(pid):
                    os.kill(pid, signal.SIGKILL)


def unpack_address(block: bytes) -> tuple[Any, float]:
    """The path and the secret of a worker's listener. Only a path of our own kind is accepted."""
    found, seconds = wire.unpack_fact(block)
    match found:
        case None:
            return None, seconds
        case [str(path), str(secret)] if Path(path).name == SOCKET_NAME and len(secret) == 64:
            if Path(path).parent.name.startswith(FOLDER_PREFIX):
                with contextlib.suppress(ValueError):
                    return (path, bytes.fromhex(secret)), seconds
    raise MessageError("answered with no address of a listener")


def _node_and_pid(value: Any) -> tuple[str, int]:
    """The node and the process that a worker names; ("", 0) if it names none."""
    match value:
        case [str(node), int(pid)] if pid > 1 and type(pid) is int:
            return node, pid
    return "", 0


def _is_stopped(pid: int) -> bool:
    """Whether the process is a worker and is stopped."""
    process = Path(f"/proc/{pid}")
    title, state = (process / "cmdline").read_bytes(), (process / "stat").read_text()
    return title.startswith(b"ray::WorkerActor") and state.rpartition(")")[2].split()[0] in "Tt"
