"""The same actors on a Ray cluster: hosts and shards as Ray actors. The only file that imports Ray.

Never a bare `ray.init()`: either a cluster of this run's own, started with a token that only its
processes know, without usage statistics or dashboard, or an existing one by its address.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray._private.utils import read_ray_address
from ray.exceptions import (
    ActorUnschedulableError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
)
from ray.exceptions import AuthenticationError as RayAuthenticationError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mos_agents.actors import wire
from mos_agents.actors.lent import Lent, Loan
from mos_agents.actors.messages import MessageError, told
from mos_agents.actors.participant import hosted
from mos_agents.actors.runtime import Answer, nothing
from mos_agents.actors.shard import Shard, ShardPlan
from mos_agents.actors.summaries import Progress
from mos_agents.market.types import Array, InputError, Step
from mos_agents.policies.faults import Fault
from mos_agents.runs.files import RunError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}

ACTOR: dict[str, Any] = {
    "num_cpus": 0,  # they wait for each other most of the time
    "max_restarts": 0,  # coming back is the shard's business: Ray would forget what they remember
    "max_task_retries": 0,
    "enable_task_events": False,  # else the head node keeps a record of every call
}
"""How every actor of ours is started."""

CLOSING_SECONDS = 5.0
"""How long the end of a runtime waits for its hosts to be gone."""

CONNECT_SECONDS = 5
"""How long a cluster may take to answer at all."""


@contextlib.contextmanager
def cluster(
    address: str | None = None,
    *,
    dashboard: bool = False,
    insecure: bool = False,
    cpus: int | None = None,
) -> Iterator[str]:
    """A Ray cluster to work on, by address; one of this run's own where none is given.

    cpus: of a cluster of its own; None has room for the actors of a market, whatever the cores.
    An existing cluster must demand a token (RAY_AUTH_MODE=token), unless `insecure`.
    """
    former = {name: os.environ.get(name) for name in (*QUIET, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    os.environ |= QUIET
    try:
        if address is None:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            _look_at_environment()
        else:
            _checked(address, insecure)
        options: dict[str, Any] = {"include_dashboard": dashboard} if address is None else {}
        if address is None:
            # Actors of a market wait for each other most of the time: cores do not bound them.
            options["num_cpus"] = cpus or max(4, os.cpu_count() or 1)
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                **options,
            )
        except (ConnectionError, RayError, RuntimeError, ValueError) as error:
            raise InputError(
                f"address={address!r}: no Ray cluster answers: {told(error)}"
            ) from None
        yield address or "local"
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _look_at_environment()


def joined() -> bool:
    """Whether this process is on a cluster already."""
    return bool(ray.is_initialized())


def fetched(reference: Any) -> Any:
    """What lies in the object store behind a reference."""
    return ray.get(reference)


def _checked(address: str, insecure: bool) -> None:
    """Raise InputError where the cluster cannot be joined, before Ray tries so for a minute."""
    where = f"address={address!r}"
    place = address
    if address == "auto":
        place = os.environ.get("RAY_ADDRESS") or read_ray_address() or ""
        if not place:
            raise InputError(f"{where}: no Ray cluster runs on this machine; give HOST:PORT")
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise InputError(f"{where} must be HOST:PORT of the head node, or auto")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"{where}: no Ray cluster answers there: {told(error)}") from None
    mode = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    try:
        opened = _lets_in(place)
    finally:
        if mode is None:
            del os.environ["RAY_AUTH_MODE"]
        else:
            os.environ["RAY_AUTH_MODE"] = mode
        _look_at_environment()
    if opened:
        if not insecure:
            raise InputError(
                f"{where}: the cluster lets anybody in without a token; start it with "
                "RAY_AUTH_MODE=token, or say --insecure"
            )
    elif mode != "token":
        raise InputError(
            f"{where}: the cluster asks for a token and this session shows none; set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) as on the cluster"
        )
    elif not _lets_in(place):
        raise InputError(
            f"{where}: the cluster does not take this session's token; set RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH) as on the cluster"
        )


def _lets_in(place: str) -> bool:
    """Whether the cluster answers to the token (or to none) that the environment now holds."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    _look_at_environment()
    with _silent():
        try:
            GcsClient(place).internal_kv_exists(b"mos", None, timeout=CONNECT_SECONDS)
        except RayAuthenticationError:
            return False
        except (RayError, RuntimeError, ValueError) as error:
            raise InputError(f"address={place!r}: no Ray cluster answers: {told(error)}") from None
    return True


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Ray's inner warnings go past Python's logging, straight to the terminal; not these."""
    former, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(former, 2)
        os.close(former)
        os.close(nowhere)


def _look_at_environment() -> None:
    # Ray reads mode and token once, when it is imported; a later change must be made known to it.
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


class RayRuntime:
    """Hosts as Ray actors, asked all at once."""

    def __init__(self) -> None:
        self._actor: Any = ray.remote(**ACTOR)(_HostActor)
        self.meanwhile = nothing
        self._where: dict[Any, Any] = {}  # by handle, the coming answer to where it lives

    def host(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        handle = self._actor.remote(list(parts))
        self._where[handle] = handle.where.remote()
        return handle

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        references = [
            handle.decide.remote(*wire.pieces(wire.packed_calls(*args)))
            if verb == "decide"
            else getattr(handle, verb).remote(*args)
            for handle, verb, args in asks
        ]
        self.meanwhile()
        return answers(references, deadline)

    def tell(self, handle: Any, verb: str, *arguments: Any) -> None:
        with contextlib.suppress(RayError):
            getattr(handle, verb).remote(*arguments)

    def kill(self, handle: Any) -> None:
        with contextlib.suppress(Exception):
            ray.kill(handle)
        where = self._where.pop(handle, None)
        with contextlib.suppress(RayError, OSError):
            if where is not None and ray.wait([where], timeout=0)[0]:
                (node, pid), _ = ray.get(where)
                # Ray asks the process to end, which a stopped one (SIGSTOP) does not hear.
                if node == ray.get_runtime_context().get_node_id() and _is_stopped(pid):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End every host. Ray only asks them to end: nobody is left here who would still answer."""
        handles = list(self._where)
        for handle in handles:
            self.kill(handle)
        until = time.monotonic() + CLOSING_SECONDS
        for handle in handles:
            with contextlib.suppress(RayError):
                while time.monotonic() < until:
                    ray.get(handle.awake.remote(), timeout=1.0)
                    time.sleep(0.02)


def _is_stopped(pid: int) -> bool:
    """Whether the process is a host still, and does not run."""
    process = Path(f"/proc/{pid}")
    title, state = (process / "cmdline").read_bytes(), (process / "stat").read_text()
    return title.startswith(b"ray::_HostActor") and state.rpartition(")")[2].split()[0] in "Tt"


def answers(references: Sequence[Any], deadline: float | None) -> list[Answer]:
    """What comes back of each reference: a value, an error, a death, or nothing in time."""
    begin = time.monotonic()
    try:  # the way it goes nearly always: one call for all
        return [_timed(found) for found in ray.get(list(references), timeout=deadline)]
    except (GetTimeoutError, RayError):
        pass
    left = None if deadline is None else max(0.0, deadline - (time.monotonic() - begin))
    ready, _ = ray.wait(list(references), num_returns=len(references), timeout=left)
    back = set(ready)
    return [_answer(r) if r in back else Answer(late=True, error="late") for r in references]


def _answer(reference: Any) -> Answer:
    try:
        return _timed(ray.get(reference, timeout=5.0))
    except RayTaskError as error:
        return Answer(error=told(error.cause or error))
    except RayActorError:
        return Answer(dead=True, error="died")
    except (GetTimeoutError, RayError) as error:
        return Answer(dead=True, error=told(error))


def _timed(found: Any) -> Answer:
    """What a host's verb gave, and the seconds that it says it took; of replies, a block."""
    if type(found) is bytes:
        try:
            replies, seconds = wire.replies_in(found)
        except MessageError as error:
            return Answer(error=told(error))
        return Answer(replies, seconds=seconds)
    if type(found) is tuple and len(found) == 2 and type(found[1]) is float:
        return Answer(found[0], seconds=found[1])
    return Answer(error=f"answered with a {type(found).__name__}")


class _HostActor:
    """A host in a process of its own; each verb says how long it took."""

    def __init__(self, parts: list[tuple[Any, ...]]) -> None:
        self._host = hosted(parts)

    def begin(self, parts: list[tuple[Any, ...]]) -> tuple[Any, float]:
        self._host.begin(parts)
        return None, 0.0

    def awake(self) -> tuple[Any, float]:
        return self._host.awake(), 0.0

    def decide(self, *pieces: bytes) -> bytes:
        begin = time.perf_counter()
        replies = self._host.decide(wire.calls_in(b"".join(pieces)))
        return wire.packed_replies(replies, time.perf_counter() - begin)

    def catch_up(self, calls: Any) -> tuple[Any, float]:
        self._host.catch_up(calls)
        return None, 0.0

    def snapshot(self) -> tuple[Any, float]:
        return self._host.snapshot(), 0.0

    def restore(self, snapshots: Any) -> tuple[Any, float]:
        self._host.restore(snapshots)
        return None, 0.0

    def where(self) -> tuple[Any, float]:
        return (ray.get_runtime_context().get_node_id(), os.getpid()), 0.0


class _ShardActor:
    """A clearing house in a process of its own, which owns the hosts of its participants."""

    def __init__(self, plan: ShardPlan) -> None:
        self._plan = plan

    def start(self) -> int:
        # Not in the constructor: an error there would look like the actor's death.
        self._shard = Shard(self._plan, RayRuntime())
        return self._shard.start()

    def caught_up(self) -> Progress:
        return self._shard.caught_up()

    def advance(self, ticks: int) -> Progress:
        return self._shard.advance(ticks)

    def checkpoint(self) -> int:
        return self._shard.checkpoint()

    def close(self) -> None:
        self._shard.close()

    def where(self) -> tuple[str, int]:
        return ray.get_runtime_context().get_node_id(), os.getpid()


class RayShards:
    """Shards as Ray actors, spread over the nodes of the cluster."""

    def __init__(self) -> None:
        self._actor = ray.remote(**ACTOR)(_ShardActor)
        self._turn = 0

    def begin(self, plan: ShardPlan) -> Any:
        """A shard's clearing house, on the next node in turn."""
        nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
        options: dict[str, Any] = {}
        if len(nodes) > 1:
            node = nodes[self._turn % len(nodes)]
            # Not soft: for an actor that asks for no cores, Ray takes a soft wish for none at all.
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
            self._turn += 1
        return self._actor.options(**options).remote(plan)

    def ask(self, handle: Any, verb: str, *arguments: Any) -> Any:
        """Put a question; `wait` for the answer."""
        return getattr(handle, verb).remote(*arguments)

    def wait(self, pending: Sequence[Any], seconds: float) -> list[Any]:
        """Those that are answered (or whose actor died) within so many seconds, at least one."""
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
            raise ActorDied(told(error)) from None

    def kill(self, handle: Any) -> None:
        with contextlib.suppress(Exception):
            ray.kill(handle)


# --- for environments -----------------------------------------------------------------------------


class _LentActor:
    """The clearing house of an environment in a process of its own."""

    def __init__(self, loan: Loan) -> None:
        self._lent = Lent(loan, RayRuntime())

    def begin(self, seed: int) -> tuple[Any, Array]:
        return self._lent.begin(seed)

    def advance(self, actions: Array) -> Step:
        return self._lent.advance(actions)

    def faults(self) -> list[Fault]:
        return self._lent.faults()

    def close(self) -> None:
        self._lent.close()

    def where(self) -> tuple[str, int]:
        return ray.get_runtime_context().get_node_id(), os.getpid()


class RayLent:
    """A `Lent` far away, on the cluster that this process is joined to, or else on one of its own.

    A cluster of its own is shared by all the environments of a process and ends with the last.
    """

    def __init__(self, loan: Loan) -> None:
        self._loan = loan
        self._shards = RayShards()
        self._let_go = weakref.finalize(self, _hold_cluster())
        self._actor = self._born()

    def begin(self, seed: int) -> tuple[Any, Array]:
        try:
            return self._asked("begin", seed)
        except ActorDied:
            self._actor = self._born()
            return self._asked("begin", seed)

    def advance(self, actions: Array) -> Step:
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
        actor = ray.remote(**ACTOR)(_LentActor)
        return actor.remote(self._loan)

    def _told(self, verb: str, *arguments: Any) -> Any:
        try:
            return self._asked(verb, *arguments)
        except ActorDied:
            raise InputError("the clearing house died; reset() begins another episode") from None

    def _asked(self, verb: str, *arguments: Any) -> Any:
        try:
            return self._shards.result(self._shards.ask(self._actor, verb, *arguments))
        except RayTaskError as error:
            raise InputError(f"the clearing house failed: {told(error.cause or error)}") from None


_holders = 0
_own_cluster: contextlib.ExitStack | None = None


def _hold_cluster() -> Any:
    """See to it that there is a cluster; calls back to let it go."""
    global _holders, _own_cluster
    if _own_cluster is None and ray.is_initialized():
        return lambda: None
    if _own_cluster is None:
        stack = contextlib.ExitStack()
        stack.enter_context(cluster())
        _own_cluster = stack
    _holders += 1
    return _release_cluster


def _release_cluster() -> None:
    global _holders, _own_cluster
    _holders -= 1
    if _holders == 0 and _own_cluster is not None:
        own, _own_cluster = _own_cluster, None
        own.close()


class ActorDied(Exception):
    """A clearing house is gone; its journal is not."""
