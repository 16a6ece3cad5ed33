"""All benchmarks as one table: `python -m experiments.benchmarks.run [--only makers,retail]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.benchmarks.timing import BenchmarkLine
from mos_agents.runs.files import write_whole

BENCHMARKS = ("startup", "makers", "retail", "marketplace", "environments", "games", "actors")


def rate(value: float) -> str:
    """A rate as people read it."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:.1f}"


def drawn(lines: Sequence[BenchmarkLine], runs: int) -> Table:
    table = Table(
        title=f"per CPU second of one core (Ray: of the clock); medians of {runs} interleaved runs",
        expand=False,
    )
    for column in ("what", "beside"):
        table.add_column(column, overflow="fold")
    for column in ("ours", "the other", "ratio", "goal"):
        table.add_column(column, justify="right")
    for line in lines:
        goal = "" if line.goal is None else f">= {line.goal:g}"
        table.add_row(
            line.name,
            line.other,
            f"{rate(line.ours)} {line.unit}",
            rate(line.others),
            f"{line.ratio:.2f}",
            goal,
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmarks.run", description=__doc__
    )
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="names, with commas between")
    parser.add_argument("--runs", type=int, default=9, help="runs of each; the median counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(arguments)
    names = given.only.split(",")
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"--only={name!r} must be among {', '.join(BENCHMARKS)}")
    if given.runs < 1:
        parser.error(f"--runs={given.runs} must be >= 1")
    console = Console()
    lines: list[BenchmarkLine] = []
    for name in names:
        with console.status(f"{name}: compiling and measuring"):
            lines += import_module(f"experiments.benchmarks.{name}").run(given.runs)
    console.print(drawn(lines, given.runs))
    if given.json is not None:
        written = [asdict(line) | {"ratio": line.ratio} for line in lines]
        write_whole(given.json, (json.dumps({"results": written}, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
