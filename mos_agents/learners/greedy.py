"""A learner that has stopped learning: it plays its best levels, and neither explores nor learns.

It serves evaluation against other policies, and impulse tests: how does it answer an undercut?
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mos_agents import trees
from mos_agents.learners import saving
from mos_agents.learners.base import (
    Learner,
    best_of,
    chance_of,
    drawn,
    needed_openings,
    on_turn,
    situation,
)
from mos_agents.market.checks import check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import Policy, from_config, register


@short_repr
@dataclass(frozen=True, eq=False)
class InMemoryCheckpoint:
    """A memory in hand. Two are the same if they are one."""

    memory: Any


@short_repr
class GreedyMemory(NamedTuple):
    """What was learnt, and where the play stands."""

    learnt: Any  # a learner's memory, of which only the tables are read
    level: IntArray  # [B, C] level of the last move
    before: IntArray  # [B, C] the situation one period ago
    opening: Array  # [B, r] what rival firms asked at first
    clock: IntArray  # [1] ticks lived


@register("greedy")
@dataclass(frozen=True)
class GreedyPolicy(Policy):
    """Plays a learner's memory greedily.

    It plays the best level of each situation; equally good levels have equal chance. For learners
    of chances (exp3, hedge, wolf_phc) the best level is the likeliest.

    Parameters
    ----------
    policy : any
        the learner, with the parameters it learnt with.
    path : str or None
        a file that `learners.save` wrote; in Python, `GreedyPolicy.of(policy, memory)` needs
        none.
    packed : str or None
        that file's bytes as text, in place of a path: so a table travels to a machine that does
        not share the disk. A policy that is pickled always goes so.
    market : int or None
        the one whose memory is played in all markets; None plays each its own, or one that was
        saved alone in all, >= 0.
    mixed : bool
        draw levels with the chances learnt, in place of the likeliest (only for learners of
        chances; for the others both are the same).
    """

    kind: ClassVar[str]

    policy: Any
    path: str | None = None
    market: int | None = None
    mixed: bool = False
    packed: str | None = field(default=None, repr=False)
    checkpoint: InMemoryCheckpoint | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", from_config(self.policy))
        if not isinstance(self.policy, Learner):
            raise InputError(
                f"{self.kind}.policy={self.policy!r:.60} must be a learner; others have nothing "
                "to unlearn"
            )
        if self.path is not None and not isinstance(self.path, str):
            raise InputError(f"{self.kind}.path={self.path!r} must be the path of a .npz file")
        if self.packed is not None and (not isinstance(self.packed, str) or self.path is not None):
            raise InputError(f"{self.kind}.packed must be text, and in place of a path")
        if self.market is not None:
            check_whole(f"{self.kind}.market", self.market, 0, note=", or null")
        if not isinstance(self.mixed, bool):
            raise InputError(f"{self.kind}.mixed={self.mixed!r} must be true or false")

    @classmethod
    def of(
        cls,
        policy: Learner,
        memory: Any,
        market: int | None = None,
        mixed: bool = False,
    ) -> GreedyPolicy:
        """The policy with a memory that is in hand; it is copied."""
        made = cls(policy, market=market, mixed=mixed)
        arrays = {name: array.copy() for name, array in trees.named(memory)}
        object.__setattr__(made, "checkpoint", InMemoryCheckpoint(trees.filled(memory, arrays)))
        return made

    @classmethod
    def continued(
        cls, policy: Learner, memory: Any, mixed: bool = False
    ) -> tuple[GreedyPolicy, GreedyMemory]:
        """A learner that stops learning in the middle of a play, and its memory from there on."""
        made = cls.of(policy, memory, mixed=mixed)
        assert made.checkpoint is not None
        return made, GreedyMemory(
            made.checkpoint.memory,
            memory.level.copy(),
            memory.before.copy(),
            memory.opening.copy(),
            memory.clock.copy(),
        )

    def portable(self) -> GreedyPolicy:
        """The same policy with its memory in hand. Raises InputError where the file is not one."""
        if self.path is None:
            return self
        data = trees.packed(saving.read(self.path))
        return replace(self, path=None, packed=saving.to_text(data))

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self.portable()))

    def start(self, spec: ParticipantSpec, batch: int) -> GreedyMemory:
        # Learners of payoff tables move at every tick; frozen ones need no payoffs.
        template = self.policy.start(spec, batch)
        whole = np.zeros((batch, self.policy.choices(spec)), np.int64)
        opening = np.zeros((batch, needed_openings(self.policy, spec)))
        learnt = self._learnt(spec, batch, template)
        return GreedyMemory(learnt, whole, whole.copy(), opening, np.zeros(1, np.int64))

    def _learnt(self, spec: ParticipantSpec, batch: int, template: Any) -> Any:
        """The memory for so many markets, from the file or from the hand."""
        if self.checkpoint is not None:
            arrays = dict(trees.named(self.checkpoint.memory))
        elif self.path is not None:
            arrays = saving.read(self.path)
        elif self.packed is not None:
            data = saving.from_text(self.packed)
            arrays = trees.unpacked(data, f"{self.kind}.packed", "learner's memory")
        else:
            raise InputError(
                f"{self.kind}.path is missing: name a file of learners.save, or use GreedyPolicy.of"
            )
        one = dict(trees.named(self.policy.start(spec, 1)))
        wanted = dict(trees.named(template))
        shown = f"{self.kind}: {self.path or 'the memory in hand'}"
        if arrays.keys() != wanted.keys():
            raise InputError(f"{shown} is the memory of another kind than {self.policy.kind}")
        found = {}
        for name, array in arrays.items():
            found[name] = self._for_all(shown, name, array, one[name], wanted[name])
        return trees.filled(template, found)

    def _for_all(self, shown: str, name: str, array: Array, one: Array, wanted: Array) -> Array:
        """A saved array as these markets need it: the rows of a market lie together."""
        fits = array.dtype == wanted.dtype and array.shape[1:] == one.shape[1:]
        if fits and one.shape == wanted.shape and one.shape == array.shape:
            return array.copy()
        rows = len(one)
        if self.market is not None:
            array = array[self.market * rows : (self.market + 1) * rows]
        if fits and array.shape == one.shape and rows:
            return np.tile(array, (len(wanted) // rows, *(1,) * (array.ndim - 1)))
        if not fits or array.shape != wanted.shape:
            raise InputError(
                f"{shown}: {name} has shape {array.shape}, but {wanted.shape} is needed here; "
                "give its own parameters, participant and number of markets, or the market "
                "to be played in all"
            )
        return array.copy()

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: GreedyMemory, draws: Draws
    ) -> tuple[Array, GreedyMemory]:
        at = int(memory.clock[0])
        memory = self._opened(spec, observation, memory)
        rows, now = situation(self.policy, spec, observation, memory.before, memory.opening)
        after = memory._replace(clock=memory.clock + 1, before=now)
        if on_turn(spec.turn, at):
            chances = self._chances(memory, rows)
            level = drawn(chances, draws.uniforms("choose", rows.shape[1]))
            after = after._replace(level=level)
        return self.policy.priced(spec, observation, after.level), after

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: GreedyMemory
    ) -> Array:
        memory = self._opened(spec, observation, memory)
        if on_turn(spec.turn, int(memory.clock[0])):
            rows, _ = situation(self.policy, spec, observation, memory.before, memory.opening)
            chances = self._chances(memory, rows)
        else:
            chances = self.policy.repeated(memory.level)
        return chance_of(self.policy, spec, observation, action, chances)

    def _opened(
        self, spec: ParticipantSpec, observation: Array, memory: GreedyMemory
    ) -> GreedyMemory:
        if memory.clock[0] > 0 or not memory.opening.shape[1]:
            return memory
        return memory._replace(opening=self.policy.opening_rivals(spec, observation))

    def _chances(self, memory: GreedyMemory, rows: IntArray) -> Array:
        strategy = self.policy.strategy_of(memory.learnt, rows)
        return strategy if self.mixed else best_of(strategy)
