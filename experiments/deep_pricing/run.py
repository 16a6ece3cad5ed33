"""Do deep learners collude as tables do? PPO, DQN and tables in the market of Calvano et al.

    python -m experiments.deep_pricing.run --out DIR [--json FILE] [--seeds 10] [--workers 2]

Every seed of every condition is trained and judged by itself and kept in DIR; a second call goes on
from there. Method and findings: README.md. Needs the extra for training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from experiments.deep_pricing.measures import KEPT, REST, theory, verdict
from experiments.studies import Facts, command
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.strategies import GreedyGame
from mos_agents.learners.q_learning import QLearning
from mos_agents.market.checks import check_whole
from mos_agents.market.market import Market
from mos_agents.policies.base import Policy
from mos_agents.scenarios import Scenario, load, override

TITLE = "Deep and tabular learners in the market of Calvano et al. (2020)"

CONDITIONS = {
    "q_learning": "tabular Q-learning, both firms",
    "ppo": "PPO, both firms",
    "dqn": "DQN, both firms",
    "ppo_on_tables": "PPO against frozen tables",
    "dqn_on_tables": "DQN against frozen tables",
    "brisk_tables": "brisk tables, both firms",
    "ppo_with_table": "PPO beside a learning brisk table",
    "dqn_with_table": "DQN beside a learning brisk table",
}
"""Where two kinds meet, the network is firm 1 and the table firm 2."""

MEASURES = (
    "profit_gain",
    "gain_1",
    "gain_2",
    "late_1",
    "rpdi",
    "spread",
    "cut_1",
    "cut_2",
    "unprofitable_1",
    "unprofitable_2",
    "away",
)


@dataclass(frozen=True)
class TrainingLength:
    """A training plays markets x ticks x iterations market ticks."""

    markets: int = 16
    ticks: int = 64
    iterations: int = 100

    def __post_init__(self) -> None:
        for name in ("markets", "ticks", "iterations"):
            check_whole(name, getattr(self, name), 1)


@dataclass(frozen=True)
class DeepPricingSettings(TrainingLength):
    """How networks are trained that meet each other, or tables that learn no more.

    gamma: discount factor of the networks, as of the tables. horizon: ticks of an episode, which
    is cut and not ended; of those that are judged as well. hyper: RLlib's own settings.
    beside: how long a network and a table learn together. Each market has a table of its own,
        which remembers over episodes. beta: by which its exploration falls, exp(-beta t).
    """

    gamma: float = 0.95
    horizon: int = 256
    hyper: Mapping[str, Any] = field(default_factory=dict)
    beside: TrainingLength = field(default_factory=lambda: TrainingLength(4, 256, 160))
    beta: float = 2e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("horizon", self.horizon, REST + KEPT)

    @property
    def periods(self) -> int:
        """Ticks that a table and its rival learn for, in each market."""
        return self.beside.ticks * self.beside.iterations


def scenario() -> Scenario:
    """The preset, whose firms are Q-learners."""
    return load("pricing_game")


@dataclass(frozen=True)
class LearntPolicies:
    """The policies of both firms once learning has ended; they try nothing out any more.

    markets: copies of the market that they are for. late: profit a period of firm 1 over the last
    tenth of its learning, while it still tried things out; None where learning ends by itself.
    """

    policies: Mapping[str, Policy]
    markets: int = 1
    late: float | None = None


def episode(s: DeepPricingSettings) -> Market:
    """The market as networks are trained in it."""
    return override(scenario(), [f"ticks={s.horizon}"]).market()


def tables(seed: int) -> dict[str, Policy]:
    """The strategies that two tables have come to, in one session."""
    base = scenario()
    game = RepeatedGame.of(base.market(), base.policies())
    return GreedyGame(game, play_sessions(game, seed=seed, sessions=1)).policies()


def brisk(s: DeepPricingSettings) -> dict[str, QLearning]:
    """The preset's firms, whose exploration falls by `beta`."""
    return {name: replace(one, beta=s.beta) for name, one in scenario().policies().items()}


def brisk_tables(s: DeepPricingSettings, seed: int) -> LearntPolicies:
    """Two brisk tables, in as many markets and for as long as one of them beside a network."""
    game, markets = RepeatedGame.of(scenario().market(), brisk(s)), s.beside.markets
    played = play_sessions(
        game,
        seed=seed,
        sessions=markets,
        periods=s.periods,
        window=0,
        tail=s.periods // 10,
        workers=1,
    )
    return LearntPolicies(
        GreedyGame(game, played).policies(), markets, float(played.late[:, 0].mean())
    )


def learnt(s: DeepPricingSettings, condition: str, seed: int) -> LearntPolicies:
    """Let the firms of a condition learn."""
    if condition == "q_learning":
        return LearntPolicies(tables(seed))
    if condition == "brisk_tables":
        return brisk_tables(s, seed)
    algo, _, other = condition.partition("_")
    if other == "with_table":
        found = trained(s, algo, seed, s.beside, {"firm_2": brisk(s)["firm_2"]})
        return replace(found, markets=s.beside.markets)
    rivals = {"firm_2": tables(seed)["firm_2"]} if other == "on_tables" else {}
    return trained(s, algo, seed, s, rivals)


def trained(
    s: DeepPricingSettings, algo: str, seed: int, length: TrainingLength, rivals: Mapping[str, Any]
) -> LearntPolicies:
    """Train networks for all firms but the rivals; rivals who learn stop learning at the end."""
    from mos_agents.training import TrainingPlan, train

    firm = scenario().policies()["firm_1"]
    reference = float(scenario().market().catalogue.reference_price[0])
    plan = TrainingPlan(
        scenario=scenario(),
        algo=algo,
        seed=seed,
        policies=rivals,
        agents=tuple(name for name in ("firm_1", "firm_2") if name not in rivals),
        actions="discrete",
        levels=firm.grid.size,
        band=(firm.low / reference, firm.high / reference),
        horizon=s.horizon,
        gamma=s.gamma,
        markets=length.markets,
        ticks=length.ticks,
        iterations=length.iterations,
        evaluate_every=0,
        checkpoint_every=length.iterations,
        hyper=s.hyper,
    )
    found = train(plan)
    last = found.history[-max(1, length.iterations // 10) :]
    late = float(np.mean([record["reward/firm_1"] for record in last]))
    return LearntPolicies({**rivals, **found.greedy_policies(), **found.policies}, late=late)


def judged(s: DeepPricingSettings, condition: str, seed: int) -> Facts:
    """Train one seed of a condition, and say what came of it: of both firms, and of each apart."""
    market, found = episode(s), learnt(s, condition, seed)
    facts = asdict(verdict(market, found.policies, seed, found.markets, s.gamma))
    for name in ("gain", "cut", "unprofitable"):
        facts |= {f"{name}_{firm}": value for firm, value in enumerate(facts[name], 1)}
    _, scale = theory(market)
    nash, joint = float(scale.profit_nash[0]), float(scale.profit_joint[0])
    facts["late_1"] = None if found.late is None else (found.late - nash) / (joint - nash)
    return facts


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    return command(
        "deep_pricing", TITLE, judged, DeepPricingSettings, CONDITIONS, MEASURES, 10, arguments
    )


if __name__ == "__main__":
    sys.exit(main())
