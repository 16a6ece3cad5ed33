"""The compiled loops of execution: customers and orders are served in time order.

Compiled. `tests/oracles/market.py` has them in plain Python, and the tests compare the two.
"""

from __future__ import annotations

import numpy as np

from mos_agents.market.counts import units_of
from mos_agents.market.kernels import kernel
from mos_agents.market.streams import longest, take
from mos_agents.market.types import BUY, SELL

ROUNDING = 1e-9
"""What the chances of a group may add up to beyond one."""

NO_CHANCES = -1
"""In place of a number of markets: shares that are no chances."""


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
            if remaining <= 0.0 or mass[b, g, BUY] <= 0.0:
                continue
            duration, out = remaining, -1
            for j in range(group_start[g], group_start[g + 1]):
                i = group_listing[j]
                rate = shares[r, i] * mass[b, g, BUY]
                if rate > 0.0 and left[b, i] < rate * duration:
                    duration, out = left[b, i] / rate, i
            for j in range(group_start[g], group_start[g + 1]):
                i = group_listing[j]
                units = min(shares[r, i] * mass[b, g, BUY] * duration, left[b, i])
                if i == out:
                    units = left[b, i]
                sold[b, i] += units
                left[b, i] -= units
            elapsed[b, g] = elapsed[b, g] + duration if out >= 0 else 1.0
            if out >= 0:
                again[r] = True
    return again


@kernel
def serve_first(  # type: ignore[no-untyped-def]
    offered,
    ask_size,
    room,
    first,
    start,
    group,
    side,
    size,
    intent,
    counts,
    unfinished,
    group_start,
    group_listing,
    given,
    philox_key,
    tick,
    markets,
    key,
):
    """As `serve`, from the start of the tick and while everybody who quotes has stock.

    The last five are the `source` of the uniforms. Fills in counts [5, B, L]: left, sold, bought
    (nothing), demand and lost. Returns how many markets still have customers to come but somebody
    sold out; unfinished [2, B] gets every market's cursor, and then which those are. Returns
    NO_CHANCES where a group's shares are no chances: negative, or more than one together.
    """
    batch, n_listings = offered.shape
    n_groups = group_start.shape[0] - 1
    left, sold, bought, demand, lost = counts[0], counts[1], counts[2], counts[3], counts[4]
    n_unfinished = 0
    # Most views end in no purchase, and one comparison with a group's total chance tells: rounding
    # is monotone, so that nobody of intent 1 or less would find a seller below it.
    # Those who may buy are first put together without a branch, which would be hard to foretell.
    crowd, one = longest(start), np.uint64(1)
    total, uniforms, may_buy = np.empty(n_groups), np.empty(crowd + 3), np.empty(crowd, np.uint64)
    for b in range(np.uint64(batch)):
        stocked, begun, last = True, np.uint64(start[b]), np.uint64(start[b + one])
        take(
            uniforms, b, start[b + one] - start[b], start[b], given, philox_key, tick, markets, key
        )
        for j in range(np.uint64(n_listings)):
            left[b, j] = min(ask_size[b, j], room[b, j])
            sold[b, j] = bought[b, j] = demand[b, j] = lost[b, j] = 0.0
            stocked &= left[b, j] > 0.0 or not offered[b, j]
        for k in range(np.uint64(n_groups)):
            low, least = 0.0, 0.0
            for j in range(np.uint64(group_start[k]), np.uint64(group_start[k + one])):
                share = first[b, np.uint64(group_listing[j])]
                low += share
                least = min(least, share)
            total[k] = low
            if not (low <= 1.0 + ROUNDING and least >= 0.0):  # NaN, too
                return NO_CHANCES
        n_may = np.uint64(0)
        for e in range(begun, last):
            may_buy[n_may] = e
            buys = (uniforms[e - begun] < total[np.uint64(group[e])]) | (intent[e] > 1.0)
            n_may += np.uint64(buys & (side[e] == BUY))
        cursor = last if stocked else begun
        for c in range(n_may):
            if not stocked:
                break
            at = may_buy[c]
            g, wants, uniform, low = np.uint64(group[at]), intent[at], uniforms[at - begun], 0.0
            for j in range(np.uint64(group_start[g]), np.uint64(group_start[g + one])):
                i = np.uint64(group_listing[j])
                low += first[b, i] * wants
                if uniform < low:
                    units = min(size[at], left[b, i])
                    demand[b, i] += size[at]
                    sold[b, i] += units
                    left[b, i] -= units
                    lost[b, i] += size[at] - units
                    if not left[b, i] > 0.0:
                        stocked, cursor = False, at + one
                    break
        unfinished[0, b] = cursor
        if cursor < last:
            unfinished[1, n_unfinished] = b
            n_unfinished += 1
    return n_unfinished


@kernel
def serve(  # type: ignore[no-untyped-def]
    rows,
    shares,
    first,
    cursor,
    start,
    group,
    side,
    size,
    intent,
    uniforms,
    left,
    sold,
    demand,
    lost,
    group_start,
    group_listing,
):
    """Serve buyers in time order at the given shares until somebody is sold out.

    Moves `cursor`, and counts left, sold, demand and lost in place for the markets in `rows`.
    Returns which markets stopped at a stock-out with customers still to come. A customer whose
    first choice has stock buys it. One whose first choice is sold out chooses again, so that all
    together choose with the chances in `shares`. A customer whose seller runs out mid-order keeps
    the part that was filled and wants no more.
    """
    again, n_again = np.empty(rows.shape[0], np.int64), 0
    for r in range(rows.shape[0]):
        b = rows[r]
        e = cursor[b]
        while e < start[b + 1]:
            if side[e] == BUY:
                begin, end = group_start[group[e]], group_start[group[e] + 1]
                wish, taken = -1, -1
                low = high = 0.0
                for j in range(begin, end):
                    i = group_listing[j]
                    low, high = high, high + first[b, i] * intent[e]
                    if uniforms[e] < high:
                        wish = i
                        break
                if wish >= 0 and left[b, wish] > 0.0:
                    taken = wish
                elif wish >= 0:
                    # Where in the wish's stretch the number fell decides the second choice: what a
                    # listing gains by the absence of those sold out, as a share of what they had.
                    absent = gained = 0.0
                    for j in range(begin, end):
                        i = group_listing[j]
                        if left[b, i] <= 0.0:
                            absent += first[b, i]
                    at = (uniforms[e] - low) / (high - low) * absent
                    for j in range(begin, end):
                        i = group_listing[j]
                        if left[b, i] > 0.0:
                            gained += max(shares[r, i] - first[b, i], 0.0)
                            if at < gained:
                                taken = i
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
    traded,
    mass,
    start,
    group,
    side,
    size,
    uniforms,
    bid,
    ask,
    mid,
    bid_size,
    ask_size,
    buyable,
    sellable,
    group_start,
    group_listing,
    kappa,
    log_scale,
    edge,
    span,
):
    """Walk every order through the book, in time order.

    Fills in sold, bought, demand and lost, [4, B, L]. Without single orders (`group` empty) the
    mass comes unit by unit, in the order of `arrivals.one_by_one`. The chance of a trade falls
    exponentially in the distance; or, where `edge` and `span` [2] are not empty, in a straight line
    that is 0 at `edge` times the mid price and 1 nearer by `span` times it.
    """
    batch, n_listings = bid.shape
    demand, lost = traded[2], traded[3]
    rooms, rooms_left = np.empty((2, n_listings)), np.empty((2, n_listings))
    distances = np.empty((2, n_listings))
    in_bulk = group.shape[0] == 0
    for b in range(batch):
        for j in range(np.uint64(n_listings)):
            traded[0, b, j] = traded[1, b, j] = demand[b, j] = lost[b, j] = 0.0
            rooms[0, j] = rooms_left[0, j] = min(ask_size[b, j], sellable[b, j])
            rooms[1, j] = rooms_left[1, j] = min(bid_size[b, j], buyable[b, j])
            distances[0, j] = ask[b, j] - mid[b, j]
            distances[1, j] = mid[b, j] - bid[b, j]
        g, unit, units_here, in_turn, rest = np.uint64(0), 0, 0, 0, 0
        if in_bulk:
            units_here, in_turn, rest = units_of(mass, b, g)
        for order in range(start[b], start[b + 1]):
            uniform, left, first_choice = uniforms[order], 1.0, True
            if in_bulk:
                while unit == units_here:
                    g, unit = g + np.uint64(1), 0
                    units_here, in_turn, rest = units_of(mass, b, g)
                s = np.uint64(unit & 1 if unit < in_turn else rest)
                unit += 1
            else:
                left, s, g = size[order], np.uint64(side[order]), np.uint64(group[order])
            begin, end = np.uint64(group_start[g]), np.uint64(group_start[g + np.uint64(1)])
            # The farthest distance at which this order still trades.
            if edge.shape[0] == 0:
                reach = (log_scale - np.log(max(uniform, 1e-300))) / kappa
            else:
                reach = mid[b, np.uint64(group_listing[begin])] * (edge[s] - uniform * span[s])
            while left > 0.0:
                best, ties, alone = np.inf, 0, np.uint64(0)
                for j in range(begin, end):
                    i = np.uint64(group_listing[j])
                    # Room aside at first: would-be demand counts sold-out quotes as well.
                    room = rooms[s, i] if first_choice else rooms_left[s, i]
                    if room > 0.0:
                        if distances[s, i] < best:
                            best, ties, alone = distances[s, i], 1, i
                        elif distances[s, i] == best:
                            ties += 1
                if ties == 0 or best > reach:
                    break
                if ties == 1:  # the usual case, and the arithmetic of sharing is dear
                    units = min(left, rooms_left[s, alone])
                    if first_choice:
                        demand[b, alone] += left
                        lost[b, alone] += left - units
                    traded[s, b, alone] += units
                    rooms_left[s, alone] -= units
                    left, first_choice = left - units, False
                    continue
                whole = left == np.floor(left)
                share = np.floor(left / ties) if whole else left / ties
                odd = left - share * ties if whole else 0.0
                # Lots for odd units come from the same uniform's fine digits.
                lot = uniform * 65536.0 - np.floor(uniform * 65536.0)
                first_odd = np.int64(lot * ties)
                rank, unfilled = 0, 0.0
                for j in range(begin, end):
                    i = np.uint64(group_listing[j])
                    shown = rooms[s, i] if first_choice else rooms_left[s, i]
                    if distances[s, i] != best or shown <= 0.0:
                        continue
                    wanted = share
                    if (rank - first_odd) % ties < odd:
                        wanted += 1.0
                    rank += 1
                    units = min(wanted, rooms_left[s, i])
                    if first_choice:
                        demand[b, i] += wanted
                        lost[b, i] += wanted - units
                    unfilled += wanted - units
                    traded[s, b, i] += units
                    rooms_left[s, i] -= units
                left = unfilled  # exactly 0 where nobody ran out, so that the walk ends
                first_choice = False


@kernel
def fill_mass(  # type: ignore[no-untyped-def]
    mass,
    bid,
    ask,
    mid,
    bid_size,
    ask_size,
    buyable,
    sellable,
    group_start,
    group_listing,
    kappa,
    log_scale,
    edge,
    span,
):
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
            for s in (BUY, SELL):
                remaining, front, front_rate = 1.0, np.inf, 0.0
                if mass[b, g, s] <= 0.0:
                    continue
                while remaining > 0.0:
                    best, ties = np.inf, 0
                    for j in range(begin, end):
                        i = group_listing[j]
                        if s == BUY:
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
                    if edge.shape[0] == 0:
                        chance = np.exp(log_scale - kappa * best)
                    else:
                        here = max(mid[b, group_listing[begin]], 1e-300)
                        chance = (edge[s] - best / here) / span[s]
                    rate = mass[b, g, s] * min(1.0, max(chance, 0.0)) / ties
                    if rate <= 0.0:
                        break
                    first_choice = front_rate == 0.0
                    if first_choice:
                        front, front_rate = best, rate
                    duration = remaining
                    for j in range(begin, end):
                        i = group_listing[j]
                        if s == BUY:
                            room, distance = ask_room[b, i] - sold[b, i], ask[b, i] - mid[b, i]
                        else:
                            room, distance = bid_room[b, i] - bought[b, i], mid[b, i] - bid[b, i]
                        if room > 0.0 and distance == best:
                            duration = min(duration, room / rate)
                    for j in range(begin, end):
                        i = group_listing[j]
                        if s == BUY:
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
                        if s == BUY:
                            sold[b, i] = ask_room[b, i] if units == room else sold[b, i] + units
                        else:
                            bought[b, i] = bid_room[b, i] if units == room else bought[b, i] + units
                    remaining -= duration
    return traded


@kernel
def auction_units(  # type: ignore[no-untyped-def]
    start,
    group,
    side,
    size,
    uniforms,
    bid,
    bid_size,
    bid_room,
    group_start,
    group_listing,
    reserve,
    second,
):
    """Auction arriving units one by one. Returns bought, average price, demand, lost. [B, L]"""
    shape = bid.shape
    bought, paid = np.zeros(shape), np.zeros(shape)
    demand, lost = np.zeros(shape), np.zeros(shape)
    for b in range(shape[0]):
        for e in range(start[b], start[b + 1]):
            if side[e] != SELL:
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
