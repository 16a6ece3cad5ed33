"""Sellers without a state whose profit depends on the lowest rival price alone.

Five sellers with a hundred prices have 10^10 combinations of prices, and no table of them. Where
the cheapest serves everybody, a seller's profit is a function of its own price, the lowest price of
the others and how many of them ask it. `LowestPriceGame` keeps a table of that function, which the
market fills in, and plays the same learners with the same random numbers as `RepeatedGame`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mos_agents.games import loops
from mos_agents.games.loops import LastMove, addresses_of, choose, four_draws
from mos_agents.games.stage_game import assigned_players, put_profiles
from mos_agents.learners.q_learning import QLearning, correct, greedy_levels, value
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.schedules import Simultaneous
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams, key_number
from mos_agents.market.types import Array, InputError, IntArray

TRIED = 2000
"""Combinations of prices drawn to see whether profits are such a function."""


@short_repr
class Tables(NamedTuple):
    """The learners' tables, as `choose` takes them; one row for each learner."""

    q: Array  # [n, m]
    best: IntArray  # [n]


@short_repr
@dataclass(frozen=True, eq=False)
class LowestPricePlayed:
    """How a session ended.

    Parameters
    ----------
    level : array of int [n]
        The greedy price of each seller, as a position in the grid.
    periods : int
        Periods played, the window without a change included.
    converged : bool
        Whether no greedy price changed for the window.
    """

    level: IntArray
    periods: int
    converged: bool


@short_repr
@dataclass(frozen=True, eq=False)
class LowestPriceGame:
    """A price game of n alike Q-learners without a state, for any n.

    Parameters
    ----------
    players : tuple of str
        The n players.
    learner : QLearning
        The learner that each of them is.
    payoffs : array [m, m, n - 1]
        Reward by own price, lowest price of the others, and how many of them ask it, less one.
    first : array of int [n]
        The prices of the grid nearest to the opening quotes.
    synchronous : bool
        Whether every price is corrected in each period, by what it would have earned.
    """

    players: tuple[str, ...]
    learner: QLearning
    payoffs: Array
    first: IntArray
    synchronous: bool

    @classmethod
    def of(cls, market: Market, learner: QLearning, synchronous: bool = False) -> LowestPriceGame:
        """Make the game of a market in which everybody is this learner.

        Parameters
        ----------
        market : Market
            The market.
        learner : QLearning
            The learner; without a state, and without `payoffs`.
        synchronous : bool, optional
            Whether every price is corrected in each period.

        Returns
        -------
        LowestPriceGame
            The game.

        Raises
        ------
        InputError
            If profits depend on more than the lowest price of the others, or the learner has a
            state.
        """
        if learner.features != "nothing" or learner.payoffs is not None:
            raise InputError(
                "a game of lowest prices is for q_learning without a state: set features='nothing' "
                "and leave payoffs out"
            )
        if not isinstance(market.schedule, Simultaneous):
            raise InputError("a game of lowest prices is for sellers that move together")
        learners = dict.fromkeys(market.layout.participants, learner)
        players, chosen, specs = assigned_players(market, learners)
        n, m = len(players), learner.grid.size
        if n < 2:
            raise InputError("a game of lowest prices needs two or more players")

        def paid(levels: IntArray) -> Array:
            pay, prices = np.empty(levels.shape), np.empty(levels.shape)
            states = np.empty((n, len(levels)), np.int64)
            put_profiles(market, specs, chosen, levels, pay, prices, states)
            return pay

        payoffs = np.empty((m, m, n - 1))
        for count in range(1, n):
            own, lowest = (axis.ravel() for axis in np.indices((m, m)))
            levels = np.full((m * m, n), m - 1)
            levels[:, 0], levels[:, 1 : 1 + count] = own, lowest[:, None]
            payoffs[:, :, count - 1] = paid(levels)[:, 0].reshape(m, m)
        made = cls(players, learner, payoffs, _first_levels(market, learner, specs), synchronous)
        drawn = np.random.default_rng(0).integers(0, m, (TRIED, n))
        drawn[::2] = drawn[::2, :1] + drawn[::2] % 2  # equal and neighbouring prices as well
        drawn = np.minimum(drawn, m - 1)
        if not np.array_equal(paid(drawn), made.earned(drawn)):
            raise InputError(
                f"{market.name}: profits depend on more than the own price and the lowest of the "
                "others; play fewer sellers with RepeatedGame"
            )
        return made

    def earned(self, levels: IntArray) -> Array:
        """[..., n] what prices [..., n], as positions in the grid, pay everybody."""
        found = np.empty(np.shape(levels))
        for i in range(len(self.players)):
            others = np.delete(levels, i, axis=-1)
            lowest = others.min(axis=-1)
            count = (others == lowest[..., None]).sum(axis=-1)
            found[..., i] = self.payoffs[levels[..., i], lowest, count - 1]
        return found

    def play(self, seed: int, session: int, periods: int, window: int) -> LowestPricePlayed:
        """Play one session until no greedy price has changed for the window.

        Parameters
        ----------
        seed : int
            Seed of all random numbers.
        session : int
            The session's number.
        periods : int
            The most periods.
        window : int
            Periods without a change of any greedy price.

        Returns
        -------
        LowestPricePlayed
            How it ended.
        """
        n, one = len(self.players), self.learner
        q = np.repeat(one.first_table(1), n, axis=0)
        if one.initial_spread > 0.0:
            for i, name in enumerate(self.players):
                draws = Streams.of(seed, np.array([session]), owner=name).at(0)
                q[i] += one.initial_spread * draws.uniforms("first table", q.shape[1])[0]
        keys = [Streams.of(seed, 1, owner=name).philox_key for name in self.players]
        addresses = loops.Addresses(
            np.stack(keys),
            np.uint64(session),
            np.uint64(key_number("explore")),
            np.uint64(key_number("try")),
        )
        tables = Tables(q, greedy_levels(q))
        end, last = play_lowest(
            self.payoffs,
            addresses,
            tables,
            self.first.copy(),
            (one.alpha, one.delta, one.decay, one.epsilon, one.epsilon_floor),
            self.synchronous,
            periods,
            window,
        )
        return LowestPricePlayed(
            q.argmax(axis=1), int(end), bool(window and end - int(last) >= window)
        )


def _first_levels(market: Market, learner: QLearning, specs: Sequence[ParticipantSpec]) -> IntArray:
    """[n] the prices of the grid nearest to the opening quotes."""
    observed = market.first_observation(market.start(1), Streams.of(0, 1).at(0))
    levels = []
    for spec in specs:
        own = spec.own(observed)
        levels.append(learner.level_of(spec, own, spec.read(own, "own_ask"))[0, 0])
    return np.array(levels, np.int64)


@kernel
def play_lowest(  # type: ignore[no-untyped-def]
    payoffs, addresses, tables, level, learning, synchronous, periods, window
):
    """Play to the end, in place; the periods played, and when a greedy price last changed.

    level: [n] the prices in force. learning: alpha, delta, decay, epsilon and its floor.
    """
    alpha, delta, decay, epsilon, floor = learning
    n, m = tables.q.shape
    old, row = level.copy(), np.full(n, -1)
    reward, discount = np.zeros(n), np.ones(n)
    last = 0
    for t in range(periods):
        word = t & 3
        old[:] = level
        for i in range(n):
            own = addresses_of(addresses, i)
            if synchronous and t > 0:
                top = value(tables.q, tables.best, i)
                lowest, count = lowest_of_others(old, i, m)
                for a in range(m):
                    target = payoffs[a, lowest, count - 1] + delta * top
                    if correct(tables.q, tables.best, i, a, target, alpha):
                        last = t
            tries = False
            if epsilon > 0.0:
                u0, u1, u2, u3 = four_draws(own, t)
                u = (u0 if word == 0 else u1) if word < 2 else (u2 if word == 2 else u3)
                tries = u < epsilon
            made = LastMove(-1 if synchronous else row[i], level[i], reward[i], discount[i])
            level[i], new = choose(tables, made, i, alpha, tries, m, own, t)
            row[i] = i
            if new:
                last = t
        for i in range(n):
            lowest, count = lowest_of_others(level, i, m)
            reward[i], discount[i] = payoffs[level[i], lowest, count - 1], delta
        epsilon = max(epsilon * decay, floor)
        if window > 0 and t - last >= window:
            return t + 1, last
    return periods, last


@kernel
def lowest_of_others(level, i, m):  # type: ignore[no-untyped-def]
    """The lowest price of the players but i, and how many of them ask it."""
    lowest, count = m, 0
    for j in range(level.shape[0]):
        if j != i:
            if level[j] < lowest:
                lowest, count = level[j], 1
            elif level[j] == lowest:
                count += 1
    return lowest, count


def play_lowest_sessions(
    game: LowestPriceGame, seed: int, sessions: Sequence[int], periods: int, window: int
) -> list[LowestPricePlayed]:
    """Some sessions, one after another."""
    return [game.play(seed, one, periods, window) for one in sessions]
