"""How customers choose: logit, nested logit, elasticity with comparison, linear, cheapest.

A demand model gives, for one arrival in a choice group, the probability of each available offer;
what is left is no purchase. Linear demand gives units per unit of mass, read the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.market.checks import within_floats
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.stages import Demand
from mos_agents.market.types import Array, InputError

LEAST_SHARE = 1e-9
"""A demand below it, at every reference price, is nobody's."""


def check_shape(demand: Demand, shares: Any, prices: Array) -> None:
    """InputError unless the shares have a row for each market and a column for each listing."""
    if np.shape(shares) != prices.shape:
        raise InputError(
            f"the shares of demand model {type(demand).__name__} have shape {np.shape(shares)}; "
            f"prices of shape {prices.shape} need a row for each market, a column for each listing"
        )


def somebody_buys(market: Market, demand: Demand) -> None:
    """InputError if no listing is bought at all at the reference prices that the market opens at.

    Such a market trades nothing unless everybody prices far below what buyers regard as normal: its
    numbers are meant for another model, or for prices in another currency.
    """
    prices = np.ascontiguousarray(market.opening_prices[None])
    everybody = np.ones(prices.shape, np.bool_)
    shares = demand.shares(market, prices, everybody, prices)
    check_shape(demand, shares, prices)
    if not (shares > LEAST_SHARE).any():
        i = int(prices[0].argmin())
        product = market.layout.instruments[market.layout.instrument[i]]
        raise InputError(
            f"execution.demand: nobody buys at the reference prices, which begin at "
            f"{prices[0, i]:.10g} ({product}): {_why_nobody(demand)}"
        )


def _why_nobody(demand: Demand) -> str:
    if isinstance(demand, Linear):
        return (
            f"linear demand ends at a price of intercept={demand.intercept:.10g}; set "
            "execution.demand.intercept above them, and own and cross of its size"
        )
    if isinstance(demand, Cheapest):
        least = min(demand.choke, 1.0 / demand.slope if demand.slope else np.inf)
        return (
            f"demand for the cheapest ends at a price of {least:.10g}; set execution.demand.choke "
            "above them, and slope below one over them"
        )
    if isinstance(demand, Elasticity):
        return f"base={demand.base:.10g} is the share who buy; set execution.demand.base above 0"
    if isinstance(demand, Logit) and not demand.relative:
        return (
            f"price_coefficient={demand.price_coefficient:.10g} is per unit of money; set it near "
            "1 over the prices, or set execution.demand.relative=true"
        )
    return "its parameters give every listing a share of 0; set others"


def _choice(choice: str) -> None:
    if choice not in ("within", "across"):
        raise InputError(f"choice={choice!r} must be 'within' or 'across'")


@dataclass(frozen=True)
@within_floats
class Logit(Demand):
    """Multinomial logit with an outside option (McFadden 1974), or nested logit.

    Utility of an offer: (intercept - price_coefficient * price + quality_coefficient * quality)
    / scale. The outside option's utility is outside / scale. Nested logit as in Berry (1994).

    Parameters
    ----------
    intercept : float
        utility of an offer before price and quality.
    price_coefficient : float
        utility lost per unit of price: of money, or of the reference price if `relative`.
    quality_coefficient : float
        utility per unit of the catalogue's quality.
    relative : bool
        the price counts as a multiple of its reference price, not in money.
    outside : float
        utility of buying nothing.
    scale : float
        how much tastes differ; the smaller, the more the best offer sells, > 0.
    nesting : float
        how close substitutes the offers of one nest of the catalogue are, in [0, 1); 0 is plain
        logit.
    choice : str
        what a customer compares: "within" the sellers of one product, or "across" all offers.
    """

    intercept: float = 0.5
    price_coefficient: float = 1.5
    quality_coefficient: float = 0.3
    relative: bool = True
    outside: float = 0.0
    scale: float = 1.0
    nesting: float = 0.0
    choice: str = "within"

    def __post_init__(self) -> None:
        _choice(self.choice)
        if not 0.0 < self.scale < np.inf:
            raise InputError(f"scale={self.scale!r} must be > 0")
        if not 0.0 <= self.nesting < 1.0:
            raise InputError(f"nesting={self.nesting!r} must be in [0, 1)")

    def shares(self, market: Market, prices: Array, available: Any, reference: Array) -> Array:
        return logit_shares(*self._kernel_arguments(market, prices, available, reference))

    def surplus(
        self, market: Market, prices: Array, available: Any, reference: Array
    ) -> Array | None:
        """The log-sum over the marginal utility of money (Small and Rosen 1981).

        None where a unit of money is not worth the same in all offers of a group: prices that count
        relative to references that differ.
        """
        money = np.full((len(prices), market.layout.G), 1.0)
        if self.price_coefficient <= 0.0:
            return None
        if self.relative:
            references = [reference[:, own] for own in _members(market)]
            if any(own.size and np.ptp(own, axis=1).any() for own in references):
                return None
            money = np.stack([own[:, 0] if own.size else money[:, 0] for own in references], axis=1)
        values = logit_values(*self._kernel_arguments(market, prices, available, reference))
        worth: Array = values * money * (self.scale / self.price_coefficient)
        return worth

    def _kernel_arguments(
        self, market: Market, prices: Array, available: Any, reference: Array
    ) -> tuple[Any, ...]:
        """What the kernels of shares and of the log-sum take, in their order."""
        layout = market.layout
        return (
            prices,
            available,
            reference,
            market.catalogue.quality,
            market.nests,
            layout.group_start,
            layout.group_listing,
            self.intercept,
            self.price_coefficient,
            self.quality_coefficient,
            self.relative,
            self.outside,
            self.scale,
            self.nesting,
        )


@dataclass(frozen=True)
@within_floats
class Elasticity(Demand):
    """Constant own-price elasticity, and shoppers who compare.

    A view of a product reaches each available seller with equal chance; that visitor wants to buy
    with probability base (price / reference)^-elasticity, at most 1. If a rival is cheaper, she
    stays with probability exp(-comparison (price - cheapest) / reference), and otherwise buys from
    the cheapest. With one rival this is the two-seller formula for each seller's own visitors; what
    a dear seller loses by comparison, the cheapest gains.

    Parameters
    ----------
    base : float
        chance that a visitor buys at the reference price, in [0, 1].
    elasticity : float
        by how many percent that chance falls if the price rises by one percent, >= 0.
    comparison : float
        how readily a visitor leaves for a cheaper rival; 0 never compares, >= 0.
    choice : str
        what a customer compares: "within" the sellers of one product, or "across" all offers.
    """

    base: float = 0.3
    elasticity: float = 2.0
    comparison: float = 0.5
    choice: str = "within"

    def __post_init__(self) -> None:
        _choice(self.choice)
        if not 0.0 <= self.base <= 1.0:
            raise InputError(f"base={self.base!r} must be a probability in [0, 1]")
        for name in ("elasticity", "comparison"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name}={getattr(self, name)!r} must be >= 0")

    def shares(self, market: Market, prices: Array, available: Any, reference: Array) -> Array:
        return elasticity_shares(
            prices,
            available,
            reference,
            market.layout.group_start,
            market.layout.group_listing,
            self.base,
            self.elasticity,
            self.comparison,
        )


@dataclass(frozen=True)
@within_floats
class Linear(Demand):
    """Linear demand for differentiated goods (Singh and Vives 1984), any number of sellers.

    Inverse demand p_i = intercept - own q_i - cross sum_j q_j, per unit of mass. A seller whose
    demand would be negative, or who is sold out, leaves the system and the rest is solved again.

    Parameters
    ----------
    intercept : float
        price at which nothing is bought any more, in money.
    own : float
        fall of a seller's price per unit of its own quantity, in money, > 0.
    cross : float
        fall of a seller's price per unit of a rival's quantity, in money, >= 0 and < own.
    choice : str
        what a customer compares: "within" the sellers of one product, or "across" all offers.
    """

    intercept: float = 1.0
    own: float = 1.0
    cross: float = 0.5
    choice: str = "within"

    def __post_init__(self) -> None:
        _choice(self.choice)
        if not 0.0 <= self.cross < self.own < np.inf:
            raise InputError(
                f"own={self.own!r}, cross={self.cross!r} must have 0 <= cross < own: "
                "goods are at most imperfect substitutes (for perfect ones use Cheapest)"
            )

    def shares(self, market: Market, prices: Array, available: Any, reference: Array) -> Array:
        return linear_shares(
            prices,
            available,
            market.layout.group_start,
            market.layout.group_listing,
            self.intercept,
            self.own,
            self.cross,
        )

    def surplus(
        self, market: Market, prices: Array, available: Any, reference: Array
    ) -> Array | None:
        """The utility of what is bought, less what it costs (Singh and Vives 1984)."""
        units = self.shares(market, prices, available, reference)
        total, squares = _by_group(market, units), _by_group(market, units**2)
        worth: Array = 0.5 * ((self.own - self.cross) * squares + self.cross * total**2)
        return worth


@dataclass(frozen=True)
@within_floats
class Cheapest(Demand):
    """Homogeneous goods: the cheapest takes all, equal prices share (Bertrand).

    Demand at price p is max(0, 1 - slope p) up to the choke price, and none above.

    Parameters
    ----------
    choke : float
        highest price at which anybody buys, in money, > 0.
    slope : float
        fall of demand per unit of money; 0 is the same demand at every price, >= 0.
    choice : str
        what a customer compares: "within" the sellers of one product, or "across" all offers.
    """

    choke: float = np.inf
    slope: float = 0.0
    choice: str = "within"

    def __post_init__(self) -> None:
        _choice(self.choice)
        if not self.choke > 0.0 or not 0.0 <= self.slope < np.inf:
            raise InputError(f"choke={self.choke!r}, slope={self.slope!r} must be > 0 and >= 0")

    def shares(self, market: Market, prices: Array, available: Any, reference: Array) -> Array:
        return cheapest_shares(
            prices,
            available,
            market.layout.group_start,
            market.layout.group_listing,
            self.choke,
            self.slope,
        )

    def surplus(
        self, market: Market, prices: Array, available: Any, reference: Array
    ) -> Array | None:
        """The integral of demand from the lowest price up; None where demand never ends."""
        least = min(self.choke, 1.0 / self.slope if self.slope else np.inf)
        if least == np.inf:
            return None
        offered = np.where(available, prices, np.inf)
        best = np.stack([offered[:, own].min(axis=1, initial=least) for own in _members(market)], 1)
        worth: Array = (least - best) - 0.5 * self.slope * (least**2 - best**2)
        return worth


def _members(market: Market) -> list[Any]:
    """The listings of each choice group."""
    layout = market.layout
    return np.split(layout.group_listing, layout.group_start[1:-1])


def _by_group(market: Market, values: Array) -> Array:
    """[R, G] sums of values [R, L] over the listings of each group."""
    return np.stack([values[:, own].sum(axis=1) for own in _members(market)], axis=1)


@kernel
def logit_values(  # type: ignore[no-untyped-def]
    prices,
    available,
    reference,
    quality,
    nest,
    group_start,
    group_listing,
    intercept,
    price_coefficient,
    quality_coefficient,
    relative,
    outside,
    scale,
    nesting,
):
    """[R, G] log of the sum of exp(utility / scale) over a group's offers and the outside option.

    A nest counts as (1 - nesting) log sum exp(utility / scale / (1 - nesting)).
    """
    out = np.empty((prices.shape[0], group_start.shape[0] - 1))
    n_nests = nest.max() + 1 if nesting > 0.0 else 1
    value = np.empty(n_nests)
    for b in range(prices.shape[0]):
        for g in range(group_start.shape[0] - 1):
            total = outside / scale
            for h in range(n_nests):
                value[h] = -np.inf
            for j in range(group_start[g], group_start[g + 1]):
                i = group_listing[j]
                if available[b, i]:
                    price = prices[b, i] / reference[b, i] if relative else prices[b, i]
                    utility = (
                        intercept - price_coefficient * price + quality_coefficient * quality[i]
                    ) / scale
                    h = nest[i] if nesting > 0.0 else 0
                    value[h] = np.logaddexp(value[h], utility / (1.0 - nesting))
            for h in range(n_nests):
                if value[h] > -np.inf:
                    total = np.logaddexp(total, (1.0 - nesting) * value[h])
            out[b, g] = total
    return out


@kernel
def logit_shares(  # type: ignore[no-untyped-def]
    prices,
    available,
    reference,
    quality,
    nest,
    group_start,
    group_listing,
    intercept,
    price_coefficient,
    quality_coefficient,
    relative,
    outside,
    scale,
    nesting,
):
    """[R, L] choice probabilities; `nest` is [L], numbers 0..H-1."""
    out = np.zeros(prices.shape)
    n_nests = nest.max() + 1 if nesting > 0.0 else 1
    inclusive, top = np.empty(n_nests), np.empty(n_nests)
    for b in range(prices.shape[0]):
        for g in range(group_start.shape[0] - 1):
            begin, end = group_start[g], group_start[g + 1]
            # Utilities go into the output first; the largest is subtracted before exponentials.
            for h in range(n_nests):
                top[h], inclusive[h] = -np.inf, 0.0
            for j in range(begin, end):
                i = group_listing[j]
                if available[b, i]:
                    price = prices[b, i] / reference[b, i] if relative else prices[b, i]
                    utility = (
                        intercept - price_coefficient * price + quality_coefficient * quality[i]
                    ) / scale
                    out[b, i] = utility / (1.0 - nesting)
                    h = nest[i] if nesting > 0.0 else 0
                    top[h] = max(top[h], out[b, i])
            for j in range(begin, end):
                i = group_listing[j]
                if available[b, i]:
                    h = nest[i] if nesting > 0.0 else 0
                    out[b, i] = np.exp(out[b, i] - top[h])
                    inclusive[h] += out[b, i]
            # Value of a nest: (1 - nesting) log sum exp(u / (1 - nesting)).
            highest = outside / scale
            for h in range(n_nests):
                if inclusive[h] > 0.0:
                    highest = max(highest, (1.0 - nesting) * (top[h] + np.log(inclusive[h])))
            total = np.exp(outside / scale - highest)
            for h in range(n_nests):
                if inclusive[h] > 0.0:
                    value = (1.0 - nesting) * (top[h] + np.log(inclusive[h]))
                    top[h] = np.exp(value - highest)
                    total += top[h]
            for j in range(begin, end):
                i = group_listing[j]
                if available[b, i]:
                    h = nest[i] if nesting > 0.0 else 0
                    out[b, i] *= top[h] / (inclusive[h] * total)
    return out


@kernel
def elasticity_shares(  # type: ignore[no-untyped-def]
    prices, available, reference, group_start, group_listing, base, elasticity, comparison
):
    """[R, L] purchase probabilities of one view."""
    out = np.zeros(prices.shape)
    for b in range(prices.shape[0]):
        for g in range(group_start.shape[0] - 1):
            begin, end = np.uint64(group_start[g]), np.uint64(group_start[g + 1])
            sellers, cheapest, ties = 0, np.inf, 0
            for j in range(begin, end):
                i = np.uint64(group_listing[j])
                if available[b, i]:
                    sellers += 1
                    if prices[b, i] < cheapest:
                        cheapest, ties = prices[b, i], 1
                    elif prices[b, i] == cheapest:
                        ties += 1
            diverted = 0.0
            for j in range(begin, end):
                i = np.uint64(group_listing[j])
                if available[b, i]:
                    ratio = prices[b, i] / reference[b, i]
                    if elasticity == 2.0:  # the default, several times faster than a power
                        wants = min(base / (ratio * ratio), 1.0) / sellers
                    else:
                        wants = min(base * ratio**-elasticity, 1.0) / sellers
                    if prices[b, i] > cheapest:
                        gap = (prices[b, i] - cheapest) / reference[b, i]
                        stays = np.exp(-comparison * gap)
                        diverted += wants * (1.0 - stays)
                        wants *= stays
                    out[b, i] = wants
            if diverted > 0.0:
                for j in range(begin, end):
                    i = np.uint64(group_listing[j])
                    if available[b, i] and prices[b, i] == cheapest:
                        out[b, i] += diverted / ties
    return out


@kernel
def linear_shares(prices, available, group_start, group_listing, intercept, own, cross):  # type: ignore[no-untyped-def]
    """[R, L] units per unit of mass."""
    out = np.zeros(prices.shape)
    for b in range(prices.shape[0]):
        for g in range(group_start.shape[0] - 1):
            begin, end = group_start[g], group_start[g + 1]
            for j in range(begin, end):
                i = group_listing[j]
                out[b, i] = 1.0 if available[b, i] and prices[b, i] < intercept else 0.0
            while True:
                active, total = 0, 0.0
                for j in range(begin, end):
                    i = group_listing[j]
                    if out[b, i] > 0.0:
                        active += 1
                        total += prices[b, i]
                if active == 0:
                    break
                # The dearest has the least demand: if any is negative, it is the first to go.
                everything = (active * intercept - total) / (own + (active - 1) * cross)
                worst, at = np.inf, -1
                for j in range(begin, end):
                    i = group_listing[j]
                    if out[b, i] > 0.0:
                        quantity = (intercept - prices[b, i] - cross * everything) / (own - cross)
                        if quantity < worst:
                            worst, at = quantity, i
                if worst > 0.0:
                    for j in range(begin, end):
                        i = group_listing[j]
                        if out[b, i] > 0.0:
                            out[b, i] = (intercept - prices[b, i] - cross * everything) / (
                                own - cross
                            )
                    break
                out[b, at] = 0.0
    return out


@kernel
def cheapest_shares(prices, available, group_start, group_listing, choke, slope):  # type: ignore[no-untyped-def]
    """[R, L] units per unit of mass: all to the cheapest, equal prices share."""
    out = np.zeros(prices.shape)
    for b in range(prices.shape[0]):
        for g in range(group_start.shape[0] - 1):
            best, ties = np.inf, 0
            for j in range(group_start[g], group_start[g + 1]):
                i = group_listing[j]
                if available[b, i]:
                    if prices[b, i] < best:
                        best, ties = prices[b, i], 1
                    elif prices[b, i] == best:
                        ties += 1
            if ties == 0 or best > choke:
                continue
            demand = max(0.0, 1.0 - slope * best)
            for j in range(group_start[g], group_start[g + 1]):
                i = group_listing[j]
                if available[b, i] and prices[b, i] == best:
                    out[b, i] = demand / ties
    return out
