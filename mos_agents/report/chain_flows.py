"""What flows through a chain of venues: who sells to whom at which price, and who holds what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mos_agents.analysis.price_wars import PriceWars, WarDefinition, episodes
from mos_agents.market.types import Array, IntArray
from mos_agents.report.data import Data

QUOTE, ORDER, FEE = 0, 1, 2
"""What rows of `listings` are, as the market numbers them."""

DEPTH = 0.1
"""A fall of the mean price by this share of it, in which two sellers cut, is marked as a war."""

PLURALS = {"maker": "makers", "firm": "firms", "platform": "platform", "bidder": "bidders"}


class Trades(NamedTuple):
    """Units and money [T, R] that change hands."""

    units: Array
    money: Array

    @property
    def price(self) -> float:
        """Mean price; NaN where nothing was traded."""
        units = float(self.units.sum())
        return float(self.money.sum()) / units if units > 0.0 else float("nan")


class VenueFlows(NamedTuple):
    """What was traded in one venue."""

    name: str
    instruments: IntArray
    quotes: IntArray  # rows of `listings`
    roles: tuple[str, ...]  # of those who quote
    bought_outside: Trades  # what quotes bought from outside: producers' supply
    between: Trades  # what participants' orders bought
    sold_outside: Trades  # what quotes sold to outside


def venues_of(data: Data) -> tuple[str, ...]:
    """The names of the venues, in the order in which they are cleared."""
    return tuple(dict.fromkeys(name.split(".")[0] for name in data.instruments))


def flows_of(data: Data) -> tuple[VenueFlows, ...]:
    """The flows of every venue, of all goods together."""
    found = []
    for venue in venues_of(data):
        names = enumerate(data.instruments)
        instruments = np.array([k for k, name in names if name.split(".")[0] == venue])
        here = np.isin(data.instrument, instruments)
        quotes = np.flatnonzero(here & (data.kinds == QUOTE))
        orders = np.flatnonzero(here & (data.kinds == ORDER))
        sold, bought = (_traded(data, quotes, side) for side in ("sold", "bought"))
        given, taken = (_traded(data, orders, side) for side in ("sold", "bought"))
        roles = tuple(dict.fromkeys(data.roles[n] for n in data.seller[quotes]))
        found.append(
            VenueFlows(
                venue,
                instruments,
                quotes,
                roles,
                _less(bought, given),
                taken,
                _less(sold, taken),
            )
        )
    return tuple(found)


def _traded(data: Data, rows: IntArray, side: str) -> Trades:
    units = data.listings[side][:, :, rows]
    return Trades(units.sum(axis=2), (units * data.listings[f"{side}_price"][:, :, rows]).sum(2))


def _less(all_trades: Trades, some: Trades) -> Trades:
    """Trades without some of them; rounding leaves no unit behind."""
    units = all_trades.units - some.units
    none = np.abs(units) <= 1e-9 * np.maximum(all_trades.units, 1.0)
    return Trades(np.where(none, 0.0, units), np.where(none, 0.0, all_trades.money - some.money))


class PricePart(NamedTuple):
    """What one level keeps of the last price, in money per unit."""

    name: str
    money: float


def division_of(data: Data) -> tuple[PricePart, ...]:
    """Divide the price that shoppers pay among producers, the roles of the chain, and fees.

    Each level keeps the mean price at which it sells less the one at which it buys, less its fees.
    Empty where nothing was sold to outside in the last venue.
    """
    flows = flows_of(data)
    last = flows[-1].sold_outside
    if not last.units.sum() > 0.0:
        return ()
    supplied = [flow.bought_outside.price for flow in flows if flow.bought_outside.units.any()]
    parts = [PricePart("producers", price) for price in supplied[:1]]
    paid = supplied[0] if supplied else 0.0
    for flow in flows:
        price = last.price if flow is flows[-1] else flow.between.price
        if np.isfinite(price):
            parts.append(PricePart(role_names(flow.roles), price - paid))
            paid = price
    return _with_fees(data, parts, float(last.units.mean(axis=1).sum()))


def _with_fees(data: Data, parts: list[PricePart], units: float) -> tuple[PricePart, ...]:
    """Take the fees that each role paid, per unit sold to shoppers, from its part."""
    whole = units * _ticks_per_row(data)
    paid = dict.fromkeys(data.roles, 0.0)
    for n, role in enumerate(data.roles):
        if role != "platform":
            paid[role] += float(data.total("fees")[n]) / whole
    made = []
    for part in parts:
        own = [role for role in paid if PLURALS.get(role, role) in part.name.split(" and ")]
        made.append(part._replace(money=part.money - sum(paid[role] for role in own)))
    received = sum(paid.values())
    return (*made, PricePart("fees", received)) if abs(received) > 1e-12 else tuple(made)


def _ticks_per_row(data: Data) -> float:
    """Ticks of the run for each recorded one that is looked at."""
    return data.run.ticks / max(len(data.ticks), 1)


def role_names(roles: tuple[str, ...]) -> str:
    return " and ".join(PLURALS.get(role, role) for role in roles)


def stocks_of(data: Data) -> dict[str, Array]:
    """[T] units held by each role, of all goods, mean over markets; in the order of the chain."""
    goods = [data.instruments[k].split(".", 1)[1] for k in data.instrument]
    found: dict[str, Array] = {}
    for role in dict.fromkeys(r for flow in flows_of(data) for r in flow.roles):
        rows = [
            i
            for i in range(len(goods))
            if data.roles[data.seller[i]] == role and data.kinds[i] in (QUOTE, ORDER)
        ]
        first = {(int(data.seller[i]), goods[i]): i for i in reversed(rows)}
        held = [i for i in first.values() if data.held[i]]
        if held:
            found[PLURALS.get(role, role)] = data.listings["inventory"][:, :, held].sum(2).mean(1)
    return found


def asks_of(data: Data, instrument: int) -> tuple[list[int], Array]:
    """Participants that quote an instrument, and their asks [T, N] in the first market.

    Where somebody quotes nothing, its last ask stands; before its first one, that.
    """
    rows = np.flatnonzero((data.instrument == instrument) & (data.kinds == QUOTE))
    offered = data.listings["ask_size"][:, 0, rows] > 0.0
    asks = data.listings["ask"][:, 0, rows]
    ticks = np.arange(len(asks))[:, None]
    last = np.maximum.accumulate(np.where(offered, ticks, -1), axis=0)
    last = np.where(last < 0, offered.argmax(axis=0), last)
    return [int(n) for n in data.seller[rows]], np.take_along_axis(asks, last, axis=0)


def wars_of(data: Data, instrument: int) -> PriceWars | None:
    """Price wars among those who quote an instrument, in the first market; None with one seller.

    The yardstick of a war's depth is the median price: nothing is known of equilibrium here.
    """
    sellers, asks = asks_of(data, instrument)
    level = float(np.median(asks)) if asks.size else 0.0
    definition = WarDefinition(depth=0.25, band=0.1)
    if len(sellers) < definition.firms or len(asks) <= definition.level or not level > 0.0:
        return None
    gap = level * DEPTH / definition.depth
    return episodes(asks[:, None, :], 0.0, gap, definition)


def at_war(wars: PriceWars | None, ticks: int) -> Array:
    """[T] booleans: whether a war is under way."""
    found: Array = np.zeros(ticks, np.bool_)
    if wars is not None:
        for begin, end in zip(wars.onset, wars.end, strict=True):
            found[int(begin) : (int(end) + 1 if end >= 0 else ticks)] = True
    return found
