"""Firms that compete: static Nash prices, best replies, noise, undercutting in cycles."""

from __future__ import annotations

import numpy as np

from mos_agents.corpus.markets import fading
from mos_agents.corpus.shocks import Shocks
from mos_agents.market.types import Array, IntArray


def nash_prices(rng: np.random.Generator, shocks: Shocks) -> Array:
    """Return Nash prices of each date, with independent noise of 1 to 3% and promotions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shocks : Shocks
        The shocks.

    Returns
    -------
    array [T, S, N]
        Prices.
    """
    nash = shocks.conditions.nash()
    spread = shocks.noise[None, :, None]
    return in_force(nash * shocks.factor * (1.0 + spread * rng.standard_normal(nash.shape)), shocks)


def reply_prices(rng: np.random.Generator, shocks: Shocks) -> Array:
    """Return static best replies to the prices of the date before, with noise that fades.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shocks : Shocks
        The shocks.

    Returns
    -------
    array [T, S, N]
        Prices.
    """
    shape = shocks.offered.shape
    spread = shocks.noise[None, :, None]
    noise = 1.0 + spread * fading(rng, shape, 0.5, 1.0)
    out = np.empty(shape)
    last = shocks.conditions.nash()[0]
    for t in range(shape[0]):
        last = shocks.conditions.reply(t, last) * shocks.factor[t] * noise[t]
        out[t] = last = np.where(shocks.offered[t] | (t == 0), last, out[t - 1])
    return out


def noise_prices(rng: np.random.Generator, shocks: Shocks) -> Array:
    """Return mean Nash prices with much noise, whose autocorrelation differs among sessions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shocks : Shocks
        The shocks.

    Returns
    -------
    array [T, S, N]
        Prices.
    """
    nash = shocks.conditions.nash()
    out = np.empty_like(nash)
    memories: Array = np.asarray(rng.uniform(0.0, 0.9, nash.shape[1]))
    for s, memory in enumerate(memories):
        noise = fading(rng, nash[:, s].shape, float(memory), 2.0 * float(shocks.noise[s]))
        out[:, s] = nash[:, s] * (1.0 + noise)
    return out


def in_force(prices: Array, shocks: Shocks) -> Array:
    """Keep the last price while a firm is sold out.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices that firms would ask.
    shocks : Shocks
        The shocks.

    Returns
    -------
    array [T, S, N]
        Prices on the label.
    """
    out = prices.copy()
    for t in range(1, len(out)):
        out[t] = np.where(shocks.offered[t], out[t], out[t - 1])
    return out


def edgeworth_prices(rng: np.random.Generator, shocks: Shocks) -> Array:
    """Return prices of firms that sell the same good and undercut each other in cycles.

    At each date each firm undercuts the lowest price by a step, by chance; near cost one of them
    raises its price to the top, and the others follow at the next date.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the random numbers come from.
    shocks : Shocks
        The shocks.

    Returns
    -------
    array [T, S, N]
        Prices.
    """
    cost = shocks.recorded_cost
    ticks, sessions, firms = cost.shape
    step: Array = np.asarray(rng.uniform(0.03, 0.08, sessions))
    top: Array = np.asarray(rng.uniform(0.6, 0.9, sessions))
    out = np.empty(cost.shape)
    now = cost[0] + rng.uniform(0.2, 0.6, (sessions, 1)) + 0.0 * cost[0]
    for t in range(ticks):
        floor = cost[t].mean(axis=1) + 0.05
        ceiling = cost[t].mean(axis=1) + top
        lowest = now.min(axis=1)
        raised = now.max(axis=1) >= ceiling - 1e-9
        spread = now.max(axis=1) - lowest > 3.0 * step
        moves = rng.random((sessions, firms)) < 0.8
        cut = np.where(moves, np.maximum(lowest - step, floor)[:, None], now)
        drawn: IntArray = np.asarray(rng.integers(firms, size=sessions))
        leader = drawn[:, None] == np.arange(firms)
        relents = (lowest <= floor + step) & (rng.random(sessions) < 0.5)
        follow = raised & spread
        new = np.where(relents[:, None] & leader, ceiling[:, None], cut)
        now = np.where(
            follow[:, None], ceiling[:, None] - step[:, None] * rng.random(new.shape), new
        )
        out[t] = now
    return out * (1.0 + 0.003 * rng.standard_normal(out.shape))
