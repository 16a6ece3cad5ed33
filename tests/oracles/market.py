"""Reference implementations of the market's rules: plain Python for each compiled loop.

They follow the text of the rules, one market, customer, order or unit at a time, and not the
compiled code. The tests compare the two. The reference of the nested logit is `LogitMarket`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, zip_longest
from typing import Any

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.metrics import MEMORY, METRICS
from mos_agents.market.quotes import BoundedQuotes, PostedPrice, TwoSided
from mos_agents.market.refusals import (
    BELOW_FLOOR,
    CROSSED,
    NOT_FINITE,
    OFF_GRID,
    OUTSIDE,
    TAKEN,
    TOO_FAST,
)
from mos_agents.market.types import Array, Arrivals, Executions, IntArray, Positions, Quotes, State

Shares = Callable[[Any], Array]  # booleans [L], who has something to sell -> shares [L]


def unit_rows(philox_key: Any, tick: Any, markets: Any, key: Any, n: Any) -> Any:
    """[B, n] uniforms of one key at one tick: numpy's own generator, one per market."""
    rows = [
        np.random.Generator(
            np.random.Philox(
                key=philox_key, counter=np.array([0, tick, int(m), key], dtype=np.uint64)
            )
        ).random(n)
        for m in markets
    ]
    return np.array(rows).reshape(len(markets), n)


def groups_of(market: Market) -> Iterator[list[int]]:
    """The listings of each choice group, in roster order."""
    for g in range(market.layout.G):
        yield [i for i in range(market.layout.L) if market.layout.group[i] == g]


# --- prominence -----------------------------------------------------------------------------------


def prominent(
    market: Market,
    scores: Array,
    offered: Any,
    ties: Array,
    most: int,
    held: tuple[Array, Array, float] | None = None,
) -> Any:
    """[L] whether each offer is prominent in one market, by the text of the rules.

    Of equal scores, a group's draw takes one after another. `held` is for the dynamic rule: who
    held the place, the last prices, and the cushion.
    """
    chosen = np.zeros(market.layout.L, np.bool_)
    for members, draw in zip(groups_of(market), ties, strict=True):
        there = [i for i in members if offered[i]]
        best: list[int] = []
        while len(best) < min(most, len(there)):
            left = [i for i in there if i not in best]
            equal = [i for i in left if scores[i] == min(scores[left])]
            best.append(equal[int(draw * len(equal))])
            draw = draw * len(equal) - int(draw * len(equal))
        if held is not None:
            holders, last, cushion = held
            for i in there:
                rivals = [scores[j] for j in there if j != i]
                undercut = any(
                    p <= scores[i] - cushion + 1e-9 * max(1.0, scores[i]) for p in rivals
                )
                if holders[i] and scores[i] <= last[i] and not undercut:
                    best = [i]
        chosen[best] = True
    return chosen


# --- quotes ---------------------------------------------------------------------------------------


def posted_price(
    rule: PostedPrice, price: float, standing: float, cost: float
) -> tuple[float, int]:
    """The price that is posted, and the rule that `price` breaks first (TAKEN: none).

    Of a rule whose tick size and limits are all given in money.
    """
    assert rule.tick_size is not None and rule.low is not None and rule.high is not None
    if not np.isfinite(price):
        return standing, NOT_FINITE
    if not rule.low <= price <= rule.high:
        return standing, OUTSIDE
    floor = max(cost * (1.0 + rule.min_margin), rule.low)
    ceiling = max(rule.high, floor)
    most = rule.max_relative_change
    near = min(max(price, standing * (1.0 - most)), standing * (1.0 + most))
    lawful = min(max(near, floor), ceiling)
    if rule.tick_size > 0.0:
        lawful = _on_grid(lawful, rule.tick_size, floor, ceiling)
    if rule.conduct == "refuse":
        if price < floor:
            return standing, BELOW_FLOOR
        if near != price:
            return standing, TOO_FAST
        if abs(lawful - price) > 1e-9 * rule.high:
            return standing, OFF_GRID
    return lawful, TAKEN


def _on_grid(price: float, tick_size: float, low: float, high: float) -> float:
    """The grid point nearest to `price` that is not above `high`, nor, above all, below `low`."""
    step = 1 / Fraction(round(1 / tick_size)) if tick_size < 1 else Fraction(tick_size)
    point = round(Fraction(price) / step)
    slack = 1e-9 * float(point)
    if float(point) > float(Fraction(high) / step) + slack:
        point -= 1
    if float(point) < float(Fraction(low) / step) - slack:
        point += 1
    return float(point * step)


def two_sided(rule: TwoSided, offset: float, spread: float, mid: float) -> tuple[float, float, int]:
    """Bid, ask, and the rule that this quote breaks first, where all limits are in money."""
    assert rule.tick_size is not None and rule.max_offset is not None
    assert rule.min_spread is not None and rule.max_spread is not None
    if not np.isfinite([offset, spread]).all():
        return np.nan, np.nan, NOT_FINITE
    if spread <= 0.0:
        return np.nan, np.nan, CROSSED
    if abs(offset) > rule.max_offset or not rule.min_spread <= spread <= rule.max_spread:
        return np.nan, np.nan, OUTSIDE
    bid, ask = mid + offset - spread / 2, mid + offset + spread / 2
    if rule.tick_size > 0.0:
        step = 1.0 / round(1.0 / rule.tick_size)
        down = np.floor(bid / step + 1e-6) * step
        up = np.ceil(ask / step - 1e-6) * step
        if rule.conduct == "refuse" and max(abs(down - bid), abs(up - ask)) > 1e-5 * step:
            return np.nan, np.nan, OFF_GRID
        bid, ask = down, up
    return bid, ask, TAKEN if bid < ask else CROSSED


def admit(
    rule: BoundedQuotes, market: Market, state: State, actions: Array, moves: Any
) -> tuple[Quotes, IntArray]:
    """Every participant in every market in turn: all its listings are taken, or none."""
    in_money = [_in_money(rule, market, i) for i in range(market.layout.L)]
    quotes = Quotes(*(a.copy() for a in state.quotes))
    mid = market.marks_of_listings(state.reference)
    refused = np.zeros(state.quotes.age.shape, np.int64)
    moves = np.broadcast_to(moves, refused.shape)
    for b, n in np.ndindex(*refused.shape):
        own = range(market.layout.first[n], market.layout.first[n + 1])
        quotes.age[b, n] += 1.0
        if moves[b, n]:
            made: list[tuple[float, ...]] = []
            for i in own:
                made.append(_listing(in_money[i], state, mid, actions, b, i))
                if made[-1][-1] != TAKEN:
                    break
            refused[b, n] = made[-1][-1] if made else TAKEN
            if refused[b, n] == TAKEN:
                quotes.age[b, n] = 0.0
                for i, (bid, bid_size, ask, ask_size, _) in zip(own, made, strict=True):
                    quotes.bid[b, i], quotes.bid_size[b, i] = bid, bid_size
                    quotes.ask[b, i], quotes.ask_size[b, i] = ask, ask_size
            elif rule.on_refusal == "withdraw":
                _withdraw(rule, quotes, b, own)
        if rule.max_age and quotes.age[b, n] > rule.max_age:
            _withdraw(rule, quotes, b, own)
    return quotes, refused


def _in_money(rule: BoundedQuotes, market: Market, i: int) -> BoundedQuotes:
    """The rule as it holds for listing i: limits that follow its reference price, in money."""
    made = rule.resolved(market)
    tick_size = float(1.0 / made.steps[i]) if made.steps[i] > 0.0 else 0.0
    low, high = float(made.low[i]), float(made.high[i])
    if isinstance(rule, TwoSided):
        return replace(
            rule,
            tick_size=tick_size,
            min_spread=low,
            max_spread=high,
            max_offset=float(made.offset[i]),
        )
    return replace(rule, tick_size=tick_size, low=low, high=high)  # type: ignore[call-arg]


def _withdraw(rule: BoundedQuotes, quotes: Quotes, b: int, own: Iterable[int]) -> None:
    for i in own:
        quotes.bid_size[b, i] = quotes.ask_size[b, i] = 0.0


def _listing(
    rule: BoundedQuotes, state: State, mid: Array, actions: Array, b: int, i: int
) -> tuple[float, ...]:
    """Bid, bid size, ask, ask size and the rule broken, for one listing's action."""
    old = state.quotes
    size = float(actions[b, i, -1]) if rule.sized else rule.size
    bad_size = NOT_FINITE if rule.sized and not np.isfinite(size) else TAKEN
    bad_size = OUTSIDE if not bad_size and not 0.0 <= size <= rule.size else bad_size
    if isinstance(rule, TwoSided):
        bid, ask, broken = two_sided(rule, actions[b, i, 0], actions[b, i, 1], mid[b, i])
        broken = _worse(bad_size, broken)
        return bid, size * (bid > 0.0), ask, size * (ask > 0.0), broken
    price = float(actions[b, i, 0])
    if isinstance(rule, PostedPrice):
        ask, broken = posted_price(rule, price, old.ask[b, i], state.cost[b, i])
        return old.bid[b, i], old.bid_size[b, i], ask, size, _worse(bad_size, broken)
    # A sealed bid: any price within the limits, whatever stood before.
    free = PostedPrice(
        rule.tick_size,
        rule.conduct,
        min_margin=-0.999,
        max_relative_change=1e300,
        low=rule.low,  # type: ignore[attr-defined]
        high=rule.high,  # type: ignore[attr-defined]
    )
    bid, broken = posted_price(free, price, 1.0, 0.0)
    return bid, size, old.ask[b, i], old.ask_size[b, i], _worse(bad_size, broken)


def _worse(bad_size: int, broken: int) -> int:
    """Numbers that are none come first, then a crossed quote, then limits, then conduct."""
    order = (NOT_FINITE, CROSSED, OUTSIDE, BELOW_FLOOR, TOO_FAST, OFF_GRID, TAKEN)
    return min(bad_size, broken, key=order.index)


# --- arrivals -------------------------------------------------------------------------------------


def poisson_count(rate: float, uniform: float) -> int:
    """The number whose cumulative probability is the first above `uniform`."""
    from scipy.stats import poisson

    k = max(int(poisson.ppf(uniform, rate)) - 2, 0)
    while poisson.cdf(k, rate) <= uniform:
        k += 1
    return k


def hawkes_path(
    uniforms: Iterator[float], excess: float, mu: float, alpha: float, beta: float, dt: float
) -> tuple[list[float], float]:
    """Event times of one self-exciting process in [0, dt], and its excitation at the end.

    Either the base rate or the excitation brings the next event, whichever is first; each waits
    until its integrated intensity reaches an exponential variate.
    """
    times: list[float] = []

    def excitation(t: float) -> float:
        return excess * np.exp(-beta * t) + sum(alpha * np.exp(-beta * (t - s)) for s in times)

    now = 0.0
    while True:
        base, excited = (-np.log(1.0 - next(uniforms)) for _ in range(2))
        waits = [base / mu if mu > 0.0 else np.inf]
        total = excitation(now) / beta  # all that the excitation will ever integrate to
        waits.append(-np.log(1.0 - excited / total) / beta if excited < total else np.inf)
        if now + min(waits) > dt:
            return times, excitation(dt)
        now += min(waits)
        times.append(now)


def sessions(
    visitors: Array,
    views: Iterator[float],
    n_products: int,
    least: int,
    most: int,
    contamination: float,
    factor: float,
) -> Iterator[tuple[list[int], bool]]:
    """What each session looks at, and whether it is a scraper's; `visitors` is [sessions, 2]."""
    deck = list(range(n_products))
    for kind, wish in visitors:
        scraper = kind < contamination
        number = least + int(wish * (most - least + 1))
        number = min(round(number * factor) if scraper else number, n_products)
        for i in range(number):
            other = i + int(next(views) * (n_products - i))
            deck[i], deck[other] = deck[other], deck[i]
        yield deck[:number], bool(scraper)


def units(counts: Array) -> list[tuple[int, int]]:
    """Group and side of each unit of one market, [G, 2] counts: buyers and sellers in turn."""
    listed = []
    for g, (buys, sells) in enumerate(counts.astype(int)):
        for buy, sell in zip_longest([(g, 0)] * buys, [(g, 1)] * sells):
            listed += [unit for unit in (buy, sell) if unit is not None]
    return listed


# --- demand ---------------------------------------------------------------------------------------


def logit(utilities: Array, nests: IntArray, nesting: float, outside: float) -> Array:
    """Shares of the offers of one group from their utilities (nested: Berry 1994)."""
    weights = np.exp(utilities / (1.0 - nesting))
    nest_weight = {h: weights[nests == h].sum() ** (1.0 - nesting) for h in set(nests.tolist())}
    total = np.exp(outside) + sum(nest_weight.values())
    within = np.array([w / weights[nests == h].sum() for w, h in zip(weights, nests, strict=True)])
    shares: Array = within * np.array([nest_weight[h] for h in nests.tolist()]) / total
    return shares


def elasticity(
    prices: Array, references: Array, base: float, exponent: float, comparison: float
) -> Array:
    """Each seller's own visitors: some want to buy, some of these leave for the cheapest."""
    n, cheapest = len(prices), prices.min()
    wants = np.minimum(base * (prices / references) ** -exponent, 1.0) / n
    stays = wants * np.exp(-comparison * (prices - cheapest) / references)
    best = prices == cheapest
    shares: Array = stays + best * (wants - stays).sum() / best.sum()
    return shares


def linear(prices: Array, intercept: float, own: float, cross: float) -> Array:
    """Quantities that clear p = a - (own - cross) q - cross sum q, for the sellers who sell.

    Tries every set of sellers: those in it sell something, those outside could not at their price.
    """
    n = len(prices)
    for size in range(n, -1, -1):
        for active in combinations(range(n), size):
            chosen = list(active)
            slopes = cross * np.ones((size, size)) + (own - cross) * np.eye(size)
            quantity = np.zeros(n)
            quantity[chosen] = np.linalg.solve(slopes, intercept - prices[chosen])
            rest = [i for i in range(n) if i not in active]
            if (quantity[chosen] > 0.0).all() and (
                intercept - cross * quantity.sum() <= prices[rest] + 1e-12
            ).all():
                return quantity
    raise ArithmeticError("no set of sellers clears the market")


def cheapest(prices: Array, choke: float, slope: float) -> Array:
    """All to the cheapest, if it is cheap enough; equal prices share."""
    best = prices == prices.min()
    wanted = max(0.0, 1.0 - slope * prices.min()) if prices.min() <= choke else 0.0
    return np.asarray(wanted * best / best.sum(), dtype=np.float64)


# --- execution: posted prices ---------------------------------------------------------------------


def sell_mass(shares: Shares, mass: Array, stock: Array, offered: Any) -> tuple[Array, ...]:
    """Sold, demand, lost [L] of one market; `mass` [L] is the demand that each listing may meet.

    A clock runs from 0 to 1 and stops at every stock-out, in whichever group it is.
    """
    demand = shares(offered) * mass
    left, sold, out_at, now = stock.copy(), np.zeros_like(stock), np.ones_like(stock), 0.0
    out_at[stock <= 0.0] = 0.0
    while now < 1.0:
        rate = shares(offered & (left > 0.0)) * mass
        with np.errstate(divide="ignore", invalid="ignore"):
            lasts = np.where(rate > 0.0, left / rate, np.inf)
        step = min(lasts.min(initial=np.inf), 1.0 - now)
        gone = lasts == step
        units_ = np.where(gone, left, rate * step)
        sold, left, now = sold + units_, np.where(gone, 0.0, left - units_), now + step
        out_at[gone & (out_at == 1.0)] = now
    return sold, demand, demand * (1.0 - out_at)


def serve(
    shares: Shares,
    customers: Iterable[tuple[Any, int, float, float]],
    stock: Array,
    offered: Any,
    uniforms: Iterable[float],
) -> tuple[Array, ...]:
    """Sold, demand, lost [L] of one market: buyers (group's listings, side, size, intent) in turn.

    Each draws one number. It says whom she would choose with everything in stock (demand). If that
    one is sold out, the place of the number within its stretch says whom she chooses instead: what
    another gains in probability by the absence of those sold out, as a share of what they had.
    """
    left = stock.copy()
    sold, demand, lost = np.zeros((3, len(stock)))
    for (listings, side, size, intent), uniform in zip(customers, uniforms, strict=True):
        if side != 0:
            continue
        first = shares(offered)[listings]
        took = wish = _pick(first * intent, uniform)
        if wish is None:
            continue
        demand[listings[wish]] += size
        here = left[listings] > 0.0
        if not here[wish]:
            ends = np.concatenate([[0.0], np.cumsum(first * intent)])
            at = (uniform - ends[wish]) / (ends[wish + 1] - ends[wish]) * first[~here].sum()
            now = shares(offered & (left > 0.0))[listings]
            took = _pick(np.where(here, np.maximum(now - first, 0.0), 0.0), at)
            lost[listings[wish]] += size
        if took is not None:
            units_ = min(size, left[listings[took]])
            sold[listings[took]] += units_
            left[listings[took]] -= units_
            if took == wish:
                lost[listings[wish]] += size - units_
    return sold, demand, lost


def _pick(probabilities: Array, uniform: float) -> int | None:
    total = 0.0
    for i, probability in enumerate(probabilities):
        total += probability
        if uniform < total:
            return i
    return None


# --- execution: order books -----------------------------------------------------------------------


def fill_order(
    size: float,
    distance: dict[Any, float],
    shown: dict[Any, float],
    room: dict[Any, float],
    reach: float,
    lot: float,
) -> tuple[dict[Any, float], dict[Any, float], dict[Any, float]]:
    """One order through one side of the book: fills, demand and lost by maker.

    The best price first, as far as the order reaches. Equal quotes share alike; odd units go one
    each to the makers from number `lot` (a share of their count) on. The first round also counts
    whom the order would have met at the opening of the tick, `shown`.
    """
    fills = dict.fromkeys(distance, 0.0)
    demand, lost = dict(fills), dict(fills)
    left, first = size, True
    while left > 0.0:
        there = {m: d for m, d in distance.items() if (shown if first else room)[m] > 0.0}
        if not there or min(there.values()) > reach:
            break
        front = [m for m, d in there.items() if d == min(there.values())]
        wanted = _split(left, front, lot)
        left = 0.0
        for m, units_ in wanted.items():
            filled = min(units_, room[m])
            fills[m] += filled
            room[m] -= filled
            left += units_ - filled
            if first:
                demand[m] += units_
                lost[m] += units_ - filled
        first = False
    return fills, demand, lost


def _split(size: float, makers: list[Any], lot: float) -> dict[Any, float]:
    n = len(makers)
    if size != int(size):
        return dict.fromkeys(makers, size / n)
    start = int(lot * n)
    favoured = {makers[(start + j) % n] for j in range(int(size) % n)}
    return {m: float(int(size) // n + (m in favoured)) for m in makers}


def fill_book(
    market: Market,
    quotes: Quotes,
    mid: Array,
    rooms: tuple[Array, Array],
    arrivals: Arrivals,
    uniforms: Array,
    kappa: float,
    scale: float,
) -> tuple[Array, Array, Array, Array]:
    """Sold, bought, demand, lost [B, L]: every order of every market through its book."""
    bought, sold, demand, lost = np.zeros((4, *mid.shape))
    listings = list(groups_of(market))
    for b in range(len(mid)):
        left = [{i: float(r[b, i]) for i in range(mid.shape[1])} for r in rooms]
        for e in range(arrivals.start[b], arrivals.start[b + 1]):
            side, own = int(arrivals.side[e]), listings[arrivals.group[e]]
            price, sign = (quotes.ask, 1.0) if side == 0 else (quotes.bid, -1.0)
            distance = {i: float(sign * (price[b, i] - mid[b, i])) for i in own}
            shown = {i: float(rooms[side][b, i]) for i in own}
            uniform = float(uniforms[e])
            reach = np.log(scale / max(uniform, 1e-300)) / kappa
            lot = (uniform * 65536.0) % 1.0
            made = fill_order(float(arrivals.size[e]), distance, shown, left[side], reach, lot)
            for i in own:
                (sold if side == 0 else bought)[b, i] += made[0][i]
                demand[b, i] += made[1][i]
                lost[b, i] += made[2][i]
    return sold, bought, demand, lost


def fill_crowd(
    mass: float, distance: Array, room: Array, kappa: float, scale: float
) -> tuple[Array, Array, Array]:
    """Fills, demand, lost of one side of one book, met by a mass of small orders over the tick."""
    fills, demand, lost, now = np.zeros_like(room), np.zeros_like(room), np.zeros_like(room), 0.0
    while now < 1.0 and mass > 0.0 and (room > fills).any():
        best = distance[room > fills].min()
        front = (distance == best) & (room > fills)
        rate = mass * min(1.0, scale * np.exp(-kappa * best)) / front.sum()
        if now == 0.0:
            demand[front] = rate
        step = min(1.0 - now, ((room - fills)[front] / rate).min())
        gone = front & ((room - fills) <= rate * step * (1.0 + 1e-12))
        fills = np.where(gone, room, fills + front * rate * step)
        now += step
        lost[gone] = demand[gone] * (1.0 - now)
    return fills, demand, lost


def auction_unit(
    bids: dict[Any, float], reserve: float, second: bool, draw: float
) -> tuple[Any, float] | None:
    """Who wins one unit at which price; None if nobody bids the reserve."""
    ranked = sorted((bid for bid in bids.values() if bid >= reserve), reverse=True)
    if not ranked:
        return None
    tied = [bidder for bidder, bid in bids.items() if bid == ranked[0]]
    price = max([reserve, *ranked[1:2]]) if second else ranked[0]
    return tied[int(draw * len(tied))], price


# --- positions ------------------------------------------------------------------------------------


def settle(
    market: Market, state: State, executions: Executions
) -> tuple[Positions, dict[str, Array]]:
    """Every payment and delivery of a tick, entered twice. Flows by name, [B, N]."""
    rule: Any = market.positions
    layout = market.layout
    after = Positions(*(a.copy() for a in state.positions))
    flows = {
        k: np.zeros_like(after.cash) for k in ("revenue", "spending", "holding", "shortage", "fees")
    }
    platform = layout.roles.index("platform") if "platform" in layout.roles else None

    def pay(b: int, n: int, kind: str, amount: Any) -> None:
        sign = 1.0 if kind == "revenue" else -1.0
        flows[kind][b, n] += amount
        after.cash[b, n] += sign * amount
        after.outside_cash[b] -= sign * amount

    def hand_over(b: int, i: int, amount: Any) -> None:
        after.inventory[b, i] -= amount
        after.outside_units[b, layout.instrument[i]] += amount

    for b, i in np.ndindex(*state.cost.shape):
        n, cost = int(layout.seller[i]), state.cost[b, i]
        stock = market.catalogue.stock[i]
        sold, bought = executions.sold[b, i], executions.bought[b, i]
        takings = sold * executions.sold_price[b, i]
        pay(b, n, "revenue", takings)
        pay(b, n, "spending", bought * executions.bought_price[b, i])
        pay(b, n, "shortage", rule.shortage_cost * executions.lost[b, i])
        outlay = bought * executions.bought_price[b, i]
        if n != platform:
            due = rule.fee * takings + rule.unit_fee * sold
            if rule.payer == "traders":
                due += rule.fee * outlay + rule.unit_fee * bought
            pay(b, n, "fees", due)
            if platform is not None:
                pay(b, platform, "fees", -due)
        if np.isinf(stock):
            pay(b, n, "spending", sold * cost)
            pay(b, n, "revenue", bought * cost)
            continue
        hand_over(b, i, sold - bought)
        target = rule.base_stock * stock
        if rule.lead_time:
            queue = [float(row) for row in state.positions.on_order[b, :, i]]
            arriving = queue.pop(0)
            missing = target - after.inventory[b, i] - arriving - sum(queue)
            after.on_order[b, :, i] = [*queue, max(missing, 0.0) if target > 0.0 else 0.0]
        else:
            arriving = max(target - after.inventory[b, i], 0.0) if target > 0.0 else 0.0
        if arriving > 0.0:
            hand_over(b, i, -arriving)
            pay(b, n, "spending", arriving * cost)
        pay(b, n, "holding", rule.holding_cost * abs(after.inventory[b, i]))
    return after, flows


def worth(market: Market, state: State) -> Array:
    """[B, N] cash and inventory at its mark."""
    held = state.positions.inventory * market.positions.marks(market, state)
    total = state.positions.cash.copy()
    for i, n in enumerate(market.layout.seller):
        total[:, n] += held[:, i]
    return total


def metrics(
    market: Market,
    before: State,
    after: State,
    arrivals: Arrivals,
    executions: Executions,
    flows: dict[str, Array],
) -> dict[str, Array]:
    """The tick's metrics by name, [B, N] each: PnL is what somebody is worth more than before."""
    layout, found = market.layout, {name: np.zeros_like(before.positions.cash) for name in METRICS}
    mark = market.positions.marks(market, before)
    now = np.where(np.isinf(market.catalogue.stock), before.cost, mark)
    later = market.positions.marks(market, after)
    looks = np.zeros_like(found["pnl"])
    for i, n in enumerate(layout.seller):
        sold, bought = executions.sold[:, i], executions.bought[:, i]
        delivered = np.zeros_like(sold)
        if np.isfinite(market.catalogue.stock[i]):
            change = after.positions.inventory[:, i] - before.positions.inventory[:, i]
            delivered = change + sold - bought
        found["units_traded"][:, n] += sold + bought
        found["conversion"][:, n] += sold
        looks[:, n] += arrivals.exposure[:, layout.group[i]]
        found["lost_opportunity"][:, n] += executions.lost[:, i] * abs(
            executions.sold_price[:, i] - now[:, i]
        )
        found["spread_capture"][:, n] += (
            sold * (executions.sold_price[:, i] - now[:, i])
            + bought * (now[:, i] - executions.bought_price[:, i])
            + delivered * (now[:, i] - before.cost[:, i])
        )
        found["inventory_pnl"][:, n] += after.positions.inventory[:, i] * (later - mark)[:, i]
        found["inventory_risk"][:, n] += (
            market.sigmas[i] * after.positions.inventory[:, i]
        ) ** 2 / 2
    found["pnl"] = worth(market, after) - worth(market, before)
    found["revenue"], found["cost"] = flows["revenue"], flows["spending"]
    found["position_cost"] = flows["holding"] + flows["shortage"]
    found["fees"], found["holding_cost"] = flows["fees"], flows["holding"]
    found["conversion"] = np.divide(
        found["conversion"], looks, out=np.zeros_like(looks), where=looks > 0.0
    )
    mean, variance = np.moveaxis(before.pnl_moments, -1, 0)
    gap = found["pnl"] - mean
    found["volatility"] = np.sqrt(MEMORY * (variance + (1.0 - MEMORY) * gap**2))
    return found


def observed(
    market: Market,
    state: State,
    arrivals: Arrivals,
    executions: Executions,
    name: str,
    n: int,
    index: IntArray,
) -> Array:
    """[B, size] what participant n sees in the field `name`, without noise."""
    delay = market.observations.delay
    if delay:
        ask, bid, ask_size, bid_size = np.moveaxis(state.quote_history[:, delay - 1], 1, 0)
    else:
        bid, bid_size, ask, ask_size, _ = state.quotes
    everything: dict[str, Array] = {
        "own_ask": state.quotes.ask,
        "own_bid": state.quotes.bid,
        "own_sold": executions.sold,
        "own_bought": executions.bought,
        "exposure": arrivals.exposure,
        "inventory": state.positions.inventory,
        "cash": state.positions.cash,
        "cost": state.cost,
        "reference": market.marks_of_listings(state.reference),
        "rival_ask": ask,
        "rival_bid": bid,
        "rival_open": ((ask_size > 0.0) | (bid_size > 0.0)).astype(np.float64),
        "clock": np.full((len(state.cost), 1), min(state.tick / market.horizon, 1.0)),
    }
    return everything[name][:, index]
