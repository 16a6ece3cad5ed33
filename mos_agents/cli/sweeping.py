"""`mos sweep`: a scenario over a grid of settings and seeds, on Ray Tune, with one table."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mos_agents.cli.playing import Interrupted, asked_to_stop, compiled, plural, say, shown
from mos_agents.market.types import InputError
from mos_agents.sweeps.folder import SweepFolder
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


def work(sessions: int | None, burn_in: int | None, ticks: int | None, markets: int | None) -> Work:
    """What a trial does, from the command's options; InputError for those that do not go along."""
    if sessions is None:
        return work_from("play", **({} if burn_in is None else {"burn_in": burn_in}))
    for option, value in (("--burn-in", burn_in), ("--ticks", ticks), ("--markets", markets)):
        if value is not None:
            raise InputError(f"{option} is for play tick by tick; leave it out with --sessions")
    return work_from("sessions", sessions=sessions)


def play(plan: SweepPlan, folder: Path, order: Order) -> int:
    """Play what is missing of a plan, write and print its table; 0, or 1 where trials failed.

    Raises InputError for what cannot be done, Interrupted on Ctrl-C.
    """
    begun = (folder / "sweep.json").exists()
    opened = SweepFolder.made(plan, folder) if begun else None
    runner: Runner = Here() if order.backend == "local" else on_tune(order.workers)
    kept = opened.done() if opened else {}
    left = [t for t in plan.trials if t.number not in kept or kept[t.number].error]
    say(
        f"{plan.scenario.name}: {plural(len(plan.cells), 'cell')} x "
        f"{plural(len(plan.seeds), 'seed')} = {plural(len(plan.trials), 'trial')}"
        + (f", {len(plan.trials) - len(left):,} of them there" if begun else "")
    )
    if opened and opened.other_versions:
        say(f"versions differ, and results may: {opened.other_versions}")
    if left and not compiled():
        say("compiling the market's kernels: up to a minute, once on every machine")
    try:
        with (
            asked_to_stop() as asked,
            cluster(plan, order) if left else contextlib.nullcontext(),
            progress() as show,
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
    if order.backend == "local":
        yield
        return
    from mos_agents.actors import ray_runtime

    say(f"Ray: {'joining ' + order.address if order.address else 'starting a local cluster'}")
    needed = sum(bundle["CPU"] for bundle in plan.work.bundles(plan.cpus, plan.gpus))
    cores = max(os.cpu_count() or 1, int(-(-needed * (order.workers or 1) // 1)))
    with ray_runtime.cluster(order.address, insecure=order.insecure, cpus=cores):
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
    for name in order.show:
        if name not in result.measures:
            raise InputError(f"--show {name!r}: is not measured; there are {known(result)}")
    measures = result.headline(order.show)
    printed(result, measures)
    for note, count in notes(result).items():
        say(f"note ({plural(count, 'trial')}): {note}")
    for trial, reason in result.failed[:NAMED]:
        say(f"failed {result.plan.cells[trial.cell]}, seed {trial.seed}: {reason}")
    if len(result.failed) > NAMED:
        say(f"failed {len(result.failed) - NAMED} more; see errors in table.csv")
    say(f"table   {shown(folder / 'table.csv')}")
    say(f"trials  {shown(folder / 'trials.parquet')}")
    if order.report:
        from mos_agents.cli import sweep_page  # draws with matplotlib

        say(f"report  {shown(sweep_page.write(result, folder))}")
    if result.failed:
        say(f"{plural(len(result.failed), 'trial')} failed; mos sweep --resume {shown(folder)} "
            "tries them again")  # fmt: skip
    return int(bool(result.failed))


def known(result: SweepResult) -> str:
    """The measures that are not a participant's own."""
    return ", ".join(name for name in result.measures if "." not in name)


def notes(result: SweepResult) -> Counter[str]:
    """What trials had to say, and how many of them."""
    return Counter(note for one in result.done.values() for note in one.row.notes)


# --- the table ------------------------------------------------------------------------------------


def lines(result: SweepResult, measures: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: a cell each, a mean with its interval per measure."""
    from mos_agents import scenarios

    plan = result.plan
    labels = [axis.label for axis in plan.grid]
    whole = len(set(labels)) == len(labels)
    head = labels if whole else [axis.path for axis in plan.grid]
    rows = []
    for cell in plan.cells:
        row = [scenarios.inline(value) for value in cell.values.values()]
        good = [t for t in plan.trials if t.cell == cell.number and t.number in result.done]
        failed = sum(1 for t in good if result.done[t.number].error)
        row.append(f"{len(good) - failed:,}" + (f" ({failed} failed)" if failed else ""))
        rows.append([*row, *(spoken(result, cell.number, name) for name in measures)])
    return [*head, "trials", *measures], rows


def spoken(result: SweepResult, cell: int, measure: str) -> str:
    """0.853 [0.841, 0.866]; without limits where there is one trial."""
    found, count = result.interval(cell, measure)
    if not count:
        return "-"
    mean, low, high = (f"{x:,.0f}" if abs(x) >= 1e4 else f"{x:.4g}" for x in found[:3])
    return mean if count == 1 else f"{mean} [{low}, {high}]"


def printed(result: SweepResult, measures: Sequence[str]) -> None:
    """The table with rich on a terminal, aligned text elsewhere."""
    head, rows = lines(result, measures)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        made = Table(caption="mean over seeds with its 95% bootstrap interval")
        for at, heading in enumerate(head):
            made.add_column(heading, justify="left" if at < len(result.plan.grid) else "right",
                            overflow="fold")  # fmt: skip
        for row in rows:
            made.add_row(*row, style="bold red" if "failed" in row[len(result.plan.grid)] else None)
        Console().print(made)
        return
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        say("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
    say("mean over seeds with its 95% bootstrap interval")


# --- progress -------------------------------------------------------------------------------------


@contextlib.contextmanager
def progress(seconds: float = 5.0) -> Iterator[Callable[[Watch], None]]:
    """A bar and the trials under way on a terminal; elsewhere a plain line now and then."""
    if not sys.stdout.isatty():
        last = [time.monotonic()]

        def line(watch: Watch) -> None:
            if watch.done == watch.total or time.monotonic() - last[0] > seconds:
                last[0] = time.monotonic()
                say(told(watch))

        yield line
        return
    from rich.live import Live

    with Live(refresh_per_second=4, transient=True) as view:
        drawn = [0.0]

        def draw(watch: Watch) -> None:
            if time.monotonic() - drawn[0] > 0.25:
                drawn[0] = time.monotonic()
                view.update(drawing(watch))

        yield draw


def told(watch: Watch) -> str:
    """trials 12 of 30, 2 running, 1 failed, about 40 s left."""
    parts = [f"trials {watch.done:,} of {watch.total:,}", f"{len(watch.running)} running"]
    if watch.failed:
        parts.append(f"{watch.failed} failed")
    if 0.0 < watch.seconds_left < float("inf"):
        parts.append(f"about {duration(watch.seconds_left)} left")
    return ", ".join(parts)


def drawing(watch: Watch) -> Any:
    """The bar, and a line for each trial under way."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    running = sorted(watch.running.items())
    under_way = [
        Text(f"  cell {trial.cell}, seed {trial.seed}: {duration(time.monotonic() - began)}")
        for trial, began in running[:20]
    ]
    more = [Text(f"  and {len(running) - 20} more")] if len(running) > 20 else []
    bar = ProgressBar(total=max(watch.total, 1), completed=watch.done, width=60)
    return Group(Text(told(watch)), bar, *under_way, *more)


def duration(seconds: float) -> str:
    """40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
