"""A run over actors: hosted, played into its folder, left so that it can be resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from mos_agents import runs, scenarios
from mos_agents.actors.driver import Driver, Health, LocalShards, Tick
from mos_agents.actors.journal import extent
from mos_agents.actors.plan import ShardPlan
from mos_agents.lab.feedback import Feedback, WorkProgress, stop_requests
from mos_agents.lab.local_runs import keeping, report_files, scenario_of, stopped
from mos_agents.market.types import InputError
from mos_agents.runs.faults import LOST
from mos_agents.scenarios import Scenario
from mos_agents.wording import plural, resuming, setting, shown

JOURNAL = "shards"
"""Where in a run's folder its shards keep snapshots and journals."""


@dataclass(frozen=True)
class ActorConfig:
    """How a run over actors is hosted.

    Attributes
    ----------
    backend : str
        "actors" (in this process) or "ray".
    shards : int
        Clearing houses; each has its own markets.
    workers : int
        Actors per shard that hold the participants; 0: one for each participant.
    deadline : float or None
        Seconds that a tick waits for quotes. None waits for ever; actors in this process always do.
    audit : bool
        Whether the whole journal is kept.
    address, insecure : str or None, bool
        The Ray cluster to join, and whether it may lack a token.
    spread : bool
        Whether participants are placed on all nodes, and not beside their clearing house.
    """

    backend: str = "ray"
    shards: int = 1
    workers: int = 0
    deadline: float | None = None
    patience: int = 3
    restarts: int = 3
    checkpoint_every: int = 500
    audit: bool = False
    address: str | None = None
    insecure: bool = False
    spread: bool = False

    def __post_init__(self) -> None:
        if self.backend not in ("actors", "ray"):
            raise InputError(f"backend={self.backend!r} must be 'local', 'actors' or 'ray'")
        if self.spread and self.backend != "ray":
            raise InputError(
                f"{setting('spread')} is for the nodes of a cluster: add "
                f"{setting('backend', 'ray')}"
            )
        if self.deadline is not None and not self.deadline > 0.0:
            raise InputError(f"deadline={self.deadline!r} must be > 0 seconds")
        if self.deadline is not None and self.backend != "ray":
            raise InputError(
                f"{setting('deadline')}: actors in this process cannot be cut short, so nobody is "
                f"ever late; add {setting('backend', 'ray')}"
            )
        if self.checkpoint_every < 1:
            raise InputError(f"checkpoint_every={self.checkpoint_every} must be >= 1 ticks")

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> ActorConfig:
        """From what a run's `run.json` keeps. A deadline that nothing ever looked at is dropped."""
        looked_at = kept.get("deadline") if kept.get("backend") == "ray" else None
        return cls(**{**kept, "deadline": looked_at})

    def facts(self) -> dict[str, Any]:
        """What `run.json` keeps: all but where the cluster was, and who was placed where."""
        kept = asdict(self)
        for name in ("address", "insecure", "spread"):
            del kept[name]
        return kept


def open_recording(
    scenario: Scenario,
    out: Path,
    actors: ActorConfig,
    name: str | None,
    record_markets: int | None,
    every: int | None,
    feedback: Feedback,
    report: bool = True,
) -> runs.Recording:
    """The folder of a new run over actors."""
    market, read = scenario.made()
    plan = runs.RecordingPlan.of(
        market.layout, scenario.ticks, scenario.markets, record_markets, every
    )
    feedback.message(
        f"{scenario.name}: {scenario.ticks:,} ticks, {plural(scenario.markets, 'market')}, "
        f"{plural(market.layout.N, 'participant')} as actors, "
        f"{plural(actors.shards, 'shard')}, seed {scenario.seed}"
    )
    feedback.message(f"recording {plan.describe(scenario.markets)}")
    report_files(scenario, market, read, feedback)
    return runs.record(
        market,
        out,
        scenario=scenario.name,
        described=scenarios.dump(scenario),
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
        plan=plan,
        name=name,
        actors=actors.facts(),
        inputs=scenario.inputs(),
        report=report,
    )


def check_fits(scenario: Scenario, actors: ActorConfig) -> None:
    """InputError if the scenario cannot be sharded and hosted so; before anything is started."""
    plan = runs.RecordingPlan.of(scenario.market().layout, scenario.ticks, scenario.markets)
    Driver(
        LocalShards(),
        shard_plan(actors, scenario, Path(), plan),
        1,
        scenario.markets,
        actors.shards,
    )


def shard_plan(
    actors: ActorConfig, scenario: Scenario, folder: Path, plan: runs.RecordingPlan, run: str = ""
) -> ShardPlan:
    """What every shard of the run begins from. run: what it was called when it began."""
    return ShardPlan(
        run=run or folder.name,
        scenario=scenarios.dump(scenario.portable()),
        seed=scenario.seed,
        markets=(0,),
        workers=actors.workers,
        deadline=actors.deadline,
        patience=actors.patience,
        restarts=actors.restarts,
        folder=str(folder.resolve() / JOURNAL),
        audit=actors.audit,
        recorded=plan.markets,
        every=plan.every,
    )


def play(
    opened: Callable[[], runs.Recording],
    scenario: Scenario,
    actors: ActorConfig,
    feedback: Feedback,
) -> Path:
    """Play from where the recording stands to the end; the run's folder.

    The recording is opened once the actors have their cluster: one that refuses us leaves no
    folder behind.
    """
    with (
        hosting(actors, feedback) as (shards, died, lost),
        stop_requests() as asked,
        contextlib.closing(opened()) as recording,  # this process may go on with the run
    ):
        plan = shard_plan(
            actors, scenario, recording.folder, recording.plan, recording.facts["name"]
        )
        driver = Driver(
            shards,
            plan,
            scenario.ticks,
            scenario.markets,
            actors.shards,
            actors.checkpoint_every,
            actors.restarts,
            died,
        )
        health, ticks = (
            driver.health,
            cast(Generator[Tick, None, None], driver.run(recording.ticks)),
        )
        with resumable(recording, lost), keeping(recording), contextlib.closing(ticks):
            for made in ticks:
                recording.take(made.row, made.means)
                recording.write_if_due()
                if (made.tick + 1) % actors.checkpoint_every == 0:
                    recording.flush()  # what a checkpoint lets go of is on the disk before it
                feedback.progress(WorkProgress("ticks", made.tick + 1, scenario.ticks, health))
                if asked and recording.ticks < scenario.ticks:
                    recording.flush()
                    raise stopped(recording, asked[0])
        trouble = {name: counts for name, counts in health.counts.items() if counts}
        recording.finish(
            driver.hash,
            trouble=trouble,
            withdrawn=list(health.withdrawn),
            reasons=dict(sorted(health.reasons.items())),
        )
    for line in (*runs.fault_lines(recording.facts), *health_lines(health)):
        feedback.message(line)
    return recording.folder


@contextlib.contextmanager
def hosting(actors: ActorConfig, feedback: Feedback) -> Iterator[tuple[Any, Any, Any]]:
    """The shards, and the errors that mean that one of them has died or that all are lost."""
    if actors.backend == "actors":
        yield LocalShards(), (), ()
        return
    from mos_agents.actors.ray.cluster import cluster
    from mos_agents.actors.ray.head import HeadLost
    from mos_agents.actors.ray.shards import ActorDied, RayShards

    feedback.message(cluster_note(actors.address))
    with cluster(actors.address, insecure=actors.insecure):
        yield RayShards(actors.spread), (ActorDied,), (HeadLost,)


@contextlib.contextmanager
def resumable(recording: runs.Recording, lost: tuple[type[Exception], ...]) -> Iterator[None]:
    """Where the cluster is lost: write what there is, and name the command that goes on."""
    try:
        yield
    except lost as error:
        recording.flush()
        raise InputError(
            f"{error}; the first {recording.acknowledged:,} of {recording.facts['ticks']:,} ticks "
            f"are recorded; {resuming('run', shown(recording.folder))} goes on from there, with "
            f"{setting('address', 'HEAD:PORT')} on another cluster"
        ) from None


def resume(run: runs.Run, actors: ActorConfig, feedback: Feedback) -> Path:
    """Go on with an interrupted run over actors."""
    scenario = scenario_of(run)
    # Before anything is started: a run that another process holds is refused at once.
    recording = runs.resume(run, scenario.market())
    try:
        for line in resumed_from(recording, scenario, actors):
            feedback.message(line)
        return play(lambda: recording, scenario, actors, feedback)
    finally:
        recording.close()


def resumed_from(
    recording: runs.Recording, scenario: Scenario, actors: ActorConfig
) -> Iterator[str]:
    """How far an interrupted run is: in its tables, and in its journal."""
    name, ticks = recording.folder.name, recording.ticks
    plan = shard_plan(actors, scenario, recording.folder, recording.plan, recording.facts["name"])
    market = recording.market
    shape = (market.layout.L, len(market.quotes.features))
    begins, ends = [], []
    for shard in range(actors.shards):
        part = plan.part(shard, actors.shards, scenario.markets)
        begin, end = extent(Path(part.folder or ""), (len(part.markets), *shape))
        begins.append(begin)
        ends.append(end)
    yield f"{name}: {ticks:,} of {scenario.ticks:,} ticks are recorded and stay"
    begin, end = min(begins), min(ends)
    if not end:
        yield "going on from tick 0: the journal holds no ticks"
        return
    cleared = f"ticks {begin:,} to {end - 1:,} are cleared from it, and no policy decides again"
    yield (
        f"going on from tick {end:,}, where the journal ends; "
        + (cleared if end > begin else "the state there is on the disk")
    )


def health_lines(health: Health) -> Iterator[str]:
    """Who was restarted or refused, a line each; lost decisions are the run's first lines."""
    for name, counts in sorted(health.counts.items()):
        kinds = {kind: n for kind, n in sorted(counts.items()) if kind not in LOST}
        if kinds:
            what = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
            yield f"trouble {name}: {what}"
    if health.shard_restarts:
        yield f"trouble {plural(health.shard_restarts, 'clearing house')} brought back"


def cluster_note(address: str | None) -> str:
    """Which Ray cluster the work takes."""
    return f"Ray: joining {address}" if address else "Ray: starting a local cluster"
