"""Where theory gives the prices without a search: logit by its margins, homogeneous goods."""

from __future__ import annotations

import numpy as np

from mos_agents.market.demand import Cheapest, Logit
from mos_agents.market.equilibrium.logit import LogitMarket
from mos_agents.market.equilibrium.stage import EVERYBODY, PriceGame
from mos_agents.market.types import Array, IntArray

__all__ = ["clearing_prices", "homogeneous_joint", "homogeneous_nash", "logit_prices"]


def logit_prices(game: PriceGame, joint: bool, start: Array | None) -> Array | None:
    """[L] Bertrand-Nash or joint-profit prices of a logit market, group by group.

    None where `LogitMarket` does not apply: the demand is not logit, the price
    coefficients within a group differ or are not positive, the platform earns commission on its
    rivals' sales, or a price would leave the bounds.

    Raises EquilibriumError where no prices are found.
    """
    demand, market = game.demand, game.market
    layout = market.layout
    if type(demand) is not Logit:
        return None
    steepness = np.full(layout.L, demand.price_coefficient / demand.scale)
    if demand.relative:
        steepness = steepness / game.reference
    quality = demand.intercept + demand.quality_coefficient * market.catalogue.quality
    cost = game.cost if joint else game.worth_of_a_unit
    prices = np.empty(layout.L)
    for group in _groups(game):
        alpha = float(steepness[group[0]])
        alike = np.allclose(steepness[group], alpha, rtol=1e-13, atol=0.0)
        meddler = not joint and _collects_from_rivals(game, group)
        if not alike or not 0.0 < alpha < np.inf or meddler:
            return None
        oligopoly = LogitMarket(
            quality=quality[group] / demand.scale,
            cost=cost[group],
            owner=layout.seller[group],
            price_coefficient=alpha,
            nest=market.nests[group],
            nesting=demand.nesting,
            outside_utility=demand.outside / demand.scale,
        )
        solve = oligopoly.joint_profit if joint else oligopoly.bertrand_nash
        prices[group] = solve(None if start is None else start[group]).prices
    inside = (prices >= game.low) & (prices <= game.high)
    return prices if inside.all() else None


def homogeneous_nash(game: PriceGame) -> Array | None:
    """[L] Bertrand's prices where the cheapest takes all, or None where there are none.

    The two lowest floors (unit cost, or the lowest price allowed) of different sellers decide. If
    they are equal, that is the price. If the lower one's monopoly price is below the other's floor,
    it is a monopoly. Otherwise its seller wants the largest price below its rival's floor, which
    does not exist: there is no equilibrium in pure strategies with ties that are split.
    """
    demand = game.demand
    assert isinstance(demand, Cheapest)
    seller = game.market.layout.seller
    # A platform that sells gives up its commission on a rival's sale: a unit costs it more, too.
    floors = np.clip(game.cost / (1.0 - game.commission), game.low, game.high)
    prices = floors.copy()
    for group in _groups(game):
        first = group[floors[group].argmin()]
        rivals = group[seller[group] != seller[first]]
        second = floors[rivals].min() if rivals.size else np.inf
        if floors[first] == second or floors[first] > demand.choke:
            continue
        monopoly = _monopoly(game, demand, first, game.worth_of_a_unit[first])
        if monopoly >= second:
            return None
        own = group[seller[group] == seller[first]]
        prices[own] = np.where(floors[own] == floors[first], monopoly, game.high[own])
    return prices


def homogeneous_joint(game: PriceGame) -> Array:
    """[L] the monopoly price for the listings that earn most at theirs, the rest out of the way.

    What is better not sold at all stands at its highest price.
    """
    demand = game.demand
    assert isinstance(demand, Cheapest)
    prices = game.high.copy()
    for group in _groups(game):
        monopoly = np.array([_monopoly(game, demand, i, game.cost[i]) for i in group])
        units = np.maximum(0.0, 1.0 - demand.slope * monopoly) * (monopoly <= demand.choke)
        worth = (monopoly - game.cost[group]) * units
        best = np.isclose(worth, worth.max(), rtol=1e-12, atol=0.0)
        best &= monopoly == monopoly[worth.argmax()]
        prices[group[best]] = monopoly[best]
    return prices


def clearing_prices(game: PriceGame) -> Array | None:
    """[L] one price a group at which all that the sellers have is just bought, or None.

    It is the equilibrium of sellers of a homogeneous good whose stocks are small enough that nobody
    wants to sell less of its own.
    """
    demand = game.demand
    assert isinstance(demand, Cheapest)
    prices = np.empty(game.cost.size)
    for group in _groups(game):
        wanted = game.capacity[group].sum() / game.mass[group[0]]
        if not 0.0 < wanted <= 1.0:
            return None
        price = (1.0 - wanted) / demand.slope if demand.slope > 0.0 else demand.choke
        prices[group] = min(price, demand.choke)
    inside = (prices >= game.floor) & (prices <= game.high)
    return prices if inside.all() else None


def _monopoly(game: PriceGame, demand: Cheapest, listing: int, cost: float) -> float:
    """The price of a lone seller: (1/slope + c)/2 or the choke price, within the bounds."""
    wanted = min(demand.choke, game.high[listing])
    if demand.slope > 0.0:
        wanted = min(wanted, 0.5 * (1.0 / demand.slope + cost))
    return float(np.clip(wanted, game.low[listing], game.high[listing]))


def _groups(game: PriceGame) -> list[IntArray]:
    """The listings of each group that has any."""
    layout = game.market.layout
    parts = np.split(layout.group_listing, layout.group_start[1:-1])
    return [part for part in parts if part.size]


def _collects_from_rivals(game: PriceGame, group: IntArray) -> bool:
    """Whether some seller in the group also earns on others' sales there."""
    shares = game.of_price[:EVERYBODY, group]
    owned = game.market.layout.seller[group] == np.arange(len(shares))[:, None]
    return bool(((shares > 0.0) & ~owned).any(1)[owned.any(1)].any())
