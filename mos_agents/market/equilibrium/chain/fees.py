"""Sellers who pay a platform: an ad valorem and a per-unit fee as an effective cost.

A seller keeps (1 - f) p - c - t = (1 - f)(p - c_e) of a sale, with c_e = (c + t)/(1 - f): fees move
prices as a cost of c_e does [1]_. The platform's revenue is (f p + t) q.

References
----------
.. [1] Anderson, S., de Palma, A. and Kreider, B. (2001). Tax incidence in differentiated product
       oligopoly. Journal of Public Economics 81(2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.equilibrium.logit import EquilibriumError, LogitMarket
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError

__all__ = [
    "FeeEquilibrium",
    "best_commission",
    "best_unit_fee",
    "fee_equilibrium",
    "fee_pass_through",
    "highest_point",
    "hybrid_equilibrium",
    "linear_fee_equilibrium",
    "prominence_equilibrium",
]


@short_repr
@dataclass(frozen=True, eq=False)
class FeeEquilibrium:
    """Prices of sellers who pay fees, and what everybody earns.

    Parameters
    ----------
    prices : array [n]
        Money per unit.
    quantities : array [n]
        Units per unit of demand; shares of all consumers in logit markets.
    seller_profits : array [n]
        Money of each product, net of fees; of a platform's own product the margin that it earns.
    fees : float
        Money that the platform receives.
    consumer_surplus : float
        Money.
    """

    prices: Array
    quantities: Array
    seller_profits: Array
    fees: float
    consumer_surplus: float


def check_fees(commission: float, unit_fee: float) -> None:
    """InputError unless a commission is in [0, 1) and a fee per unit is >= 0."""
    if not 0.0 <= commission < 1.0:
        raise InputError(f"commission={commission!r} must be a share in [0, 1)")
    if not 0.0 <= unit_fee < np.inf:
        raise InputError(
            f"unit_fee={unit_fee!r} must be a finite number >= 0: with a subsidy per unit and a "
            "commission the platform would take the whole chain"
        )


def fee_equilibrium(
    market: LogitMarket, commission: float = 0.0, unit_fee: float = 0.0, collude: bool = False
) -> FeeEquilibrium:
    """Solve a logit or nested-logit market whose sellers pay a platform.

    Parameters
    ----------
    market : LogitMarket
        The market without fees.
    commission : float, optional
        f, share of the price, in [0, 1).
    unit_fee : float, optional
        t, money per unit, >= 0.
    collude : bool, optional
        Whether sellers maximise their joint profit.

    Returns
    -------
    FeeEquilibrium
        Prices, shares, profits and fees, money per consumer.

    Raises
    ------
    InputError
        If a fee is not allowed.
    EquilibriumError
        If no prices are found.
    """
    check_fees(commission, unit_fee)
    cost = (market.cost + unit_fee) / (1.0 - commission)
    charged = market.with_cost(cost)
    found = charged.joint_profit() if collude else charged.bertrand_nash()
    prices, shares = found.prices, found.shares
    return FeeEquilibrium(
        prices,
        shares,
        (1.0 - commission) * (prices - cost) * shares,
        float(((commission * prices + unit_fee) * shares).sum()),
        float(market.consumer_surplus(prices)),
    )


def fee_pass_through(sellers: int, share: float) -> float:
    """Compute by how much prices rise with the effective cost in a symmetric logit market.

    1 / (1 + s (1 - n s) / (1 - s)^2), from p = c_e + mu/(1 - s).

    Parameters
    ----------
    sellers : int
        n, >= 1.
    share : float
        s, each seller's share of all consumers, n s < 1.

    Returns
    -------
    float
        Money per unit of money.

    Raises
    ------
    InputError
        If shares add up to one or more.
    """
    if sellers < 1 or not 0.0 <= share * sellers < 1.0:
        raise InputError(f"sellers={sellers!r}, share={share!r} must have 0 <= n s < 1, n >= 1")
    return 1.0 / (1.0 + share * (1.0 - sellers * share) / (1.0 - share) ** 2)


def linear_fee_equilibrium(
    intercept: float,
    own: float,
    cross: float,
    cost: ArrayLike,
    commission: float = 0.0,
    unit_fee: float = 0.0,
) -> FeeEquilibrium:
    """Solve price competition under linear demand with fees, in closed form.

    Inverse demand p_i = a - (own - cross) q_i - cross sum_j q_j [1]_; the conditions q_i + (p_i -
    c_e,i) dq_i/dp_i = 0 are linear in prices.

    Parameters
    ----------
    intercept, own, cross : float
        As in the demand model `Linear`: money, and money per unit, 0 <= cross < own.
    cost : array [n]
        Money per unit.
    commission, unit_fee : float, optional
        As in `fee_equilibrium`.

    Returns
    -------
    FeeEquilibrium
        Prices, quantities, profits and fees.

    Raises
    ------
    InputError
        If a parameter is not allowed.
    EquilibriumError
        If some seller would sell nothing: demand then has an edge, which the form does not know.

    References
    ----------
    .. [1] Singh, N. and Vives, X. (1984). Price and quantity competition in a differentiated
           duopoly. RAND Journal of Economics 15(4).
    """
    check_fees(commission, unit_fee)
    if not 0.0 <= cross < own < np.inf or not 0.0 < intercept < np.inf:
        raise InputError(
            f"intercept={intercept!r}, own={own!r}, cross={cross!r} must have 0 <= cross < own "
            "and an intercept > 0"
        )
    costs = np.atleast_1d(np.asarray(cost, dtype=np.float64))
    if costs.ndim != 1 or not np.isfinite(costs).all():
        raise InputError("cost must be finite numbers, one a seller")
    effective = (costs + unit_fee) / (1.0 - commission)
    size = costs.size
    slopes = np.linalg.inv((own - cross) * np.eye(size) + cross)
    diagonal = np.diag(np.diag(slopes))
    right = slopes @ np.full(size, intercept) + diagonal @ effective
    prices = np.linalg.solve(slopes + diagonal, right)
    sold = slopes @ (intercept - prices)
    if (sold <= 0.0).any():
        raise EquilibriumError(
            "some seller sells nothing at the prices of the closed form",
            float(-sold.min()),
            "leave out the seller of the highest cost, or use bertrand_nash of a Market",
        )
    return FeeEquilibrium(
        prices,
        sold,
        (1.0 - commission) * (prices - effective) * sold,
        float(((commission * prices + unit_fee) * sold).sum()),
        float(0.5 * (intercept - prices) @ sold),
    )


def hybrid_equilibrium(
    market: LogitMarket, own: int, commission: float = 0.0, unit_fee: float = 0.0
) -> FeeEquilibrium:
    """Solve a plain logit market in which the platform sells one product of its own.

    Its price p_h solves p_h - c_h = mu/(1 - s_h) + sum_i (f p_i + t) s_i/(1 - s_h): a buyer that it
    wins from a seller costs it that seller's fee. Each other product is a seller of its own.

    Parameters
    ----------
    market : LogitMarket
        The market without fees, a product a firm.
    own : int
        Position of the platform's product, which pays no fee.
    commission, unit_fee : float, optional
        As in `fee_equilibrium`.

    Returns
    -------
    FeeEquilibrium
        With the platform's own margin among `seller_profits`; `fees` are those of the others.

    Raises
    ------
    InputError
        If a fee or position is not allowed, or the market is another.
    EquilibriumError
        If no prices are found.
    """
    check_fees(commission, unit_fee)
    size = market.quality.size
    if not 0 <= own < size:
        raise InputError(f"own={own!r} must be a product's position, 0 to {size - 1}")
    if market.nesting > 0.0 or len(market.firms) != size:
        raise InputError("a hybrid platform needs a plain logit market with one product a firm")
    mu = 1.0 / market.price_coefficient
    others = np.arange(size) != own
    cost = np.where(others, (market.cost + unit_fee) / (1.0 - commission), market.cost)

    from scipy.special import logsumexp, wrightomega  # large, and needed for searches alone

    # What a lost buyer is worth to the platform, sum (f p + t) s/(1 - s_h), does not depend on p_h:
    # every reply is exact, p = cost + mu (1 + W(exp(height - 1))) (Lambert's W).
    prices = market.with_cost(cost).bertrand_nash().prices.copy()
    gap = np.inf
    for _ in range(20_000):
        before = prices.copy()
        for i in range(size):
            utility = market.quality - prices / mu
            rest = np.where(np.arange(size) == i, -np.inf, utility)
            against = float(logsumexp(np.r_[rest, market.outside_utility]))
            floor = cost[i]
            if i == own:
                floor += float(((commission * prices + unit_fee) * np.exp(rest - against)).sum())
            height = market.quality[i] - floor / mu - against
            prices[i] = floor + mu * (1.0 + float(wrightomega(height - 1.0).real))
        gap = float(np.abs(prices - before).max())
        if gap <= 1e-14 * (mu + float(np.abs(prices).max())):
            break
    if not gap <= 1e-11 * (mu + float(np.abs(prices).max())):
        raise EquilibriumError("no prices of a hybrid platform found", gap, "lower the fees")
    shares = market.shares(prices)
    kept = np.where(others, 1.0 - commission, 1.0)
    fees = float(((commission * prices + unit_fee) * shares)[others].sum())
    return FeeEquilibrium(
        prices,
        shares,
        kept * (prices - cost) * shares,
        fees,
        float(market.consumer_surplus(prices)),
    )


def best_commission(
    market: LogitMarket, own: int | None = None, shown: int | None = None
) -> tuple[float, float]:
    """Find the commission that earns a platform most, sellers at their static equilibrium.

    Parameters
    ----------
    market : LogitMarket
        The market without fees.
    own : int, optional
        Position of a product that the platform sells itself; its margin is then counted.
    shown : int, optional
        How many of the cheapest sellers the platform shows; by default all, whatever they ask.

    Returns
    -------
    tuple of float
        The commission, and the platform's money per consumer.

    Raises
    ------
    EquilibriumError
        If revenue has no highest point below a commission of 1, as where costs are 0.
    """

    if own is not None and shown is not None:
        raise InputError(
            "own and shown: a platform that sells and shows the cheapest is not solved"
        )

    def revenue(commission: float) -> float:
        if shown is not None:
            return prominence_equilibrium(market, shown, commission).fees
        if own is None:
            return fee_equilibrium(market, commission).fees
        found = hybrid_equilibrium(market, own, commission)
        return found.fees + float(found.seller_profits[own])

    return highest_point(revenue, 0.0, 0.999, "commission")


def prominence_equilibrium(
    market: LogitMarket, shown: int, commission: float = 0.0, unit_fee: float = 0.0
) -> FeeEquilibrium:
    """Solve a market of equal sellers whose platform shows the cheapest of them [1]_.

    With fewer places than sellers, whoever is dearer sells nothing: prices are the effective cost.

    Parameters
    ----------
    market : LogitMarket
        The market without fees, a product a firm, all alike.
    shown : int
        How many are shown, >= 1 and less than there are sellers.
    commission, unit_fee : float, optional
        As in `fee_equilibrium`.

    Returns
    -------
    FeeEquilibrium
        Quantities are those of a seller on average, as each is shown as often as the others.

    Raises
    ------
    InputError
        If a fee or number is not allowed, or sellers differ.

    References
    ----------
    .. [1] Johnson, J. P., Rhodes, A. and Wildenbeest, M. (2023). Platform design when sellers use
           pricing algorithms. Econometrica 91(5).
    """
    check_fees(commission, unit_fee)
    size = market.quality.size
    alike = np.ptp(market.quality) == np.ptp(market.cost) == 0.0 and market.nesting == 0.0
    if not alike or len(market.firms) != size:
        raise InputError(
            "price-directed prominence is solved for equal sellers of one product each"
        )
    if not 1 <= shown < size:
        raise InputError(f"shown={shown!r} must be 1 to {size - 1}: fewer than there are sellers")
    prices = (market.cost + unit_fee) / (1.0 - commission)
    visible = LogitMarket(
        market.quality[:shown],
        market.cost[:shown],
        tuple(range(shown)),
        market.price_coefficient,
        outside_utility=market.outside_utility,
    )
    shares = np.full(size, float(visible.shares(prices[:shown]).sum()) / size)
    return FeeEquilibrium(
        prices,
        shares,
        np.zeros(size),
        float(((commission * prices + unit_fee) * shares).sum()),
        float(visible.consumer_surplus(prices[:shown])),
    )


def best_unit_fee(market: LogitMarket) -> tuple[float, float]:
    """Find the fee per unit that earns a platform most, sellers at their static equilibrium.

    Parameters
    ----------
    market : LogitMarket
        The market without fees.

    Returns
    -------
    tuple of float
        The fee, money per unit, and the platform's money per consumer.

    Raises
    ------
    EquilibriumError
        If revenue has no highest point.
    """
    gap = float((market.quality / market.price_coefficient - market.cost).max())
    gap -= market.outside_utility / market.price_coefficient
    high = max(gap, 0.0) + 40.0 / market.price_coefficient
    return highest_point(lambda fee: fee_equilibrium(market, 0.0, fee).fees, 0.0, high, "unit fee")


def highest_point(
    value: Callable[[float], float], low: float, high: float, name: str
) -> tuple[float, float]:
    """Where a smooth function of one fee is largest, to ten digits, and its value there.

    The root of its slope by differences of the fourth order: comparing values finds it to half the
    digits only.

    Parameters
    ----------
    value : callable
        The function.
    low, high : float
        The range.
    name : str
        What varies, for messages.

    Returns
    -------
    tuple of float
        Where, and the value.

    Raises
    ------
    EquilibriumError
        If it is largest at the end of the range.
    """
    from scipy.optimize import brentq  # large, and needed for searches alone

    grid = np.linspace(low, high, 201)
    values = np.array([value(float(x)) for x in grid])
    at = int(values.argmax())
    if at == 0 and value(low + 1e-3 * (high - low)) > values[0]:
        at = 1
    if at in (0, grid.size - 1):
        raise EquilibriumError(
            f"the best {name} is at the end of its range, {grid[at]:g}: revenue has no highest "
            "point inside",
            0.0,
            "give sellers a cost above 0, or bound the fee",
        )
    left, right = float(grid[at - 1]), float(grid[at + 1])
    step = 2e-3 * (right - left)

    def slope(x: float) -> float:
        near = [value(x + k * step) for k in (-2, -1, 1, 2)]
        return (8.0 * (near[2] - near[1]) - (near[3] - near[0])) / (12.0 * step)

    margin = 2.5 * step
    best = float(brentq(slope, max(left, low + margin), min(right, high - margin), xtol=1e-13))
    return best, value(best)
