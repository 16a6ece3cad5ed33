"""An episode whose clearing house and hosted participants are actors, here or on a Ray cluster.

It has the methods of `local.LocalEpisodes` and gives the same bits. External participants act
through the environment. Hosted participants run in processes of their own and receive only their
own observations.
"""

from __future__ import annotations

from typing import Any, Protocol

from envs.assignment import Assignment
from envs.local import LocalEpisodes
from mos_agents.actors.env_server import EnvServer, EnvServerConfig
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.market.faults import Fault
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray, State, Step
from mos_agents.policies.guard import PolicyFault

RUNTIMES = ("local", "actors", "ray")


class EpisodeServer(Protocol):
    """Serves an environment's episodes: an `EnvServer` in this process, or a `RayEnvServer`."""

    def begin(self, seed: int) -> tuple[Any, Array]: ...
    def advance(self, actions: Array) -> Step | Fault: ...
    def faults(self) -> list[Fault]: ...
    def close(self) -> None: ...


class ActorEpisode:
    """An episode over actors. Its processes start with the first episode and end with `close`."""

    def __init__(
        self,
        assignment: Assignment,
        numbers: IntArray,
        runtime: str,
        deadline: float | None,
        on_fault: str = "raise",
    ) -> None:
        Streams.of(0, numbers)  # raises if these are no market numbers
        self.assignment, self.market = assignment, assignment.market
        self.numbers, self.batch = numbers, len(numbers)
        self._runtime = runtime
        self._config = EnvServerConfig(
            assignment.market,
            dict(assignment.policies),
            tuple(int(n) for n in numbers),
            deadline,
            on_fault=on_fault,
        )
        self._server: EpisodeServer | None = None

    def start(self, seed: int) -> Array:
        """Begin; return all observations before the first tick, [B, sum of D_n]."""
        if self._server is None:
            self._server = self._opened()
        self.state: State
        self.state, self.observation = self._server.begin(seed)
        return self.observation

    def advance(self, actions: Array) -> Step:
        """Play one tick. `actions` [B, L, A] holds the external actions; hosted ones are asked."""
        if self._server is None:
            raise InputError("the environment is closed; call reset() first")
        step = self._server.advance(actions)
        if isinstance(step, Fault):  # the policy lives elsewhere: its error crosses as text
            raise PolicyFault(step.participant, step.first_tick, step.reason)
        self.state, self.observation = step.state, step.observation
        return step

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults of hosted policies in this episode."""
        return tuple(self._server.faults()) if self._server else ()

    def close(self) -> None:
        """End the actors, and the cluster if it was started for them."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _opened(self) -> EpisodeServer:
        if self._runtime == "actors":
            return EnvServer(self._config, LocalRuntime())
        from mos_agents.actors.ray.env_server import RayEnvServer

        return RayEnvServer(self._config)


def episode(
    assignment: Assignment,
    numbers: IntArray,
    runtime: str = "local",
    deadline: float | None = None,
    keep_memories: bool = False,
    on_fault: str = "raise",
) -> LocalEpisodes | ActorEpisode:
    """The markets `numbers` over the runtime asked for."""
    if runtime not in RUNTIMES:
        raise InputError(f"runtime={runtime!r} must be one of {', '.join(RUNTIMES)}")
    if runtime != "ray" and deadline is not None:
        raise InputError(
            f"deadline={deadline!r}: only actors in processes of their own can be late; add "
            "runtime='ray'"
        )
    if runtime == "local":
        return LocalEpisodes(assignment, numbers, keep_memories, on_fault)
    if keep_memories:
        raise InputError(
            f"keep_memories=True: runtime={runtime!r} starts its actors again with every episode; "
            "use runtime='local'"
        )
    return ActorEpisode(assignment, numbers, runtime, deadline, on_fault)
