"""Every random number is a function of its address, and the numbers are numpy's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mos_agents.market.streams import (
    FixedDraws,
    StreamDraws,
    Streams,
    _fill_ragged,
    _fill_rows,
)
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.testing.playing import random_actions
from mos_agents.testing.promises import bits
from tests.market.worlds import KINDS
from tests.oracles.market import unit_rows

words = st.integers(0, 2**64 - 1)


def fill_rows(philox_key, tick, markets, key, n):
    """[B, n] uniforms of one key at one tick."""
    out = np.empty((len(markets), n))
    _fill_rows(philox_key, int(tick), markets, np.uint64(key), out)
    return out


def fill_ragged(philox_key, tick, markets, key, start):
    """Flat uniforms, market b in positions start[b]:start[b + 1]."""
    total = int(start[-1])
    out = np.empty(total + 3)
    _fill_ragged(philox_key, int(tick), markets, np.uint64(key), start, out)
    return out[:total]


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(words, words),
    st.integers(0, 2**40),
    st.lists(words, min_size=1, max_size=4),
    words,
    st.integers(0, 17),
)
def test_uniforms_are_those_of_numpys_own_philox(philox_key, tick, markets, key, n):
    philox_key = np.array(philox_key, np.uint64)
    numbers = np.array(markets, np.uint64)
    ours = fill_rows(philox_key, tick, numbers, key, n)
    assert np.array_equal(ours, unit_rows(philox_key, tick, numbers, key, n))


@settings(max_examples=100, deadline=None)
@given(words, st.lists(st.integers(0, 9), min_size=1, max_size=6), words)
def test_ragged_rows_hold_the_same_numbers_as_full_ones(seed, lengths, key):
    philox_key, numbers = np.array([seed, 7], np.uint64), np.arange(len(lengths)).astype(np.uint64)
    start = np.concatenate(([0], np.cumsum(lengths)))
    flat = fill_ragged(philox_key, 3, numbers, key, start)
    full = unit_rows(philox_key, 3, numbers, key, 9)
    for b, length in enumerate(lengths):
        assert np.array_equal(flat[start[b] : start[b + 1]], full[b, :length])


def test_a_longer_table_repeats_the_shorter_one_and_goes_on():
    draws = Streams.of(3, 5).at(11)
    assert np.array_equal(draws.uniforms("x", 40)[:, :13], draws.uniforms("x", 13))


@pytest.mark.parametrize(
    "other",
    [
        Streams.of(1, 2).at(0).uniforms("x", 8),
        Streams.of(0, 2).at(1).uniforms("x", 8),
        Streams.of(0, 2).at(0).uniforms("y", 8),
        Streams.of(0, 2, owner="maker").at(0).uniforms("x", 8),
        Streams.of(0, np.array([1, 0])).at(0).uniforms("x", 8),
    ],
)
def test_seed_tick_key_owner_and_market_each_change_every_number(other):
    ours = Streams.of(0, 2).at(0).uniforms("x", 8)
    assert not (ours == other).any()


def test_seed_zero_is_a_seed_that_repeats_itself():
    first, again, other = (Streams.of(s, 3).at(5).normals("x", 100) for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not (first == other).any()


def test_uniforms_and_normals_have_their_laws_also_across_markets_ticks_and_keys():
    streams = Streams.of(4, 500)
    u = np.stack([streams.at(t).uniforms("x", 20) for t in range(4)])
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(streams.at(0).normals("z", 40).ravel(), "norm").pvalue > 1e-3
    for a, b in (
        (u[:, :-1], u[:, 1:]),  # markets
        (u[:-1], u[1:]),  # ticks
        (u[..., :-1], u[..., 1:]),  # positions
        (u[0], streams.at(0).uniforms("y", 20)),  # keys
    ):
        table, _, _ = np.histogram2d(a.ravel(), b.ravel(), bins=8, range=[[0, 1], [0, 1]])
        assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_normals_stay_finite_at_the_ends_of_the_uniforms(monkeypatch):
    ends = np.array([[0.0, 2.0**-53, 1.0 - 2.0**-53]])
    monkeypatch.setattr(StreamDraws, "uniforms", lambda self, key, n: ends)
    normals = Streams.of(0).at(0).normals("z", 3)
    assert np.isfinite(normals).all()
    assert (np.diff(normals) > 0.0).all()


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", None])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(InputError, match="seed"):
        Streams.of(seed)


@pytest.mark.parametrize("markets", [0, [], [[1]], [-1]])
def test_what_are_no_markets_is_refused(markets):
    with pytest.raises(InputError, match="markets"):
        Streams.of(0, markets)


def test_fixed_draws_give_what_is_written_down_and_nothing_else():
    draws = FixedDraws({"x": [[0.1, 0.2]], "flat": [0.5, 0.6, 0.7]})
    assert draws.uniforms("x", 1).tolist() == [[0.1]]
    assert draws.ragged("flat", np.array([0, 1, 3])).tolist() == [0.5, 0.6, 0.7]
    with pytest.raises(InputError, match="no fixed draws for 'y'"):
        draws.uniforms("y", 1)
    with pytest.raises(InputError, match="shape"):
        draws.uniforms("x", 3)
    with pytest.raises(InputError, match="needs 4"):
        draws.ragged("flat", np.array([0, 4]))


class Asked(NamedTuple):
    """The same numbers, but by asking: nobody may draw from its addresses."""

    draws: StreamDraws

    def uniforms(self, key, n):
        return self.draws.uniforms(key, n)

    def normals(self, key, n):
        return self.draws.normals(key, n)

    def ragged(self, key, start):
        return self.draws.ragged(key, start)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_drawn_where_they_are_used_are_those_that_are_handed_over(kind):
    market = KINDS[kind]()
    state, rng = market.start(6), np.random.default_rng(1)
    for t in range(8):
        actions, draws = random_actions(market, rng, 6), Streams.of(2, 6).at(t)
        drawn, asked = (tick(market, state, actions, source) for source in (draws, Asked(draws)))
        assert bits(drawn) == bits(asked)
        state = drawn.state
