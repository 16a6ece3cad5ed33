"""A sweep from its plan to its table: where it is played, how it is stopped, what is told."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mos_agents.lab.playing import Interrupted, asked_to_stop, compiled, plural, print_line, shown
from mos_agents.lab.sweep_show import fault_lines, known, notes, printed, progress
from mos_agents.market.types import InputError
from mos_agents.sweeps.folder import SweepFolder
from mos_agents.sweeps.places import TRAININGS
from mos_agents.sweeps.plan import SweepPlan
from mos_agents.sweeps.sweep import Here, Runner, Watch, on_tune, sweep
from mos_agents.sweeps.table import SweepResult
from mos_agents.sweeps.work import Work, work_from

NAMED = 10
"""Failed trials that are told one by one; all of them are in the tables."""


@dataclass(frozen=True)
class Order:
    """Where and how a sweep is played. workers: trials at a time, None: as many as there is room.

    show: the measures that the printed table has; () the usual ones.
    """

    backend: str = "ray"
    workers: int | None = None
    address: str | None = None
    insecure: bool = False
    report: bool = True
    show: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.backend not in ("local", "ray"):
            raise InputError(f"backend={self.backend!r} must be 'local' or 'ray'")
        if self.workers is not None and not 1 <= self.workers <= 4096:
            raise InputError(f"workers={self.workers!r} must be a whole number in [1, 4096]")
        given = [f"--{name}" for name in ("workers", "address", "insecure") if getattr(self, name)]
        if self.backend == "local" and given:
            raise InputError(f"{given[0]} is for Ray Tune: leave --backend local out")


def work(
    train: str | None,
    sessions: int | None,
    theory: bool,
    burn_in: int | None,
    ticks: int | None,
    markets: int | None,
) -> Work:
    """What a trial does, from the command's options; InputError for those that do not go along."""
    if train is not None and sessions is not None:
        raise InputError("give --sessions or --train, not both")
    if train is None and sessions is None:
        return work_from("play", burn_in=burn_in or 0, theory=theory)
    apart = {"--burn-in": burn_in, "--markets": markets, "--theory": theory or None}
    if sessions is not None:
        apart["--ticks"] = ticks
    for option, value in apart.items():
        if value is not None:
            other = "--sessions" if train is None else "--train"
            raise InputError(f"{option} is for play tick by tick; leave it out with {other}")
    if train is None:
        return work_from("sessions", sessions=sessions)
    from mos_agents.sweeps.training import Training

    return Training.parsed(train)


def play(plan: SweepPlan, folder: Path, order: Order) -> int:
    """Play what is missing of a plan, write and print its table; 0, or 1 where trials failed.

    Raises InputError for what cannot be done, Interrupted on Ctrl-C.
    """
    begun = (folder / "sweep.json").exists()
    opened = SweepFolder.made(plan, folder) if begun else None
    runner: Runner = Here() if order.backend == "local" else on_tune(order.workers)
    kept = opened.done() if opened else {}
    left = [t for t in plan.trials if t.number not in kept or kept[t.number].error]
    print_line(
        f"{plan.scenario.name}: {plural(len(plan.cells), 'cell')} x "
        f"{plural(len(plan.seeds), 'seed')} = {plural(len(plan.trials), 'trial')}"
        + (f", {len(plan.trials) - len(left):,} of them there" if begun else "")
    )
    if opened and opened.other_versions:
        print_line(f"versions differ, and results may: {opened.other_versions}")
    if left and not compiled():
        print_line("compiling the market's kernels: up to a minute, once on every machine")
    try:
        with (
            asked_to_stop() as asked,
            cluster(plan, order) if left else contextlib.nullcontext(),
            progress(plan) as show,
        ):
            watch = Watch(show=show, asked=lambda: bool(asked))
            result = sweep(plan, folder, runner, watch)
    except KeyboardInterrupt:  # a second Ctrl-C: at once
        raise stopped(plan, folder, 130) from None
    if asked and result.missing:
        raise stopped(plan, folder, 128 + asked[0])
    return finished(result, folder, order)


@contextlib.contextmanager
def cluster(plan: SweepPlan, order: Order) -> Iterator[None]:
    """The Ray cluster of an order, its own with a core for each trial at a time."""
    if order.backend == "local" and plan.work.kind != "train":
        yield
        return
    from mos_agents.actors.ray import cluster as ray_cluster

    print_line(
        f"Ray: {'joining ' + order.address if order.address else 'starting a local cluster'}"
    )
    needed = sum(bundle["CPU"] for bundle in plan.bundles)
    cores = max(os.cpu_count() or 1, int(-(-needed * (order.workers or 1) // 1)))
    with ray_cluster.cluster(order.address, insecure=order.insecure, cpus=cores):
        yield


def stopped(plan: SweepPlan, folder: Path, code: int) -> Interrupted:
    """Where the sweep stands, and how to go on."""
    if not (folder / "sweep.json").exists():
        return Interrupted("mos: stopped before anything was played", code)
    done = sum(1 for one in SweepFolder.made(plan, folder).done().values() if not one.error)
    return Interrupted(
        f"mos: stopped: {done:,} of {len(plan.trials):,} trials kept in {shown(folder)}; "
        f"mos sweep --resume {shown(folder)} goes on",
        code,
    )


def finished(result: SweepResult, folder: Path, order: Order) -> int:
    """Print the table, the troubles and where everything is."""
    for name in order.show:  # what there is to measure is known only now
        if name not in result.measures:
            print_line(f"--show {name}: is not measured; there are {known(result)}")
    measures = result.headline(order.show)
    for line in fault_lines(result):
        print_line(line)
    printed(result, measures)
    for note, count in notes(result).items():
        print_line(f"note ({plural(count, 'trial')}): {note}")
    for trial, reason in result.failed[:NAMED]:
        print_line(f"failed {result.plan.cells[trial.cell]}, seed {trial.seed}: {reason}")
    if len(result.failed) > NAMED:
        print_line(f"failed {len(result.failed) - NAMED} more; see errors in table.csv")
    print_line(f"table   {shown(folder / 'table.csv')}")
    print_line(f"trials  {shown(folder / 'trials.parquet')}")
    if result.plan.work.kind == "train":
        print_line(f"trained {shown(folder / TRAININGS)}")
    if order.report:
        from mos_agents.lab import sweep_page  # draws with matplotlib

        print_line(f"report  {shown(sweep_page.write(result, folder))}")
    if result.failed:
        print_line(
            f"{plural(len(result.failed), 'trial')} failed; mos sweep --resume {shown(folder)} "
            "tries them again"
        )
    return int(bool(result.failed))
