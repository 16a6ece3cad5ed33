"""Venues without orders: each trades as it would alone, on shared accounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mos_agents.market.arrivals import Hawkes, Poisson
from mos_agents.market.browsing import Browsing
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Elasticity, Logit
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice, TwoSided
from mos_agents.market.reference import Fundamentals, GeometricBrownian, OrnsteinUhlenbeck
from mos_agents.market.refusals import TAKEN
from mos_agents.market.streams import PrefixedDraws, Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError, Layout
from mos_agents.market.venues.build import venue_market
from mos_agents.market.venues.venue import Venue
from mos_agents.testing.playing import play, random_actions
from mos_agents.testing.promises import bits, read_only
from tests.market.test_positions import check_accounts

LEDGER = Ledger(limit=100.0, short=True, mark="reference", holding_cost=0.01)
FRUIT = Venue(
    "shop",
    ("apples", "pears"),
    ("platform", "firm"),
    quotes=PostedPrice(),
    arrivals=Browsing(9.0),
    execution=Sampled(Elasticity()),
    reference=Fundamentals(demand=OrnsteinUhlenbeck(sigma=0.2)),
)
STOCKS = Venue(
    "exchange",
    ("asset", "bond"),
    ("maker_1", "maker_2"),
    quotes=TwoSided(),
    arrivals=Hawkes(5.0),
    execution=FillIntensity(),
    reference=Fundamentals(GeometricBrownian(sigma=0.02)),
)
NAMES = ("platform", "firm", "maker_1", "maker_2")
ROLES = ("platform", "firm", "maker", "maker")


def fruit(layout):
    return Catalogue(*(np.full(layout.L, v) for v in (10.0, 14.0, 0.0, 40.0)))


def assets(layout):
    return Catalogue(*(np.full(layout.L, v) for v in (0.0, 100.0, 0.0, 0.0)))


CATALOGUES = {"shop": fruit, "exchange": assets}


def both(venues=(FRUIT, STOCKS), **others):
    shared = {"positions": LEDGER, "dt": 0.5} | others
    return venue_market(NAMES, ROLES, venues, CATALOGUES, **shared)


def alone(venue, roles):
    """A market of one venue and its own participants, built without the other."""
    layout = Layout.dense(venue.quoting, venue.instruments, roles)
    return make_market(
        layout,
        CATALOGUES[venue.name](layout),
        venue.execution,
        quotes=venue.quotes,
        arrivals=venue.arrivals,
        reference=venue.reference,
        positions=LEDGER,
        dt=0.5,
    )


SHOP = alone(FRUIT, ("platform", "firm"))
DEALERS = alone(STOCKS, ("maker", "maker"))
VENUES = [(SHOP, FRUIT, slice(0, 2), slice(0, 4)), (DEALERS, STOCKS, slice(2, 4), slice(4, 8))]


@pytest.mark.parametrize("which", [0, 1], ids=["shop", "dealers"])
def test_each_venue_has_the_same_bits_as_it_has_alone(which):
    market = both()
    single, venue, people, listings = VENUES[which]
    batch, rng = 6, np.random.default_rng(0)
    streams, state, lone = Streams.of(3, batch), market.start(batch), single.start(batch)
    traded = 0.0
    for t in range(40):
        actions = np.zeros((batch, 8, 2))
        for one, _, _, own in VENUES:
            lawful = random_actions(one, rng, batch)
            actions[:, own, : lawful.shape[2]] = lawful
        width = len(venue.quotes.features)
        step = tick(market, state, actions, streams.at(t))
        other = tick(
            single,
            lone,
            np.ascontiguousarray(actions[:, listings, :width]),
            PrefixedDraws(streams.at(t), f"{venue.name}/"),
        )
        for ours, theirs in (
            (step.info.executions.arrays, other.info.executions.arrays),
            (step.info.quotes[:4], other.info.quotes[:4]),
        ):
            for a, b in zip(ours, theirs, strict=True):
                assert np.array_equal(a[:, listings], b)
        assert np.array_equal(step.info.refused[:, people], other.info.refused)
        held, theirs = step.state.positions, other.state.positions
        assert np.array_equal(held.cash[:, people], theirs.cash)
        assert np.array_equal(held.inventory[:, listings], theirs.inventory)
        assert np.array_equal(step.metrics[:, people], other.metrics)
        assert np.array_equal(step.reward[:, people], other.reward)
        traded += step.metrics[:, people, 3].sum()
        state, lone = step.state, other.state
    assert traded > 100.0


def test_books_balance_over_both_venues():
    market = both()
    rng, state = np.random.default_rng(1), market.start(4)
    for t in range(50):
        step = tick(market, state, random_actions(SIDES, rng, 4), Streams.of(0, 4).at(t))
        check_accounts(market, state, step, whole=True)
        state = step.state


class SIDES:
    """Random actions for both venues: prices near 14, offsets and spreads."""

    class catalogue:
        reference_price = np.full(8, 14.0)

    class quotes:
        features = ("other",)

        @staticmethod
        def limits(market):
            rows = np.array([[[12.0, 0.0], [17.0, 0.0]]] * 4 + [[[-0.2, 0.05], [0.2, 0.5]]] * 4)
            return rows[:, 0], rows[:, 1]


def test_numbers_that_a_narrower_venue_does_not_need_are_ignored():
    market = both()
    low, high = market.quotes.limits(market)
    assert not low[:4, 1].any() and not high[:4, 1].any()
    state, draws = market.start(2), Streams.of(0, 2).at(0)
    actions = random_actions(SIDES, np.random.default_rng(0), 2)
    other = actions.copy()
    other[:, :4, 1] = np.nan
    assert bits(tick(market, state, actions, draws)) == bits(tick(market, state, other, draws))


def test_the_draws_of_one_venue_say_nothing_about_the_others():
    draws = Streams.of(0, 500).at(0)
    a, b = (
        PrefixedDraws(draws, f"{p.name}/").uniforms("choices", 20).ravel() for p in (FRUIT, STOCKS)
    )
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(a.size)


@pytest.mark.parametrize("on_refusal", ["stand", "withdraw"])
@pytest.mark.parametrize("bad", [0, 2])
def test_who_quotes_in_both_venues_is_refused_in_both_or_in_none(bad, on_refusal):
    venues = (
        Venue(
            "shop",
            ("apples", "pears"),
            ("platform", "firm"),
            quotes=PostedPrice(on_refusal=on_refusal),
            arrivals=Poisson(3.0),
            execution=Expected(Logit()),
        ),
        Venue(
            "exchange",
            ("asset",),
            ("platform", "maker_1", "maker_2"),
            quotes=TwoSided(on_refusal=on_refusal),
            arrivals=Hawkes(5.0),
            execution=FillIntensity(),
        ),
    )
    market = both(venues)  # the platform makes a market too
    state, draws = market.start(2), Streams.of(0, 2).at(0)
    rows = [14.5, 0.0], [14.6, 0.0], [0.1, 0.2], [15.0, 0.0], [14.9, 0.0], [0.0, 0.3], [0.1, 0.2]
    actions = np.tile(np.array(rows), (2, 1, 1))
    calm = tick(market, state, actions, draws)
    assert (calm.info.refused == TAKEN).all() and not calm.info.quotes.age.any()
    actions[1, bad, 0] = np.nan
    step = tick(market, state, actions, draws)
    assert (step.info.refused != TAKEN).tolist() == [[False] * 4, [True, False, False, False]]
    quotes = step.info.quotes
    assert quotes.age.tolist() == [[0.0] * 4, [1.0, 0.0, 0.0, 0.0]]
    assert np.array_equal(quotes.ask[1, :2], state.quotes.ask[1, :2])
    stays = state.quotes.ask_size[1, :2] if on_refusal == "stand" else np.zeros(2)
    assert np.array_equal(quotes.ask_size[1, :2], stays)
    for name in ("ask", "bid", "ask_size", "bid_size"):
        ours, theirs = getattr(quotes, name), getattr(calm.info.quotes, name)
        assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1, 3:], theirs[1, 3:])


def test_a_spec_holds_the_rules_of_its_own_venue():
    market = both()
    maker, firm = market.spec("maker_1"), market.spec("firm")
    assert maker.features == ("offset", "spread")
    assert firm.features == ("price", "unused")
    lone = DEALERS.spec("maker_1")
    assert (maker.order_decay, maker.order_rate) == (1.5, lone.order_rate)
    assert (maker.sigma == 0.02).all() and maker.sigma_relative.all()
    assert (firm.sigma == 0.0).all()
    assert np.array_equal(maker.low, lone.low) and np.array_equal(maker.high, lone.high)
    names = [f.name for f in maker.fields]
    assert "rival_bid" in names and "rival_ask" in names


def test_a_market_of_venues_obeys_the_rules_of_any_market():
    """The same bits in any batch and with read-only inputs; the quote history and its noise are
    shared."""
    market = both(observations=MarketView(quote_delay=2, quote_noise=0.05))
    few = [bits((s.reward[[1]], s.observation[[1]])) for _, s in play(market, 6, [4, 7, 2])]
    alone_ = [bits((s.reward, s.observation)) for _, s in play(market, 6, [7])]
    assert few == alone_
    plain = [bits(pair) for pair in play(market, 4, 3)]
    assert plain == [bits(pair) for pair in play(market, 4, 3, frozen=True)]
    read_only(market.start(1))


@pytest.mark.parametrize(
    ("venues", "message"),
    [
        ((FRUIT, replace(STOCKS, name="shop")), "distinct names"),
        ((FRUIT, replace(STOCKS, execution=Sampled(Logit()))), "of the same kind"),
    ],
)
def test_venues_that_make_no_market_are_refused(venues, message):
    with pytest.raises(InputError, match=message):
        both(venues).specs  # noqa: B018
