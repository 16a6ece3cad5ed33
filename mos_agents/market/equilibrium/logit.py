"""Bertrand-Nash and joint-profit prices of logit and nested-logit markets.

A market has n products, firms that own one or several of them, and consumers who buy at most one
unit. Consumer i's utility from product j is q_j − α p_j plus a taste shock, and V_0 plus a taste
shock from buying nothing. The shocks are type-I extreme value (logit) or correlated within groups
of products (one-level nested logit). From these primitives the module computes shares, their
derivatives, profits, marginal costs that rationalise observed prices, Bertrand-Nash prices,
joint-profit prices and consumer surplus.

Units: prices and costs are in one money unit, α is in utils per money unit, shares are fractions
of all consumers including those who buy nothing, and profits and surplus are money per consumer
(multiply by the number of consumers for totals).

References
    Berry (1994), "Estimating Discrete-Choice Models of Product Differentiation", RAND Journal of
    Economics 25(2): the nested-logit shares and their inversion.
    Morrow and Skerlos (2011), "Fixed-Point Approaches to Computing Bertrand-Nash Equilibrium
    Prices Under Mixed-Logit Demand", Operations Research 59(2): the ζ map and second-order
    conditions.
    Calvano, Calzolari, Denicolò and Pastorello (2020), "Artificial Intelligence, Algorithmic
    Pricing, and Collusion", American Economic Review 110(10): the form exp((a − p)/μ).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mos_agents.market.equilibrium.logit_margins import Cells
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError

__all__ = ["EquilibriumError", "LogitMarket", "PriceSolution", "mean_utilities"]

Floats = NDArray[np.float64]
Labels = Sequence[Hashable] | NDArray[Any]


class EquilibriumError(InputError):
    """No equilibrium exists, or none was found.

    `residual` is the largest violation that remained, in the unit of `PriceSolution.residual`
    (nan where it could not be computed), and `remedy` says what to change.
    """

    def __init__(self, problem: str, residual: float, remedy: str) -> None:
        super().__init__(f"{problem} (residual {residual:.3g}); {remedy}")
        self.residual = residual
        self.remedy = remedy


@short_repr
@dataclass(frozen=True, eq=False)
class PriceSolution:
    """Prices that solve the first-order conditions, and what follows from them.

    Parameters
    ----------
    prices, shares : array
        (n,).
    profits : array
        (number of firms,), money per consumer, in the order of `LogitMarket.firms`.
    residual : float
        the largest difference, in money, between a margin p_k − c_k and the margin that the
        first-order conditions ask for at these prices.
    iterations : int
        steps taken.
    """

    prices: Floats
    shares: Floats
    profits: Floats
    residual: float
    iterations: int


def _codes(labels: Labels, name: str, size: int) -> tuple[tuple[Hashable, ...], NDArray[np.intp]]:
    """The distinct labels, sorted, and for each product the position of its own."""
    array = np.asarray(labels)
    if array.shape != (size,):
        raise ValueError(f"{name} has shape {array.shape}; one label per product is ({size},)")
    names, codes = np.unique(array, return_inverse=True)
    return tuple(names.tolist()), codes


def _check_nesting(nesting: float) -> None:
    if not 0.0 <= nesting < 1.0:
        raise ValueError(f"nesting is {nesting}; it lies in [0, 1), and 0 is the plain logit")


def mean_utilities(
    shares: ArrayLike,
    nest: Labels | None = None,
    nesting: float = 0.0,
    outside_utility: float = 0.0,
) -> Floats:
    """The mean utilities q_j − α p_j, shape (n,), at which demand reproduces `shares` exactly.

    δ_j = V_0 + ln s_j − ln s_0 − σ ln s_{j|g}, with s_0 = 1 − Σ_j s_j (Berry 1994, eq. 28).
    `shares` (n,) are fractions of all consumers; `nest` and `nesting` are as in `LogitMarket`.

    Raises ValueError unless every share is positive and they sum to less than one.
    """
    observed = np.asarray(shares, dtype=np.float64)
    _check_nesting(nesting)
    if observed.ndim != 1 or not np.all(observed > 0.0) or not observed.sum() < 1.0:
        raise ValueError("shares must be one positive number per product with a sum below one")
    labels = np.zeros(observed.size, dtype=np.intp) if nest is None else nest
    _, codes = _codes(labels, "nest", observed.size)
    within = observed / np.bincount(codes, weights=observed)[codes]
    outside = np.log1p(-observed.sum())
    return outside_utility + np.log(observed) - outside - nesting * np.log(within)


@short_repr
@dataclass(frozen=True, eq=False)
class LogitMarket:
    """A price-setting oligopoly with logit or one-level nested-logit demand.

        s_{j|g} = exp(V_j/(1−σ)) / Σ_{k∈g} exp(V_k/(1−σ)),        V_j = q_j − α p_j,
        S_g     = exp(I_g) / (exp(V_0) + Σ_h exp(I_h)),
        I_g     = (1−σ) ln Σ_{k∈g} exp(V_k/(1−σ)),                s_j = s_{j|g} S_g.

    The form exp((a − p)/μ) with outside option exp(a_0/μ) is `from_scale`.

    Raises ValueError for shapes that do not agree, numbers that are not finite, α ≤ 0 or σ
    outside [0, 1).

    Parameters
    ----------
    quality : array
        (n,), utils, the mean utility net of price.
    cost : array
        (n,), constant marginal costs in money.
    owner : Sequence or array
        (n,) labels, the firm that sells each product.
    price_coefficient : float
        α > 0, utils per money unit.
    nest : Sequence, array or None
        (n,) labels of the groups within which tastes are correlated; None puts all products in
        one group.
    nesting : float
        σ in [0, 1), the correlation of tastes within a group; 0 is the plain logit whatever the
        groups.
    outside_utility : float
        V_0, the utility of buying nothing, which is a group of its own.
    """

    quality: Floats
    cost: Floats
    owner: Labels
    price_coefficient: float
    nest: Labels | None = None
    nesting: float = 0.0
    outside_utility: float = 0.0
    firms: tuple[Hashable, ...] = field(init=False, repr=False)
    """The firms in sorted order: the order of `profits`."""
    _owner: NDArray[np.intp] = field(init=False, repr=False)
    _nest: NDArray[np.intp] = field(init=False, repr=False)
    _member: NDArray[np.bool_] = field(init=False, repr=False)
    _owned: NDArray[np.bool_] = field(init=False, repr=False)
    _same_nest: NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        quality = np.array(self.quality, dtype=np.float64)
        cost = np.array(self.cost, dtype=np.float64)
        if quality.ndim != 1 or quality.size == 0 or cost.shape != quality.shape:
            raise ValueError(
                f"quality and cost have shapes {quality.shape} and {cost.shape}; "
                "both are (n,) with n ≥ 1"
            )
        scalars = (self.price_coefficient, self.outside_utility)
        if not all(np.isfinite(value).all() for value in (quality, cost, scalars)):
            raise ValueError("quality, cost, price_coefficient and outside_utility must be finite")
        if self.price_coefficient <= 0.0:
            raise ValueError(
                f"price_coefficient is {self.price_coefficient}; it is the positive α of "
                "utility = quality − α·price"
            )
        _check_nesting(self.nesting)
        firms, owner = _codes(self.owner, "owner", quality.size)
        groups = np.zeros(quality.size, dtype=np.intp) if self.nest is None else self.nest
        names, nest = _codes(groups, "nest", quality.size)
        derived = {
            "quality": quality,
            "cost": cost,
            "firms": firms,
            "_owner": owner,
            "_nest": nest,
            "_member": nest[:, None] == np.arange(len(names)),
            "_owned": owner[:, None] == owner[None, :],
            "_same_nest": nest[:, None] == nest[None, :],
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_scale(
        cls,
        quality: ArrayLike,
        cost: ArrayLike,
        owner: Labels,
        scale: float,
        nest: Labels | None = None,
        nesting: float = 0.0,
        outside_utility: float = 0.0,
    ) -> LogitMarket:
        """The market whose utilities are in money: exp((a_j − p_j)/μ) against exp(a_0/μ).

        `quality` a (n,) and `outside_utility` a_0 are in money, and `scale` μ > 0 is in money per
        util (Calvano et al. 2020, eq. 5): q = a/μ, α = 1/μ, V_0 = a_0/μ.
        """
        if not scale > 0.0:
            raise ValueError(f"scale is {scale}; it is the positive μ of exp((a − p)/μ)")
        return cls(
            quality=np.asarray(quality, dtype=np.float64) / scale,
            cost=np.asarray(cost, dtype=np.float64),
            owner=owner,
            price_coefficient=1.0 / scale,
            nest=nest,
            nesting=nesting,
            outside_utility=outside_utility / scale,
        )

    def with_cost(self, cost: ArrayLike) -> LogitMarket:
        """The same market with other marginal costs (n,)."""
        return replace(self, cost=np.asarray(cost, dtype=np.float64))

    def with_owner(self, owner: Labels) -> LogitMarket:
        """The same market with other owners (n,), as after a merger."""
        return replace(self, owner=owner)

    def _prices(self, prices: ArrayLike, batch: bool = False) -> Floats:
        array = np.asarray(prices, dtype=np.float64)
        shape = array.shape[-1:] if batch else array.shape
        if shape != self.quality.shape or not np.isfinite(array).all():
            raise ValueError(
                f"prices have shape {array.shape}; {self.quality.size} finite prices are needed"
            )
        return array

    def _choice(self, prices: Floats) -> tuple[Floats, Floats, Floats]:
        """s_j and s_{j|g}, both (..., n), and ln(exp V_0 + Σ_g exp I_g), shape (...)."""
        utility = (self.quality - self.price_coefficient * prices) / (1.0 - self.nesting)
        peak = np.where(self._member, utility[..., :, None], -np.inf).max(axis=-2)
        weight = np.exp(utility - peak[..., self._nest])
        total = weight @ self._member.astype(np.float64)
        within = weight / total[..., self._nest]
        inclusive = (1.0 - self.nesting) * (peak + np.log(total))
        top = np.maximum(inclusive.max(axis=-1), self.outside_utility)
        group = np.exp(inclusive - top[..., None])
        mass = group.sum(axis=-1) + np.exp(self.outside_utility - top)
        shares = within * (group / mass[..., None])[..., self._nest]
        return shares, within, top + np.log(mass)

    def shares(self, prices: ArrayLike) -> Floats:
        """The fraction of consumers who buy each product, shape (..., n) for prices (..., n)."""
        return self._choice(self._prices(prices, batch=True))[0]

    def profits(self, prices: ArrayLike) -> Floats:
        """Each firm's π_f = Σ_{j∈f} (p_j − c_j) s_j in money per consumer.

        Shape (..., number of firms) for prices (..., n), in the order of `firms`.
        """
        array = self._prices(prices, batch=True)
        margin = (array - self.cost) * self._choice(array)[0]
        return margin @ (self._owner[:, None] == np.arange(len(self.firms))).astype(np.float64)

    def consumer_surplus(self, prices: ArrayLike) -> Floats:
        """Money per consumer that the inside products are worth, shape (...) for prices (..., n).

        CS = (ln(exp V_0 + Σ_g exp I_g) − V_0)/α, zero where there is nothing to buy
        (Small and Rosen 1981, "Applied Welfare Economics with Discrete Choice Models",
        Econometrica 49(1)).
        """
        inclusive = self._choice(self._prices(prices, batch=True))[2]
        return np.asarray((inclusive - self.outside_utility) / self.price_coefficient)

    def _log_share_slopes(self, within: Floats, shares: Floats) -> Floats:
        """∂ ln s_j/∂p_k = −α (1{j=k} − σ 1{same nest} s_{k|g} − (1−σ) s_k)/(1−σ), (n, n)."""
        spread = self.nesting * self._same_nest * within + (1.0 - self.nesting) * shares
        slopes = np.eye(shares.size) - spread
        return -self.price_coefficient / (1.0 - self.nesting) * slopes

    def share_jacobian(self, prices: ArrayLike) -> Floats:
        """∂s_j/∂p_k per money unit, row j, column k, shape (n, n) for prices (n,)."""
        shares, within, _ = self._choice(self._prices(prices))
        return shares[:, None] * self._log_share_slopes(within, shares)

    def elasticities(self, prices: ArrayLike) -> Floats:
        """∂ ln s_j/∂ ln p_k, row j, column k, shape (n, n) for prices (n,)."""
        array = self._prices(prices)
        shares, within, _ = self._choice(array)
        return self._log_share_slopes(within, shares) * array

    def profit_gradient(self, prices: ArrayLike) -> Floats:
        """∂π_{f(k)}/∂p_k, each firm's profit with respect to its own prices, shape (n,).

        s_k + Σ_{j∈f(k)} (p_j − c_j) ∂s_j/∂p_k, in consumers' fractions; zero in every entry at
        an interior Bertrand-Nash equilibrium.
        """
        gap, shares, _ = self._zeta_gap(self._prices(prices))
        return shares * gap * (self.price_coefficient / (1.0 - self.nesting))

    def marginal_costs(self, prices: ArrayLike) -> Floats:
        """The costs (n,) at which `prices` (n,) satisfy every firm's first-order conditions.

        c = p − m, where m solves 1 + Σ_{j∈f(k)} m_j ∂ ln s_k/∂p_j = 0 for each k; since
        ∂s_j/∂p_k is symmetric these are the usual conditions divided by s_k. `cost` is not used.

        Raises EquilibriumError where the conditions have no unique solution.
        """
        array = self._prices(prices)
        margins = self._margins(array)
        if not np.isfinite(margins).all():
            raise EquilibriumError(
                "the margins are not determined",
                np.nan,
                "check that each firm leaves some consumers to others or to the outside option",
            )
        return array - margins

    def _margins(self, prices: Floats) -> Floats:
        """The margins p − c (n,) that the first-order conditions ask for at prices (n,)."""
        utility = (self.quality - self.price_coefficient * prices) / (1.0 - self.nesting)
        cells, cell = self._cells(self.cost)
        with np.errstate(divide="ignore", over="ignore"):
            margins = cells.margins(_log_sums(utility, cell)) / self.price_coefficient
        return np.asarray(margins[cell])

    def _cells(self, cost: Floats) -> tuple[Cells, NDArray[np.intp]]:
        """The firms' parts of the nests, and the cell of each product (n,)."""
        nest = self._nest if self.nesting > 0.0 else np.zeros_like(self._nest)
        pairs, cell = np.unique(np.stack([self._owner, nest]), axis=1, return_inverse=True)
        cell = cell.reshape(-1)
        utility = (self.quality - self.price_coefficient * cost) / (1.0 - self.nesting)
        weight = _log_sums(utility, cell)
        return Cells(pairs[0], pairs[1], weight, self.nesting, self.outside_utility), cell

    def _zeta_gap(self, prices: Floats) -> tuple[Floats, Floats, Floats]:
        """c + ζ(p) − p with what its derivative needs: the shares and the within-nest shares."""
        shares, within, _ = self._choice(prices)
        slopes = self._owned * self._log_share_slopes(within, shares)
        unit = (1.0 - self.nesting) / self.price_coefficient
        return unit * (1.0 + slopes @ (prices - self.cost)), shares, within

    def _zeta_gap_jacobian(self, prices: Floats, shares: Floats, within: Floats) -> Floats:
        """∂(c + ζ(p) − p)_k/∂p_l, shape (n, n)."""
        alpha, sigma = self.price_coefficient, self.nesting
        log_slopes = self._log_share_slopes(within, shares)
        weighted = self._owned * (prices - self.cost)
        rivalry = np.eye(shares.size) - self._same_nest * within
        within_slopes = -alpha / (1.0 - sigma) * within[:, None] * rivalry
        curvature = alpha * (
            sigma / (1.0 - sigma) * (weighted * self._same_nest) @ within_slopes
            + weighted @ (shares[:, None] * log_slopes)
        )
        return (1.0 - sigma) / alpha * (self._owned * log_slopes + curvature)

    def bertrand_nash(
        self,
        start: ArrayLike | None = None,
        tolerance: float = 1e-11,
        max_iterations: int = 500,
    ) -> PriceSolution:
        """Prices at which no firm gains from changing its own prices, others' given.

        The search is over the margins of `logit_margins.Cells`. Under the plain logit the prices
        exist and are unique (Nocke and Schutz 2018), and one root in the aggregate gives them.
        Under a nested logit that root is where Newton's steps begin. `start` is (n,), prices to
        begin at instead. No price is below its cost.

        The result is checked: in money, no margin differs from the one that the first-order
        conditions ask for by more than `tolerance` times the largest margin or price; and no firm
        gains by other margins of its own, searched from small and from large ones, or curves
        upwards at its prices. Under a nested logit with a firm in several nests there may be
        other equilibria than the one returned; another start tests for them.

        Raises EquilibriumError where a check fails.
        """
        cells, cell = self._cells(self.cost)
        alpha = self.price_coefficient
        guess = None
        if start is not None:
            begin = np.bincount(cell, alpha * (self._prices(start) - self.cost))
            guess = np.maximum(begin / np.bincount(cell), 1.0 - self.nesting)
        found, _, steps = cells.solve(guess, max_iterations)
        margins = found[cell] / alpha
        prices = self.cost + margins
        with np.errstate(all="ignore"):
            residual = float(np.abs(self._margins(prices) - margins).max())
        size = max(float(margins.max()), float(np.abs(prices).max()))
        # Utilities are rounded as prices are, and margins react to that in proportion.
        rounding = 16.0 * np.finfo(float).eps * alpha * size / (1.0 - self.nesting)
        if not residual <= tolerance * size + rounding * float(margins.max()):
            raise EquilibriumError(
                "no equilibrium found: no prices solve the first-order conditions after "
                f"{steps} steps",
                residual,
                "start from other prices, allow more iterations or a larger tolerance, and check "
                "that the outside option has a share that is not negligible",
            )
        if self.nesting > 0.0:
            self._check_maximum(prices, residual)
            self._check_other_margins(cells, found, cell, residual)
        shares = self._choice(prices)[0]
        return PriceSolution(prices, shares, self.profits(prices), residual, steps)

    def joint_profit(
        self,
        start: ArrayLike | None = None,
        tolerance: float = 1e-11,
        max_iterations: int = 500,
    ) -> PriceSolution:
        """Prices that maximise the sum of all firms' profits: those of one owner of everything.

        Arguments and errors are those of `bertrand_nash`; `profits` are still each firm's own.
        """
        merged = self.with_owner(np.zeros(self.quality.size, dtype=np.intp))
        solution = merged.bertrand_nash(start, tolerance, max_iterations)
        return replace(solution, profits=self.profits(solution.prices))

    def _check_maximum(self, prices: Floats, residual: float) -> None:
        """Refuse stationary prices at which a firm's profit curves upwards in some direction.

        At such prices firm f's Hessian is α/(1−σ) · diag(s_f) G_ff, G being the derivative of
        the ζ gap. It is symmetric, so the eigenvalues of G_ff are real and have the signs of the
        Hessian's: the profit has a strict local maximum where all of them are negative.
        """
        shares, within, _ = self._choice(prices)
        jacobian = self._zeta_gap_jacobian(prices, shares, within)
        for code, firm in enumerate(self.firms):
            own = np.flatnonzero(self._owner == code)
            if np.linalg.eigvals(jacobian[np.ix_(own, own)]).real.max() >= 0.0:
                raise EquilibriumError(
                    f"the stationary prices found do not maximise the profit of firm {firm}",
                    residual,
                    "start from other prices",
                )

    def _check_other_margins(
        self, cells: Cells, found: Floats, cell: NDArray[np.intp], residual: float
    ) -> None:
        """Refuse prices from which a firm in several nests gains by other margins of its own."""
        now = self.profits(self.cost + found[cell] / self.price_coefficient)
        for code, firm in enumerate(self.firms):
            own = cells.firm == code
            if np.count_nonzero(own) == 1:
                continue  # its condition rises with its one margin: there is no other solution
            for level in (1.0 - self.nesting, 4.0 * float(found[own].max())):
                begin = np.where(own, level, found)
                other = np.exp(cells.respond(code, np.log(begin)))
                profit = self.profits(self.cost + other[cell] / self.price_coefficient)[code]
                if profit > now[code] * (1.0 + 1e-9):
                    raise EquilibriumError(
                        f"firm {firm} gains {profit - now[code]:.3g} per consumer by other prices "
                        "than the stationary ones found",
                        residual,
                        "start from other prices",
                    )


def _log_sums(values: Floats, cell: NDArray[np.intp]) -> Floats:
    """ln Σ exp of the values (n,) of each cell, [P]."""
    sums = np.full(int(cell.max()) + 1, -np.inf)
    np.logaddexp.at(sums, cell, values)
    return sums
