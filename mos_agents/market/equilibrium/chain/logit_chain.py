"""Makers above logit retailers above shoppers, with or without a platform's fees and prominence.

Retailers of equal cost pay the wholesale price w and charge p = (w + c_r + t)/(1 - f) + mu/(1 - s).
Read backwards this is the demand that makers meet,

    w(Q) = (1 - f)(p(Q) - mu/(1 - s)) - c_r - t,   p(Q) = a - a_0 - mu ln(s/(1 - Q)),   s = Q/n.

A platform that shows k offers to all shoppers leaves k - 1 rivals: s = Q/k. Where it shows the k
cheapest of more, retailers undercut one another down to their cost, and the margin mu/(1 - s) is 0.

Makers compete in quantities, w - b + (w' - d) Q/m = 0 with producers' supply b = c_u + d Q, or in
prices of a good that is the same from all of them, w = b.

References
----------
Spengler, J. J. (1950). Vertical integration and antitrust policy. JPE 58(4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.equilibrium.chain.fees import check_fees, highest_point
from mos_agents.market.equilibrium.logit import EquilibriumError
from mos_agents.market.types import Array, InputError

__all__ = ["LogitChain", "WholesaleEquilibrium"]


class NobodyBuys(EquilibriumError):
    """Costs and fees are so high that sales are too small for a number."""


@dataclass(frozen=True)
class WholesaleEquilibrium:
    """What a chain comes to; profits are of a whole level, in money per consumer.

    Parameters
    ----------
    wholesale_price, price : float
        Money per unit.
    quantity : float
        Share of all consumers who buy.
    maker_profit, retail_profit, fees : float
        Money of makers, of retailers, and of the platform.
    producer_surplus : float
        Money of producers beyond their costs.
    consumer_surplus : float
        Money.
    """

    wholesale_price: float
    price: float
    quantity: float
    maker_profit: float
    retail_profit: float
    fees: float
    producer_surplus: float
    consumer_surplus: float


@dataclass(frozen=True)
class LogitChain:
    """A chain of makers and n equal logit retailers.

    Parameters
    ----------
    retailers : int
        n, >= 1.
    quality : float
        a, money.
    scale : float
        mu, money, > 0.
    outside : float
        a_0, money.
    retail_cost : float
        c_r, money per unit, >= 0.
    commission, unit_fee : float
        f and t, what retailers pay a platform: a share of the price in [0, 1), and money per unit
        >= 0.
    prominence : str
        Which offers the platform shows to shoppers: "everything", the "cheapest" or "random" ones.
    shown : int
        k, offers that it shows, >= 1; all of them for "everything".
    followers : float
        Share of the shoppers who see only what is shown, in (0, 1].
    """

    retailers: int
    quality: float = 2.0
    scale: float = 0.25
    outside: float = 0.0
    retail_cost: float = 0.0
    commission: float = 0.0
    unit_fee: float = 0.0
    prominence: str = "everything"
    shown: int = 1
    followers: float = 1.0

    def __post_init__(self) -> None:
        check_fees(self.commission, self.unit_fee)
        whole = isinstance(self.retailers, int | np.integer) and not isinstance(
            self.retailers, bool
        )
        if not whole or self.retailers < 1:
            raise InputError(f"retailers={self.retailers!r} must be a whole number >= 1")
        if not 0.0 < self.scale < np.inf:
            raise InputError(f"scale={self.scale!r} must be a finite number > 0")
        if not 0.0 <= self.retail_cost < np.inf:
            raise InputError(f"retail_cost={self.retail_cost!r} must be a finite number >= 0")
        if not np.isfinite([self.quality, self.outside]).all():
            raise InputError("quality and outside must be finite numbers")
        self._check_prominence()

    def _check_prominence(self) -> None:
        if self.prominence == "dynamic":
            raise EquilibriumError(
                "no equilibrium of one tick: who holds the place depends on the last prices",
                np.nan,
                "take prominence='cheapest', which shows the cheapest offers of each tick",
            )
        if self.prominence not in ("everything", "cheapest", "random"):
            raise InputError(
                f"prominence={self.prominence!r} must be 'everything', 'cheapest' or 'random': "
                "the equilibrium of other rules is not known"
            )
        whole = isinstance(self.shown, int | np.integer) and not isinstance(self.shown, bool)
        if not whole or self.shown < 1:
            raise InputError(f"shown={self.shown!r} must be a whole number >= 1")
        if not 0.0 < self.followers <= 1.0:
            raise InputError(f"followers={self.followers!r} must be a share in (0, 1]")
        if self.followers == 1.0 or self.offers == self.retailers:
            return
        if self.prominence == "cheapest":
            raise EquilibriumError(
                "no equilibrium in pure strategies: retailers undercut one another for the place "
                "until it pays better to sell dearly to the shoppers who search",
                1.0 - self.followers,
                "set followers=1, or learn prices by simulation",
            )
        raise InputError(
            f"followers={self.followers!r} with prominence='random': the equilibrium is known for "
            "followers=1 only"
        )

    @property
    def offers(self) -> int:
        """Offers that a shopper sees."""
        if self.prominence == "everything":
            return int(self.retailers)
        return int(min(self.shown, self.retailers))

    @property
    def undercuts(self) -> bool:
        """Whether retailers compete for a place, so that they charge no more than their cost."""
        return self.prominence == "cheapest" and self.shown < self.retailers

    def given_wholesale(self, wholesale_price: float) -> WholesaleEquilibrium:
        """Solve for the retailers' prices at a given wholesale price, which makers earn nothing of.

        Parameters
        ----------
        wholesale_price : float
            w, money per unit.

        Returns
        -------
        WholesaleEquilibrium
            Retailers' Bertrand-Nash prices and what follows.
        """
        return self._at(self._root(lambda q: self.wholesale(q) - wholesale_price), 0.0, 0.0, True)

    def wholesale(self, quantity: float) -> float:
        """Compute the derived inverse demand.

        Parameters
        ----------
        quantity : float
            Q, share of all consumers who buy, in (0, 1).

        Returns
        -------
        float
            w(Q), money per unit.
        """
        share = quantity / self.offers
        margin = 0.0 if self.undercuts else self.scale / (1.0 - share)
        kept = (1.0 - self.commission) * (self._price(quantity) - margin)
        return kept - self.retail_cost - self.unit_fee

    def wholesale_slope(self, quantity: float) -> float:
        """Compute the slope of the derived inverse demand.

        Parameters
        ----------
        quantity : float
            Q, in (0, 1).

        Returns
        -------
        float
            w'(Q), money per unit and share.
        """
        n, mu = self.offers, self.scale
        fall = 1.0 / quantity + 1.0 / (1.0 - quantity)
        if not self.undercuts:
            fall += 1.0 / (n * (1.0 - quantity / n) ** 2)
        return -(1.0 - self.commission) * mu * fall

    def quantity_competition(
        self, makers: float, maker_cost: float, supply_slope: float = 0.0
    ) -> WholesaleEquilibrium:
        """Solve for m Cournot makers above the retailers.

        Parameters
        ----------
        makers : float
            m, >= 1; infinity is perfect competition.
        maker_cost : float
            c_u, money per unit, the producers' lowest price.
        supply_slope : float, optional
            d, by how much producers' price rises with Q, >= 0.

        Returns
        -------
        WholesaleEquilibrium
            Prices, quantity and who earns what.

        Raises
        ------
        InputError
            If a number is not allowed.
        """
        if not makers >= 1:
            raise InputError(f"makers={makers!r} must be >= 1; inf is perfect competition")
        if not 0.0 <= supply_slope < np.inf or not np.isfinite(maker_cost):
            raise InputError(
                f"maker_cost={maker_cost!r} must be finite, supply_slope={supply_slope!r} >= 0"
            )

        def condition(q: float) -> float:
            cost = maker_cost + supply_slope * q
            slope = self.wholesale_slope(q) - supply_slope
            return self.wholesale(q) - cost + slope * q / makers

        return self._at(self._root(condition), maker_cost, supply_slope)

    def price_competition(self, maker_costs: ArrayLike) -> WholesaleEquilibrium:
        """Solve for makers who post prices of a good that is the same from all of them.

        Parameters
        ----------
        maker_costs : array [m]
            Money per unit.

        Returns
        -------
        WholesaleEquilibrium
            At the lowest cost if two makers have it, or at the monopoly price of the cheapest maker
            where that is below all other costs.

        Raises
        ------
        InputError
            If costs are not finite numbers.
        EquilibriumError
            If there is no equilibrium in pure strategies: the cheapest maker wants the largest
            price below its rival's cost.
        """
        costs = np.sort(np.atleast_1d(np.asarray(maker_costs, dtype=np.float64)))
        if not costs.size or not np.isfinite(costs).all():
            raise InputError("maker_costs must be finite numbers, one a maker")
        least = float(costs[0])
        if costs.size > 1 and costs[1] == least:
            return self.quantity_competition(np.inf, least)
        alone = self.quantity_competition(1, least)
        if costs.size > 1 and alone.wholesale_price > costs[1]:
            raise EquilibriumError(
                "no equilibrium in pure strategies: the maker of the lowest cost wants the largest "
                f"price below its rival's cost of {costs[1]:g}, which does not exist",
                float(alone.wholesale_price - costs[1]),
                "give two makers the lowest cost, or let them post prices on a grid (price_grid)",
            )
        return alone

    def price_grid(self, makers: int, maker_cost: float, tick_size: float) -> Array:
        """Find the wholesale prices on a tick grid that equal makers all post in equilibrium.

        The cheapest share all retailers' orders; others sell nothing.

        Parameters
        ----------
        makers : int
            m, >= 2.
        maker_cost : float
            Money per unit, a point of the grid.
        tick_size : float
            Step of the grid, money, > 0.

        Returns
        -------
        array
            The common prices from which no maker gains alone, in rising order.

        Raises
        ------
        InputError
            If a number is not allowed.
        """
        if makers < 2 or not 0.0 < tick_size < np.inf:
            raise InputError(f"makers={makers!r}, tick_size={tick_size!r} must be >= 2 and > 0")
        top = self.quantity_competition(1, maker_cost).wholesale_price
        steps = int(np.ceil((top - maker_cost) / tick_size)) + 2
        if steps > 100_000:
            raise InputError(f"tick_size={tick_size!r} makes {steps} prices: set a larger one")
        grid = maker_cost + tick_size * np.arange(-1, steps)
        sold = np.array([self.given_wholesale(float(w)).quantity for w in grid])
        alone = (grid - maker_cost) * sold
        below = np.maximum.accumulate(np.r_[-np.inf, alone[:-1]])
        stable = alone / makers >= np.maximum(below, 0.0) - 1e-14
        return np.asarray(grid[stable])

    def best_commission(
        self, makers: float, maker_cost: float, supply_slope: float = 0.0
    ) -> tuple[float, float]:
        """Find the commission that earns the platform most, makers and retailers following.

        Parameters
        ----------
        makers, maker_cost, supply_slope : float
            As in `quantity_competition`.

        Returns
        -------
        tuple of float
            The commission, and the platform's money per consumer.

        Raises
        ------
        EquilibriumError
            If revenue has no highest point below a commission of 1.
        """

        def revenue(commission: float) -> float:
            chain = replace(self, commission=commission)
            return chain._revenue(makers, maker_cost, supply_slope)

        return highest_point(revenue, 0.0, 0.999, "commission")

    def best_unit_fee(
        self, makers: float, maker_cost: float, supply_slope: float = 0.0
    ) -> tuple[float, float]:
        """Find the fee per unit that earns the platform most, makers and retailers following.

        Parameters
        ----------
        makers, maker_cost, supply_slope : float
            As in `quantity_competition`.

        Returns
        -------
        tuple of float
            The fee, money per unit, and the platform's money per consumer.

        Raises
        ------
        EquilibriumError
            If revenue has no highest point.
        """

        def revenue(fee: float) -> float:
            chain = replace(self, unit_fee=fee)
            return chain._revenue(makers, maker_cost, supply_slope)

        high = max(self.quality - self.outside - maker_cost, 0.0) + 40.0 * self.scale
        return highest_point(revenue, 0.0, high, "unit fee")

    def _revenue(self, makers: float, maker_cost: float, supply_slope: float) -> float:
        """Money per consumer that the platform receives; none where fees keep everybody away."""
        try:
            return self.quantity_competition(makers, maker_cost, supply_slope).fees
        except NobodyBuys:
            return 0.0

    def _price(self, quantity: float) -> float:
        odds = np.log(quantity / self.offers) - np.log1p(-quantity)
        return float(self.quality - self.outside - self.scale * odds)

    def _root(self, condition: Callable[[float], float]) -> float:
        """Q at which a falling condition is 0; found in the logarithm of Q/(1 - Q)."""
        from scipy.optimize import brentq  # large, and needed for searches alone
        from scipy.special import expit

        # 1 - Q keeps its digits up to Q = 1 - 1e-15: shoppers who all buy are refused.
        low, high = -700.0, 34.0
        if condition(float(expit(low))) < 0.0:
            raise NobodyBuys(
                "hardly anybody buys at these costs and fees", np.nan, "lower the costs or fees"
            )
        if condition(float(expit(high))) > 0.0:
            raise EquilibriumError(
                "hardly a shopper is left to the outside option",
                np.nan,
                "set quality and costs nearer to each other, in units of the scale",
            )
        z = brentq(lambda z: condition(float(expit(z))), low, high, xtol=1e-15, rtol=1e-15)
        return float(expit(z))

    def _at(
        self, quantity: float, cost: float, supply_slope: float, makers_earn_nothing: bool = False
    ) -> WholesaleEquilibrium:
        price, wholesale = self._price(quantity), self.wholesale(quantity)
        paid = wholesale if makers_earn_nothing else cost + supply_slope * quantity
        fees = (self.commission * price + self.unit_fee) * quantity
        return WholesaleEquilibrium(
            wholesale,
            price,
            quantity,
            (wholesale - paid) * quantity,
            (price - wholesale - self.retail_cost) * quantity - fees,
            fees,
            0.5 * supply_slope * quantity**2,
            float(-self.scale * np.log1p(-quantity)),
        )
