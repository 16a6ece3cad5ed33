"""Stock as a Markov chain and as a newsvendor's choice: exact references for simulated stock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError

__all__ = ["OrderUpTo", "StockFlow", "base_stock", "birth_death_stock"]


@short_repr
class StockFlow(NamedTuple):
    """What a dealer's stock comes to in the long run.

    Parameters
    ----------
    sold, bought : float
        Units per tick; they are equal.
    mean_stock : float
        Units at the end of a tick.
    stock : array [K + 1]
        Probability of each stock at the end of a tick.
    """

    sold: float
    bought: float
    mean_stock: float
    stock: Array


def birth_death_stock(
    offer: float, request: float, capacity: int, buys_first: bool = True
) -> StockFlow:
    """Solve the chain of a dealer who meets at most one offer and one request a tick.

    Parameters
    ----------
    offer : float
        Probability that a unit is offered to the dealer in a tick, in [0, 1].
    request : float
        Probability that a unit is asked for in a tick, in [0, 1].
    capacity : int
        Largest stock, >= 1.
    buys_first : bool, optional
        Whether the offer comes before the request within a tick. The flows are the same in both
        orders, the stock is not.

    Returns
    -------
    StockFlow
        Flows per tick, and the stationary stock.

    Raises
    ------
    InputError
        If a number is not allowed, or no stock is ever held or given up.
    """
    for name, value in (("offer", offer), ("request", request)):
        if not 0.0 < value <= 1.0:
            raise InputError(f"{name}={value!r} must be a probability in (0, 1]")
    if isinstance(capacity, bool) or int(capacity) != capacity or capacity < 1:
        raise InputError(f"capacity={capacity!r} must be a whole number >= 1")
    size = int(capacity) + 1
    arrive, leave = np.eye(size), np.eye(size)
    for k in range(size - 1):
        arrive[k, k], arrive[k, k + 1] = 1.0 - offer, offer
        leave[k + 1, k + 1], leave[k + 1, k] = 1.0 - request, request
    steps = (arrive, leave) if buys_first else (leave, arrive)
    moves = steps[0] @ steps[1]
    # p (moves - 1) = 0 with probabilities that add up to 1: more equations than unknowns by one.
    system = np.concatenate([moves.T - np.eye(size), np.ones((1, size))])
    stock = np.linalg.lstsq(system, np.r_[np.zeros(size), 1.0], rcond=None)[0]
    before_sale = stock @ arrive if buys_first else stock
    before_purchase = stock if buys_first else stock @ leave
    return StockFlow(
        float(request * before_sale[1:].sum()),
        float(offer * before_purchase[:-1].sum()),
        float(stock @ np.arange(size)),
        stock,
    )


class OrderUpTo(NamedTuple):
    """A firm that orders up to a level before each tick.

    Parameters
    ----------
    level : int
        Units at the start of a tick.
    sales : float
        Mean units sold per tick.
    stock_out : float
        Probability that demand exceeds the level.
    profit : float
        Mean money per tick.
    """

    level: int
    sales: float
    stock_out: float
    profit: float


def base_stock(
    mean_demand: float,
    price: float,
    wholesale_price: float,
    holding_cost: float,
    level: int | None = None,
) -> OrderUpTo:
    """Solve the base stock of a firm with Poisson demand, lost sales and no delay.

    The best level is the smallest S with P(D <= S) >= (p - w)/(p - w + h) [1]_.

    Parameters
    ----------
    mean_demand : float
        Mean units asked for per tick, > 0.
    price, wholesale_price : float
        Money per unit, price > wholesale_price.
    holding_cost : float
        Money per unit left at the end of a tick, > 0.
    level : int, optional
        A level to evaluate in place of the best one, >= 0.

    Returns
    -------
    OrderUpTo
        The level and what it comes to. Its profit counts the units left at their cost.

    Raises
    ------
    InputError
        If a number is not allowed.

    References
    ----------
    .. [1] Arrow, K., Harris, T. and Marschak, J. (1951). Optimal inventory policy.
           Econometrica 19(3).
    """
    from scipy import stats  # large, and needed for benchmarks alone

    if not 0.0 < mean_demand < np.inf:
        raise InputError(f"mean_demand={mean_demand!r} must be a finite number > 0")
    if not wholesale_price < price < np.inf:
        raise InputError(
            f"price={price!r} must be above wholesale_price={wholesale_price!r}: "
            "otherwise nothing is worth ordering"
        )
    if not 0.0 < holding_cost < np.inf:
        raise InputError(f"holding_cost={holding_cost!r} must be > 0: else no level is the best")
    demand = stats.poisson(mean_demand)
    margin = price - wholesale_price
    if level is None:
        level = int(demand.ppf(margin / (margin + holding_cost)))
    elif isinstance(level, bool) or int(level) != level or level < 0:
        raise InputError(f"level={level!r} must be a whole number >= 0")
    units = np.arange(level)
    sales = float(demand.sf(units).sum())  # E min(D, S) is the sum of P(D > k) below S
    profit = margin * sales - holding_cost * (level - sales)
    return OrderUpTo(int(level), sales, float(demand.sf(level)), profit)
