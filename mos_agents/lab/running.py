"""Play a scenario into a run folder, and go on with what was interrupted."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mos_agents import runs
from mos_agents.lab import local_runs
from mos_agents.lab.feedback import Feedback, OnMessage, OnProgress
from mos_agents.lab.folders import RunLike, run_of
from mos_agents.lab.settings import ScenarioLike, resolve
from mos_agents.market.lazy import LazyModule
from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario
from mos_agents.scenarios.changes import Changes
from mos_agents.wording import setting

if TYPE_CHECKING:
    from mos_agents.lab import reporting
else:  # draws and adds up: not needed while playing
    reporting = LazyModule("mos_agents.lab.reporting")

BACKENDS = ("local", "actors", "ray")


def run(
    scenario: ScenarioLike,
    *,
    changes: Changes = (),
    ticks: int | None = None,
    markets: int | None = None,
    seed: int | None = None,
    backend: str = "local",
    name: str | None = None,
    out: str | os.PathLike[str] = "runs",
    record_markets: int | None = None,
    every: int | None = None,
    report: bool = True,
    shards: int | None = None,
    workers: int | None = None,
    deadline: float | None = None,
    audit: bool = False,
    address: str | None = None,
    insecure: bool = False,
    spread: bool = False,
    on_progress: OnProgress | None = None,
    on_message: OnMessage | None = None,
) -> reporting.RunResult:
    """Play a scenario, record it in a folder, and write its report.

    Parameters
    ----------
    scenario : str, path or Scenario
        A preset's name, the path of a scenario file, or a scenario.
    changes : mapping or sequence of str
        Settings by their path: {"firms": 4, "arrivals.contamination": 0.3}.
    ticks, markets, seed : int, optional
        Replace those of the scenario.
    backend : str
        "local" plays in one loop; "actors" with actors in this process; "ray" with actors on Ray.
    name : str, optional
        The name of the run; the next free one where it is left out.
    out : str or path
        The folder that holds the run folders.
    record_markets, every : int, optional
        Record the first so many markets, at every so manieth tick; by size where left out.
    report : bool
        Whether `report.html` is written.
    shards, workers, deadline, audit, address, insecure, spread
        For runs over actors only: see `ActorConfig`.
    on_progress : callable, optional
        Called with a `WorkProgress` after each tick.
    on_message : callable, optional
        Called with lines such as what was recognised in the scenario's files.

    Returns
    -------
    RunResult
        The run: `print` shows its summary.

    Raises
    ------
    InputError, RunError
        One line about a setting or a file that is wrong.
    Interrupted
        On Ctrl-C or SIGTERM. What was recorded is in the folder, and `resume` goes on.
    """

    feedback = Feedback.of(on_progress, on_message)
    if backend not in BACKENDS:
        raise InputError(f"backend={backend!r} must be one of {', '.join(BACKENDS)}")
    given: dict[str, Any] = {
        "shards": shards,
        "workers": workers,
        "deadline": deadline,
        "audit": audit or None,
        "address": address,
        "insecure": insecure or None,
        "spread": spread or None,
    }
    given = {setting: value for setting, value in given.items() if value is not None}
    if backend == "local" and given:
        raise InputError(
            f"{setting(next(iter(given)))} is for actors: add {setting('backend', 'ray')}"
        )
    resolved = resolve(scenario, changes, ticks, markets, seed)
    if backend == "local":
        folder = local_runs.play(resolved, Path(out), name, record_markets, every, feedback, report)
    else:
        folder = _over_actors(
            resolved,
            Path(out),
            {"backend": backend, **given},
            name,
            record_markets,
            every,
            feedback,
            report,
        )
    result = reporting.RunResult(runs.read(folder))
    if report:
        result.write_report()
    return result


def _over_actors(
    scenario: Scenario,
    out: Path,
    given: dict[str, Any],
    name: str | None,
    record_markets: int | None,
    every: int | None,
    feedback: Feedback,
    report: bool,
) -> Path:
    from mos_agents.lab import actor_runs

    actors = actor_runs.ActorConfig(**given)
    actor_runs.check_fits(scenario, actors)
    return actor_runs.play(
        lambda: actor_runs.open_recording(
            scenario, out, actors, name, record_markets, every, feedback, report
        ),
        scenario,
        actors,
        feedback,
    )


def resume_run(
    run: RunLike,
    *,
    root: str | os.PathLike[str] = "runs",
    report: bool | None = None,
    address: str | None = None,
    insecure: bool = False,
    spread: bool = False,
    on_progress: OnProgress | None = None,
    on_message: OnMessage | None = None,
) -> reporting.RunResult:
    """Go on with an interrupted run; parameters, result and errors are those of `run`.

    A run in one loop plays its recorded ticks again first. A run over actors goes on from its
    journal; `address`, `insecure` and `spread` say where, everything else it began with. `report`
    left out: as it began.
    """

    kept, feedback = run_of(run, root), Feedback.of(on_progress, on_message)
    if kept.facts.get("actors"):
        from mos_agents.lab import actor_runs

        actors = actor_runs.ActorConfig.of(kept.facts["actors"])
        actors = replace(actors, address=address, insecure=insecure, spread=spread)
        folder = actor_runs.resume(kept, actors, feedback)
    else:
        folder = local_runs.go_on(kept, feedback)
    result = reporting.RunResult(runs.read(folder))
    if kept.facts.get("report", True) if report is None else report:
        result.write_report()
    return result
