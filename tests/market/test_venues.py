"""Several venues: whatever is traded, units and money are conserved, and the rules hold."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.holdings import holdings_of
from mos_agents.market.streams import Streams
from mos_agents.market.types import ORDER, Layout
from mos_agents.market.venues.build import venue_market
from mos_agents.testing.promises import bits
from tests.market.venue_worlds import play, random_market
from tests.oracles import venues as oracles

TICKS = 25_000
MARKETS = 120


def transit_of(market, state):
    return state.memory["in_transit"].sum(axis=1) if market.quotes.has_transit else 0.0


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-7)


def check_fees(market, step):
    """Who pays which fees, by hand; the platform or the world outside receives them."""
    layout, done, quotes = market.layout, step.info.executions, step.info.quotes
    owed = np.zeros(step.reward.shape)
    for view in market.quotes.views(market):
        rates = view.rates(step.state.tick - 1, quotes.ask, quotes.bid)
        fee, unit_fee, payer = rates[:, 0], rates[:, 1], view.venue.fees.payer
        for i in (*view.listings, *view.orders):
            n = layout.seller[i]
            if n == market.collector:
                continue
            if payer == "taker" and i in view.listings:
                owed[:, n] += np.nan_to_num(done.fees[:, i]) if view.venue.fees.is_charged else 0.0
                continue
            owed[:, n] += (fee * done.sold_price[:, i] + unit_fee) * done.sold[:, i]
            if payer != "seller":
                owed[:, n] += (fee * done.bought_price[:, i] + unit_fee) * done.bought[:, i]
    if market.collector >= 0:
        owed[:, market.collector] = -owed.sum(axis=1)
    close(step.info.flows.fees, owed)


def check_tick(market, before, step):
    """Everything that holds at the door of every tick."""
    layout, held = market.layout, holdings_of(market)
    quotes, done, flows = step.info.quotes, step.info.executions, step.info.flows
    positions, was = step.state.positions, before.positions
    orders = layout.kind == ORDER
    takers_pay = np.isin(
        layout.instrument,
        [
            k
            for v in market.quotes.views(market)
            if v.venue.fees.payer == "taker"
            for k in v.instruments
        ],
    )
    check_fees(market, step)

    # Limits: an order trades on its side, at most its units, at its limit or better.
    for units, price, limit, size, worst in (
        (done.bought, done.bought_price, quotes.bid, quotes.bid_size, 1.0),
        (done.sold, done.sold_price, quotes.ask, quotes.ask_size, -1.0),
    ):
        assert (units >= 0.0).all()
        assert (units[:, orders] <= size[:, orders] + 1e-9).all()
        traded = (units > 0.0) & orders
        assert (worst * (price - limit)[traded] <= 1e-9 * np.abs(limit[traded])).all()
        assert (units[:, ~orders] <= size[:, ~orders] + 1e-9).all()
        quoted = (units > 0.0) & ~orders & ~takers_pay
        close(price[quoted], limit[quoted])
    assert not ((quotes.bid_size > 0.0) & (quotes.ask_size > 0.0) & orders).any()

    # Units: every holding changes by what its slots traded, and so does the world outside.
    net = np.zeros(positions.inventory.shape)
    for i in range(layout.L):
        net[:, layout.holding[i]] += done.bought[:, i] - done.sold[:, i]
    net[:, held.made_to_order] = 0.0
    close(positions.inventory, was.inventory + net)
    for g in range(layout.n_goods):
        mine = layout.holding_good == g
        total = positions.inventory[:, mine].sum(axis=1) + positions.outside_units[:, g]
        close(total, was.inventory[:, mine].sum(axis=1) + was.outside_units[:, g])
    transit = transit_of(market, step.state)
    assert (np.asarray(transit) >= -1e-9).all()
    assert (positions.inventory - transit >= held.lower - 1e-7)[:, ~held.made_to_order].all()
    opening = market.start(1).positions.inventory[0]
    highest = np.maximum(held.upper, opening)
    assert (positions.inventory <= highest + 1e-7)[:, ~held.made_to_order].all()

    # Money: whatever somebody pays somebody else or the world outside receives.
    close(
        positions.cash.sum(axis=1) + positions.outside_cash,
        was.cash.sum(axis=1) + was.outside_cash,
    )
    for n in range(layout.N):
        own = layout.own(n)
        sold, bought = done.sold[:, own], done.bought[:, own]
        endless = market.made_to_order[own]
        cost = before.cost[:, own] * endless
        revenue = (sold * done.sold_price[:, own] + bought * cost).sum(axis=1)
        spending = (bought * done.bought_price[:, own] + sold * cost).sum(axis=1)
        close(flows.revenue[:, n], revenue)
        close(flows.spending[:, n], spending)
        close(positions.cash[:, n] - was.cash[:, n], revenue - spending - flows.fees[:, n])

    # Nobody trades with nobody: where no outsiders come, sales are purchases, in units and money.
    for view in market.quotes.views(market):
        for k in view.instruments:
            here = layout.instrument == k
            own_orders, own_quotes = here & orders, here & ~orders
            arrived = step.info.arrivals.mass[:, layout.instrument_group[k]].sum(axis=1)
            quiet = arrived == 0.0
            for a, b, pa, pb in (
                (done.sold, done.bought, done.sold_price, done.bought_price),
                (done.bought, done.sold, done.bought_price, done.sold_price),
            ):
                given, taken = (a * own_quotes).sum(axis=1), (b * own_orders).sum(axis=1)
                close(given[quiet], taken[quiet])
                assert (given >= taken - 1e-9).all()
                paid = (a * pa * own_quotes).sum(axis=1), (b * pb * own_orders).sum(axis=1)
                close(paid[0][quiet], paid[1][quiet])

    # PnL is what somebody is worth more than before.
    marks = market.positions.marks(market, before)[:, held.slot]
    next_marks = market.positions.marks(market, step.state)[:, held.slot]
    worth = np.zeros((2, *positions.cash.shape))
    for h in range(layout.H):
        owner = np.searchsorted(layout.holding_first, h, side="right") - 1
        worth[0, :, owner] += was.inventory[:, h] * marks[:, h]
        worth[1, :, owner] += positions.inventory[:, h] * next_marks[:, h]
    close(step.metrics[:, :, 0], positions.cash + worth[1] - was.cash - worth[0])


def check_clearing(market, before, step, draws):
    """The compiled clearing trades what the one in plain Python does."""
    state = before._replace(quotes=step.info.quotes)
    transit = transit_of(market, before)
    wanted = oracles.clear(market, state, step.info.quotes, step.info.arrivals, draws, transit)
    done = step.info.executions
    close(done.sold, wanted[0])
    close(done.sold * done.sold_price, wanted[1])
    close(done.bought, wanted[2])
    close(done.bought * done.bought_price, wanted[3])


@pytest.mark.parametrize("part", range(6))
def test_every_tick_of_random_markets_conserves_units_and_money_and_keeps_the_rules(part):
    """25,000 market ticks in all, of 120 markets of one to three venues."""
    per_part = MARKETS // 6
    batch = 4
    ticks = -(-TICKS // (MARKETS * batch))
    by_orders = in_transit = refused = 0.0
    for seed in range(part * per_part, (part + 1) * per_part):
        market = random_market(np.random.default_rng(seed))
        for before, step in play(market, ticks, batch, seed):
            check_tick(market, before, step)
            orders = market.layout.kind == ORDER
            by_orders += step.info.executions.bought[:, orders].sum()
            in_transit += np.sum(transit_of(market, step.state))
            refused += (step.info.refused > 0).sum()
    assert by_orders > 500.0 and in_transit > 100.0 and refused > 20


@pytest.mark.parametrize("seed", range(40))
def test_clearing_is_that_of_the_reference(seed):
    market = random_market(np.random.default_rng(seed))
    streams = Streams.of(seed, 3)
    for before, step in play(market, 6, 3, seed):
        check_clearing(market, before, step, streams.at(before.tick))


@pytest.mark.parametrize("seed", range(12))
def test_a_market_has_the_same_bits_alone_and_in_a_batch(seed):
    market = random_market(np.random.default_rng(seed))

    def of(numbers, wanted):
        row = numbers.index(wanted)
        found = []
        for _, step in play(market, 5, numbers, seed):
            executions = [a[row] for a in step.info.executions.arrays]
            state = [a[row] for a in step.state.positions]
            found.append(bits((*executions, *state, step.observation[row], step.reward[row])))
        return found

    assert of([4], 4) == of([1, 4, 0, 7], 4) == of([*range(30)], 4)


@pytest.mark.parametrize("seed", range(30))
def test_the_roster_in_another_order_is_the_same_market_up_to_names(seed):
    """Customers that choose by chance aside: they are dealt to the sellers in roster order."""
    rng = np.random.default_rng(seed)
    market = random_market(rng, chance=False)
    names = list(market.layout.participants)
    other = [names[i] for i in rng.permutation(len(names))]
    stocks = {}
    for i in range(market.layout.L):
        stocks[names[market.layout.seller[i]]] = market.catalogue.stock[i]

    def catalogue(layout: Layout):
        ones = np.ones(layout.L)
        held = np.array([stocks[layout.participants[n]] for n in layout.seller])
        return Catalogue(8.0 * ones, 10.0 * ones, 0.0 * ones, held)

    again = venue_market(
        other,
        ["platform" if name == "platform" else "firm" for name in other],
        market.quotes.venues,
        catalogue,
        positions=market.positions,
    )
    market = market.with_parts(schedule=again.schedule)
    moved = [other.index(name) for name in names]
    slots = [oracles.slot_name(again.layout, i) for i in range(again.layout.L)]
    where = [slots.index(oracles.slot_name(market.layout, i)) for i in range(market.layout.L)]
    for (_, one), (_, two) in zip(play(market, 8, 3, seed), play(again, 8, 3, seed), strict=True):
        for a, b in zip(one.info.executions.arrays, two.info.executions.arrays, strict=True):
            close(a, b[:, where])
        close(one.state.positions.cash, two.state.positions.cash[:, moved])
        assert np.array_equal(one.info.refused, two.info.refused[:, moved])
