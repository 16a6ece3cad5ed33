"""What the fees of a venue come to: who owes how much for the trades of a tick."""

from __future__ import annotations

from mos_agents.market.types import Array, IntArray
from mos_agents.market.venues.matching import BOUGHT, BOUGHT_MONEY, SOLD, SOLD_MONEY
from mos_agents.market.venues.venue import VenueView


def paid_prices(rates: Array, ask: Array, bid: Array) -> tuple[Array, Array]:
    """Prices [B, L] with the fee, for those from outside who take quotes and bear it."""
    fee, unit_fee = rates[:, :1], rates[:, 1:]
    return ask * (1.0 + fee) + unit_fee, bid * (1.0 - fee) - unit_fee


def charge(
    owed: Array,
    view: VenueView,
    rates: Array,
    by_orders: Array,
    outside: Array,
    seller: IntArray,
    platform: int,
) -> None:
    """Add what a venue's slots owe.

    Parameters
    ----------
    owed : array [B, L]
        Money, added to.
    view : VenueView
        The venue.
    rates : array [B, 2] or [1, 2]
        Fee and fee per unit.
    by_orders : array [4, B, L]
        Units and money of the trades of orders, as `match_orders` gives them.
    outside : array [6, B, L]
        Units and prices of the trades with outsiders, and more. If takers bear the fee, those are
        the prices with it, and the owner of the quote hands it on.
    seller : array [L]
        The owner of each slot.
    platform : int
        The participant that receives the fees, and owes none; -1 if there is none.
    """
    fee, unit_fee = rates[:, 0], rates[:, 1]
    payer = view.venue.fees.payer
    for slots, is_order in ((view.listings, False), (view.orders, True)):
        for i in slots:
            if seller[i] == platform:
                continue
            sold, bought = by_orders[SOLD, :, i], by_orders[BOUGHT, :, i]
            income, outlay = by_orders[SOLD_MONEY, :, i], by_orders[BOUGHT_MONEY, :, i]
            out_sold, ask, out_bought, bid = outside[:4, :, i]
            if payer == "taker":
                if is_order:
                    owed[:, i] += fee * (income + outlay) + unit_fee * (sold + bought)
                else:
                    asked, bidden = (ask - unit_fee) / (1.0 + fee), (bid + unit_fee) / (1.0 - fee)
                    owed[:, i] += (fee * asked + unit_fee) * out_sold
                    owed[:, i] += (fee * bidden + unit_fee) * out_bought
                continue
            owed[:, i] += fee * (income + out_sold * ask) + unit_fee * (sold + out_sold)
            if payer == "traders":
                owed[:, i] += fee * (outlay + out_bought * bid) + unit_fee * (bought + out_bought)
