"""Deep learners: RLlib's PPO, DQN, SAC and APPO train participants of any market.

`TrainingPlan` says what is trained and how; `train` does it, `resume` goes on with what was cut
off; what comes out are networks that play as policies (`mos_agents.learners.network`).

Only `plan`, `assignment` and `folder` can be imported without PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mos_agents.training.folder import TrainingRun, read_training
from mos_agents.training.plan import TrainingPlan


def train(plan: TrainingPlan, folder: str | Path | None = None, **options: Any) -> Any:
    """Train to the plan's end: see `trainer.train`. Loads PyTorch and RLlib."""
    from mos_agents.training import requirements

    requirements.check_packages()
    from mos_agents.training.trainer import train as trained

    return trained(plan, folder, **options)


def train_in(plan: TrainingPlan, folder: Path) -> Any:
    """Train in this very folder, or go on there: see `trainer.train_in`.

    Loads PyTorch and RLlib."""
    from mos_agents.training import requirements

    requirements.check_packages()
    from mos_agents.training.trainer import train_in as trained

    return trained(plan, folder)


def check(plan: TrainingPlan) -> None:
    """InputError in one line where the plan does not fit its market or this machine's memory, or
    RLlib does not take its `hyper`; only the latter loads PyTorch."""
    from mos_agents.training.assignment import TrainingAssignment
    from mos_agents.training.requirements import check_memory

    assignment = TrainingAssignment.of(plan)
    check_memory(assignment)
    if plan.hyper:
        from mos_agents.training import requirements

        requirements.check_packages()
        from mos_agents.training.normaliser import unchanged
        from mos_agents.training.rllib_config import configured

        configured(assignment, unchanged(assignment))


def resume(folder: str | Path, **options: Any) -> Any:
    """Go on with a training that was cut off: see `trainer.resume`. Loads PyTorch and RLlib."""
    from mos_agents.training import requirements

    requirements.check_packages()
    from mos_agents.training.trainer import resume as resumed

    return resumed(folder, **options)


__all__ = ["TrainingPlan", "TrainingRun", "check", "read_training", "resume", "train", "train_in"]
