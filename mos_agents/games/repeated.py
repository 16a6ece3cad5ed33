"""The repeated game in one compiled loop: tabular learners meet for millions of periods.

The same game as tick by tick, and the same bits: payoffs come from the market (`StageGame`), tables
are corrected by the learners' own functions (`learners.q_learning`), and random numbers have the
same addresses (participant, session, tick). A *session* is one market of the batch from first to
last tick: session s of a seed is the same in any company and in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from mos_agents.games import loops
from mos_agents.games.loops import SessionState
from mos_agents.games.stage_game import StageGame
from mos_agents.learners.q_learning import QLearning, greedy_levels
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams, key_number
from mos_agents.market.types import InputError, IntArray
from mos_agents.policies import Policy

WINDOW = 100_000
"""Periods without a change of any greedy price after which a session has converged."""

READ_BY_THE_LOOP = {"first_table", "discount", "tick_discount", "decay", "tick_decay"}
"""What a subclass of `QLearning` may write itself: the compiled loop calls it, as `act` does."""


def check_compiled(name: str, policy: Policy, remedy: str) -> QLearning:
    """The policy, if the compiled loop plays it; InputError if not.

    The loop has the update and the choices of `QLearning`. A subclass plays with its own fields and
    defaults, but not if it writes a method that the loop would not call.
    """
    kind = policy.kind or type(policy).__name__
    if not isinstance(policy, QLearning):
        raise InputError(
            f"{name}: {kind!r} is not a kind of q_learning, and the compiled game plays no other "
            f"learner; {remedy}"
        )
    parameters = {field.name for field in fields(policy)}
    classes = type(policy).__mro__
    for cls in classes[: classes.index(QLearning)]:
        own = {method for method, written in cls.__dict__.items() if is_method(written)}
        for method in sorted(own - parameters - READ_BY_THE_LOOP):
            if not method.startswith("__") and hasattr(QLearning, method):
                raise InputError(
                    f"{name}: {kind!r} writes its own {method}, and the compiled game has that of "
                    f"q_learning; {remedy}"
                )
    return policy


def is_method(written: Any) -> bool:
    """Whether an entry of a class is a method or a property."""
    return callable(written) or isinstance(written, property | cached_property | classmethod)


@short_repr
@dataclass(frozen=True, eq=False)
class RepeatedGame:
    """A stage game that learners play for millions of periods in one compiled loop.

    It gives the same bits as tick by tick play: payoffs come from the market, tables are corrected
    by the learners' own functions, and random numbers have the same addresses.

    Parameters
    ----------
    stage : StageGame
        What each combination of prices pays.
    learners : tuple of QLearning
        The players' learners.
    """

    stage: StageGame
    learners: tuple[QLearning, ...]

    @classmethod
    def of(cls, market: Market, learners: Mapping[str, QLearning]) -> RepeatedGame:
        """Make the repeated game of some of a market's participants; the others keep their prices.

        Parameters
        ----------
        market : Market
            The market.
        learners : mapping of str to QLearning
            The learner of each player.

        Returns
        -------
        RepeatedGame
            The game.

        Raises
        ------
        InputError
            If the market or a learner cannot be played in the compiled loop.
        """
        for name, one in learners.items():
            check_compiled(name, one, "play it tick by tick with mos_agents.rollout")
            if market.spec(name).turn[0] == 0:
                raise InputError(
                    "schedule: random moves are played tick by tick only; use simultaneous, "
                    "alternating or periodic ones"
                )
        stage = StageGame.of(market, learners)
        made = cls(stage, tuple(learners[name] for name in stage.players))
        for i, (name, learner) in enumerate(zip(stage.players, made.learners, strict=True)):
            learner.start(market.spec(name), 1)
            if learner.payoffs is not None and stage.places is not None:
                raise InputError(
                    f"{name}: q_learning.payoffs does not know which offers are shown; leave it "
                    "out, or set execution.prominence.kind=everything"
                )
            if learner.payoffs is not None and not np.array_equal(learner.payoffs, stage.own(i)):
                raise InputError(
                    f"{name}: q_learning.payoffs are not what this market pays; the compiled game "
                    "knows its own only: give StageGame.own, or play tick by tick"
                )
        return made

    @property
    def n(self) -> int:
        """N, the number of players."""
        return self.stage.n

    def states(self, player: int) -> int:
        """Situations that a player distinguishes."""
        return int(self.stage.state_counts[player]) ** self.learners[player].periods

    def start(self, seed: int, session: int) -> SessionState:
        """A session before its first period."""
        stage, n = self.stage, self.n
        rows = np.array([self.states(i) for i in range(n)], np.int64)
        begin = np.concatenate(([0], rows.cumsum()))
        q = np.full((int(begin[-1]), int(stage.sizes.max())), -np.inf)
        for i, learner in enumerate(self.learners):
            part = q[begin[i] : begin[i + 1], : stage.sizes[i]]
            part[:] = learner.first_table(int(rows[i]))
            if learner.initial_spread > 0.0:
                draws = Streams.of(seed, np.array([session]), owner=stage.players[i]).at(0)
                drawn = draws.uniforms("first table", part.size)
                part[:] += learner.initial_spread * drawn.reshape(part.shape)
        whole, money = np.zeros(n, np.int64), np.zeros(n)
        groups = stage.market.layout.G
        return SessionState(
            q,
            greedy_levels(q),
            stage.first_levels.copy(),
            whole - 1,
            money.copy(),
            money + 1.0,
            whole.copy(),
            stage.first_states.copy(),
            whole.copy(),
            np.array([learner.epsilon for learner in self.learners], np.float64),
            np.zeros(1, np.int64),
            np.full(groups, -1),
            np.zeros(groups),
        )

    def resumed(self, seed: int, played: Any) -> SessionState:
        """The end of one session (a `Played` of one), with its greedy prices and no values."""
        session, level = int(played.session[0]), played.level[0]
        state = self.start(seed, session)
        state.q[:] = 0.0
        state.best[:] = played.best[0]
        for ours, kept in (
            (state.level, level),
            (state.now, played.now[0]),
            (state.before, played.before[0]),
            (state.place, played.place[0]),
            (state.clock, played.periods[0]),
            (state.changed, played.periods[0]),
        ):
            ours[:] = kept
        places = self.stage.places
        for g, holder in enumerate(played.place[0]):
            if places is not None and holder >= 0:
                state.held[g] = places.score[holder, level[places.player[holder]]]
        return state

    def advance(
        self,
        state: SessionState,
        seed: int,
        session: int,
        periods: int,
        window: int = 0,
        trace: IntArray | None = None,
        shown: IntArray | None = None,
        greedy: bool = False,
        tried: IntArray | None = None,
        explore: float | None = None,
        learning: bool = True,
    ) -> int:
        """Play on, in place, to the period `periods` in all, or until converged; periods played.

        window: stop once no greedy level has changed for so many periods; 0 plays to the end.
        trace: [T, n] filled with the levels in force in the first T periods of this call.
        shown: [T] filled with the number of the set of offers shown, where a rule of prominence
        decides. greedy: nobody tries other prices or learns in these periods.
        tried: [T, n] filled with who explored. explore: in these periods everybody explores with
        this chance. learning: whether tables are corrected in these periods.
        """
        stage, n = self.stage, self.n
        tables = stage.places or stage
        game = loops.GameArrays(
            tables.payoffs, tables.states, stage.strides, stage.sizes, stage.state_counts
        )
        places = None if stage.places is None else stage.places.arrays(seed, session)
        learners = self._learner_arrays()
        epsilon = state.epsilon.copy()
        if greedy:
            explore, learning = 0.0, False
        if not learning:
            learners = learners._replace(alpha=np.zeros(n))
        if explore is not None:
            state.epsilon[:] = explore
            learners = learners._replace(decay=np.ones(n), floor=np.zeros(n))
        keys = [Streams.of(seed, 1, owner=name).philox_key for name in stage.players]
        addresses = loops.Addresses(
            np.stack(keys),
            np.uint64(session),
            np.uint64(key_number("explore")),
            np.uint64(key_number("try")),
        )
        pair = places is None or (n == stage.market.layout.L == 2 and places.most == 1)
        two = (
            n == 2
            and pair
            and not learners.synchronous.any()
            and bool((learners.periods == 1).all())
        )
        play = loops.play
        if two and (learners.turns == [[1, 0], [1, 0]]).all():
            play = loops.play_pair
        elif two and places is None and (learners.turns == [[2, 0], [2, 1]]).all():
            play = loops.play_in_turn
        end = max(periods, int(state.clock[0]))
        kept = np.empty((0, n), np.int64) if trace is None else trace
        tries = np.empty((0, n), np.bool_) if tried is None else tried
        told = np.empty(0, np.int64) if shown is None else shown
        draws = np.empty((n, 4))
        play(game, learners, addresses, places, state, end, window, kept, tries, told, draws)
        if explore is not None:
            state.epsilon[:] = epsilon
        return int(state.clock[0])

    def _learner_arrays(self) -> loops.LearnerArrays:
        specs = [self.stage.market.spec(name) for name in self.stage.players]
        rows = np.cumsum([0, *(self.states(i) for i in range(self.n))])
        ours = list(zip(self.learners, specs, strict=True))
        return loops.LearnerArrays(
            rows.astype(np.int64),
            np.array([one.alpha for one in self.learners], np.float64),
            np.array([one.tick_discount(spec) for one, spec in ours], np.float64),
            np.array([one.tick_decay(spec) for one, spec in ours], np.float64),
            np.array([one.epsilon_floor for one in self.learners], np.float64),
            np.array([one.periods for one in self.learners]),
            np.array([spec.turn for spec in specs], np.int64),
            np.array([one.payoffs is not None for one in self.learners]),
        )


__all__ = ["RepeatedGame", "SessionState", "WINDOW"]
