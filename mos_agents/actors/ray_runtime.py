"""The same actors on a Ray cluster: hosts and shards as Ray actors. The only file that imports Ray.

Never a bare `ray.init()`: either a cluster of this run's own, started with a token that only its
processes know, without usage statistics or dashboard, or an existing one by its address.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mos_agents.actors.messages import told
from mos_agents.actors.participant import hosted
from mos_agents.actors.runtime import Answer
from mos_agents.actors.shard import Progress, Shard, ShardPlan
from mos_agents.market.types import InputError
from mos_agents.runs.files import RunError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


@contextlib.contextmanager
def cluster(
    address: str | None = None, *, dashboard: bool = False, insecure: bool = False
) -> Iterator[str]:
    """A Ray cluster to work on, by address; one of this run's own where none is given.

    An existing cluster must demand a token (RAY_AUTH_MODE=token), unless `insecure`.
    """
    former = {name: os.environ.get(name) for name in (*QUIET, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    os.environ |= QUIET
    try:
        if address is None:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            _look_at_environment()
        elif os.environ.get("RAY_AUTH_MODE") != "token" and not insecure:
            raise InputError(
                f"address={address!r}: this session has no token for the cluster; set "
                "RAY_AUTH_MODE=token and the cluster's RAY_AUTH_TOKEN, or say --insecure"
            )
        options: dict[str, Any] = {"include_dashboard": dashboard} if address is None else {}
        if address is None:
            # Actors of a market wait for each other most of the time: cores do not bound them.
            options["num_cpus"] = max(4, os.cpu_count() or 1)
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


def _look_at_environment() -> None:
    # Ray reads mode and token once, when it is imported; a later change must be made known to it.
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


class RayRuntime:
    """Hosts as Ray actors, asked all at once."""

    def __init__(self) -> None:
        self._actor = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(_HostActor)
        self._handles: list[Any] = []

    def host(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        handle = self._actor.remote(list(parts))
        self._handles.append(handle)
        return handle

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        references = [getattr(handle, verb).remote(*args) for handle, verb, args in asks]
        return answers(references, deadline)

    def tell(self, handle: Any, verb: str, *arguments: Any) -> None:
        with contextlib.suppress(RayError):
            getattr(handle, verb).remote(*arguments)

    def kill(self, handle: Any) -> None:
        with contextlib.suppress(Exception):
            ray.kill(handle)
        if handle in self._handles:
            self._handles.remove(handle)

    def close(self) -> None:
        for handle in list(self._handles):
            self.kill(handle)


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
    """What a host's verb gave, and the seconds that it says it took."""
    if type(found) is tuple and len(found) == 2 and type(found[1]) is float:
        return Answer(found[0], seconds=found[1])
    return Answer(error=f"answered with a {type(found).__name__}")


class _HostActor:
    """A host in a process of its own; each verb says how long it took."""

    def __init__(self, parts: list[tuple[Any, ...]]) -> None:
        self._host = hosted(parts)

    def awake(self) -> tuple[Any, float]:
        return self._host.awake(), 0.0

    def decide(self, calls: Any) -> tuple[Any, float]:
        begin = time.perf_counter()
        return self._host.decide(calls), time.perf_counter() - begin

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
        self._actor = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(_ShardActor)
        self._turn = 0

    def begin(self, plan: ShardPlan) -> Any:
        """A shard's clearing house, on the next node in turn."""
        nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
        options: dict[str, Any] = {}
        if len(nodes) > 1:
            node = nodes[self._turn % len(nodes)]
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=True)
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
        except RayActorError as error:
            raise ActorDied(told(error)) from None

    def kill(self, handle: Any) -> None:
        with contextlib.suppress(Exception):
            ray.kill(handle)


class ActorDied(Exception):
    """A clearing house is gone; its journal is not."""
