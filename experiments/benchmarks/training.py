"""Environment steps a second as RLlib sees them: the batch runner against RLlib's own.

RLlib's `MultiAgentEnvRunner` steps one PettingZoo environment per market; `BatchRunner` steps all
markets as one batch. Same market, same number of markets, same modules, in the same run; a step is
one tick of one market. Then the shares of time of a whole training: `python -m
experiments.benchmarks.training` prints both.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune.registry import register_env
from rich.console import Console
from rich.table import Table

from envs.market_env import MarketEnv
from experiments.benchmarks.run import drawn
from experiments.benchmarks.timing import BenchmarkLine, Work, rates
from mos_agents import scenarios
from mos_agents.actors.ray.cluster import cluster
from mos_agents.training import TrainingPlan, train
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.normaliser import calibrate
from mos_agents.training.rllib_config import configured
from mos_agents.training.rllib_runner import BatchRunner

GOAL = 5.0
TICKS = 32
"""Of a timed piece of work, in every market."""


@dataclass(frozen=True)
class Case:
    """A market to be played in."""

    name: str
    plan: TrainingPlan


def cases() -> list[Case]:
    game = scenarios.preset("pricing_game", ticks=1000)
    return [
        Case("pricing game, 2 learners, 32 markets", TrainingPlan(game, markets=32)),
        Case(
            "pricing game, 2 learners, 256 markets, levels",
            TrainingPlan(game, markets=256, actions="discrete"),
        ),
        Case(
            "retail, 3 learners, 10 products, 32 markets",
            TrainingPlan(
                scenarios.load("retail"),
                markets=32,
                agents=("platform", "firm_1", "firm_2"),
            ),
        ),
    ]


def ours(case: Case) -> Work:
    """The batch runner's `sample`."""
    assignment = TrainingAssignment.of(case.plan)
    runner = BatchRunner(config=configured(assignment, calibrate(assignment)))
    return _sampling(runner, case.plan)


def theirs(case: Case) -> Work:
    """RLlib's own runner's, with an environment per market."""
    plan = case.plan
    assignment = TrainingAssignment.of(plan)

    def made(_: Any) -> ParallelPettingZooEnv:
        return ParallelPettingZooEnv(
            MarketEnv(
                plan.scenario,
                plan.agents,
                actions=plan.actions or "continuous",
                levels=plan.levels,
                horizon=plan.horizon,
                dtype="float32",
                reveal=False,
                seed=0,
            )
        )

    register_env("market", made)
    config = configured(assignment, calibrate(assignment))
    config.environment("market", env_config={}, disable_env_checking=True)
    config.env_runners(env_runner_cls=MultiAgentEnvRunner)
    return _sampling(MultiAgentEnvRunner(config=config), plan)


def _sampling(runner: Any, plan: TrainingPlan) -> Work:
    steps = TICKS * plan.markets

    def work() -> int:
        runner.sample(num_timesteps=steps)
        runner.get_metrics()
        return steps

    return work


def shares(plan: TrainingPlan) -> Mapping[str, float]:
    """Seconds of a training by where they went, and `steps` in all."""
    history = train(plan).history[1:]  # the first iteration warms up
    total = {
        part: sum(record[f"seconds/{part}"] for record in history)
        for part in ("market", "forward", "fragments", "sample")
    }
    whole = history[-1]["seconds"] - history[0]["seconds"]
    whole *= len(history) / max(1, len(history) - 1)
    return {
        "market": total["market"],
        "forward pass": total["forward"],
        "fragments": total["fragments"],
        "rest of sampling": total["sample"]
        - sum(total[part] for part in ("market", "forward", "fragments")),
        "learner and the rest": whole - total["sample"],
        "steps": len(history) * plan.ticks * plan.markets,
    }


def _shown(name: str, found: Mapping[str, float]) -> Table:
    seconds = {part: value for part, value in found.items() if part != "steps"}
    whole = sum(seconds.values())
    table = Table(title=f"{name}: {whole / found['steps'] * 1e6:.0f} s per million market ticks")
    table.add_column("where the time goes")
    table.add_column("share", justify="right")
    for part, value in seconds.items():
        table.add_row(part, f"{100 * value / whole:.1f}%")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    torch.set_num_threads(1)
    console, lines = Console(), []
    runs = 5
    with cluster():
        for case in cases():
            with console.status(f"{case.name}: measuring"):
                found = rates({"ours": ours(case), "theirs": theirs(case)}, runs)
            lines.append(
                BenchmarkLine(
                    case.name,
                    "market ticks",
                    found["ours"],
                    "RLlib's own runner, one PettingZoo environment a market",
                    found["theirs"],
                    GOAL,
                )
            )
        console.print(drawn(lines, runs))
        game = scenarios.preset("pricing_game", ticks=1000)
        for algo in ("ppo", "dqn", "sac", "appo"):
            plan = TrainingPlan(game, algo, markets=32, iterations=12, evaluate_every=0)
            console.print(_shown(f"{algo}, pricing game, 2 learners, 32 markets", shares(plan)))
    return 0 if all(line.ratio >= GOAL for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
