"""A training as RLlib holds it: the algorithm with its learner, memory and runners.

What it holds between two iterations comes out as a state of plain numbers and goes in again; the
generators that RLlib and PyTorch draw from are seeded again at every iteration. Every iteration
leaves a flat record of figures, in a file and for TensorBoard.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
    WEIGHTS_SEQ_NO,
)
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from mos_agents.learners.network import Network
from mos_agents.market.faults import Fault, added_up
from mos_agents.market.types import InputError
from mos_agents.training import hosted_learners
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.folder import Metrics
from mos_agents.training.fragments import ReplayBuffer
from mos_agents.training.normaliser import Normaliser
from mos_agents.training.outcome import Record
from mos_agents.training.plan import CAPACITY
from mos_agents.training.rllib_config import configured
from mos_agents.training.rllib_runner import FAULTS, REWARD, SECONDS
from mos_agents.training.torch_networks import exported

FIRST_LOG_STD = -0.7
"""Of PPO's and APPO's normal distributions: half the way from the middle to a bound."""


class TrainingSession:
    """A training under way."""

    def __init__(
        self, assignment: TrainingAssignment, normalisers: Mapping[str, Normaliser]
    ) -> None:
        self.assignment, self.plan, self.normalisers = (
            assignment,
            assignment.plan,
            dict(normalisers),
        )
        self.iteration = 0
        self.seconds = 0.0
        config = configured(assignment, normalisers)
        self.replay: ReplayBuffer | None = None
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
        if self.replay is not None:
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
                self.normalisers[p.name],
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
        if self.replay is not None:
            found["replay"] = self.replay.to_arrays()
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.iteration, self.seconds = int(state["iteration"]), float(state["seconds"])
        try:
            self.learner.set_state(state["learner"])
            self.learner.set_extra_state(state["extra"])
            if self.replay is not None:
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


PATIENCE = 60.0
"""Seconds to wait for a runner's answer."""


class Runners:
    """The runners of an algorithm: the driver's own, or remote ones, numbered from 1."""

    def __init__(self, algorithm: Any, assignment: TrainingAssignment) -> None:
        self.algorithm, self.assignment = algorithm, assignment
        self._kept: dict[int, Mapping[str, Any]] = {}
        if assignment.plan.workers:
            algorithm.callbacks.append(_WhenOneIsBack(self))

    def steps(self) -> int:
        """Market ticks played by all of them."""
        key = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        return int(self.algorithm.metrics.peek(key, default=0))

    def hand_out(self) -> None:
        """Give the learner's weights to all of them, and wait until they have them.

        RLlib's `sync_weights` does not wait, and leaves out who has two requests before it already:
        a runner that is still starting would begin with weights of its own.
        """
        group = self.algorithm.learner_group
        part = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        state = group.get_state(components=[part], inference_only=True)[COMPONENT_LEARNER]
        sent = {key: state[key] for key in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO) if key in state}
        self._ask("set_state", state=sent)

    def snapshots(self) -> dict[int, Mapping[str, Any]]:
        """What each knows, by number: of one that is lost, what it knew last time."""
        self._kept |= {one["worker"]: one for one in self._ask("snapshot")}
        return dict(self._kept)

    def restore(self, kept: Mapping[int, Mapping[str, Any]]) -> None:
        """Go on from snapshots; those without one do not repeat the random numbers of those
        before."""
        self._kept = dict(kept)
        if self.assignment.plan.workers:
            self._ask("set_state", state=self._begun())
        for number, one in kept.items():
            self._ask("restore", [number], kept=one)

    def back(self, numbers: Sequence[int]) -> None:
        """Runners that were lost are there again, and know nothing."""
        self._ask("set_state", numbers, state=self._begun())
        for number in numbers:
            if number in self._kept:
                self._ask("restore", [number], kept=self._kept[number], late=True)

    def memories(self) -> dict[str, Any]:
        """What the learners among the others remember, of all markets."""
        learners = hosted_learners.learners(self.assignment)
        parts = self._ask("memories") if learners else []
        return {
            name: hosted_learners.joined(spec, policy, [part[name] for part in parts])
            for name, (spec, policy) in learners.items()
            if parts
        }

    def faults(self) -> tuple[Fault, ...]:
        """What the others' policies did wrong since the runners began, and why."""
        return added_up(fault for found in self._ask("faults") for fault in found)

    def _begun(self) -> dict[str, int]:
        return {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.steps()}

    def _ask(self, verb: str, numbers: Sequence[int] | None = None, **given: Any) -> list[Any]:
        """The answers of those that are there."""
        if not self.assignment.plan.workers:
            return [getattr(self.algorithm.env_runner, verb)(**given)]
        found: list[Any] = self.algorithm.env_runner_group.foreach_env_runner(
            verb,
            kwargs=given,
            local_env_runner=False,
            timeout_seconds=PATIENCE,
            remote_worker_ids=None if numbers is None else list(numbers),
        )
        return found


class _WhenOneIsBack(RLlibCallback):  # type: ignore[misc]
    def __init__(self, runners: Runners) -> None:
        self.runners = runners

    def on_env_runners_recreated(self, *, env_runner_indices: list[int], **_: Any) -> None:
        self.runners.back(env_runner_indices)


UNTOLD = {"num_trainable_parameters", "weights_seq_no"}
"""Figures of RLlib's learners that are none of learning."""


def recorded(assignment: TrainingAssignment, result: Mapping[str, Any]) -> Record:
    """What RLlib tells of an iteration, flat: name to number."""
    runners = result.get(ENV_RUNNER_RESULTS, {})
    record: Record = {}
    rewards = {}
    for agent in assignment.agents:
        played = float(runners.get("num_agent_steps_sampled", {}).get(agent, 0.0))
        if played:
            rewards[agent] = float(runners[REWARD][agent]) / played
    if rewards:
        record["reward"] = sum(rewards.values()) / len(rewards)
        record |= {f"reward/{agent}": value for agent, value in rewards.items()}
    for name, value in runners.get(FAULTS, {}).items():
        record[f"faults/{name}"] = int(value)
    for part, value in runners.get(SECONDS, {}).items():
        record[f"seconds/{part}"] = float(value)
    learning = result.get(TIMERS, {}).get("learner_update_timer")
    if learning is not None:
        record["seconds/learner"] = float(learning)
    for policy in assignment.policies:
        for key, value in result.get(LEARNER_RESULTS, {}).get(policy.name, {}).items():
            found = value if isinstance(value, int | float | np.number) else np.nan
            if np.isfinite(found) and "lifetime" not in key and key not in UNTOLD:
                record[f"{policy.name}/{key}"] = float(found)
    return record


class Figures:
    """Where records go while a training is under way."""

    def __init__(self, folder: Path, upto: int) -> None:
        """Go on after iteration `upto`: what comes later is dropped, it will be made again."""
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self._metrics = Metrics(folder, upto)
        purged = upto + 1 if upto else None
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purged)

    def add(self, record: Mapping[str, Any]) -> None:
        self._metrics.add(record)
        for name, value in record.items():
            if name != "iteration":
                self._board.add_scalar(name, value, record["iteration"])

    def sync(self) -> None:
        self._metrics.sync()

    def close(self) -> None:
        self._metrics.close()
        self._board.close()
