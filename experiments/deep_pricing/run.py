"""Do deep learners collude as tables do? PPO, DQN and tables in the market of Calvano et al.

    python -m experiments.deep_pricing.run --out DIR [--json FILE] [--seeds 10] [--workers 2]

Every seed of every condition is trained and judged by itself and kept in DIR; a second call goes on
from there. Method and findings: README.md. Needs the extra for training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from experiments.crew import Facts, command
from experiments.deep_pricing.measures import verdict
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.strategies import Frozen
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy
from mos_agents.scenarios import Scenario, load

TITLE = "Deep and tabular learners in the market of Calvano et al. (2020)"

CONDITIONS = {
    "q_learning": "tabular Q-learning, both firms",
    "ppo": "PPO, both firms",
    "dqn": "DQN, both firms",
    "ppo_on_tables": "PPO against tables that learn no more",
    "dqn_on_tables": "DQN against tables that learn no more",
}

MEASURES = ("profit_gain", "rpdi", "spread", "cut", "unprofitable", "away")


@dataclass(frozen=True)
class Settings:
    """A training plays markets x ticks x iterations market ticks.

    gamma: discount factor of the networks, as of the tables. horizon: ticks of an episode, which
    is cut and not ended. hyper: RLlib's own settings.
    """

    markets: int = 16
    ticks: int = 64
    iterations: int = 100
    gamma: float = 0.95
    horizon: int = 256
    hyper: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("markets", "ticks", "iterations", "horizon"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}={value!r} must be a whole number >= 1")


def scenario() -> Scenario:
    """The preset, whose firms are Q-learners."""
    return load("pricing_game")


def tables(seed: int) -> dict[str, Policy]:
    """The strategies that two tables have come to, in one session."""
    base = scenario()
    game = RepeatedGame.of(base.market(), base.policies())
    return Frozen(game, play_sessions(game, seed=seed, sessions=1)).policies()


def learnt(s: Settings, condition: str, seed: int) -> dict[str, Policy]:
    """The policies of both firms once a training has ended, without trying anything out."""
    if condition == "q_learning":
        return tables(seed)
    from mos_agents.training import TrainingPlan, train

    algo, _, against = condition.partition("_on_")
    firm = scenario().policies()["firm_1"]
    reference = float(scenario().market().catalogue.reference_price[0])
    rivals = {"firm_2": tables(seed)["firm_2"]} if against else {}
    plan = TrainingPlan(
        scenario=scenario(), algo=algo, seed=seed, policies=rivals,
        agents=("firm_1",) if against else ("firm_1", "firm_2"),
        actions="discrete", levels=firm.levels,
        band=(firm.low / reference, firm.high / reference), horizon=s.horizon, gamma=s.gamma,
        markets=s.markets, ticks=s.ticks, iterations=s.iterations, evaluate_every=0,
        checkpoint_every=s.iterations, hyper=s.hyper,
    )  # fmt: skip
    return {**rivals, **train(plan).policies}


def judged(s: Settings, condition: str, seed: int) -> Facts:
    """Train one seed of a condition, and say what came of it."""
    policies = learnt(s, condition, seed)
    return asdict(verdict(scenario().market(), policies, seed, 1, s.gamma))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    return command("deep_pricing", TITLE, judged, Settings, CONDITIONS, MEASURES, 10, arguments)


if __name__ == "__main__":
    sys.exit(main())
