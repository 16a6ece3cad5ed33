"""The clearing of several venues in plain Python, one order and one quote at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from mos_agents.market.counts import one_by_one
from mos_agents.market.holdings import holdings_of
from mos_agents.market.types import Arrivals, Quotes


def clear(market: Any, state: Any, quotes: Any, arrivals: Any, draws: Any, transit: Any) -> Any:
    """What every slot sold and bought, units and money: [4, B, L]."""
    held = holdings_of(market)
    batch, n_slots = quotes.ask.shape
    book = np.array(quotes[:4])
    owned = state.positions.inventory.copy()
    at_hand = owned - transit
    trades = np.zeros((4, batch, n_slots))
    for view in market.quotes.views(market):
        venue, slots = view.venue, np.concatenate([view.orders, view.listings])
        names = [slot_name(market.layout, i) for i in slots]
        drawn = view.draws(draws).uniforms("order times", slots.size) if view.orders.size else None
        if drawn is not None:
            rank = {name: r for r, name in enumerate(sorted(names))}
            drawn = drawn[:, [rank[name] for name in names]]
        here, own = view.arrivals(arrivals), view.draws(draws)
        if drawn is not None and venue.order_time == "first":
            _orders(market, view, held, trades, book, owned, at_hand, drawn)
        if drawn is not None and venue.order_time == "among":
            for part, numbers, turn in _parts(view, here, own, drawn[:, : view.orders.size]):
                _outsiders(view, held, trades, book, owned, at_hand, state, quotes, part, numbers)
                if turn is not None:
                    _orders(market, view, held, trades, book, owned, at_hand, drawn, turn)
            continue
        _outsiders(view, held, trades, book, owned, at_hand, state, quotes, here, own)
        if drawn is not None and venue.order_time == "last":
            _orders(market, view, held, trades, book, owned, at_hand, drawn)
    return trades


def slot_name(layout: Any, i: int) -> tuple[str, int, str]:
    """Whose slot it is, its kind, and its name."""
    return (
        layout.participants[layout.seller[i]],
        int(layout.kind[i]),
        layout.slot_names[i],
    )


def _outsiders(view, held, trades, book, owned, at_hand, state, quotes, arrivals, draws):
    own, h = view.listings, view.holdings
    bid, bid_size, ask, ask_size = (side[:, own] for side in book)
    bid_size = np.minimum(bid_size, np.maximum(held.upper[h] - owned[:, h], 0.0))
    if view.venue.fees.payer == "taker":  # who takes a quote sees its price with the fee
        fee, unit_fee = view.rates(state.tick, quotes.ask, quotes.bid).T[:, :, None]
        ask, bid = (1.0 + fee) * ask + unit_fee, (1.0 - fee) * bid - unit_fee
    done = view.venue.execution.execute(
        view.market,
        view.state(state, np.maximum(at_hand, held.lower)),
        Quotes(*(np.ascontiguousarray(a) for a in (bid, bid_size, ask, ask_size)), quotes.age),
        arrivals,
        draws,
    )
    for j, i in enumerate(own):
        trades[0][:, i] += done.sold[:, j]
        trades[1][:, i] += done.sold[:, j] * done.sold_price[:, j]
        trades[2][:, i] += done.bought[:, j]
        trades[3][:, i] += done.bought[:, j] * done.bought_price[:, j]
        book[3][:, i] -= done.sold[:, j]
        book[1][:, i] -= done.bought[:, j]
        if not held.made_to_order[h[j]]:
            owned[:, h[j]] += done.bought[:, j] - done.sold[:, j]
            at_hand[:, h[j]] += done.bought[:, j] - done.sold[:, j]


class PartOfDraws:
    """A market's numbers for some of its arrivals; for anything else, those of a key of its own."""

    def __init__(self, draws, number, start, first):
        self.draws, self.number, self.start, self.first = draws, number, start, first

    def uniforms(self, key, n):
        return self.draws.uniforms(f"{key} {self.number}", n)

    def block_uniforms(self, key, n):
        return self.draws.block_uniforms(f"{key} {self.number}", n)

    def ragged(self, key, start):
        numbers, found = self.draws.ragged(key, self.start), []
        for b, first in enumerate(self.first):
            begin = self.start[b] + first
            found += list(numbers[begin : begin + start[b + 1] - start[b]])
        return np.array(found, dtype=float)


def _parts(view, arrivals, draws, times):
    """The arrivals before each order, their draws, and whose turn it is then in each market."""
    mass_trades = type(view.venue.execution).__name__ in ("Expected", "OrdersOnly") or getattr(
        view.venue.execution, "expected", False
    )
    if not mass_trades and not arrivals.group.size:
        arrivals = one_by_one(arrivals, draws)
    batch, many = times.shape
    turns = [sorted(range(many), key=lambda o, b=b: times[b, o]) for b in range(batch)]
    done, since = [0] * batch, [0.0] * batch
    for s in range(many + 1):
        kept, start, mass = [], [0], np.zeros(arrivals.mass.shape)
        first = list(done)
        for b in range(batch):
            count = int(arrivals.start[b + 1] - arrivals.start[b])
            until = times[b, turns[b][s]] if s < many else 1.0
            end = int(until * (count + 1)) if s < many else count
            for e in range(arrivals.start[b] + done[b], arrivals.start[b] + end):
                kept.append(e)
                if not mass_trades:
                    mass[b, arrivals.group[e], arrivals.side[e]] += arrivals.size[e]
            if mass_trades:
                mass[b] = arrivals.mass[b] * (until - since[b])
            done[b], since[b] = end, until
            start.append(len(kept))
        kept = np.array(kept, dtype=int)
        singles = [a[kept] for a in arrivals[3:7]] if arrivals.group.size else arrivals[3:7]
        part = Arrivals(mass, arrivals.exposure, np.array(start), *singles)
        turn = [turns[b][s] for b in range(batch)] if s < many else None
        yield part, PartOfDraws(draws, s, arrivals.start, first), turn


def _orders(market, view, held, trades, book, owned, at_hand, drawn, turn=None):
    layout, many = market.layout, view.orders.size
    for b in range(len(owned)):
        time = {int(i): drawn[b, s] for s, i in enumerate([*view.orders, *view.listings])}
        queue = sorted((int(i) for i in view.orders), key=lambda i: time[i])
        if turn is not None:
            queue = [int(view.orders[turn[b]])]
        for i in queue:
            for side in ("buy", "sell"):
                size_row, price_row = (1, 0) if side == "buy" else (3, 2)
                left = book[size_row, b, i]
                if left <= 0.0:
                    continue
                own = layout.holding[i]
                if not held.made_to_order[own]:
                    room = (
                        held.upper[own] - owned[b, own]
                        if side == "buy"
                        else at_hand[b, own] - held.lower[own]
                    )
                    left = min(left, room)
                limit = book[price_row, b, i]
                while left > 0.0:
                    found = _best(layout, view, held, book, owned, at_hand, b, i, side, limit)
                    if not found:
                        break
                    shares, done = _shares(found, left, time)
                    for j, units in shares.items():
                        price = book[2 if side == "buy" else 0, b, j]
                        book[3 if side == "buy" else 1, b, j] -= units
                        book[size_row, b, i] -= units
                        giver, taker = (j, i) if side == "buy" else (i, j)
                        trades[0, b, giver] += units
                        trades[1, b, giver] += units * price
                        trades[2, b, taker] += units
                        trades[3, b, taker] += units * price
                        for slot, change in ((giver, -units), (taker, units)):
                            h = layout.holding[slot]
                            if not held.made_to_order[h]:
                                owned[b, h] += change
                                late = slot == i and side == "buy" and view.venue.delivery > 0
                                at_hand[b, h] += 0.0 if late else change
                        left -= units
                    if done:
                        break
    assert many


def _best(layout, view, held, book, owned, at_hand, b, i, side, limit):
    """Units that the best quotes can trade with an order, by slot."""
    offers = {}
    for j in (int(j) for j in view.listings):
        if layout.instrument[j] != layout.instrument[i] or layout.seller[j] == layout.seller[i]:
            continue
        h = layout.holding[j]
        price = book[2 if side == "buy" else 0, b, j]
        units = book[3 if side == "buy" else 1, b, j]
        if not held.made_to_order[h]:
            units = min(
                units,
                at_hand[b, h] - held.lower[h] if side == "buy" else held.upper[h] - owned[b, h],
            )
        within = price <= limit if side == "buy" else price >= limit
        if within and units > 0.0:
            offers[j] = (price, units)
    if not offers:
        return {}
    best = (min if side == "buy" else max)(price for price, _ in offers.values())
    return {j: units for j, (price, units) in offers.items() if price == best}


def _shares(available, left, time):
    """Units of an order that each of the equal quotes trades, and whether the order is done."""
    total = sum(available.values())
    if total <= left:
        return dict(available), False
    endless = [j for j, units in available.items() if units == np.inf]
    if endless:
        shares = dict.fromkeys(endless, left / len(endless))
        spare = dict.fromkeys(endless, np.inf)
    else:
        shares = {j: left * (units / total) for j, units in available.items()}
        spare = dict(available)
    if left == np.floor(left) and all(u == np.floor(u) or u == np.inf for u in available.values()):
        shares = {j: float(np.floor(units)) for j, units in shares.items()}
        odd = left - sum(shares.values())
        while odd > 0.5:
            j = min((j for j in shares if spare[j] - shares[j] >= 1.0), key=time.__getitem__)
            shares[j] += 1.0
            time[j] += 1.0
            odd -= 1.0
    return {j: units for j, units in shares.items() if units > 0.0}, True
