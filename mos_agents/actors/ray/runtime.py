"""The same actors on a Ray cluster: workers and shards as Ray actors."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnschedulableError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mos_agents.actors import wire
from mos_agents.actors.channel import (
    FOLDER_PREFIX,
    SOCKET_NAME,
    Channel,
    Listener,
    remove_socket,
    wait,
)
from mos_agents.actors.env_server import EnvServer, EnvServerConfig
from mos_agents.actors.messages import MessageError
from mos_agents.actors.participant import Worker, worker_of
from mos_agents.actors.ray.answers import Reader, answer, answers, is_ready, keep_unasked_closed
from mos_agents.actors.ray.cluster import Head, hold
from mos_agents.actors.runtime import Answer, nothing
from mos_agents.actors.shard import Shard, ShardPlan
from mos_agents.actors.summaries import Progress
from mos_agents.market.faults import Fault
from mos_agents.market.types import Array, InputError, Step
from mos_agents.policies.faults import describe, one_line
from mos_agents.runs.files import RunError

ACTOR: dict[str, Any] = {
    "num_cpus": 0,  # they wait for each other most of the time
    "max_restarts": 0,  # coming back is the shard's business: Ray would forget what they remember
    "max_task_retries": 0,
    "enable_task_events": False,  # else the head node keeps a record of every call
}
"""How every actor of ours is started."""

SECRETS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""What is taken out of a worker's environment before any policy runs."""

CLOSING_SECONDS = 5.0
"""How long the end of a runtime waits for its workers to be gone."""


def fetched(reference: Any) -> Any:
    """What lies in the object store behind a reference."""
    return ray.get(reference)


class RayRuntime:
    """Hosts as Ray actors, asked all at once. Those on this node get their ticks over channels.

    They live on this node or, if `spread`, on all nodes in turn, this one first. channels: False
    sends everything by Ray.
    """

    def __init__(self, spread: bool = False, channels: bool = True) -> None:
        keep_unasked_closed()
        self._actor: Any = ray.remote(**ACTOR)(_WorkerActor)
        self._channels, self._node = channels, ray.get_runtime_context().get_node_id()
        self._nodes = _Nodes(self._node) if spread else None
        self.while_waiting = nothing
        self._workers: dict[Any, _Reach] = {}

    def start(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        place = _on(self._node) if self._nodes is None else self._nodes.next()
        handle = self._actor.options(**place).remote(list(parts))
        self._workers[handle] = _Reach(handle, self._node if self._channels else "")
        return handle

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        begin = time.monotonic()
        coming = [self._put(*one) for one in asks]
        self.while_waiting()
        # Channels first: `wait` sends what they did not take at once; Ray has threads for that.
        wait([one for one in coming if isinstance(one, Channel)], _left(deadline, begin))
        references = [
            (one, READERS.get(verb, wire.fact_in))
            for one, (_, verb, _) in zip(coming, asks, strict=True)
            if not isinstance(one, Channel | Answer)
        ]
        by_ray = iter(answers(references, _left(deadline, begin)) if references else ())
        said = [_heard(one) if isinstance(one, Channel) else one for one in coming]
        return [one if isinstance(one, Answer) else next(by_ray) for one in said]

    def send(self, handle: Any, verb: str, *arguments: Any) -> None:
        with contextlib.suppress(RayError):
            self._put(handle, verb, arguments)

    def kill(self, handle: Any) -> None:
        with contextlib.suppress(Exception):
            ray.kill(handle)
        reach = self._workers.pop(handle, None)
        if reach is not None:
            reach.end()

    def close(self) -> None:
        """End every worker, and wait until its process has ended."""
        handles = list(self._workers)
        for handle in handles:
            self.kill(handle)
        until = time.monotonic() + CLOSING_SECONDS
        for handle in handles:
            with contextlib.suppress(RayError):
                while time.monotonic() < until:
                    asked = [(handle.ready.remote(), wire.fact_in)]
                    if answers(asked, 1.0)[0].dead:
                        break
                    time.sleep(0.02)

    def _put(self, handle: Any, verb: str, arguments: tuple[Any, ...]) -> Any:
        """A question on its way: the channel over which its answer comes, or Ray's reference to it.

        One that was killed is dead from then on, although Ray takes a moment to end its process.
        """
        reach = self._workers.get(handle)
        if reach is None:
            return Answer(dead=True, error="was killed")
        if verb != "decide":
            reach.close_channel()
            packed = WRITERS[verb](*arguments) if verb in WRITERS else None
            return getattr(handle, verb).remote(
                *(arguments if packed is None else wire.pieces(packed))
            )
        block = wire.packed_calls(*arguments)
        channel = reach.channel()
        if channel is None:
            return handle.decide.remote(*wire.pieces(block))
        channel.request(block)
        return channel


def _on(node: str) -> dict[str, Any]:
    """An actor's place as one of Ray's options."""
    # Not soft: for an actor that asks for no cores, Ray takes a soft wish for none at all.
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


class _Nodes:
    """The nodes of the cluster in turn, beginning with `first` if it is there."""

    def __init__(self, first: str = "") -> None:
        self._first, self._turn = first, -1

    def next(self) -> dict[str, Any]:
        """An actor's place: on the next node that is there."""
        nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
        self._turn += 1
        begin = nodes.index(self._first) if self._first in nodes else 0
        return _on(nodes[(begin + self._turn) % len(nodes)])


class _Reach:
    """Sends a worker its ticks: over a channel if the worker listens on this machine, else by Ray.

    Everything else goes by Ray. Nothing overtakes: `serve` waits in Ray's queue behind all earlier
    requests, and ends when the channel is closed.
    """

    def __init__(self, handle: Any, node: str) -> None:
        self._handle, self._node = handle, node
        self._where = handle.where.remote()
        self._listener: Any = handle.listener.remote(node)
        self._channel: Channel | None = None
        self._far = False

    def channel(self) -> Channel | None:
        """The channel, if there is one. If not, ask the worker to listen, for a later tick."""
        if self._channel is None and not self._far:
            if self._listener is None:
                self._listener = self._handle.listener.remote(self._node)
            elif is_ready(self._listener):
                self._connect()
        return self._channel

    def _connect(self) -> None:
        found = answer(self._listener, _unpack_address)
        with contextlib.suppress(OSError):  # without such sockets; of the dead Ray will say so
            self._channel = None if found.value is None else Channel(*found.value)
        if self._channel is None:
            self._far = True
        else:
            self._handle.serve.remote()

    def close_channel(self) -> None:
        """Go back to Ray. The worker answers first what came over the channel, then what the
        socket had not taken, then what Ray gets next."""
        if self._channel is not None:
            for block in self._channel.close():
                self._handle.decide.remote(*wire.pieces(block))
            self._channel, self._listener = None, None

    def end(self) -> None:
        """Remove what a killed worker leaves. Ray asks its process to end, but a stopped process
        (SIGSTOP) does not react: kill it."""
        if self._channel is not None:
            self._channel.close()
        with contextlib.suppress(RayError, OSError):
            if self._listener is not None and is_ready(self._listener):
                if (found := answer(self._listener, _unpack_address).value) is not None:
                    remove_socket(found[0])
        with contextlib.suppress(RayError, OSError):
            if is_ready(self._where) and (place := answer(self._where, wire.fact_in)).ok:
                node, pid = _place(place.value)
                if node == ray.get_runtime_context().get_node_id() and _is_stopped(pid):
                    os.kill(pid, signal.SIGKILL)


def _place(value: Any) -> tuple[str, int]:
    """Node and process of a worker by its own account; no place at all where it says nonsense."""
    match value:
        case [str(node), int(pid)] if pid > 1 and type(pid) is int:
            return node, pid
    return "", 0


def _unpack_address(block: bytes) -> tuple[Any, float]:
    """Where a worker's listener is, and the secret. Only a path of our own kind is accepted."""
    found, seconds = wire.fact_in(block)
    match found:
        case None:
            return None, seconds
        case [str(path), str(secret)] if Path(path).name == SOCKET_NAME and len(secret) == 64:
            if Path(path).parent.name.startswith(FOLDER_PREFIX):
                with contextlib.suppress(ValueError):
                    return (path, bytes.fromhex(secret)), seconds
    raise MessageError("answered with no address of a listener")


READERS: dict[str, Reader] = {"decide": wire.replies_in, "snapshot": wire.snapshots_in}
"""How what a worker's verb gives is read; of all others it is a fact."""

WRITERS: dict[str, Callable[..., bytes]] = {
    "catch_up": wire.packed_calls,
    "restore": wire.packed_snapshots,
}
"""How what a worker's verb gets is written, where it is more than a word."""


def _left(deadline: float | None, begin: float) -> float | None:
    return None if deadline is None else max(0.0, deadline - (time.monotonic() - begin))


def _is_stopped(pid: int) -> bool:
    """Whether the process is a worker still, and does not run."""
    process = Path(f"/proc/{pid}")
    title, state = (process / "cmdline").read_bytes(), (process / "stat").read_text()
    return title.startswith(b"ray::_WorkerActor") and state.rpartition(")")[2].split()[0] in "Tt"


def _heard(channel: Channel) -> Answer:
    """What came over a channel: a block of replies, an error, a death, or nothing in time."""
    said = channel.response
    if said is None:
        return (
            Answer(dead=True, error="died") if channel.closed else Answer(late=True, error="late")
        )
    if said.failed:
        return Answer(error=one_line(said.block[:1000].decode(errors="replace")))
    try:
        replies, seconds = wire.replies_in(said.block)
    except MessageError as error:
        return Answer(error=str(error))
    return Answer(replies, seconds=seconds)


Verb = Callable[..., bytes]


def _plainly(verb: Verb) -> Verb:
    """A worker's verb, whose errors are texts: what is raised, Ray would send as a pickle."""

    @functools.wraps(verb)
    def answered(self: Any, *arguments: Any) -> bytes:
        try:
            return verb(self, *arguments)
        except BaseException as error:
            return wire.packed_failure(describe(error))

    return answered


class _WorkerActor:
    """A worker in its own process: every verb returns a block of plain bytes and raises nothing."""

    def __init__(self, parts: list[tuple[Any, ...]]) -> None:
        for name in SECRETS:  # Ray has read them; a policy and what it starts need not
            os.environ.pop(name, None)
        self._listener: Listener | None = None
        self._host: Worker
        self.begin(parts)

    @_plainly
    def begin(self, parts: list[tuple[Any, ...]]) -> bytes:
        self._host = worker_of([])
        self._host = worker_of(parts)
        return wire.packed_fact(None)

    @_plainly
    def ready(self) -> bytes:
        return wire.packed_fact(self._host.ready())

    @_plainly
    def decide(self, *pieces: bytes) -> bytes:
        begin = time.perf_counter()
        replies = self._host.decide(wire.calls_in(b"".join(pieces)))
        return wire.packed_replies(replies, time.perf_counter() - begin)

    @_plainly
    def catch_up(self, *pieces: bytes) -> bytes:
        self._host.catch_up(wire.calls_in(b"".join(pieces)))
        return wire.packed_fact(None)

    @_plainly
    def snapshot(self) -> bytes:
        return wire.packed_snapshots(self._host.snapshot())

    @_plainly
    def restore(self, *pieces: bytes) -> bytes:
        self._host.restore(wire.snapshots_in(b"".join(pieces))[0])
        return wire.packed_fact(None)

    @_plainly
    def where(self) -> bytes:
        return wire.packed_fact([ray.get_runtime_context().get_node_id(), os.getpid()])

    @_plainly
    def listener(self, caller: str) -> bytes:
        """The address of a new listener, for a caller on this node: its path and its secret."""
        if ray.get_runtime_context().get_node_id() != caller:
            return wire.packed_fact(None)
        if self._listener is not None:
            self._listener.close()
        self._listener = Listener()
        return wire.packed_fact([self._listener.path, self._listener.secret.hex()])

    @_plainly
    def serve(self) -> bytes:
        """Decide on the calls that come over the channel, until the caller closes it."""
        assert self._listener is not None
        self._listener.serve(self.decide)
        return wire.packed_fact(None)


class _ShardActor:
    """A clearing house in a process of its own, which owns the workers of its participants."""

    def __init__(self, plan: ShardPlan, spread: bool) -> None:
        self._plan, self._spread = plan, spread

    def start(self) -> int:
        # Not in the constructor: an error there would look like the actor's death.
        self._shard = Shard(self._plan, RayRuntime(self._spread))
        return self._shard.start()

    def recovered(self) -> Progress:
        return self._shard.recovered()

    def advance(self, ticks: int) -> Progress:
        return self._shard.advance(ticks)

    def checkpoint(self) -> int:
        return self._shard.checkpoint()

    def close(self) -> None:
        self._shard.close()


class RayShards:
    """Shards as Ray actors on all nodes of the cluster in turn; their participants beside them or,
    if `spread`, on all nodes as well."""

    def __init__(self, spread: bool = False) -> None:
        self._actor = ray.remote(**ACTOR)(_ShardActor)
        self._nodes, self._spread, self._head = _Nodes(), spread, Head()

    def begin(self, plan: ShardPlan) -> Any:
        """A shard's clearing house, on the next node. Raises HeadLost."""
        self._head.wait()
        return self._actor.options(**self._nodes.next()).remote(plan, self._spread)

    def ask(self, handle: Any, verb: str, *arguments: Any) -> Any:
        """Put a question; `wait` for the answer."""
        return getattr(handle, verb).remote(*arguments)

    def wait(self, pending: Sequence[Any], seconds: float) -> list[Any]:
        """Those that are answered (or whose actor died) within so many seconds, at least one.

        Raises HeadLost."""
        self._head.look()
        ready, _ = ray.wait(list(pending), num_returns=1, timeout=seconds)
        return list(ready)

    def result(self, reference: Any) -> Any:
        """The answer. Raises ActorDied where the actor is gone, InputError for its own errors."""
        try:
            return ray.get(reference)
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, InputError):
                kind = RunError if isinstance(cause, RunError) else InputError
                raise kind(str(cause)) from None
            raise
        except (RayActorError, ActorUnschedulableError) as error:
            raise ActorDied(describe(error)) from None

    def kill(self, handle: Any) -> None:
        with contextlib.suppress(Exception):
            ray.kill(handle)


# --- for environments -----------------------------------------------------------------------------


class _EnvServerActor:
    """The clearing house of an environment in a process of its own."""

    def __init__(self, config: EnvServerConfig) -> None:
        self._server = EnvServer(config, RayRuntime())

    def begin(self, seed: int) -> tuple[Any, Array]:
        return self._server.begin(seed)

    def advance(self, actions: Array) -> Step | Fault:
        return self._server.advance(actions)

    def faults(self) -> list[Fault]:
        return self._server.faults()

    def close(self) -> None:
        self._server.close()

    def where(self) -> tuple[str, int]:
        return ray.get_runtime_context().get_node_id(), os.getpid()


class RayEnvServer:
    """An `EnvServer` in another process, on the cluster of this process or on one of its own.

    A cluster of its own is shared by all the environments of a process and ends with the last.
    """

    def __init__(self, config: EnvServerConfig) -> None:
        self._config = config
        self._shards = RayShards()
        self._let_go = weakref.finalize(self, hold())
        self._actor = self._born()

    def begin(self, seed: int) -> tuple[Any, Array]:
        try:
            return self._asked("begin", seed)
        except ActorDied:
            self._actor = self._born()
            return self._asked("begin", seed)

    def advance(self, actions: Array) -> Step | Fault:
        return self._told("advance", actions)

    def faults(self) -> list[Fault]:
        return self._told("faults")

    def close(self) -> None:
        with contextlib.suppress(Exception):
            ray.get(self._actor.close.remote(), timeout=5.0)
        self._shards.kill(self._actor)
        self._let_go()

    def __reduce__(self) -> Any:
        raise InputError(
            "an environment over Ray holds processes and cannot be copied; make another one and "
            "reset it with the same seed"
        )

    def _born(self) -> Any:
        here = _on(ray.get_runtime_context().get_node_id())
        return ray.remote(**ACTOR)(_EnvServerActor).options(**here).remote(self._config)

    def _told(self, verb: str, *arguments: Any) -> Any:
        try:
            return self._asked(verb, *arguments)
        except ActorDied:
            raise InputError("the clearing house died; reset() begins another episode") from None

    def _asked(self, verb: str, *arguments: Any) -> Any:
        try:
            return self._shards.result(self._shards.ask(self._actor, verb, *arguments))
        except RayTaskError as error:
            raise InputError(
                f"the clearing house failed: {describe(error.cause or error)}"
            ) from None


class ActorDied(Exception):
    """A clearing house is gone; its journal is not."""
