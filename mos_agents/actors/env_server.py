"""Serves a market to an environment: external participants send quotes, the others are actors.

The caller gives the quotes of the external participants and gets the step. The hosted participants
are asked and supervised as in any other shard. There is no journal: a lost episode begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.actors.messages import Reply
from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.runtime import Answer, Runtime
from mos_agents.actors.shard import Shard
from mos_agents.market.faults import NOT_FINITE, Fault, Faults, count
from mos_agents.market.market import Market
from mos_agents.market.types import Array, InputError, Step
from mos_agents.market.withdrawal import without_quotes
from mos_agents.policies.base import Policy
from mos_agents.policies.guard import check_on_fault

BEGIN_SECONDS = 10.0
"""A worker that does not begin the next episode within so many seconds is replaced."""


@dataclass(frozen=True, eq=False)
class EnvServerConfig:
    """What a server plays: a market, the policies of its hosted participants, and market numbers.

    Parameters
    ----------
    market : Market
        The market, as a value.
    policies : Mapping of str to Policy
        The policies of the hosted participants. The others are external.
    markets : tuple of int
        The numbers of the B markets.
    deadline : float or None
        Seconds that a tick waits for the hosted participants; None: without limit.
    workers : int
        Workers that hold them; 0: one each.
    on_fault : str
        What a fault of a policy does, as in `rollout.play`. A participant that is late or dead
        loses the decision in any case.

    Raises
    ------
    InputError
        If a setting is out of range.
    """

    market: Market
    policies: Mapping[str, Policy]
    markets: tuple[int, ...]
    deadline: float | None = None
    workers: int = 0
    on_fault: str = "hold"

    def __post_init__(self) -> None:
        check_on_fault(self.on_fault)
        self.plan("", 0)  # refuses what is out of range

    def plan(self, run: str, seed: int) -> ShardPlan:
        """The plan of one episode, which is a run of its own."""
        return ShardPlan(
            run,
            "",
            seed,
            self.markets,
            workers=self.workers,
            deadline=self.deadline,
            keep_calls=16.0,
        )


class EnvServer:
    """The clearing house of an environment, and the workers of its hosted participants."""

    def __init__(self, config: EnvServerConfig, runtime: Runtime) -> None:
        self.config, self._workers = config, PersistentRuntime(runtime)
        self._episodes = 0
        self._shard: EpisodeShard | None = None

    def begin(self, seed: int) -> tuple[Any, Array]:
        """Begin an episode.

        Returns
        -------
        state : State
            The state of the markets.
        observation : Array, shape [B, sum of D_n]
            What all participants observe before tick 0.
        """
        self._episodes += 1  # late replies of the last episode are then those of another run
        self._shard = EpisodeShard(self.config, f"episode {self._episodes}", seed, self._workers)
        self._shard.start()
        return self._shard.clearing_house.state, self._shard.clearing_house.observation

    def advance(self, actions: Array) -> Step | Fault:
        """Clear a tick.

        Parameters
        ----------
        actions : Array, shape [B, L, A]
            The actions of the external participants; other rows are not read.

        Returns
        -------
        Step or Fault
            A fault if a hosted policy failed and `on_fault` ends the episode.
        """
        return self._begun().step(actions)

    def faults(self) -> list[Fault]:
        """The faults of the hosted participants in this episode."""
        return list(self._begun().faults.values())

    def close(self) -> None:
        """End the workers."""
        self._shard = None
        self._workers.close()

    def _begun(self) -> EpisodeShard:
        if self._shard is None:
            raise InputError("the market has not begun; call reset() first")
        return self._shard


class EpisodeShard(Shard):
    """One episode of an environment."""

    def __init__(self, config: EnvServerConfig, run: str, seed: int, runtime: Runtime) -> None:
        super().__init__(config.plan(run, seed), runtime, (config.market, config.policies))
        self._policies = config.policies
        self._external = [s for s in config.market.specs if s.name not in config.policies]
        self._on_fault = config.on_fault
        self._withdrawn = np.zeros((len(config.markets), config.market.layout.N), np.bool_)
        self.faults: Faults = {}

    def step(self, actions: Array) -> Step | Fault:
        """One tick with the actions of the external participants."""
        house, supervisor = self.clearing_house, self.supervisor
        supervisor.trim_calls()
        replies = supervisor.replies(supervisor.next_calls())
        fault = self._count_faults(replies)
        if fault is not None:
            return fault
        for spec in self._external:
            own = actions[:, spec.listings]
            replies[spec.name] = Reply(self.plan.run, house.tick, spec.name, 0, own)
        stacked, missing = house.stacked(replies)
        if self._withdrawn.any():
            stacked[self._withdrawn[:, self.market.layout.seller]] = np.nan
            house.state = without_quotes(self.market, house.state, self._withdrawn)
        return house.clear(house.tick, stacked, missing)

    def _count_faults(self, replies: Mapping[str, Reply | str]) -> Fault | None:
        """Count missing and invalid replies; the fault that ends the episode, if one does."""
        at, batch = self.clearing_house.tick, len(self.plan.markets)
        for name in self._policies:
            there = ~self._withdrawn[:, self.market.spec(name).number]
            reply = replies.get(name, "withdrawn")
            if isinstance(reply, str):  # no code failed: late, lost, or dead
                count(self.faults, name, reply, at, batch)
                continue
            if reply.action is None:
                bad, reason = there, reply.fault
            else:
                bad = there & ~np.isfinite(reply.action).reshape(batch, -1).all(axis=1)
                reason = NOT_FINITE
            if not bad.any():
                continue
            if self._on_fault == "raise":
                return Fault(name, reason, at, int(bad.sum()))
            count(self.faults, name, reason, at, int(bad.sum()))
            if self._on_fault == "withdraw":
                self._withdrawn[bad, self.market.spec(name).number] = True
        return None


class PersistentRuntime:
    """A runtime whose workers outlive an episode. The next one begins in the same processes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._living: dict[str, Any] = {}

    @property
    def while_waiting(self) -> Callable[[], None]:
        return self._runtime.while_waiting

    @while_waiting.setter
    def while_waiting(self, work: Callable[[], None]) -> None:
        self._runtime.while_waiting = work

    def start(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        if name in self._living:
            asked = (self._living[name], "begin", (list(parts),))
            if self._runtime.ask([asked], BEGIN_SECONDS)[0].ok:
                return self._living[name]
            self.kill(self._living[name])
        self._living[name] = self._runtime.start(parts, name)
        return self._living[name]

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        return self._runtime.ask(asks, deadline) if asks else []

    def send(self, handle: Any, verb: str, *arguments: Any) -> None:
        self._runtime.send(handle, verb, *arguments)

    def kill(self, handle: Any) -> None:
        self._runtime.kill(handle)
        self._living = {name: one for name, one in self._living.items() if one != handle}

    def close(self) -> None:
        self._runtime.close()
        self._living = {}
