"""The figures of a training: a flat record per iteration, in a file and for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS, TIMERS

from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.folder import Metrics
from mos_agents.training.runner import FAULTS, REWARD, SECONDS

Record = dict[str, Any]

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
