"""Responses to a forced price: lengths, depths and worth of hand-made punishments."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.analysis.impulse import (
    Deviation,
    ReturnTime,
    profitability,
    punishment,
    response,
    rivals_reaction,
)
from mos_agents.market.types import InputError

SHOCK = 4  # the row of tau = 1


def experiment(answer=(1.8, 1.9), own=1.6, ticks=20, firms=2, sessions=1, **changes):
    """Firm 0 is forced from 2 to `own` at tau 1; from tau 2 on all charge the answer, then 2."""
    alone = np.full((ticks, sessions, firms), 2.0)
    prices = alone.copy()
    prices[SHOCK, :, 0] = own
    for k, price in enumerate(answer):
        prices[SHOCK + 1 + k] = price
    given = {
        "prices": prices,
        "undeviated_prices": alone,
        "profits": prices - 1.0,
        "undeviated_profits": alone - 1.0,
        "shock": SHOCK,
    }
    return Deviation(**(given | changes))


def test_changes_are_relative_to_the_level_before_the_shock():
    found = response(experiment(firms=3))
    np.testing.assert_allclose(found.deviator[:, 0][3:8], [0.0, -0.2, -0.1, -0.05, 0.0])
    np.testing.assert_allclose(found.rivals[:, 0][3:8], [0.0, 0.0, -0.1, -0.05, 0.0])
    np.testing.assert_allclose(found.at(1), [[-0.2], [0.0]])
    np.testing.assert_allclose(rivals_reaction(experiment()), [-0.1])


def test_what_happens_in_both_runs_is_no_response():
    noise = np.random.default_rng(0).uniform(1.5, 2.5, (20, 7, 2))
    found = response(Deviation(noise, noise, noise, noise, SHOCK))
    assert (found.deviator == 0.0).all()
    assert (found.rivals == 0.0).all()


def test_a_response_upwards_is_above_zero():
    found = experiment(own=2.4, answer=(2.2,))
    np.testing.assert_allclose(rivals_reaction(found), [0.1])
    assert punishment(found).length.tolist() == [1]


@pytest.mark.parametrize("length", [0, 1, 6])
def test_a_punishment_at_tau_2_to_7_has_length_6(length):
    found = punishment(experiment(answer=(1.7,) * length))
    assert found.length.tolist() == [length]
    assert found.returned.tolist() == [True]


def test_a_punishment_that_the_record_cuts_off_is_told_as_unfinished():
    found = punishment(experiment(answer=(1.7,) * 13))  # of 15 periods after tau 1; 2 are not 3
    assert (found.length.tolist(), found.returned.tolist()) == ([15], [False])
    assert punishment(experiment(answer=(1.7,) * 12)).length.tolist() == [12]


def test_prices_must_stay_back():
    found = experiment(answer=(1.7, 2.0, 2.0, 1.7))
    assert punishment(found).length.tolist() == [4]
    assert punishment(found, ReturnTime(stay=2)).length.tolist() == [1]


def test_the_tolerance_is_relative_to_the_level():
    found = experiment(answer=(1.7, 1.98, 1.979))
    assert punishment(found).length.tolist() == [3]
    assert punishment(found, ReturnTime(tolerance=0.02)).length.tolist() == [1]


def test_a_cycle_entered_out_of_step_is_back_on_the_cycle_though_never_on_the_path():
    alone = np.tile([[[2.0, 1.8]], [[1.8, 2.0]]], (10, 1, 1))
    prices = alone.copy()
    prices[SHOCK, 0, 0] = 1.5
    prices[SHOCK + 1] = 1.5
    prices[SHOCK + 2 :] = alone[SHOCK + 1 : -1]
    found = Deviation(prices, alone, prices, alone, SHOCK)
    assert punishment(found).returned.tolist() == [False]
    back = punishment(found, ReturnTime(to="cycle"))
    assert (back.length.tolist(), back.returned.tolist()) == ([1], [True])


def test_a_forced_price_is_no_punishment():
    prices = experiment().undeviated_prices.copy()
    prices[SHOCK : SHOCK + 3, 0, 0] = 1.6
    prices[SHOCK + 1 : SHOCK + 5, 0, 1] = 1.8  # answers at tau 2 to 5
    found = experiment(prices=prices, forced=3)
    assert punishment(found).length.tolist() == [2]


def test_after_a_deviation_for_good_only_rivals_can_come_back():
    prices = experiment().undeviated_prices.copy()
    prices[SHOCK:, 0, 0] = 1.6
    prices[SHOCK + 1 : SHOCK + 5, 0, 1] = 1.8
    found = experiment(prices=prices, forced=None)
    with pytest.raises(InputError, match="who='rivals'"):
        punishment(found)
    assert punishment(found, ReturnTime(who="rivals")).length.tolist() == [4]
    prices[SHOCK + 1 :, 0, 1] = 1.8
    never = punishment(experiment(prices=prices, forced=None), ReturnTime(who="rivals"))
    assert never.returned.tolist() == [False]


def test_the_worth_of_a_deviation_by_hand():
    # The deviator gains 3 at tau 1 and loses 2 at tau 2 and 3.
    alone = np.ones((20, 1, 2))
    profits = alone.copy()
    profits[SHOCK : SHOCK + 3, 0, 0] += [3.0, -2.0, -2.0]
    found = experiment(profits=profits, undeviated_profits=alone)
    worth = profitability(found, 0.5)
    np.testing.assert_allclose(worth.gain, [3.0 - 1.0 - 0.5])
    np.testing.assert_allclose(worth.relative, [1.5 / (2.0 - 0.5**15)])
    assert worth.unprofitable.tolist() == [False]
    patient = profitability(found, 1.0)
    assert patient.gain.tolist() == [-1.0]
    assert patient.unprofitable_share == 1.0


def test_what_a_deviation_for_good_earns_goes_on_in_the_tail():
    alone = np.ones((SHOCK + 2, 1, 2))
    profits = alone.copy()
    profits[SHOCK:, 0, 0] = 0.5
    prices = np.full_like(alone, 2.0)
    found = Deviation(prices, prices, profits, alone, SHOCK - 1, forced=None)
    # -.5 from tau 2 on for ever, at discount .5: -.5 x .5 / (1 - .5).
    np.testing.assert_allclose(profitability(found, 0.5, tail=1).gain, [-0.5])
    np.testing.assert_allclose(profitability(found, 0.5).gain, [-0.375])


def test_a_deviation_that_changes_nothing_is_not_unprofitable():
    assert profitability(experiment(own=2.0, answer=())).unprofitable_share == 0.0


def test_each_session_may_have_its_own_deviator():
    one = experiment(sessions=1)
    mixed = Deviation(
        *(
            np.concatenate([a, a[:, :, ::-1]], axis=1)
            for a in (one.prices, one.undeviated_prices, one.profits, one.undeviated_profits)
        ),
        SHOCK,
        np.array([0, 1]),
    )
    for values in (response(mixed).deviator, response(mixed).rivals):
        np.testing.assert_array_equal(values[:, 0], values[:, 1])
    assert punishment(mixed).length.tolist() == [2, 2]
    assert np.ptp(profitability(mixed).gain) == 0.0
    assert profitability(mixed).gain[0] != 0.0


def test_money_may_be_counted_in_pence():
    one = experiment()
    arrays = (one.prices, one.undeviated_prices, one.profits, one.undeviated_profits)
    pence = Deviation(*(100.0 * a for a in arrays), SHOCK)
    np.testing.assert_allclose(response(one).rivals, response(pence).rivals, atol=1e-15)
    assert punishment(one).length == punishment(pence).length
    np.testing.assert_allclose(profitability(one).relative, profitability(pence).relative)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: experiment(undeviated_prices=np.full((20, 1, 2), 2.1)), "not paired"),
        (lambda: experiment(shock=0), "shock=0"),
        (lambda: experiment(shock=19), "shock=19"),
        (lambda: experiment(forced=16), "forced=16"),
        (lambda: experiment(deviator=2), "deviator=2"),
        (lambda: experiment(deviator=np.array([0, 1])), "deviator="),
        (lambda: experiment(deviator=0.5), "deviator=0.5"),
        (lambda: experiment(profits=np.ones((20, 2, 1))), "profits has shape"),
        (lambda: ReturnTime(to="trend"), "to='trend'"),
        (lambda: ReturnTime(tolerance=-1), "tolerance=-1"),
        (lambda: response(experiment()).at(17), "tau=17"),
        (lambda: profitability(experiment(), 1.5), "discount=1.5"),
        (lambda: profitability(experiment(), 1.0, tail=3), "discount=1"),
        (lambda: profitability(experiment(), 0.9, tail=17), "tail=17"),
    ],
)
def test_bad_input_is_told_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
