"""The one loop: every participant decides from what it sees itself, tick after tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.learners.price_grid import PriceGrid, check_room
from mos_agents.market.faults import NOT_FINITE, Faults, count
from mos_agents.market.memory import check_memory
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.tick import Market, tick
from mos_agents.market.types import Array, InputError, IntArray, State, Step
from mos_agents.market.withdrawal import without_quotes
from mos_agents.policies.base import Policy, from_config, observe_reward
from mos_agents.policies.faults import is_own_fault
from mos_agents.policies.guard import (
    NoAction,
    PolicyFault,
    check_on_fault,
    decision,
    reason_of,
    source_of,
    started,
)


@short_repr
class Transition(NamedTuple):
    """One tick as the loop saw it: what was observed, what was done, and what followed.

    Parameters
    ----------
    before : State
        The state before the tick.
    observation : array [B, sum of D_n]
        Everybody's observations before acting, side by side in roster order.
    memories : tuple
        The memory of each participant before acting.
    actions : array [B, L, A]
        The actions; NaN where a policy failed.
    step : Step
        The market's answer: next state, observations, rewards and metrics.
    """

    before: State
    observation: Array  # [B, sum of D_n] before acting
    memories: tuple[Any, ...]  # of each participant, before acting
    actions: Array  # [B, L, A]; NaN where a policy failed
    step: Step


@short_repr
@dataclass(eq=False)
class ParticipantPool:
    """The policies of all participants, with their memories and their random streams.

    Parameters
    ----------
    specs : tuple of ParticipantSpec
        The participants, in roster order.
    policies : tuple of Policy
        One policy each.
    memories : list
        The memory of each policy, as it stands.
    streams : tuple of Streams
        Random streams of each participant.
    batch : int
        Number of markets B.
    faults : dict
        The faults that were counted.
    on_fault : {"raise", "hold", "withdraw"}
        What a fault of a policy does; see `play`.
    """

    specs: tuple[ParticipantSpec, ...]
    policies: tuple[Policy, ...]
    memories: list[Any]
    streams: tuple[Streams, ...]
    batch: int
    faults: Faults = field(default_factory=dict)
    _absent: dict[int, str] = field(default_factory=dict)
    on_fault: str = "raise"
    _gone: NDArray[np.bool_] | None = None  # [B, participants] withdrawn after a fault

    @classmethod
    def of(
        cls,
        market: Market,
        policies: Mapping[str, Policy],
        seed: int,
        markets: int | IntArray,
        on_fault: str = "raise",
    ) -> ParticipantPool:
        """Assign one policy to every participant; InputError if they do not fit."""
        check_on_fault(on_fault)
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
        learners = [
            (s, p) for s, p in zip(market.specs, chosen, strict=True) if isinstance(p, PriceGrid)
        ]
        for spec, learner in learners:
            learner.check_spec(spec)
        check_room(learners, batch)
        memories = [started(p, spec, batch) for p, spec in zip(chosen, market.specs, strict=True)]
        return cls(market.specs, chosen, memories, streams, batch, on_fault=on_fault)

    def observe_rewards(self, observation: Array, reward: Array, at: int) -> None:
        """Learners observe the last tick's rewards [B, N], each of its own, before `actions`.

        One that fails at learning loses its move, as one that fails at acting does.
        """
        for n, spec in enumerate(self.specs):
            if not hasattr(self.policies[n], "learn") or self._is_gone(n):
                continue
            own = spec.own(observation).copy()
            try:
                self.memories[n] = observe_reward(
                    self.policies[n],
                    spec,
                    own,
                    reward[:, spec.number].copy(),
                    self.memories[n],
                    self.streams[n].at(at),
                )
            except BaseException as error:
                if not is_own_fault(error):
                    raise
                self._absent[n] = self._fault_reason(n, error, at)

    def actions(self, observation: Array, at: int) -> Array:
        """[B, L, A] everybody's actions. A policy that fails leaves NaN, which the market refuses,
        or raises PolicyFault, as `on_fault` says.

        Each policy gets a copy of its own part of the observations: it sees nobody else's and
        spoils nobody else's.
        """
        parts = []
        for n, spec in enumerate(self.specs):
            if self._is_gone(n):
                parts.append(np.full((self.batch, *spec.action_shape), np.nan))
                continue
            own = spec.own(observation).copy()
            if n in self._absent:
                parts.append(self._failed(n, self._absent.pop(n), at))
                continue
            try:
                checked, memory = decision(
                    self.policies[n], spec, own, self.memories[n], self.streams[n].at(at)
                )
            except BaseException as error:
                if not is_own_fault(error):
                    raise
                checked = self._failed(n, self._fault_reason(n, error, at), at)
            else:
                self.memories[n] = memory
                if not np.isfinite(checked).all():
                    checked = self._without_nonsense(n, checked, at)
            parts.append(checked)
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def withdrawn(self, market: Market) -> NDArray[np.bool_] | None:
        """[B, N] whose quotes are taken out of which markets for good; None where nobody's are."""
        if self._gone is None:
            return None
        gone = np.zeros((self.batch, market.layout.N), np.bool_)
        gone[:, [spec.number for spec in self.specs]] = self._gone
        return gone

    def present(self, market: Market, state: State) -> State:
        """The state without the quotes of those who are withdrawn."""
        gone = self.withdrawn(market)
        return state if gone is None else without_quotes(market, state, gone)

    def _is_gone(self, n: int) -> bool:
        return self._gone is not None and bool(self._gone[:, n].all())

    def _fault_reason(self, n: int, error: BaseException, at: int) -> str:
        """The reason of a fault; where faults end the play, PolicyFault with the error behind."""
        reason = reason_of(error)
        if self.on_fault == "raise":
            by = source_of(self.policies[n]) if isinstance(error, NoAction) else ""
            raise PolicyFault(self.specs[n].name, at, reason, by) from error
        return reason

    def _without_nonsense(self, n: int, action: Array, at: int) -> Array:
        """An action that is not finite in some markets: a fault in those alone."""
        spec = self.specs[n]
        bad = np.logical_not(np.isfinite(action).all(axis=(1, 2)))
        if self._gone is not None:
            action = np.where(self._gone[:, n, None, None], np.nan, action)
            bad &= ~self._gone[:, n]
        if bad.any():
            if self.on_fault == "raise":
                raise PolicyFault(spec.name, at, NOT_FINITE, source_of(self.policies[n]))
            count(self.faults, spec.name, NOT_FINITE, at, int(bad.sum()))
            self._withdraw(n, bad)
        return action

    def _failed(self, n: int, reason: str, at: int) -> Array:
        spec = self.specs[n]
        there = np.ones(self.batch, np.bool_) if self._gone is None else ~self._gone[:, n]
        count(self.faults, spec.name, reason, at, int(there.sum()))
        self._withdraw(n, there)
        return np.full((self.batch, *spec.action_shape), np.nan)

    def _withdraw(self, n: int, markets: NDArray[np.bool_]) -> None:
        if self.on_fault == "withdraw":
            if self._gone is None:
                self._gone = np.zeros((self.batch, len(self.specs)), np.bool_)
            self._gone[markets, n] = True


def as_policy(name: str, given: Any) -> Policy:
    """A policy, or one from its {"kind": ...}."""
    if not all(hasattr(given, verb) for verb in ("start", "act")):
        try:
            return from_config(given)
        except InputError as error:
            raise InputError(f"policies: {name}: {error}") from None
    policy: Policy = given
    return policy


def transitions(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
    on_fault: str = "raise",
    pool: ParticipantPool | None = None,
) -> Iterator[Transition]:
    """Play, and return each tick with all that passed in it.

    Parameters
    ----------
    market : Market
        The market.
    policies : mapping of str to Policy
        A policy for every participant, or its configuration `{"kind": ...}`.
    seed : int, optional
        Seed of all random numbers, >= 0.
    ticks : int, optional
        Ticks to play; by default the market's horizon.
    markets : int or array of int [B], optional
        How many markets to play, or their numbers. Market m of a seed has the same random numbers
        in any batch.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What a fault of a policy does; see `play`.
    pool : ParticipantPool, optional
        The participants to play with. It keeps the faults, and has an `on_fault` of its own.

    Returns
    -------
    iterator of Transition
        One transition a tick.

    Raises
    ------
    InputError
        If a policy does not fit its participant, or `ticks` is no whole number >= 1.
    PolicyFault
        If a policy fails and `on_fault` is "raise".
    """
    pool = ParticipantPool.of(market, policies, seed, markets, on_fault) if pool is None else pool
    ticks = market.horizon if ticks is None else ticks
    if isinstance(ticks, bool) or not isinstance(ticks, int | np.integer) or ticks < 1:
        raise InputError(f"ticks={ticks!r} must be a whole number >= 1, or None for the horizon")
    streams = Streams.of(seed, markets)
    return _transitions(market, pool, streams, int(ticks))


def _transitions(
    market: Market, pool: ParticipantPool, streams: Streams, ticks: int
) -> Iterator[Transition]:
    state = market.start(pool.batch)
    observation = market.first_observation(state, streams.at(0))
    reward = np.zeros((pool.batch, market.layout.N))
    for at in range(ticks):
        pool.observe_rewards(observation, reward, at)
        memories = tuple(pool.memories)
        actions = pool.actions(observation, at)
        step = tick(market, pool.present(market, state), actions, streams.at(at))
        yield Transition(state, observation, memories, actions, step)
        state, observation, reward = step.state, step.observation, step.reward


def play(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
    on_fault: str = "raise",
) -> Iterator[Step]:
    """Play a market tick by tick while every participant follows its policy.

    Parameters
    ----------
    market : Market
        The market.
    policies : mapping of str to Policy
        A policy for every participant, or its configuration `{"kind": ...}`.
    seed : int, optional
        Seed of all random numbers, >= 0.
    ticks : int, optional
        Ticks to play; by default the market's horizon.
    markets : int or array of int [B], optional
        How many markets to play, or their numbers. Market m of a seed has the same random numbers
        in any batch.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What happens if a policy raises an error, or returns anything but finite numbers of the
        right shape. "raise" ends the play with `PolicyFault`, whose cause has the policy's own
        traceback. "hold" costs the policy that decision: the market treats it as a refused quote.
        "withdraw" takes the participant's quotes out of the markets in which it failed, for good.
        Under the last two the others play on, and faults are counted. Ctrl-C is never a fault.

    Returns
    -------
    iterator of Step
        One step a tick: state, observations, rewards [B, N] and metrics [B, N, M].

    Raises
    ------
    InputError
        At once, if a policy does not fit its participant.
    PolicyFault
        If a policy fails and `on_fault` is "raise".
    """
    looped = transitions(
        market, policies, seed=seed, ticks=ticks, markets=markets, on_fault=on_fault
    )
    return (transition.step for transition in looped)
