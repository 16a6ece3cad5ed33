"""Two to four learning market makers share one order flow: how wide do they quote, and who wins?

    python -m experiments.dealer_market.run --out DIR [--json FILE] [--seeds 10] [--workers 2]

After the setting of Ganesh, Vadori, Xu, Zheng, Reddy and Veloso (2019), "Reinforcement Learning for
Market Making in a Multi-agent Dealer Market". Every training is kept in DIR; a second call goes on
from there. Method and findings: README.md. Needs the extra for training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.dealer_market.measures import DealerOutcome, alone_at_best, outcome
from experiments.dealer_market.world import DealerWorld
from experiments.studies import Facts, command
from mos_agents.policies.base import Policy

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

SEED_OFFSET = 1_000_000
"""Seeds of the markets in which a training is judged: no training plays them."""


@dataclass(frozen=True)
class DealerStudySettings:
    """A training plays markets x ticks x iterations market ticks; it is judged in `judged` markets.

    gamma: discount factor. lr: learning rate. hyper: RLlib's own settings.
    """

    world: DealerWorld = field(default_factory=DealerWorld)
    markets: int = 64
    ticks: int = 50
    iterations: int = 200
    gamma: float = 0.98
    lr: float = 2e-3
    judged: int = 400
    hyper: Mapping[str, Any] = field(default_factory=dict)


def world_of(s: DealerStudySettings, condition: str) -> DealerWorld:
    """The market of a condition: `ppo_3` has three makers."""
    tail = condition.rpartition("_")[2]
    return replace(s.world, makers=int(tail) if tail.isdigit() else 2)


def policies(s: DealerStudySettings, condition: str, seed: int) -> dict[str, Policy]:
    """The policy of each participant in a condition; a learner's is the trained one."""
    world = world_of(s, condition)
    if condition.startswith("best"):
        return {"maker_1": alone_at_best(world, seed, s.judged)}
    theory = world.scenario().policies()
    if condition.startswith("as"):
        return theory
    from mos_agents.training import TrainingPlan, train

    agents = ("maker_1",) if condition.endswith("on_as") else world.names
    plan = TrainingPlan(
        scenario=world.scenario(),
        algo="ppo",
        agents=agents,
        seed=seed,
        gamma=s.gamma,
        lr=s.lr,
        markets=s.markets,
        ticks=s.ticks,
        iterations=s.iterations,
        evaluate_every=0,
        checkpoint_every=s.iterations,
        hyper=s.hyper,
    )
    return {**theory, **train(plan).policies}


def judged(s: DealerStudySettings, condition: str, seed: int) -> Facts:
    """Train one seed of a condition, and say what came of it."""
    made = outcome(
        world_of(s, condition), policies(s, condition, seed), SEED_OFFSET + seed, s.judged
    )
    return {**made.means(), **_winning(made)}


def _winning(made: DealerOutcome) -> Facts:
    """held: mean standard deviation of a maker's inventory. ahead: reward of the first maker less
    the mean of the others'. best_share: largest share of the units traded."""
    reward, share = made.reward.mean(axis=0), made.share.mean(axis=0)
    others = None if len(reward) == 1 else float(reward[0] - reward[1:].mean())
    return {"held": float(made.inventory.mean()), "ahead": others, "best_share": float(share.max())}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    return command(
        "dealer_market", TITLE, judged, DealerStudySettings, CONDITIONS, COLUMNS, 10, arguments
    )


if __name__ == "__main__":
    sys.exit(main())
