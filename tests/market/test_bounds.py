"""Numbers without bounds: every arrival process has a largest rate, and a market whose numbers
leave the range of floats stops at that tick and names the number.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mos_agents
from mos_agents import runs, scenarios
from mos_agents.market.arrivals import Hawkes, Poisson
from mos_agents.market.finite import NotFinite, finite
from mos_agents.market.market import Market
from mos_agents.market.stages import RewardRule
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.rollout import play, rollout
from tests.commands import refused

MANY = "orders a tick and market, at most 1e6 are played: "

# --- more orders than are played ------------------------------------------------------------------

TOO_MANY = [
    ("retail", "arrivals={kind: poisson, buy: 1.0e+12}", "lower buy, sell or dt"),
    ("retail", "arrivals={kind: poisson, buy: 1.0e+9}", "lower buy, sell or dt"),
    ("market_making", "arrivals={kind: poisson, buy: 0, sell: 1.0e+9}", "lower buy, sell or dt"),
    ("retail", "arrivals={kind: poisson, buy: 2.0e+5, mean_size: 3}", "lower buy, sell or dt"),
    ("retail", "arrivals={kind: fixed_mass, buy: 1.0e+15}", "or use expected execution"),
    ("retail", "arrivals={kind: fixed_mass, buy: 5.0e+5, sell: 6.0e+5}", "lower the arrivals"),
    ("retail", "arrivals={kind: hawkes, mu: 1.0e+9}", "lower mu or dt"),
    ("retail", "arrivals.sessions=1e7", "lower sessions, views or scraper_views"),
    ("retail", "arrivals={kind: browsing, sessions: 1e6, poisson: true}", "lower sessions"),
    ("market_making", "arrivals={kind: poisson, buy: 1e9}", "lower buy"),
    ("market_making", "arrivals={kind: fixed_mass, sell: 1e7}", "lower the arrivals"),
    ("market_making", "arrivals.mu=1e9", "draw alpha away from beta"),
    ("market_making", "dt=1e6", "lower mu or dt"),
    ("auction", "arrivals={kind: fixed_mass, buy: 0, sell: 1e9}", "lower the arrivals"),
    ("auction", "arrivals={kind: poisson, buy: 0, sell: 1e9}", "lower buy, sell"),
]


@pytest.mark.parametrize(("preset", "change", "remedy"), TOO_MANY)
def test_more_orders_than_are_played_are_refused_before_anything_is_made(
    preset: str, change: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        scenarios.override(scenarios.load(preset), [change]).market()
    text = str(caught.value)
    assert MANY in text and remedy in text and "\n" not in text


GROWING = [
    ("arrivals={kind: poisson, buy: 10}", "buy=10.0, sell=0.0 at tick"),
    ("arrivals={kind: poisson, buy: 10, mean_size: 2.5}", "buy=10.0, sell=0.0 at tick"),
    ("arrivals={kind: hawkes, mu: 3}", "mu=3.0 at tick"),
    ("arrivals={kind: browsing, sessions: 30}", "sessions=30.0, views=(1, 4) at tick"),
    ("arrivals={kind: browsing, sessions: 30, poisson: true}", "sessions=30.0, views=(1, 4) at"),
    ("arrivals={kind: fixed_mass, buy: 10}", "demand that comes unit by unit makes"),
]


@pytest.mark.parametrize(("change", "cause"), GROWING)
@pytest.mark.parametrize("mu", [3, 20, 700])
def test_a_demand_that_grows_during_play_is_refused_at_the_tick_at_which_it_is_too_much(
    change: str, cause: str, mu: int
) -> None:
    grows = f"reference.demand={{kind: geometric_brownian, mu: {mu}, sigma: 0}}"
    scenario = scenarios.override(scenarios.load("retail"), [change, grows, "ticks=20"])
    with pytest.raises(InputError) as caught:
        rollout(scenario.market(), scenario.policies(), markets=2)
    text = str(caught.value)
    assert (MANY in text and cause in text) or "demand scale of product_1" in text


def test_hawkes_orders_that_excitation_alone_makes_too_many_are_refused() -> None:
    market = mos_agents.market_making(makers=1, assets=1)
    state = market.start(1)
    state = state._replace(excitation=state.excitation + 1e12)
    quotes = np.zeros((1, market.layout.L, market.action_width))
    with pytest.raises(InputError, match="at most 1e6 are played"):
        tick(market, state, quotes, Streams.of(0, 1).at(0))


def test_a_mass_that_is_no_number_is_not_dealt_out_in_compiled_code() -> None:
    market = mos_agents.retail(arrivals__kind="fixed_mass")
    state = market.start(1)
    state = state._replace(demand_scale=state.demand_scale * np.nan)
    quotes = np.ones((1, market.layout.L, 1))
    with pytest.raises(InputError):
        tick(market, state, quotes, Streams.of(0, 1).at(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("arrivals.views=[1, 100000000000000000]", "1 <= least <= most <= 1,000,000"),
        ("arrivals.scraper_views=1e15", "scraper_views=1000000000000000.0 must be in [0, 1e+06]"),
        ("reference.price={kind: jump_diffusion, rate: 1e12}", "price.rate=1000000000000.0 makes"),
        ("reference.cost={kind: jump_diffusion, rate: 1e7}", "cost.rate=10000000.0 makes 1e+07"),
    ],
)
def test_numbers_of_views_and_jumps_have_bounds_too(change: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        scenarios.override(scenarios.load("retail"), [change]).market()
    assert message in str(caught.value)


# --- Poisson orders with sizes --------------------------------------------------------------------


def orders(process: Any, ticks: int, markets: int = 1) -> tuple[Any, np.ndarray]:
    market = replace(mos_agents.market_making(makers=1, assets=2), arrivals=process)
    state, streams = market.start(markets), Streams.of(3, markets)
    found = [process.arrive(market, state, state.quotes, streams.at(t))[0] for t in range(ticks)]
    return market, np.stack([one.mass.sum(axis=(0, 2)) for one in found])


def test_poisson_orders_of_one_unit_have_the_bits_that_they_had() -> None:
    plain, sizeless = Poisson(3.0, 2.0), Poisson(3.0, 2.0, mean_size=0.0, lot=1.0)
    assert np.array_equal(orders(plain, 50)[1], orders(sizeless, 50)[1])
    assert plain == sizeless


def test_poisson_and_hawkes_orders_of_the_same_rate_and_size_have_the_same_volume() -> None:
    hawkes = Hawkes(mu=20.0, alpha=0.5, beta=1.0, mean_size=10.0)
    rate = hawkes.mu / (1.0 - hawkes.alpha / hawkes.beta)
    poisson = Poisson(rate, rate, mean_size=10.0)
    market, volumes = orders(poisson, 400, markets=50)
    scale = np.ones(market.layout.G)
    assert np.allclose(poisson.mean_mass(market, scale), hawkes.mean_mass(market, scale))
    per_side = volumes.mean(axis=0) / 50 / 2
    assert np.allclose(per_side, poisson.mean_mass(market, scale), rtol=0.02)


@pytest.mark.parametrize(("mean_size", "lot"), [(0.0, 5.0), (7.0, 2.0), (3.0, 0.0), (0.1, 1.0)])
def test_sizes_are_whole_lots_and_every_order_is_there(mean_size: float, lot: float) -> None:
    sized, counted = Poisson(200.0, 100.0, mean_size, lot), Poisson(200.0, 100.0)
    market = replace(mos_agents.market_making(makers=2, assets=3), arrivals=sized)
    state, draws = market.start(4), Streams.of(1, 4).at(0)
    found = sized.arrive(market, state, state.quotes, draws)[0]
    numbers = counted.arrive(market, state, state.quotes, draws)[0].mass
    market_of = np.repeat(np.arange(4), np.diff(found.start))
    again, volume = np.zeros_like(numbers), np.zeros_like(numbers)
    np.add.at(again, (market_of, found.group, found.side), 1.0)
    np.add.at(volume, (market_of, found.group, found.side), found.size)
    assert np.array_equal(again, numbers)
    assert np.allclose(volume, found.mass) and np.allclose(found.exposure, volume.sum(-1))
    assert (found.size > 0.0).all()
    if lot:
        assert np.array_equal(found.size % lot, np.zeros(found.size.size))
    if mean_size == 0.0:
        assert (found.size == lot).all()


def test_sized_poisson_orders_of_a_market_are_the_same_in_any_company() -> None:
    process = Poisson(200.0, 100.0, 4.0)
    market = replace(mos_agents.market_making(makers=2, assets=3), arrivals=process)
    many, one = market.start(5), market.start(1)
    of_many = process.arrive(market, many, many.quotes, Streams.of(1, 5).at(2))[0]
    alone = process.arrive(market, one, one.quotes, Streams.of(1, np.array([3])).at(2))[0]
    mine = slice(of_many.start[3], of_many.start[4])
    for name in ("group", "side", "size"):
        assert np.array_equal(getattr(of_many, name)[mine], getattr(alone, name))


def test_orders_without_any_size_are_refused() -> None:
    with pytest.raises(InputError, match="have no size"):
        Poisson(1.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(("preset", "sell"), [("retail", 0), ("market_making", 5)])
def test_markets_play_sized_poisson_orders(preset: str, sell: int) -> None:
    kind = f"arrivals={{kind: poisson, buy: 5, sell: {sell}, mean_size: 3}}"
    scenario = scenarios.override(scenarios.load(preset), [kind, "ticks=20"])
    result = rollout(scenario.market(), scenario.policies(), markets=3)
    assert np.isfinite(result.reward).all()


# --- numbers that leave the range of floats -------------------------------------------------------

NEVER = "cannot be computed"
DIVERGING = [
    ("retail", "reference.cost={kind: geometric_brownian, mu: 20}", "reference.cost: lower its mu"),
    ("retail", "reference.cost={kind: geometric_brownian, mu: 1000}", "cost of platform's product"),
    ("retail", "reference.price={kind: geometric_brownian, mu: 1000}", "reference price of prod"),
    ("retail", "reference.price={kind: geometric_brownian, mu: 30}", "reference.price: lower"),
    ("retail", "reference.cost={kind: jump_diffusion, rate: 1e5, jump_mean: 3}", "cost of"),
    ("retail", "reference.cost={kind: geometric_brownian, mu: 1, sigma: 1e5}", ""),
    ("pricing_game", "reference.demand={kind: geometric_brownian, mu: 900}", "demand scale of"),
    ("pricing_game", "reference.demand={kind: geometric_brownian, mu: 20}", "reference.demand"),
    ("market_making", "reference.price={kind: geometric_brownian, mu: 1e5}", "reference price"),
    ("market_making", "reference.price={kind: brownian, mu: 1e15, sigma: 1e15}", ""),
    ("market_making", "reference.price={kind: ornstein_uhlenbeck, sigma: 1e5}", ""),
    ("autos_1990", "reference.cost={kind: geometric_brownian, mu: 50}", "reference.cost"),
]


@pytest.mark.parametrize(("preset", "change", "remedy"), DIVERGING)
@pytest.mark.parametrize("markets", [1, 40])
@pytest.mark.filterwarnings("error")
def test_a_market_stops_at_the_first_tick_that_is_not_finite(
    preset: str, change: str, remedy: str, markets: int
) -> None:
    scenario = scenarios.override(scenarios.load(preset), [change, "ticks=60"])
    steps = play(scenario.market(), scenario.policies(), ticks=60, markets=markets)
    ticks = 0
    try:
        for step in steps:
            assert np.isfinite(step.metrics).all() and np.isfinite(step.reward).all()
            assert np.isfinite(step.state.cost).all()
            ticks += 1
    except NotFinite as stop:
        text = str(stop)
        assert text.startswith(f"tick {ticks}: ") and remedy in text
        assert "and the market stops; " in text and "\n" not in text
    else:
        assert not remedy, "it played to its end"


@pytest.mark.parametrize("arrivals", ["fixed_mass", "poisson", "browsing", "hawkes"])
def test_a_demand_below_nothing_stops_the_market(arrivals: str) -> None:
    falls = "reference.demand={kind: brownian, mu: -0.3, sigma: 0}"
    scenario = scenarios.override(scenarios.load("retail"), [f"arrivals={arrivals}", falls])
    with pytest.raises(NotFinite, match=r"tick 3: demand scale of product_1 is -0\.2, .*below 0"):
        rollout(scenario.market(), scenario.policies(), markets=2)


def worlds() -> dict[str, Market]:
    return {
        "in one pass": mos_agents.retail(firms=1, products=1),
        "by stages": replace(
            mos_agents.retail(firms=1, products=1), rewards=Strange(mos_agents.retail().rewards)
        ),
    }


class Strange(RewardRule):
    """An objective of one's own: its market is closed by its stages, one after the other."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def score(self, market: Market, metrics: np.ndarray) -> np.ndarray:
        return self.inner.score(market, metrics)

    def breakdown(self, market: Market, metrics: np.ndarray) -> dict[str, np.ndarray]:
        return self.inner.breakdown(market, metrics)


@pytest.mark.parametrize("way", ["in one pass", "by stages"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("field", ["cost", "reference", "demand_scale", "cash", "inventory"])
def test_whichever_number_is_not_finite_is_named_whatever_way_the_tick_is_closed(
    way: str, value: float, field: str
) -> None:
    market = worlds()[way]
    state = market.start(2)
    if field in ("cash", "inventory"):
        held = getattr(state.positions, field).copy()
        held[1, 0] = value
        state = state._replace(positions=state.positions._replace(**{field: held}))
    else:
        table = getattr(state, field).copy()
        table[1, 0] = value
        state = state._replace(**{field: table})
    with pytest.raises(InputError) as caught:
        tick(market, state, np.full((2, market.layout.L, 1), 20.0), Streams.of(0, 2).at(0))
    assert "\n" not in str(caught.value)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=40),
    st.integers(0, 8),
)
def test_the_check_says_what_numpy_says(numbers: list[float], place: int) -> None:
    fine, odd = np.ones((1, 2)), np.array([numbers])
    tables = [fine] * 9
    tables[place] = odd
    tables[7] = tables[7][None]
    fine_scale = place != 4 or (odd >= 0.0).all()
    assert finite(*tables) == (np.isfinite(odd).all() and fine_scale)


@pytest.mark.parametrize("backend", ["local", "actors"])
def test_a_run_that_stops_tells_the_tick_and_keeps_what_came_before(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(
        capsys,
        "run",
        "retail",
        "--set",
        "products=2",
        "--set",
        "reference.cost={kind: geometric_brownian, mu: 20, sigma: 0.1}",
        "--ticks",
        "60",
        "--out",
        str(tmp_path),
        "--name",
        "mu",
        "--backend",
        backend,
    )
    assert "the market stops; the cost has grown to" in line and "reference.cost: lower" in line
    if "ticks are recorded" in line:
        table = runs.read("mu", tmp_path).participants()
        assert table.height
        for column in table.select(pl.selectors.float()):
            assert column.is_finite().all()
    else:
        assert list(tmp_path.iterdir()) == []


def test_environments_stop_in_one_line_too() -> None:
    from envs import retail_v0

    env = retail_v0.parallel_env(
        firms=1, products=1, reference__cost={"kind": "geometric_brownian", "mu": 200.0}
    )
    env.reset(seed=0)
    with pytest.raises(InputError, match="the market stops"):
        for _ in range(50):
            env.step({agent: env.action_space(agent).sample() for agent in env.agents})


EXTREMES = [0.0, 1e-15, 1e-9, 1e-3, 1.0, 30.0, 700.0, 1e4, 1e6, 1e9, 1e15]
NUMBERS = {
    "retail": [
        "dt",
        "positions.holding_cost",
        "positions.shortage_cost",
        "quotes.margin_floor",
        "catalogue.stock",
        "arrivals.sessions",
        "arrivals.scraper_views",
        "execution.demand.price_coefficient",
        "reference.cost.mu",
        "reference.cost.sigma",
        "reference.price.mu",
        "reference.demand.mu",
        "reference.demand.sigma",
        "rewards.weights.pnl",
    ],
    "market_making": [
        "dt",
        "arrivals.mu",
        "arrivals.mean_size",
        "arrivals.lot",
        "execution.kappa",
        "execution.scale",
        "positions.limit",
        "reference.price.mu",
        "reference.price.sigma",
        "reference.demand.mu",
        "positions.holding_cost",
        "rewards.weights.inventory_risk",
    ],
    "pricing_game": [
        "dt",
        "arrivals.buy",
        "reference.demand.mu",
        "reference.cost.mu",
        "catalogue.cost",
        "catalogue.reference_price",
        "catalogue.quality",
        "execution.demand.price_coefficient",
    ],
    "auction": ["dt", "arrivals.sell", "execution.reserve", "catalogue.cost", "positions.limit"],
}
MOVING = {
    "retail": [f"reference.{one}.kind=geometric_brownian" for one in ("cost", "price", "demand")],
    "pricing_game": [f"reference.{one}.kind=geometric_brownian" for one in ("cost", "demand")],
    "market_making": ["reference.demand.kind=geometric_brownian"],
    "auction": [],
}


def extreme(rng: np.random.Generator) -> tuple[str, list[str]]:
    """A preset with up to three of its numbers at an extreme."""
    preset = list(NUMBERS)[rng.integers(len(NUMBERS))]
    names = rng.permutation(NUMBERS[preset])[: rng.integers(1, 4)]
    return preset, MOVING[preset] + [f"{n}={EXTREMES[rng.integers(len(EXTREMES))]}" for n in names]


@pytest.mark.filterwarnings("ignore")
def test_extreme_scenarios_are_refused_or_played_with_finite_numbers_only() -> None:
    """A sample; MOS_TEST_WHOLE=1 plays all 500."""
    rng = np.random.default_rng(0)
    played = refused = 0
    for _ in range(500 if os.environ.get("MOS_TEST_WHOLE") else 80):
        preset, changes = extreme(rng)
        try:
            scenario = scenarios.override(scenarios.load(preset), [*changes, "ticks=30"])
            for step in play(scenario.market(), scenario.policies(), ticks=30, markets=2):
                for table in (
                    step.metrics,
                    step.reward,
                    step.state.cost,
                    step.state.reference,
                    step.info.quotes.ask,
                    step.state.positions.cash,
                ):
                    assert np.isfinite(table).all(), changes
            played += 1
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and str(error), changes
    assert played > 10 and refused > 10
