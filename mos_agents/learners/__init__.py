"""What improves a policy: learners that begin with nothing and find out which prices pay.

A learner is a policy with one more verb: `learn(seat, observation, reward, memory, shocks)` hears
of the last tick's reward before `act` chooses again. It has its own observations, its own luck and
its own memory, and shares none of them.
"""

from mos_agents.learners.q_learning import QLearning

__all__ = ["QLearning"]
