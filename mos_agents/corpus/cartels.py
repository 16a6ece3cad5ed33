"""Firms that have agreed on prices, or whose vendor sets them together."""

from __future__ import annotations

import numpy as np

from mos_agents.corpus.markets import fading
from mos_agents.corpus.shocks import Shocks
from mos_agents.market.types import Array, IntArray


def cartel_prices(
    rng: np.random.Generator,
    shocks: Shocks,
    defections: float = 0.0,
    revised: int = 1,
    begins: float = 0.0,
) -> Array:
    """Return joint-profit prices with noise of .5%.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shocks : Shocks
        The shocks.
    defections : float, optional
        Chance of a date that one firm cuts to its static best reply. All then ask Nash prices for
        6 to 10 dates, the firm included, and come back together.
    revised : int, optional
        Dates between two agreements on the price.
    begins : float, optional
        Share of the dates before which the firms compete.

    Returns
    -------
    array [T, S, N]
        Prices.
    """
    joint, nash = shocks.conditions.joint(), shocks.conditions.nash()
    ticks, sessions, firms = joint.shape
    agreed = joint[(np.arange(ticks) // revised) * revised]
    agreed[: int(begins * ticks)] = nash[: int(begins * ticks)]
    out = np.empty_like(joint)
    left = np.zeros(sessions, dtype=np.int64)
    for t in range(ticks):
        out[t] = np.where((left > 0)[:, None], nash[t], agreed[t])
        left = np.maximum(left - 1, 0)
        tempted = (left == 0) & (rng.random(sessions) < defections) & (t >= begins * ticks)
        drawn: IntArray = np.asarray(rng.integers(firms, size=sessions))
        firm = drawn[:, None] == np.arange(firms)
        cut = shocks.conditions.reply(t, out[t])
        out[t] = np.where(tempted[:, None] & firm, cut, out[t])
        left = np.where(tempted, rng.integers(6, 11, sessions), left)
    return out * shocks.factor * (1.0 + 0.005 * rng.standard_normal(out.shape))


def vendor_prices(rng: np.random.Generator, shocks: Shocks, pooled: bool) -> Array:
    """Return prices of firms of which the first two have one vendor.

    The vendor estimates demand with an error that fades. With separate data the two errors are
    independent, and each firm gives its best reply. With pooled data the error is the same, and
    the two prices lie halfway between Nash and joint profit.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shocks : Shocks
        The shocks.
    pooled : bool
        Whether the vendor pools the data of the two firms.

    Returns
    -------
    array [T, S, N]
        Prices.
    """
    prices = shocks.conditions.nash()
    error = fading(rng, prices.shape, 0.7, 0.03)
    if pooled:
        error[:, :, 1] = error[:, :, 0]
        middle = 0.5 * (prices + shocks.conditions.joint())
        prices[:, :, :2] = middle[:, :, :2]
    return prices * (1.0 + error + 0.01 * rng.standard_normal(prices.shape))
