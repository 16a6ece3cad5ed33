"""Play the trials of a plan that are missing from its folder, keep each as it ends, and add up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from mos_agents.market.types import InputError
from mos_agents.policies.faults import describe
from mos_agents.runs.files import RunError
from mos_agents.sweeps.folder import Done, SweepFolder
from mos_agents.sweeps.plan import SweepPlan, Trial
from mos_agents.sweeps.table import SweepResult
from mos_agents.sweeps.work import Row

LIVES = 3
"""How often a trial's process may die before the trial is said to have failed."""


class Died(Exception):
    """A trial's process is gone, and with it what it had done; not the trial's own fault."""


@dataclass
class Watch:
    """How far a sweep is, for whoever shows it: told whenever anything changes, and now and then.

    running: the trials being played, each with when it began (time.monotonic).
    """

    total: int = 0
    done: int = 0
    found: int = 0
    failed: int = 0
    running: dict[Trial, float] = field(default_factory=dict)
    began: float | None = None  # when the first trial did
    ended: float = 0.0  # when the last one did
    show: Callable[[Watch], None] = lambda watch: None
    asked: Callable[[], bool] = lambda: False
    """Whether somebody wants the sweep to stop; what is under way is dropped."""

    def begin(self, trial: Trial) -> None:
        """A trial is under way."""
        self.running[trial] = time.monotonic()
        self.began = self.running[trial] if self.began is None else self.began
        self.show(self)

    @property
    def seconds_left(self) -> float:
        """By the pace of the trials that have ended here; infinite before the first."""
        played = self.done - self.found
        if not played or self.began is None:
            return float("inf")
        whole = (self.ended - self.began) / played * (self.total - self.done)
        return max(0.0, whole - (time.monotonic() - self.ended))


class Runner(Protocol):
    """Where trials are played."""

    def work(
        self,
        folder: SweepFolder,
        trials: Sequence[Trial],
        watch: Watch,
        ended: Callable[[Trial, Done | Died], None],
    ) -> None:
        """Play trials of a sweep in any order, and tell of each as it ends, from this process.

        Returns early where `watch.asked()`; keeps `watch.running`.
        """


class Here:
    """One trial after another in this process."""

    def work(
        self,
        folder: SweepFolder,
        trials: Sequence[Trial],
        watch: Watch,
        ended: Callable[[Trial, Done | Died], None],
    ) -> None:
        for trial in trials:
            if watch.asked():
                return
            watch.begin(trial)
            scenario = folder.plan.cells[trial.cell].scenario
            done = tried(partial(folder.work(trial), scenario, trial.seed))
            del watch.running[trial]
            ended(trial, done)


def tried(work: Callable[[], Row], where: str = "") -> Done:
    """Play one trial; what goes wrong in it is told in one line, and is nobody else's trouble."""
    began = time.perf_counter()
    try:
        row, error = work(), None
    except Exception as problem:
        row = Row({})
        error = (
            " ".join(str(problem).split()) if isinstance(problem, InputError) else describe(problem)
        )
    return Done(row, error, time.perf_counter() - began, where)


def sweep(
    plan: SweepPlan,
    folder: Path | str,
    runner: Runner | None = None,
    watch: Watch | None = None,
) -> SweepResult:
    """Play what is missing of a plan in `folder`, and write its tables; how all trials ended.

    A folder of the same plan is gone on with: trials that ended well are not played again, failed
    ones are. None for `runner` plays on Ray Tune, on the cluster that this process has joined
    (`actors.ray.cluster.cluster`). Raises RunError for a folder of another sweep, one that cannot
    be written, or one in use. Where `watch.asked()`, returns early, with trials missing.
    """
    watch = watch or Watch()
    opened = SweepFolder.made(plan, Path(folder))
    with opened.held():
        done = opened.done()
        missing = [t for t in plan.trials if t.number not in done or done[t.number].error]
        again = {trial.number for trial in missing}
        done = {number: one for number, one in done.items() if number not in again}
        watch.total, watch.done, watch.found = len(plan.trials), len(done), len(done)
        if missing:
            _play(missing, opened, done, _chosen(runner), watch)
        result = SweepResult(plan, done)
        if done:
            for name, data in result.files().items():
                opened.write(name, data)
    return result


def _chosen(runner: Runner | None) -> Runner:
    if runner is not None:
        return runner
    return on_tune()


def on_tune(at_once: int | None = None) -> Runner:
    """Ray Tune, with at most so many trials at a time; InputError where it is not installed."""
    try:
        from mos_agents.sweeps.tuning import Tune
    except ImportError:
        raise InputError(
            "Ray Tune is not installed in full: make train-env, or pip install "
            '"mos-agents[train]"; --backend local does without'
        ) from None
    return Tune(at_once)


def _play(
    missing: Sequence[Trial],
    opened: SweepFolder,
    done: dict[int, Done],
    runner: Runner,
    watch: Watch,
) -> None:
    """Rounds of play, until every trial has ended or died too often."""
    deaths = dict.fromkeys((trial.number for trial in missing), 0)

    def ended(trial: Trial, how: Done | Died) -> None:
        if isinstance(how, Died):
            deaths[trial.number] += 1
            if deaths[trial.number] < LIVES:
                return
            how = Done(Row({}), f"its process died {LIVES} times: {how}")
        done[trial.number] = opened.keep(trial, how)
        watch.done, watch.ended = watch.done + 1, time.monotonic()
        watch.failed += how.error is not None
        watch.show(watch)

    for _ in range(LIVES):
        left = list(_left(missing, done))
        if not left or watch.asked():
            return
        runner.work(opened, left, watch, ended)
    if (lost := list(_left(missing, done))) and not watch.asked():
        raise RunError(
            f"{opened.path}: {len(lost)} trials never came back; mos sweep --resume {opened.path} "
            "goes on"
        )


def _left(trials: Sequence[Trial], done: dict[int, Done]) -> Iterator[Trial]:
    return (trial for trial in trials if trial.number not in done)
