"""Too little exploration looks like collusion: prices of learners that cannot collude.

Abada and Lambin, "Artificial Intelligence: Can Seemingly Collusive Outcomes Be Avoided?",
Management Science 69(9), 2023. `mos replicate abada_lambin_2023`; what was found, and what is
inferred, stands in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.calvano_2020 import run as calvano
from experiments.common_settings import check_settings
from experiments.replication import ExecutionConfig, Finding, Findings
from mos_agents.market.checks import is_real
from mos_agents.market.types import Array, InputError

TITLE = "Too little exploration looks like collusion (Abada, Lambin, Management Science 2023)"
QUICK = ("sessions=10",)


@dataclass(frozen=True)
class ExplorationSettings:
    """Sellers of the market of Calvano et al. (2020), and how much they explore.

    tries: how often each price is tried at random in each state, on average over a session if all
    states are met equally often; a list is played entry by entry. memory 0 and delta 0: sellers
    that see nothing and do not look ahead, so that no collusion can be learnt.
    """

    tries: tuple[float, ...] | float = (1, 3, 10, 30, 100, 1000)
    n: int = 2
    memory: int = 0
    delta: float = 0.0
    alpha: float = 0.15
    levels: int = 15
    sessions: int = 200
    seed: int = 0
    periods: int = 1_000_000_000
    window: int = 20_000

    def __post_init__(self) -> None:
        check_settings(self, {"memory": (int, 0, 2)}, above=("alpha",))
        listed = self.listed
        if not listed or not all(is_real(one) and 0.01 <= one <= 1e6 for one in listed):
            raise InputError(
                f"tries={self.tries!r} must be a number in [0.01, 1e6], or a list of such numbers"
            )
        if len(set(listed)) < len(listed):
            raise InputError(f"tries={self.tries!r} has a number twice; leave one out")

    @property
    def listed(self) -> tuple[float, ...]:
        """The numbers of tries."""
        return self.tries if isinstance(self.tries, tuple) else (self.tries,)

    def market(self, tries: float) -> calvano.CalvanoSettings:
        """The play with so many tries: 1 / beta periods of pure exploration, spread over a session.

        A state is met in one of levels^(n memory) periods, and a try picks one of `levels` prices.
        """
        states = self.levels ** (self.n * self.memory)
        return calvano.CalvanoSettings(
            n=self.n,
            alpha=self.alpha,
            beta=1.0 / (tries * self.levels * states),
            delta=self.delta,
            levels=self.levels,
            memory=self.memory,
            sessions=self.sessions,
            seed=self.seed,
            periods=self.periods,
            window=self.window,
        )


Settings = ExplorationSettings
"""What `mos replicate` sets."""


def notes(s: ExplorationSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    past = f"seeing all prices of {s.memory} last periods" if s.memory else "seeing nothing"
    return [
        *calvano.notes(s.market(1.0))[:2],
        f"order of moves: all sellers price together at every period, {past}; discount factor "
        f"{s.delta:g}",
        "inferred: the paper studies learning operators of electricity storage, and none of its "
        "figures was at hand; here its claim is put to the logit market of Calvano et al.",
    ]


def name_of(tries: float) -> str:
    """The ending of a quantity's name."""
    return f"tries_{tries:g}"


def replicate(s: ExplorationSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play with each number of tries, and compare the first with the last."""
    found = Findings({}, s.sessions)
    gains: dict[float, Array] = {}
    for tries in s.listed:
        part = ExecutionConfig(
            execution.workers,
            execution.folder_of(name_of(tries)),
            lambda what, done, of, tries=tries: execution.progress(
                f"{what} with tries={tries:g}", done, of
            ),
        )
        outcome = calvano.played(s.market(tries), part)
        if not gains:
            for name, value in zip(("lowest", "highest"), grid_nash(outcome), strict=True):
                found.exact(f"grid_nash_gain_{name}", value)
        gains[tries] = outcome.profit_gain
        found.mean(f"profit_gain.{name_of(tries)}", gains[tries])
        prices = outcome.cycles.mean(outcome.game.stage.prices).mean(axis=1)
        found.mean(f"mean_price.{name_of(tries)}", prices)
        found.share(f"converged_share.{name_of(tries)}", outcome.played.converged)
    if len(gains) > 1:
        first, last = gains[min(gains)], gains[max(gains)]
        found.mean("gain_removed", first - last)
    return found.all()


def grid_nash(outcome: calvano.CalvanoOutcome) -> tuple[float, float]:
    """The lowest and the highest profit gain of pure equilibria of the stage game on the grid."""
    stage, b = outcome.game.stage, outcome.benchmarks
    earned = stage.payoffs[stage.pure_nash()].mean(axis=1)
    gain = (earned - b.profit_nash.mean()) / (b.profit_joint.mean() - b.profit_nash.mean())
    return (float(gain.min()), float(gain.max())) if gain.size else (np.nan, np.nan)
