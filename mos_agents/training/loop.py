"""Train to the plan's end, keep what matters on the disk, and go on after any interruption.

With `workers=0` a training is a function of its plan: the luck of choosing has addresses, and the
generators that RLlib and PyTorch draw from are seeded anew at every iteration. One that was cut off
therefore ends with the same bits as one that was not. APPO is the exception: it learns in a thread
of its own, as fast as that comes along.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
)
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from mos_agents.actors.ray_runtime import cluster, joined
from mos_agents.learners.network import Network
from mos_agents.learners.network_files import save_network
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy
from mos_agents.runs.files import RunError, write_whole
from mos_agents.runs.recording import now
from mos_agents.training import folder as folders
from mos_agents.training import hosted
from mos_agents.training import state as states
from mos_agents.training.algorithms import configured
from mos_agents.training.evaluating import evaluated
from mos_agents.training.export import exported
from mos_agents.training.normalising import Norm, from_arrays, pilot, to_arrays, unchanged
from mos_agents.training.plan import TrainingPlan
from mos_agents.training.replay import Replay
from mos_agents.training.runners import Runners
from mos_agents.training.seats import Seats

Record = dict[str, Any]
OnProgress = Callable[[Record], bool | None]
"""Called after every iteration with its record; True ends the training there, in good order."""

CAPACITY = 100_000
"""Market ticks that DQN and SAC remember."""

UNTOLD = {"num_trainable_parameters", "weights_seq_no"}
"""Figures of RLlib's learners that are none of learning."""

FIRST_LOG_STD = -0.7
"""Of PPO's and APPO's normal distributions: half the way from the middle to a bound."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of a training.

    networks: by policy. policies: by participant, ready to play. history: a record per iteration.
    ended: "iterations", a stop's name, or "asked".
    memories: of those who learn by themselves among the others, by participant, as they have
        become: of all markets, one runner's after another's. Empty without `plan.keep_memories`.
    """

    seats: Seats
    networks: Mapping[str, Network]
    history: list[Record]
    ended: str
    folder: Path | None
    memories: Mapping[str, Any]

    @property
    def policies(self) -> dict[str, TrainedNetwork]:
        """What each learner plays now, without exploring."""
        return {
            agent: TrainedNetwork.of(self.networks[p.name])
            for p in self.seats.policies
            for agent in p.agents
        }

    def frozen(self, market: int | None = None) -> dict[str, Policy]:
        """What those in `memories` have come to play; they learn no more.

        market: the one whose memory is played in all markets; None plays each its own, in as many
        markets as were trained in.
        """
        learners = hosted.learners(self.seats)
        return {
            name: hosted.frozen(learners[name][1], memory, market)
            for name, memory in self.memories.items()
        }


def train(
    plan: TrainingPlan,
    folder: str | Path | None = None,
    *,
    name: str | None = None,
    on_progress: OnProgress | None = None,
    address: str | None = None,
    insecure: bool = False,
) -> Trained:
    """Train from the beginning.

    folder: below which the training's folder is made (under `name`, or the next free one); None
        keeps nothing on the disk. address, insecure: of a Ray cluster; where the process is on one
        already, that is used, and otherwise one of its own.
    """
    seats = Seats.of(plan)
    configured(seats, unchanged(seats))  # refuses before anything is started
    norms = pilot(seats)
    with _runtime(plan, address, insecure):
        session = _Session(seats, norms)
        try:
            if folder is None:
                return session.to_the_end(on_progress)
            session.folder = folders.create(plan, folder, name, to_arrays(norms))
            with folders.held(session.folder):
                return session.to_the_end(on_progress)
        finally:
            session.close()


def resume(
    folder: str | Path,
    *,
    root: str | Path = "runs",
    on_progress: OnProgress | None = None,
    address: str | None = None,
    insecure: bool = False,
    iterations: int | None = None,
) -> Trained:
    """Go on from the last checkpoint, or from the beginning where there is none.

    iterations: train up to so many, in place of the plan's. RunError where nothing is left to do.
    """
    run = folders.read_training(folder, root)
    with folders.held(run.folder):
        return _resumed(run, on_progress, address, insecure, iterations)


def _resumed(
    run: folders.TrainingRun, on_progress: OnProgress | None, address: str | None, insecure: bool,
    iterations: int | None,
) -> Trained:  # fmt: skip
    plan = run.plan if iterations is None else run.plan.changed(iterations=iterations)
    found = folders.last_checkpoint(run.folder)
    if run.finished and (iterations is None or found is None or found[0] >= plan.iterations):
        raise RunError(
            f"{run.folder}: finished already; --iterations N trains on beyond "
            f"{run.facts['iterations']}"
        )
    seats = Seats.of(plan)
    norms = from_arrays(folders.read_norms(run.folder), [p.name for p in seats.policies])
    with _runtime(plan, address, insecure):
        session = _Session(seats, norms)
        try:
            session.folder = run.folder
            if found is not None:
                path = folders.checkpoint_path(run.folder, found[0])
                session.restore(states.from_bytes(found[1], str(path)))
            return session.to_the_end(on_progress)
        finally:
            session.close()


@contextlib.contextmanager
def _runtime(plan: TrainingPlan, address: str | None, insecure: bool) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks of this size; and sums in one order
    try:
        if joined() and address is None:
            yield
        else:
            # Every worker asks for a core, whether or not there is one.
            cores = max(4, os.cpu_count() or 1, plan.workers + 1)
            with cluster(address, insecure=insecure, cpus=cores):
                yield
    finally:
        torch.set_num_threads(threads)


class _Session:
    """A training under way."""

    def __init__(self, seats: Seats, norms: Mapping[str, Norm]) -> None:
        self.seats, self.plan, self.norms = seats, seats.plan, dict(norms)
        self.folder: Path | None = None
        self.iteration = 0
        self.seconds = 0.0
        self.history: list[Record] = []
        config = configured(seats, norms)
        self._seed(0)
        self.algorithm = config.build_algo()
        shutil.rmtree(self.algorithm.logdir, ignore_errors=True)  # its own results: not wanted
        self.learner = self.algorithm.learner_group._learner
        if self.plan.algo in ("dqn", "sac"):
            rng = np.random.default_rng(0)
            self.replay = Replay(CAPACITY, config.n_step, config.gamma, rng)
            self.algorithm.local_replay_buffer = self.replay
        if self.plan.algo in ("ppo", "appo") and not self.plan.discrete:
            with torch.no_grad():
                for policy in seats.policies:
                    module = self.module(policy.name)
                    for head in (module.pi, getattr(module, "_old_pi", None)):  # APPO's target
                        if head is not None:
                            head.log_std.fill_(FIRST_LOG_STD)
        self._hand_out()
        self.runners = Runners(self.algorithm, seats)

    def module(self, name: str) -> Any:
        return self.learner.module[name].unwrapped()

    def _hand_out(self) -> None:
        self.algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.algorithm.learner_group, inference_only=True
        )

    def _seed(self, iteration: int) -> None:
        """All generators that are not ours, for one iteration."""
        sequence = np.random.SeedSequence(self.plan.seed, spawn_key=(iteration,))
        words = sequence.generate_state(4)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))  # noqa: NPY002 - what RLlib shuffles with
        torch.manual_seed(int(words[2]))
        if hasattr(self, "replay"):
            self.replay.rng = np.random.default_rng(int(words[3]))

    # --- the iterations ---------------------------------------------------------------------------

    def to_the_end(self, on_progress: OnProgress | None) -> Trained:
        plan, every = self.plan, self.plan.evaluate_every
        ended = "iterations"
        metrics, board = None, None
        if self.folder is not None:
            metrics = folders.Metrics(self.folder, self.iteration)
            self.history = folders.records(self.folder)
            board = _board(self.folder, self.iteration)
        try:
            while self.iteration < plan.iterations:
                record = self.once()
                reached = self._reached(record)
                last = bool(reached) or self.iteration == plan.iterations
                if every and (last or not self.iteration % every):
                    record |= self.evaluation()
                    reached = reached or self._reached(record)
                asked = on_progress(record) if on_progress is not None else None
                last = last or bool(reached or asked)
                if every and last and "evaluation" not in record:
                    record |= self.evaluation()
                self.history.append(record)
                if metrics is not None:
                    metrics.add(record)
                    _draw(board, record)
                if self.folder is not None and (last or not self.iteration % plan.checkpoint_every):
                    if metrics is not None:
                        metrics.sync()
                    self.keep()
                if reached or asked:
                    ended = reached or "asked"
                    break
            if self.folder is not None and ended != "asked":
                facts = folders.read_training(self.folder).facts
                folders.seal(
                    self.folder, facts, plan=plan.described(), finished=now(),
                    iterations=self.iteration, ended=ended,
                )  # fmt: skip
        finally:
            if metrics is not None:
                metrics.close()
            if board is not None:
                board.close()
        return Trained(
            self.seats, self.networks(), self.history, ended, self.folder, self.runners.memories()
        )

    def once(self) -> Record:
        """One iteration."""
        begun = time.perf_counter()
        self._seed(self.iteration + 1)
        result = self.algorithm.train()
        self.iteration += 1
        self.seconds += time.perf_counter() - begun
        return _record(self, result)

    def evaluation(self) -> Record:
        """What the policies as they are earn without exploring."""
        found = evaluated(self.seats, self.networks())
        mean = sum(found.values()) / len(found)
        return {"evaluation": mean, **{f"evaluation/{a}": value for a, value in found.items()}}

    def _reached(self, record: Record) -> str | None:
        stop = self.plan.stop
        told = record.get("evaluation") if self.plan.evaluate_every else record.get("reward")
        if "steps" in stop and record["steps"] >= stop["steps"]:
            return "steps"
        if "seconds" in stop and record["seconds"] >= stop["seconds"]:
            return "seconds"
        if "reward" in stop and told is not None and told >= stop["reward"]:
            return "reward"
        return None

    # --- what is kept -----------------------------------------------------------------------------

    def networks(self) -> dict[str, Network]:
        """The policies as they are, by name."""
        facts = {"scenario": self.plan.scenario.name, "seed": self.plan.seed,
                 "iterations": self.iteration}  # fmt: skip
        return {
            p.name: exported(self.plan.algo, p, self.learner.module[p.name], self.norms[p.name],
                             {**facts, "policy": p.name})
            for p in self.seats.policies
        }  # fmt: skip

    def keep(self) -> None:
        """Write the policies and a checkpoint."""
        assert self.folder is not None
        paths: dict[str, str] = {}
        for policy in self.seats.policies:
            network = self.networks()[policy.name]
            save_network(self.folder / "policies" / f"{policy.name}.npz", network)
            paths |= dict.fromkeys(policy.agents, f"policies/{policy.name}.npz")
        text = folders.trained_scenario(self.plan, paths)
        write_whole(self.folder / "trained.yaml", text.encode())
        folders.write_checkpoint(self.folder, self.iteration, states.to_bytes(self.state()))

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
            self._hand_out()
            self.runners.restore(state["runners"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"checkpoint of another plan or version: {' '.join(str(error).split())[:120]}"
            ) from None

    def close(self) -> None:
        self.algorithm.stop()


def _record(session: _Session, result: Mapping[str, Any]) -> Record:
    """The figures of an iteration, flat: name to number."""
    runners = result.get(ENV_RUNNER_RESULTS, {})
    record: Record = {
        "iteration": session.iteration, "steps": session.runners.steps(),
        "seconds": round(session.seconds, 3),
    }  # fmt: skip
    if session.plan.workers:
        record["workers"] = session.algorithm.env_runner_group.num_healthy_remote_workers()
    rewards = {}
    for agent in session.seats.agents:
        played = float(runners.get("num_agent_steps_sampled", {}).get(agent, 0.0))
        if played:
            rewards[agent] = float(runners["reward"][agent]) / played
    if rewards:
        record["reward"] = sum(rewards.values()) / len(rewards)
        record |= {f"reward/{agent}": value for agent, value in rewards.items()}
    for part, value in runners.get("seconds", {}).items():
        record[f"seconds/{part}"] = float(value)
    learning = result.get(TIMERS, {}).get("learner_update_timer")
    if learning is not None:
        record["seconds/learner"] = float(learning)
    for policy in session.seats.policies:
        for key, value in result.get(LEARNER_RESULTS, {}).get(policy.name, {}).items():
            found = value if isinstance(value, int | float | np.number) else np.nan
            if np.isfinite(found) and "lifetime" not in key and key not in UNTOLD:
                record[f"{policy.name}/{key}"] = float(found)
    return record


def _board(folder: Path, iteration: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(
        str(folder / "tensorboard"), purge_step=iteration + 1 if iteration else None
    )


def _draw(board: Any, record: Mapping[str, Any]) -> None:
    for key, value in record.items():
        if key != "iteration":
            board.add_scalar(key, value, record["iteration"])
