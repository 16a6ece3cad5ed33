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
    Prices Under Mixed-Logit Demand", Operations Research 59(2): the ζ fixed point.
    Calvano, Calzolari, Denicolò and Pastorello (2020), "Artificial Intelligence, Algorithmic
    Pricing, and Collusion", American Economic Review 110(10): the form exp((a − p)/μ).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError

__all__ = ["EquilibriumError", "LogitMarket", "PriceSolution", "mean_utilities"]

Floats = NDArray[np.float64]
Labels = Sequence[Hashable] | NDArray[Any]

NEWTON_BELOW = 0.1
"""The relative residual below which Newton steps are tried on top of the fixed point."""


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

    prices, shares: (n,). profits: (number of firms,), money per consumer, in the order of
    `LogitMarket.firms`. residual: max_k |p_k − c_k − ζ_k(p)| / max(1/α, max_k |p_k|), without
    unit. iterations: steps taken.
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

    quality: (n,), utils, the mean utility net of price. cost: (n,), constant marginal costs in
    money. owner: (n,) labels, the firm that sells each product. price_coefficient: α > 0, utils
    per money unit. nest: (n,) labels of the groups within which tastes are correlated; None puts
    all products in one group. nesting: σ in [0, 1), the correlation of tastes within a group; 0
    is the plain logit whatever the groups. outside_utility: V_0, the utility of buying nothing,
    which is a group of its own.

        s_{j|g} = exp(V_j/(1−σ)) / Σ_{k∈g} exp(V_k/(1−σ)),        V_j = q_j − α p_j,
        S_g     = exp(I_g) / (exp(V_0) + Σ_h exp(I_h)),
        I_g     = (1−σ) ln Σ_{k∈g} exp(V_k/(1−σ)),                s_j = s_{j|g} S_g.

    The form exp((a − p)/μ) with outside option exp(a_0/μ) is `from_scale`.

    Raises ValueError for shapes that do not agree, numbers that are not finite, α ≤ 0 or σ
    outside [0, 1).
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
        array = self._prices(prices)
        shares, within, _ = self._choice(array)
        slopes = self._owned * self._log_share_slopes(within, shares)
        return shares * (1.0 + slopes @ (array - self.cost))

    def marginal_costs(self, prices: ArrayLike) -> Floats:
        """The costs (n,) at which `prices` (n,) satisfy every firm's first-order conditions.

        c = p − m, where m solves 1 + Σ_{j∈f(k)} m_j ∂ ln s_k/∂p_j = 0 for each k; since
        ∂s_j/∂p_k is symmetric these are the usual conditions divided by s_k. `cost` is not used.

        Raises EquilibriumError where the conditions have no unique solution.
        """
        array = self._prices(prices)
        shares, within, _ = self._choice(array)
        slopes = self._owned * self._log_share_slopes(within, shares)
        remedy = "check that each firm leaves some consumers to others or to the outside option"
        try:
            margin = np.linalg.solve(slopes, -np.ones(array.size))
        except np.linalg.LinAlgError:
            raise EquilibriumError("the margins are not determined", np.nan, remedy) from None
        residual = float(np.abs(1.0 + slopes @ margin).max())
        if not residual <= 1e-9:
            raise EquilibriumError("the margins are not determined", residual, remedy)
        return array - margin

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
        max_iterations: int = 20_000,
    ) -> PriceSolution:
        """Prices at which no firm gains from changing its own prices, others' given.

        Iterates p ← c + ζ(p), ζ_k = p_k − c_k + (1−σ)/α · (1 + Σ_{j∈f(k)} (p_j − c_j)
        ∂ ln s_k/∂p_j), the map of Morrow and Skerlos (2011) in the nested logit's own scaling,
        and takes Newton steps once these reduce the residual faster. `start` is (n,); without it
        the search starts at c + (1−σ)/α, the price of a firm of negligible size. The iteration
        ends when `PriceSolution.residual` is at most `tolerance`.

        Each firm's second-order condition is checked as well, so that a saddle or a minimum is
        never returned. It is local: under the plain logit the first-order conditions suffice
        (Morrow and Skerlos 2011), under a nested logit with a firm in several nests they do not
        in general, and another start then tests whether the solution is the only one.

        Raises EquilibriumError where the residual stays above `tolerance` or a firm's profit
        has no maximum at the solution.
        """
        unit = (1.0 - self.nesting) / self.price_coefficient
        prices = self.cost + unit if start is None else self._prices(start).copy()
        residual = np.inf
        gap, shares, within = self._zeta_gap(prices)
        for iteration in range(max_iterations + 1):
            residual = self._residual(gap, prices)
            if residual <= tolerance or not np.isfinite(residual) or iteration == max_iterations:
                break
            following = prices + gap
            following_gap = None
            if residual < NEWTON_BELOW:
                candidate = self._newton(prices, gap, shares, within)
                if candidate is not None:
                    state = self._zeta_gap(candidate)
                    if self._residual(state[0], candidate) < residual:
                        following, following_gap = candidate, state
            prices = following
            gap, shares, within = following_gap or self._zeta_gap(prices)
        if not residual <= tolerance:
            raise EquilibriumError(
                "no equilibrium found: no prices solve the first-order conditions after "
                f"{iteration} steps",
                residual,
                "start from other prices, allow more iterations or a larger tolerance, and check "
                "that the outside option has a share that is not negligible",
            )
        self._check_maximum(prices, shares, within, residual)
        return PriceSolution(prices, shares, self.profits(prices), residual, iteration)

    def joint_profit(
        self,
        start: ArrayLike | None = None,
        tolerance: float = 1e-11,
        max_iterations: int = 20_000,
    ) -> PriceSolution:
        """Prices that maximise the sum of all firms' profits: those of one owner of everything.

        Arguments and errors are those of `bertrand_nash`; `profits` are still each firm's own.
        """
        merged = self.with_owner(np.zeros(self.quality.size, dtype=np.intp))
        solution = merged.bertrand_nash(start, tolerance, max_iterations)
        return replace(solution, profits=self.profits(solution.prices))

    def _residual(self, gap: Floats, prices: Floats) -> float:
        scale = max(1.0 / self.price_coefficient, float(np.abs(prices).max()))
        return float(np.abs(gap).max()) / scale

    def _newton(self, prices: Floats, gap: Floats, shares: Floats, within: Floats) -> Floats | None:
        """The prices one Newton step on, or None where the step is not defined."""
        try:
            step = np.linalg.solve(self._zeta_gap_jacobian(prices, shares, within), -gap)
        except np.linalg.LinAlgError:
            return None
        return prices + step if np.isfinite(step).all() else None

    def _check_maximum(
        self, prices: Floats, shares: Floats, within: Floats, residual: float
    ) -> None:
        """Refuse stationary prices at which a firm's profit curves upwards in some direction.

        At such prices firm f's Hessian is α/(1−σ) · diag(s_f) G_ff, G being the derivative of
        the ζ gap. It is symmetric, so the eigenvalues of G_ff are real and have the signs of the
        Hessian's: the profit has a strict local maximum where all of them are negative.
        """
        jacobian = self._zeta_gap_jacobian(prices, shares, within)
        for code, firm in enumerate(self.firms):
            own = np.flatnonzero(self._owner == code)
            if np.linalg.eigvals(jacobian[np.ix_(own, own)]).real.max() >= 0.0:
                raise EquilibriumError(
                    f"the stationary prices found do not maximise the profit of firm {firm}",
                    residual,
                    "start from other prices",
                )
