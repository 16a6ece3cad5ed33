"""What stages remember: declared arrays, a row a market, as safe as the rest of the state."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from mos_agents.games.stage_game import StageGame
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.finite import NotFinite
from mos_agents.market.market import Market
from mos_agents.market.memory import played_bytes
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.stages import ArrivalProcess
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.market.venues.build import venue_market
from mos_agents.market.venues.venue import Venue
from mos_agents.policies import make
from mos_agents.testing.playing import random_actions
from mos_agents.testing.promises import bits
from tests.market.worlds import expected, retail


@dataclass(frozen=True)
class ReturningBuyers(ArrivalProcess):
    """Buyers come as often as anybody bought lately: a sum of past sales that fades."""

    few: float = 5.0
    fading: float = 0.9
    name: str = "bought"

    def memory(self, market: Market) -> dict[str, Any]:
        return {self.name: np.full(market.layout.K, 2.0)}

    def arrive(self, market, state, quotes, draws):
        wanted = self.few + 0.1 * state.memory[self.name].sum(axis=1)
        process = FixedMass(1.0)
        arrivals, excitation = process.arrive(market, state, quotes, draws)
        return arrivals._replace(mass=arrivals.mass * wanted[:, None, None]), excitation

    def remember(self, market, state, info, draws):
        sold = np.zeros((len(state.cost), market.layout.K))
        np.add.at(sold.T, market.layout.instrument, info.executions.sold.T)
        return {self.name: self.fading * state.memory[self.name] + sold}


def played(market: Market, batch: int, ticks: int, seed: int = 0, markets: Any = None) -> list[Any]:
    streams = Streams.of(seed, np.arange(batch) if markets is None else markets)
    rng = np.random.default_rng(1)
    state, steps = market.start(batch if markets is None else len(markets)), []
    for t in range(ticks):
        actions = random_actions(market, rng, batch)
        own = actions if markets is None else actions[markets]
        steps.append(tick(market, state, own, streams.at(t)))
        state = steps[-1].state
    return steps


def market_of(**changes: Any) -> Market:
    return expected(arrivals=ReturningBuyers(**changes))


def test_what_is_remembered_is_the_fading_sum_of_sales() -> None:
    market = market_of()
    steps = played(market, 3, 4)
    due = np.full((3, market.layout.K), 2.0)
    assert (market.start(3).memory["bought"] == due).all()
    for step in steps:
        sold = np.zeros_like(due)
        for i, k in enumerate(market.layout.instrument):
            sold[:, k] += step.info.executions.sold[:, i]
        due = 0.9 * due + sold
        np.testing.assert_allclose(step.state.memory["bought"], due)
    mass = [step.info.arrivals.mass.sum() for step in steps]
    assert len(set(mass)) == len(mass)  # and arrivals read it


def test_a_shard_has_the_same_memory_as_its_rows_of_the_batch() -> None:
    market, rows = market_of(), np.array([1, 3])
    whole, part = played(market, 5, 4), played(market, 5, 4, markets=rows)
    for one, two in zip(whole, part, strict=True):
        assert bits(one.state.memory["bought"][rows]) == bits(two.state.memory["bought"])


def test_the_memory_of_a_tick_cannot_be_written_in_place() -> None:
    state = played(market_of(), 2, 1)[-1].state
    with pytest.raises(ValueError, match="read-only"):
        state.memory["bought"][0] = 1.0


def test_memory_counts_among_the_bytes_of_a_market() -> None:
    market = market_of()
    plain = market.with_parts(arrivals=FixedMass(5.0))
    assert played_bytes(market) == played_bytes(plain) + 2 * 8 * market.layout.K


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, r"remember gave \[\], must give \['bought'\]"),
        ({"bought": np.zeros((2, 1))}, r"is of shape \(2, 1\) after tick 0, must be an array of"),
        ({"bought": 1.0}, "is 1.0 after tick 0, must be an array of shape"),
        ({"bought": np.zeros((2, 4), np.int64)}, "is int64 after tick 0, must stay float64"),
        ({"bought": np.full((2, 4), np.nan)}, "is not finite after tick 0"),
    ],
)
def test_a_memory_of_another_form_is_refused_and_named(given: Any, why: str) -> None:
    class WrongMemory(ReturningBuyers):
        def remember(self, market, state, info, draws):
            return given

    market = expected(arrivals=WrongMemory())
    with pytest.raises(
        InputError, match=f"arrivals: memory 'bought' {why}|arrivals: {why}"
    ) as told:
        played(market, 2, 1)
    assert isinstance(told.value, NotFinite) == ("finite" in why)


def test_a_memory_without_its_verb_and_a_name_used_twice_are_refused() -> None:
    class Forgetful(FixedMass):
        def memory(self, market):
            return {"x": np.zeros(1)}

    with pytest.raises(
        NotImplementedError, match="Forgetful has a memory and must write `remember`"
    ):
        played(expected(arrivals=Forgetful(5.0)), 1, 1)

    class AlsoRemembers(Expected):
        def memory(self, market):
            return {"bought": np.zeros(1)}

    market = market_of()
    twice = market.with_parts(execution=AlsoRemembers(market.execution.demand))
    with pytest.raises(InputError, match="'bought' is a name that"):
        twice.start(1)


def test_a_market_that_remembers_is_no_finite_game() -> None:
    levels = make("sarsa", prices=3)
    with pytest.raises(InputError, match="arrivals remembers between ticks"):
        StageGame.of(market_of(), {"firm_1": levels})


def test_venues_remember_apart() -> None:
    demand = retail(2, 2).execution.demand
    sellers = ("platform", "firm_1")
    venues = [
        Venue(
            name,
            (name,),
            sellers,
            quotes=PostedPrice(),
            arrivals=ReturningBuyers(few=few),
            execution=Sampled(demand),
        )
        for name, few in (("p0", 3.0), ("p1", 30.0))
    ]
    catalogue = partial(Catalogue.drawn, seed=0, stock=20.0)
    market = venue_market(sellers, ("platform", "firm"), venues, catalogue)
    state = played(market, 2, 3)[-1].state
    assert sorted(state.memory) == ["p0/bought", "p1/bought"]
    assert not np.array_equal(*state.memory.values())
    alone = replace(venues[0])
    assert alone.arrivals.memory(market.quotes.views(market)[0].market)["bought"].shape == (1,)
