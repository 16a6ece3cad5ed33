"""The equilibrium of a market of two venues: makers above logit retailers on a platform."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson, mean_order
from mos_agents.market.dealing import ReservationPrices
from mos_agents.market.demand import Logit
from mos_agents.market.equilibrium.chain.fees import highest_point
from mos_agents.market.equilibrium.chain.logit_chain import (
    LogitChain,
    NobodyBuys,
    WholesaleEquilibrium,
)
from mos_agents.market.equilibrium.logit import EquilibriumError
from mos_agents.market.execution import ShopperChoice
from mos_agents.market.market import Market
from mos_agents.market.prominence import (
    ShowCheapest,
    ShowDynamic,
    ShowEverything,
    ShowRandom,
    ShowRanked,
)
from mos_agents.market.types import InputError
from mos_agents.market.venues.orders import NoArrivals
from mos_agents.market.venues.router import VenueRouter
from mos_agents.market.venues.venue import VenueView

__all__ = ["best_platform_fee", "chain_equilibrium"]

COMPETITION = ("quantity", "price")
RULES = {
    ShowEverything: "everything",
    ShowCheapest: "cheapest",
    ShowRandom: "random",
    ShowDynamic: "dynamic",
}
"""The rules of prominence whose equilibrium `LogitChain` knows, or refuses."""


class GoodChain(NamedTuple):
    """The chain of one good, per consumer, and how many consumers come in a tick."""

    chain: LogitChain
    makers: int
    cost: float
    slope: float
    mass: float
    most: float  # units that producers offer in a tick

    def solve(self, competition: str) -> WholesaleEquilibrium:
        """The equilibrium, in units and money per tick."""
        makers = float(self.makers)
        if competition == "price" and self.makers > 1:
            makers = np.inf
        found = self.chain.quantity_competition(makers, self.cost, self.slope)
        units = found.quantity * self.mass
        if units > self.most:
            raise EquilibriumError(
                f"makers would buy {units:.4g} units a tick, and producers offer {self.most:.4g}",
                float(units - self.most),
                "raise the producers' rate, or lower demand",
            )
        totals = ("maker_profit", "retail_profit", "fees", "producer_surplus", "consumer_surplus")
        scaled = {name: getattr(found, name) * self.mass for name in totals}
        return replace(found, quantity=units, **scaled)


def chain_equilibrium(
    market: Market,
    commission: float | None = None,
    unit_fee: float | None = None,
    competition: str = "quantity",
) -> dict[str, WholesaleEquilibrium]:
    """Solve a market in which makers sell to retailers, who sell to shoppers on a platform.

    Retailers' prices are the Bertrand-Nash prices given the wholesale price, the platform's fee and
    the offers that it shows. Makers face the demand that follows from this, and producers' supply.

    Parameters
    ----------
    market : Market
        Of two venues: makers quote in the first, where the sellers of the second order. Shoppers
        have logit demand for equal offers.
    commission, unit_fee : float, optional
        Fees of the shop; by default those in force before the first tick.
    competition : {"quantity", "price"}, optional
        What makers compete in: quantities, or prices of a good that is the same from all of them.

    Returns
    -------
    dict
        What each good's chain comes to, in units and money per tick. Stocks, delivery and the size
        of orders are left out.

    Raises
    ------
    InputError
        If the market is no such chain, or has a part whose equilibrium is not known.
    EquilibriumError
        If there is no equilibrium in pure strategies.
    """
    if competition not in COMPETITION:
        raise InputError(f"competition={competition!r} must be one of {', '.join(COMPETITION)}")
    return {
        good: one.solve(competition) for good, one in _chains(market, commission, unit_fee).items()
    }


def best_platform_fee(
    market: Market, competition: str = "quantity"
) -> tuple[float, dict[str, WholesaleEquilibrium]]:
    """Find the commission that earns the platform most, makers and retailers following.

    Parameters
    ----------
    market : Market
        As in `chain_equilibrium`.
    competition : {"quantity", "price"}, optional
        What makers compete in.

    Returns
    -------
    tuple
        The commission, a share, and the equilibrium of each good at it.

    Raises
    ------
    InputError
        If the market is no such chain, or has a part whose equilibrium is not known.
    EquilibriumError
        If there is no equilibrium in pure strategies, or no best fee.
    """

    def revenue(share: float) -> float:
        try:
            found = chain_equilibrium(market, share, 0.0, competition)
        except NobodyBuys:
            return 0.0
        return sum(one.fees for one in found.values())

    best, _ = highest_point(revenue, 0.0, 0.999, "commission")
    return best, chain_equilibrium(market, best, 0.0, competition)


def _chains(
    market: Market, commission: float | None, unit_fee: float | None
) -> dict[str, GoodChain]:
    above, shop = _levels(market)
    prominence, shown, followers = _prominence(shop)
    rule = shop.venue.fees
    opening = rule.rates(0, np.array([rule.opening]))[0]
    fees = {
        "commission": float(opening[0]) if commission is None else commission,
        "unit_fee": float(opening[1]) if unit_fee is None else unit_fee,
    }
    scale = market.opening_demand[shop.groups]
    mass = shop.venue.arrivals.mean_mass(shop.market, scale)
    found = {}
    for k, good in enumerate(shop.venue.goods):
        if good not in above.venue.goods:
            raise InputError(f"{good} is sold in {shop.venue.name} and not in {above.venue.name}")
        quality, mu, outside = _utility(shop, k)
        chain = LogitChain(
            len(shop.venue.quoting),
            quality,
            mu,
            outside,
            prominence=prominence,
            shown=shown,
            followers=followers,
            **fees,
        )
        cost, slope, most = _supply(above, above.venue.goods.index(good))
        found[good] = GoodChain(
            chain, len(above.venue.quoting), cost, slope * float(mass[k]), float(mass[k]), most
        )
    return found


def _levels(market: Market) -> tuple[VenueView, VenueView]:
    """The makers' venue and the shop; InputError where the market is no such chain."""
    rule = market.quotes
    if not isinstance(rule, VenueRouter) or len(views := rule.views(market)) != 2:
        raise InputError(
            "a chain has two venues, one above the other; `benchmarks` is for one venue"
        )
    above, shop = views
    if not isinstance(shop.venue.execution, ShopperChoice) or shop.orders.size:
        raise InputError(f"{shop.venue.name}: shoppers alone buy in the last venue of a chain")
    if set(above.venue.ordering) != set(shop.venue.quoting):
        raise InputError(
            f"those who sell in {shop.venue.name} must be those who order in {above.venue.name}"
        )
    charges = market.positions.trade_costs()
    if above.venue.fees.is_charged or (charges and (charges.fee or charges.unit_fee)):
        raise InputError("fees of the makers' venue are not part of the benchmark: leave them out")
    if shop.venue.fees.payer != "seller":
        raise InputError(f"fees.payer={shop.venue.fees.payer!r}: the benchmark has sellers pay")
    return above, shop


def _prominence(shop: VenueView) -> tuple[str, int, float]:
    execution = shop.venue.execution
    assert isinstance(execution, ShopperChoice)
    rule = execution.prominence
    name = next((name for kind, name in RULES.items() if type(rule) is kind), None)
    if name is None or rule.boost or (name == "everything" and rule.is_active):
        raise InputError(
            f"{shop.venue.name}: the equilibrium with this rule of prominence "
            f"({type(rule).__name__}) is not known; take everything, cheapest or random, with "
            "followers=1 and no boost"
        )
    shown = rule.shown if isinstance(rule, ShowRanked) else 1
    return name, shown, float(rule.followers)


def _utility(shop: VenueView, k: int) -> tuple[float, float, float]:
    """a, mu and a_0 of a good, in money; InputError where offers differ."""
    execution = shop.venue.execution
    assert isinstance(execution, ShopperChoice)
    demand = execution.demand
    own = shop.market.layout.instrument == k
    listed = shop.market.catalogue
    if type(demand) is not Logit or demand.nesting or demand.choice != "within":
        raise InputError(f"{shop.venue.name}: the benchmark of a chain needs plain logit demand")
    quality, reference = listed.quality[own], listed.reference_price[own]
    if np.ptp(quality) or np.ptp(reference) or demand.price_coefficient <= 0.0:
        raise InputError(
            f"{shop.venue.name}: the benchmark of a chain needs equal offers of a good"
        )
    money = (float(reference[0]) if demand.relative else 1.0) / demand.price_coefficient
    gained = demand.intercept + demand.quality_coefficient * float(quality[0])
    return gained * money, demand.scale * money, demand.outside * money


def _supply(above: VenueView, k: int) -> tuple[float, float, float]:
    """Lowest price of producers, its rise per unit, and the units that they offer in a tick."""
    own = above.market.layout.instrument == k
    listed, arrivals = above.market.catalogue, above.venue.arrivals
    if np.isinf(listed.stock[own]).all():
        if np.ptp(listed.cost[own]):
            raise InputError(f"{above.venue.name}: the benchmark of a chain needs equal makers")
        return float(listed.cost[own][0]), 0.0, np.inf
    rule = above.venue.execution
    if isinstance(arrivals, NoArrivals) or not isinstance(rule, ReservationPrices):
        raise InputError(
            f"{above.venue.name}: the benchmark needs producers: execution=reservation_prices, or "
            "stock=.inf for makers with a cost of their own"
        )
    if isinstance(arrivals, Hawkes) or not isinstance(arrivals, FixedMass | Poisson):
        raise InputError(
            f"{above.venue.name}: outside buyers beside the firms are not part of the benchmark: "
            "take arrivals=poisson with buy=0"
        )
    if arrivals.buy:
        raise InputError(
            f"{above.venue.name}: arrivals.buy={arrivals.buy:g}: outside buyers beside the firms "
            "are not part of the benchmark; set it to 0"
        )
    units = float(arrivals.sell)
    if isinstance(arrivals, Poisson):
        units *= above.market.dt * mean_order(arrivals.mean_size, arrivals.lot)
    reference = float(listed.reference_price[own][0])
    low, high = rule.sellers_low * reference, rule.sellers_high * reference
    return low, (high - low) / units, units
