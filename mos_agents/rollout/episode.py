"""The one loop: a market's state, its observations and rewards, and the participants in it.

`Episode` is the loop. `transitions` and `play` run it for policies in this process; environments
give it the actions of external participants; a clearing house of actors is an episode whose
participants are all external.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.learners.base import Learner
from mos_agents.learners.price_grid import check_table_memory
from mos_agents.market.checks import check_whole
from mos_agents.market.faults import NOT_FINITE, Faults, count
from mos_agents.market.market import Market
from mos_agents.market.memory import check_memory
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.tick import early_arrivals, tick
from mos_agents.market.types import Array, Arrivals, InputError, IntArray, State, Step
from mos_agents.market.withdrawal import without_quotes
from mos_agents.policies.base import Policy, from_config
from mos_agents.policies.guard import (
    NoAction,
    PolicyFault,
    check_on_fault,
    decide,
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
        The observations of all participants before acting, side by side in roster order.
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
    learnt : list
        The memories after learning and before acting in the last tick.
    """

    specs: tuple[ParticipantSpec, ...]
    policies: tuple[Policy, ...]
    memories: list[Any]
    streams: tuple[Streams, ...]
    batch: int
    faults: Faults = field(default_factory=dict)
    on_fault: str = "raise"
    learnt: list[Any] = field(default_factory=list)
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
            (s, p) for s, p in zip(market.specs, chosen, strict=True) if isinstance(p, Learner)
        ]
        for spec, learner in learners:
            learner.check_spec(spec)
        check_table_memory(learners, batch)
        memories = [started(p, spec, batch) for p, spec in zip(chosen, market.specs, strict=True)]
        return cls(market.specs, chosen, memories, streams, batch, on_fault=on_fault)

    def decide(self, observation: Array, reward: Array, at: int) -> Array:
        """The participants' actions at tick `at`; their memories move on.

        A policy gets copies of its own observation and its own reward, so it sees no other's
        and spoils no other's. A policy that fails, at learning or at acting, has NaN for an
        action, which the market refuses; or the play ends, as `on_fault` says.

        Parameters
        ----------
        observation : array, [B, sum of D_n]
        reward : array, [B, N]
            The last tick's rewards of all participants.
        at : int
            The tick.

        Returns
        -------
        array, [B, L, A]
            The actions of this pool's listings, in roster order.

        Raises
        ------
        PolicyFault
            Where a policy fails and `on_fault` is "raise".
        """
        parts, self.learnt = [], []
        for n, spec in enumerate(self.specs):
            if self._has_left(n):
                self.learnt.append(self.memories[n])
                parts.append(np.full((self.batch, *spec.action_shape), np.nan))
                continue
            made = decide(
                self.policies[n],
                spec,
                spec.own(observation),
                reward[:, spec.number],
                self.memories[n],
                self.streams[n].at(at),
            )
            self.learnt.append(made.learnt)
            self.memories[n] = made.memory
            if made.action is None:
                parts.append(self._failed(n, made.error, at))
            elif not np.isfinite(made.action).all():
                parts.append(self._without_nonsense(n, made.action, at))
            else:
                parts.append(made.action)
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def withdrawn(self, market: Market) -> NDArray[np.bool_] | None:
        """[B, N] whose quotes are taken out of which markets for good; None where none are."""
        if self._gone is None:
            return None
        gone = np.zeros((self.batch, market.layout.N), np.bool_)
        gone[:, [spec.number for spec in self.specs]] = self._gone
        return gone

    def _has_left(self, n: int) -> bool:
        return self._gone is not None and bool(self._gone[:, n].all())

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

    def _failed(self, n: int, error: BaseException | None, at: int) -> Array:
        """NaN for the action of a policy that failed; PolicyFault where that ends the play."""
        assert error is not None
        spec, reason = self.specs[n], reason_of(error)
        if self.on_fault == "raise":
            by = source_of(self.policies[n]) if isinstance(error, NoAction) else ""
            raise PolicyFault(spec.name, at, reason, by) from error
        there = np.ones(self.batch, np.bool_) if self._gone is None else ~self._gone[:, n]
        count(self.faults, spec.name, reason, at, int(there.sum()))
        self._withdraw(n, there)
        return np.full((self.batch, *spec.action_shape), np.nan)

    def _withdraw(self, n: int, markets: NDArray[np.bool_]) -> None:
        if self.on_fault == "withdraw":
            if self._gone is None:
                self._gone = np.zeros((self.batch, len(self.specs)), np.bool_)
            self._gone[markets, n] = True


class Episode:
    """A market under way: its state, its observations and the last rewards.

    Parameters
    ----------
    market : Market
    streams : Streams
        The market's own random numbers; they say which markets [B] are played.
    pool : ParticipantPool, optional
        The participants whose policies play in this process. All others are external: `advance`
        is given their actions.

    Attributes
    ----------
    state : State
    observation : array, [B, sum of D_n]
        The observations of all participants.
    reward : array, [B, N]
        The rewards of all participants in the last tick; 0 before the first.
    """

    def __init__(
        self, market: Market, streams: Streams, pool: ParticipantPool | None = None
    ) -> None:
        batch = len(streams.markets)
        self.market, self.streams, self.pool = market, streams, pool
        self.state: State = market.start(batch)
        self.observation: Array = market.first_observation(self.state, streams.at(0))
        self.reward: Array = np.zeros((batch, market.layout.N))
        self._arrivals: tuple[Arrivals, Array] | None = None
        self._rows: IntArray | None = None
        if pool is not None and len(pool.specs) < market.layout.N:
            rows = [np.arange(s.listings.start, s.listings.stop) for s in pool.specs]
            self._rows = np.concatenate(rows)

    @property
    def tick(self) -> int:
        """The tick to be played next."""
        return self.state.tick

    def draw_ahead(self) -> None:
        """Draw the coming tick's arrivals, where they do not depend on quotes."""
        if self._arrivals is None:
            self._arrivals = early_arrivals(self.market, self.state, self.streams.at(self.tick))

    def advance(self, actions: Array | None = None) -> Transition:
        """Play one tick.

        Parameters
        ----------
        actions : array, [B, L, A], optional
            The actions of external participants; those of the pool are written into it. None
            where the pool holds all participants.

        Returns
        -------
        Transition

        Raises
        ------
        PolicyFault
            Where a policy of the pool fails and its `on_fault` is "raise". The episode is over.
        """
        before, observation, pool = self.state, self.observation, self.pool
        memories: tuple[Any, ...] = ()
        withdrawn = None
        if pool is not None:
            own = pool.decide(observation, self.reward, before.tick)
            if actions is None or self._rows is None:
                actions = own
            else:
                actions[:, self._rows] = own
            memories, withdrawn = tuple(pool.learnt), pool.withdrawn(self.market)
        assert actions is not None
        return Transition(
            before, observation, memories, actions, self.clear_tick(actions, withdrawn)
        )

    def clear_tick(self, actions: Array, withdrawn: NDArray[np.bool_] | None = None) -> Step:
        """Clear one tick with the actions [B, L, A] of all participants. withdrawn: [B, N] whose
        quotes are taken out of which markets before it."""
        state = self.state
        if withdrawn is not None:
            state = without_quotes(self.market, state, withdrawn)
        step = tick(self.market, state, actions, self.streams.at(state.tick), self._arrivals)
        self._arrivals = None
        self.state, self.observation, self.reward = step.state, step.observation, step.reward
        return step


def as_policy(name: str, given: Any) -> Policy:
    """A policy, or one from its {"kind": ...}."""
    try:
        return from_config(given)
    except InputError as error:
        raise InputError(f"policies: {name}: {error}") from None


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
    ticks = check_whole("ticks", ticks, 1, note=", or None for the horizon")
    episode = Episode(market, Streams.of(seed, markets), pool)
    return (episode.advance() for _ in range(ticks))


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
