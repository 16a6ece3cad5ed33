"""The clearing house of an environment as a Ray actor."""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Any

import ray
from ray.exceptions import RayTaskError

from mos_agents.actors.env_server import EnvServer, EnvServerConfig
from mos_agents.actors.ray.cluster import hold
from mos_agents.actors.ray.nodes import ACTOR, on_node, this_node
from mos_agents.actors.ray.runtime import RayRuntime
from mos_agents.actors.ray.shards import ActorDied, RayShards
from mos_agents.market.faults import Fault
from mos_agents.market.types import Array, InputError, Step
from mos_agents.policies.faults import describe


class EnvServerActor:
    """An `EnvServer` in its own process."""

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

    def location(self) -> tuple[str, int]:
        return this_node(), os.getpid()


class RayEnvServer:
    """An `EnvServer` in another process, on the cluster of this process or on one of its own.

    All environments of a process share its own cluster, which ends with the last of them.
    """

    def __init__(self, config: EnvServerConfig) -> None:
        self._config = config
        self._shards = RayShards()
        self._release = weakref.finalize(self, hold())
        self._actor = self._started()

    def begin(self, seed: int) -> tuple[Any, Array]:
        """Begin an episode; see `EnvServer.begin`. A dead clearing house is replaced."""
        try:
            return self._asked("begin", seed)
        except ActorDied:
            self._actor = self._started()
            return self._asked("begin", seed)

    def advance(self, actions: Array) -> Step | Fault:
        """Clear a tick; see `EnvServer.advance`."""
        return self._asked_alive("advance", actions)

    def faults(self) -> list[Fault]:
        """The faults of the hosted participants in this episode."""
        return self._asked_alive("faults")

    def close(self) -> None:
        """End the actors, and the cluster with the last environment on it."""
        with contextlib.suppress(Exception):
            ray.get(self._actor.close.remote(), timeout=5.0)
        self._shards.kill(self._actor)
        self._release()

    def __reduce__(self) -> Any:
        raise InputError(
            "an environment over Ray holds processes and cannot be copied; make another one and "
            "reset it with the same seed"
        )

    def _started(self) -> Any:
        options = on_node(this_node())
        return ray.remote(**ACTOR)(EnvServerActor).options(**options).remote(self._config)

    def _asked_alive(self, verb: str, *arguments: Any) -> Any:
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
