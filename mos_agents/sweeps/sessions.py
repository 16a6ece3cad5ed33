"""SessionsTrial of a finite game played to convergence, and how collusive they ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mos_agents.games.repeated import WINDOW, RepeatedGame, check_compiled
from mos_agents.games.sessions import LONGEST, play_sessions
from mos_agents.games.strategies import GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.checks import check_whole
from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario
from mos_agents.sweeps.pricing import collusion_measures, is_profit
from mos_agents.sweeps.trials import BaseTrial, TrialResult, by_participant
from mos_agents.wording import setting


@dataclass(frozen=True)
class SessionsTrial(BaseTrial):
    """A trial that plays learning sessions of Q-learners in compiled play, until they converge.

    Measures are means over the sessions of a seed: `profit_gain`, `rpdi` and `lerner` on the limit
    cycles; shares of sessions whose cycle has length 1, 2 or more; the share that converged, and
    the periods until then (without the window of no change); and the shares in which nobody gains
    by one deviation, or by any other strategy. `price` and `reward` are given for each firm too.
    The scenario's ticks and markets are not used.

    Parameters
    ----------
    sessions : int
        Sessions per seed, >= 1.
    periods : int
        Periods after which a session ends without convergence, >= 1.
    window : int
        Periods without a change of any greedy price that count as convergence, >= 1.
    """

    kind: ClassVar[str] = "sessions"
    headline: ClassVar[tuple[str, ...]] = (
        "profit_gain",
        "rpdi",
        "cycle_1",
        "periods",
        "one_shot_nash",
    )

    sessions: int = 100
    periods: int = LONGEST
    window: int = WINDOW

    def __post_init__(self) -> None:
        for name in ("sessions", "periods", "window"):
            check_whole(name, getattr(self, name), 1)

    def check(self, scenario: Scenario) -> None:
        self._game(scenario)
        for name, learner in _learners(scenario).items():
            if learner.beta == 0.0 and learner.epsilon > 0.0 and self.periods == LONGEST:
                raise InputError(f"{name}: beta=0 explores for ever: set sessions.periods")

    def _game(self, scenario: Scenario) -> RepeatedGame:
        return RepeatedGame.of(scenario.market(), _learners(scenario))

    def __call__(self, scenario: Scenario, seed: int) -> TrialResult:
        game = self._game(scenario)
        market = game.stage.market
        played = play_sessions(
            game,
            seed=seed,
            sessions=self.sessions,
            periods=self.periods,
            window=self.window,
            workers=1,
        )
        greedy = GreedyGame(game, played)
        cycles = greedy.cycles()
        prices, profits = cycles.mean(game.stage.prices), cycles.mean(game.stage.payoffs)
        ended = played.converged
        judged = greedy.judged(cycles)
        collusion, notes = collusion_measures(
            market, prices, profits if is_profit(market) else None
        )
        if not ended.all():
            notes.append(f"{int((~ended).sum())} of {len(ended)} sessions did not converge")
        measures: dict[str, Any] = {
            **collusion,
            **{f"cycle_{length}": (cycles.length == length).mean() for length in (1, 2)},
            "cycle_longer": (cycles.length > 2).mean(),
            "converged": ended.mean(),
            "periods": (played.periods[ended] - self.window).mean() if ended.any() else np.nan,
            "one_shot_nash": judged.one_shot_nash().mean(),
            "exact_nash": judged.exact_nash().mean(),
        }
        means = {"price": prices.mean(axis=0), "reward": profits.mean(axis=0)}
        layout = market.layout
        return TrialResult.of(
            measures | by_participant(means, layout.participants, layout.roles), tuple(notes)
        )


def _learners(scenario: Scenario) -> dict[str, QLearning]:
    """Everybody's policies; InputError unless all of them learn in the compiled game."""
    remedy = f"leave {setting('sessions')} out to play tick by tick"
    return {
        name: check_compiled(name, policy, remedy) for name, policy in scenario.policies().items()
    }
