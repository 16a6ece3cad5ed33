"""The corpus holds what its labels say."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.corpus import WORLDS, generate
from mos_agents.corpus.learners import learnt, play_on, train_one
from mos_agents.corpus.markets import Conditions
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.types import InputError

SCRIPTED = [name for name, world in WORLDS.items() if not world.learners]


@pytest.mark.parametrize("world", SCRIPTED)
def test_the_same_seed_gives_the_same_markets_and_another_seed_others(world):
    one, same, other = (generate(world, 3, 60, 3, seed) for seed in (0, 0, 1))
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a.observed.prices, b.observed.prices)
        assert not np.array_equal(a.observed.prices, c.observed.prices)
        assert a.kind == WORLDS[world].kind
        assert not a.observed.has("benchmarks")
        assert not a.observed.has("control")
        assert a.compared.has("control")
        assert a.theory.has("best_reply")
        assert (a.observed.prices > 0.0).all()


def test_nash_and_joint_prices_are_those_of_the_solver():
    rng = np.random.default_rng(0)
    cost, quality = 1.0 + 0.2 * rng.random((4, 2, 3)), 2.0 + 0.2 * rng.random((4, 2, 3))
    found = Conditions(cost, quality)
    nash, joint = found.nash(), found.joint()
    for t in range(4):
        for s in range(2):
            market = LogitMarket.from_scale(quality[t, s], cost[t, s], range(3), scale=0.25)
            np.testing.assert_allclose(nash[t, s], market.bertrand_nash().prices, atol=1e-5)
            np.testing.assert_allclose(joint[t, s], market.joint_profit().prices, atol=1e-8)
            shares = market.shares(nash[t, s])
            np.testing.assert_allclose(found.sold(nash)[t, s], 1000.0 * shares, rtol=1e-3)


def test_competitors_price_near_nash_and_cartels_near_joint_profit():
    for name in SCRIPTED:
        markets = generate(name, 20, 80, 3, 0)
        place = np.mean(
            [
                (m.observed.prices - m.theory.price_nash).mean()
                / (m.theory.price_joint - m.theory.price_nash).mean()
                for m in markets
            ]
        )
        if name in ("cartel", "rigid_cartel"):
            assert place == pytest.approx(1.0, abs=0.1), name
        elif WORLDS[name].kind == "competitive" and name != "edgeworth":
            assert abs(place) < 0.2, name


def test_learners_with_a_future_ask_more_than_those_without():
    patient, myopic = (learnt(kind, 2, 20, 0) for kind in ("patient", "myopic"))
    rng = np.random.default_rng(0)
    means = [one.grid[play_on(one, 100, 0.0, rng)[0]].mean() for one in (patient, myopic)]
    assert means[0] > means[1] + 0.1
    assert means[0] > 1.65


def test_training_one_firm_again_is_the_same_compiled_and_not():
    rng = np.random.default_rng(0)
    pay, rivals = rng.random(9), rng.integers(3, size=9)
    arguments = (pay, rivals, 3, 3, (0.15, 0.95, 1e-3), rng.random((3000, 2)), 50)
    np.testing.assert_array_equal(train_one(*arguments), train_one.py_func(*arguments))


def test_a_firm_trained_again_finds_the_best_reply_to_a_fixed_price():
    """The rival always asks level 1, so the best level is a matter of one row of payoffs."""
    pay = np.array([1.0, 4.0, 2.0, 3.0, 7.0, 1.0, 5.0, 5.0, 9.0])
    rivals = np.ones(9, dtype=np.int64)
    draws = np.random.default_rng(0).random((20_000, 2))
    path = train_one(pay, rivals, 3, 3, (0.15, 0.95, 5.0 / 20_000), draws, 10)
    assert set(path.tolist()) == {1 * 3 + 1}


def test_bad_input_is_told_in_one_line():
    for call, words in (
        (lambda: generate("utopia", 1, 60, 2), "world='utopia' must be one of"),
        (lambda: generate("nash", 0, 60, 2), "sessions=0"),
        (lambda: generate("learners", 1, 60, 5), "firms=5"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)
