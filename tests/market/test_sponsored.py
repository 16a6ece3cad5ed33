"""Sponsored places: sellers bid, the highest bidder is shown and pays the second price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.market.refusals import NOT_FINITE, OUTSIDE
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import PLACE, QUOTE, InputError
from mos_agents.rollout import rollout
from tests.actors.worlds import driven, undisturbed

FILE = Path(__file__).parents[1] / "scenarios" / "files" / "fee_game.yaml"
BID = "{{kind: by_venue, policies: {{shop: {{kind: fixed_price, price: 1.5}}, shop.places: {}}}}}"
FIXED = BID.format("{kind: fixed_placement, bid: 0.1}")
MORE = BID.format("{kind: fixed_placement, bid: 0.3}")
GAME = scenarios.override(
    scenarios.load(str(FILE)),
    [
        "venues.shop.fees={kind: fixed}",
        "venues.shop.execution.prominence={kind: sponsored, highest_bid: 0.4}",
        "participants.platform.policy={kind: hold}",
        f"participants.firm.policy=[{FIXED}, {MORE}]",
    ],
)


def test_the_highest_bidder_is_shown_and_pays_the_second_price_to_the_platform():
    market = GAME.market()
    run = rollout(market, GAME.policies(), ticks=3, series=("reward", "sold"))
    firms = market.layout.kind == QUOTE
    sold, reward = run.series["sold"][:, 0][:, firms], run.series["reward"][:, 0]
    share = 1.0 / (1.0 + np.exp((1.5 - 2.0) / 0.25))
    np.testing.assert_allclose(sold, [[0.0, share]] * 3, rtol=1e-12)
    np.testing.assert_allclose(reward[:, 0], 0.1 * share, rtol=1e-12)
    np.testing.assert_allclose(reward[:, 2], (0.5 - 0.1) * share, rtol=1e-12)
    np.testing.assert_allclose(reward[:, 1], 0.0, atol=1e-15)


def test_bids_beyond_the_bound_are_refused_and_the_ones_in_force_stand():
    market = GAME.market()
    state, streams = market.start(3), Streams.of(0, np.arange(3))
    actions = np.zeros((3, market.layout.L, market.action_width))
    actions[:, market.layout.kind == QUOTE, 0] = 1.5
    places = np.flatnonzero(market.layout.kind == PLACE)
    actions[:, places, 0] = [[0.2, 0.1], [0.5, 0.1], [np.nan, 0.1]]
    step = tick(market, state, actions, streams.at(0))
    assert step.info.refused[:, 1].tolist() == [0, OUTSIDE, NOT_FINITE]
    assert not step.info.refused[:, 2].any()
    assert step.info.quotes.ask[:, places].tolist() == [[0.2, 0.1], [0.0, 0.1], [0.0, 0.1]]
    np.testing.assert_allclose(
        step.state.positions.cash.sum(axis=1) + step.state.positions.outside_cash, 0.0, atol=1e-12
    )


def test_a_seller_sees_its_own_bid_and_not_its_rivals():
    market = GAME.market()
    (own,) = (one for one in market.spec("firm_1").fields if one.name == "placement")
    assert own.labels == ("good_1",)
    assert "placement" not in market.spec("platform").where


def test_equal_bids_take_turns_by_lot_and_pay_what_they_bid():
    equal = scenarios.override(GAME, [f"participants.firm.policy={FIXED}"])
    run = rollout(equal.market(), equal.policies(), ticks=200, series=("sold", "reward"))
    sold = run.series["sold"][:, 0]
    shares = (sold[:, equal.market().layout.kind == QUOTE] > 0.0).mean(axis=0)
    assert (shares > 0.35).all() and shares.sum() == 1.0
    np.testing.assert_allclose(run.series["reward"][:, 0, 0], 0.1 * sold.sum(axis=1), rtol=1e-12)


def test_actors_come_to_the_hash_of_the_loop_with_bids_that_are_learnt():
    learner = "{kind: bandit_epsilon_greedy, prices: [0, 0.1, 0.2], relative_to: money}"
    learning = scenarios.override(GAME, [f"participants.firm.policy={BID.format(learner)}"])
    assert scenarios.parse(scenarios.dump(learning)) == learning
    assert driven(learning, 25, 3, count=2).hash == undisturbed(learning, 25, 3)


def test_wrong_settings_are_refused_in_one_line():
    with pytest.raises(InputError, match="shows nobody"):
        scenarios.override(GAME, ["venues.shop.execution.prominence.shown=0"])
    with pytest.raises(InputError, match="highest_bid=0"):
        scenarios.override(GAME, ["venues.shop.execution.prominence.highest_bid=0.0"])
    with pytest.raises(InputError, match="belong to a venue"):
        scenarios.override(
            scenarios.load("pricing_game"), ["execution.prominence.kind=sponsored"]
        ).market()
    high = BID.format("{kind: fixed_placement, bid: 0.5}")
    wrong = scenarios.override(GAME, [f"participants.firm.policy={high}"])
    with pytest.raises(Exception, match="what the venue allows"):
        rollout(wrong.market(), wrong.policies(), ticks=1)
