"""A dealer with limited stock: Amihud and Mendelson's quotes, which fall as the stock rises."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mos_agents.market.equilibrium.logit import EquilibriumError
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError

__all__ = ["DealerQuotes", "amihud_mendelson", "constant_quotes_profit"]


@short_repr
class DealerQuotes(NamedTuple):
    """The best quotes of a dealer, by its stock.

    Parameters
    ----------
    asks : array [K]
        Money per unit at stock 1 to K; one value without a limit.
    bids : array [K]
        Money per unit at stock 0 to K - 1; one value without a limit.
    profit : float
        Money per unit of time.
    """

    asks: Array
    bids: Array
    profit: float


def amihud_mendelson(
    demand: tuple[float, float], supply: tuple[float, float], capacity: float = np.inf
) -> DealerQuotes:
    """Solve for the quotes that maximise the long-run profit of a dealer [1]_.

    Buyers arrive at the rate D0 - D1 ask, sellers at S0 + S1 bid. With v_k the worth of one more
    unit at stock k, ask_k = (D0/D1 + v_{k-1})/2, bid_k = (v_k - S0/S1)/2, and at every stock

        g = D1/4 (D0/D1 - v_{k-1})^2 + S1/4 (v_k + S0/S1)^2.

    Parameters
    ----------
    demand, supply : tuple of float
        (D0, D1) and (S0, S1): rates at a price of 0, and slopes, D1 > 0 and S1 > 0.
    capacity : float, optional
        K, the largest stock: a whole number >= 1, or infinity.

    Returns
    -------
    DealerQuotes
        Asks and bids by stock, and the profit g.

    Raises
    ------
    InputError
        If a number is not allowed, or no price suits both buyers and sellers.
    EquilibriumError
        If the solution leaves a residual.

    References
    ----------
    .. [1] Amihud, Y. and Mendelson, H. (1980). Dealership market: market-making with inventory.
           Journal of Financial Economics 8(1).
    """
    highest, lowest = _reservations(demand, supply)
    buy, sell = demand[1], supply[1]
    flow = 0.5 * (highest - lowest) / (1.0 / buy + 1.0 / sell)
    ask, bid = highest - flow / buy, lowest + flow / sell
    if capacity == np.inf:
        return DealerQuotes(np.array([ask]), np.array([bid]), flow * (ask - bid))
    if isinstance(capacity, bool) or capacity != int(capacity) or capacity < 1:
        raise InputError(f"capacity={capacity!r} must be a whole number >= 1, or infinity")
    size = int(capacity)
    low, high = 0.0, flow * (ask - bid)
    for _ in range(200):  # to the last bit: v rises with g, and so does what is left at full stock
        profit = 0.5 * (low + high)
        _, enough = _worths(profit, size, highest, lowest, buy, sell)
        low, high = (low, profit) if enough else (profit, high)
    profit = 0.5 * (low + high)
    worths, _ = _worths(high, size, highest, lowest, buy, sell)
    asks, bids = 0.5 * (highest + worths), 0.5 * (worths + lowest)
    gains = np.zeros(size + 1)
    gains[1:] += buy * (highest - asks) ** 2
    gains[:-1] += sell * (bids - lowest) ** 2
    residual = float(np.abs(gains - profit).max())
    if not residual <= 1e-6 * profit:
        raise EquilibriumError(
            f"the quotes of a stock of {size} are not determined", residual, "lower capacity"
        )
    return DealerQuotes(asks, bids, profit)


def _worths(
    profit: float, size: int, highest: float, lowest: float, buy: float, sell: float
) -> tuple[Array, bool]:
    """[K] v_k from stock 0 up at a profit g, and whether g covers what full stock earns."""
    worths = np.zeros(size)
    rest = profit
    for k in range(size):
        worths[k] = 2.0 * np.sqrt(rest / sell) + lowest
        rest = profit - 0.25 * buy * max(highest - worths[k], 0.0) ** 2
        if rest < 0.0:
            return worths, False
    return worths, True


def constant_quotes_profit(
    demand: tuple[float, float],
    supply: tuple[float, float],
    quotes: tuple[float, float],
    capacity: float = np.inf,
) -> float:
    """Compute the long-run profit of a dealer who quotes the same at every stock.

    Parameters
    ----------
    demand, supply : tuple of float
        (D0, D1) and (S0, S1), as in `amihud_mendelson`.
    quotes : tuple of float
        Ask and bid, money per unit.
    capacity : float, optional
        Largest stock, a whole number >= 1 or infinity.

    Returns
    -------
    float
        Money per unit of time: of equal rates, their flow times the spread times K/(K + 1).

    Raises
    ------
    InputError
        If a number is not allowed.
    """
    _reservations(demand, supply)
    ask, bid = quotes
    leave, arrive = demand[0] - demand[1] * ask, supply[0] + supply[1] * bid
    if not leave > 0.0 or not arrive > 0.0:
        raise InputError(f"quotes={quotes!r} must leave buyers and sellers: nobody trades at them")
    if capacity == np.inf:
        return float(min(leave, arrive) * ask - min(leave, arrive) * bid)
    if isinstance(capacity, bool) or capacity != int(capacity) or capacity < 1:
        raise InputError(f"capacity={capacity!r} must be a whole number >= 1, or infinity")
    odds = (arrive / leave) ** np.arange(int(capacity) + 1)
    stock = odds / odds.sum()
    return float(leave * (1.0 - stock[0]) * ask - arrive * (1.0 - stock[-1]) * bid)


def _reservations(demand: tuple[float, float], supply: tuple[float, float]) -> tuple[float, float]:
    """The highest price that a buyer pays, and the lowest that a seller takes."""
    for name, (_, slope) in (("demand", demand), ("supply", supply)):
        if not 0.0 < slope < np.inf:
            raise InputError(f"{name}={(demand, supply)[name == 'supply']!r} must have a slope > 0")
    highest, lowest = demand[0] / demand[1], -supply[0] / supply[1]
    if not lowest < highest:
        raise InputError(
            f"demand={demand!r} and supply={supply!r} meet at no price: buyers pay at most "
            f"{highest:g}, and sellers want at least {lowest:g}"
        )
    return highest, lowest
