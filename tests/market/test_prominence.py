"""Prominence: who is shown, what shoppers make of it, and what is refused."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import mos_agents
from mos_agents.market import equilibrium
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Expected, Sampled, ShopperChoice
from mos_agents.market.market import Market
from mos_agents.market.prominence import (
    TIES,
    BuyBox,
    ShowCheapest,
    ShowDynamic,
    ShowEverything,
    ShowFixed,
    ShowRandom,
    hold_or_lowest,
    lowest,
)
from mos_agents.market.stages import Prominence, Shown
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.scenarios.changes import override
from tests.games.worlds import logit
from tests.market.worlds import retail
from tests.oracles import market as oracles

GRID = np.array([1.0, 1.25, 1.5])


def shows(rule: Prominence, n: int = 3, **parts: Any) -> Market:
    """n sellers of one product, logit demand, no stock to run out of."""
    made = logit(n, **parts)
    assert isinstance(made.execution, ShopperChoice)
    return made.with_parts(execution=replace(made.execution, prominence=rule))


def played(market: Market, prices: Any, seed: int = 0, batch: int = 1) -> Any:
    """The steps of a market whose sellers ask these prices, a row a tick."""
    state, streams = market.start(batch), Streams.of(seed, batch)
    for t, row in enumerate(np.asarray(prices, np.float64)):
        asks = np.broadcast_to(row, (batch, market.layout.L))[:, :, None]
        step = tick(market, state, np.ascontiguousarray(asks), streams.at(t))
        state = step.state
        yield step


def test_ten_thousand_random_rankings_are_those_of_the_reference():
    market = retail(4, 3)
    layout, rng, batch = market.layout, np.random.default_rng(0), 10_000
    score = rng.choice(GRID, (batch, layout.L))
    offered = rng.random((batch, layout.L)) < 0.8
    ties, most = rng.random((batch, layout.G)), 2
    groups = layout.group_start, layout.group_listing
    ours = lowest(score, offered, ties, most, *groups)
    for b in range(batch):
        wanted = oracles.prominent(market, score[b], offered[b], ties[b], most)
        np.testing.assert_array_equal(ours[b], wanted)


def test_ten_thousand_random_holders_are_those_of_the_reference():
    market = retail(3, 2)
    layout, rng, batch = market.layout, np.random.default_rng(1), 10_000
    price, last = rng.choice(GRID, (2, batch, layout.L))
    offered = rng.random((batch, layout.L)) < 0.9
    ties = rng.random((batch, layout.G))
    holders = np.zeros((batch, layout.L))
    for members in oracles.groups_of(market):
        holders[np.arange(batch), rng.choice(members, batch)] = rng.random(batch) < 0.8
    groups = layout.group_start, layout.group_listing
    for cushion in (0.0, 0.25, 0.3):
        ours = hold_or_lowest(price, offered, ties, holders, last, cushion, *groups)
        assert (ours & (holders > 0)).any()
        assert (ours & (holders == 0)).any()
        for b in range(batch):
            held = holders[b], last[b], cushion
            wanted = oracles.prominent(market, price[b], offered[b], ties[b], 1, held)
            np.testing.assert_array_equal(ours[b], wanted)


def test_the_cheapest_offer_alone_is_bought_as_if_it_were_the_only_one():
    market, alone = shows(ShowCheapest()), logit(1)
    (step,) = played(market, [[1.7, 1.5, 1.6]])
    (single,) = played(alone, [[1.5]])
    np.testing.assert_array_equal(step.info.executions.shown, [[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(step.info.executions.sold, [[0.0, single.reward[0, 0] / 0.5, 0.0]])


def test_one_of_several_cheapest_is_drawn_and_takes_all():
    market = shows(ShowCheapest())
    (step,) = played(market, [[1.5, 1.5, 1.6]], batch=4000)
    shown = step.info.executions.shown
    assert (shown.sum(axis=1) == 1.0).all()
    assert not shown[:, 2].any()
    np.testing.assert_array_equal(step.info.executions.sold > 0.0, shown > 0.0)
    assert abs(shown[:, 0].mean() - 0.5) < 4 * np.sqrt(0.25 / 4000)
    draws = Streams.of(0, 4000).at(0).block_uniforms(TIES, 1)
    np.testing.assert_array_equal(shown[:, 0] > 0.0, draws[:, 0] < 0.5)


def test_the_holder_keeps_its_place_within_the_cushion_and_loses_it_by_a_rise():
    market = shows(ShowDynamic(cushion=0.2), n=2)
    path = [
        [1.5, 1.6],  # the first takes the place
        [1.5, 1.35],  # undercut by less than the cushion
        [1.5, 1.3],  # by the cushion: the place is lost
        [1.2, 1.3],  # the second keeps it, undercut by half the cushion
        [1.2, 1.35],  # and loses it as it raises its price
        [1.15, 1.3],  # the first keeps it at a lower price
    ]
    steps = list(played(market, path))
    assert [int(s.info.executions.shown[0].argmax()) for s in steps] == [0, 0, 1, 1, 0, 0]
    spec = market.specs[1]
    for step in steps:
        told = spec.own(step.observation)
        wanted = step.info.executions.shown[0, [1, 0]]
        np.testing.assert_array_equal(spec.read(told, "own_shown")[0], wanted[:1])
        np.testing.assert_array_equal(spec.read(told, "rival_shown")[0], wanted[1:])


def test_a_cushion_of_whole_steps_is_met_exactly_on_a_grid():
    grid = 1.0 + np.arange(15) / 14 * 1.1
    for steps in (1, 2, 3):
        market = shows(ShowDynamic(cushion=steps * (1.1 / 14)), n=2)
        for level in range(steps, 15):
            path = [[grid[level], 2.5], [grid[level], grid[level - steps]]]
            last = list(played(market, path))[-1]
            assert last.info.executions.shown[0].tolist() == [0.0, 1.0], (steps, level)


def test_a_buy_box_weighs_price_rating_and_the_platforms_own_offers():
    made = logit(3)
    layout = replace(made.layout, roles=("firm", "platform", "firm"))
    catalogue = replace(made.catalogue, quality=np.array([2.0, 2.0, 3.0]))
    made = made.with_parts(layout=layout, catalogue=catalogue)

    def winner(**weights: float) -> int:
        rule = BuyBox(**weights)
        market = made.with_parts(execution=replace(made.execution, prominence=rule))
        (step,) = played(market, [[1.5, 1.6, 1.9]])
        return int(step.info.executions.shown[0].argmax())

    assert winner() == 0
    assert winner(own=0.2) == 1
    assert winner(own=0.2, rating=0.6) == 2


def test_those_who_do_not_follow_search_at_a_cost():
    rule = ShowFixed(followers=0.75, search_cost=0.25, offers=("firm_1.product",))
    (step,) = played(shows(rule, n=2), [[1.5, 1.7]])
    (alone,) = played(logit(1), [[1.5]])
    (both,) = played(logit(2), [[1.75, 1.95]])
    wanted = 0.25 * both.info.executions.sold[0]
    wanted[0] += 0.75 * alone.info.executions.sold[0, 0]
    np.testing.assert_allclose(step.info.executions.sold[0], wanted, rtol=1e-12)


def test_everything_with_a_search_cost_is_demand_at_dearer_prices():
    rule = ShowEverything(followers=0.0, search_cost=0.25)
    (step,) = played(shows(rule, n=2), [[1.5, 1.7]])
    (dearer,) = played(logit(2), [[1.75, 1.95]])
    np.testing.assert_allclose(step.info.executions.sold, dearer.info.executions.sold, rtol=1e-12)


def test_a_boost_leaves_every_offer_visible():
    (step,) = played(shows(ShowCheapest(boost=0.1), n=2), [[1.5, 1.7]])
    (cheaper,) = played(logit(2), [[1.4, 1.7]])
    np.testing.assert_allclose(step.info.executions.sold, cheaper.info.executions.sold, rtol=1e-12)


def test_a_random_place_goes_to_each_offer_equally_often_whatever_it_costs():
    (step,) = played(shows(ShowRandom()), [[1.2, 1.5, 1.9]], batch=6000)
    share = step.info.executions.shown.mean(axis=0)
    assert (np.abs(share - 1 / 3) < 4 * np.sqrt(2 / 9 / 6000)).all()


@pytest.mark.parametrize("execution", [Expected, Sampled])
def test_who_is_sold_out_is_not_shown_and_nobody_else_is_served_in_its_place(execution):
    made = retail(2, 1, stock=5.0)
    rule = execution(Logit(), ShowCheapest())
    market = made.with_parts(execution=rule, arrivals=mos_agents.market.arrivals.FixedMass(40.0))
    prices = market.opening_prices * np.array([1.0, 1.01])
    first, second = played(market, [prices, prices])
    sold = first.info.executions.sold[0]
    assert sold[1] == 0.0
    if sold[0] == 5.0:
        assert first.info.executions.lost[0, 0] > 0.0
        assert second.info.executions.shown[0].tolist() == [0.0, 1.0]


def test_markets_are_the_same_in_any_company_and_in_any_batch():
    market = shows(ShowDynamic(cushion=0.1))
    rng = np.random.default_rng(3)
    prices = rng.choice([1.4, 1.5, 1.6], (30, 3))
    together = list(played(market, prices, batch=5))
    alone = list(played(market, prices, batch=1))
    for many, one in zip(together, alone, strict=True):
        np.testing.assert_array_equal(many.reward[:1], one.reward)
        np.testing.assert_array_equal(many.observation[:1], one.observation)


def test_without_a_rule_nobody_is_told_who_is_shown():
    market = logit(2)
    assert not market.shown_columns[0].size
    assert "own_shown" not in market.specs[0].where
    (step,) = played(market, [[1.5, 1.6]])
    assert step.info.executions.shown is None


@dataclass(frozen=True)
class Nobody(Prominence):
    """Shows nothing."""

    def show(self, market, state, quotes, offered, draws):
        return Shown(np.zeros_like(offered), np.zeros_like(offered))


REFUSED = {
    "shown=0 shows nobody": lambda: shows(ShowCheapest(shown=0)),
    "prominence.shown=3 changes nothing": lambda: shows(ShowCheapest(shown=3)),
    "followers=1.5 must be": lambda: shows(ShowCheapest(followers=1.5)),
    "followers=0: nobody follows": lambda: shows(ShowCheapest(followers=0.0)),
    "search_cost=0.2 changes nothing": lambda: shows(ShowCheapest(search_cost=0.2)),
    "followers=0.5 changes nothing": lambda: shows(ShowEverything(followers=0.5)),
    "cushion=-1.0 must be": lambda: shows(ShowDynamic(cushion=-1.0)),
    "own=0.1 changes nothing": lambda: shows(BuyBox(own=0.1)),
    "rating=0.1 changes nothing": lambda: shows(BuyBox(rating=0.1)),
    "'nobody.product' is no offer": lambda: shows(ShowFixed(offers=("nobody.product",))),
    "offers shows nobody to customers of product": lambda: shows(ShowFixed()),
    "Nobody.show shows nobody in market 0 at tick 0": lambda: list(
        played(shows(Nobody()), [[1.5, 1.5, 1.5]])
    ),
    "benchmarks of theory know every offer as shown": lambda: equilibrium.bertrand_nash(
        shows(ShowCheapest())
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_rule_that_makes_no_sense_is_refused_in_one_line(message):
    with pytest.raises(InputError) as caught:
        REFUSED[message]()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_scenario_file_declares_prominence_and_set_changes_it():
    plain = mos_agents.load("pricing_game")
    assert plain.market().execution.prominence == ShowEverything()
    changes = ["execution.prominence.kind=dynamic", "execution.prominence.cushion=0.1"]
    market = override(plain, changes).market()
    assert market.execution.prominence == ShowDynamic(cushion=0.1)
    assert "cushion" in str(mos_agents.explain("dynamic"))
