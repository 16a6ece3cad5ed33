"""An interrupted run goes on in its own folder, from the last tick that is on the disk."""

from __future__ import annotations

import contextlib

from mos_agents.market.tick import Market
from mos_agents.runs.files import RunError
from mos_agents.runs.plan import Plan
from mos_agents.runs.reading import PART, Run
from mos_agents.runs.recording import Recording
from mos_agents.runs.tables import TABLES


def resume(run: Run, market: Market) -> Recording:
    """A recording that adds to the run's folder; RunError where the run is finished.

    Parts that no newest part of `aggregates` vouches for are removed: their ticks come again.
    """
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
    plan = Plan(
        facts["recorded_markets"], facts["every"], facts["ticks"], market.layout.L, market.layout.N
    )
    recording = Recording(run.folder, facts, market, plan, market.start(facts["markets"]))
    recording.go_on_from(run.ticks, run.parts)
    return recording
