"""Another's policy, forced to a price for a while: how one asks what the others would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mos_agents.market.checks import check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import Policy, check_fits, quoted, same


@short_repr
class ForcedMemory(NamedTuple):
    """The policy's own memory, and the ticks lived [1]."""

    inner: Any
    clock: Array


@short_repr
@dataclass(frozen=True, eq=False)
class Forced(Policy):
    """Plays `policy`, except that from tick `start_at` on it asks `price` for `ticks` ticks.

    Parameters
    ----------
    price : any
        money; one number, one per listing [L_n], or one per market and listing [B, L_n].
    ticks : int or None
        None is for good. The policy decides at those ticks as well, and remembers and learns as
        ever; what it wanted to ask is not asked. Only for participants who post prices.
    """

    kind: ClassVar[str] = "forced"

    policy: Policy
    price: Any
    start_at: int
    ticks: int | None = 1

    def __post_init__(self) -> None:
        price = np.asarray(self.price, dtype=np.float64)
        if price.ndim > 2 or not price.size or not np.isfinite(price).all():
            raise InputError(f"forced.price={self.price!r:.60} must be finite, at most [B, L_n]")
        object.__setattr__(self, "price", price)
        for name, low in (("start_at", 0), ("ticks", 1)):
            value = getattr(self, name)
            if name == "ticks" and value is None:
                continue
            check_whole(f"forced.{name}", value, low)

    @property
    def learns(self) -> bool:
        return self.policy.learns

    @property
    def inner(self) -> Policy | None:
        return self.policy

    def inner_memory(self, memory: ForcedMemory) -> Any:
        return memory.inner

    @property
    def atomic(self) -> bool:
        return self.policy.atomic

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price")
        try:
            np.broadcast_to(self.price, (batch, spec.action_shape[0]))
        except ValueError:
            raise InputError(
                f"forced.price has shape {self.price.shape}, but {spec.name} has "
                f"{spec.action_shape[0]} listings in {batch} markets; give one number, or one per "
                "listing, or one per market and listing"
            ) from None
        return ForcedMemory(self.policy.start(spec, batch), np.zeros(1, np.int64))

    def learn(
        self, spec: ParticipantSpec, observation: Array, reward: Array, memory: Any, draws: Draws
    ) -> Any:
        inner = self.policy.learn(spec, observation, reward, memory.inner, draws)
        return memory._replace(inner=inner)

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        own, inner = self.policy.act(spec, observation, memory.inner, draws)
        action = self._asked(spec, len(observation)) if self._forces(memory) else own
        return action, ForcedMemory(inner, memory.clock + 1)

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        if self._forces(memory):
            asked = self._asked(spec, len(observation))
            chance: Array = same(action, asked).astype(np.float64)
            return chance
        return self.policy.propensity(spec, observation, action, memory.inner)

    def _forces(self, memory: ForcedMemory) -> bool:
        since = int(memory.clock[0]) - self.start_at
        return since >= 0 and (self.ticks is None or since < self.ticks)

    def _asked(self, spec: ParticipantSpec, batch: int) -> Array:
        return quoted(spec, np.broadcast_to(self.price, (batch, spec.action_shape[0])))
