"""What a dealer market came to: what traders pay, what makers hold, and who wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from experiments.dealer_market.world import DealerWorld, Leaning
from mos_agents.market.metrics import metric
from mos_agents.market.types import Array
from mos_agents.policies.base import Policy
from mos_agents.rollout import rollout


@dataclass(frozen=True, eq=False)
class DealerOutcome:
    """Averages over ticks, of each of B markets.

    spread: [B, N] ask less bid that each maker quotes. touch: [B] best ask less best bid. paid: [B]
    money that traders pay a unit, twice (a round trip), beyond the mid price. inventory: [B, N]
    standard deviation. share: [B, N] of the units traded. pnl, reward: [B, N] a tick.
    """

    makers: tuple[str, ...]
    spread: Array
    touch: Array
    paid: Array
    inventory: Array
    share: Array
    pnl: Array
    reward: Array

    def means(self) -> dict[str, Any]:
        """Over the markets, as plain numbers."""
        record: dict[str, Any] = {
            name: float(getattr(self, name).mean()) for name in ("touch", "paid")
        }
        for name in ("spread", "inventory", "share", "pnl", "reward"):
            record[name] = [float(x) for x in getattr(self, name).mean(axis=0)]
        return record


def outcome(
    world: DealerWorld, policies: Mapping[str, Policy], seed: int, markets: int
) -> DealerOutcome:
    """Play an episode in each of the markets."""
    played = rollout(
        world.scenario().market(),
        policies,
        seed=seed,
        markets=markets,
        series=("bid", "ask", "inventory", "metrics"),
    )
    bid, ask = played.series["bid"], played.series["ask"]
    metrics = played.series["metrics"].sum(axis=0)  # [B, N, M]
    units, captured = (metrics[:, :, metric(m)] for m in ("units_traded", "spread_capture"))
    traded = units.sum(axis=1)
    return DealerOutcome(
        played.participants,
        (ask - bid).mean(axis=0),
        (ask.min(axis=2) - bid.max(axis=2)).mean(axis=0),
        2.0 * captured.sum(axis=1) / np.maximum(traded, 1e-12),
        played.series["inventory"].std(axis=0),
        units / np.maximum(traded, 1e-12)[:, None],
        metrics[:, :, metric("pnl")] / played.ticks,
        played.reward / played.ticks,
    )


def alone_at_best(world: DealerWorld, seed: int, markets: int) -> Leaning:
    """The best constant spread and lean of a maker who has the flow for itself.

    Found by Nelder and Mead's search over the mean reward, with the same random numbers throughout.
    """
    alone = DealerWorld(**{**vars(world), "makers": 1})
    market = alone.scenario().market()

    def loss(at: Array) -> float:
        policy = Leaning(float(abs(at[0])), float(abs(at[1])) / 100.0)
        played = rollout(market, {"maker_1": policy}, seed=seed, markets=markets)
        return -float(played.reward.mean()) / played.ticks

    found = minimize(
        loss, [2.0 / world.kappa, 0.2], method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4}
    )
    return Leaning(float(abs(found.x[0])), float(abs(found.x[1])) / 100.0)
