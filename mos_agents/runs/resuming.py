"""An interrupted run goes on in its own folder, from the last tick that is on the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mos_agents.market.market import Market
from mos_agents.market.types import Array
from mos_agents.runs.files import RunError
from mos_agents.runs.folder import RUN
from mos_agents.runs.plan import RecordingPlan
from mos_agents.runs.reading import PART, Run, read
from mos_agents.runs.recording import Recording
from mos_agents.runs.tables import AGGREGATE_VALUES, TABLES


def resume(run: Run, market: Market) -> Recording:
    """Open the folder of an interrupted run and continue its recording.

    Parts that the newest part of `aggregates` does not cover are removed: their ticks are played
    again.

    Parameters
    ----------
    run : Run
        The interrupted run.
    market : Market
        The market of its scenario.

    Returns
    -------
    Recording
        A recording that adds to the run's folder.

    Raises
    ------
    RunError
        If the run is finished, damaged, or played by another process.
    """
    hold = RUN.hold(run.folder)
    try:
        run = read(run.folder)  # it may have gone on, or ended, before the folder was held
        if run.finished:
            raise RunError(f"{run.folder}: finished already; there is nothing to resume")
        run.check()
        for table in TABLES:
            for path in (run.folder / table).iterdir():
                found = PART.fullmatch(path.name.removesuffix(".sha256"))
                if path.name.endswith(".tmp") or (found and int(found[1]) >= run.parts):
                    with contextlib.suppress(FileNotFoundError):
                        path.unlink()
        facts = run.facts
        plan = RecordingPlan(
            facts["recorded_markets"],
            facts["every"],
            facts["ticks"],
            market.layout.L,
            market.layout.N,
        )
        recording = Recording(run.folder, facts, market, plan, market.start(facts["markets"]), hold)
        recording.go_on_from(run.ticks, run.digests(), _known(run))
    except BaseException:
        hold.release()
        raise
    return recording


def _known(run: Run) -> Iterator[Array]:
    """[values, N] the aggregates of every tick that is recorded, in order."""
    width = len(run.facts["market"]["participants"])
    for part in run.chunks("aggregates", AGGREGATE_VALUES):
        yield from part.to_numpy().reshape(-1, width, len(AGGREGATE_VALUES)).transpose(0, 2, 1)
