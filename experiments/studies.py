"""Many trainings of a study, a few at a time; what is finished is kept and not made again."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.analysis.interval_text import interval_text
from mos_agents.analysis.statistics import Interval, mean_interval
from mos_agents.market.types import InputError
from mos_agents.runs.files import read_regular, write_whole
from mos_agents.runs.folder import STUDY
from mos_agents.tasks import JsonCodec, ProcessPool, ResultFolder, Task, TaskProgress, run_tasks

Facts = dict[str, Any]
Make = Callable[[Any, str, int], Facts]
"""(settings, condition, seed) -> what came of it, as JSON has it. A function of a module."""


def run_study(
    make: Make,
    settings: Any,
    conditions: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    workers: int = 2,
    begin: Callable[[], None] | None = None,
) -> dict[str, list[Facts]]:
    """By condition, what came of each seed; each process runs one training after another.

    Each result is kept in the folder: a second call reads what is there and makes the rest. Raises
    InputError where the folder is of other settings, or where another process works in it.

    Parameters
    ----------
    begin
        What a process does first.
    """
    tasks = [
        Task(f"{condition}-{seed}", make, settings, (condition, seed))
        for condition in conditions
        for seed in seeds
    ]
    facts = json.loads(json.dumps({"settings": asdict(settings)}))
    progress = TaskProgress(show=announced(lambda line: print(line, file=sys.stderr, flush=True)))
    with ResultFolder.opened(folder, STUDY, facts, JsonCodec()) as results:
        found = run_tasks(tasks, ProcessPool(workers, begin), results, progress, noun="training")
    return {condition: [found[f"{condition}-{seed}"] for seed in seeds] for condition in conditions}


def announced(say: Callable[[str], None]) -> Callable[[TaskProgress], None]:
    """Says a line whenever a task has ended."""
    begun, last = time.monotonic(), [0]

    def show(progress: TaskProgress) -> None:
        if progress.latest and progress.done != last[0]:
            last[0] = progress.done
            seconds = time.monotonic() - begun
            say(f"{progress.done}/{progress.total} {progress.latest} ({seconds:.0f} s)")

    return show


def on_one_ray() -> None:
    """All trainings of a process use one Ray, which takes seconds to start and ends with it."""
    from mos_agents.actors.ray.cluster import cluster

    stack = contextlib.ExitStack()
    stack.enter_context(cluster())
    atexit.register(stack.close)


def intervals(found: Mapping[str, Sequence[Facts]]) -> dict[tuple[str, str], Interval]:
    """By condition and quantity, the mean over the seeds with its 95% interval.

    Facts that are lists are averaged first; those that are None in some seed are left out.
    """
    made = {}
    for condition, runs in found.items():
        for name in runs[0]:
            values = [None if run[name] is None else float(np.mean(run[name])) for run in runs]
            if all(value is not None for value in values):
                made[condition, name] = mean_interval(np.array(values))
    return made


def results(found: Mapping[str, Sequence[Facts]]) -> list[Facts]:
    """A record a quantity, in the form of all experiments; nothing of it was published before."""
    return [
        {
            "quantity": f"{name}.{condition}",
            "published": None,
            "ours": one.estimate,
            "ci95": [x if np.isfinite(x) else None for x in (one.low, one.high)],
            "within": None,
            "source": None,
        }
        for (condition, name), one in intervals(found).items()
    ]


def as_json(name: str, settings: Any, found: Mapping[str, Sequence[Facts]]) -> bytes:
    """The form that all experiments write, and what each seed came to."""
    record = {
        "experiment": name,
        "settings": asdict(settings),
        "results": results(found),
        "runs": found,
    }
    return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()


def table(
    found: Mapping[str, Sequence[Facts]], labels: Mapping[str, str], names: Sequence[str]
) -> str:
    """The conditions below one another, as text: mean and interval of each quantity."""
    wide, made = max(map(len, labels.values())) + 2, intervals(found)
    lines = [" " * wide + "".join(f"{name:>24}" for name in names)]
    for condition in found:
        cells = []
        for name in names:
            one = made.get((condition, name))
            count = len(found[condition])
            cell = "-" if one is None else interval_text(one, count, "seed", "{:.3f}".format)
            cells.append(f"{cell:>24}")
        lines.append(f"{labels[condition]:<{wide}}" + "".join(cells))
    return "\n".join([*lines, "means and 95% intervals over seeds, that is over trainings"])


# --- the command line -----------------------------------------------------------------------------


def chosen(only: str, conditions: Mapping[str, str]) -> tuple[str, ...]:
    """The conditions named, with commas between; all, if none is."""
    names = tuple(one for one in only.split(",") if one)
    for name in names:
        if name not in conditions:
            raise InputError(f"only: {name!r} is no condition; there are {', '.join(conditions)}")
    return names or tuple(conditions)


def command(
    name: str,
    title: str,
    make: Make,
    settings: Any,
    conditions: Mapping[str, str],
    columns: Sequence[str],
    seeds: int,
    arguments: Sequence[str] | None,
) -> int:
    """A study's command line; 0 done, 2 an argument cannot be used.

    settings: its class, of which `iterations` can be given. conditions: by name, as they are
    printed. columns: quantities that are printed. seeds: how many, by default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}.run", description=title)
    parser.add_argument("--out", type=Path, required=True, help="keep finished trainings there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--iterations", type=int, default=settings.iterations)
    parser.add_argument("--only", default="", help="conditions, with commas between")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    try:
        s = settings(iterations=given.iterations)
        numbers = range(given.seed, given.seed + given.seeds)
        wanted = chosen(given.only, conditions)
        found = run_study(make, s, wanted, numbers, given.out, given.workers, on_one_ray)
        if given.json is not None:
            write_whole(given.json, as_json(name, s, found))
    except (InputError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(table(found, conditions, columns))
    return 0


def drawn(
    name: str,
    figures: Callable[[Mapping[str, Sequence[Facts]]], Mapping[str, Any]],
    arguments: Sequence[str] | None,
) -> int:
    """The command line of a study's pictures: figures of its results' runs, by file name."""
    from mos_agents.report.replications import save  # draws, which a training does not need

    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}.figure")
    parser.add_argument("results", type=Path, help="what run.py wrote with --json")
    parser.add_argument("--out", type=Path, default=Path("."))
    given = parser.parse_args(arguments)
    made = figures(json.loads(read_regular(given.results))["runs"])
    given.out.mkdir(parents=True, exist_ok=True)
    for file, figure in made.items():
        save(figure, given.out / file)
    return 0
