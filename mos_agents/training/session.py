"""A training as RLlib holds it: the algorithm with its learner, its memory and its runners.

What it holds between two iterations comes out as a state of plain numbers and goes in again; the
generators that RLlib and PyTorch draw from are seeded anew at every iteration.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from mos_agents.learners.network import Network
from mos_agents.market.types import InputError
from mos_agents.training.algorithms import configured
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.export import exported
from mos_agents.training.figures import Record, recorded
from mos_agents.training.normalising import Norm
from mos_agents.training.plan import CAPACITY
from mos_agents.training.replay import ReplayBuffer
from mos_agents.training.runners import Runners

FIRST_LOG_STD = -0.7
"""Of PPO's and APPO's normal distributions: half the way from the middle to a bound."""


class TrainingSession:
    """A training under way."""

    def __init__(self, assignment: TrainingAssignment, norms: Mapping[str, Norm]) -> None:
        self.assignment, self.plan, self.norms = assignment, assignment.plan, dict(norms)
        self.iteration = 0
        self.seconds = 0.0
        config = configured(assignment, norms)
        self._seed(0)
        self.algorithm = config.build_algo()
        shutil.rmtree(self.algorithm.logdir, ignore_errors=True)  # its own results: not wanted
        self.learner = self.algorithm.learner_group._learner
        if self.plan.algo in ("dqn", "sac"):
            rng = np.random.default_rng(0)
            self.replay = ReplayBuffer(CAPACITY, config.n_step, config.gamma, rng)
            self.algorithm.local_replay_buffer = self.replay
        if self.plan.algo in ("ppo", "appo") and not self.plan.discrete:
            with torch.no_grad():
                for policy in assignment.policies:
                    module = self.module(policy.name)
                    for head in (module.pi, getattr(module, "_old_pi", None)):  # APPO's target
                        if head is not None:
                            head.log_std.fill_(FIRST_LOG_STD)
        self.runners = Runners(self.algorithm, assignment)
        self.runners.hand_out()

    def module(self, name: str) -> Any:
        return self.learner.module[name].unwrapped()

    def _seed(self, iteration: int) -> None:
        """All generators that are not ours, for one iteration."""
        sequence = np.random.SeedSequence(self.plan.seed, spawn_key=(iteration,))
        words = sequence.generate_state(4)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))  # noqa: NPY002 - what RLlib shuffles with
        torch.manual_seed(int(words[2]))
        if hasattr(self, "replay"):
            self.replay.rng = np.random.default_rng(int(words[3]))

    def once(self) -> Record:
        """One iteration, and its record."""
        begun = time.perf_counter()
        self._seed(self.iteration + 1)
        result = self.algorithm.train()
        self.iteration += 1
        self.seconds += time.perf_counter() - begun
        record: Record = {
            "iteration": self.iteration,
            "steps": self.runners.steps(),
            "seconds": round(self.seconds, 3),
        }
        if self.plan.workers:
            record["workers"] = self.algorithm.env_runner_group.num_healthy_remote_workers()
        return record | recorded(self.assignment, result)

    def networks(self) -> dict[str, Network]:
        """The policies as they are, by name."""
        facts = {
            "scenario": self.plan.scenario.name,
            "seed": self.plan.seed,
            "iterations": self.iteration,
        }
        return {
            p.name: exported(
                self.plan.algo,
                p,
                self.learner.module[p.name],
                self.norms[p.name],
                {**facts, "policy": p.name},
            )
            for p in self.assignment.policies
        }

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on."""
        learner = self.learner.get_state()
        learner.pop("metrics_logger", None)
        found: dict[str, Any] = {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "steps": self.runners.steps(),
            "learner": learner,
            "extra": self.learner.extra_state(),
            "runners": self.runners.snapshots(),
        }
        if hasattr(self, "replay"):
            found["replay"] = self.replay.to_arrays()
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.iteration, self.seconds = int(state["iteration"]), float(state["seconds"])
        try:
            self.learner.set_state(state["learner"])
            self.learner.set_extra_state(state["extra"])
            if hasattr(self, "replay"):
                self.replay.from_arrays(state["replay"])
            self.algorithm.set_state({"training_iteration": self.iteration})
            played = MetricsLogger(root=False)
            played.log_value(
                NUM_ENV_STEPS_SAMPLED_LIFETIME, int(state["steps"]), reduce="lifetime_sum"
            )
            self.algorithm.metrics.aggregate([played.reduce()], key=ENV_RUNNER_RESULTS)
            self.runners.hand_out()
            self.runners.restore(state["runners"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"checkpoint of another plan or version: {' '.join(str(error).split())[:120]}"
            ) from None

    def close(self) -> None:
        self.algorithm.stop()
