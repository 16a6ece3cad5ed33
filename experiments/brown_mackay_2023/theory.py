"""Prices of firms that reprice at different paces, in closed form.

Slow firms set their prices every T ticks and fast firms every m ticks, T a multiple of m, together
at common dates. A slow firm's new price stands for m ticks beside fast prices that were set with
it. For the other T - m ticks the fast firms have answered it. So a slow firm counts the answer with
weight L = (T - m) / T: L = 0 is Bertrand competition, L = 1 price leadership.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from mos_agents.market.types import Array, InputError


def profits(demand: LinearDemand | LogitDemand, prices: Array) -> Array:
    """[n] what firms earn at prices [n]."""
    earned: Array = (prices - demand.cost) * demand.units(prices)
    return earned


@dataclass(frozen=True)
class LinearDemand:
    """q_i = a - b p_i + d (sum of the rivals' prices)."""

    slow: int
    fast: int
    a: float = 1.0
    b: float = 1.0
    d: float = 0.5
    cost: float = 0.0

    def __post_init__(self) -> None:
        n, reply = self.slow + self.fast, 2.0 * self.b - self.d * (self.fast - 1)
        stable = 2.0 * self.b > self.d * (n - 1)
        # Where fast firms answer at once, a slow firm's marginal profit must fall in slow prices.
        answered = (self.slow + 1) * self.fast * self.d**2 / reply if stable else 0.0
        if not stable or 2.0 * self.b <= self.d * (self.slow - 1) + answered:
            raise InputError(
                f"d={self.d:g} is too large beside b={self.b:g} for {n} firms: prices would rise "
                "without end; lower d"
            )
        if not self.a > (self.b - self.d * (n - 1)) * self.cost:
            raise InputError(
                f"a={self.a:g}: nobody buys at prices equal to the cost of {self.cost:g}; raise a"
            )

    def units(self, prices: Array) -> Array:
        """[n] what firms sell at prices [n]."""
        bought: Array = self.a - self.b * prices + self.d * (prices.sum() - prices)
        return bought

    def best_reply(self, prices: Array, i: int) -> float:
        """The price of firm i that earns most, the others' prices given."""
        others = float(prices.sum() - prices[i])
        return (self.a + self.b * self.cost + self.d * others) / (2.0 * self.b)

    def slow_slope(self, slow: float, fast: float, lead: float) -> float:
        """A slow firm's marginal profit, where `lead` is the weight of the fast firms' answer."""
        own = self.a - self.b * slow + self.d * ((self.slow - 1) * slow + self.fast * fast)
        answer = self.d / (2.0 * self.b - self.d * (self.fast - 1))
        return own + (slow - self.cost) * (lead * self.fast * self.d * answer - self.b)

    def fast_reply(self, slow: float) -> float:
        """The price of all fast firms, each a best reply, where all slow firms ask `slow`."""
        fixed = self.a + self.b * self.cost + self.d * self.slow * slow
        return fixed / (2.0 * self.b - self.d * (self.fast - 1))


@dataclass(frozen=True)
class LogitDemand:
    """q_i = exp((a - p_i) / mu) / (exp(a_0 / mu) + the sum of all firms')."""

    slow: int
    fast: int
    quality: float = 2.0
    mu: float = 0.25
    outside: float = 0.0
    cost: float = 1.0

    def units(self, prices: Array) -> Array:
        """[n] what firms sell at prices [n]."""
        height = (self.quality - self.outside - np.asarray(prices)) / self.mu
        top = max(float(height.max()), 0.0)
        weight = np.exp(height - top)
        bought: Array = weight / (np.exp(-top) + weight.sum())
        return bought

    def _shares(self, slow: float, fast: float) -> tuple[float, float]:
        prices = np.concatenate([np.full(self.slow, slow), np.full(self.fast, fast)])
        bought = self.units(prices)
        return float(bought[0]), float(bought[-1])

    def best_reply(self, prices: Array, i: int) -> float:
        """The price of firm i that earns most, the others' prices given."""
        made = np.array(prices, dtype=np.float64)

        def slope(price: float) -> float:
            made[i] = price
            return 1.0 - (price - self.cost) * (1.0 - float(self.units(made)[i])) / self.mu

        return _root(slope, self.cost, self.mu)

    def slow_slope(self, slow: float, fast: float, lead: float) -> float:
        """As for linear demand, over the slow firm's share."""
        of_slow, of_fast = self._shares(slow, fast)
        margin, step = (fast - self.cost) / self.mu, 1.0 / self.mu
        # The fast firms' condition 1 - margin (1 - s) = 0, moved by one slow price and by all fast.
        by_slow = margin * of_fast * of_slow * step
        by_fast = -(1.0 - of_fast) * step + margin * of_fast * step * (
            (self.fast - 1) * of_fast - (1.0 - of_fast)
        )
        answer = -by_slow / by_fast
        own = (slow - self.cost) * step
        return 1.0 - own * (1.0 - of_slow) + lead * self.fast * own * of_fast * answer

    def fast_reply(self, slow: float) -> float:
        """The price of all fast firms, each a best reply, where all slow firms ask `slow`."""

        def slope(fast: float) -> float:
            return 1.0 - (fast - self.cost) * (1.0 - self._shares(slow, fast)[1]) / self.mu

        return _root(slope, self.cost, self.mu)


def _root(slope: Callable[[float], float], low: float, step: float) -> float:
    """Where a falling function that is positive at `low` is 0."""
    high = low + step
    while slope(high) > 0.0:
        high = low + 2.0 * (high - low)
    return float(brentq(slope, low, high, xtol=1e-14, rtol=1e-14))


@dataclass(frozen=True)
class PacePrices:
    """Prices and profits of a tick. lead: L."""

    lead: float
    slow_price: float
    fast_price: float
    slow_profit: float
    fast_profit: float


def equilibrium(demand: LinearDemand | LogitDemand, lead: float) -> PacePrices:
    """What alike slow and alike fast firms ask.

    Parameters
    ----------
    demand : LinearDemand or LogitDemand
        What firms sell.
    lead : float
        L, the share of ticks in which the fast firms have answered a new slow price, in [0, 1].

    Returns
    -------
    PacePrices
        Prices and profits per tick.

    Raises
    ------
    InputError
        If a slow firm would gain by another price.
    """
    slow = _root(lambda p: demand.slow_slope(p, demand.fast_reply(p), lead), demand.cost, 0.25)
    fast = demand.fast_reply(slow)
    found = np.concatenate([np.full(demand.slow, slow), np.full(demand.fast, fast)])
    earned = profits(demand, found)
    best = _best_deviation(demand, found, lead)
    if best > earned[0] + 1e-9 * max(1.0, abs(earned[0])):
        raise InputError(
            f"at L={lead:g} a slow firm would leave the price {slow:.6g} of the first-order "
            "condition: there is no equilibrium of this kind; try other settings of demand"
        )
    return PacePrices(lead, slow, fast, float(earned[0]), float(earned[-1]))


def _best_deviation(demand: LinearDemand | LogitDemand, found: Array, lead: float) -> float:
    """The most that one slow firm can earn, the others' and the first fast prices being these."""
    made = found.copy()

    def earned(price: float) -> float:
        made[:] = found
        made[0] = price
        before = float(profits(demand, made)[0])
        return -(1.0 - lead) * before - lead * float(profits(demand, _answered(demand, made))[0])

    reach = 3.0 * (float(found[0]) - demand.cost)
    grid = np.linspace(demand.cost, demand.cost + reach, 200)
    at = int(np.argmin([earned(price) for price in grid]))
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, grid.size - 1)]
    return -float(minimize_scalar(earned, bounds=(low, high), method="bounded").fun)


def _answered(demand: LinearDemand | LogitDemand, prices: Array) -> Array:
    """The prices once all fast firms have answered the slow ones."""
    made = prices.copy()
    for _ in range(200):
        reply = demand.best_reply(made, made.size - 1)
        done = abs(reply - made[-1]) < 1e-12
        made[demand.slow :] = reply
        if done:
            break
    return made


def best_replies(
    demand: LinearDemand | LogitDemand, slow_period: int, fast_period: int, moves: int = 400
) -> Array:
    """Prices in the end where every firm, also a slow one, best replies to the last prices.

    Parameters
    ----------
    demand : LinearDemand or LogitDemand
        What firms sell.
    slow_period, fast_period : int
        Ticks between two moves.
    moves : int
        Moves of each slow firm.

    Returns
    -------
    array [n]
        Prices.
    """
    n = demand.slow + demand.fast
    prices = np.full(n, demand.cost)
    between = min(slow_period // fast_period, 10)  # the fast prices stand still long before that
    for move in range(moves * between):
        movers = range(n) if move % between == 0 else range(demand.slow, n)
        replies = [demand.best_reply(prices, i) for i in movers]
        prices[list(movers)] = replies
    return prices
