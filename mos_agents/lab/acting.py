"""Play a scenario with its participants as actors, show their health, and leave it resumable."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mos_agents import runs, scenarios
from mos_agents.actors.driver import Driver, Health, LocalShards
from mos_agents.actors.journal import reach
from mos_agents.actors.shard import ShardPlan
from mos_agents.analysis.numbers import number
from mos_agents.lab.playing import (
    asked_to_stop,
    keeping,
    plural,
    print_file_notes,
    print_line,
    scenario_of,
    shown,
    stopped,
)
from mos_agents.market.printing import cell
from mos_agents.market.types import InputError
from mos_agents.runs.faults import LOST
from mos_agents.scenarios import Scenario

JOURNAL = "shards"
"""Where in a run's folder its shards keep snapshots and journals."""


@dataclass(frozen=True)
class Acting:
    """How participants are hosted. address, insecure: of the Ray cluster. spread: with participants
    on all its nodes in turn, and not beside their clearing house.

    shards: clearing houses. workers: actors per shard that hold the participants; 0: one each.
    deadline: seconds that a tick waits for quotes; None: for ever, and always so in this process,
    where nobody can be cut short. audit: keep the whole journal.
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
            raise InputError("--spread is for the nodes of a cluster: add --backend ray")
        if self.deadline is not None and not self.deadline > 0.0:
            raise InputError(f"deadline={self.deadline!r} must be > 0 seconds")
        if self.deadline is not None and self.backend != "ray":
            raise InputError(
                "--deadline: actors in this process cannot be cut short, so nobody is ever late; "
                "add --backend ray"
            )
        if self.checkpoint_every < 1:
            raise InputError(f"checkpoint_every={self.checkpoint_every} must be >= 1 ticks")

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Acting:
        """From what a run's `run.json` keeps. A deadline that nothing ever looked at is dropped."""
        looked_at = kept.get("deadline") if kept.get("backend") == "ray" else None
        return cls(**{**kept, "deadline": looked_at})

    def facts(self) -> dict[str, Any]:
        """What `run.json` keeps: all but where the cluster was, and who lived where."""
        kept = asdict(self)
        for name in ("address", "insecure", "spread"):
            del kept[name]
        return kept


def open_recording(
    scenario: Scenario,
    out: Path,
    acting: Acting,
    name: str | None,
    record_markets: int | None,
    every: int | None,
) -> runs.Recording:
    """The folder of a new run of actors."""
    market, read = scenario.made()
    plan = runs.RecordingPlan.of(
        market.layout, scenario.ticks, scenario.markets, record_markets, every
    )
    print_line(
        f"{scenario.name}: {scenario.ticks:,} ticks, {plural(scenario.markets, 'market')}, "
        f"{plural(market.layout.N, 'participant')} as actors, "
        f"{plural(acting.shards, 'shard')}, seed {scenario.seed}"
    )
    print_line(f"recording {plan.describe(scenario.markets)}")
    print_file_notes(scenario, market, read)
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
        actors=acting.facts(),
        inputs=scenario.inputs(),
    )


def check_fits(scenario: Scenario, acting: Acting) -> None:
    """InputError if the scenario cannot be sharded and hosted so; before anything is started."""
    plan = runs.RecordingPlan.of(scenario.market().layout, scenario.ticks, scenario.markets)
    Driver(
        LocalShards(),
        shard_plan(acting, scenario, Path(), plan),
        1,
        scenario.markets,
        acting.shards,
    )


def shard_plan(
    acting: Acting, scenario: Scenario, folder: Path, plan: runs.RecordingPlan, run: str = ""
) -> ShardPlan:
    """What every shard of the run begins from. run: what it was called when it began."""
    return ShardPlan(
        run=run or folder.name,
        scenario=scenarios.dump(scenario.portable()),
        seed=scenario.seed,
        markets=(0,),
        workers=acting.workers,
        deadline=acting.deadline,
        patience=acting.patience,
        restarts=acting.restarts,
        folder=str(folder.resolve() / JOURNAL),
        audit=acting.audit,
        recorded=plan.markets,
        every=plan.every,
    )


def play(
    opened: Callable[[], runs.Recording], scenario: Scenario, acting: Acting
) -> tuple[Path, str]:
    """Play from where the recording stands to the end; the run's folder and its hash.

    The recording is opened once there is a place for the actors: a cluster that refuses us leaves
    no folder behind.
    """
    with hosting(acting) as (shards, died, lost), asked_to_stop() as asked:
        recording = opened()
        plan = shard_plan(
            acting, scenario, recording.folder, recording.plan, recording.facts["name"]
        )
        driver = Driver(
            shards,
            plan,
            scenario.ticks,
            scenario.markets,
            acting.shards,
            acting.checkpoint_every,
            acting.restarts,
            died,
        )
        stopper = None
        health = driver.health
        with resumable(recording, lost), keeping(recording), live(scenario.ticks, health) as show:
            for made in driver.run(recording.ticks):
                recording.take(made.row, made.means)
                recording.write_if_due()
                if (made.tick + 1) % acting.checkpoint_every == 0:
                    recording.flush()  # what a checkpoint lets go of is on the disk before it
                show()
                if asked and recording.ticks < scenario.ticks:
                    recording.flush()
                    stopper = stopped(recording, asked[0])
                    break
            show(True)
        if stopper is not None:
            raise stopper
        trouble = {name: counts for name, counts in health.counts.items() if counts}
        trajectory = recording.finish(
            driver.hash,
            trouble=trouble,
            withdrawn=list(health.withdrawn),
            reasons=dict(sorted(health.reasons.items())),
        )
    for line in (*runs.fault_lines(recording.facts), *health_lines(health)):
        print_line(line)
    return recording.folder, trajectory


@contextlib.contextmanager
def hosting(acting: Acting) -> Iterator[tuple[Any, Any, Any]]:
    """Where the shards live, and the errors that tell that one has died or that all are lost."""
    if acting.backend == "actors":
        yield LocalShards(), (), ()
        return
    from mos_agents.actors.ray.cluster import HeadLost, cluster
    from mos_agents.actors.ray.runtime import ActorDied, RayShards

    print_line(
        f"Ray: {'joining ' + acting.address if acting.address else 'starting a local cluster'}"
    )
    with cluster(acting.address, insecure=acting.insecure):
        yield RayShards(acting.spread), (ActorDied,), (HeadLost,)


@contextlib.contextmanager
def resumable(recording: runs.Recording, lost: tuple[type[Exception], ...]) -> Iterator[None]:
    """Where the cluster is lost: what there is goes to the disk, and the way on is told."""
    try:
        yield
    except lost as error:
        recording.flush()
        raise InputError(
            f"{error}; the first {recording.acknowledged:,} of {recording.facts['ticks']:,} ticks "
            f"are recorded; mos run --resume {shown(recording.folder)} goes on from there, with "
            "--address HEAD:PORT on another cluster"
        ) from None


def resume(run: runs.Run, acting: Acting) -> tuple[Path, str]:
    """Go on with an interrupted run of actors."""
    scenario = scenario_of(run)
    # Before anything is started: nobody waits for a cluster to hear that the run has its process.
    recording = runs.resume(run, scenario.market())
    try:
        for line in standing(recording, scenario, acting):
            print_line(line)
        return play(lambda: recording, scenario, acting)
    finally:
        recording.close()


def standing(recording: runs.Recording, scenario: Scenario, acting: Acting) -> Iterator[str]:
    """How far an interrupted run is: in its tables, and in its journal."""
    name, ticks = recording.folder.name, recording.ticks
    plan = shard_plan(acting, scenario, recording.folder, recording.plan, recording.facts["name"])
    market = recording.market
    shape = (market.layout.L, len(market.quotes.features))
    begins, ends = [], []
    for shard in range(acting.shards):
        part = plan.part(shard, acting.shards, scenario.markets)
        begin, end = reach(Path(part.folder or ""), (len(part.markets), *shape))
        begins.append(begin)
        ends.append(end)
    yield f"{name}: {ticks:,} of {scenario.ticks:,} ticks are recorded and stay"
    begin, end = min(begins), min(ends)
    if not end:
        yield "going on from tick 0: the journal holds no ticks"
        return
    cleared = f"ticks {begin:,} to {end - 1:,} are cleared again from it, and nobody decides anew"
    yield (
        f"going on from tick {end:,}, where the journal ends; "
        + (cleared if end > begin else "the state there is on the disk")
    )


def health_lines(health: Health) -> Iterator[str]:
    """Who was brought back or refused, a line each; decisions lost are the run's first lines."""
    for name, counts in sorted(health.counts.items()):
        kinds = {kind: n for kind, n in sorted(counts.items()) if kind not in LOST}
        if kinds:
            what = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
            yield f"trouble {name}: {what}"
    if health.shard_restarts:
        yield f"trouble {plural(health.shard_restarts, 'clearing house')} brought back"


@contextlib.contextmanager
def live(ticks: int, health: Health) -> Iterator[Any]:
    """A table on a terminal; elsewhere a plain line now and then."""
    if not sys.stdout.isatty():
        last = [time.monotonic()]

        def line(end: bool = False) -> None:
            if end or time.monotonic() - last[0] > 5.0:
                last[0] = time.monotonic()
                print_line(
                    f"tick {health.tick:,} of {ticks:,}, {number(health.ticks_per_second)} a second"
                )

        yield line
        return
    from rich.live import Live

    with Live(table(ticks, health), refresh_per_second=4, transient=True) as view:
        last = [0.0]

        def show(end: bool = False) -> None:
            if end or time.monotonic() - last[0] > 0.25:
                last[0] = time.monotonic()
                view.update(table(ticks, health))

        yield show


def table(ticks: int, health: Health) -> Any:
    """Ticks, speed, and per participant: latency, faults, restarts."""
    from rich.table import Table

    made = Table(
        title=f"tick {health.tick:,} of {ticks:,}   "
        f"{number(health.ticks_per_second)} ticks a second"
    )
    for heading in ("participant", "latency ms", "late", "failed", "refused", "restarts"):
        made.add_column(heading, justify="left" if heading == "participant" else "right")
    names = sorted(set(health.seconds) | set(health.counts))
    for name in names[:30]:
        counts = health.counts.get(name, {})
        cells = [f"{counts.get(kind, 0):,}" for kind in ("late", "failed", "refused", "restarted")]
        gone = " (withdrawn)" if name in health.withdrawn else ""
        made.add_row(cell(name + gone), f"{1000 * health.seconds.get(name, 0.0):.2f}", *cells)
    if len(names) > 30:
        made.add_row(f"and {len(names) - 30} more", "", "", "", "", "")
    return made
