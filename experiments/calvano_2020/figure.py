"""What rivals do when one firm leaves the path: the average response of prices, down and up.

The paper's figure 4 and its mirror image. `python -m experiments.calvano_2020.figure --help`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.calvano_2020.run import CalvanoOutcome, CalvanoSettings, deviation, played
from experiments.replication import ExecutionConfig, changed
from mos_agents.analysis.impulse import response
from mos_agents.market.types import Array, InputError
from mos_agents.report.replications import checked, responses, save
from mos_agents.tasks import ThreadPool

PERIODS = 20
PANELS = {"best_reply": "One firm cuts to its best reply", "up": "One firm asks one level more"}


def average(outcome: CalvanoOutcome, to: str) -> dict[str, Array]:
    """[1 + PERIODS] mean relative price changes of who deviates and of its rivals.

    From the period before the deviation on; over all firms and points of cycles.
    """
    deviator, rivals = [], []
    for player in range(outcome.settings.n):
        pair, _ = deviation(outcome, player, to)
        if pair is None:
            continue
        found, rows = response(pair), slice(pair.shock - 1, pair.shock + PERIODS)
        deviator.append(found.deviator[rows])
        rivals.append(found.rivals[rows])
    if not rivals:
        raise InputError(f"nobody can deviate to {to!r}: everybody asks that price already")
    return {
        "who deviates": np.concatenate(deviator, axis=1).mean(axis=1),
        "rivals": np.concatenate(rivals, axis=1).mean(axis=1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.calvano_2020.figure", description=__doc__
    )
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--set", action="append", default=[], metavar="A=B", dest="changes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, help="keep finished sessions there")
    parser.add_argument("--out", type=Path, default=Path("impulse_response.png"))
    given = parser.parse_args(arguments)
    try:
        checked(given.out)
        settings = changed(CalvanoSettings(), given.changes)
        settings = replace(settings, sessions=given.sessions, seed=given.seed)
        outcome = played(settings, ExecutionConfig(ThreadPool(given.workers), given.folder))
        panels = {title: average(outcome, to) for to, title in PANELS.items()}
        save(responses(panels, "change of price, %"), given.out)
    except (InputError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    for title, lines in panels.items():
        for name, line in lines.items():
            print(f"{title}, {name}: {' '.join(f'{x:+.3f}' for x in line[:9])}")
    print(f"written {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
