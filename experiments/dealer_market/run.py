"""Two to four learning market makers share one order flow: how wide do they quote, and who wins?

    python -m experiments.dealer_market.run --out DIR [--json FILE] [--seeds 5] [--workers 2]

After the setting of Ganesh, Vadori, Xu, Zheng, Reddy and Veloso (2019), "Reinforcement Learning for
Market Making in a Multi-agent Dealer Market". Every training is kept in DIR; a second call goes on
from there. Method and findings: README.md. Needs the extra for training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.crew import Facts, as_json, table, worked_off
from experiments.dealer_market.measures import Outcome, alone_at_best, outcome
from experiments.dealer_market.world import World
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy
from mos_agents.runs.files import write_whole

TITLE = "Market makers who learn, in one dealer market"

CONDITIONS = {
    "best_1": "alone, best constant spread and lean",
    "as_1": "alone, Avellaneda-Stoikov",
    "ppo_1": "alone, PPO",
    "as_2": "two, Avellaneda-Stoikov",
    "ppo_2": "two, PPO",
    "ppo_3": "three, PPO",
    "ppo_4": "four, PPO",
    "ppo_on_as": "PPO beside Avellaneda-Stoikov",
}

COLUMNS = ("touch", "paid", "held", "reward", "pnl", "ahead", "best_share")

LUCK = 1_000_000
"""Seeds of the markets in which a training is judged: no training plays them."""


@dataclass(frozen=True)
class Settings:
    """A training plays markets x ticks x iterations market ticks; it is judged in `judged` markets.

    gamma: discount factor. lr: learning rate. hyper: RLlib's own settings.
    """

    world: World = field(default_factory=World)
    markets: int = 64
    ticks: int = 50
    iterations: int = 80
    gamma: float = 0.98
    lr: float = 2e-3
    judged: int = 400
    hyper: Mapping[str, Any] = field(default_factory=dict)


def chosen(only: str) -> tuple[str, ...]:
    """The conditions named, with commas between; all, if none is."""
    names = tuple(one for one in only.split(",") if one)
    for name in names:
        if name not in CONDITIONS:
            raise InputError(f"only: {name!r} is no condition; there are {', '.join(CONDITIONS)}")
    return names or tuple(CONDITIONS)


def world_of(s: Settings, condition: str) -> World:
    """The market of a condition: `ppo_3` has three makers."""
    tail = condition.rpartition("_")[2]
    return replace(s.world, makers=int(tail) if tail.isdigit() else 2)


def policies(s: Settings, condition: str, seed: int) -> dict[str, Policy]:
    """Everybody's policy in a condition; the learners' once their training has ended."""
    world = world_of(s, condition)
    if condition.startswith("best"):
        return {"maker_1": alone_at_best(world, seed, s.judged)}
    theory = world.scenario().policies()
    if condition.startswith("as"):
        return theory
    from mos_agents.training import TrainingPlan, train

    agents = ("maker_1",) if condition.endswith("on_as") else world.names
    plan = TrainingPlan(
        scenario=world.scenario(), algo="ppo", agents=agents, seed=seed, gamma=s.gamma, lr=s.lr,
        markets=s.markets, ticks=s.ticks, iterations=s.iterations, evaluate_every=0,
        checkpoint_every=s.iterations, hyper=s.hyper,
    )  # fmt: skip
    return {**theory, **train(plan).policies}


def judged(s: Settings, condition: str, seed: int) -> Facts:
    """Train one seed of a condition, and say what came of it."""
    made = outcome(world_of(s, condition), policies(s, condition, seed), LUCK + seed, s.judged)
    return {**made.means(), **_winning(made)}


def _winning(made: Outcome) -> Facts:
    """held: mean standard deviation of a maker's inventory. ahead: reward of the first maker less
    the mean of the others'. best_share: largest share of the units traded."""
    reward, share = made.reward.mean(axis=0), made.share.mean(axis=0)
    others = None if len(reward) == 1 else float(reward[0] - reward[1:].mean())
    return {
        "held": float(made.inventory.mean()), "ahead": others, "best_share": float(share.max())
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.dealer_market.run", description=TITLE
    )
    parser.add_argument("--out", type=Path, required=True, help="keep finished trainings there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--iterations", type=int, default=Settings.iterations)
    parser.add_argument("--only", default="", help="conditions, with commas between")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    try:
        s = Settings(iterations=given.iterations)
        seeds = range(given.seed, given.seed + given.seeds)
        found = worked_off(judged, s, chosen(given.only), seeds, given.out, given.workers)
        if given.json is not None:
            write_whole(given.json, as_json("dealer_market", s, found))
    except (InputError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(table(found, CONDITIONS, COLUMNS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
