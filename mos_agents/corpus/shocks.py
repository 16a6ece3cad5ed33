"""What moves the prices of competitors and of cartels alike: costs, seasons, demand, promotions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.corpus.markets import COST, QUALITY, SOLD_OUT, Conditions, fading, spells
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray

PERIODS = (7, 12, 26, 52)
"""Dates of a season: a week of days, a year of months, half a year and a year of weeks."""

NAMES = ("cost", "season", "promotions", "demand", "stock")


@short_repr
@dataclass(frozen=True, eq=False)
class Shocks:
    """Shocks of S sessions.

    Parameters
    ----------
    conditions : Conditions
        True costs and qualities, of which an outsider knows only a part.
    recorded_cost : array [T, S, N]
        Costs on record: without the season's.
    season : array of int [T, S]
        Season labels.
    period : array of int [S]
        Dates of a season; 0 where there is none.
    factor : array [T, S, N]
        What promotions do to prices.
    offered : array of bool [T, S, N]
        False where a firm is sold out.
    noise : array [S]
        Standard deviation of the noise in prices of competitors, here and in the control market, as
        a share of the price.
    """

    conditions: Conditions
    recorded_cost: Array
    season: IntArray
    period: IntArray
    factor: Array
    offered: IntArray
    noise: Array


def draw_shocks(
    rng: np.random.Generator,
    ticks: int,
    sessions: int,
    firms: int,
    kinds: tuple[str, ...],
    symmetric: bool = False,
) -> Shocks:
    """Draw the shocks of some kinds.

    Common costs have an autocorrelation of .9 and a standard deviation of .1, a tenth of the mean;
    each firm's own costs half of that. Seasons move costs that are not on record by up to a fifth.
    Demand, not on record either, moves all qualities with an autocorrelation of .9. Promotions are
    common (4 of 52 dates, 10%) and of single firms (1 to 3 dates, 10 to 20%). A firm is sold out
    for 1 to 4 dates now and then.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    ticks, sessions, firms : int
        T, S and N.
    kinds : tuple of str
        Some of `NAMES`.
    symmetric : bool, optional
        Whether firms have the same quality and cost.

    Returns
    -------
    Shocks
        The shocks.
    """
    shape = (ticks, sessions, firms)
    quality = np.full(shape, QUALITY)
    cost = np.full(shape, COST)
    if not symmetric:
        quality = quality + rng.uniform(-0.1, 0.1, (1, sessions, firms))
    if "cost" in kinds:
        cost = cost + fading(rng, (ticks, sessions, 1), 0.9, 0.1)
        if not symmetric:
            cost = cost + fading(rng, shape, 0.9, 0.05)
    recorded = cost
    season = np.zeros((ticks, sessions), dtype=np.int64)
    period = np.zeros(sessions, dtype=np.int64)
    if "season" in kinds:
        period = rng.choice(np.array(PERIODS), size=sessions)
        season = np.arange(ticks)[:, None] % period
        phase = rng.uniform(0.0, 1.0, sessions)
        height = rng.uniform(0.05, 0.2, sessions)
        wave = height * np.sin(2.0 * np.pi * (season / period + phase))
        cost = cost + wave[:, :, None]
    if "demand" in kinds:
        quality = quality + fading(rng, (ticks, sessions, 1), 0.9, 0.3)
    offered = np.ones(shape, dtype=bool)
    if "stock" in kinds:
        offered = np.logical_not(spells(rng, shape, 0.03, 1, 4))
        quality = np.where(offered, quality, SOLD_OUT)
    factor = np.ones(shape)
    if "promotions" in kinds:
        common = ((np.arange(ticks)[:, None] + rng.integers(52, size=sessions)) % 52) < 4
        factor = np.where(common[:, :, None], 0.9, factor)
        single = spells(rng, shape, 0.04, 1, 3)
        factor = np.where(single, factor * (1.0 - rng.uniform(0.1, 0.2, shape[1:])), factor)
    noise: Array = np.asarray(rng.uniform(0.01, 0.03, sessions))
    return Shocks(Conditions(cost, quality), recorded, season, period, factor, offered, noise)
