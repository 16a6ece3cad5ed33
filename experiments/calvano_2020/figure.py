"""What rivals do when one firm leaves the path: the average response of prices, down and up.

The paper's figure 4 and its mirror image, with 95% bands over sessions.
`python -m experiments.calvano_2020.figure --help`.
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
from mos_agents.analysis.statistics import student
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.report.replications import checked, responses, save
from mos_agents.tasks import ThreadPool

PERIODS = 20
PANELS = {"best_reply": "One firm cuts to its best reply", "up": "One firm asks one level more"}


def average(outcome: CalvanoOutcome, to: str) -> dict[str, Array]:
    """[3, 1 + PERIODS] mean relative price changes of who deviates and of its rivals, with bands.

    From the period before the deviation on; over all firms and points of cycles. The bands are 95%
    intervals over sessions.
    """
    deviator, rivals, sessions = [], [], []
    for player in range(outcome.settings.n):
        pair, session = deviation(outcome, player, to)
        if pair is None:
            continue
        found, rows = response(pair), slice(pair.shock - 1, pair.shock + PERIODS)
        deviator.append(found.deviator[rows])
        rivals.append(found.rivals[rows])
        sessions.append(session)
    if not rivals:
        raise InputError(f"no firm can deviate to {to!r}: all ask that price already")
    at = np.concatenate(sessions)
    lines = {"who deviates": deviator, "rivals": rivals}
    return {name: with_band(np.concatenate(one, axis=1), at) for name, one in lines.items()}


def with_band(changes: Array, session: IntArray) -> Array:
    """[3, T] mean of changes [T, D] and the ends of its 95% interval; cases of a session are alike.

    Sessions scatter, not cases, as in `Findings.ratio`.
    """
    mean = changes.mean(axis=1)
    _, row = np.unique(session, return_inverse=True)
    count = int(row.max()) + 1
    sums = np.zeros((count, len(mean)))
    np.add.at(sums, row, (changes - mean[:, None]).T)
    if count < 2:
        return np.stack([mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)])
    error = sums.std(axis=0, ddof=1) * np.sqrt(count) / changes.shape[1]
    return np.stack([mean, mean - student(count) * error, mean + student(count) * error])


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
            print(f"{title}, {name}: {' '.join(f'{x:+.3f}' for x in line[0, :9])}")
    print(f"written {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
