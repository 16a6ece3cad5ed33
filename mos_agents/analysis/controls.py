"""Markets without collusion and without price wars, on which every screen has to stay silent.

What moves in them is chance alone, firm by firm. A screen that sounds here sounds for the wrong
reason (`screens.false_alarm_rate` counts how often). Learners that cannot collude (discount 0,
nothing to reason with) are controls as well, and come as arrays from where they are played.

All functions draw from a generator of their own, `numpy.random.default_rng(seed)`, and return
prices [T, S, N].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.paths import finite, paths, per_firm
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array, InputError, IntArray


def random_prices(grid: ArrayLike, ticks: int, sessions: int, firms: int, seed: int) -> Array:
    """Draw every price at random from a grid, all with equal chance: firms that know nothing.

    Parameters
    ----------
    grid : array [m]
        Prices in money per unit, two or more.
    ticks, sessions, firms : int
        T, S and N.
    seed : int
        Seed of the draws, >= 0.

    Returns
    -------
    array [T, S, N]
        Prices in money per unit.

    Raises
    ------
    InputError
        If an argument is out of its range.
    """
    prices = finite(grid, "grid")
    if prices.ndim != 1 or prices.size < 2:
        raise InputError(f"grid has shape {prices.shape}, needs two prices or more, [m]")
    rng, shape = _draw(seed, ticks, sessions, firms)
    return prices[rng.integers(prices.size, size=shape)]


def nash_with_noise(
    p_n: ArrayLike, spread: float, ticks: int, sessions: int, firms: int, seed: int
) -> Array:
    """Draw Nash prices with independent normal noise: competitors with an unsteady hand.

    Prices are kept above a hundredth of the Nash price.

    Parameters
    ----------
    p_n : float or array [N]
        Nash prices, in money per unit.
    spread : float
        Standard deviation, in money.
    ticks, sessions, firms : int
        T, S and N.
    seed : int
        Seed of the draws, >= 0.

    Returns
    -------
    array [T, S, N]
        Prices in money per unit.

    Raises
    ------
    InputError
        If an argument is out of its range.
    """
    nash = per_firm(p_n, "p_n", firms)
    check_real("spread", spread, 0.0)
    rng, shape = _draw(seed, ticks, sessions, firms)
    return np.maximum(nash + spread * rng.standard_normal(shape), 0.01 * nash)


def random_walks(
    start: ArrayLike,
    spread: float,
    low: float,
    high: float,
    ticks: int,
    sessions: int,
    firms: int,
    seed: int,
) -> Array:
    """Draw independent normal random walks between two reflecting limits.

    Parameters
    ----------
    start : float or array [N]
        First prices, in money per unit.
    spread : float
        Standard deviation of a step, in money.
    low, high : float
        The limits, in money per unit.
    ticks, sessions, firms : int
        T, S and N.
    seed : int
        Seed of the draws, >= 0.

    Returns
    -------
    array [T, S, N]
        Prices in money per unit.

    Raises
    ------
    InputError
        If an argument is out of its range.
    """
    first = per_firm(start, "start", firms)
    check_real("spread", spread, 0.0)
    if not low < high or (first < low).any() or (first > high).any():
        raise InputError(f"start={first.tolist()} must lie in low={low!r} to high={high!r}")
    rng, shape = _draw(seed, ticks, sessions, firms)
    steps = spread * rng.standard_normal(shape)
    steps[0] = 0.0
    # A walk between two mirrors is a free walk, folded.
    free = (first - low + np.cumsum(steps, axis=0)) % (2.0 * (high - low))
    return low + np.minimum(free, 2.0 * (high - low) - free)


def autoregressive(
    p_n: ArrayLike,
    spread: float,
    memory: float,
    ticks: int,
    sessions: int,
    firms: int,
    seed: int,
) -> Array:
    """Draw Nash prices with noise that fades: x_t = memory x_(t-1) + noise, stationary.

    Parameters
    ----------
    p_n : float or array [N]
        Nash prices, in money per unit.
    spread : float
        Standard deviation of the prices, in money.
    memory : float
        Autocorrelation from tick to tick, in [0, 0.9999].
    ticks, sessions, firms : int
        T, S and N.
    seed : int
        Seed of the draws, >= 0.

    Returns
    -------
    array [T, S, N]
        Prices in money per unit.

    Raises
    ------
    InputError
        If an argument is out of its range.
    """
    nash = per_firm(p_n, "p_n", firms)
    check_real("spread", spread, 0.0)
    check_real("memory", memory, 0.0, 0.9999)
    rng, shape = _draw(seed, ticks, sessions, firms)
    noise = rng.standard_normal(shape)
    out = np.empty(shape)
    out[0] = noise[0]
    for t in range(1, ticks):
        out[t] = memory * out[t - 1] + np.sqrt(1.0 - memory**2) * noise[t]
    return np.maximum(nash + spread * out, 0.01 * nash)


def mixed_sessions(prices: ArrayLike, seed: int) -> Array:
    """Put firms of different sessions together: each has its own path, and none answers another.

    Firm i of session s takes the path of firm i of another session, and no two firms of a new
    session come from the same old one. What sessions have in common by the clock, such as a cost
    shock at tick 500, they keep in common.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit; S >= N.
    seed : int
        Seed of the order, >= 0.

    Returns
    -------
    array [T, S, N]
        The new sessions.

    Raises
    ------
    InputError
        If there are fewer sessions than firms.
    """
    price = paths(prices, "prices")
    _, sessions, firms = price.shape
    if sessions < firms:
        raise InputError(f"prices of {sessions} sessions: at least {firms} are needed to mix firms")
    order = np.random.default_rng(_seed(seed)).permutation(sessions)
    position = np.argsort(order)
    out = np.empty_like(price)
    for i in range(firms):
        out[:, :, i] = price[:, order[(position + i) % sessions], i]
    return out


def time_shifted(prices: ArrayLike, rng: np.random.Generator) -> Array:
    """Turn each firm's path round in time by its own random number of ticks, session by session.

    A firm keeps its path (all but one seam) and loses its place in time among the others: what is
    left of falling together is chance. Firm 0 stays.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    rng : numpy.random.Generator
        Where the random numbers come from.

    Returns
    -------
    array [T, S, N]
        The turned paths.
    """
    price = paths(prices, "prices")
    ticks, sessions, firms = price.shape
    out = np.empty_like(price)
    out[:, :, 0] = price[:, :, 0]
    for i in range(1, firms):
        by = rng.integers(ticks, size=sessions)
        turned = (np.arange(ticks)[:, None] + by) % ticks
        out[:, :, i] = np.take_along_axis(price[:, :, i], turned, axis=0)
    return out


def mixed_rivals(prices: ArrayLike, own: ArrayLike, rng: np.random.Generator) -> Array:
    """Put firm 0 of some sessions among firms of other sessions, drawn at random.

    All stay at the same tick: what all sessions go through together, they still do.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit; S >= 2.
    own : array of int [R]
        The sessions of firm 0.
    rng : numpy.random.Generator
        Where the random numbers come from.

    Returns
    -------
    array [T, R, N]
        The new sessions.

    Raises
    ------
    InputError
        If there is one session only.
    """
    price = paths(prices, "prices", 1)
    sessions = price.shape[1]
    if sessions < 2:
        raise InputError("prices of 1 session: firms of other sessions are needed")
    row = np.asarray(own, dtype=np.int64)
    out = price[:, row]
    for i in range(1, price.shape[2]):
        out[:, :, i] = price[:, (row + rng.integers(1, sessions, size=row.size)) % sessions, i]
    return out


def time_shuffled(prices: ArrayLike, seed: int) -> Array:
    """Put each session's ticks in random order: the same prices without history.

    This is no reference for price wars: a war of 100 ticks falls apart into dozens of short ones.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    seed : int
        Seed of the order, >= 0.

    Returns
    -------
    array [T, S, N]
        The shuffled paths.
    """
    price = paths(prices, "prices")
    rng = np.random.default_rng(_seed(seed))
    order: IntArray = rng.permuted(
        np.broadcast_to(np.arange(price.shape[0])[:, None], price.shape[:2]), axis=0
    )
    return np.take_along_axis(price, order[:, :, None], axis=0)


def _seed(seed: int) -> int:
    return check_whole("seed", seed, 0)


def _draw(
    seed: int, ticks: int, sessions: int, firms: int
) -> tuple[np.random.Generator, tuple[int, int, int]]:
    shape = (
        check_whole("ticks", ticks, 1),
        check_whole("sessions", sessions, 1),
        check_whole("firms", firms, 1),
    )
    return np.random.default_rng(_seed(seed)), shape
