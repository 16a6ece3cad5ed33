"""Competitive markets with price trials, on which the causal measure must find no wars.

Sellers of the logit market of Calvano et al. (2020) ask static Nash prices, or best replies to one
another's last prices, with an own noise. Each explores now and then, as a learner does: the price
of a trial is drawn uniformly from a grid. In all but one of these markets something moves the
prices of all sellers together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import wrightomega

from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array, InputError, IntArray

QUALITY, COST, SCALE = 2.0, 1.0, 0.25
"""Calvano et al.'s baseline: a, c and mu, with an outside good of utility 0."""

PRICE_NASH, PRICE_JOINT = 1.4729269, 1.9249809
NOISE = 0.1
"""Standard deviation of each seller's own noise, in units of p_M - p_N."""


def logit_best_reply(rival: Array, cost: Array | float = COST) -> Array:
    """Return the static best reply of a seller of the logit market with two sellers.

    The margin solves p - c = mu / (1 - share); in closed form it is mu (1 + W(x)), with Lambert's
    W [1]_.

    Parameters
    ----------
    rival : array
        The rival's price, in money per unit.
    cost : float or array, optional
        The own cost, in money per unit.

    Returns
    -------
    array
        The best reply, in money per unit.

    References
    ----------
    .. [1] Corless, R. M., Gonnet, G. H., Hare, D. E. G., Jeffrey, D. J. and Knuth, D. E. (1996).
           On the Lambert W function. Advances in Computational Mathematics 5.
    """
    others = np.log1p(np.exp((QUALITY - rival) / SCALE))
    margin = 1.0 + wrightomega((QUALITY - cost) / SCALE - 1.0 - others)
    reply: Array = cost + SCALE * margin
    return reply


def nash_price(cost: Array) -> Array:
    """Return the symmetric Bertrand-Nash price of the logit market with two sellers at a cost.

    Parameters
    ----------
    cost : array
        Cost of both sellers, in money per unit.

    Returns
    -------
    array
        Prices in money per unit, interpolated between a thousand costs.
    """
    known = np.linspace(np.min(cost), np.max(cost), 1001)
    price: Array = known + 2.0 * SCALE
    for _ in range(60):  # a contraction: its slope is below a half
        price = logit_best_reply(price, known)
    return np.asarray(np.interp(cost, known, price), dtype=np.float64)


def _common_cost(rng: np.random.Generator, ticks: int, sessions: int) -> Array:
    """Nash prices under a common cost that follows x_t = .9 x_(t-1) + noise."""
    cost = np.zeros((ticks, sessions))
    noise = rng.standard_normal((ticks, sessions))
    cost[0] = noise[0]
    for t in range(1, ticks):
        cost[t] = 0.9 * cost[t - 1] + np.sqrt(1.0 - 0.81) * noise[t]
    return nash_price(COST + 0.1 * cost)


def _season(rng: np.random.Generator, ticks: int, sessions: int) -> Array:
    """Nash prices under a cost with a season of 24 ticks, which begins anywhere."""
    begin = rng.integers(24, size=sessions)
    phase = (np.arange(ticks)[:, None] + begin) / 24.0
    return nash_price(COST + 0.15 * np.sin(2.0 * np.pi * phase))


def _promotions(rng: np.random.Generator, ticks: int, sessions: int) -> Array:
    """Nash prices with promotions: all sellers ask a third of p_M - p_N less for 5 ticks."""
    begins = rng.random((ticks, sessions)) < 0.02
    on = begins.copy()
    for back in range(1, 5):
        on[back:] |= begins[:-back]
    gap = PRICE_JOINT - PRICE_NASH
    return np.asarray(PRICE_NASH - gap / 3.0 * on, dtype=np.float64)


def _still(rng: np.random.Generator, ticks: int, sessions: int) -> Array:
    return np.full((ticks, sessions), PRICE_NASH)


TRIAL_WORLDS: Mapping[str, Callable[[np.random.Generator, int, int], Array]] = {
    "common_cost": _common_cost,
    "season": _season,
    "promotions": _promotions,
    "best_reply": _still,
}
"""Competitive markets by name: the price [T, S] that all sellers ask but for noise and trials. In
`best_reply` each asks the best reply to the rival's last price instead."""


def trial_world(
    name: str,
    ticks: int = 10_000,
    sessions: int = 100,
    seed: int = 0,
    *,
    chance: float = 0.01,
    levels: int = 15,
) -> tuple[Array, IntArray]:
    """Draw a competitive market with price trials.

    Parameters
    ----------
    name : str
        One of `TRIAL_WORLDS`.
    ticks, sessions : int, optional
        T and S.
    seed : int, optional
        Seed of the draws, >= 0.
    chance : float, optional
        Chance with which each of the two sellers explores in a tick.
    levels : int, optional
        Prices of the grid that trials are drawn from.

    Returns
    -------
    prices : array [T, S, 2]
        Prices in money per unit.
    tried : array of bool [T, S, 2]
        Which seller explored.

    Raises
    ------
    InputError
        If the name is unknown or a number is out of its range.
    """
    if name not in TRIAL_WORLDS:
        raise InputError(f"world={name!r} must be one of {', '.join(TRIAL_WORLDS)}")
    check_whole("ticks", ticks, 1)
    check_whole("sessions", sessions, 1)
    check_whole("levels", levels, 2)
    check_real("chance", chance, 0.0, 1.0)
    rng = np.random.default_rng(check_whole("seed", seed, 0))
    gap = PRICE_JOINT - PRICE_NASH
    grid = np.linspace(PRICE_NASH - 0.1 * gap, PRICE_JOINT + 0.1 * gap, levels)
    common = TRIAL_WORLDS[name](rng, ticks, sessions)
    shape = (ticks, sessions, 2)
    noise = NOISE * gap * rng.standard_normal(shape)
    tried = rng.random(shape) < chance
    drawn = grid[rng.integers(levels, size=shape)]
    if name != "best_reply":
        return np.where(tried, drawn, common[:, :, None] + noise), tried
    prices = np.empty(shape)
    last = np.full((sessions, 2), PRICE_NASH)
    for t in range(ticks):
        last = np.where(tried[t], drawn[t], logit_best_reply(last[:, ::-1]) + noise[t])
        prices[t] = last
    return prices, tried
