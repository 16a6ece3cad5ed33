"""Screens on learners that compete: without a future, told everything, or put among strangers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from experiments.calvano_2020.run import CalvanoSettings, benchmarks, learners, market
from mos_agents.analysis import controls
from mos_agents.analysis.impulse import Deviation
from mos_agents.analysis.screens import (
    CollusivePricing,
    PriceWar,
    SessionPaths,
    fall_together,
    false_alarm_rate,
    logit_best_reply,
)
from mos_agents.games.deviations import deviate
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played, play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import GreedyGame

MANY = 200
LEARNERS = CalvanoSettings(levels=12, beta=5e-5, window=10_000, sessions=MANY)
KNOWN = benchmarks(LEARNERS)
REPLY = logit_best_reply(2.0, 1.0, 0.25)


@dataclass(frozen=True)
class LearnerGroup:
    """Learners of one kind, and how their sessions ended."""

    game: RepeatedGame
    played: Played

    @classmethod
    def of(cls, settings: CalvanoSettings, synchronous: bool = False) -> LearnerGroup:
        place = market(settings)
        firms = learners(settings, place)
        if synchronous:  # told at every tick what each price would have earned
            stage = StageGame.of(place, firms)
            firms = {
                name: replace(
                    one, features="nothing", payoffs=tuple(map(tuple, stage.own(i).tolist()))
                )
                for i, (name, one) in enumerate(firms.items())
            }
        game = RepeatedGame.of(place, firms)
        return cls(
            game,
            play_sessions(game, sessions=settings.sessions, window=settings.window, per_task=25),
        )

    def among_strangers(self) -> LearnerGroup:
        """The second firm of each session meets the first of the next."""
        best, level, rows = self.played.best.copy(), self.played.level.copy(), self.game.states(0)
        best[:, rows:] = np.roll(best[:, rows:], 1, axis=0)
        level[:, 1] = np.roll(level[:, 1], 1)
        now = self.game.stage.states[:, self.game.stage.profile(level)].T
        changes = {"best": best, "level": level, "now": now, "before": now}
        return replace(self, played=replace(self.played, **changes))

    def learnt(self) -> tuple[SessionPaths, int]:
        """What was learnt, played on, and a cut by the first firm; sessions in which it cannot cut,
        because it gives its best reply already, are left out and counted."""
        greedy = GreedyGame(self.game, self.played)
        cycles, stage = greedy.cycles(), self.game.stage
        cut = deviate(greedy, cycles, 0, lead=30, ticks=100)
        session, one = np.unique(cut.session, return_index=True)
        path = greedy.paths(cycles, 400, at=cycles.start[session]).T
        if not session.size:
            return SessionPaths(stage.prices[greedy.paths(cycles, 400).T], KNOWN), MANY
        pair = Deviation(
            cut.prices[:, one],
            cut.undeviated_prices[:, one],
            cut.profits[:, one],
            cut.undeviated_profits[:, one],
            cut.shock,
            0,
        )
        seen = SessionPaths(stage.prices[path], KNOWN, stage.payoffs[path], pair, 1.0, 1.0, REPLY)
        return seen, MANY - session.size

    def learning(self, sessions: int = 50, ticks: int = 1000):
        """[T, S, N] prices while one move in a hundred is a try."""
        begin = int(np.log(100.0) / LEARNERS.beta)
        prices = np.empty((ticks, sessions, 2))
        for s in range(sessions):
            state, trace = self.game.start(0, s), np.empty((ticks, 2), np.int64)
            self.game.advance(state, 0, s, begin)
            self.game.advance(state, 0, s, begin + ticks, trace=trace)
            prices[:, s] = self.game.stage.prices[self.game.stage.profile(trace)]
        return prices


@pytest.fixture(scope="module")
def patient():
    return LearnerGroup.of(LEARNERS)


@pytest.fixture(scope="module")
def myopic():
    return LearnerGroup.of(replace(LEARNERS, delta=0.0))


def test_learners_without_a_future_are_flagged_as_colluding_at_most_in_5_per_cent(patient, myopic):
    seen, left_out = myopic.learnt()
    assert left_out < 0.2 * MANY
    found = false_alarm_rate(CollusivePricing(), seen)
    assert found.at_most(0.05), str(found)
    # The first threshold that comes to mind is wrong: steps of the grid alone earn a quarter.
    assert false_alarm_rate(CollusivePricing(threshold=0.25), seen).rate > 0.1
    assert CollusivePricing()(patient.learnt()[0]).mean() > 0.5


def test_of_strangers_with_patient_strategies_a_tenth_at_most_are_flagged(patient):
    found = false_alarm_rate(CollusivePricing(), patient.among_strangers().learnt()[0])
    assert found.at_most(0.1), str(found)


def test_learners_who_are_told_what_every_price_would_have_earned_are_never_flagged():
    found = LearnerGroup.of(replace(LEARNERS, beta=1e-3, window=1000), synchronous=True)
    seen, left_out = found.learnt()
    assert left_out == MANY  # everybody gives its best reply: a cut cannot be forced
    assert not fall_together(seen).any()
    assert not PriceWar()(replace(seen, cost=1.0)).any()


def test_firms_of_different_sessions_wage_no_war_while_learning(patient):
    apart = SessionPaths(controls.mixed_sessions(patient.learning(MANY), seed=0), KNOWN)
    for reference in ("shift", "repair"):
        found = false_alarm_rate(partial(fall_together, reference=reference), apart)
        assert found.at_most(0.05), str(found)


def test_learners_without_a_future_fall_together_too(myopic):
    """They answer a cut by their best reply: a war alone says nothing of collusion."""
    assert fall_together(SessionPaths(myopic.learning(), KNOWN)).mean() > 0.3
