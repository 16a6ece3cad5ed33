"""Who comes: counts, clusters and browsing have the laws of their models, on any grid of ticks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson, hawkes_events
from mos_agents.market.browsing import Browsing
from mos_agents.market.counts import one_by_one, poisson_counts, whole
from mos_agents.market.streams import FixedDraws, Streams
from mos_agents.market.types import Arrivals, InputError
from tests.market.worlds import differentiated, makers, retail
from tests.oracles import market as oracles


def arrive(market, batch, seed=0, tick=0, state=None):
    state = market.start(batch) if state is None else state
    return market.arrivals.arrive(market, state, state.quotes, Streams.of(seed, batch).at(tick))


# --- counts ---------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.floats(0.0, 1500.0), st.floats(0.0, 1.0, exclude_max=True))
def test_a_poisson_number_is_the_first_whose_probability_exceeds_the_draw(rate, uniform):
    ours = poisson_counts(np.array([rate]), np.array([uniform]))[0]
    # At the very ends the cumulative probability itself is rounding.
    if 1e-13 < uniform < 1.0 - 1e-13:
        assert abs(ours - oracles.poisson_count(rate, uniform)) <= (not 1e-9 < uniform < 1.0 - 1e-9)
    assert np.isfinite(ours) and ours >= 0.0


@pytest.mark.parametrize("rate", [0.0, 0.3, 4.0, 60.0, 399.0, 401.0, 5000.0])
def test_poisson_counts_have_their_law(rate):
    draws = Streams.of(2, 20000).at(0).uniforms("arrivals", 1)
    counts = poisson_counts(np.full(draws.shape, rate), draws).ravel()
    edges = np.unique(stats.poisson.ppf(np.linspace(0.1, 0.9, 9), rate))
    wanted = np.diff(np.concatenate(([0.0], stats.poisson.cdf(edges, rate), [1.0])))
    found = np.bincount(np.searchsorted(edges, counts), minlength=wanted.size)
    if rate == 0.0:
        assert not counts.any()
    else:
        assert stats.chisquare(found, wanted * counts.size).pvalue > 1e-3


def test_a_higher_rate_never_brings_fewer_arrivals():
    draws = np.full(4000, 0.37)
    counts = poisson_counts(np.linspace(0.0, 800.0, 4000), draws)
    assert (np.diff(counts) >= 0.0).all()


def test_a_poisson_market_has_independent_sides_and_groups_at_rates_per_unit_of_time():
    market = makers(1, 2, arrivals=Poisson(3.0, 1.0), dt=0.5)
    mass = arrive(market, 20000)[0].mass.reshape(20000, 4)
    assert np.allclose(mass.mean(0), [1.5, 0.5, 1.5, 0.5], atol=5 * np.sqrt(1.5 / 20000))
    assert np.allclose(mass.var(0), [1.5, 0.5, 1.5, 0.5], rtol=0.06)
    assert np.abs(np.corrcoef(mass.T) - np.eye(4)).max() < 4.5 / np.sqrt(20000)


def test_whole_numbers_keep_the_mean():
    draws = Streams.of(1, 50000).at(0).uniforms("crowd", 1)
    counts = whole(np.full(draws.shape, 2.4), draws)
    assert set(np.unique(counts)) == {2.0, 3.0}
    assert abs(counts.mean() - 2.4) < 5 * np.sqrt(0.24 / 50000)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_listed_units_are_those_of_the_reference(counts):
    counts = np.array(counts, dtype=float)
    bulk = Arrivals(counts, counts.sum(-1), *[np.empty(0)] * 5)
    start, group, side, size = one_by_one(bulk, FixedDraws({}))[2:6]
    assert (size == 1.0).all()
    for b, row in enumerate(counts):
        own = slice(start[b], start[b + 1])
        assert list(zip(group[own], side[own], strict=True)) == oracles.units(row)


def test_a_fixed_mass_follows_the_demand_scale():
    market = makers(2, 2, arrivals=FixedMass(4.0, 1.0))
    state = market.start(1)._replace(demand_scale=np.array([[1.0, 2.5]]))
    assert arrive(market, 1, state=state)[0].mass.tolist() == [[[4.0, 1.0], [10.0, 2.5]]]


# --- self-exciting order flow ---------------------------------------------------------------------


@pytest.mark.parametrize(("mu", "alpha", "beta"), [(8.0, 0.5, 1.0), (2.0, 3.0, 4.0), (5.0, 0, 1.0)])
def test_hawkes_events_are_those_of_the_reference(mu, alpha, beta):
    market = makers(2, 2, arrivals=Hawkes(mu, alpha, beta))
    rng = np.random.default_rng(1)
    state = market.start(5)._replace(
        excitation=rng.exponential(3.0, (5, 2, 2)), demand_scale=rng.uniform(0.0, 2.0, (5, 2))
    )
    arrivals, excitation = arrive(market, 5, state=state)
    rows = Streams.of(0, 5).at(0).uniforms("arrivals", 4000)
    for b in range(5):
        draws, events = iter(rows[b].tolist()), []
        for g in range(2):
            for s in range(2):
                times, after = oracles.hawkes_path(
                    draws,
                    state.excitation[b, g, s],
                    mu * state.demand_scale[b, g],
                    alpha,
                    beta,
                    market.dt,
                )
                assert excitation[b, g, s] == pytest.approx(after, rel=1e-9)
                events += [(t, g, s) for t in times]
        own = slice(arrivals.start[b], arrivals.start[b + 1])
        found = list(zip(arrivals.group[own], arrivals.side[own], strict=True))
        assert found == [(g, s) for _, g, s in sorted(events)]


def counts_in_window(dt, window=4.0, batch=3000, mu=2.0, alpha=0.5, beta=1.0):
    """Orders per side in a window, after a long warm-up. [2 batch]"""
    quiet = makers(1, 1, arrivals=Hawkes(mu, alpha, beta), dt=25.0)
    _, excitation = arrive(quiet, batch)
    market = makers(1, 1, arrivals=Hawkes(mu, alpha, beta), dt=dt)
    state, total = market.start(batch), np.zeros((batch, 2))
    for t in range(round(window / dt)):
        state = state._replace(excitation=excitation, tick=t + 1)
        arrivals, excitation = arrive(market, batch, tick=t + 1, state=state)
        market_of = np.repeat(np.arange(batch), np.diff(arrivals.start))
        np.add.at(total, (market_of, arrivals.side), 1.0)
    return total.ravel()


@pytest.mark.parametrize("dt", [4.0, 0.5, 0.05])
def test_hawkes_counts_have_the_stationary_mean_and_the_clusters_variance_for_any_tick(dt):
    """Mean mu T / (1 - n) and variance as in Hawkes (1971), with n = alpha / beta.

    Var N(T) = rate (k^2 T + (1 - k^2)(1 - exp(-gT)) / g), k = 1 / (1 - n), g = beta - alpha.
    """
    counts = counts_in_window(dt)
    rate, k2, g, window = 2.0 / 0.5, 4.0, 0.5, 4.0
    variance = rate * (k2 * window + (1.0 - k2) * (1.0 - np.exp(-g * window)) / g)
    assert variance / (rate * window) > 2.5  # a Poisson crowd would have 1
    assert abs(counts.mean() - rate * window) < 4.5 * np.sqrt(variance / counts.size)
    assert counts.var() == pytest.approx(variance, rel=0.10)


def test_the_two_sides_of_a_book_do_not_excite_each_other():
    counts = counts_in_window(4.0).reshape(-1, 2)
    assert abs(np.corrcoef(counts.T)[0, 1]) < 4.5 / np.sqrt(len(counts))


@pytest.mark.parametrize("dt", [400.0, 0.5])
def test_in_the_clock_of_its_own_intensity_a_hawkes_process_is_a_poisson_process(dt):
    """Time-change theorem (Papangelou 1972): compensated waiting times are exponential(1)."""
    mu, alpha, beta, horizon = 2.0, 1.5, 2.0, 400.0
    excitation, times = np.full((1, 1, 2), 3.0), ([], [])
    for t in range(round(horizon / dt)):
        uniforms = Streams.of(9, 1).at(t).uniforms("arrivals", 20000 if dt > 1 else 400)
        made = hawkes_events(uniforms, excitation, np.ones((1, 1)), mu, alpha, beta, dt)
        excitation, side, time, enough = made[0], made[3], made[4], made[-1]
        assert enough
        for s, at in zip(side, time, strict=True):
            times[s].append(t * dt + at)
    for path in times:
        excess, residuals = 3.0, []
        for a, b in pairwise([0.0, *path]):
            decay = np.exp(-beta * (b - a))
            residuals.append(mu * (b - a) + excess * (1.0 - decay) / beta)
            excess = excess * decay + alpha
        assert len(residuals) > 2000
        assert stats.kstest(residuals, "expon").pvalue > 1e-3
        table, _, _ = np.histogram2d(  # and one says nothing about the next
            np.exp(-np.array(residuals[:-1])),
            np.exp(-np.array(residuals[1:])),
            bins=4,
            range=[[0, 1], [0, 1]],
        )
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_order_sizes_are_exponential_in_whole_lots():
    market = makers(1, 1, arrivals=Hawkes(mean_size=10.0, lot=0.0), dt=20.0)
    sizes = arrive(market, 20)[0].size
    assert stats.kstest(sizes, "expon", (0.0, 10.0)).pvalue > 1e-3
    lots = arrive(market.with_parts(arrivals=Hawkes(mean_size=10.0, lot=5.0)), 20)[0].size
    assert np.array_equal(lots, np.ceil(sizes / 5.0) * 5.0)


def test_mass_and_exposure_count_the_single_orders():
    arrivals, _ = arrive(makers(2, 3), 7)
    mass = np.zeros((7, 3, 2))
    market_of = np.repeat(np.arange(7), np.diff(arrivals.start))
    np.add.at(mass, (market_of, arrivals.group, arrivals.side), arrivals.size)
    assert np.array_equal(arrivals.mass, mass)


# --- browsing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "browsing",
    [
        Browsing(),
        Browsing(7.0, (2, 2), 0.5, 2.0, 0.3),
        Browsing(3.4, (1, 9), 0.2, 1.5),
        Browsing(20.0, (1, 30), 0.1, poisson=True),
    ],
)
def test_browsers_see_what_they_see_in_the_reference(browsing):
    market = retail(2, 6, arrivals=browsing)
    arrivals, _ = arrive(market, 9)
    draws = Streams.of(0, 9).at(0)
    visitors = draws.uniforms("sessions", 200)
    views = draws.ragged("views", arrivals.start)
    numbers = browsing._sessions(market, market.start(9), draws)
    for b in range(9):
        own = slice(arrivals.start[b], arrivals.start[b + 1])
        made = oracles.sessions(
            visitors[b, : 2 * numbers[b]].reshape(-1, 2),
            iter(views[own]),
            6,
            *browsing.views,
            browsing.contamination,
            browsing.scraper_views,
        )
        seen = []
        for products, scraper in made:
            assert len(set(products)) == len(products)  # nobody looks at a product twice
            seen += [(p, browsing.scraper_intent if scraper else 1.0) for p in products]
        found = list(zip(arrivals.group[own], arrivals.intent[own], strict=True))
        assert found == seen
        looks = np.bincount(arrivals.group[own], minlength=6)
        assert arrivals.exposure[b].tolist() == looks.tolist()
        assert arrivals.mass[b, :, 0] == pytest.approx(
            np.bincount(arrivals.group[own], arrivals.intent[own], minlength=6)
        )


def test_every_product_is_looked_at_as_often_as_the_model_says():
    """10 products: customers view 2.5 on average, scrapers (3, 6, 9 or all) 7."""
    batch = 4000
    market = retail(2, 10, arrivals=Browsing(), reference=retail().reference)
    arrivals, _ = arrive(market, batch)
    wanted = 30.0 * (0.9 * 2.5 + 0.1 * 7.0) / 10.0
    # Looks at one product in one session are 0 or 1: their variance is below the mean.
    assert np.allclose(arrivals.exposure.mean(0), wanted, atol=4.5 * np.sqrt(wanted / batch))
    scrapers = (arrivals.intent < 1.0).mean()
    assert scrapers == pytest.approx(0.7 / (0.9 * 2.5 + 0.7), abs=0.005)
    assert set(np.unique(arrivals.intent)) == {0.01, 1.0}


def test_any_two_products_are_looked_at_together_equally_often():
    market = retail(2, 4, arrivals=Browsing(1.0, (2, 2), 0.0))
    arrivals, _ = arrive(market, 30000)
    pairs = np.sort(arrivals.group.reshape(-1, 2), axis=1)
    counts = np.unique(pairs @ [4, 1], return_counts=True)[1]
    assert counts.size == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_browsing_needs_products_to_view():
    with pytest.raises(InputError, match="within"):
        differentiated(arrivals=Browsing())


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        (Poisson, {"buy": -1.0}, "buy"),
        (FixedMass, {"sell": np.nan}, "sell"),
        (Hawkes, {"alpha": 1.0, "beta": 1.0}, "alpha"),
        (Hawkes, {"mean_size": 0.0}, "mean_size"),
        (Browsing, {"views": (0, 2)}, "views"),
        (Browsing, {"views": (3, 2)}, "views"),
        (Browsing, {"contamination": 1.1}, "contamination"),
        (Browsing, {"sessions": np.nan}, "sessions"),
    ],
)
def test_a_crowd_that_makes_no_sense_is_refused_by_its_name(kind, wrong, field):
    with pytest.raises(InputError, match=field):
        kind(**wrong)
