"""The study's picture, from the JSON of `experiments.dealer_market.run`.

`python -m experiments.dealer_market.figure results.json [--out DIR]` writes `spreads.png`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.dealer_market.run import CONDITIONS
from experiments.studies import Facts, drawn, intervals
from mos_agents.report.replications import dots


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done."""
    return drawn("dealer_market", pictures, arguments)


def pictures(runs: Mapping[str, Sequence[Facts]]) -> dict[str, Any]:
    """The figure by its file name."""
    made = intervals(runs)
    return {
        "spreads.png": dots(
            {CONDITIONS[c]: [run["paid"] for run in found] for c, found in runs.items()},
            {CONDITIONS[c]: made[c, "paid"][:3] for c in runs},
            {},
            "what traders pay for a round trip, beyond the mid price",
        )
    }


if __name__ == "__main__":
    sys.exit(main())
