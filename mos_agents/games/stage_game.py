"""The finite game that is played at every tick: what each combination of prices earns everybody.

The payoffs are not computed by a formula of their own: every combination of levels is put to the
market as one market of a batch, and `tick`, the market's own loop, says what it pays. A market
qualifies if one tick tells all: what it pays must not depend on chance, on the tick or on what
stood before. That is tested, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mos_agents.games.places import Places, places_of, uncertain
from mos_agents.learners.base import Learner
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.schedules import Simultaneous
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import Array, InputError, IntArray, Quotes, State, Step

MOST_PROFILES = 4_000_000
CHUNK = 8192
"""Profiles put to the market at a time."""


@short_repr
@dataclass(frozen=True, eq=False)
class StageGame:
    """A game of n players with m_i prices each, and what every combination of prices pays.

    A combination is called a *profile*. Profiles are numbered with the players' prices as digits,
    the first player's the most significant: P is the product of the m_i.

    Parameters
    ----------
    market : Market
        The market that pays.
    players : tuple of str
        The n players.
    learners : tuple of Learner
        Their price grids.
    payoffs : array [P, n]
        Reward per tick.
    prices : array [P, n]
        Mean of the prices that the player asks, money per unit.
    states : array of int [n, P]
        The situation that each player sees after the profile.
    first_states : array of int [n]
        The situation before the first tick.
    first_levels : array of int [n]
        The prices of the grid nearest to the opening quotes.
    places : Places, optional
        What profiles pay under each set of offers that can be shown, where the market has a rule of
        prominence. `payoffs` are then those of a tick before which nobody holds a place, with equal
        offers shown equally often.
    """

    market: Market
    players: tuple[str, ...]
    learners: tuple[Learner, ...]
    payoffs: Array  # [P, n] reward per tick
    prices: Array  # [P, n] mean of the prices that the player asks
    states: IntArray  # [n, P] the situation that a player sees after the profile
    first_states: IntArray  # [n] what it sees before the first tick
    first_levels: IntArray  # [n] the levels nearest to the opening quotes
    places: Places | None = None

    @classmethod
    def of(cls, market: Market, learners: Mapping[str, Learner]) -> StageGame:
        """The stage game among these participants; the others keep their opening prices.

        Raises InputError where a tick does not tell all, or the market's rules make two levels the
        same.
        """
        players, chosen, specs = assigned_players(market, learners)
        still = market.with_parts(schedule=Simultaneous())
        sizes = [lv.grid.size for lv in chosen]
        count = int(np.prod([float(m) for m in sizes]))
        if count > MOST_PROFILES:
            raise InputError(
                f"levels: {' x '.join(map(str, sizes))} combinations are more than "
                f"{MOST_PROFILES:,}; use fewer levels or players"
            )
        n = len(players)
        profiles = np.stack(np.unravel_index(np.arange(count), sizes), axis=1)

        def put(shown: Market) -> tuple[Array, Array, IntArray]:
            """What all profiles pay, ask and leave."""
            payoffs, prices = np.empty((count, n)), np.empty((count, n))
            states = np.empty((n, count), np.int64)
            for begin in range(0, count, CHUNK):
                part = slice(begin, begin + CHUNK)
                found = payoffs[part], prices[part], states[:, part]
                put_profiles(shown, specs, chosen, profiles[part], *found)
            return payoffs, prices, states

        places = None
        if uncertain(still) is None:
            payoffs, prices, states = put(still)
        else:
            quotes = lambda one, levels: _quotes(one, specs, chosen, levels)  # noqa: E731
            places = places_of(still, specs, quotes, put, sizes)
            payoffs, prices = places.expected(profiles), places.prices[:count]
            states = places.states[:, :count]
        state = market.start(1)
        first = market.first_observation(state, Streams.of(0, 1).at(0))
        first_states, first_levels = np.empty(n, np.int64), np.empty(n, np.int64)
        for i, (spec, lv) in enumerate(zip(specs, chosen, strict=True)):
            own = spec.own(first)
            ask = spec.read(own, "own_ask")
            first_states[i] = lv.encode(spec, own, lv.opening_rivals(spec, own))[0, 0]
            first_levels[i] = lv.level_of(spec, own, ask)[0, 0]
            if not _moves_first(spec) and not np.array_equal(
                lv.priced(spec, own, first_levels[i].reshape(1, 1))[:, :, 0], ask
            ):
                raise InputError(
                    f"{spec.name}: opens at {ask[0].round(6).tolist()} and moves later than tick 0;"
                    " its opening price (catalogue.reference_price) must be one of its levels"
                )
        opening = first_states, first_levels
        return cls(market, players, chosen, payoffs, prices, states, *opening, places)

    @property
    def n(self) -> int:
        """N, the number of players."""
        return len(self.players)

    @cached_property
    def sizes(self) -> IntArray:
        """[n] levels of each player."""
        return np.array([lv.grid.size for lv in self.learners], dtype=np.int64)

    @cached_property
    def strides(self) -> IntArray:
        """[n] what one level up adds to a profile's number."""
        after = np.concatenate((self.sizes[1:], [1]))
        return after[::-1].cumprod()[::-1].astype(np.int64)

    @cached_property
    def state_counts(self) -> IntArray:
        """[n] situations that one period can leave each player in."""
        specs = [self.market.spec(name) for name in self.players]
        return np.array(
            [lv.states_now(spec) for lv, spec in zip(self.learners, specs, strict=True)], np.int64
        )

    def levels(self, profile: Any) -> IntArray:
        """[..., n] the levels of profiles."""
        return np.stack(np.unravel_index(np.asarray(profile), self.sizes), axis=-1)

    def profile(self, levels: Any) -> IntArray:
        """[...] the numbers of profiles given by levels [..., n]."""
        return np.asarray(levels) @ self.strides

    def measured(self, measure: Callable[[Market, State, Step], Array]) -> Array:
        """Something of the tick in which each profile is played.

        Parameters
        ----------
        measure : callable
            Called with a market, R states and the steps from them; gives an array [R, ...].

        Returns
        -------
        array [P, ...], or [V P, ...] with a rule of prominence
            In the order of `payoffs`, or of `places.payoffs`.
        """
        markets = [self.market] if self.places is None else self.places.markets
        specs = tuple(self.market.spec(name) for name in self.players)
        numbers, found = np.arange(int(np.prod(self.sizes))), []
        for market in markets:
            still = market.with_parts(schedule=Simultaneous())
            for begin in range(0, numbers.size, CHUNK):
                levels = self.levels(numbers[begin : begin + CHUNK])
                draws = Streams.of(0, len(levels)).at(0)
                state = still.start(len(levels))
                first = still.first_observation(state, draws)
                actions = _actions(still, specs, self.learners, levels, first)
                found.append(measure(still, state, tick(still, state, actions, draws)))
        return np.concatenate(found)

    def outcome(self, levels: IntArray, shown: IntArray) -> IntArray:
        """[...] rows of `measured` for levels [..., n] and the sets of offers shown [...]."""
        profile = self.profile(levels)
        return profile if self.places is None else shown * len(self.payoffs) + profile

    def earned(self, levels: IntArray, shown: IntArray) -> Array:
        """[..., n] what levels [..., n] paid where these sets of offers [...] were shown."""
        tables = self.places or self
        return tables.payoffs[self.outcome(levels, shown)]

    def own(self, player: int) -> Array:
        """[m_i, P / m_i] a player's payoffs by own level and by what the others do."""
        table = self.payoffs[:, player].reshape(self.sizes)
        return np.moveaxis(table, player, 0).reshape(self.sizes[player], -1)

    def best_replies(self) -> Any:
        """[n, P] whether a player's level is a best reply to the others', in the stage game."""
        found = []
        for i in range(self.n):
            table = self.payoffs[:, i].reshape(self.sizes)
            found.append((table == table.max(axis=i, keepdims=True)).reshape(-1))
        return np.stack(found)

    def pure_nash(self) -> IntArray:
        """The profiles that are equilibria of the stage game in pure strategies; may be none."""
        return np.flatnonzero(self.best_replies().all(axis=0))

    def joint_maximum(self) -> int:
        """The first profile at which the players' payoffs sum to the most."""
        return int(self.payoffs.sum(axis=1).argmax())

    def uniform_rivals(self, player: int) -> Array:
        """[m_i] a player's mean payoff at each own level, rivals drawing levels uniformly."""
        return self.own(player).mean(axis=1)


def assigned_players(
    market: Market, learners: Mapping[str, Learner]
) -> tuple[tuple[str, ...], tuple[Learner, ...], tuple[ParticipantSpec, ...]]:
    """The players in roster order, their learners and specs; InputError if they cannot play."""
    shows = type(market.execution) is Expected and uncertain(market) is not None
    if any(name != "execution" or not shows for name, _ in market.remembering):
        raise InputError(
            f"{market.remembering[0][0]} remembers between ticks: what profiles pay depends on the "
            "past, and the market is no finite game"
        )
    for name, one in learners.items():
        market.spec(name)
        if not isinstance(one, Learner):
            raise InputError(f"{name}: {one!r:.60} has no levels; a finite game is for learners")
    players = tuple(name for name in market.layout.participants if name in learners)
    if not players:
        raise InputError("learners={} must name one or more participants")
    chosen = tuple(learners[name] for name in players)
    specs = tuple(market.spec(name) for name in players)
    for spec, lv in zip(specs, chosen, strict=True):
        lv.check_spec(spec)
        if lv.choices(spec) != 1:
            raise InputError(
                f"{spec.name}: has {lv.choices(spec)} listings and a choice for each; the finite "
                "game needs one choice a player: set scope='firm'"
            )
    return players, chosen, specs


def _moves_first(spec: ParticipantSpec) -> bool:
    period, offset = spec.turn
    return period > 0 and -offset % period == 0


def put_profiles(
    market: Market,
    specs: tuple[ParticipantSpec, ...],
    learners: tuple[Learner, ...],
    levels: IntArray,
    payoffs: Array,
    prices: Array,
    states: IntArray,
) -> None:
    """Put profiles [R, n] to the market, and again in other company, and fill in what they pay."""
    batch = len(levels)
    streams = Streams.of(0, batch)
    state = market.start(batch)
    first = market.first_observation(state, streams.at(0))
    actions = _actions(market, specs, learners, levels, first)
    step = tick(market, state, actions, streams.at(0))
    numbers = [spec.number for spec in specs]
    payoffs[:] = step.reward[:, numbers]
    for i, (spec, lv) in enumerate(zip(specs, learners, strict=True)):
        own = spec.own(step.observation)
        opening = lv.opening_rivals(spec, spec.own(first))
        asked = spec.read(own, "own_ask")
        prices[:, i] = asked.mean(axis=1)
        states[i] = lv.encode(spec, own, opening)[:, 0]
        wrong = lv.level_of(spec, own, asked)[:, 0] != levels[:, i]
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            wanted = lv.grid[levels[at, i]]
            raise InputError(
                f"{spec.name}: the market's rules turn level {wanted:.6g} into another price "
                f"({asked[at, 0]:.6g}): set quotes.tick_size=0, quotes.min_margin=-0.99 and "
                "quotes.max_relative_change=.inf, or levels that its rules allow"
            )
    # Once more from where other profiles have been, at another tick and with other random numbers.
    shifted = np.roll(np.arange(batch), batch // 2)
    other = tick(market, step.state, actions[shifted], Streams.of(1, batch).at(1))
    if not np.array_equal(other.reward[:, numbers], payoffs[shifted]):
        gap = float(np.abs(other.reward[:, numbers] - payoffs[shifted]).max())
        raise InputError(
            f"{market.name}: what a profile pays changes from tick to tick (by up to {gap:.3g}); "
            "a finite game needs expected execution, goods made to order (stock=.inf), constant "
            "references, arrivals of fixed mass and rewards without memory (no volatility)"
        )


def _actions(
    market: Market,
    specs: tuple[ParticipantSpec, ...],
    learners: tuple[Learner, ...],
    levels: IntArray,
    first: Array,
) -> Array:
    """[R, L, A] what everybody does in profiles [R, n], after the first observation [R, ...]."""
    wanted = (len(levels), market.layout.L, market.action_width)
    actions = np.ascontiguousarray(np.broadcast_to(_opening(market), wanted)).copy()
    for i, (spec, lv) in enumerate(zip(specs, learners, strict=True)):
        actions[:, spec.listings] = lv.priced(spec, spec.own(first), levels[:, i : i + 1])
    return actions


def _quotes(
    market: Market,
    specs: tuple[ParticipantSpec, ...],
    learners: tuple[Learner, ...],
    levels: IntArray,
) -> Quotes:
    """The quotes of profiles [R, n]."""
    state = market.start(len(levels))
    first = market.first_observation(state, Streams.of(0, len(levels)).at(0))
    actions = _actions(market, specs, learners, levels, first)
    return market.quotes.admit(market, state, actions, market.everybody)[0]


def _opening(market: Market) -> Array:
    """[L, A] everybody's opening price as an action."""
    low, high = market.quotes.limits(market)
    action = high.copy()
    action[:, 0] = market.opening_prices
    return np.clip(action, low, high)
