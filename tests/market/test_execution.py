"""How arrivals become trades: never a bad fill, the crowd's average, sold-out sellers, auctions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mos_agents.market.arrivals import FixedMass, Poisson
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.execution import Auction, Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.stages import Demand
from mos_agents.market.streams import FixedDraws, Streams
from mos_agents.market.types import BUY, SELL, Arrivals, InputError, Quotes
from tests.market.worlds import auction, differentiated, makers, retail
from tests.oracles import market as oracles

DEMANDS = [Logit(), Logit(nesting=0.5), Elasticity(), Linear(60.0, 150.0, 50.0), Cheapest(40.0)]
names = [f"{type(d).__name__}{i}" for i, d in enumerate(DEMANDS)]


# --- bad fills ------------------------------------------------------------------------------------


def random_book(rng: np.random.Generator, market: Market, whole: bool) -> tuple[Any, ...]:
    """Quotes with many ties and small sizes around a mid of 100, inventories near their limits."""
    layout, batch = market.layout, 10
    shape = (batch, layout.L)
    grid = rng.choice([0.05, 0.25, 1.0])
    half = np.round(rng.exponential(0.6, (2, *shape)) / grid) * grid
    offset = np.round(rng.normal(0.0, 0.3, shape) / grid) * grid
    sizes = rng.choice([0.0, 1.0, 3.0, 10.0, np.inf], (2, *shape))
    inventory = np.round(rng.uniform(-60.0, 60.0, shape))
    if not whole:
        sizes, inventory = sizes * 0.7, inventory * 0.9
    quotes = Quotes(
        100.0 + offset - half[0],
        sizes[0],
        100.0 + offset + half[1],
        sizes[1],
        np.zeros((batch, layout.N)),
    )
    state = market.start(batch)
    state = state._replace(quotes=quotes, positions=state.positions._replace(inventory=inventory))
    start = np.concatenate(([0], np.cumsum(rng.integers(0, 12, batch))))
    n = start[-1]
    size = rng.integers(1, 40, n).astype(float) if whole else rng.exponential(8.0, n)
    group, side = rng.integers(0, layout.G, n), rng.integers(0, 2, n)
    mass = np.zeros((batch, layout.G, 2))
    np.add.at(mass, (np.repeat(np.arange(batch), np.diff(start)), group, side), size)
    arrivals = Arrivals(mass, mass.sum(-1), start, group, side, size, np.ones(n))
    return state, arrivals


def check_fills(market: Market, state: Any, arrivals: Arrivals, ours: Any, slack: float) -> None:
    """What holds for any fill, said without the rule itself."""
    quotes, inventory = state.quotes, state.positions.inventory
    assert np.array_equal(ours.sold_price, quotes.ask)  # never outside the quote
    assert np.array_equal(ours.bought_price, quotes.bid)
    assert (ours.sold >= 0.0).all() and (ours.bought >= 0.0).all()
    assert (ours.sold <= quotes.ask_size + slack).all()  # never above size or limit
    assert (ours.bought <= quotes.bid_size + slack).all()
    # A side that is past its limit already trades nothing; the other side never passes its own.
    assert (ours.sold <= np.maximum(inventory + 60.0, 0.0) + slack).all()
    assert (ours.bought <= np.maximum(60.0 - inventory, 0.0) + slack).all()
    for side, units in ((BUY, ours.sold), (SELL, ours.bought)):
        total = np.zeros((len(units), market.layout.G))
        np.add.at(total, (slice(None), market.layout.group), units)
        assert (total <= arrivals.mass[:, :, side] + slack).all()  # each unit trades once
    assert (ours.lost <= ours.demand + slack).all()


def check_priority(market: Market, state: Any, ours: Any) -> None:
    """Nobody trades while a better quote of the same side still has room."""
    room = market.positions.capacity(market, state.positions)
    for price, units, size, space, sign in (
        (state.quotes.ask, ours.sold, state.quotes.ask_size, room[0], 1.0),
        (state.quotes.bid, ours.bought, state.quotes.bid_size, room[1], -1.0),
    ):
        left = np.minimum(size, space) - units > 1e-6
        for group in oracles.groups_of(market):
            p, some, idle = sign * price[:, group], units[:, group] > 0.0, left[:, group]
            better = p[:, :, None] < p[:, None, :]  # [B, i, j]: i is better than j
            assert not (better & idle[:, :, None] & some[:, None, :]).any()


@pytest.mark.parametrize("whole", [True, False])
def test_ten_thousand_random_books_are_filled_as_by_the_naive_oracle(whole):
    rng = np.random.default_rng(6 + whole)
    books = 0
    while books < (10_000 if whole else 2_000):
        rule = FillIntensity(scale=float(rng.choice([0.5, 1.0, 5.0])))
        market = makers(int(rng.integers(1, 7)), int(rng.integers(1, 3)), execution=rule)
        for _ in range(25):
            state, arrivals = random_book(rng, market, whole)
            uniforms = rng.random(len(arrivals.group))
            draws = FixedDraws({"choices": uniforms})
            ours = market.execution.execute(market, state, state.quotes, arrivals, draws)
            quotes, room = state.quotes, market.positions.capacity(market, state.positions)
            rooms = (np.minimum(quotes.ask_size, room[0]), np.minimum(quotes.bid_size, room[1]))
            oracle = oracles.fill_book(
                market,
                quotes,
                market.marks_of_listings(state.reference),
                rooms,
                arrivals,
                uniforms,
                rule.kappa,
                rule.scale * (1.0 + rule.volatility_boost * market.reference.sigma),
            )
            found = (ours.sold, ours.bought, ours.demand, ours.lost)
            for one, other in zip(found, oracle, strict=True):
                if whole:
                    assert np.array_equal(one, other)
                else:
                    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
            check_fills(market, state, arrivals, ours, 0.0 if whole else 1e-9)
            check_priority(market, state, ours)
            books += len(state.cost) * market.layout.G


@pytest.mark.parametrize("ties", [3, 6, 7])
def test_an_order_of_odd_size_shared_by_equal_quotes_comes_to_an_end(ties):
    market = makers(ties, 1, execution=FillIntensity(scale=10.0))
    state = market.start(1)
    quotes = state.quotes._replace(ask_size=np.ones((1, ties)), bid_size=np.ones((1, ties)))
    one = np.zeros(1, np.int64)
    for size in (0.7, 1.1 * ties, 1e-310, 5e-324):
        arrivals = Arrivals(
            np.array([[[size, 0.0]]]),
            np.array([[size]]),
            np.array([0, 1]),
            one,
            one,
            np.array([size]),
            np.ones(1),
        )
        draws = FixedDraws({"choices": [0.3]})
        done = market.execution.execute(market, state, quotes, arrivals, draws)
        assert done.sold.sum() == pytest.approx(min(size, ties), rel=1e-12)


def test_the_best_quote_is_hit_first_equal_quotes_share_and_lots_decide_odd_units():
    market = makers(4, 1, execution=FillIntensity(scale=10.0))
    state = market.start(1)
    quotes = Quotes(
        np.full((1, 4), 99.0),
        np.zeros((1, 4)),
        np.array([[100.2, 100.1, 100.1, 100.3]]),
        np.array([[10.0, 4.0, 4.0, 10.0]]),
        np.zeros((1, 4)),
    )
    one = np.zeros(1, np.int64)
    totals = np.zeros(4)
    for j in range(64):
        arrivals = Arrivals(
            np.array([[[3.0, 0.0]]]),
            np.ones((1, 1)),
            np.array([0, 1]),
            one,
            one,
            np.array([3.0]),
            np.ones(1),
        )
        draws = FixedDraws({"choices": [(j + 0.5) / 64 / 65536]})
        sold = market.execution.execute(market, state, quotes, arrivals, draws).sold[0]
        assert sold.sum() == 3.0 and sorted(sold) == [0.0, 0.0, 1.0, 2.0]
        totals += sold
    assert totals.tolist() == [0.0, 96.0, 96.0, 0.0]
    big = arrivals._replace(size=np.array([15.0]))
    sold = market.execution.execute(market, state, quotes, big, FixedDraws({"choices": [0.1]})).sold
    assert sold.tolist() == [[7.0, 4.0, 4.0, 0.0]]


def test_an_order_trades_with_the_probability_of_avellaneda_and_stoikov():
    """min(1, scale exp(-kappa distance) (1 + 0.5 sigma)), here 0.5 e^-0.6 1.01 of the orders."""
    market = makers(1, 1, execution=FillIntensity(1.5, 0.5), arrivals=FixedMass(1.0, 1.0))
    batch = 40000
    state = market.start(batch)
    quotes = Quotes(*(np.full((batch, 1), v) for v in (99.6, np.inf, 100.4, np.inf, 0.0)))
    draws = Streams.of(0, batch).at(0)
    arrivals, _ = market.arrivals.arrive(market, state, quotes, draws)
    done = market.execution.execute(market, state, quotes, arrivals, draws)
    probability = 0.5 * np.exp(-1.5 * 0.4) * 1.01
    for fills in (done.sold, done.bought):
        assert abs(fills.mean() - probability) < 4.5 * np.sqrt(probability / batch)
    assert abs(np.corrcoef(done.sold.ravel(), done.bought.ravel())[0, 1]) < 4.5 / np.sqrt(batch)


@pytest.mark.parametrize("seed", range(4))
def test_expected_fills_are_those_of_the_reference(seed):
    rng = np.random.default_rng(seed)
    market = makers(5, 2, execution=FillIntensity(expected=True))
    rule: Any = market.execution
    for _ in range(30):
        state, arrivals = random_book(rng, market, whole=False)
        ours = rule.execute(market, state, state.quotes, arrivals, FixedDraws({}))
        check_fills(market, state, arrivals, ours, 1e-9)
        quotes, room = state.quotes, market.positions.capacity(market, state.positions)
        factor = rule.scale * (1.0 + rule.volatility_boost * market.reference.sigma)
        for b in range(len(state.cost)):
            demand, lost = np.zeros((2, market.layout.L))
            for g, own in enumerate(oracles.groups_of(market)):
                sides = (
                    (quotes.ask[b, own] - 100.0, np.minimum(quotes.ask_size, room[0])[b, own]),
                    (100.0 - quotes.bid[b, own], np.minimum(quotes.bid_size, room[1])[b, own]),
                )
                for s, (distance, space) in enumerate(sides):
                    space = np.maximum(space, 0.0)
                    fills, wanted, away = oracles.fill_crowd(
                        arrivals.mass[b, g, s], distance, space, rule.kappa, factor
                    )
                    made = (ours.sold, ours.bought)[s][b, own]
                    np.testing.assert_allclose(made, fills, rtol=1e-9, atol=1e-9)
                    demand[own] += wanted
                    lost[own] += away
            np.testing.assert_allclose(ours.demand[b], demand, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(ours.lost[b], lost, rtol=1e-9, atol=1e-9)


# --- posted prices --------------------------------------------------------------------------------


def shop(demand: Any, stock: list[float], mass: float, sampled: bool = False) -> Market:
    market = retail(
        len(stock),
        1,
        arrivals=FixedMass(mass),
        positions=Ledger(),
        execution=Sampled(demand) if sampled else Expected(demand),
    )
    return market.with_parts(
        catalogue=type(market.catalogue)(
            np.full(len(stock), 10.0),
            np.full(len(stock), 15.0),
            np.linspace(0.0, 1.0, len(stock)),
            np.array(stock),
            np.arange(len(stock)) % 2,
        )
    )


def trade(market: Market, batch: int = 1, seed: int = 0, prices: Any = None) -> Any:
    state = market.start(batch)
    if prices is not None:
        ask = np.broadcast_to(np.asarray(prices, float), state.quotes.ask.shape).copy()
        state = state._replace(quotes=state.quotes._replace(ask=ask))
    draws = Streams.of(seed, batch).at(0)
    arrivals, _ = market.arrivals.arrive(market, state, state.quotes, draws)
    return market.execution.execute(market, state, state.quotes, arrivals, draws)


def shares_of(market: Market, state: Any, b: int) -> oracles.Shares:
    demand: Any = market.execution.demand  # type: ignore[attr-defined]
    prices, reference = state.quotes.ask[b : b + 1], market.marks_of_listings(state.reference)
    return lambda available: demand.shares(
        market, prices, np.asarray(available)[None], reference[b : b + 1]
    )[0]


@pytest.mark.parametrize("demand", DEMANDS, ids=names)
def test_a_mass_of_customers_is_served_as_by_the_reference(demand):
    rng = np.random.default_rng(2)
    for _ in range(25):
        n, k, batch = int(rng.integers(1, 5)), int(rng.integers(1, 4)), 4
        market = retail(n, k, execution=Expected(demand), arrivals=FixedMass(20.0), stock=5.0)
        state = market.start(batch)
        ask = state.quotes.ask * rng.uniform(0.8, 1.4, state.quotes.ask.shape)
        size = rng.choice([0.0, 2.5, np.inf], ask.shape)
        inventory = rng.choice([0.0, 1.0, 4.0, 9.0], ask.shape)
        state = state._replace(
            quotes=state.quotes._replace(ask=ask, ask_size=size),
            positions=state.positions._replace(inventory=inventory),
            demand_scale=rng.uniform(0.0, 2.0, state.demand_scale.shape),
        )
        arrivals, _ = market.arrivals.arrive(market, state, state.quotes, FixedDraws({}))
        ours = market.execution.execute(market, state, state.quotes, arrivals, FixedDraws({}))
        for b in range(batch):
            wanted = oracles.sell_mass(
                shares_of(market, state, b),
                arrivals.mass[b, market.layout.group, 0],
                np.minimum(size, inventory)[b],
                size[b] > 0.0,
            )
            for one, other in zip((ours.sold, ours.demand, ours.lost), wanted, strict=True):
                np.testing.assert_allclose(one[b], other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("demand", DEMANDS, ids=names)
def test_single_customers_are_served_as_by_the_reference(demand):
    rng = np.random.default_rng(3)
    for _ in range(12):
        n, k = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        arrivals_rule = retail().arrivals if rng.random() < 0.5 else Poisson(15.0)
        market = retail(n, k, execution=Sampled(demand), arrivals=arrivals_rule, stock=5.0)
        compare_with_served_one_by_one(market, rng)
    compare_with_served_one_by_one(differentiated(), rng)


def compare_with_served_one_by_one(market: Market, rng: np.random.Generator) -> None:
    batch = 5
    state = market.start(batch)
    ask = state.quotes.ask * rng.uniform(0.8, 1.4, state.quotes.ask.shape)
    size = rng.choice([0.0, 2.0, np.inf], ask.shape)
    inventory = rng.choice([0.0, 1.0, 4.0], ask.shape)
    state = state._replace(
        quotes=state.quotes._replace(ask=ask, ask_size=size),
        positions=state.positions._replace(inventory=inventory),
    )
    draws = Streams.of(int(rng.integers(1000)), batch).at(0)
    arrivals, _ = market.arrivals.arrive(market, state, state.quotes, draws)
    ours = market.execution.execute(market, state, state.quotes, arrivals, draws)
    listings = list(oracles.groups_of(market))
    for b in range(batch):
        if arrivals.group.size:
            own = slice(arrivals.start[b], arrivals.start[b + 1])
            customers = [
                (listings[g], s, q, w)
                for g, s, q, w in zip(
                    arrivals.group[own],
                    arrivals.side[own],
                    arrivals.size[own],
                    arrivals.intent[own],
                    strict=True,
                )
            ]
        else:
            customers = [(listings[g], s, 1.0, 1.0) for g, s in oracles.units(arrivals.mass[b])]
        uniforms = draws.uniforms("choices", len(customers))[b]
        wanted = oracles.serve(
            shares_of(market, state, b),
            customers,
            np.minimum(size, inventory)[b],
            size[b] > 0.0,
            uniforms,
        )
        for one, other in zip((ours.sold, ours.demand, ours.lost), wanted, strict=True):
            assert np.array_equal(one[b], other)


@pytest.mark.parametrize("demand", DEMANDS, ids=names)
@pytest.mark.parametrize("stock", [[np.inf] * 3, [300.0, 40.0, 90.0]], ids=["plenty", "scarce"])
def test_expected_execution_is_the_average_of_sampled_execution_for_a_large_crowd(demand, stock):
    batch, mass = 400, 1000.0
    prices = [15.0, 14.5, 14.5]
    crowd = trade(shop(demand, stock, mass, sampled=True), batch, prices=prices)
    fluid = trade(shop(demand, stock, mass), prices=prices)
    for name in ("sold", "demand", "lost"):
        # Stock-outs at a random time bend the mean by O(1 / sqrt(mass)) of a standard deviation.
        mine, theirs = getattr(crowd, name).mean(0), getattr(fluid, name)[0]
        np.testing.assert_allclose(mine, theirs, atol=0.006 * mass, rtol=0.01, err_msg=name)


def test_customers_of_a_sold_out_seller_go_to_the_rest_or_leave():
    """Two alike logit sellers, 30 customers, 3 in stock at one of them: by hand.

    Shares e / (1 + 2e) each at utility 1 until 3 are sold, then e / (1 + e) at the other.
    """
    demand = Logit(1.0, 0.0, 0.0)
    done = trade(shop(demand, [3.0, 100.0], 30.0))
    both, alone = np.e / (1.0 + 2.0 * np.e), np.e / (1.0 + np.e)
    time = 3.0 / (30.0 * both)
    assert done.sold[0] == pytest.approx([3.0, 3.0 + alone * 30.0 * (1.0 - time)])
    assert done.demand[0] == pytest.approx([30.0 * both] * 2)
    assert done.lost[0] == pytest.approx([30.0 * both * (1.0 - time), 0.0])


def test_demand_turned_away_counts_from_the_moment_of_the_stock_out():
    """The second seller sells out early because of the first one's customers: that is lost too."""
    done = trade(shop(Cheapest(), [10.0, 25.0], 100.0), prices=[10.0, 10.0])
    # 50 each; 10 gone at t = 0.2, 15 left at rate 100 are gone at t = 0.35.
    assert done.sold[0] == pytest.approx([10.0, 25.0])
    assert done.lost[0] == pytest.approx([50.0 * 0.8, 50.0 * 0.65])


@pytest.mark.parametrize("sampled", [False, True])
def test_permuting_the_sellers_permutes_the_results(sampled):
    prices, stock = [15.0, 14.0, 16.0], [30.0, np.inf, 5.0]
    demand = Logit(quality_coefficient=0.0)
    order = [2, 0, 1]
    batch = 300 if sampled else 1
    one = trade(shop(demand, stock, 200.0, sampled), batch, prices=prices).sold.mean(0)
    two = trade(
        shop(demand, [stock[i] for i in order], 200.0, sampled),
        batch,
        prices=[prices[i] for i in order],
    ).sold.mean(0)
    tolerance = 1.5 if sampled else 1e-9
    np.testing.assert_allclose(two, one[order], atol=tolerance)


def test_linear_demand_of_several_units_is_refused_where_customers_come_one_by_one():
    with pytest.raises(InputError, match="intercept=2"):
        retail(3, 2, execution=Sampled(Linear(2.0, 1.0, 0.5)))
    retail(3, 2, execution=Sampled(Linear(60.0, 100.0, 50.0)))


@dataclass(frozen=True)
class Greedy(Demand):
    """Shares of somebody's own model: a number below a price, and another from it on."""

    below: float = 0.6
    above: float = 0.1
    price: float = np.inf
    choice: str = "within"

    def shares(self, market: Market, prices: Any, available: Any, reference: Any) -> Any:
        return np.where(prices < self.price, self.below, self.above) * available


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.6, "demand model Greedy add up to 1.2 in a choice group"),
        (-0.1, "demand model Greedy include -0.1"),
        (np.nan, "demand model Greedy include nan"),
    ],
)
def test_shares_that_are_no_chances_are_refused_in_one_line(share, message):
    with pytest.raises(InputError, match=message) as caught:
        shop(Greedy(share, 0.3), [np.inf] * 2, 30.0, sampled=True)
    assert "\n" not in str(caught.value)
    # They show at prices above all that were looked at when the market was made.
    hidden = shop(Greedy(0.1, share, 19.0), [np.inf] * 2, 30.0, sampled=True)
    trade(hidden, prices=[15.0, 15.0])
    with pytest.raises(InputError, match=message) as caught:
        trade(hidden, prices=[20.0, 20.0])
    assert "\n" not in str(caught.value)


def test_units_per_unit_of_mass_may_add_up_to_more_than_one():
    assert trade(shop(Greedy(0.6), [np.inf] * 2, 30.0)).sold[0] == pytest.approx([18.0, 18.0])


@pytest.mark.parametrize("demand", DEMANDS, ids=names)
def test_a_seller_sells_at_least_the_demand_that_was_not_turned_away(demand):
    """Whoever's first choice has stock buys it, whatever else is sold out."""
    rng = np.random.default_rng(7)
    for _ in range(20):
        stock = rng.choice([0.0, 2.0, 3.0, 6.0, np.inf], 3)
        prices = rng.uniform(10.0, 20.0, 3)
        for sampled in (True, False):
            done = trade(shop(demand, stock, 15.0, sampled), 50, prices=prices)
            assert (done.demand - done.lost <= done.sold + 1e-9).all()
            assert (done.sold <= stock).all()


# --- auctions -------------------------------------------------------------------------------------


def sell_items(rule: Auction, bids: Any, supply: int = 1, worth: Any = None) -> Any:
    """Trade `supply` items among sealed bids [B, N]; one item per bidder and tick."""
    bids = np.asarray(bids, float)
    batch, n = bids.shape
    market = auction(n, 1, execution=rule, arrivals=FixedMass(0.0, float(supply)))
    state = market.start(batch)
    quotes = state.quotes._replace(bid=bids, bid_size=np.ones_like(bids))
    state = state._replace(quotes=quotes)
    draws = Streams.of(1, batch).at(0)
    arrivals, _ = market.arrivals.arrive(market, state, quotes, draws)
    return market.execution.execute(market, state, quotes, arrivals, draws)


@pytest.mark.parametrize("second", [True, False])
def test_single_items_are_auctioned_as_by_the_reference(second):
    rng = np.random.default_rng(4)
    for reserve in (0.0, 4.0, 9.0):
        bids = rng.integers(0, 11, (300, 4)).astype(float)
        rule = Auction("second" if second else "first", reserve)
        done = sell_items(rule, bids)
        draws = Streams.of(1, 300).at(0).uniforms("choices", 1)[:, 0]
        for b in range(300):
            won = oracles.auction_unit(dict(enumerate(bids[b])), reserve, second, draws[b])
            wanted = np.zeros(4)
            if won is not None:
                wanted[won[0]] = 1.0
                assert done.bought_price[b, won[0]] == won[1]
            assert np.array_equal(done.bought[b], wanted)


def test_several_items_go_to_the_highest_bids_each_at_the_next_one_left():
    done = sell_items(Auction("second", 3.0), [[9.0, 5.0, 7.0, 2.0]], supply=5)
    assert done.bought.tolist() == [[1.0, 1.0, 1.0, 0.0]]  # the last bid is below the reserve
    assert done.bought_price[0, :3].tolist() == [7.0, 3.0, 5.0]


def test_equal_bids_draw_lots():
    done = sell_items(Auction(), np.full((6000, 3), 5.0))
    wins = done.bought.sum(0)
    assert wins.sum() == 6000
    assert stats.chisquare(wins).pvalue > 1e-3


def test_bidding_the_truth_is_dominant_under_the_second_price():
    """Whatever the rivals bid, no bid on the grid beats the own value (Vickrey 1961)."""
    rng = np.random.default_rng(7)
    worth, grid = 6.0, np.arange(0.0, 12.5, 0.5)
    rivals = rng.integers(0, 13, (200, 2)) + 0.25  # no ties with the own bid
    for reserve in (0.0, 4.25, 7.25):
        gains = []
        for bid in [worth, *grid]:
            bids = np.column_stack([np.full(200, bid), rivals])
            done = sell_items(Auction("second", reserve), bids)
            gains.append(done.bought[:, 0] * (worth - done.bought_price[:, 0]))
        assert (gains[0] >= np.array(gains[1:])).all()
        assert (gains[0] > np.array(gains[1:])).any()


def test_first_and_second_price_auctions_bring_the_same_revenue_in_equilibrium():
    """Values uniform on [0, 1], n bidders: bids v (n - 1) / n and v; revenue (n - 1) / (n + 1)."""
    n, batch = 4, 40000
    worth = Streams.of(3, batch).at(0).uniforms("worth", n)
    revenue = {}
    for price, bids in (("first", worth * (n - 1) / n), ("second", worth)):
        done = sell_items(Auction(price), bids)
        paid = (done.bought * done.bought_price).sum(1)
        revenue[price] = paid.mean()
        assert abs(paid.mean() - (n - 1) / (n + 1)) < 4.5 * paid.std() / np.sqrt(batch)
    assert revenue["first"] == pytest.approx(revenue["second"], abs=0.004)


def test_nobody_wins_below_the_reserve_or_pays_less():
    bids = np.random.default_rng(1).random((5000, 3))
    for price in ("first", "second"):
        done = sell_items(Auction(price, 0.5), bids)
        won = done.bought > 0.0
        assert (bids[won] >= 0.5).all()
        assert (done.bought_price[won] >= 0.5).all()
        assert (done.bought_price[won] <= bids[won]).all()
        assert np.array_equal(won.any(1), (bids >= 0.5).any(1))


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        (FillIntensity, {"kappa": 0.0}, "kappa"),
        (FillIntensity, {"scale": np.inf}, "scale"),
        (FillIntensity, {"volatility_boost": -1.0}, "volatility_boost"),
        (Auction, {"price": "third"}, "price"),
        (Auction, {"reserve": -1.0}, "reserve"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_name(kind, wrong, field):
    with pytest.raises(InputError, match=field):
        kind(**wrong)
