"""How far towards joint profit do sellers go, by how fast they learn and how long they try?

A coarse form of the paper's grid: profit gain by alpha and beta, everything else at the baseline.
`python -m experiments.calvano_2020.heat_map --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.calvano_2020.run import CalvanoSettings, played
from experiments.replication import ExecutionConfig, changed, claim_for
from mos_agents.market.types import InputError
from mos_agents.report.replications import checked, heat_map, save
from mos_agents.runs.files import write_whole
from mos_agents.tasks import ThreadPool


@dataclass(frozen=True)
class ParameterGrid:
    """alphas in equal steps, betas in equal ratios; sessions in each cell."""

    alphas: tuple[float, ...] = (0.025, 0.1, 0.175, 0.25)
    betas: tuple[float, ...] = (2e-7, 9.3e-7, 4.3e-6, 2e-5)
    sessions: int = 4
    base: CalvanoSettings = field(default_factory=CalvanoSettings)

    @classmethod
    def of(cls, steps: int, sessions: int, base: CalvanoSettings) -> ParameterGrid:
        """The paper's ranges, .025 to .25 and 2e-7 to 2e-5, in so many steps."""
        if not 2 <= steps <= 100:
            raise InputError(f"grid={steps!r} must be a whole number in [2, 100]")
        alphas = np.linspace(0.025, 0.25, steps).round(6).tolist()
        betas = [float(f"{b:.3g}") for b in np.geomspace(2e-7, 2e-5, steps)]
        return cls(tuple(alphas), tuple(betas), sessions, base)


def cells(grid: ParameterGrid, execution: ExecutionConfig) -> list[dict[str, Any]]:
    """A record a cell: profit gain, its standard error, sessions and periods to convergence."""
    records: list[dict[str, Any]] = []
    whole = len(grid.alphas) * len(grid.betas)
    if execution.folder is not None:
        claim_for("calvano_2020.heat_map", grid.base, execution.folder)
    for beta in grid.betas:
        for alpha in grid.alphas:
            made = replace(grid.base, alpha=alpha, beta=beta, sessions=grid.sessions)
            part = f"alpha_{alpha:g}_beta_{beta:g}"
            outcome = played(made, replace(execution, folder=execution.folder_of(part)))
            gain = outcome.profit_gain
            error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else None
            periods = (outcome.played.periods - made.window)[np.asarray(outcome.played.converged)]
            records.append(
                {
                    "alpha": alpha,
                    "beta": beta,
                    "profit_gain": float(gain.mean()),
                    "error": error,
                    "sessions": len(gain),
                    "periods_to_convergence": float(periods.mean()) if len(periods) else None,
                }
            )
            execution.progress("cells", len(records), whole)
    return records


def print_progress(what: str, done: int, of: int) -> None:
    """A line a cell."""
    if what == "cells":
        print(f"cell {done} of {of}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.calvano_2020.heat_map", description=__doc__
    )
    parser.add_argument("--grid", type=int, default=4, help="alphas, and betas")
    parser.add_argument("--sessions", type=int, default=ParameterGrid.sessions, help="in each cell")
    parser.add_argument("--set", action="append", default=[], metavar="A=B", dest="changes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, help="keep finished sessions there")
    parser.add_argument("--out", type=Path, default=Path("heat_map.png"), help=".png or .svg")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the cells there")
    given = parser.parse_args(arguments)
    try:
        checked(given.out)
        base = replace(changed(CalvanoSettings(), given.changes), seed=given.seed)
        grid = ParameterGrid.of(given.grid, given.sessions, base)
        records = cells(
            grid, ExecutionConfig(ThreadPool(given.workers), given.folder, print_progress)
        )
        shape = (len(grid.betas), len(grid.alphas))
        gains = np.array([one["profit_gain"] for one in records]).reshape(shape)
        title = f"Profit gain, {grid.sessions} sessions a cell"
        save(heat_map(gains, grid.betas, grid.alphas, title, ("alpha", "beta")), given.out)
        if given.json is not None:
            written = {"settings": asdict(grid.base), "cells": records}
            write_whole(given.json, (json.dumps(written, indent=2) + "\n").encode())
    except (InputError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(f"profit gain from {gains.min():.3f} to {gains.max():.3f}; written {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
