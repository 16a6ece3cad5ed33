"""A duopoly with one product as a PettingZoo environment, against PettingZoo's own rps_v2.

The floor is a `ParallelEnv` with two agents that does nothing but hand out its dictionaries.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from envs import retail_v0
from experiments.benchmarks.timing import BenchmarkLine, Work, rates

STEPS = 1000


class Nothing(ParallelEnv[str, Any, Any]):
    """Two agents, and nothing happens."""

    metadata = {"name": "nothing_v0"}  # noqa: RUF012 - PettingZoo's own way to say it

    def __init__(self) -> None:
        self.possible_agents = ["platform", "firm_1"]
        self.agents = self.possible_agents[:]
        self.space = spaces.Box(0.0, 1.0, (1,))
        self.seen = np.zeros(1)

    def observation_space(self, agent: str) -> spaces.Box:
        return self.space

    def action_space(self, agent: str) -> spaces.Box:
        return self.space

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        self.agents = self.possible_agents[:]
        return dict.fromkeys(self.agents, self.seen), {a: {} for a in self.agents}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        agents = self.agents
        return (
            dict.fromkeys(agents, self.seen),
            dict.fromkeys(agents, 0.0),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, False),
            {a: {} for a in agents},
        )


def rock_paper_scissors() -> Any:
    """PettingZoo's rps_v2. It draws with pygame; where nothing is drawn, a stand-in does."""
    if importlib.util.find_spec("pygame") is None and "pygame" not in sys.modules:
        stand_in = types.ModuleType("pygame")
        stand_in.__dict__.update(
            Surface=lambda *_, **__: None, font=types.SimpleNamespace(init=lambda: None)
        )
        sys.modules["pygame"] = stand_in
    from pettingzoo.classic import rps_v2

    return rps_v2.parallel_env(max_cycles=10**9)


def stepping(env: Any, actions: dict[str, Any]) -> Work:
    """Env steps with the same actions, over as many episodes as it takes."""
    env.reset(seed=0)

    def work() -> int:
        for _ in range(STEPS):
            env.step(actions)
            if not env.agents:
                env.reset()
        return STEPS

    return work


def run(runs: int) -> list[BenchmarkLine]:
    duopoly = retail_v0.parallel_env(firms=1, products=1)
    duopoly.reset(seed=0)
    price = duopoly.market.catalogue.reference_price[:1]
    game = rock_paper_scissors()
    game.reset(seed=0)
    found = rates(
        {
            "ours": stepping(duopoly, dict.fromkeys(duopoly.agents, price)),
            "rps_v2": stepping(game, dict.fromkeys(game.agents, 0)),
            "nothing": stepping(Nothing(), {}),
        },
        runs,
    )
    name, unit = "retail_v0, duopoly with one product", "env steps"
    return [
        BenchmarkLine(name, unit, found["ours"], "PettingZoo's rps_v2", found["rps_v2"], 1.0),
        BenchmarkLine(
            name,
            unit,
            found["ours"],
            "a ParallelEnv that does nothing (a floor)",
            found["nothing"],
            None,
        ),
    ]
