"""Repeated games in a compiled loop: a market as a finite game, and learners who play it."""

from mos_agents.games.deviations import DeviationPaths, deviate
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import Played, play_sessions
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import Cycles, GreedyGame, Judgement
from mos_agents.games.trials import TrialSessions, TriedPaths, play_trials

__all__ = [
    "Cycles",
    "GreedyGame",
    "Judgement",
    "DeviationPaths",
    "Played",
    "RepeatedGame",
    "StageGame",
    "TrialSessions",
    "TriedPaths",
    "deviate",
    "play_sessions",
    "play_trials",
]
