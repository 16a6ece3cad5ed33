"""Episodes of an environment in this process: external actions are given, other policies play."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.assignment import Assignment
from mos_agents.market.faults import Fault
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray, State, Step
from mos_agents.policies.guard import check_on_fault, started
from mos_agents.rollout import ParticipantPool
from mos_agents.rollout.episode import Episode
from mos_agents.trees import filled


class LocalEpisodes:
    """One episode after another of the markets `numbers`.

    Parameters
    ----------
    assignment : Assignment
        The external participants, and the policies of the others.
    numbers : array, [B]
        The markets.
    keep_memories : bool
        Hosted policies keep their memories when another episode begins, as if the
        market had never stopped: a learner receives the last reward of an episode together with
        the first observation of the next.
    on_fault : str
        What a fault of a hosted policy does, one of `ON_FAULT`.
    """

    _episode: Episode

    def __init__(
        self,
        assignment: Assignment,
        numbers: IntArray,
        keep_memories: bool = False,
        on_fault: str = "raise",
    ) -> None:
        self.assignment, self.market = assignment, assignment.market
        self._keep, self._on_fault = keep_memories, check_on_fault(on_fault)
        if keep_memories:
            _check_turns(assignment)
        self.numbers, self.batch = numbers, len(numbers)
        self.hosted: ParticipantPool | None = None
        Streams.of(0, numbers)  # raises if these are no market numbers

    def start(self, seed: int) -> Array:
        """Begin an episode; return all observations before the first tick, [B, sum of D_n]."""
        last = self.hosted if self._keep else None
        self.hosted = self._pool(seed, None if last is None else last.memories)
        reward = self._episode.reward if last is not None else None
        self._episode = Episode(self.market, Streams.of(seed, self.numbers), self.hosted)
        if reward is not None:
            self._episode.reward = reward
        return self._episode.observation

    def _pool(self, seed: int, memories: list[Any] | None) -> ParticipantPool | None:
        inside = self.assignment.hosted
        if not inside:
            return None
        policies = tuple(self.assignment.policies[spec.name] for spec in inside)
        if memories is None:
            memories = [started(p, s, self.batch) for p, s in zip(policies, inside, strict=True)]
        streams = tuple(Streams.of(seed, self.numbers, spec.name) for spec in inside)
        return ParticipantPool(
            inside, policies, memories, streams, self.batch, on_fault=self._on_fault
        )

    @property
    def state(self) -> State:
        return self._episode.state

    @property
    def observation(self) -> Array:
        return self._episode.observation

    def advance(self, actions: Array) -> Step:
        """One tick. `actions` [B, L, A] holds the external ones; the hosted ones are added.

        Raises PolicyFault where a hosted policy fails and `on_fault` says so: the episode ends.
        """
        return self._episode.advance(actions).step

    def snapshot(self) -> Any:
        """All that the episode remembers between two ticks, as nested tuples of arrays."""
        hosted = () if self.hosted is None else tuple(self.hosted.memories)
        now = self._episode
        return now.state, now.observation, now.reward, hosted

    def restore(self, seed: int, arrays: Mapping[str, Array]) -> Array:
        """Go on with the episode of a seed where `snapshot` was taken; [B, sum of D_n] what is
        seen there. arrays: by their paths in the snapshot, as `trees.named` gives them.
        """
        self.start(seed)
        now = self._episode
        state, now.observation, now.reward, memories = filled(self.snapshot(), arrays)
        now.state = state._replace(tick=int(state.tick))
        if self.hosted is not None:
            self.hosted.memories = list(memories)
        return now.observation

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Faults of hosted policies in this episode, where faults are counted."""
        return tuple(self.hosted.faults.values()) if self.hosted else ()

    def close(self) -> None:
        """Do nothing: there are no other processes to end."""


def _check_turns(assignment: Assignment) -> None:
    """InputError where a learner inside would lose count of its turns at an episode's end."""
    horizon = assignment.market.horizon
    for spec in assignment.hosted:
        period = spec.turn[0]
        if period and horizon % period and assignment.policies[spec.name].learns:
            raise InputError(
                f"keep_memories=True: {spec.name} moves every {period} ticks, which does not "
                f"divide horizon={horizon}; give a horizon that it does"
            )
