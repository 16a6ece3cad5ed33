"""The study's pictures, from the JSON of `experiments.deep_pricing.run`.

`python -m experiments.deep_pricing.figure results.json [--out DIR]` writes `gains.png`,
`apart.png` and `responses.png`, each where its conditions were played.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.deep_pricing.run import CONDITIONS
from experiments.studies import Facts, drawn, intervals
from mos_agents.market.types import Array
from mos_agents.report.replications import dots, responses

ALIKE = {"q_learning": "Q-learning", "ppo": "PPO", "dqn": "DQN"}
"""Where it is all one which firm is forced."""

APART = {
    "ppo_on_tables": ("PPO against a frozen table", "a frozen table against PPO"),
    "dqn_on_tables": ("DQN against a frozen table", "a frozen table against DQN"),
    "ppo_with_table": ("PPO beside a learning table", "a learning table beside PPO"),
    "dqn_with_table": ("DQN beside a learning table", "a learning table beside DQN"),
}
"""Firm 1 and firm 2, where two kinds meet."""

MARKS = {"Bertrand-Nash": 0.0, "joint profit": 1.0}

Runs = Mapping[str, Sequence[Facts]]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done."""
    return drawn("deep_pricing", pictures, arguments)


def pictures(runs: Runs) -> dict[str, Any]:
    """The figures by file name, each where its conditions were played."""
    pairs = {CONDITIONS[c]: (c, "profit_gain") for c in runs}
    firms = {
        name: (c, f"gain_{firm}")
        for c, names in APART.items()
        if c in runs
        for firm, name in enumerate(names, 1)
    }
    made = {"gains.png": gains(runs, pairs, "profit gain of the pair")}
    if firms:
        made["apart.png"] = gains(runs, firms, "profit gain of the firm")
    if panels := forced_and_rival(runs):
        made["responses.png"] = responses(panels, "price change, %")
    return made


def gains(runs: Runs, rows: Mapping[str, tuple[str, str]], label: str) -> Any:
    """A row for each condition and quantity."""
    made = intervals(runs)
    return dots(
        {name: [run[quantity] for run in runs[c]] for name, (c, quantity) in rows.items()},
        {name: made[key][:3] for name, key in rows.items()},
        MARKS,
        label,
    )


def forced_and_rival(runs: Runs) -> dict[str, dict[str, Array]]:
    """Where both firms are of one kind: who is forced, and who answers."""
    return {
        title: {
            "who is forced": _path(runs[c], "forced"),
            "its rival": _path(runs[c], "answer"),
        }
        for c, title in ALIKE.items()
        if c in runs
    }


def _path(runs: Sequence[Facts], key: str) -> Array:
    """The mean path over the seeds and both firms, from the period before."""
    return np.concatenate([[0.0], np.mean([run[key] for run in runs], axis=(0, 1))])


if __name__ == "__main__":
    sys.exit(main())
