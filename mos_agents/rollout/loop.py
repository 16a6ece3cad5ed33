"""The one loop: every participant decides from what it sees itself, tick after tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mos_agents.learners.levels import Levels, check_room
from mos_agents.market.memory import check_memory
from mos_agents.market.printing import short_repr
from mos_agents.market.random import Streams
from mos_agents.market.seat import Seat
from mos_agents.market.tick import Market, tick
from mos_agents.market.types import Array, InputError, IntArray, QuoteRefused, State, Step
from mos_agents.policies.base import Policy, from_spec, heard
from mos_agents.policies.faults import Faults, count, describe, is_own_fault


@short_repr
class Turn(NamedTuple):
    """One tick as the loop saw it: what was seen, what was done upon it, and what came of it."""

    before: State
    observation: Array  # [B, sum of D_n] before acting
    memories: tuple[Any, ...]  # of each participant, before acting
    actions: Array  # [B, L, A]; NaN where a policy failed
    step: Step


@short_repr
@dataclass(eq=False)
class Table:
    """The policies of all participants at the table, with their memories and their luck."""

    seats: tuple[Seat, ...]
    policies: tuple[Policy, ...]
    memories: list[Any]
    streams: tuple[Streams, ...]
    batch: int
    faults: Faults = field(default_factory=dict)
    _absent: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, market: Market, policies: Mapping[str, Policy], seed: int, markets: int | IntArray
    ) -> Table:
        """Seat one policy at every participant's place; InputError if they do not fit."""
        if not isinstance(market, Market):
            raise InputError(f"market={market!r:.60} must be a Market: mos_agents.retail(), say")
        if not isinstance(policies, Mapping):
            raise InputError(f"policies={policies!r:.60} must map participants to their policies")
        names = market.layout.participants
        known = set(names)
        for name in policies:
            if name not in known:
                raise InputError(f"policies: {name!r} is not a participant; they are {names}")
        missing = [name for name in names if name not in policies]
        if missing:
            raise InputError(f"policies: none for {missing}; give every participant one")
        if isinstance(markets, int):  # before there are as many of anything
            check_memory(market, markets)
        chosen = tuple(as_policy(name, policies[name]) for name in names)
        streams = tuple(Streams.of(seed, markets, owner=name) for name in names)
        batch = len(streams[0].markets)
        learners = [(s, p) for s, p in zip(market.seats, chosen, strict=True)
                    if isinstance(p, Levels)]  # fmt: skip
        for seat, learner in learners:
            learner.check_seat(seat)
        check_room(learners, batch)
        memories = [p.start(seat, batch) for p, seat in zip(chosen, market.seats, strict=True)]
        return cls(market.seats, chosen, memories, streams, batch)

    def hear(self, observation: Array, reward: Array, at: int) -> None:
        """Learners hear of the last tick's rewards [B, N], each of its own, before `actions`.

        One that fails at learning loses its move, as one that fails at acting does.
        """
        for n, seat in enumerate(self.seats):
            if not hasattr(self.policies[n], "learn"):
                continue
            own = seat.own(observation).copy()
            try:
                self.memories[n] = heard(
                    self.policies[n], seat, own, reward[:, seat.number].copy(), self.memories[n],
                    self.streams[n].at(at),
                )  # fmt: skip
            except BaseException as error:
                if not is_own_fault(error):
                    raise
                self._absent[n] = describe(error)

    def actions(self, observation: Array, at: int) -> Array:
        """[B, L, A] everybody's actions. A policy that fails leaves NaN, which the market refuses.

        Each policy gets a copy of its own part of the observations: it sees nobody else's and
        spoils nobody else's.
        """
        parts = []
        for n, seat in enumerate(self.seats):
            own = seat.own(observation).copy()
            if n in self._absent:
                parts.append(self._failed(seat, self._absent.pop(n), at))
                continue
            try:
                action, memory = self.policies[n].act(
                    seat, own, self.memories[n], self.streams[n].at(at)
                )
                checked = seat.checked(action, self.batch)
            except QuoteRefused as refusal:
                checked = self._failed(seat, str(refusal), at)
            except BaseException as error:
                if not is_own_fault(error):
                    raise
                checked = self._failed(seat, describe(error), at)
            else:
                self.memories[n] = memory
                missing = ~np.isfinite(checked).all(axis=(1, 2))
                if missing.any():
                    count(self.faults, seat.name, "not a finite number", at, int(missing.sum()))
            parts.append(checked)
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def _failed(self, seat: Seat, reason: str, at: int) -> Array:
        count(self.faults, seat.name, reason, at, self.batch)
        return np.full((self.batch, *seat.action_shape), np.nan)


def as_policy(name: str, given: Any) -> Policy:
    """A policy, or one from its {"kind": ...}."""
    if not all(hasattr(given, verb) for verb in ("start", "act")):
        try:
            return from_spec(given)
        except InputError as error:
            raise InputError(f"policies: {name}: {error}") from None
    policy: Policy = given
    return policy


def turns(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
    table: Table | None = None,
) -> Iterator[Turn]:
    """The loop with all that passes in it. Arguments as for `play`; `table` keeps the faults."""
    seated = Table.of(market, policies, seed, markets) if table is None else table
    ticks = market.horizon if ticks is None else ticks
    if isinstance(ticks, bool) or not isinstance(ticks, int | np.integer) or ticks < 1:
        raise InputError(f"ticks={ticks!r} must be a whole number >= 1, or None for the horizon")
    streams = Streams.of(seed, markets)
    return _turns(market, seated, streams, int(ticks))


def _turns(market: Market, table: Table, streams: Streams, ticks: int) -> Iterator[Turn]:
    state = market.start(table.batch)
    observation = market.first_observation(state, streams.at(0))
    reward = np.zeros((table.batch, market.layout.N))
    for at in range(ticks):
        table.hear(observation, reward, at)
        memories = tuple(table.memories)
        actions = table.actions(observation, at)
        step = tick(market, state, actions, streams.at(at))
        yield Turn(state, observation, memories, actions, step)
        state, observation, reward = step.state, step.observation, step.reward


def play(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
) -> Iterator[Step]:
    """The market's steps, one a tick, while every participant follows its policy.

    markets: how many, or their numbers [B]; market m of a seed has the same luck in any company.
    ticks: None plays the market's horizon.
    A policy that raises, or returns no numbers of the right shape, loses that move: its standing
    quote stays and the others go on. Raises InputError at once if a policy does not fit its seat.
    """
    looped = turns(market, policies, seed=seed, ticks=ticks, markets=markets)
    return (turn.step for turn in looped)
