"""Serves a market to an environment: external participants send quotes, the others are actors.

This is what stands behind an environment: whoever calls gives the quotes of those outside and gets
the step; the participants inside are called, heard and mended as in any other shard. No journal:
an episode that breaks begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.actors.messages import Reply
from mos_agents.actors.runtime import Answer, Runtime
from mos_agents.actors.shard import Shard, ShardPlan
from mos_agents.market.faults import NOT_FINITE, Fault, Faults, count
from mos_agents.market.tick import Market
from mos_agents.market.types import Array, InputError, Step
from mos_agents.market.withdrawal import without_quotes
from mos_agents.policies.base import Policy
from mos_agents.policies.guard import check_on_fault

BEGIN_SECONDS = 10.0
"""Seconds after which a worker that does not begin another episode gives way to a new one."""


@dataclass(frozen=True, eq=False)
class EnvServerConfig:
    """What a server plays: a market, the policies of its hosted participants, and market numbers.

    deadline: seconds that a tick waits for those inside (None: for ever).
    workers: how many actors hold them (0: one each).
    on_fault: what a fault of a policy does, as in `rollout.play`. Who is late, or whose process is
    gone, loses the decision in any case.
    """

    market: Market
    policies: Mapping[str, Policy]
    markets: tuple[int, ...]
    deadline: float | None = None
    workers: int = 0
    on_fault: str = "hold"

    def __post_init__(self) -> None:
        check_on_fault(self.on_fault)
        self.plan("", 0)  # what does not fit is refused here

    def plan(self, run: str, seed: int) -> ShardPlan:
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
        """Begin an episode: the state, and [B, sum of D_n] what everybody sees before tick 0."""
        self._episodes += 1  # a reply that is still under way from the last one is told apart
        self._shard = EpisodeShard(self.config, f"episode {self._episodes}", seed, self._workers)
        self._shard.start()
        return self._shard.clearing_house.state, self._shard.clearing_house.observation

    def advance(self, actions: Array) -> Step | Fault:
        """Clear a tick with the actions [B, L, A] of those outside; the other rows are not read.

        A fault in place of a step: a policy inside failed, and by `on_fault` the episode ends.
        """
        return self._begun().step(actions)

    def faults(self) -> list[Fault]:
        """What went wrong inside since the episode began."""
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
        self._outside = [s for s in config.market.specs if s.name not in config.policies]
        self._on_fault = config.on_fault
        self._gone = np.zeros((len(self.markets), config.market.layout.N), np.bool_)
        self.faults: Faults = {}

    def step(self, actions: Array) -> Step | Fault:
        """One tick with the actions of those outside."""
        clearing_house = self.clearing_house
        calls = [
            c for c in clearing_house.calls(self._generations) if c.participant in self.policies
        ]
        self._past.append(calls)
        replies = self._replies(calls)
        ended = self._tell_apart(replies)
        if ended is not None:
            return ended
        for spec in self._outside:
            own = actions[:, spec.listings]
            replies[spec.name] = Reply(self.plan.run, clearing_house.tick, spec.name, 0, own)
        everybody, missing = clearing_house.stacked(replies)
        if self._gone.any():
            everybody[self._gone[:, self.market.layout.seller]] = np.nan
            clearing_house.state = without_quotes(self.market, clearing_house.state, self._gone)
        step = clearing_house.clear(clearing_house.tick, everybody, missing)
        self._keep_house()
        return step

    def _tell_apart(self, replies: Mapping[str, Reply | str]) -> Fault | None:
        """Count who said nothing usable, and why; the fault that ends the episode, if one does."""
        at, batch = self.clearing_house.tick, len(self.markets)
        for name in self.policies:
            there = ~self._gone[:, self.market.spec(name).number]
            reply = replies.get(name, "withdrawn")
            if isinstance(reply, str):  # nobody's code failed: late, lost on the way, or gone
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
                self._gone[bad, self.market.spec(name).number] = True
        return None


class PersistentRuntime:
    """A runtime whose workers outlive an episode: the next one begins in the same processes."""

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
