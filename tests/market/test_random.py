"""Every random number is a function of its address, and the numbers are numpy's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mos_agents.market.random import (
    HandMade,
    Streams,
    StreamShocks,
    fill_ragged,
    fill_rows,
    unit_rows,
)
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from tests.market.worlds import KINDS, bits, random_actions

words = st.integers(0, 2**64 - 1)


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(words, words),
    st.integers(0, 2**40),
    st.lists(words, min_size=1, max_size=4),
    words,
    st.integers(0, 17),
)
def test_uniforms_are_those_of_numpys_own_philox(key, tick, markets, purpose, n):
    key = np.array(key, np.uint64)
    numbers = np.array(markets, np.uint64)
    ours = fill_rows(key, tick, numbers, purpose, n)
    assert np.array_equal(ours, unit_rows(key, tick, numbers, purpose, n))


@settings(max_examples=100, deadline=None)
@given(words, st.lists(st.integers(0, 9), min_size=1, max_size=6), words)
def test_ragged_rows_hold_the_same_numbers_as_full_ones(seed, lengths, purpose):
    key, numbers = np.array([seed, 7], np.uint64), np.arange(len(lengths)).astype(np.uint64)
    start = np.concatenate(([0], np.cumsum(lengths)))
    flat = fill_ragged(key, 3, numbers, purpose, start)
    full = unit_rows(key, 3, numbers, purpose, 9)
    for b, length in enumerate(lengths):
        assert np.array_equal(flat[start[b] : start[b + 1]], full[b, :length])


def test_a_longer_table_repeats_the_shorter_one_and_goes_on():
    luck = Streams.of(3, 5).at(11)
    assert np.array_equal(luck.uniforms("x", 40)[:, :13], luck.uniforms("x", 13))


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
def test_seed_tick_purpose_owner_and_market_each_change_every_number(other):
    ours = Streams.of(0, 2).at(0).uniforms("x", 8)
    assert not (ours == other).any()


def test_seed_zero_is_a_seed_that_repeats_itself():
    first, again, other = (Streams.of(s, 3).at(5).normals("x", 100) for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not (first == other).any()


def test_uniforms_and_normals_have_their_laws_also_across_markets_ticks_and_purposes():
    luck = Streams.of(4, 500)
    u = np.stack([luck.at(t).uniforms("x", 20) for t in range(4)])
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(luck.at(0).normals("z", 40).ravel(), "norm").pvalue > 1e-3
    for a, b in (
        (u[:, :-1], u[:, 1:]),  # markets
        (u[:-1], u[1:]),  # ticks
        (u[..., :-1], u[..., 1:]),  # positions
        (u[0], luck.at(0).uniforms("y", 20)),  # purposes
    ):
        table, _, _ = np.histogram2d(a.ravel(), b.ravel(), bins=8, range=[[0, 1], [0, 1]])
        assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_normals_stay_finite_at_the_ends_of_the_uniforms(monkeypatch):
    ends = np.array([[0.0, 2.0**-53, 1.0 - 2.0**-53]])
    monkeypatch.setattr(StreamShocks, "uniforms", lambda self, purpose, n: ends)
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


def test_hand_made_luck_gives_what_is_written_down_and_nothing_else():
    luck = HandMade({"x": [[0.1, 0.2]], "flat": [0.5, 0.6, 0.7]})
    assert luck.uniforms("x", 1).tolist() == [[0.1]]
    assert luck.ragged("flat", np.array([0, 1, 3])).tolist() == [0.5, 0.6, 0.7]
    with pytest.raises(InputError, match="no hand-made shocks for 'y'"):
        luck.uniforms("y", 1)
    with pytest.raises(InputError, match="shape"):
        luck.uniforms("x", 3)
    with pytest.raises(InputError, match="needs 4"):
        luck.ragged("flat", np.array([0, 4]))


class Asked(NamedTuple):
    """The same luck, but by asking: nobody may draw from its addresses."""

    luck: StreamShocks

    def uniforms(self, purpose, n):
        return self.luck.uniforms(purpose, n)

    def normals(self, purpose, n):
        return self.luck.normals(purpose, n)

    def ragged(self, purpose, start):
        return self.luck.ragged(purpose, start)


@pytest.mark.parametrize("kind", KINDS)
def test_luck_drawn_where_it_is_used_is_the_luck_that_is_handed_over(kind):
    market = KINDS[kind]()
    state, rng = market.start(6), np.random.default_rng(1)
    for t in range(8):
        actions, luck = random_actions(market, rng, 6), Streams.of(2, 6).at(t)
        drawn, asked = (tick(market, state, actions, source) for source in (luck, Asked(luck)))
        assert bits(drawn) == bits(asked)
        state = drawn.state
