"""Deep learners: RLlib's PPO, DQN, SAC and APPO train participants of any market.

`TrainingPlan` says what is trained and how; `train` does it, `resume` goes on with what was cut
off; what comes out are networks that play as policies (`mos_agents.learners.network`).

Only `plan`, `assignment`, `folder` and `outcome` can be imported without PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mos_agents.market.lazy import LazyModule
from mos_agents.training.folder import TrainingRun, read_training
from mos_agents.training.plan import TrainingPlan

if TYPE_CHECKING:
    from mos_agents.training import outcome
    from mos_agents.training.outcome import Trained
else:
    outcome = LazyModule("mos_agents.training.outcome")


def __getattr__(name: str) -> Any:
    if name == "Trained":  # loaded on first use, with the environments (PEP 562)
        return outcome.Trained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def train(plan: TrainingPlan, folder: str | Path | None = None, **options: Any) -> outcome.Trained:
    """Train to the plan's end. Loads PyTorch and RLlib.

    Parameters
    ----------
    plan : TrainingPlan
        Who learns what, with which algorithm, for how long.
    folder : str or Path, optional
        Where the training's own folder is made; None keeps nothing on the disk.
    **options
        name, on_progress, address and insecure, as `trainer.train` has them.

    Returns
    -------
    Trained
        The networks, the record of every iteration, and the folder.

    Raises
    ------
    InputError
        If the plan does not fit, or PyTorch or RLlib is not installed.
    RunError
        If the folder is damaged, or is in use by another process.
    """
    from mos_agents.training import requirements

    requirements.check_packages()
    from mos_agents.training.trainer import train as trained

    return trained(plan, folder, **options)


def train_in(plan: TrainingPlan, folder: Path) -> outcome.Trained:
    """Train in this very folder, or go on there. Loads PyTorch and RLlib.

    Parameters
    ----------
    plan : TrainingPlan
        Who learns what, with which algorithm, for how long.
    folder : Path
        The training's own folder.

    Returns
    -------
    Trained
        The networks, the record of every iteration, and the folder.

    Raises
    ------
    InputError
        If the plan does not fit, or PyTorch or RLlib is not installed.
    RunError
        If the folder is damaged, or is in use by another process.
    """
    from mos_agents.training import requirements

    requirements.check_packages()
    from mos_agents.training.trainer import train_in as trained

    return trained(plan, folder)


def check(plan: TrainingPlan) -> None:
    """Check that a plan fits its market and this machine, and that RLlib takes its settings.

    Only settings in `hyper` load PyTorch.

    Parameters
    ----------
    plan : TrainingPlan
        The plan.

    Raises
    ------
    InputError
        If it does not fit.
    """
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


def resume(folder: str | Path, **options: Any) -> outcome.Trained:
    """Go on with a training that was cut off. Loads PyTorch and RLlib.

    Parameters
    ----------
    folder : str or Path
        The training's name below `runs`, or its path.
    **options
        root, on_progress, address, insecure and iterations, as `trainer.resume` has them.

    Returns
    -------
    Trained
        The networks, the record of every iteration, and the folder.

    Raises
    ------
    InputError
        If the plan does not fit, or PyTorch or RLlib is not installed.
    RunError
        If the folder is damaged, or is in use by another process.
    """
    from mos_agents.training import requirements

    requirements.check_packages()
    from mos_agents.training.trainer import resume as resumed

    return resumed(folder, **options)


__all__ = [
    "Trained",
    "TrainingPlan",
    "TrainingRun",
    "check",
    "read_training",
    "resume",
    "train",
    "train_in",
]
