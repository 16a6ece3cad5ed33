"""What the sellers have come to do: greedy strategies played out, and judged by what they forgo.

Once exploration is off, everybody's price follows from the last prices. Such play ends in a cycle;
what is earned on the cycle, what a deviation from it would bring, and what the best reply to the
others' strategies would earn are all exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played
from mos_agents.learners.greedy import GreedyPolicy
from mos_agents.market.frames import Framed
from mos_agents.market.kernels import kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import Policy

MOST_STEPS = 10_000_000
"""Steps within which play must have come round."""


@short_repr
@dataclass(frozen=True, eq=False)
class Cycles:
    """The limit cycles in which the play of S sessions ends.

    `profile[start[s] : start[s + 1]]` is one round of session s. Lengths are in ticks: where moves
    alternate, a price that both hold is a cycle of length 1. Its points still are those of a whole
    round of the schedule, so that every player is on the move once.

    Parameters
    ----------
    length : array of int [S]
        Length of each cycle, in ticks.
    start : array of int [S + 1]
        Where each session's points begin in the arrays below.
    profile : array of int
        The profile (combination of prices) at each point of all cycles.
    before : array of int
        The profile one tick earlier.
    phase : array of int
        The tick modulo the length of the schedule.
    """

    length: IntArray  # [S]
    start: IntArray  # [S + 1]
    profile: IntArray  # [points of all cycles]
    before: IntArray  # [points of all cycles] the profile one tick earlier
    phase: IntArray  # [points of all cycles] tick modulo the schedule's length

    def mean(self, values: Array) -> Array:
        """Average values over each session's cycle.

        Parameters
        ----------
        values : array [P, ...]
            A value for each profile, such as `StageGame.payoffs`.

        Returns
        -------
        array [S, ...]
            The mean over each cycle, in the unit of the values.
        """
        totals = np.add.reduceat(values[self.profile], self.start[:-1], axis=0)
        points = np.diff(self.start).reshape(-1, *[1] * (totals.ndim - 1))
        means: Array = totals / points
        return means


@short_repr
@dataclass(frozen=True, eq=False)
class GreedyGame:
    """A repeated game whose players neither learn nor explore.

    Parameters
    ----------
    game : RepeatedGame
        The game.
    played : Played
        The sessions whose strategies are played.
    """

    game: RepeatedGame
    played: Played

    def __post_init__(self) -> None:
        places = self.game.stage.places
        if places is not None and places.has_state:
            raise InputError(
                "execution.prominence: who is shown depends on the past, and play need not come to "
                "a cycle; play on with RepeatedGame.advance(..., greedy=True)"
            )

    @property
    def phases(self) -> int:
        """Ticks after which the schedule repeats itself."""
        specs = [self.game.stage.market.spec(name) for name in self.game.stage.players]
        return math.lcm(*(spec.turn[0] for spec in specs))

    def _arrays(self) -> StrategyArrays:
        game, stage = self.game, self.game.stage
        specs = [stage.market.spec(name) for name in stage.players]
        rows = np.concatenate(([0], np.cumsum([game.states(i) for i in range(game.n)])))
        return StrategyArrays(
            stage.states,
            stage.strides,
            stage.sizes,
            stage.state_counts,
            rows.astype(np.int64),
            np.array([one.periods for one in game.learners], np.int64),
            np.array([spec.turn for spec in specs], np.int64),
        )

    def cycles(self) -> Cycles:
        """Find the cycle in which the play of each session ends.

        Returns
        -------
        Cycles
            The cycles, from where each session stood.

        Raises
        ------
        InputError
            If a session has no cycle within `MOST_STEPS` ticks.
        """
        stage, played, phases = self.game.stage, self.played, self.phases
        profile = played.level @ stage.strides
        before = self._profile_before(profile)
        parts = []
        for s in range(len(played)):
            found = cycle(
                played.best[s],
                int(profile[s]),
                int(before[s]),
                int(played.periods[s]),
                phases,
                MOST_STEPS,
                self._arrays(),
            )
            if len(found) == 0:
                raise InputError(f"session {played.session[s]}: no cycle in {MOST_STEPS:,} ticks")
            parts.append(found)
        points = np.array([len(p) for p in parts])
        # Where moves alternate, prices that all stand still come round at once.
        still = np.array([(p[:, 0] == p[0, 0]).all() for p in parts])
        length = np.where(still, 1, points)
        whole = np.concatenate(parts)
        start = np.concatenate(([0], points.cumsum()))
        return Cycles(length, start, whole[:, 0], whole[:, 1], whole[:, 2])

    def policies(self) -> dict[str, Policy]:
        """The strategies as policies by player's name, for any loop, environment or measure.

        Of a batch of S markets, market s plays session s. They begin at the market's opening
        prices, not where the sessions stood, so that play may end in another cycle.
        """
        found: dict[str, Policy] = {}
        begin = 0
        for i, (name, learner) in enumerate(
            zip(self.game.stage.players, self.game.learners, strict=True)
        ):
            memory = learner.start(self.game.stage.market.spec(name), len(self.played))
            best = self.played.best[:, begin : begin + self.game.states(i)].reshape(-1)
            q = np.zeros_like(memory.q)
            q[np.arange(best.size), best] = 1.0
            found[name] = GreedyPolicy.of(
                learner, memory._replace(q=q, best=best.astype(memory.best.dtype))
            )
            begin += self.game.states(i)
        return found

    def _profile_before(self, profile: IntArray) -> IntArray:
        """The profile before the last one, as far as anybody remembers it."""
        before = profile.copy()
        if all(one.periods == 1 for one in self.game.learners):
            return before  # nobody does
        stage = self.game.stage
        for s in range(len(self.played)):
            fits = (stage.states == self.played.before[s][:, None]).all(axis=0)
            if fits.any():
                before[s] = int(np.flatnonzero(fits)[0])
        return before

    def paths(
        self, cycles: Cycles, ticks: int, forced: IntArray | None = None, at: IntArray | None = None
    ) -> IntArray:
        """[D, ticks] profiles played on from points of the cycles, by default from all of them.

        at: [D] positions in `cycles.profile`: the profile that stood before the first tick.
        forced: [D, ticks, n] levels that a player asks whatever its strategy says; -1 leaves it.
        """
        points = np.arange(len(cycles.profile)) if at is None else np.asarray(at)
        session = np.searchsorted(cycles.start, points, side="right") - 1
        out = np.empty((len(points), ticks), np.int64)
        none = np.full((1, 1, self.game.n), -1, np.int64)
        follow(
            out,
            self.played.best,
            session,
            cycles.profile[points],
            cycles.before[points],
            cycles.phase[points],
            none if forced is None else forced,
            self._arrays(),
        )
        return out

    # --- is it an equilibrium? --------------------------------------------------------------------

    def values(
        self, player: int, session: int, best_reply: bool, tolerance: float = 1e-12
    ) -> Array:
        """[P, phases] discounted rewards to come, while a profile stands before a phase's tick.

        With `best_reply` those of the best reply to the others' strategies (value iteration), else
        those of the player's own strategy. The error is at most `tolerance` times the largest.
        """
        if any(one.periods != 1 for one in self.game.learners):
            raise InputError("exact values are for memories of one period; set periods=1")
        stage, learner = self.game.stage, self.game.learners[player]
        delta = learner.tick_discount(stage.market.spec(stage.players[player]))
        if not delta < 1.0:
            raise InputError(f"delta={learner.delta} must be < 1: the sum of rewards is not finite")
        successors, own = moves(
            self.played.best[session], player, self.phases, len(stage.payoffs), self._arrays()
        )
        return evaluate(
            successors,
            own,
            np.ascontiguousarray(stage.payoffs[:, player]),
            delta,
            best_reply,
            tolerance,
        )

    def judged(self, cycles: Cycles) -> Judgement:
        """Both equilibrium tests for every session and player, on the limit cycle."""
        stage, n, S = self.game.stage, self.game.n, len(self.played)
        one_shot, loss, gap = (np.zeros((S, n)) for _ in range(3))
        for s in range(S):
            on = slice(cycles.start[s], cycles.start[s + 1])
            profile, phase = cycles.profile[on], cycles.phase[on]
            for i in range(n):
                spec, pay = stage.market.spec(stage.players[i]), stage.payoffs[:, i]
                delta = self.game.learners[i].tick_discount(spec)
                successors, own = moves(
                    self.played.best[s], i, self.phases, len(pay), self._arrays()
                )
                arguments = (successors, own, np.ascontiguousarray(pay), delta)
                follows = evaluate(*arguments, False, 1e-12)
                best = evaluate(*arguments, True, 1e-12)
                stands = follows[profile, phase]
                after = successors[profile, phase]  # [T, m]
                next_phase = (phase + 1) % self.phases
                once = (pay[after] + delta * follows[after, next_phase[:, None]]).max(axis=1)
                scale = max(1e-300, np.abs(follows).max())
                one_shot[s, i] = ((once - stands) / scale).max()
                gap[s, i] = (best[profile, phase] - stands).mean()
                base = np.abs(best[profile, phase]).mean()
                loss[s, i] = gap[s, i] / base if base > 0.0 else 0.0
        return Judgement(one_shot, loss, gap)


@short_repr
@dataclass(frozen=True, eq=False)
class Judgement(Framed):
    """How far sessions are from equilibrium on their limit cycles.

    Parameters
    ----------
    one_shot : array [S, n]
        The largest gain from deviating once and then following the own strategy again, relative to
        the largest value.
    loss : array [S, n]
        Value forgone against the exact best reply, relative to the value of the best reply.
    gap : array [S, n]
        The same in money. Its sum over players is NashConv.
    """

    row_name: ClassVar[str] = "session"

    one_shot: Array
    loss: Array
    gap: Array

    def one_shot_nash(self, tolerance: float = 1e-9) -> Any:
        """[S] whether no player gains by deviating once."""
        return (self.one_shot <= tolerance).all(axis=1)

    def exact_nash(self, tolerance: float = 1e-9) -> Any:
        """[S] whether everybody plays a best reply to the others' strategies."""
        return (self.loss <= tolerance).all(axis=1)

    @property
    def nash_conv(self) -> Array:
        """[S] NashConv, the sum over players of what the best reply would add."""
        total: Array = self.gap.sum(axis=1)
        return total


# --- play without learning ------------------------------------------------------------------------


@short_repr
class StrategyArrays(NamedTuple):
    """What n players' strategies are read by."""

    states: IntArray  # [n, P] the situation that a profile leaves to each player
    strides: IntArray  # [n] of each player's level in a profile's number
    sizes: IntArray  # [n] levels of each player
    counts: IntArray  # [n] situations that one period can leave to each player
    begin: IntArray  # [n + 1] first row of each player's strategy
    periods: IntArray  # [n] past periods that a state holds
    turns: IntArray  # [n, 2] period and offset of each one's moves


@kernel
def step(best, profile, before, t, arrays, forced):  # type: ignore[no-untyped-def]
    """The profile after tick t; forced is [n], -1 leaves a player to its strategy."""
    after = profile
    for i in range(arrays.sizes.shape[0]):
        if (t - arrays.turns[i, 1]) % arrays.turns[i, 0] != 0:
            continue
        level = forced[i]
        if level < 0:
            row = arrays.begin[i] + arrays.states[i, profile]
            if arrays.periods[i] == 2:
                now = arrays.states[i, profile] * arrays.counts[i]
                row = arrays.begin[i] + now + arrays.states[i, before]
            level = best[row]
        own = (profile // arrays.strides[i]) % arrays.sizes[i]
        after += (level - own) * arrays.strides[i]
    return after


@kernel
def cycle(best, profile, before, t, phases, most, arrays):  # type: ignore[no-untyped-def]
    """[length, 3] profile, profile before and phase around the limit cycle (Brent 1980); or empty.

    A point of the cycle is what stands before the tick t, and t modulo the phases.
    """
    free = np.full(arrays.sizes.shape[0], -1)
    deep = arrays.periods.max() == 2
    x, w, slow_x, slow_w, slow_t = profile, before, profile, before, t
    power, length = 1, 0
    for _ in range(most):
        x, w, t = step(best, x, w, t, arrays, free), x, t + 1
        length += 1
        if x == slow_x and (w == slow_w or not deep) and (t - slow_t) % phases == 0:
            break
        if length == power:
            slow_x, slow_w, slow_t = x, w, t
            power, length = 2 * power, 0
    else:
        return np.empty((0, 3), np.int64)
    found = np.empty((length, 3), np.int64)
    for k in range(length):
        found[k, 0], found[k, 1], found[k, 2] = x, w, t % phases
        x, w, t = step(best, x, w, t, arrays, free), x, t + 1
    return found


@kernel
def follow(out, best, session, profile, before, phase, forced, arrays):  # type: ignore[no-untyped-def]
    """Fill in paths [D, T] from [D] starting points."""
    free = np.full(arrays.sizes.shape[0], -1)
    for d in range(out.shape[0]):
        own = best[session[d]]
        x, w = profile[d], before[d]
        for k in range(out.shape[1]):
            pressed = forced[d, k] if d < forced.shape[0] and k < forced.shape[1] else free
            x, w = step(own, x, w, phase[d] + k, arrays, pressed), x
            out[d, k] = x


@kernel
def moves(best, player, phases, n_profiles, arrays):  # type: ignore[no-untyped-def]
    """Where each profile can lead: successors [P, phases, m] by own level, and own [P, phases].

    Where the player is not on the move, every level leads to the same profile.
    """
    m, stride = arrays.sizes[player], arrays.strides[player]
    period, offset = arrays.turns[player, 0], arrays.turns[player, 1]
    successors = np.empty((n_profiles, phases, m), np.int64)
    own = np.empty((n_profiles, phases), np.int64)
    free = np.full(arrays.sizes.shape[0], -1)
    for x in range(n_profiles):
        for t in range(phases):
            after = step(best, x, x, t, arrays, free)
            chosen = (after // stride) % m
            own[x, t] = chosen
            on_move = (t - offset) % period == 0
            for a in range(m):
                successors[x, t, a] = after + ((a - chosen) * stride if on_move else 0)
    return successors, own


@kernel
def evaluate(successors, own, pay, delta, best_reply, tolerance):  # type: ignore[no-untyped-def]
    """[P, phases] values: of the own strategy, or of the best reply to the others'.

    Policies are improved and evaluated in turn, in place, until no value moves by more than the
    tolerance (modified policy iteration, Puterman and Shin 1978).
    """
    n_profiles, phases, m = successors.shape
    values = np.zeros((n_profiles, phases))
    choice = own.copy()
    reach = tolerance * (np.abs(pay).max() / (1.0 - delta) + 1e-300) * (1.0 - delta)
    while True:
        moved = 0.0
        if best_reply:
            for x in range(n_profiles):
                for t in range(phases):
                    later = (t + 1) % phases
                    top, at = -np.inf, choice[x, t]
                    for a in range(m):
                        y = successors[x, t, a]
                        value = pay[y] + delta * values[y, later]
                        if value > top:
                            top, at = value, a
                    choice[x, t] = at
                    moved = max(moved, abs(top - values[x, t]))
                    values[x, t] = top
            if moved <= reach:
                return values
        for _ in range(50):
            swept = 0.0
            for x in range(n_profiles):
                for t in range(phases):
                    y = successors[x, t, choice[x, t]]
                    value = pay[y] + delta * values[y, (t + 1) % phases]
                    swept = max(swept, abs(value - values[x, t]))
                    values[x, t] = value
            if swept <= reach:
                break
        if not best_reply and swept <= reach:
            return values
