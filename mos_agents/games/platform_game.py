"""A platform that learns whom to recommend, beside sellers that learn what to ask.

The platform is the third player of the repeated game. It chooses before it sees the new prices.
Each of its choices is a market of its own, in which a rule of prominence shows certain offers;
those markets say what every profile of prices pays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mos_agents.games import loops
from mos_agents.games.loops import LastMove, addresses_of, choose
from mos_agents.games.stage_game import StageGame
from mos_agents.learners.q_learning import QLearning, greedy_levels
from mos_agents.market.kernels import inlined, kernel
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams, block, key_number
from mos_agents.market.types import Array, InputError, IntArray, State, Step

CHOOSERS = ("ucb", "epsilon_greedy", "random")
"""How a platform chooses: by upper confidence bounds, by trying at random, or always at random."""
CHECK_EVERY = 100
"""Periods between two looks at the sellers' greedy prices."""


@short_repr
@dataclass(frozen=True, eq=False)
class PlatformPlayed:
    """How a session with a platform ended.

    Parameters
    ----------
    periods : int
        Periods played.
    converged : bool
        Whether the sellers' greedy prices were the same at the last checks.
    counts : array of int [A P]
        How often each outcome was met in the last periods; outcome a P + p is the platform's choice
        a at profile p.
    """

    periods: int
    converged: bool
    counts: IntArray

    def mean(self, values: Array) -> Array:
        """The mean over the last periods of values [A P, ...], such as `PlatformGame.measured`."""
        found: Array = np.tensordot(self.counts / self.counts.sum(), values, axes=1)
        return found


@short_repr
class PlatformArrays(NamedTuple):
    """The platform's learning, as the loop takes it."""

    reward: Array  # [A P]
    chooser: int  # position in CHOOSERS
    alpha: float
    delta: float
    decay: float  # of epsilon, per period
    philox_key: Any
    session: Any
    attempt: Any  # key of its draws: whether it tries a choice, and which


@short_repr
@dataclass(frozen=True, eq=False)
class PlatformGame:
    """Sellers and a platform that meet for millions of periods in one compiled loop.

    Situations are the last profile of prices and the platform's last choice; everybody sees them.
    With one choice only, the sellers alone learn.

    Parameters
    ----------
    stages : tuple of StageGame
        For each of the platform's choices, what every profile pays the sellers.
    rewards : array [A P]
        What the platform is after, by outcome.
    chooser : str
        One of `CHOOSERS`.
    """

    stages: tuple[StageGame, ...]
    rewards: Array
    chooser: str = "ucb"

    def __post_init__(self) -> None:
        if self.chooser not in CHOOSERS:
            raise InputError(f"chooser={self.chooser!r} must be one of {', '.join(CHOOSERS)}")
        for learner in self.learners:
            if (
                type(learner) is not QLearning
                or learner.periods != 1
                or learner.payoffs is not None
            ):
                raise InputError(
                    "a game with a platform is for q_learning with a memory of one period"
                )
        if len(self.rewards) != len(self.stages) * self.profiles:
            raise InputError(
                f"rewards has {len(self.rewards)} rows, must have {len(self.stages)} choices x "
                f"{self.profiles} profiles"
            )

    @property
    def learners(self) -> tuple[QLearning, ...]:
        return self.stages[0].learners  # type: ignore[return-value]

    @property
    def profiles(self) -> int:
        """P, how many profiles of prices there are."""
        return len(self.stages[0].payoffs)

    @cached_property
    def payoffs(self) -> Array:
        """[A P, n] what outcomes pay the sellers."""
        return np.concatenate([stage.payoffs for stage in self.stages])

    def measured(self, measure: Callable[[Market, State, Step], Array]) -> Array:
        """[A P, ...] something of the tick of each outcome; see `StageGame.measured`."""
        return np.concatenate([stage.measured(measure) for stage in self.stages])

    def first_tables(self) -> tuple[Array, Array]:
        """The first values of the sellers [n, m] and of the platform [A].

        The mean over all outcomes with the own choice, for ever.
        """
        stage, discounts = self.stages[0], [one.delta for one in self.learners]
        sellers = [
            np.mean([one.uniform_rivals(i) for one in self.stages], axis=0) / (1.0 - discounts[i])
            for i in range(stage.n)
        ]
        platform = self.rewards.reshape(len(self.stages), -1).mean(axis=1) / (1.0 - discounts[0])
        return np.stack(sellers), platform

    def play(
        self,
        seed: int,
        session: int,
        periods: int = 10_000_000,
        checks: int = 1000,
        tail: int = 100_000,
    ) -> PlatformPlayed:
        """Play one session until the sellers' greedy prices stand still.

        Parameters
        ----------
        seed : int
            Seed of all random numbers.
        session : int
            The session's number.
        periods : int
            The most periods.
        checks : int
            A session ends once greedy prices were the same at so many checks, 100 periods apart.
        tail : int
            Outcomes are counted over so many last periods.

        Returns
        -------
        PlatformPlayed
            How it ended.
        """
        stage, n, choices = self.stages[0], self.stages[0].n, len(self.stages)
        situations = choices * self.profiles
        sellers, own = self.first_tables()
        q = np.repeat(sellers, situations, axis=0)
        best = greedy_levels(q)
        whole, money = np.zeros(n, np.int64), np.zeros(n)
        state = loops.SessionState(
            q=q,
            best=best,
            level=stage.first_levels.copy(),
            row=whole - 1,
            discounted_return=money.copy(),
            discount=money + 1.0,
            changed=whole.copy(),
            now=whole.copy(),
            before=whole.copy(),
            epsilon=money + 1.0,
            clock=np.zeros(1, np.int64),
            place=np.full(1, -1),
            held=np.zeros(1),
        )
        lead = self.learners[0]
        keys = [Streams.of(seed, 1, owner=name).philox_key for name in (*stage.players, "platform")]
        explore, attempt = np.uint64(key_number("explore")), np.uint64(key_number("try"))
        addresses = loops.Addresses(np.stack(keys), np.uint64(session), explore, attempt)
        platform = PlatformArrays(
            self.rewards,
            CHOOSERS.index(self.chooser),
            lead.alpha,
            lead.delta,
            lead.decay,
            (keys[-1][0], keys[-1][1]),
            np.uint64(session),
            attempt,
        )
        alpha, delta, decay = np.array(
            [(one.alpha, one.delta, one.decay) for one in self.learners]
        ).T
        history = np.zeros(tail, np.int32)
        values = np.repeat(own[None], situations, axis=0)
        tried = np.ones((situations, choices))
        end, done = play_with_platform(
            self.payoffs,
            stage.strides,
            stage.sizes,
            alpha,
            delta,
            decay,
            addresses,
            platform,
            state,
            values,
            tried,
            int(periods),
            int(checks),
            history,
        )
        counts = np.bincount(history[: min(end, tail)], minlength=situations)
        return PlatformPlayed(int(end), bool(done), counts)


@inlined
def chosen_by_platform(platform, values, tried, s, t, epsilon):  # type: ignore[no-untyped-def]
    """The platform's choice in situation s, before it sees the new prices."""
    choices = values.shape[1]
    if platform.chooser > 0:
        u0, u1, _, _ = block(
            platform.philox_key, np.uint64(1), np.uint64(t), platform.session, platform.attempt
        )
        if platform.chooser == 2 or u0 < epsilon:
            return min(np.int64(u1 * choices), choices - 1)
    top, found = -np.inf, 0
    reach = 2.0 * np.log(t + 1.0) if platform.chooser == 0 else 0.0
    for a in range(choices):
        bound = values[s, a] + np.sqrt(reach / tried[s, a])
        if bound > top:
            top, found = bound, a
    return found


@kernel
def play_with_platform(  # type: ignore[no-untyped-def]
    payoffs,
    strides,
    sizes,
    alpha,
    delta,
    decay,
    addresses,
    platform,
    state,
    values,
    tried,
    periods,
    checks,
    history,
):
    """Play until greedy prices stand still; the periods played, and whether they do.

    values, tried: [S, A] the platform's values, and how often it has tried each choice.
    history: [T] filled with the outcomes of the last T periods, in a ring.
    """
    n, choices = sizes.shape[0], values.shape[1]
    situations = values.shape[0]
    profiles = situations // choices
    s, profile, same = 0, 0, 0
    for i in range(n):
        profile += state.level[i] * strides[i]
    s = profile
    last_s, last_a, reward, epsilon = -1, 0, 0.0, 1.0
    kept = state.best.copy()
    for t in range(periods):
        a = 0
        if choices > 1:
            if last_s >= 0:
                top = values[s, 0]
                for c in range(1, choices):
                    top = max(top, values[s, c])
                target = reward + platform.delta * top
                old = values[last_s, last_a]
                values[last_s, last_a] = (1.0 - platform.alpha) * old + platform.alpha * target
            a = chosen_by_platform(platform, values, tried, s, t, epsilon)
            tried[s, a] += 1.0
            epsilon *= platform.decay
        profile = 0
        for i in range(n):
            row = i * situations + s
            made = LastMove(state.row[i], state.level[i], state.discounted_return[i], delta[i])
            own = addresses_of(addresses, i)
            u0, u1, u2, u3 = block(
                own.philox_key, np.uint64(1), np.uint64(t >> 2), own.session, own.explore
            )
            word = t & 3
            u = (u0 if word == 0 else u1) if word < 2 else (u2 if word == 2 else u3)
            tries = u < state.epsilon[i]
            level, _ = choose(state, made, row, alpha[i], tries, sizes[i], own, t)
            state.row[i], state.level[i] = row, level
            profile += level * strides[i]
            state.epsilon[i] *= decay[i]
        outcome = a * profiles + profile
        for i in range(n):
            state.discounted_return[i] = payoffs[outcome, i]
        reward, last_s, last_a = platform.reward[outcome], s, a
        s = outcome
        history[t % history.shape[0]] = outcome
        if (t + 1) % CHECK_EVERY == 0:
            equal = True
            for r in range(kept.shape[0]):
                if kept[r] != state.best[r]:
                    equal = False
                    kept[r] = state.best[r]
            same = same + 1 if equal else 0
            if same >= checks:
                return t + 1, True
    return periods, False


def play_platform_sessions(
    game: PlatformGame, seed: int, sessions: Sequence[int], periods: int, checks: int, tail: int
) -> list[PlatformPlayed]:
    """Some sessions, one after another."""
    return [game.play(seed, one, periods, checks, tail) for one in sessions]
