"""Learners: policies that update themselves from their own rewards.

A learner has one more method than a policy: `learn(spec, observation, reward, memory, draws)`
receives the last tick's reward before `act` chooses again. Each learner has its own observations,
random numbers and memory.
"""

from mos_agents.learners.base import Clocks, Learner, Memory, Moves, TabularLearner
from mos_agents.learners.boltzmann import Boltzmann
from mos_agents.learners.epsilon_greedy_bandit import EpsilonGreedyBandit
from mos_agents.learners.exp3 import Exp3
from mos_agents.learners.greedy import GreedyPolicy
from mos_agents.learners.hedge import Hedge
from mos_agents.learners.network import Categorical, Gaussian, Layer, Network, QValues, Signature
from mos_agents.learners.network_files import load_network, save_network
from mos_agents.learners.price_grid import PriceGrid
from mos_agents.learners.q_learning import QLearning
from mos_agents.learners.sarsa import Sarsa
from mos_agents.learners.saving import load, save
from mos_agents.learners.thompson import Thompson
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.learners.ucb import UCB1
from mos_agents.learners.wolf import WolfPHC

LEARNERS = (
    "q_learning",
    "sarsa",
    "boltzmann",
    "wolf_phc",
    "bandit_epsilon_greedy",
    "ucb1",
    "exp3",
    "thompson",
    "hedge",
)
"""The kinds by which scenarios name the learners. `greedy` plays what a learner has learnt, and
`network` plays a network that another library has trained."""

__all__ = [
    "LEARNERS",
    "Boltzmann",
    "Categorical",
    "Clocks",
    "EpsilonGreedyBandit",
    "Exp3",
    "GreedyPolicy",
    "Gaussian",
    "Hedge",
    "Layer",
    "Learner",
    "Memory",
    "Moves",
    "Network",
    "PriceGrid",
    "QLearning",
    "QValues",
    "Sarsa",
    "Signature",
    "TabularLearner",
    "Thompson",
    "TrainedNetwork",
    "UCB1",
    "WolfPHC",
    "load",
    "load_network",
    "save",
    "save_network",
]
