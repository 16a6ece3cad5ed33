"""Shards as Ray actors."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import ActorUnschedulableError, RayActorError, RayTaskError

from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.ray.head import Head
from mos_agents.actors.ray.nodes import ACTOR, Nodes
from mos_agents.actors.ray.runtime import RayRuntime
from mos_agents.actors.shard import Shard
from mos_agents.actors.summaries import Progress
from mos_agents.market.types import InputError
from mos_agents.policies.faults import describe
from mos_agents.runs.files import RunError


class ActorDied(Exception):
    """A clearing house's process is gone; its journal is not."""


class ShardActor:
    """A clearing house in its own process, which starts the workers of its participants."""

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
    """Shards as Ray actors on all nodes of the cluster in turn.

    Parameters
    ----------
    spread : bool
        Whether their workers are spread over all nodes as well; if not, they are beside them.
    """

    def __init__(self, spread: bool = False) -> None:
        self._actor = ray.remote(**ACTOR)(ShardActor)
        self._nodes, self._spread, self._head = Nodes(), spread, Head()

    def begin(self, plan: ShardPlan) -> Any:
        """Start a clearing house on the next node. Raises HeadLost."""
        self._head.wait()
        return self._actor.options(**self._nodes.next()).remote(plan, self._spread)

    def ask(self, handle: Any, verb: str, *arguments: Any) -> Any:
        """Send a request; `wait` for its answer."""
        return getattr(handle, verb).remote(*arguments)

    def wait(self, pending: Sequence[Any], seconds: float) -> list[Any]:
        """Wait for at least one answer (or death), for at most `seconds`. Raises HeadLost."""
        self._head.check()
        ready, _ = ray.wait(list(pending), num_returns=1, timeout=seconds)
        return list(ready)

    def result(self, reference: Any) -> Any:
        """The answer. Raises ActorDied if the actor is gone, InputError for its own errors."""
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
        """End a clearing house now."""
        with contextlib.suppress(Exception):
            ray.kill(handle)
