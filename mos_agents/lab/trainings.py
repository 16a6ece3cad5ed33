"""Train participants of a scenario, and go on with a training."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mos_agents import training
from mos_agents.lab.feedback import Feedback, Interrupted, OnMessage, stop_requests
from mos_agents.lab.folders import located
from mos_agents.lab.settings import ScenarioLike, resolve
from mos_agents.scenarios.changes import Changes
from mos_agents.training import requirements
from mos_agents.training.folder import check_free, going_on
from mos_agents.wording import plural, resuming, shown

OnIteration = Callable[[Mapping[str, Any], int], object]
"""Called after each iteration with its figures and the number of all iterations; a true result ends
the training."""


def train(
    scenario: ScenarioLike,
    *,
    changes: Changes = (),
    seed: int | None = None,
    name: str | None = None,
    out: str | os.PathLike[str] = "runs",
    address: str | None = None,
    insecure: bool = False,
    on_progress: OnIteration | None = None,
    on_message: OnMessage | None = None,
    **settings: Any,
) -> training.Trained:
    """Let participants of a scenario learn with PPO, DQN, SAC or APPO of RLlib.

    Parameters
    ----------
    scenario : str, path or Scenario
        A preset's name, the path of a scenario file, or a scenario.
    changes, seed
        As in `run`.
    name : str, optional
        The name of the training; the next free one where it is left out.
    out : str or path
        The folder that holds the training's folder.
    address, insecure
        The Ray cluster to join, and whether it may lack a token.
    on_progress : callable, optional
        Called after each iteration with its figures and the number of all iterations; a true
        result ends the training.
    on_message : callable, optional
        Called with lines of text.
    **settings
        Fields of `training.TrainingPlan`, such as agents=("platform",), iterations=100.

    Returns
    -------
    Trained
        The networks, the policies that play them, and the figures of every iteration.

    Raises
    ------
    InputError, RunError
        One line about a setting that is wrong, or where PyTorch and RLlib are missing.
    Interrupted
        On Ctrl-C or SIGTERM, after the iteration under way; `resume` goes on.
    """
    check_free(Path(out), name)
    resolved = resolve(scenario, changes, seed=seed)
    plan = training.TrainingPlan(resolved, seed=resolved.seed, **settings)
    training.check(plan)
    requirements.check_packages()
    each = f" in each of {plural(plan.workers, 'worker')}" if plan.workers else ""
    Feedback.of(None, on_message).message(
        f"{resolved.name}: {plan.algo}, {plan.actions}, {plural(plan.markets, 'market')}{each}, "
        f"{plan.ticks} ticks an iteration, seed {plan.seed}"
    )
    return _stoppable(
        plan.iterations,
        lambda ask: training.train(
            plan, Path(out), name=name, on_progress=ask, address=address, insecure=insecure
        ),
        on_progress,
    )


def resume_training(
    run: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] = "runs",
    iterations: int | None = None,
    address: str | None = None,
    insecure: bool = False,
    on_progress: OnIteration | None = None,
    on_message: OnMessage | None = None,
) -> training.Trained:
    """Go on with a training from its last checkpoint, up to `iterations`; otherwise as `train`."""
    kept = training.read_training(located(os.fspath(run), Path(root), "training"))
    plan, _ = going_on(kept, iterations)
    requirements.check_packages()
    Feedback.of(None, on_message).message(f"{kept.folder.name}: going on with {plan.algo}")
    return _stoppable(
        plan.iterations,
        lambda ask: training.resume(
            kept.folder,
            root=root,
            on_progress=ask,
            iterations=iterations,
            address=address,
            insecure=insecure,
        ),
        on_progress,
    )


def _stoppable(
    iterations: int,
    work: Callable[[Callable[[Mapping[str, Any]], bool]], training.Trained],
    on_progress: OnIteration | None,
) -> training.Trained:
    with stop_requests() as asked:

        def ask(record: Mapping[str, Any]) -> bool:
            enough = on_progress(record, iterations) if on_progress is not None else False
            return bool(asked) or bool(enough)

        trained = work(ask)
    if asked and trained.ended == "asked":
        assert trained.folder is not None
        raise Interrupted(
            f"stopped after iteration {trained.history[-1]['iteration']:,}; "
            f"{resuming('train', shown(trained.folder))} goes on",
            asked[0],
            trained.folder,
        )
    return trained
