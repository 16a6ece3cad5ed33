"""Successive oligopoly with linear demand: makers, retailers, and two margins on one good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.market.types import InputError

__all__ = ["LinearChain", "linear_chain"]


@dataclass(frozen=True)
class LinearChain:
    """The equilibrium of a chain of makers and retailers.

    Parameters
    ----------
    wholesale_price, price : float
        Money per unit between makers and retailers, and to shoppers.
    quantity : float
        Units sold.
    maker_profit, retail_profit : float
        Money of all makers, and of all retailers.
    consumer_surplus : float
        Money.
    """

    wholesale_price: float
    price: float
    quantity: float
    maker_profit: float
    retail_profit: float
    consumer_surplus: float


def linear_chain(
    intercept: float,
    slope: float,
    maker_cost: float = 0.0,
    retail_cost: float = 0.0,
    makers: float = 1,
    retailers: float = 1,
) -> LinearChain:
    """Solve a chain of Cournot makers above Cournot retailers, with inverse demand P = A - B Q.

    Q = m n / ((m + 1)(n + 1)) (A - c) / B and w = A - c_d - B (n + 1)/n Q. One maker and one
    retailer are Spengler's [1]_ double marginalisation.

    Parameters
    ----------
    intercept, slope : float
        A and B, money and money per unit, > 0.
    maker_cost, retail_cost : float, optional
        c_u and c_d, money per unit, >= 0.
    makers, retailers : float, optional
        How many, >= 1; infinity is perfect competition at that level.

    Returns
    -------
    LinearChain
        Prices, quantity, profits and surplus.

    Raises
    ------
    InputError
        If a number is not allowed, or nobody would pay the cost.

    References
    ----------
    .. [1] Spengler, J. J. (1950). Vertical integration and antitrust policy. JPE 58(4).
    """
    for name, value in (("intercept", intercept), ("slope", slope)):
        if not 0.0 < value < np.inf:
            raise InputError(f"{name}={value!r} must be a finite number > 0")
    for name, value in (("maker_cost", maker_cost), ("retail_cost", retail_cost)):
        if not 0.0 <= value < np.inf:
            raise InputError(f"{name}={value!r} must be a finite number >= 0")
    for name, value in (("makers", makers), ("retailers", retailers)):
        if not value >= 1:
            raise InputError(f"{name}={value!r} must be >= 1; inf is perfect competition")
    gap = intercept - maker_cost - retail_cost
    if gap <= 0.0:
        raise InputError(
            f"maker_cost + retail_cost={maker_cost + retail_cost:g} must be below "
            f"intercept={intercept:g}: nobody buys at cost; lower a cost"
        )
    share_up, share_down = 1.0 / (1.0 + 1.0 / makers), 1.0 / (1.0 + 1.0 / retailers)
    quantity = share_up * share_down * gap / slope
    wholesale = intercept - retail_cost - slope * quantity / share_down
    price = intercept - slope * quantity
    return LinearChain(
        wholesale,
        price,
        quantity,
        (wholesale - maker_cost) * quantity,
        (price - wholesale - retail_cost) * quantity,
        0.5 * slope * quantity**2,
    )
