"""Who sees what: own quotes at once, rivals' quotes after the delay, and never the true demand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mos_agents.market.observations import MarketView
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.policies.base import cheapest_rival, make
from mos_agents.testing.playing import play
from tests.market.worlds import KINDS, auction, differentiated, makers, retail
from tests.oracles import market as oracles


@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_shows_what_the_reference_shows(kind, delay):
    if kind == "auction" and delay:
        pytest.skip("bids are sealed: there is no quote history")
    market = KINDS[kind](observations=MarketView(quote_delay=delay))
    for _, step in play(market, 8, 3):
        for spec in market.specs:
            seen = spec.own(step.observation)
            for field in spec.fields:
                wanted = oracles.observed(
                    market,
                    step.state,
                    step.info.arrivals,
                    step.info.executions,
                    field.name,
                    spec.number,
                    field.index,
                )
                np.testing.assert_array_equal(spec.read(seen, field.name), wanted, field.name)


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_the_tape_shows_rivals_quotes_of_exactly_so_many_ticks_ago(delay):
    market = retail(2, 2, observations=MarketView(quote_delay=delay))
    asks = [market.start(1).quotes.ask]
    for t, (_, step) in enumerate(play(market, 12)):
        asks.append(step.info.quotes.ask)
        spec = market.specs[0]
        seen = spec.read(spec.own(step.observation), "rival_ask")
        if t + 1 >= delay:
            assert np.array_equal(seen, asks[t + 1 - delay][:, 2:])
        else:  # nothing has come yet
            assert not spec.read(spec.own(step.observation), "rival_open").any()


def test_own_quotes_are_never_late():
    market = retail(2, 2, observations=MarketView(quote_delay=4))
    for _, step in play(market, 6):
        spec = market.specs[1]
        own = spec.read(spec.own(step.observation), "own_ask")
        assert np.array_equal(own, step.info.quotes.ask[:, 2:])


def test_noise_is_on_rivals_prices_only_and_each_observer_has_its_own():
    noisy = retail(3, 3, observations=MarketView(quote_noise=0.1))
    plain = noisy.with_parts(observations=MarketView())
    errors = {}
    for (_, one), (_, other) in zip(play(noisy, 3, 400), play(plain, 3, 400), strict=True):
        for spec in noisy.specs:
            mine, true = spec.own(one.observation), spec.own(other.observation)
            for field in spec.fields:
                a, b = spec.read(mine, field.name), spec.read(true, field.name)
                if field.name == "rival_ask":
                    errors.setdefault(spec.name, []).append(np.log(a / b) / 0.1)
                else:
                    assert np.array_equal(a, b)
    for error in errors.values():
        assert stats.kstest(np.ravel(error), "norm").pvalue > 1e-3
    first, second = (np.concatenate(e)[:, 3] for e in list(errors.values())[:2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.5 / np.sqrt(first.size)


def test_what_nobody_may_see_changes_no_observation():
    """Demand, and rivals' costs, stock, cash and sealed bids: hidden from everybody else."""
    market = auction(3, 2)
    state, draws = market.start(1), Streams.of(0, 1).at(0)
    one = np.full((1, 6, 1), 10.0)  # all bids below the reserve: nothing is sold
    two = one.copy()
    two[0, 4:] = 15.0
    first, second = (tick(market, state, a, draws) for a in (one, two))
    for spec in market.specs[:2]:
        assert np.array_equal(spec.own(first.observation), spec.own(second.observation))
    richer = state._replace(
        positions=state.positions._replace(cash=state.positions.cash + np.array([0.0, 0.0, 9.0])),
        cost=state.cost + np.repeat([0.0, 5.0], [4, 2]),
    )
    third = tick(market, richer, one, draws)
    for spec in market.specs[:2]:
        assert np.array_equal(spec.own(first.observation), spec.own(third.observation))


def test_hidden_rivals_and_costs_leave_the_fields():
    names = [
        f.name for f in retail(2, 2, observations=MarketView(show_rivals=False)).specs[0].fields
    ]
    assert not [n for n in names if n.startswith("rival")]
    names = [f.name for f in retail(2, 2, observations=MarketView(show_cost=False)).specs[0].fields]
    assert "cost" not in names


@pytest.mark.parametrize("batch", [1, 40])
def test_hidden_cash_and_clock_leave_the_fields_and_the_others_as_they_are(batch):
    whole, blind = (
        retail(2, 2, observations=view)
        for view in (MarketView(), MarketView(show_cash=False, show_clock=False))
    )
    for (_, full), (_, part) in zip(play(whole, 4, batch), play(blind, 4, batch), strict=True):
        for ours, theirs in zip(blind.specs, whole.specs, strict=True):
            assert {f.name for f in theirs.fields} - set(ours.where) == {"cash", "clock"}
            for shown in ours.fields:
                seen = ours.read(ours.own(part.observation), shown.name)
                wanted = theirs.read(theirs.own(full.observation), shown.name)
                assert np.array_equal(seen, wanted), shown.name


def test_a_policy_that_looks_at_the_clock_says_so_where_it_is_hidden():
    market = makers(2, 1, observations=MarketView(show_clock=False))
    policy = make("avellaneda_stoikov", gamma=0.1)
    with pytest.raises(InputError, match="needs 'clock', which is not observed here"):
        policy.start(market.specs[0], 1)


def test_rivals_are_those_of_the_same_product_or_of_the_whole_choice():
    within = retail(3, 4).specs[1]
    assert next(f.size for f in within.fields if f.name == "rival_ask") == 8
    across = differentiated().specs[2]  # seven products of the others
    assert next(f.size for f in across.fields if f.name == "rival_ask") == 7


@pytest.mark.parametrize(
    "wrong", [{"quote_delay": -1}, {"quote_delay": 1.5}, {"quote_noise": -0.1}]
)
def test_a_view_that_makes_no_sense_is_refused_by_its_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        MarketView(**wrong)


@pytest.mark.parametrize("batch", [3, 40])
def test_relative_prices_are_the_prices_less_the_reference_of_the_same_instrument(batch):
    near = makers(3, 2, observations=MarketView(quote_noise=0.05, relative=True))
    plain = near.with_parts(observations=MarketView(quote_noise=0.05))
    for (_, one), (_, other) in zip(play(near, 4, batch), play(plain, 4, batch), strict=True):
        for message, known in zip(near.specs, plain.specs, strict=True):
            mine, true = message.own(one.observation), known.own(other.observation)
            mid = known.read(true, "reference")  # [B, 2], one an asset
            for field in message.fields:
                name = field.name.removesuffix("_gap")
                price = known.read(true, name)
                gap = price - np.tile(mid, price.shape[1] // 2) if name != field.name else price
                assert np.array_equal(message.read(mine, field.name), gap), field.name
            assert {"own_ask_gap", "own_bid_gap", "rival_ask_gap", "rival_bid_gap"} <= {
                field.name for field in message.fields
            }


def test_whoever_reads_the_cheapest_rival_reads_it_from_distances_as_well():
    plain, near = retail(3, 2), retail(3, 2, observations=MarketView(relative=True))
    state, draws = plain.start(5), Streams.of(0, 5).at(0)
    seen = [
        cheapest_rival(m.specs[1], m.specs[1].own(m.first_observation(state, draws)))
        for m in (plain, near)
    ]
    np.testing.assert_allclose(*seen, rtol=1e-14)


def test_relative_prices_of_goods_that_one_does_not_trade_are_refused():
    with pytest.raises(InputError, match=r"relative=True: .* sees offers of goods"):
        differentiated(observations=MarketView(relative=True)).spec("firm_1")
