"""Trials on a Ray cluster, scheduled by Ray Tune. The only file of sweeps that imports Ray.

Tune decides which trial runs where and when. It is not asked to remember anything: what ended is
in the sweep's folder, and after a crash the plan less the folder is what is left. Tune's own state
says of trials that they ended and not what came of them, is written only now and then, and is
read back as pickles.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.error import TuneError

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.policies.faults import describe
from mos_agents.sweeps.folder import Done, SweepFolder
from mos_agents.sweeps.places import Place
from mos_agents.sweeps.plan import SweepPlan, Trial
from mos_agents.sweeps.sweep import Died, Watch, tried
from mos_agents.sweeps.work import Row, Work

SWITCHES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is the caller's to catch
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # else a catalogue's relative path would lead nowhere
}
"""Tune's environment: no files but a few, no words, no hand on the signals."""

Ended = Callable[[Trial, "Done | Died"], None]


@dataclass(frozen=True)
class Tune:
    """Plays trials with Ray Tune on the cluster that this process has joined.

    at_once: the most trials at a time; None: as many as the cluster has room for.
    """

    at_once: int | None = None

    def __post_init__(self) -> None:
        if self.at_once is not None and (isinstance(self.at_once, bool) or self.at_once < 1):
            raise InputError(f"workers={self.at_once!r} must be a whole number >= 1")

    def work(
        self, folder: SweepFolder, trials: Sequence[Trial], watch: Watch, ended: Ended
    ) -> None:
        """As `Runner.work`. Raises InputError where no node has room for a trial."""
        plan = folder.plan
        _check_room(plan.bundles)
        listener = _Listener(watch, ended)
        cells = {cell: _sent(plan, cell) for cell in sorted({trial.cell for trial in trials})}
        sweep = (folder.path.absolute(), plan.identity)
        with _switched(), tempfile.TemporaryDirectory(prefix="mos-sweep-") as scratch:
            try:
                tune.run(
                    tune.with_parameters(_Played, cells=cells, sweep=sweep),
                    name="sweep",
                    config={"trial": tune.grid_search([list(trial) for trial in trials])},
                    resources_per_trial=tune.PlacementGroupFactory(plan.bundles),
                    max_concurrent_trials=self.at_once,
                    storage_path=scratch,
                    stop=_Stop(listener),
                    callbacks=[listener],
                    # A new process takes two seconds, as long as a short trial; what a training
                    # leaves behind in its process is for nobody else.
                    reuse_actors=plan.work.kind != "train",
                    raise_on_failed_trial=False,
                    verbose=0,
                )
            except TuneError as error:
                if listener.error is None:
                    raise InputError(f"Ray Tune gave up: {describe(error)}") from None
        if listener.error is not None:
            raise listener.error


class _Played(tune.Trainable):  # type: ignore[misc]
    """A trial in a process of its own, or one after another in the same one."""

    def setup(self, config: dict[str, Any], cells: Any = None, sweep: Any = None) -> None:
        self._cells = cells
        self._sweep: tuple[Path, str] = sweep

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, Any]:
        trial = Trial(*self.config["trial"])
        described, work = self._cells[trial.cell]
        where = str(ray.get_runtime_context().get_node_id())
        work = work.at(Place(*self._sweep, trial.name))
        done = tried(lambda: work(scenarios.parse(described, trusted=True), trial.seed), where)
        row = {
            "measures": dict(done.row.measures),
            "notes": list(done.row.notes),
            "files": dict(done.row.files),
        }
        return {"ended": [row, done.error, done.seconds, where], "done": True}


class _Listener(tune.Callback):  # type: ignore[misc]
    """Hears from Tune what begins and ends, and passes it on."""

    def __init__(self, watch: Watch, ended: Ended) -> None:
        self._watch, self._ended = watch, ended
        self.error: Exception | None = None

    @property
    def stopping(self) -> bool:
        return self.error is not None or self._watch.asked()

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._watch.begin(_of(trial))

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any
    ) -> None:
        row, error, seconds, where = result["ended"]
        files = row.pop("files")  # for Tune holds results to its end
        done = Done(Row(row["measures"], tuple(row["notes"]), files), error, seconds, where)
        self._tell(trial, done)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        if not self.stopping:  # then it is we who ended its process
            self._tell(trial, Died(describe(trial.get_error())))

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        self._watch.show(self._watch)
        if self.stopping:  # Tune would wait for what is under way
            for trial in trials:
                if (actor := trial.temporary_state.ray_actor) is not None:
                    ray.kill(actor)

    def _tell(self, trial: Any, how: Done | Died) -> None:
        self._watch.running.pop(_of(trial), None)
        if self.error is not None:
            return
        try:
            self._ended(_of(trial), how)
        except Exception as error:  # Tune would make a report of its own of it
            self.error = error


class _Stop(tune.Stopper):  # type: ignore[misc]
    """Ends the play where somebody asks for it, or where results cannot be kept."""

    def __init__(self, listener: _Listener) -> None:
        self._listener = listener

    def __call__(self, trial_id: str, result: Any) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._listener.stopping

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it into its own state, which nobody reads


def _of(trial: Any) -> Trial:
    return Trial(*trial.config["trial"])


def _sent(plan: SweepPlan, number: int) -> tuple[str, Work]:
    """A cell as it goes to the nodes: scenario as text, networks in place of their files."""
    cell = plan.cells[number]
    return scenarios.dump(cell.scenario.portable()), cell.work.portable()


def _check_room(bundles: Sequence[Mapping[str, float]]) -> None:
    """InputError where Tune would wait for ever: no node that is there could take a bundle, or all
    of them together not all bundles."""
    rooms = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for bundle in bundles:
        if not any(all(room.get(k, 0.0) >= v for k, v in bundle.items()) for room in rooms):
            wanted = " and ".join(f"{value:g} {name}" for name, value in bundle.items() if value)
            most = " and ".join(
                f"{max(room.get(name, 0.0) for room in rooms):g} {name}" for name in bundle
            )
            raise InputError(f"a trial takes {wanted} of one node; the nodes have at most {most}")
    for name in bundles[0]:
        needed = sum(bundle.get(name, 0.0) for bundle in bundles)
        if needed > (there := sum(room.get(name, 0.0) for room in rooms)):
            raise InputError(f"a trial takes {needed:g} {name} in all; the nodes have {there:g}")


@contextlib.contextmanager
def _switched() -> Iterator[None]:
    former = {name: os.environ.get(name) for name in SWITCHES}
    os.environ |= SWITCHES
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
