"""Orders by hand: who takes whose quote, at which price, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.demand import Cheapest
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice, SealedBid, TwoSided
from mos_agents.market.refusals import BEYOND_CREDIT, CLOSED_SIDE, NOT_FINITE, OUTSIDE, TAKEN
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.market.venues.build import venue_market
from mos_agents.market.venues.fees import FixedFees
from mos_agents.market.venues.orders import LimitOrders, OrdersOnly
from mos_agents.market.venues.venue import Venue
from tests.market.venue_worlds import RETAIL, actions_of, chain, priced

LAST_TICK = {
    "maker_wholesale": (0.0, 0.5),  # 1.25 / 1.75 around a mid price of 1.5
    "firm_1_retail": (2.0,),
    "firm_2_retail": (2.0,),
}


def one_tick(market, batch=1, seed=0, **slots):
    state = market.start(batch)
    return tick(market, state, actions_of(market, batch, **(LAST_TICK | slots)), at(batch, seed))


def at(batch, seed=0, t=0):
    return Streams.of(seed, batch).at(t)


def slot(market, who, where, kind=0):
    layout = market.layout
    (i,) = (
        i
        for i in range(layout.L)
        if layout.participants[layout.seller[i]] == who
        and layout.instruments[layout.instrument[i]].split(".")[0] == where
        and layout.kind[i] == kind
    )
    return i


QUIET = {"arrivals": FixedMass(4.0), "execution": Sampled(Cheapest())}


def test_a_firm_buys_wholesale_and_sells_to_shoppers_in_the_same_tick():
    """Ten bought at 1.75; four shoppers buy from the cheaper firm at 1.9; six units are left."""
    market = chain(retail=QUIET)
    step = one_tick(market, firm_1_wholesale_order=(10.0, 1.8), firm_1_retail=(1.9,))
    done = step.info.executions
    assert done.sold[0, slot(market, "maker", "wholesale")] == 10.0
    order = slot(market, "firm_1", "wholesale", 1)
    assert (done.bought[0, order], done.bought_price[0, order]) == (10.0, 1.75)
    assert done.sold[0, slot(market, "firm_1", "retail")] == 4.0
    held = step.state.positions
    assert held.inventory.tolist() == [[0.0, 6.0, 0.0]]
    np.testing.assert_allclose(held.cash, [[7.5, 4 * 1.9 - 17.5, 0.0]])
    np.testing.assert_allclose(held.outside_cash, [10.0 - 4 * 1.9])


def test_what_is_delivered_later_is_held_at_once_and_sold_later():
    for delay in (1, 2, 3):
        market = chain({"delivery": delay}, QUIET)
        state, sold, transit = market.start(1), [], []
        for t in range(5):
            order = (10.0 if t == 0 else 0.0, 2.0)
            actions = actions_of(market, **LAST_TICK | {"firm_1_wholesale_order": order})
            actions[:, slot(market, "firm_2", "retail"), 0] = 3.0
            step = tick(market, state, actions, at(1, t=t))
            state = step.state
            sold.append(step.info.executions.sold[0, slot(market, "firm_1", "retail")])
            spec = market.spec("firm_1")
            own = spec.own(step.observation)
            transit.append(
                spec.read(own, "in_transit")[0, 0] if "in_transit" in spec.where else 0.0
            )
            assert state.positions.inventory[0, 1] == 10.0 - sum(sold)
        assert sold == ([0.0] * delay + [4.0, 4.0, 2.0, 0.0, 0.0])[:5]
        assert transit == [10.0] * (delay - 1) + [0.0] * (6 - delay)


def test_venues_are_cleared_in_their_order():
    """Where shoppers come first, goods bought in the same tick are too late for them."""
    venues = chain(retail=QUIET).quotes.venues
    market = venue_market(
        ("maker", "firm_1", "firm_2"),
        ("maker", "firm", "firm"),
        venues[::-1],
        {"wholesale": priced(1.5, 1.0, np.inf), "retail": priced(2.0, 1.5, 0.0)},
    )
    step = one_tick(market, firm_1_wholesale_order=(10.0, 1.8))
    assert step.info.executions.sold[0, slot(market, "firm_1", "retail")] == 0.0
    assert step.state.positions.inventory[0, 1] == 10.0


def makers(*people, orders=(), **wholesale):
    """A wholesale venue alone, of these dealers."""
    names = [*people, *(o for o in orders if o not in people)]
    venue = Venue("wholesale", ("apples",), people, tuple(orders), **wholesale)
    return venue_market(
        names, ["firm"] * len(names), (venue,), priced(1.5, 1.0, 30.0), positions=Ledger()
    )


def test_better_prices_trade_first_and_equal_ones_share_by_their_units():
    sized = PostedPrice(sized=True, size=100.0, min_margin=0.0)
    market = makers("a", "b", "c", "d", orders=("e",), quotes=sized)
    actions = actions_of(
        market,
        a_wholesale=(1.4, 5.0),
        b_wholesale=(1.5, 20.0),
        c_wholesale=(1.5, 10.0),
        d_wholesale=(1.6, 30.0),
        e_wholesale_order=(20.0, 1.55),
    )
    step = tick(market, market.start(1), actions, at(1))
    assert step.info.executions.sold.tolist() == [[5.0, 10.0, 5.0, 0.0, 0.0]]
    assert step.info.executions.bought[0, 4] == 20.0
    np.testing.assert_allclose(step.info.executions.bought_price[0, 4], (5 * 1.4 + 15 * 1.5) / 20)
    actions[:, 4, 0] = 80.0  # more than there is at its limit: the dearest is never reached
    step = tick(market, market.start(1), actions, at(1))
    assert step.info.executions.sold.tolist() == [[5.0, 20.0, 10.0, 0.0, 0.0]]


def test_odd_units_fall_to_equal_quotes_by_chance_and_not_by_roster():
    market = makers("a", "b", "c", orders=("d",), quotes=PostedPrice(min_margin=0.0))
    actions = actions_of(
        market, 3000, **{f"{n}_wholesale": (1.5,) for n in "abc"}, d_wholesale_order=(7.0, 1.5)
    )
    sold = tick(market, market.start(3000), actions, at(3000)).info.executions.sold[:, :3]
    assert (sold.sum(axis=1) == 7.0).all() and set(np.unique(sold)) == {2.0, 3.0}
    share = (sold == 3.0).mean(axis=0)
    assert np.abs(share - 1.0 / 3.0).max() < 4.5 * np.sqrt(2.0 / 9.0 / 3000)


def test_simultaneous_orders_are_filled_in_an_order_that_chance_decides():
    sized = PostedPrice(sized=True, size=100.0, min_margin=0.0)
    market = makers("a", orders=("b", "c"), quotes=sized)
    actions = actions_of(
        market,
        4000,
        a_wholesale=(1.5, 8.0),
        b_wholesale_order=(8.0, 1.5),
        c_wholesale_order=(8.0, 1.5),
    )
    bought = tick(market, market.start(4000), actions, at(4000)).info.executions.bought
    assert set(map(tuple, bought.tolist())) == {(0.0, 8.0, 0.0), (0.0, 0.0, 8.0)}
    assert abs((bought[:, 1] > 0.0).mean() - 0.5) < 4.5 * 0.5 / np.sqrt(4000)


def test_nobody_trades_with_itself():
    market = makers("a", "b", orders=("a",), quotes=TwoSided(tick_size=0.0, max_spread=1.0))
    for _ in range(2):
        actions = actions_of(
            market,
            a_wholesale=(0.0, 0.2),
            b_wholesale=(0.0, 0.4),
            a_wholesale_order=(5.0, 3.0),
        )
        done = tick(market, market.start(1), actions, at(1)).info.executions
        # The own ask of 1.6 is better, and a buys from b at 1.7.
        assert done.sold[0].tolist() == [0.0, 0.0, 5.0]
        assert done.bought_price[0, 1] == 1.7
    alone = makers("a", orders=("a",), quotes=PostedPrice(min_margin=0.0))
    actions = actions_of(alone, a_wholesale=(1.5,), a_wholesale_order=(5.0, 3.0))
    assert not tick(alone, alone.start(1), actions, at(1)).info.executions.bought.any()


def test_an_order_to_sell_takes_the_highest_bid():
    market = venue_market(
        ("a", "b", "c"),
        ("maker", "maker", "firm"),
        (
            Venue(
                "wholesale",
                ("apples",),
                ("a", "b"),
                ("c",),
                TwoSided(tick_size=0.0, max_spread=1.0),
                LimitOrders(sell=True),
            ),
        ),
        priced(1.5, 1.0, 30.0),
    )
    actions = actions_of(
        market, a_wholesale=(0.0, 0.4), b_wholesale=(0.0, 0.2), c_wholesale_order=(-12.0, 1.3)
    )
    step = tick(market, market.start(1), actions, at(1))
    done = step.info.executions
    assert done.bought[0].tolist() == [0.0, 12.0, 0.0] and done.sold[0, 2] == 12.0
    assert done.sold_price[0, 2] == pytest.approx(1.4)
    assert step.state.positions.inventory.tolist() == [[30.0, 42.0, 18.0]]


def test_an_order_lives_for_one_tick():
    market = chain(retail=QUIET)
    step = one_tick(market, firm_1_wholesale_order=(3.0, 2.0))
    actions = actions_of(market, **LAST_TICK)
    actions[:, slot(market, "firm_1", "wholesale", 1)] = np.nan  # refused: quotes stand, orders go
    again = tick(market, step.state, actions, at(1, t=1))
    assert again.info.refused.tolist() == [[TAKEN, NOT_FINITE, TAKEN]]
    assert not again.info.quotes.bid_size[0, slot(market, "firm_1", "wholesale", 1)]
    assert again.info.executions.bought.sum() == 0.0
    assert again.info.quotes.ask[0, slot(market, "firm_1", "retail")] == 2.0


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ((np.nan, 1.0), NOT_FINITE),
        ((3.0, np.inf), NOT_FINITE),
        ((-1.0, 1.0), CLOSED_SIDE),
        ((1001.0, 1.0), OUTSIDE),
        ((3.0, 31.0), OUTSIDE),
        ((30.0, 2.0), BEYOND_CREDIT),
    ],
)
def test_a_bad_order_is_refused_and_touches_nobody_else(order, reason):
    market = chain(retail=QUIET, positions=Ledger(endowment=20.0, credit=10.0))
    good = {"firm_2_wholesale_order": (5.0, 2.0)}
    calm = one_tick(market, **good, firm_1_wholesale_order=(0.0, 1.0))
    step = one_tick(market, **good, firm_1_wholesale_order=order, firm_1_retail=(2.3,))
    assert step.info.refused.tolist() == [[TAKEN, reason, TAKEN]]
    assert step.info.quotes.age.tolist() == [[0.0, 1.0, 0.0]]
    for name in ("sold", "bought"):
        ours, theirs = getattr(step.info.executions, name), getattr(calm.info.executions, name)
        assert np.array_equal(ours, theirs)
    assert np.array_equal(step.state.positions.cash, calm.state.positions.cash)
    # All of the participant's action is refused: its retail price stands as well.
    i = slot(market, "firm_1", "retail")
    assert step.info.quotes.ask[0, i] == market.start(1).quotes.ask[0, i]


def test_credit_counts_fees_and_all_orders_of_a_participant():
    ledger = Ledger(endowment=20.0, credit=0.0)
    fees = {"fees": FixedFees("taker", 0.1)}
    market = chain(wholesale=fees, retail=QUIET, positions=ledger)
    assert one_tick(market, firm_1_wholesale_order=(10.0, 1.8)).info.refused[0, 1] == TAKEN
    refused = one_tick(market, firm_1_wholesale_order=(10.0, 1.9)).info.refused
    assert refused[0, 1] == BEYOND_CREDIT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quoting": ("nobody",)}, "'nobody' is not one of the participants"),
        ({"goods": ()}, "goods is empty"),
        ({"quoting": ()}, "quoting is empty"),
        ({"quoting": ("maker", "maker")}, "has a name twice"),
        ({"order_time": "soon"}, "must be one of first, last, among"),
        ({"delivery": -1}, "must be >= 0 ticks"),
        ({"ordering": ()}, "nobody sends orders"),
        ({"quotes": SealedBid()}, "sealed"),
        ({"quotes": PostedPrice(), "orders": LimitOrders(sell=True)}, "nobody bids"),
        ({"orders": LimitOrders(high=1.0)}, "below the reference price"),
        ({"arrivals": FixedMass(1.0)}, "orders_only"),
    ],
)
def test_venues_that_make_no_market_are_refused_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as error:
        chain(change).specs  # noqa: B018
    assert "\n" not in str(error.value)


def test_settings_that_change_nothing_are_refused():
    lone = replace(RETAIL, quoting=("firm_1",))
    for change in ({"delivery": 2}, {"order_time": "last"}):
        with pytest.raises(InputError, match="changes nothing"):
            replace(lone, **change)
    with pytest.raises(InputError, match=r"positions.credit.*changes nothing"):
        venue_market(
            ("firm_1",), ("firm",), (lone,), priced(2.0, 1.0, 5.0), positions=Ledger(credit=5.0)
        )
    with pytest.raises(InputError, match="one holding"):
        venue_market(
            ("firm_1",),
            ("firm",),
            (lone, replace(lone, name="market")),
            {"retail": priced(2.0, 1.0, 5.0), "market": priced(2.0, 1.1, 5.0)},
        )
    with pytest.raises(InputError, match="distinct"):
        venue_market(("firm_1",), ("firm",), (lone, lone), priced(2.0, 1.0, 5.0))
    with pytest.raises(InputError, match="buy=False"):
        LimitOrders(buy=False)
    assert isinstance(chain().quotes.venues[0].execution, OrdersOnly)


@pytest.mark.parametrize("execution", [Sampled(Cheapest()), Expected(Cheapest())])
def test_an_order_among_the_arrivals_comes_at_a_random_time(execution):
    """One unit is on offer; the order and the customer who wants it too are as likely first."""
    rules = {"quotes": PostedPrice(sized=True, size=100.0, min_margin=0.0)}
    rules |= {"arrivals": FixedMass(1.0), "execution": execution}
    bought = {}
    for when in ("first", "last", "among"):
        market = makers("a", orders=("b",), order_time=when, **rules)
        actions = actions_of(market, 4000, a_wholesale=(1.5, 1.0), b_wholesale_order=(1.0, 1.5))
        done = tick(market, market.start(4000), actions, at(4000)).info.executions
        np.testing.assert_allclose(done.sold[:, 0], 1.0)
        bought[when] = done.bought[:, 1]
    assert (bought["first"] == 1.0).all() and not bought["last"].any()
    error = bought["among"].std() / np.sqrt(4000)
    assert abs(bought["among"].mean() - 0.5) < 4.5 * error
    fluid = isinstance(execution, Expected)
    assert len(np.unique(bought["among"])) > 1000 if fluid else set(bought["among"]) == {0.0, 1.0}
