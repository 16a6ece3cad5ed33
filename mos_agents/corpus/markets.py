"""Logit markets of many sessions and dates at once: static best replies, Nash and joint prices.

The base is the market of Calvano et al. (2020): quality 2, cost 1, scale .25, outside option 0. In
each session the firms' qualities differ a little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.analysis.screens import logit_best_reply
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array

SCALE = 0.25
QUALITY = 2.0
COST = 1.0
SOLD_OUT = -50.0
"""Quality of a firm that is sold out: nobody buys."""

ROUNDS = 14
"""Rounds of best replies that lead to Nash prices. A round takes at least half of the distance."""

CUSTOMERS = 1000.0


@short_repr
@dataclass(frozen=True, eq=False)
class Conditions:
    """Costs and qualities of S sessions of one market.

    Parameters
    ----------
    cost : array [T, S, N]
        Unit costs in money.
    quality : array [T, S, N]
        Qualities in money; `SOLD_OUT` where a firm has no stock.
    """

    cost: Array
    quality: Array

    def reply(self, t: int, prices: Array) -> Array:
        """Static best replies at one date.

        Parameters
        ----------
        t : int
            The date.
        prices : array [S, N]
            Prices that the firms answer.

        Returns
        -------
        array [S, N]
            Best replies.
        """
        return logit_best_reply(self.quality[t], self.cost[t], SCALE)(prices)

    def nash(self) -> Array:
        """Return Bertrand-Nash prices of all dates.

        Returns
        -------
        array [T, S, N]
            Prices in money per unit.
        """
        reply = logit_best_reply(self.quality, self.cost, SCALE)
        prices = self.cost + 1.9 * SCALE
        for _ in range(ROUNDS):
            prices = reply(prices)
        return prices

    def joint(self) -> Array:
        """Return prices that maximise the firms' joint profit.

        Returns
        -------
        array [T, S, N]
            Prices in money per unit. All margins of a date are the same.
        """
        from scipy import special  # large, and seldom needed

        weights = np.exp((self.quality - self.cost) / SCALE - 1.0).sum(axis=2, keepdims=True)
        margin = SCALE * (1.0 + special.lambertw(weights).real)
        out: Array = self.cost + margin
        return out

    def sold(self, prices: Array) -> Array:
        """Return the units sold to a thousand customers.

        Parameters
        ----------
        prices : array [T, S, N]
            Prices.

        Returns
        -------
        array [T, S, N]
            Units.
        """
        weights = np.exp((self.quality - prices) / SCALE)
        units: Array = CUSTOMERS * weights / (1.0 + weights.sum(axis=2, keepdims=True))
        return units


def fading(rng: np.random.Generator, shape: tuple[int, ...], memory: float, spread: float) -> Array:
    """Draw stationary noise that fades: x_t = memory x_(t-1) + noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shape : tuple of int
        Dates first.
    memory : float
        Autocorrelation.
    spread : float
        Standard deviation.

    Returns
    -------
    array
        Noise of the shape.
    """
    noise = rng.standard_normal(shape)
    for t in range(1, shape[0]):
        noise[t] = memory * noise[t - 1] + np.sqrt(1.0 - memory**2) * noise[t]
    return spread * noise


def spells(
    rng: np.random.Generator, shape: tuple[int, ...], chance: float, shortest: int, longest: int
) -> Array:
    """Draw spells that begin by chance and last some dates.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shape : tuple of int
        Dates first.
    chance : float
        Probability that a spell begins at a date.
    shortest, longest : int
        Dates that a spell lasts.

    Returns
    -------
    array of bool
        Whether a spell is on.
    """
    on = np.zeros(shape, dtype=bool)
    left = np.zeros(shape[1:], dtype=np.int64)
    for t in range(shape[0]):
        begin = (rng.random(shape[1:]) < chance) & (left == 0)
        left = np.where(begin, rng.integers(shortest, longest + 1, shape[1:]), left)
        on[t] = left > 0
        left = np.maximum(left - 1, 0)
    return on
