"""What firms that have stopped learning do: how high they price, and what follows a cut.

The same measures for tables and networks: whatever plays the pricing game as a policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mos_agents.analysis.collusion import Benchmarks, profit_gain, profit_gain_per_firm, rpdi
from mos_agents.analysis.impulse import ReturnTime, profitability, punishment, response
from mos_agents.market.equilibrium.pricing import PriceBenchmarks, benchmarks, best_response
from mos_agents.market.market import Market
from mos_agents.market.metrics import metric
from mos_agents.market.types import Array
from mos_agents.policies.base import Policy
from mos_agents.rollout import forced_deviation, rollout

REST = 128
"""Ticks after which play without learning has come to its cycle."""

KEPT = 128
"""Ticks over which it is averaged then. No play is longer than an episode of a training: networks
see the clock and their cash, and are not asked about what they have never seen."""

AFTER = 60
"""Ticks that a cut is followed for."""

SHOWN = 15
"""Ticks of it that are reported."""


@dataclass(frozen=True)
class Verdict:
    """What a pair of firms came to, on average over copies of their market.

    profit_gain: 0 at Nash, 1 at the joint maximum. gain: of each firm. rpdi: the same in prices.
    prices: mean price of each firm. spread: standard deviation of the mean price over the ticks
    kept; 0 at a rest point.
    Each firm in turn is forced to its static best reply for a tick; what follows has an entry for
    each firm forced. forced, answer: relative price changes of who is forced and of its rival,
    from that tick on, SHOWN ticks. cut: the rival's one tick after. unprofitable: share of such
    cuts that do not pay. away: ticks until prices are back, at most AFTER.
    """

    profit_gain: float
    gain: tuple[float, ...]
    rpdi: float
    prices: tuple[float, ...]
    spread: float
    cut: tuple[float, ...]
    unprofitable: tuple[float, ...]
    away: tuple[float, ...]
    forced: tuple[tuple[float, ...], ...]
    answer: tuple[tuple[float, ...], ...]


def theory(market: Market) -> tuple[PriceBenchmarks, Benchmarks]:
    """Bertrand-Nash and joint-profit prices and profits of the market."""
    found = benchmarks(market)
    return found, Benchmarks.of(found.nash, found.joint)


def verdict(
    market: Market, policies: Mapping[str, Policy], seed: int, markets: int, delta: float
) -> Verdict:
    """Let the policies play without learning, then force each firm to its static best reply.

    markets: copies of the market, for policies that draw their prices or have a table for each; 1
        for those that do not.
    delta: discount factor, for whether a cut pays.
    """
    _, scale = theory(market)
    played = rollout(
        market, policies, seed=seed, ticks=REST + KEPT, markets=markets, series=("ask", "metrics")
    )
    prices = played.series["ask"][REST:]  # one product a firm: [T, B, N]
    profits = played.series["metrics"][REST:, :, :, metric("pnl")]
    forced, answers, paid, away = [], [], [], []
    for firm, name in enumerate(market.layout.participants):
        reply = best_replies(market, firm, prices[0])
        deviation = forced_deviation(
            market,
            policies,
            name,
            reply[:, None],
            shock=REST,
            lead=min(REST, 50),
            ticks=REST + AFTER,
            markets=markets,
            seed=seed,
        )
        found = response(deviation)
        for paths, one in ((forced, found.deviator), (answers, found.rivals)):
            paths.append(one[found.shock : found.shock + SHOWN].mean(axis=1))
        paid.append(profitability(deviation, delta).unprofitable.mean())
        away.append(punishment(deviation, ReturnTime(to="cycle")).length.mean())
    gains = profit_gain_per_firm(profits, scale.profit_nash, scale.profit_joint).mean(axis=0)
    return Verdict(
        float(profit_gain(profits, scale.profit_nash, scale.profit_joint).mean()),
        tuple(map(float, gains)),
        float(rpdi(prices, scale.price_nash, scale.price_joint).mean()),
        tuple(map(float, prices.mean(axis=(0, 1)))),
        float(prices.mean(axis=2).std(axis=0).mean()),
        tuple(float(path[1]) for path in answers),
        tuple(map(float, paid)),
        tuple(map(float, away)),
        tuple(tuple(map(float, path)) for path in forced),
        tuple(tuple(map(float, path)) for path in answers),
    )


def best_replies(market: Market, firm: int, prices: Array) -> Array:
    """[B] the firm's static best reply to the others' prices [B, N]."""
    seen: dict[bytes, float] = {}
    replies = np.empty(len(prices))
    for b, row in enumerate(prices):
        others = np.delete(row, firm).tobytes()
        if others not in seen:
            seen[others] = float(best_response(market, row, firm)[0][0])
        replies[b] = seen[others]
    return replies
