"""How far from competition is the outcome, between Nash at 0 and the joint maximum at 1?

Profit gain and RPDI put profits and prices on that scale; the Lerner index and consumer surplus
tell who pays. None of them says *why* prices are high: players who draw prices at random have a
large profit gain too (see `screens`).

Sources: Calvano, Calzolari, Denicolo and Pastorello (2020), "Artificial Intelligence, Algorithmic
Pricing, and Collusion", AER 110(10), equation 9, for the profit gain; Lerner (1934), "The Concept
of Monopoly", REStud 1(3).

Paths are [T, S, N]; where an average over ticks is all that counts, [S, N] is taken as well (the
averages over limit cycles that `cycles.cycle_means` gives).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.paths import finite, per_firm
from mos_agents.market.checks import check_real
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError

NODES = 16  # of the Gauss-Legendre rule in each panel of the surplus integral
MOST_PANELS = 4096
BLOCK = 1 << 20  # prices handed to the demand function at once


class Solution(Protocol):
    """What `market.equilibrium` returns: prices [N] and profits [N], one product a firm."""

    @property
    def prices(self) -> Array: ...
    @property
    def profits(self) -> Array: ...


@short_repr
@dataclass(frozen=True, eq=False)
class Benchmarks:
    """The two outcomes between which a market is placed: Bertrand-Nash and joint profit.

    Parameters
    ----------
    price_nash, price_joint : array [N] or float
        Prices in money per unit.
    profit_nash, profit_joint : array [N] or float
        Profits in money per tick, in the unit of the profit paths.
    cost : array [N] or float, optional
        Unit costs in money, for the Lerner index.

    Raises
    ------
    InputError
        Unless the joint maximum has the higher average price and profit.
    """

    price_nash: Array
    price_joint: Array
    profit_nash: Array
    profit_joint: Array
    cost: Array | None = None

    def __post_init__(self) -> None:
        names = ("price_nash", "price_joint", "profit_nash", "profit_joint", "cost")
        given = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        firms = max(np.size(value) for value in given.values())
        for name, value in given.items():
            object.__setattr__(self, name, per_firm(value, name, firms))
        _range(self.price_nash, self.price_joint, "price")
        _range(self.profit_nash, self.profit_joint, "profit")

    @classmethod
    def of(
        cls, nash: Solution, joint: Solution, cost: ArrayLike | None = None, customers: float = 1.0
    ) -> Benchmarks:
        """Make benchmarks from solutions of `market.equilibrium` for firms of one product each.

        Parameters
        ----------
        nash, joint : PriceSolution
            The two solutions. Their profits are per customer.
        cost : array [N], optional
            Unit costs in money.
        customers : float, optional
            Customers per tick.

        Returns
        -------
        Benchmarks
            The benchmarks, with profits per tick.
        """
        return cls(
            nash.prices,
            joint.prices,
            customers * nash.profits,
            customers * joint.profits,
            None if cost is None else np.asarray(cost, dtype=np.float64),
        )

    @property
    def gap(self) -> float:
        """p_M - p_N, averaged over firms: the yardstick of price wars."""
        return float((self.price_joint - self.price_nash).mean())


@short_repr
@dataclass(frozen=True, eq=False)
class Measures(Framed):
    """Profit gain, RPDI and Lerner index: one number for each of S sessions.

    Parameters
    ----------
    profit_gain : array [S]
        Place of the profit between Nash (0) and joint maximum (1).
    rpdi : array [S]
        Place of the price on the same scale.
    lerner : array [S] or None
        Mark-up (p - c) / p; only where costs are known.
    """

    row_name: ClassVar[str] = "session"

    profit_gain: Array
    rpdi: Array
    lerner: Array | None


def measures(prices: ArrayLike, profits: ArrayLike, benchmarks: Benchmarks) -> Measures:
    """Return profit gain, RPDI and Lerner index of each session.

    Parameters
    ----------
    prices : array [T, S, N] or [S, N]
        Prices in money per unit; T ticks, S sessions, N firms. [S, N] are averages over ticks.
    profits : array [T, S, N] or [S, N]
        Profits in money per tick.
    benchmarks : Benchmarks
        Prices and profits of theory.

    Returns
    -------
    Measures
        One number for each session.

    Raises
    ------
    InputError
        If a shape does not fit, or a number is not finite.
    """
    known = benchmarks.cost
    return Measures(
        profit_gain(profits, benchmarks.profit_nash, benchmarks.profit_joint),
        rpdi(prices, benchmarks.price_nash, benchmarks.price_joint),
        None if known is None else lerner(prices, known),
    )


def profit_gain(profits: ArrayLike, profit_nash: ArrayLike, profit_joint: ArrayLike) -> Array:
    """Return Delta = (pi - pi_N) / (pi_M - pi_N) of each session.

    pi is the average over firms and ticks. 0 is the static equilibrium, 1 the joint maximum; values
    below 0 and above 1 are possible. Averages over firms are taken before the ratio [1]_ (equation
    9).

    Parameters
    ----------
    profits : array [T, S, N] or [S, N]
        Profits in money per tick.
    profit_nash, profit_joint : array [N] or float
        Profits at Bertrand-Nash and joint-profit prices, in money per tick.

    Returns
    -------
    array [S]
        The profit gain, without unit.

    Raises
    ------
    InputError
        If a shape does not fit, or a number is not finite.

    References
    ----------
    .. [1] Calvano, E., Calzolari, G., Denicolo, V. and Pastorello, S. (2020). Artificial
           intelligence, algorithmic pricing, and collusion. American Economic Review 110(10).
    """
    average = _by_session(profits, "profits")
    return _placed(average, profit_nash, profit_joint, "profit").mean(axis=-1)


def profit_gain_per_firm(
    profits: ArrayLike, profit_nash: ArrayLike, profit_joint: ArrayLike
) -> Array:
    """Return each firm's own profit gain (pi_i - pi_N,i) / (pi_M,i - pi_N,i).

    Do not use it for firms of unequal costs: the joint maximum takes sales from the dearer firm,
    whose pi_M then comes near pi_N or below it, and the ratio explodes or changes its sign. Report
    `profit_gain` instead.

    Parameters
    ----------
    profits : array [T, S, N] or [S, N]
        Profits in money per tick.
    profit_nash, profit_joint : array [N] or float
        Profits at Bertrand-Nash and joint-profit prices, in money per tick.

    Returns
    -------
    array [S, N]
        The profit gains; NaN where pi_M,i = pi_N,i.

    Raises
    ------
    InputError
        If a shape does not fit, or a number is not finite.
    """
    average = _by_session(profits, "profits")
    firms = average.shape[-1]
    nash = per_firm(profit_nash, "profit_nash", firms)
    joint = per_firm(profit_joint, "profit_joint", firms)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(joint == nash, np.nan, (average - nash) / (joint - nash))


def rpdi(
    prices: ArrayLike,
    price_nash: ArrayLike,
    price_joint: ArrayLike,
    weights: ArrayLike | None = None,
) -> Array:
    """Return the relative price (p - p_N) / (p_M - p_N) of each session.

    Parameters
    ----------
    prices : array [T, S, N] or [S, N]
        Prices in money per unit; T ticks, S sessions, N firms. [S, N] are averages over ticks.
    price_nash, price_joint : array [N] or float
        Bertrand-Nash and joint-profit prices, in money per unit.
    weights : array [N], optional
        Weights of the firms in the average, such as their sales in equilibrium; by default equal.

    Returns
    -------
    array [S]
        The relative price, without unit.

    Raises
    ------
    InputError
        If a shape does not fit, or a number is not finite.
    """
    average = _by_session(prices, "prices")
    return _placed(average, price_nash, price_joint, "price", weights).mean(axis=-1)


def lerner(prices: ArrayLike, cost: ArrayLike, units: ArrayLike | None = None) -> Array:
    """Return the mark-up (p - c) / p of each session, averaged over ticks and firms [1]_.

    Parameters
    ----------
    prices : array [T, S, N] or [S, N]
        Prices in money per unit; T ticks, S sessions, N firms. [S, N] are averages over ticks.
    cost : array or float
        Unit costs in money; anything that broadcasts to the prices.
    units : array, optional
        Units sold, shaped as the prices, to weight by sales: the industry's index.

    Returns
    -------
    array [S]
        The Lerner index, without unit; NaN for a session without a sale.

    Raises
    ------
    InputError
        If a price is not > 0, or a shape does not fit.

    References
    ----------
    .. [1] Lerner, A. P. (1934). The concept of monopoly and the measurement of monopoly power.
           Review of Economic Studies 1(3).
    """
    price = _shaped(prices, "prices")
    if (price <= 0.0).any():
        raise InputError(f"prices={price.min():g} must be > 0: a mark-up is relative to the price")
    try:
        unit_cost = np.broadcast_to(finite(cost, "cost"), price.shape)
    except ValueError:
        raise InputError(
            f"cost has shape {np.shape(cost)}, which does not fit prices of shape {price.shape}"
        ) from None
    over = tuple(axis for axis in range(price.ndim) if axis != price.ndim - 2)
    markup = (price - unit_cost) / price
    if units is None:
        return np.asarray(markup.mean(axis=over))
    sold = finite(units, "units")
    if sold.shape != price.shape or (sold < 0.0).any():
        raise InputError(f"units of shape {sold.shape} must be >= 0 and shaped {price.shape}")
    with np.errstate(invalid="ignore"):
        return np.asarray((sold * markup).sum(axis=over) / sold.sum(axis=over))


def consumer_surplus(
    demand: Callable[[Array], Array],
    prices: ArrayLike,
    reach: ArrayLike = np.inf,
    tolerance: float = 1e-6,
) -> Array:
    """Return the integral of demand over a common rise of all prices.

    This is what buyers would pay at most to keep prices from rising together until nobody buys: the
    integral over t from 0 to `reach` of sum_i q_i(p + t). For buyers with quasi-linear utility it
    is their surplus, whatever path prices rise along. Demand that comes from no utility
    (`Elasticity` with comparison) has a surplus only along a path, and a common rise is the one
    taken here. For logit and nested logit it agrees with `LogitMarket.consumer_surplus`, which is
    exact and faster. Average over ticks afterwards, not the prices before: surplus is convex in
    prices.

    Parameters
    ----------
    demand : callable
        Takes prices [..., N] and returns units [..., N], at any prices from p upwards.
    prices : array [..., N]
        Prices in money per unit.
    reach : float or array [...], optional
        The rise at which demand has ended. Give it where demand ends in a jump (`Cheapest`: choke
        less the lowest price).
    tolerance : float, optional
        Relative error, in (0, 1].

    Returns
    -------
    array [...]
        Money, in the demand's unit of buyers.

    Raises
    ------
    InputError
        If the integral does not settle to the tolerance, as for demand that never ends.
    """
    price = finite(prices, "prices")
    check_real("tolerance", tolerance, 0.0, 1.0, above=True)
    if price.ndim == 0:
        raise InputError("prices must have an axis of firms")
    rows = price.reshape(-1, price.shape[-1])
    limit = np.broadcast_to(np.asarray(reach, dtype=np.float64), price.shape[:-1]).reshape(-1)
    if not (limit >= 0.0).all():
        raise InputError(f"reach={limit.min():g} must be >= 0: it is a rise of all prices")
    surplus, pending, panels = _integral(demand, rows, limit, 1), np.arange(len(rows)), 1
    while pending.size:
        panels *= 2
        if panels > MOST_PANELS:
            raise InputError(
                f"demand at prices {rows[pending[0]].tolist()}: its integral over a common rise of "
                "prices does not settle; give reach, the rise at which nobody buys any more"
            )
        finer = _integral(demand, rows[pending], limit[pending], panels)
        moved = np.abs(finer - surplus[pending])
        surplus[pending] = finer
        pending = pending[~(moved <= tolerance * np.abs(finer))]
    return surplus.reshape(price.shape[:-1])


def _integral(demand: Callable[[Array], Array], rows: Array, reach: Array, panels: int) -> Array:
    """Composite Gauss-Legendre on x in [0, 1], t = reach x, or scale x / (1 - x) without end."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    x = ((np.arange(panels)[:, None] + 0.5 * (nodes + 1.0)) / panels).ravel()
    weight = np.tile(0.5 * weights / panels, panels)
    out = np.empty(len(rows))
    step = max(1, BLOCK // (x.size * rows.shape[1]))
    for begin in range(0, len(rows), step):
        block, to = rows[begin : begin + step], reach[begin : begin + step, None]
        scale = np.maximum(np.abs(block).mean(axis=1), np.finfo(float).tiny)[:, None]
        endless = np.isinf(to)
        rise = np.where(endless, scale * x / (1.0 - x), np.where(endless, 0.0, to) * x)
        slope = np.where(endless, scale / (1.0 - x) ** 2, to)
        units = np.asarray(demand(block[:, None, :] + rise[:, :, None])).sum(axis=-1)
        # An endless rise meets demand of zero: the slope's infinity must not turn that into nan.
        out[begin : begin + step] = np.where(units > 0.0, units * slope, 0.0) @ weight
    return out


# --- shared ---------------------------------------------------------------------------------------


def _shaped(values: ArrayLike, name: str) -> Array:
    array = finite(values, name)
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(
            f"{name} has shape {array.shape}, needs [ticks, sessions, firms] or [sessions, firms]"
        )
    return array


def _by_session(values: ArrayLike, name: str) -> Array:
    array = _shaped(values, name)
    return array.mean(axis=0) if array.ndim == 3 else array


def _range(nash: Array, joint: Array, what: str) -> None:
    if not joint.mean() > nash.mean():
        raise InputError(
            f"{what}_joint={joint.mean():g} must lie above {what}_nash={nash.mean():g} on average: "
            "without a range between them nothing can be placed in it"
        )


def _placed(
    average: Array, nash: ArrayLike, joint: ArrayLike, what: str, weights: ArrayLike | None = None
) -> Array:
    """(x - x_N) / (x_M - x_N) [S, 1] of the averages over firms [S, N]."""
    firms = average.shape[-1]
    low, high = per_firm(nash, f"{what}_nash", firms), per_firm(joint, f"{what}_joint", firms)
    weight = np.ones(firms) if weights is None else per_firm(weights, "weights", firms)
    if (weight < 0.0).any() or not weight.sum() > 0.0:
        raise InputError(f"weights={weight.tolist()} must be >= 0, and one of them above")
    weight = weight / weight.mean()
    _range(low * weight, high * weight, what)
    return ((average - low) * weight).mean(axis=-1, keepdims=True) / ((high - low) * weight).mean()
