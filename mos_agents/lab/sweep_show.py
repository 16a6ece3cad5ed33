"""How a sweep looks on the terminal: its progress, its table, and what trials had to say."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mos_agents.lab.playing import plural, print_line
from mos_agents.market.faults import FAULTS_OF
from mos_agents.market.printing import cell
from mos_agents.sweeps.plan import SweepPlan
from mos_agents.sweeps.sweep import Watch
from mos_agents.sweeps.table import SweepResult, aligned, caption, lines


def known(result: SweepResult) -> str:
    """The measures that are not a participant's own."""
    return ", ".join(name for name in result.measures if "." not in name)


def notes(result: SweepResult) -> Counter[str]:
    """What trials had to say, and how many of them; but for the faults of policies."""
    return Counter(
        note
        for one in result.done.values()
        for note in one.row.notes
        if not note.startswith(FAULTS_OF)
    )


def fault_lines(result: SweepResult, most: int = 10) -> list[str]:
    """What policies did wrong in the trials: the first lines of all that is told."""
    counts = Counter(
        note for one in result.done.values() for note in one.row.notes if note.startswith(FAULTS_OF)
    )
    more = [f"FAULTS: {len(counts) - most} more such lines"] if len(counts) > most else []
    lines = [f"{note} ({plural(count, 'trial')})" for note, count in counts.most_common(most)]
    return lines + more


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
def progress(plan: SweepPlan, seconds: float = 5.0) -> Iterator[Callable[[Watch], None]]:
    """A bar and the trials under way on a terminal; elsewhere a plain line now and then."""
    if not sys.stdout.isatty():
        last = [time.monotonic()]

        def line(watch: Watch) -> None:
            if watch.done == watch.total or time.monotonic() - last[0] > seconds:
                last[0] = time.monotonic()
                print_line(progress_line(watch))

        yield line
        return
    from rich.live import Live

    with Live(refresh_per_second=4, transient=True) as view:
        drawn = [0.0]

        def draw(watch: Watch) -> None:
            if time.monotonic() - drawn[0] > 0.25:
                drawn[0] = time.monotonic()
                view.update(drawing(plan, watch))

        yield draw


def progress_line(watch: Watch) -> str:
    """trials 12 of 30, 2 running, 1 failed, about 40 s left."""
    parts = [f"trials {watch.done:,} of {watch.total:,}", f"{len(watch.running)} running"]
    if watch.failed:
        parts.append(f"{watch.failed} failed")
    if 0.0 < watch.seconds_left < float("inf"):
        parts.append(f"about {duration(watch.seconds_left)} left")
    return ", ".join(parts)


def drawing(plan: SweepPlan, watch: Watch) -> Any:
    """The bar, and a line for each trial under way."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    running = sorted(watch.running.items())
    under_way = [
        Text(f"  {plan.cells[trial.cell]}, seed {trial.seed}: {duration(time.monotonic() - began)}")
        for trial, began in running[:20]
    ]
    more = [Text(f"  and {len(running) - 20} more")] if len(running) > 20 else []
    bar = ProgressBar(total=max(watch.total, 1), completed=watch.done, width=60)
    return Group(Text(progress_line(watch)), bar, *under_way, *more)


def duration(seconds: float) -> str:
    """40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
