"""A sweep on the terminal: its progress, its table, and the notes of its trials."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from mos_agents.cli.terminal import Pace, print_line
from mos_agents.lab.sweeping import OnTrials, SweepRun, fault_lines, notes
from mos_agents.market.printing import cell
from mos_agents.sweeps.plan import SweepPlan
from mos_agents.sweeps.table import SweepResult, aligned, caption, lines
from mos_agents.sweeps.trial_folder import TRAININGS
from mos_agents.tasks import TaskProgress
from mos_agents.wording import plural, shown

NAMED = 10
"""Failed trials that are named one by one; all of them are in the tables."""


def known(result: SweepResult) -> str:
    """The measures that are not a participant's own."""
    return ", ".join(name for name in result.measures if "." not in name)


def show(played: SweepRun, chosen: Sequence[str], report: bool) -> None:
    """Print the table, the troubles and the files. chosen: measures, () for the usual ones."""
    result, folder = played.result, played.folder
    for name in chosen:  # what there is to measure is known only now
        if name not in result.measures:
            print_line(f"--show {name}: is not measured; there are {known(result)}")
    for line in fault_lines(result):
        print_line(line)
    printed(result, result.headline(tuple(chosen)))
    for note, count in notes(result).items():
        print_line(f"note ({plural(count, 'trial')}): {note}")
    for trial, reason in result.failed[:NAMED]:
        print_line(f"failed {result.plan.cells[trial.cell]}, seed {trial.seed}: {reason}")
    if len(result.failed) > NAMED:
        print_line(f"failed {len(result.failed) - NAMED} more; see errors in table.csv")
    print_line(f"table   {shown(folder / 'table.csv')}")
    print_line(f"trials  {shown(folder / 'trials.parquet')}")
    if result.plan.spec.kind == "train":
        print_line(f"trained {shown(folder / TRAININGS)}")
    if report:
        print_line(f"report  {shown(played.write_report())}")
    if result.failed:
        print_line(
            f"{plural(len(result.failed), 'trial')} failed; mos sweep --resume {shown(folder)} "
            "tries them again"
        )


# --- the table ------------------------------------------------------------------------------------


def printed(result: SweepResult, measures: Sequence[str]) -> None:
    """The table with rich on a terminal, aligned text elsewhere."""
    head, rows = lines(result, measures)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        made = Table(caption=cell(caption(result)))
        for at, heading in enumerate(head):
            side: Any = "left" if at < len(result.plan.grid) else "right"
            made.add_column(cell(heading), justify=side, overflow="fold")
        for row in rows:
            made.add_row(
                *map(cell, row),
                style="bold red" if "failed" in row[len(result.plan.grid)] else None,
            )
        Console().print(made)
        return
    for line in aligned([head, *rows]):
        print_line(line)
    print_line(caption(result))


# --- progress -------------------------------------------------------------------------------------


@contextlib.contextmanager
def progress() -> Iterator[OnTrials]:
    """A bar and the trials under way on a terminal; elsewhere a plain line now and then."""
    if not sys.stdout.isatty():
        pace = Pace()

        def line(state: TaskProgress, plan: SweepPlan) -> None:
            if pace.due(state.found < state.done == state.total):
                print_line(progress_line(state))

        yield line
        return
    from rich.live import Live

    with contextlib.ExitStack() as stack:
        views: list[Live] = []
        drawn = Pace(0.25)

        def draw(state: TaskProgress, plan: SweepPlan) -> None:
            if not views:
                views.append(stack.enter_context(Live(refresh_per_second=4, transient=True)))
            if drawn.due():
                views[0].update(drawing(plan, state))

        yield draw


def progress_line(state: TaskProgress) -> str:
    """trials 12 of 30, 2 running, 1 failed, about 40 s left."""
    parts = [f"trials {state.done:,} of {state.total:,}", f"{len(state.running)} running"]
    if state.failed:
        parts.append(f"{state.failed} failed")
    if 0.0 < state.seconds_left < float("inf"):
        parts.append(f"about {duration(state.seconds_left)} left")
    return ", ".join(parts)


def drawing(plan: SweepPlan, state: TaskProgress) -> Any:
    """The bar, and a line for each trial under way."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    trials = [(trial, state.running.get(trial.name)) for trial in plan.trials]
    running = [(trial, began) for trial, began in trials if began is not None]
    under_way = [
        Text(f"  {plan.cells[trial.cell]}, seed {trial.seed}: {duration(time.monotonic() - began)}")
        for trial, began in running[:20]
    ]
    more = [Text(f"  and {len(running) - 20} more")] if len(running) > 20 else []
    bar = ProgressBar(total=max(state.total, 1), completed=state.done, width=60)
    return Group(Text(progress_line(state)), bar, *under_way, *more)


def duration(seconds: float) -> str:
    """40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
