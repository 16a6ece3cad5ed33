"""The study's pictures, from the JSON of `experiments.deep_pricing.run`.

`python -m experiments.deep_pricing.figure results.json [--out DIR]` writes `gains.png` and
`responses.png`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.crew import intervals
from experiments.deep_pricing.run import CONDITIONS
from mos_agents.report.replications import dots, responses, save

ANSWERED = {"q_learning": "Q-learning", "ppo": "PPO", "dqn": "DQN"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done."""
    parser = argparse.ArgumentParser(prog="python -m experiments.deep_pricing.figure")
    parser.add_argument("results", type=Path, help="what run.py wrote with --json")
    parser.add_argument("--out", type=Path, default=Path("."))
    given = parser.parse_args(arguments)
    runs = json.loads(given.results.read_text())["runs"]
    made = intervals(runs)
    names = {name: CONDITIONS[name] for name in runs}
    gains = dots(
        {names[c]: [run["profit_gain"] for run in found] for c, found in runs.items()},
        {names[c]: made[c, "profit_gain"][:3] for c in runs},
        {"Bertrand-Nash": 0.0, "joint profit": 1.0},
        "profit gain",
    )
    panels = {
        label: {
            who: np.concatenate([[0.0], np.mean([run[key] for run in runs[c]], axis=0)])
            for who, key in (("who is forced", "forced"), ("its rival", "answer"))
        }
        for c, label in ANSWERED.items()
        if c in runs
    }
    given.out.mkdir(parents=True, exist_ok=True)
    save(gains, given.out / "gains.png")
    save(responses(panels, "price change, %"), given.out / "responses.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
