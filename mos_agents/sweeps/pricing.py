"""Where prices and profits lie between competition and joint profit, for a row of measures."""

from __future__ import annotations

import numpy as np

from mos_agents.analysis.collusion import lerner, profit_gain, rpdi
from mos_agents.market.equilibrium import EquilibriumError, benchmarks
from mos_agents.market.rewards import Objective
from mos_agents.market.tick import Market
from mos_agents.market.types import Array, InputError

PROFIT = {"pnl": 1.0}
"""The weights of a reward that is profit, and nothing but."""


def placed(market: Market, prices: Array, profits: Array) -> tuple[dict[str, float], list[str]]:
    """Profit gain, RPDI and Lerner index of mean prices and profits [S, N]; and why some lack.

    Prices are means over a participant's listings. The benchmarks are for all participants at once:
    everybody must be among the columns, in roster order. Notes are for markets that have no
    benchmarks, or whose rewards are not profits.
    """
    measures: dict[str, float] = {}
    first = market.layout.first[:-1]
    listings = np.diff(market.layout.first)
    cost = np.add.reduceat(market.catalogue.cost, first) / listings
    if (prices > 0.0).all():
        measures["lerner"] = float(lerner(prices, cost).mean())
    try:
        theory = benchmarks(market)
        nash, joint = (np.add.reduceat(p, first) / listings for p in (theory.p_N, theory.p_M))
        measures["rpdi"] = float(rpdi(prices, nash, joint).mean())
        if not is_profit(market):
            return measures, ["no profit gain: rewards are not profits; see rewards.weights"]
        measures["profit_gain"] = float(profit_gain(profits, theory.pi_N, theory.pi_M).mean())
    except (EquilibriumError, InputError) as error:
        return measures, [f"no profit gain: {error}"]
    return measures, []


def is_profit(market: Market) -> bool:
    """Whether everybody's reward is its profit."""
    rewards = market.rewards
    weights = (
        [rewards.weights, *rewards.by_participant.values()]
        if isinstance(rewards, Objective)
        else [{}]
    )
    return all({m: w for m, w in one.items() if w} == PROFIT for one in weights)
