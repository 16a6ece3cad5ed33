"""The study's picture, from the JSON of `experiments.dealer_market.run`.

`python -m experiments.dealer_market.figure results.json [--out DIR]` writes `spreads.png`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.crew import intervals
from experiments.dealer_market.run import CONDITIONS
from mos_agents.report.replications import dots, save


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done."""
    parser = argparse.ArgumentParser(prog="python -m experiments.dealer_market.figure")
    parser.add_argument("results", type=Path, help="what run.py wrote with --json")
    parser.add_argument("--out", type=Path, default=Path("."))
    given = parser.parse_args(arguments)
    runs = json.loads(given.results.read_text())["runs"]
    made = intervals(runs)
    figure = dots(
        {CONDITIONS[c]: [run["paid"] for run in found] for c, found in runs.items()},
        {CONDITIONS[c]: made[c, "paid"][:3] for c in runs},
        {},
        "what traders pay for a round trip, beyond the mid price",
    )
    given.out.mkdir(parents=True, exist_ok=True)
    save(figure, given.out / "spreads.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
