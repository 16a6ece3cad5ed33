"""The share of sessions below the top of the grid, by mix, beside the paper's.

`python -m experiments.banchio_skrzypacz_2022.figure a.json b.json ...` takes what
`mos replicate banchio_skrzypacz_2022 --set mix=... --json FILE` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.banchio_skrzypacz_2022.run import COLLUSIVE
from mos_agents.market.types import Array, InputError
from mos_agents.report.replications import bands, checked, save
from mos_agents.runs.files import read_regular

QUANTITY = "below_top_share"


def line(records: Sequence[Mapping[str, Any]]) -> tuple[Array, Array]:
    """[K] mixes in order, and [3, K] the share with the ends of its interval."""
    rows = {}
    for one in records:
        found = {row["quantity"]: row for row in one["results"]}
        if QUANTITY not in found:
            raise InputError(f"{one.get('experiment')!r} has no {QUANTITY}")
        rows[float(one["settings"]["mix"])] = (found[QUANTITY]["ours"], *found[QUANTITY]["ci95"])
    mixes = np.array(sorted(rows))
    return mixes, np.array([rows[mix] for mix in mixes]).T


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.banchio_skrzypacz_2022.figure", description=__doc__
    )
    parser.add_argument("records", type=Path, nargs="+", help="files of mos replicate --json")
    parser.add_argument("--out", type=Path, default=Path("shares.png"))
    given = parser.parse_args(arguments)
    try:
        checked(given.out)
        ours = line([json.loads(read_regular(path)) for path in given.records])
        theirs = np.array(list(COLLUSIVE)), np.array([list(COLLUSIVE.values())])
        axes = ("mix (1: first price, 2: second price)", "share of sessions")
        save(bands({"ours, 95% band": ours, "published": theirs}, axes), given.out)
    except (InputError, OSError, ValueError, KeyError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(f"written {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
