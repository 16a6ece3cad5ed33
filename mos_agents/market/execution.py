"""How arrivals become trades: expected or sampled choice, order fills, sealed-bid auctions.

Stock is respected in time order: once a seller is sold out, later customers choose again among the
rest. `demand` counts first choices with stock set aside; `lost` is the part of it turned away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mos_agents.market.arrivals import one_by_one
from mos_agents.market.demand import Linear
from mos_agents.market.kernels import kernel
from mos_agents.market.random import Shocks
from mos_agents.market.stages import Demand
from mos_agents.market.types import Array, Arrivals, Executions, InputError, Quotes, State

if TYPE_CHECKING:
    from mos_agents.market.tick import Market


@dataclass(frozen=True)
class Expected:
    """Shares times mass: what a crowd does on average, as in the repeated-game literature.

    Stock runs out in the middle of a tick: from that moment on the rest of the mass chooses among
    the sellers left (the fluid limit of `Sampled`).
    """

    demand: Demand

    @property
    def choice(self) -> str:
        return self.demand.choice

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, shocks: Shocks
    ) -> Executions:
        layout = market.layout
        capacity = np.minimum(quotes.ask_size, market.positions.room(market, state.positions)[0])
        offered = quotes.ask_size > 0.0
        reference = market.marks_of_listings(state.reference)
        first = self.demand.shares(market, quotes.ask, offered, reference)
        demand = first * arrivals.mass[:, layout.group, 0]
        if (demand <= capacity).all():
            return _posted(quotes, demand, demand, np.zeros_like(demand))
        sold = np.zeros_like(demand)
        elapsed = np.zeros((len(sold), layout.G))
        left = capacity.copy()
        until = np.where(left > 0.0, 1.0, 0.0)  # share of the tick with something to sell
        rows = np.arange(len(sold))
        while rows.size:
            available = offered[rows] & (left[rows] > 0.0)
            shares = self.demand.shares(market, quotes.ask[rows], available, reference[rows])
            again = sell_until_sold_out(
                rows, shares, arrivals.mass, elapsed, left, sold,
                layout.group_start, layout.group_listing,
            )  # fmt: skip
            gone = available & (left[rows] <= 0.0)
            until[rows] = np.where(gone, elapsed[rows][:, layout.group], until[rows])
            rows = rows[again]
        return _posted(quotes, sold, demand, demand * (1.0 - until))


@dataclass(frozen=True)
class Sampled:
    """Each arrival chooses, in time order, from what is still in stock."""

    demand: Demand

    def fits(self, market: Market) -> None:
        """Refuse demand of more than one unit an arrival, which no probability can express."""
        demand = self.demand
        if isinstance(demand, Linear):
            most = int(np.diff(market.layout.group_start).max())
            units = most * demand.intercept / (demand.own + (most - 1) * demand.cross)
            if units > 1.0:
                raise InputError(
                    f"intercept={demand.intercept!r} lets an arrival buy up to {units:.3g} units: "
                    "lower it (and raise the mass of arrivals), or use expected execution"
                )

    @property
    def choice(self) -> str:
        return self.demand.choice

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, shocks: Shocks
    ) -> Executions:
        layout = market.layout
        if not arrivals.group.size:
            arrivals = one_by_one(arrivals, shocks)
        uniforms = shocks.ragged("choices", arrivals.start)
        left, offered = on_offer(quotes.ask_size, market.positions.room(market, state.positions)[0])
        reference = market.marks_of_listings(state.reference)
        first = self.demand.shares(market, quotes.ask, offered, reference)
        sold, demand, lost, nothing = np.zeros((4, *left.shape))
        customers = (arrivals.start, arrivals.group, arrivals.side, arrivals.size,
                     arrivals.intent, uniforms)  # fmt: skip
        book = (left, sold, demand, lost, layout.group_start, layout.group_listing)
        cursor, rows = serve_first(offered, first, *customers, *book)
        while rows.size:
            available = offered[rows] & (left[rows] > 0.0)
            shares = self.demand.shares(market, quotes.ask[rows], available, reference[rows])
            rows = serve(rows, shares, first, cursor, *customers, *book)
        return Executions(sold, quotes.ask, nothing, quotes.bid, demand, lost)


@dataclass(frozen=True)
class FillIntensity:
    """Orders against two-sided quotes: the farther from the mid, the fewer trade.

    An order trades at a quote that is `distance` from the mid with probability
    min(1, scale exp(-kappa distance) (1 + volatility_boost sigma)) (Avellaneda and Stoikov 2008).
    It walks the book: the best quote is hit first, equal quotes share, each unit is sold once.
    """

    kappa: float = 1.5
    scale: float = 1.0
    volatility_boost: float = 0.5
    expected: bool = False

    choice = "within"

    def __post_init__(self) -> None:
        for name in ("kappa", "scale"):
            if not 0.0 < getattr(self, name) < np.inf:
                raise InputError(f"{name}={getattr(self, name)!r} must be > 0")
        if self.volatility_boost < 0.0:
            raise InputError(f"volatility_boost={self.volatility_boost!r} must be >= 0")

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, shocks: Shocks
    ) -> Executions:
        layout = market.layout
        sellable, buyable = market.positions.room(market, state.positions)
        mid = market.marks_of_listings(state.reference)
        log_scale = np.log(self.scale * (1.0 + self.volatility_boost * market.reference.sigma))
        book = (quotes.bid, quotes.ask, mid, quotes.bid_size, quotes.ask_size, buyable, sellable,
                layout.group_start, layout.group_listing, self.kappa, log_scale)  # fmt: skip
        if self.expected:
            sold, bought, demand, lost = fill_mass(arrivals.mass, *book)
        else:
            if not arrivals.group.size:
                arrivals = one_by_one(arrivals, shocks)
            sold, bought, demand, lost = fill_orders(
                arrivals.start, arrivals.group, arrivals.side, arrivals.size,
                shocks.ragged("choices", arrivals.start), *book,
            )  # fmt: skip
        return Executions(sold, quotes.ask, bought, quotes.bid, demand, lost)


@dataclass(frozen=True)
class Auction:
    """A sealed-bid auction of every instrument's supply, unit by unit (Vickrey 1961).

    The highest bid of at least the `reserve` wins a unit; it pays its bid ("first") or the larger
    of the next bid and the reserve ("second"). Equal bids draw lots. The supply is what arrives on
    the selling side.
    """

    price: str = "first"
    reserve: float = 0.0

    choice = "within"

    def __post_init__(self) -> None:
        if self.price not in ("first", "second"):
            raise InputError(f"price={self.price!r} must be 'first' or 'second'")
        if not 0.0 <= self.reserve < np.inf:
            raise InputError(f"reserve={self.reserve!r} must be >= 0")

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, shocks: Shocks
    ) -> Executions:
        if not arrivals.group.size:
            arrivals = one_by_one(arrivals, shocks)
        layout = market.layout
        room = np.minimum(quotes.bid_size, market.positions.room(market, state.positions)[1])
        bought, price, demand, lost = auction_units(
            arrivals.start, arrivals.group, arrivals.side, arrivals.size,
            shocks.ragged("choices", arrivals.start), quotes.bid, quotes.bid_size, room,
            layout.group_start, layout.group_listing, self.reserve, self.price == "second",
        )  # fmt: skip
        return Executions(np.zeros_like(bought), quotes.ask, bought, price, demand, lost)


def _posted(quotes: Quotes, sold: Array, demand: Array, lost: Array) -> Executions:
    return Executions(sold, quotes.ask, np.zeros_like(sold), quotes.bid, demand, lost)


@kernel
def sell_until_sold_out(rows, shares, mass, elapsed, left, sold, group_start, group_listing):  # type: ignore[no-untyped-def]
    """Sell at constant shares until the first stock-out of a group, or the tick's end.

    Updates elapsed [B, G], left and sold [B, L] for the markets in `rows`; returns which of them
    go on with fewer sellers.
    """
    again = np.zeros(rows.shape[0], np.bool_)
    for r in range(rows.shape[0]):
        b = rows[r]
        for g in range(group_start.shape[0] - 1):
            remaining = 1.0 - elapsed[b, g]
            if remaining <= 0.0 or mass[b, g, 0] <= 0.0:
                continue
            duration, out = remaining, -1
            for j in range(group_start[g], group_start[g + 1]):
                i = group_listing[j]
                rate = shares[r, i] * mass[b, g, 0]
                if rate > 0.0 and left[b, i] < rate * duration:
                    duration, out = left[b, i] / rate, i
            for j in range(group_start[g], group_start[g + 1]):
                i = group_listing[j]
                units = min(shares[r, i] * mass[b, g, 0] * duration, left[b, i])
                if i == out:
                    units = left[b, i]
                sold[b, i] += units
                left[b, i] -= units
            elapsed[b, g] = elapsed[b, g] + duration if out >= 0 else 1.0
            if out >= 0:
                again[r] = True
    return again


@kernel
def on_offer(size, room):  # type: ignore[no-untyped-def]
    """Units on offer, and who quotes at all. [B, L] each."""
    left, offered = np.empty(size.shape), np.empty(size.shape, np.bool_)
    for b in range(size.shape[0]):
        for i in range(size.shape[1]):
            left[b, i] = min(size[b, i], room[b, i])
            offered[b, i] = size[b, i] > 0.0
    return left, offered


@kernel
def serve_first(  # type: ignore[no-untyped-def]
    offered, first, start, group, side, size, intent, uniforms, left, sold, demand, lost,
    group_start, group_listing,
):  # fmt: skip
    """As `serve`, from the start of the tick and while everybody who quotes has stock.

    Returns the cursor [B] and the markets that still have customers to come but somebody sold out.
    """
    batch, n_listings = offered.shape
    cursor = start[:-1].copy()
    again, n_again = np.empty(batch, np.int64), 0
    for b in range(batch):
        e, last = start[b], start[b + 1]
        stocked = True
        for i in range(n_listings):
            stocked &= left[b, i] > 0.0 or not offered[b, i]
        while stocked and e < last:
            if side[e] == 0:
                uniform, wants, low = uniforms[e], intent[e], 0.0
                for j in range(group_start[group[e]], group_start[group[e] + 1]):
                    i = group_listing[j]
                    low += first[b, i] * wants
                    if uniform < low:
                        units = min(size[e], left[b, i])
                        demand[b, i] += size[e]
                        sold[b, i] += units
                        left[b, i] -= units
                        lost[b, i] += size[e] - units
                        stocked = left[b, i] > 0.0
                        break
            e += 1
        cursor[b] = e
        if e < last:
            again[n_again] = b
            n_again += 1
    return cursor, again[:n_again]


@kernel
def serve(  # type: ignore[no-untyped-def]
    rows, shares, first, cursor, start, group, side, size, intent, uniforms, left, sold, demand,
    lost, group_start, group_listing,
):  # fmt: skip
    """Serve buyers in time order at the given shares until somebody is sold out.

    Moves `cursor`, and books left, sold, demand and lost in place for the markets in `rows`.
    Returns which markets stopped at a stock-out with customers still to come. A customer whose
    seller runs out mid-order keeps the part that was filled and wants no more.
    """
    again, n_again = np.empty(rows.shape[0], np.int64), 0
    for r in range(rows.shape[0]):
        b = rows[r]
        e = cursor[b]
        while e < start[b + 1]:
            if side[e] == 0:
                begin, end = group_start[group[e]], group_start[group[e] + 1]
                wish, taken = -1, -1
                low_wish = low_taken = 0.0
                for j in range(begin, end):
                    i = group_listing[j]
                    low_wish += first[b, i] * intent[e]
                    low_taken += shares[r, i] * intent[e]
                    if wish < 0 and uniforms[e] < low_wish:
                        wish = i
                    if taken < 0 and uniforms[e] < low_taken:
                        taken = i
                    if wish >= 0 and taken >= 0:
                        break
                if wish >= 0:
                    demand[b, wish] += size[e]
                    if left[b, wish] <= 0.0:
                        lost[b, wish] += size[e]
                if taken >= 0:
                    units = min(size[e], left[b, taken])
                    sold[b, taken] += units
                    left[b, taken] -= units
                    if taken == wish:
                        lost[b, wish] += size[e] - units
                    if left[b, taken] <= 0.0:
                        e += 1
                        if e < start[b + 1]:
                            again[n_again] = b
                            n_again += 1
                        break
            e += 1
        cursor[b] = e
    return again[:n_again]


@kernel
def fill_orders(  # type: ignore[no-untyped-def]
    start, group, side, size, uniforms, bid, ask, mid, bid_size, ask_size, buyable, sellable,
    group_start, group_listing, kappa, log_scale,
):  # fmt: skip
    """Walk every order through the book, in time order.

    Returns sold, bought, demand and lost, [4, B, L].
    """
    batch, n_listings = bid.shape
    traded = np.zeros((4, batch, n_listings))
    demand, lost = traded[2], traded[3]
    rooms, distances = np.empty((2, batch, n_listings)), np.empty((2, batch, n_listings))
    for b in range(batch):
        for i in range(n_listings):
            rooms[0, b, i] = min(ask_size[b, i], sellable[b, i])
            rooms[1, b, i] = min(bid_size[b, i], buyable[b, i])
            distances[0, b, i] = ask[b, i] - mid[b, i]
            distances[1, b, i] = mid[b, i] - bid[b, i]
    rooms_left = rooms.copy()
    for b in range(batch):
        for e in range(start[b], start[b + 1]):
            # The farthest distance at which this order still trades.
            reach = (log_scale - np.log(max(uniforms[e], 1e-300))) / kappa
            left, first_choice, s = size[e], True, side[e]
            begin, end = group_start[group[e]], group_start[group[e] + 1]
            while left > 0.0:
                best, ties, alone = np.inf, 0, -1
                for j in range(begin, end):
                    i = group_listing[j]
                    # Room aside at first: would-be demand counts sold-out quotes as well.
                    room = rooms[s, b, i] if first_choice else rooms_left[s, b, i]
                    if room > 0.0:
                        if distances[s, b, i] < best:
                            best, ties, alone = distances[s, b, i], 1, i
                        elif distances[s, b, i] == best:
                            ties += 1
                if ties == 0 or best > reach:
                    break
                if ties == 1:  # the usual case, and the arithmetic of sharing is dear
                    units = min(left, rooms_left[s, b, alone])
                    if first_choice:
                        demand[b, alone] += left
                        lost[b, alone] += left - units
                    traded[s, b, alone] += units
                    rooms_left[s, b, alone] -= units
                    left, first_choice = left - units, False
                    continue
                whole = left == np.floor(left)
                share = np.floor(left / ties) if whole else left / ties
                odd = left - share * ties if whole else 0.0
                # Lots for odd units come from the same uniform's fine digits.
                lot = uniforms[e] * 65536.0 - np.floor(uniforms[e] * 65536.0)
                first_odd = np.int64(lot * ties)
                rank, unfilled = 0, 0.0
                for j in range(begin, end):
                    i = group_listing[j]
                    shown = rooms[s, b, i] if first_choice else rooms_left[s, b, i]
                    if distances[s, b, i] != best or shown <= 0.0:
                        continue
                    wanted = share
                    if (rank - first_odd) % ties < odd:
                        wanted += 1.0
                    rank += 1
                    units = min(wanted, rooms_left[s, b, i])
                    if first_choice:
                        demand[b, i] += wanted
                        lost[b, i] += wanted - units
                    unfilled += wanted - units
                    traded[s, b, i] += units
                    rooms_left[s, b, i] -= units
                left = unfilled  # exactly 0 where nobody ran out, so that the walk ends
                first_choice = False
    return traded


@kernel
def fill_mass(  # type: ignore[no-untyped-def]
    mass, bid, ask, mid, bid_size, ask_size, buyable, sellable, group_start, group_listing, kappa,
    log_scale,
):  # fmt: skip
    """Expected fills of a mass of orders: the best quote trades alone until its size is gone.

    Returns sold, bought, demand and lost, [4, B, L].
    """
    shape = bid.shape
    traded = np.zeros((4, *shape))
    sold, bought, demand, lost = traded[0], traded[1], traded[2], traded[3]
    ask_room, bid_room = np.minimum(ask_size, sellable), np.minimum(bid_size, buyable)
    for b in range(shape[0]):
        for g in range(group_start.shape[0] - 1):
            begin, end = group_start[g], group_start[g + 1]
            for s in range(2):
                remaining, front, front_rate = 1.0, np.inf, 0.0
                if mass[b, g, s] <= 0.0:
                    continue
                while remaining > 0.0:
                    best, ties = np.inf, 0
                    for j in range(begin, end):
                        i = group_listing[j]
                        if s == 0:
                            room, distance = ask_room[b, i] - sold[b, i], ask[b, i] - mid[b, i]
                        else:
                            room, distance = bid_room[b, i] - bought[b, i], mid[b, i] - bid[b, i]
                        if room > 0.0:
                            if distance < best:
                                best, ties = distance, 1
                            elif distance == best:
                                ties += 1
                    if ties == 0:
                        break
                    rate = mass[b, g, s] * min(1.0, np.exp(log_scale - kappa * best)) / ties
                    if rate <= 0.0:
                        break
                    first_choice = front_rate == 0.0
                    if first_choice:
                        front, front_rate = best, rate
                    duration = remaining
                    for j in range(begin, end):
                        i = group_listing[j]
                        if s == 0:
                            room, distance = ask_room[b, i] - sold[b, i], ask[b, i] - mid[b, i]
                        else:
                            room, distance = bid_room[b, i] - bought[b, i], mid[b, i] - bid[b, i]
                        if room > 0.0 and distance == best:
                            duration = min(duration, room / rate)
                    for j in range(begin, end):
                        i = group_listing[j]
                        if s == 0:
                            room, distance = ask_room[b, i] - sold[b, i], ask[b, i] - mid[b, i]
                        else:
                            room, distance = bid_room[b, i] - bought[b, i], mid[b, i] - bid[b, i]
                        if room <= 0.0 or distance != best:
                            continue
                        units = rate * duration
                        if units >= room * (1.0 - 1e-12):
                            units = room  # sold out to the last unit, so that the loop ends
                            if best == front:
                                lost[b, i] += front_rate * (remaining - duration)
                        if first_choice:
                            demand[b, i] += rate
                        if s == 0:
                            sold[b, i] = ask_room[b, i] if units == room else sold[b, i] + units
                        else:
                            bought[b, i] = bid_room[b, i] if units == room else bought[b, i] + units
                    remaining -= duration
    return traded


@kernel
def auction_units(  # type: ignore[no-untyped-def]
    start, group, side, size, uniforms, bid, bid_size, bid_room, group_start, group_listing,
    reserve, second,
):  # fmt: skip
    """Auction arriving units one by one. Returns bought, average price, demand, lost. [B, L]"""
    shape = bid.shape
    bought, paid = np.zeros(shape), np.zeros(shape)
    demand, lost = np.zeros(shape), np.zeros(shape)
    for b in range(shape[0]):
        for e in range(start[b], start[b + 1]):
            if side[e] != 1:
                continue
            left, draw = size[e], uniforms[e]
            begin, end = group_start[group[e]], group_start[group[e] + 1]
            while left > 0.0:
                best, ties, price = -1.0, 0, reserve
                for j in range(begin, end):
                    i = group_listing[j]
                    if bid_room[b, i] - bought[b, i] <= 0.0 or bid[b, i] < reserve:
                        continue
                    if bid[b, i] > best:
                        price = max(reserve, best)
                        best, ties = bid[b, i], 1
                    elif bid[b, i] == best:
                        ties += 1
                        price = best
                    else:
                        price = max(price, bid[b, i])
                if ties == 0:
                    break
                winner, rank = np.int64(draw * ties), 0
                draw = draw * ties - winner  # what is left of the draw is uniform again
                for j in range(begin, end):
                    i = group_listing[j]
                    if bid_room[b, i] - bought[b, i] <= 0.0 or bid[b, i] != best:
                        continue
                    if rank == winner:
                        units = min(left, bid_room[b, i] - bought[b, i], 1.0)
                        bought[b, i] += units
                        paid[b, i] += units * (price if second else best)
                        left -= units
                    rank += 1
    for b in range(shape[0]):
        for i in range(shape[1]):
            demand[b, i] = bought[b, i]
            paid[b, i] = paid[b, i] / bought[b, i] if bought[b, i] > 0.0 else bid[b, i]
    return bought, paid, demand, lost
