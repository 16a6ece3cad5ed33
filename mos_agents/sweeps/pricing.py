"""Where prices and profits lie between competition and joint profit, for a row of measures."""

from __future__ import annotations

import numpy as np

from mos_agents.analysis.collusion import lerner, profit_gain, rpdi
from mos_agents.market.equilibrium import EquilibriumError, benchmarks
from mos_agents.market.market import Market
from mos_agents.market.rewards import Objective
from mos_agents.market.types import Array, InputError

PROFIT = {"pnl": 1.0}
"""The weights of a reward that is profit, and nothing but."""

LEAST_GAP = 0.01
"""The least that joint-profit prices must earn beyond Bertrand-Nash prices, as a share of joint
profit, for a ratio to that gap: below it a small loss reads as a profit gain of -60."""


def collusion_measures(
    market: Market, prices: Array, profits: Array | None
) -> tuple[dict[str, float], list[str]]:
    """Profit gain, RPDI and Lerner index of mean prices and profits [S, N]; and why some lack.

    Prices are means over a participant's listings; all participants are among the columns, in
    roster order. profits: None where they are not known. The notes say so where the market has no
    benchmarks.
    """
    measures: dict[str, float] = {}
    listings = np.diff(market.layout.first)
    if listings.min() < 1 or not np.isfinite(prices).all():
        return measures, ["no profit gain: a participant asks no price"]

    def averaged(values: Array) -> Array:
        means: Array = np.add.reduceat(values, market.layout.first[:-1]) / listings
        return means

    if (prices > 0.0).all():
        measures["lerner"] = float(lerner(prices, averaged(market.catalogue.cost)).mean())
    try:
        theory = benchmarks(market)
        nash, joint = averaged(theory.p_N), averaged(theory.p_M)
        measures["rpdi"] = float(rpdi(prices, nash, joint).mean())
        if profits is None:
            return measures, ["no profit gain: rewards are not profits; see rewards.weights"]
        gap = float(theory.pi_M.mean() - theory.pi_N.mean()) / float(np.abs(theory.pi_M).mean())
        if gap < LEAST_GAP:
            return measures, [
                f"no profit gain: joint-profit prices earn only {max(gap, 0.0):.1%} more than "
                "Bertrand-Nash prices, so a ratio to that gap says nothing"
            ]
        measures["profit_gain"] = float(profit_gain(profits, theory.pi_N, theory.pi_M).mean())
    except (EquilibriumError, InputError) as error:
        return measures, [f"no profit gain: {error}"]
    return measures, []


def is_profit(market: Market) -> bool:
    """Whether each participant's reward is its profit."""
    rewards = market.rewards
    if not isinstance(rewards, Objective):
        return False
    weights = (rewards.weights, *rewards.by_participant.values())
    return all({name: w for name, w in one.items() if w} == PROFIT for one in weights)
