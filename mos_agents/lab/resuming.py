"""Go on with whatever was interrupted: a run, a sweep or a training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mos_agents.lab.folders import kind_of
from mos_agents.runs.names import locate


def resume(
    name: str | os.PathLike[str], *, root: str | os.PathLike[str] = "runs", **options: Any
) -> Any:
    """Go on with an interrupted run, sweep or training.

    Parameters
    ----------
    name : str or path
        The name of a folder below `root`, or its path.
    root : str or path
        The folder that holds the run folders.
    **options
        `on_progress`, `on_message`, `report`, `address` and `insecure` as when it began; for a
        sweep also `backend`, `workers`, `cpus` and `gpus`; for a training `iterations`.

    Returns
    -------
    RunResult, SweepRun or Trained
        As the function that began it.

    Raises
    ------
    InputError, RunError
        Where there is no such folder, it is damaged, or nothing is left to do.
    """
    folder = locate(os.fspath(name), Path(root))
    match kind_of(folder):
        case "sweep":
            from mos_agents.lab.sweeping import resume_sweep

            return resume_sweep(folder, **options)
        case "training":
            from mos_agents.lab.trainings import resume_training

            return resume_training(folder, **options)
    from mos_agents.lab.running import resume_run

    return resume_run(folder, **options)
