"""Compiled: fills orders from quotes. `tests/oracles/venues.py` has it in plain Python.

An order takes the best quote of its instrument first. Equal quotes share in proportion to the units
that they can still trade; an order of whole units is shared in whole units, and odd units go to the
equal quotes in the order of their random numbers. Nobody trades with itself.
"""

from __future__ import annotations

import numpy as np

from mos_agents.market.kernels import kernel

BID, BID_SIZE, ASK, ASK_SIZE = range(4)
"""Rows of a table of quotes."""
SOLD, SOLD_MONEY, BOUGHT, BOUGHT_MONEY = range(4)
"""Rows of a table of trades."""


@kernel
def match_orders(  # type: ignore[no-untyped-def]
    traded,
    at_hand,
    owned,
    quotes,
    times,
    order_slots,
    quote_slots,
    seller,
    instrument,
    holding,
    endless,
    lower,
    upper,
    delayed,
    chosen,
):
    """Fill the orders of one venue in the order of their times.

    Parameters
    ----------
    traded
        [4, B, L] units and money of sales and purchases by slot, added to.
    at_hand, owned
        [B, H] units that can be sold, and units held with those in transit; moved along.
    quotes
        [4, B, L] bids, units bid for, asks, units on offer; an order's limit stands as its bid or
        ask. Sizes are taken down by what trades.
    times
        [B, slots of the venue] random numbers of the order slots, then of the quote slots.
    order_slots, quote_slots
        The venue's slots.
    seller, instrument, holding
        [L] of each slot.
    endless, lower, upper
        [H] whether goods are made to order; limits of inventory.
    delayed
        Whether what orders buy is at hand in a later tick only.
    chosen
        [B] the only order slot that is filled, by its place in `order_slots`; empty for all.
    """
    n_orders, n_quotes = order_slots.shape[0], quote_slots.shape[0]
    queue = np.empty(n_orders, np.int64)
    available = np.empty(n_quotes)
    shares = np.empty(n_quotes)
    for b in range(traded.shape[1]):
        waiting = 0
        for o in range(n_orders):
            i = order_slots[o]
            if chosen.shape[0] > 0 and chosen[b] != o:
                continue
            if quotes[BID_SIZE, b, i] > 0.0 or quotes[ASK_SIZE, b, i] > 0.0:
                at = waiting  # insertion by time; equal times stay as they stand
                while at > 0 and times[b, queue[at - 1]] > times[b, o]:
                    queue[at] = queue[at - 1]
                    at -= 1
                queue[at] = o
                waiting += 1
        for w in range(waiting):
            i = order_slots[queue[w]]
            h = holding[i]
            buys = quotes[BID_SIZE, b, i] > 0.0
            if buys:
                limit, left = quotes[BID, b, i], quotes[BID_SIZE, b, i]
                if not endless[h]:
                    left = min(left, upper[h] - owned[b, h])
            else:
                limit, left = quotes[ASK, b, i], quotes[ASK_SIZE, b, i]
                if not endless[h]:
                    left = min(left, at_hand[b, h] - lower[h])
            while left > 0.0:
                best, total, unbounded = np.inf if buys else -np.inf, 0.0, 0
                whole = left == np.floor(left)
                for q in range(n_quotes):
                    j = quote_slots[q]
                    available[q] = 0.0
                    if instrument[j] != instrument[i] or seller[j] == seller[i]:
                        continue
                    g = holding[j]
                    if buys:
                        price, units = quotes[ASK, b, j], quotes[ASK_SIZE, b, j]
                        room = np.inf if endless[g] else at_hand[b, g] - lower[g]
                        good = price <= limit
                        better = price < best
                    else:
                        price, units = quotes[BID, b, j], quotes[BID_SIZE, b, j]
                        room = np.inf if endless[g] else upper[g] - owned[b, g]
                        good = price >= limit
                        better = price > best
                    units = min(units, room)
                    if not good or not units > 0.0:
                        continue
                    if better:
                        best, total, unbounded = price, 0.0, 0
                        for earlier in range(q):
                            available[earlier] = 0.0
                    if price == best:
                        available[q] = units
                        total += units
                        unbounded += units == np.inf
                if not total > 0.0:
                    break
                odd, last = 0.0, total > left
                if not last:
                    for q in range(n_quotes):
                        shares[q] = available[q]
                else:
                    odd = left
                    for q in range(n_quotes):
                        if available[q] > 0.0 and available[q] != np.floor(available[q]):
                            whole = False
                    for q in range(n_quotes):
                        if unbounded > 0:
                            share = left / unbounded if available[q] == np.inf else 0.0
                        else:
                            share = left * (available[q] / total)
                        shares[q] = min(np.floor(share) if whole else share, available[q])
                        odd -= shares[q]
                while whole and last and odd > 0.5:
                    gets, earliest = -1, np.inf
                    for q in range(n_quotes):
                        spare = available[q] - shares[q]
                        if spare >= 1.0 and times[b, n_orders + q] < earliest:
                            if unbounded == 0 or available[q] == np.inf:
                                gets, earliest = q, times[b, n_orders + q]
                    if gets < 0:
                        break
                    shares[gets] += 1.0
                    times[b, n_orders + gets] += 1.0  # behind all others for the next odd unit
                    odd -= 1.0
                for q in range(n_quotes):
                    units = shares[q]
                    if not units > 0.0:
                        continue
                    j = quote_slots[q]
                    g = holding[j]
                    left -= units
                    if buys:
                        quotes[ASK_SIZE, b, j] -= units
                        quotes[BID_SIZE, b, i] -= units
                        giver, taker, from_slot, to_slot = g, h, j, i
                    else:
                        quotes[BID_SIZE, b, j] -= units
                        quotes[ASK_SIZE, b, i] -= units
                        giver, taker, from_slot, to_slot = h, g, i, j
                    traded[SOLD, b, from_slot] += units
                    traded[SOLD_MONEY, b, from_slot] += units * best
                    traded[BOUGHT, b, to_slot] += units
                    traded[BOUGHT_MONEY, b, to_slot] += units * best
                    if not endless[giver]:
                        at_hand[b, giver] -= units
                        owned[b, giver] -= units
                    if not endless[taker]:
                        owned[b, taker] += units
                        if not (buys and delayed):
                            at_hand[b, taker] += units
                if last:
                    break
