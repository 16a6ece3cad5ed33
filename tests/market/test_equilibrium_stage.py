"""The expected profits that benchmarks are computed from: those of the market's own ticks."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents import auction, market_making
from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson
from mos_agents.market.browsing import Browsing
from mos_agents.market.demand import Elasticity, Linear, Logit
from mos_agents.market.equilibrium import benchmarks, bertrand_nash, best_response, stage_profits
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.metrics import metric
from mos_agents.market.positions import Ledger
from mos_agents.market.reference import Fundamentals, Shock
from mos_agents.market.stages import ArrivalProcess, ExecutionRule
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.testing.playing import random_actions
from tests.market.worlds import expected, retail


@pytest.mark.parametrize("demand", [Logit(), Elasticity(), Linear(40.0, 1.0, 0.5)])
def test_stage_profits_are_the_pnl_of_a_tick(demand):
    """A platform that sells too, a fee, a cost shock and a demand shock from the start."""
    market = expected(
        execution=Expected(demand),
        positions=Ledger(fee=0.1, payer="seller"),
        reference=Fundamentals(
            cost=Shock(at=0, factor=0.8, only=(1,)), demand=Shock(at=0, factor=1.7, only=(0,))
        ),
    )
    actions = random_actions(market, np.random.default_rng(1), 5)
    step = tick(market, market.start(5), actions, Streams.of(0, 5).at(0))
    pnl = step.metrics[:, :, metric("pnl")]
    np.testing.assert_allclose(stage_profits(market, step.info.quotes.ask), pnl, rtol=1e-12)
    assert np.abs(pnl).min() > 0.0


def test_a_row_alone_has_the_bits_that_it_has_among_others():
    market = expected()
    prices = 1.2 * market.catalogue.reference_price * np.linspace(0.9, 1.1, 7)[:, None]
    together = stage_profits(market, prices)
    for r in range(7):
        np.testing.assert_array_equal(stage_profits(market, prices[r : r + 1])[0], together[r])


@pytest.mark.parametrize(
    "arrivals",
    [
        FixedMass(3.5),
        Poisson(40.0),
        Hawkes(mu=8.0, mean_size=3.0),
        Hawkes(mu=8.0, lot=0.0),
        Hawkes(mu=8.0, mean_size=3.0, lot=5.0),
        Browsing(sessions=12.0, contamination=0.3, scraper_intent=0.4),
        Browsing(sessions=7.4, views=(2, 6), scraper_views=1.4, contamination=0.5, poisson=True),
    ],
    ids=lambda a: type(a).__name__,
)
def test_the_mean_mass_is_the_mean_of_what_arrives(arrivals):
    dt = 1.0 if isinstance(arrivals, FixedMass | Browsing) else 0.25
    market = retail(arrivals=arrivals, dt=dt, reference=Fundamentals())
    ticks = 300
    state = market.start(20)
    drawn = np.empty((ticks, 20, market.layout.G))
    for t in range(ticks):
        draws = Streams.of(3, 20).at(t)
        made, excitation = arrivals.arrive(market, state, state.quotes, draws)
        state = state._replace(tick=t + 1, excitation=excitation)
        drawn[t] = made.mass[:, :, 0]
    by_market = drawn.mean(0)  # a self-exciting flow's ticks are not independent, markets are
    error = by_market.std() / np.sqrt(by_market.size)
    mean = arrivals.mean_mass(market, np.ones(market.layout.G))
    assert mean.shape == (market.layout.G,)
    assert np.abs(by_market.mean() - mean).max() <= 4.0 * error + 1e-12


def test_demand_scales_move_the_mass_of_every_process():
    market = retail()
    scale = np.array([1.0, 2.0, 3.0, 2.0])
    for arrivals in (FixedMass(2.0), Poisson(3.0), Hawkes()):
        once = arrivals.mean_mass(market, np.ones(4))
        np.testing.assert_allclose(arrivals.mean_mass(market, scale), once * scale)
    browsing = Browsing()  # sessions are one crowd for all products
    once = browsing.mean_mass(market, np.ones(4))
    np.testing.assert_allclose(browsing.mean_mass(market, scale), once * 2.0)


def test_sampled_and_expected_execution_have_the_same_expected_profits():
    prices = 1.1 * retail().catalogue.reference_price[None]
    sampled = retail(execution=Sampled(Elasticity()))
    np.testing.assert_array_equal(
        stage_profits(sampled, prices),
        stage_profits(retail(execution=Expected(Elasticity())), prices),
    )


class Silent(ArrivalProcess):
    """Arrivals that do not tell their mean."""

    def arrive(self, *_):
        raise AssertionError


@pytest.mark.parametrize(
    ("market", "message"),
    [
        (auction, "posted prices"),
        (market_making, "posted prices"),
        (lambda: expected(arrivals=Silent()), "mean_mass"),
        (lambda: expected(arrivals=FixedMass(0.0)), "no buyers"),
    ],
)
@pytest.mark.parametrize("verb", [benchmarks, bertrand_nash])
def test_a_market_without_what_the_theory_needs_is_refused_in_one_line(market, message, verb):
    with pytest.raises(InputError, match=message) as caught:
        verb(market())
    assert "\n" not in str(caught.value)


def test_an_execution_without_a_demand_model_is_refused_in_one_line():
    class Lottery(ExecutionRule):
        choice = "within"

        def execute(self, *_):
            raise AssertionError

    with pytest.raises(InputError, match="execution Lottery has no demand model"):
        bertrand_nash(expected(execution=Lottery()))


SIZE = expected().layout.L


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: stage_profits(m, np.ones(SIZE)), r"shape \(12,\) must be \(rows, 12\)"),
        (lambda m: best_response(m, np.ones(3), 0), r"prices of shape \(3,\) must be \(12,\)"),
        (lambda m: best_response(m, np.full(SIZE, np.nan), 0), "prices has a value nan"),
        (lambda m: best_response(m, -np.ones(SIZE), 0), "prices has a value -1"),
        (lambda m: best_response(m, "dear", 0), "prices"),
        (lambda m: best_response(m, np.ones(SIZE), "nobody"), "participant='nobody' must be"),
        (lambda m: best_response(m, np.ones(SIZE), 3), "participant=3 must be"),
        (lambda m: best_response(m, np.ones(SIZE), True), "participant=True must be"),
        (lambda m: bertrand_nash(m, start=[1.0]), "start of shape"),
        (lambda m: bertrand_nash(m, tolerance=0.0), "tolerance=0.0 must be > 0"),
    ],
)
def test_wrong_input_is_refused_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call(expected())
    assert "\n" not in str(caught.value)
