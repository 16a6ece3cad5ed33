"""A platform that sets fees and steers offers: from its file through loop, actors and agents."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

from envs.market_env import MarketEnv
from mos_agents import lab, scenarios
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.equilibrium.chain import fee_equilibrium
from mos_agents.market.refusals import SHOWS_NOBODY
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.rollout import rollout
from tests.actors.test_shards import RandomCrashes
from tests.actors.worlds import driven, one_shard, undisturbed

FILE = Path(__file__).parent / "files" / "fee_game.yaml"
GAME = scenarios.load(str(FILE))
LEARNING = scenarios.override(
    GAME,
    [
        "venues.shop.fees.every=3",
        "participants.platform.policy={kind: bandit_epsilon_greedy, relative_to: money, "
        "prices: [0, 0.1, 0.2, 0.3]}",
        "rewards.by_participant.platform={fee_revenue: 1, consumer_surplus: 0.5}",
    ],
)
STEERED = scenarios.override(
    GAME,
    [
        "venues.shop.execution.prominence={kind: steered}",
        "participants.platform.policy={kind: by_venue, policies: {shop.fees: {kind: fixed_fee, "
        "fee: 0.1}, shop.weights: {kind: fixed_weights, weights: [0.2, 0.9]}}}",
    ],
)


@pytest.mark.parametrize("scenario", [GAME, LEARNING, STEERED])
def test_a_file_comes_back_and_actors_come_to_the_hash_of_the_loop(scenario):
    assert scenarios.parse(scenarios.dump(scenario)) == scenario
    assert driven(scenario, 25, 4, count=2).hash == undisturbed(scenario, 25, 4)


def test_a_platform_that_crashes_learns_on_to_the_hash_of_the_loop(tmp_path):
    runtime = RandomCrashes(random.Random(1), 0.1)
    shard = one_shard(LEARNING, runtime, restarts=10**6, folder=str(tmp_path))
    shard.start()
    for _ in range(6):
        shard.advance(5)
        shard.checkpoint()
    runtime.chance = 0.0
    shard.advance(1)
    assert runtime.killed >= 3
    assert shard.digest.hexdigest() == undisturbed(LEARNING, 31, 3)


def test_a_run_is_recorded_and_verified(tmp_path):
    played = lab.run(STEERED, ticks=12, markets=2, out=tmp_path, report=False)
    assert lab.verify(played.run)
    names = set(played.run.listings()["instrument"])
    assert names == {
        "shop.good_1",
        "shop.fees",
        "shop.weights.firm_1.good_1",
        "shop.weights.firm_2.good_1",
    }


def test_the_platform_is_an_agent_of_pettingzoo():
    parallel_api_test(MarketEnv(GAME), num_cycles=30)
    env = MarketEnv(GAME, agents=["platform"], actions="discrete", levels=14)
    env.reset(seed=1)
    for _ in range(2):
        seen, rewards, _, _, _ = env.step({"platform": 4})
    fields = GAME.market().spec("platform").where
    assert seen["platform"][fields["fee"]] == pytest.approx(0.2)
    seen, rewards, _, _, _ = env.step({"platform": 4})
    market = LogitMarket.from_scale(np.full(2, 2.0), np.ones(2), range(2), 0.25)
    assert rewards["platform"] == pytest.approx(fee_equilibrium(market, 0.2).fees, rel=1e-8)


def test_only_the_offer_of_the_greatest_weight_is_shown_and_others_where_it_is_sold_out():
    run = rollout(STEERED.market(), STEERED.policies(), ticks=4, series=("sold",))
    sold = run.series["sold"][:, 0]
    market = STEERED.market()
    firms = [i for i in range(market.layout.L) if market.layout.kind[i] == 0]
    assert (sold[:, firms[0]] == 0.0).all() and (sold[:, firms[1]] > 0.0).all()
    few = scenarios.override(STEERED, ["catalogue.stock=1"])
    run = rollout(few.market(), few.policies(), ticks=4, series=("sold",))
    sold = run.series["sold"][:, 0][:, firms]
    assert sold[:2, 1].sum() == pytest.approx(1.0) and sold[2:, 0].sum() > 0.0


def test_weights_that_show_nobody_are_refused_and_the_ones_in_force_stand():
    market = STEERED.market()
    state, streams = market.start(2), Streams.of(0, np.arange(2))
    actions = np.zeros((2, market.layout.L, market.action_width))
    kind = market.layout.kind
    actions[:, kind == 0, 0] = 1.5
    actions[0, kind == 3, 0] = 0.5
    step = tick(market, state, actions, streams.at(0))
    assert step.info.refused[:, 0].tolist() == [0, SHOWS_NOBODY]
    assert step.info.quotes.ask[:, kind == 3].tolist() == [[0.5, 0.5], [1.0, 1.0]]
    assert not step.info.refused[:, 1:].any()


def test_who_pays_a_fee_by_law_does_not_matter():
    """Of a unit fee on sellers or on takers, everybody pays and earns the same; of a share f that
    takers add to the price, as of f/(1 + f) that sellers hand over."""
    sellers = ["participants.platform.policy={kind: hold}"]
    prices = {"kind": "fixed_price"}
    for one, other in (
        (
            ("{kind: fixed, unit_fee: 0.3}", 1.8),
            ("{kind: fixed, unit_fee: 0.3, payer: taker}", 1.5),
        ),
        (
            ("{kind: fixed, fee: 0.2}", 1.8),
            ("{kind: fixed, fee: 0.25, payer: taker}", 1.8 / 1.25),
        ),
    ):
        found = []
        for fees, price in (one, other):
            policy = prices | {"price": price}
            scenario = scenarios.override(
                GAME, [*sellers, f"venues.shop.fees={fees}", f"participants.firm.policy={policy}"]
            )
            run = rollout(scenario.market(), scenario.policies(), ticks=3, series=("reward",))
            found.append(run.series["reward"][-1, 0])
        np.testing.assert_allclose(*found, rtol=1e-12)
        assert found[0][0] > 0.1


def test_settings_within_a_name_with_points_are_reached_by_their_path():
    path = "participants.platform.policy.policies.shop.fees.fee"
    other = scenarios.override(STEERED, [f"{path}=0.3"])
    assert other.participants[0].policy["policies"]["shop.fees"]["fee"] == 0.3
    with pytest.raises(InputError, match="'shop' is not"):
        scenarios.override(STEERED, ["participants.platform.policy.policies.shop.fes.fee=0.3"])
