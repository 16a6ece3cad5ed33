"""Price trials in any policy: now and then its price is replaced by one drawn at random.

The chance and the draw depend on nothing in the market. So whatever follows a trial more often than
an ordinary move was caused by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mos_agents.learners.base import Learner, on_turn
from mos_agents.learners.greedy import GreedyPolicy
from mos_agents.market.checks import check_real
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import Policy, check_fits, quoted, uniform_choice


@short_repr
class TrialMemory(NamedTuple):
    """The policy's own memory, the ticks lived [1], and who made a trial in the last tick [B]."""

    inner: Any
    clock: IntArray
    tried: IntArray


@short_repr
@dataclass(frozen=True, eq=False)
class WithTrials(Policy):
    """Plays `policy`, but at each of its moves asks a random price with chance `chance`.

    A learner draws from its own price grid, and learns from the price that it asked. Its own
    exploration is not recorded; give it an exploration of 0 where only trials are to count.

    Parameters
    ----------
    policy : Policy
        Any policy that posts prices.
    chance : float
        Chance of a trial at a move, in (0, 1).
    prices : tuple of float, optional
        Prices in money per unit that trials are drawn from. Learners need none.
    """

    kind: ClassVar[str] = "with_trials"

    policy: Policy
    chance: float = 0.01
    prices: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_real(f"{self.kind}.chance", self.chance, 0.0, 1.0, above=True)
        if self.prices is None and self.grid_of is None:
            raise InputError(
                f"{self.kind}.prices is missing: {self.policy.kind!r} has no price grid to draw "
                "trials from; give prices in money"
            )
        given = np.asarray(self.prices or (0.0,), dtype=np.float64)
        if given.ndim != 1 or not np.isfinite(given).all() or (given < 0.0).any():
            raise InputError(f"{self.kind}.prices={self.prices!r:.60} must be prices >= 0")

    @property
    def grid_of(self) -> Learner | None:
        """The learner whose grid trials are drawn from, if the policy is one or was one."""
        own = self.policy.policy if isinstance(self.policy, GreedyPolicy) else self.policy
        return own if isinstance(own, Learner) else None

    @property
    def learns(self) -> bool:
        return self.policy.learns

    @property
    def inner(self) -> Policy | None:
        return self.policy

    def inner_memory(self, memory: TrialMemory) -> Any:
        return memory.inner

    def start(self, spec: ParticipantSpec, batch: int) -> TrialMemory:
        check_fits(self, spec, "price")
        return self.begun(self.policy.start(spec, batch), batch, 0)

    def begun(self, inner: Any, batch: int, tick: int) -> TrialMemory:
        """The memory around a policy's memory; `tick` is the first with trials."""
        return TrialMemory(inner, np.full(1, tick), np.zeros(batch, np.bool_))

    def learn(
        self, spec: ParticipantSpec, observation: Array, reward: Array, memory: Any, draws: Draws
    ) -> TrialMemory:
        inner = self.policy.learn(spec, observation, reward, memory.inner, draws)
        return TrialMemory(inner, memory.clock, memory.tried)

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, TrialMemory]:
        own, inner = self.policy.act(spec, observation, memory.inner, draws)
        uniforms = draws.uniforms("trial", 2)
        moves = on_turn(spec.turn, int(memory.clock[0]))
        tries = (uniforms[:, 0] < self.chance) & moves
        after = TrialMemory(inner, memory.clock + 1, tries)
        if not tries.any():
            return own, after
        learner = self.grid_of
        if learner is None or self.prices is not None:
            prices = np.asarray(self.prices)
            chosen = prices[uniform_choice(uniforms[:, 1], prices.size)]
            asked = quoted(spec, np.tile(chosen[:, None], (1, spec.action_shape[0])))
        else:
            levels = uniform_choice(uniforms[:, 1], learner.grid.size)
            level = np.tile(levels[:, None], (1, learner.choices(spec)))
            asked = learner.priced(spec, observation, level)
            if isinstance(self.policy, Learner):  # it is to learn from what it asked
                kept = np.where(tries[:, None], level, inner.level)
                after = after._replace(inner=inner._replace(level=kept))
        return np.where(tries[:, None, None], asked, own), after
