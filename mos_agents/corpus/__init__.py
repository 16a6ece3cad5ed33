"""A labelled corpus of simulated markets, on which the screens' error rates are measured."""

from mos_agents.corpus.markets import Conditions
from mos_agents.corpus.shocks import Shocks
from mos_agents.corpus.worlds import WORLDS, LabelledMarket, World, generate

__all__ = ["WORLDS", "Conditions", "LabelledMarket", "Shocks", "World", "generate"]
