"""Rows of the batch are markets of their own: the same bits as one environment each."""

import numpy as np
import pytest

from envs import assignment
from envs.batched import BatchedMarket
from envs.market_env import MarketEnv
from mos_agents import scenarios
from mos_agents.market.types import InputError, QuoteRefused

SUBSETS = {
    "retail": ["firm_1", "platform"],
    "market_making": ["maker_1", "maker_3"],
    "auction": ["bidder_2"],
    "autos_1990": ["toyota", "yugo"],
    "pricing_game": ["firm_2"],
    "commission_game": ["firm_2"],
    "prominence_game": ["firm_1"],
    "supply_chain": ["firm_3", "maker_1"],
    "marketplace": ["platform", "maker_2"],
}


def draws(batched, generator, actions):
    if actions == "continuous":
        low, high = batched._choices.low, batched._choices.high
        shape = (batched.batch, low.size)
        return (low + (high - low) * generator.random(shape)).reshape(batched.action_shape)
    return generator.integers(0, batched._choices._count, batched.action_shape)


@pytest.mark.parametrize("preset", scenarios.presets())
@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("actions", ["continuous", "discrete"])
def test_each_row_of_the_batch_is_the_environment_of_that_market(preset, some, actions):
    scenario = scenarios.load(preset)
    settings = {
        "agents": SUBSETS[preset] if some else None,
        "actions": actions,
        "levels": 4,
        "horizon": 5,
    }
    numbers = [11, 0, 3]
    batched = BatchedMarket(scenario, numbers, **settings)
    alone = [MarketEnv(scenario, number=number, **settings) for number in numbers]
    observation = batched.reset(seed=2)
    single = [env.reset(seed=2)[0] for env in alone]
    generator = np.random.default_rng(0)
    for at in range(5):
        for b, seen in enumerate(single):
            for name in batched.agents:
                assert observation[b, batched.columns[name]].tobytes() == seen[name].tobytes()
        taken = draws(batched, generator, actions)
        observation, reward, done, info = batched.step(taken)
        assert done.tolist() == [at == 4] * 3
        for b, env in enumerate(alone):
            parts = {n: taken[b, batched.rows[n]].reshape(-1) for n in batched.agents}
            if actions == "discrete":
                parts = {n: p[0] if p.size == 1 else p for n, p in parts.items()}
            seen, rewards, _, truncated, infos = env.step(parts)
            single[b] = seen
            assert reward[b].tolist() == list(rewards.values())
            assert set(truncated.values()) == {bool(done[b])}
            for n, name in enumerate(batched.agents):
                demand = info.true_demand[b, batched.rows[name]]
                assert np.array_equal(demand, infos[name]["true_demand"])
                assert bool(info.refused[b, n]) == bool(infos[name]["refused"])
                assert info.moved[b if len(info.moved) > 1 else 0, n] == infos[name]["moved"]
    assert info.metrics.shape[:2] == (3, len(batched.agents))


def test_a_mapping_of_parts_is_the_array_cut_up():
    scenario = scenarios.load("market_making")
    for actions in ("continuous", "discrete"):
        one, two = (
            BatchedMarket(scenario, 4, agents=["maker_3", "maker_1"], actions=actions, levels=3)
            for _ in range(2)
        )
        one.reset(seed=0), two.reset(seed=0)
        taken = draws(one, np.random.default_rng(1), actions)
        parts = {name: taken[:, rows] for name, rows in one.rows.items()}
        assert one.step(taken)[0].tobytes() == two.step(parts)[0].tobytes()
        assert one.agents == ("maker_1", "maker_3")  # roster order, however they were named


def test_auto_reset_goes_on_with_the_next_seed_and_hands_out_the_last_observation():
    scenario = scenarios.load("auction")
    batched = BatchedMarket(scenario, 3, horizon=2, auto_reset=True)
    plain = BatchedMarket(scenario, 3, horizon=2)
    batched.reset(seed=0), plain.reset(seed=0)
    bids = np.full(batched.action_shape, 0.4)
    for at in range(2):
        observation, _, done, info = batched.step(bids)
        last, _, over, message = plain.step(bids)
        assert done.tolist() == over.tolist() == [at == 1] * 3 and message.last_observation is None
    assert info.last_observation.tobytes() == last.tobytes()
    assert batched.episode_seed == assignment.next_seed(0)
    assert observation.tobytes() == plain.reset().tobytes()
    with pytest.raises(InputError, match="reset"):
        BatchedMarket(scenario, 3).step(bids)
    assert batched.step(bids)[0].tobytes() == plain.step(bids)[0].tobytes()


def test_a_wrong_number_anywhere_stops_the_whole_batch_before_anything_has_happened():
    batched = BatchedMarket(scenarios.load("retail"), 5)
    batched.reset(seed=0)
    good = np.full(batched.action_shape, 20.0)
    for place, value in (((4, 29, 0), np.nan), ((0, 0, 0), -1.0), ((2, 10, 0), 1001.0)):
        bad = good.copy()
        bad[place] = value
        with pytest.raises(QuoteRefused, match=rf"^market {place[0]}: .*must be in \[0.01, 1000\]"):
            batched.step(bad)
    for bad, message in ((good[:4], "shape"), (good.astype(str), "type"), (None, "None")):
        with pytest.raises(QuoteRefused, match=message):
            batched.step(bad)
    with pytest.raises(InputError, match="firm_2"):
        batched.step({"platform": good[:, :10], "firm_1": good[:, 10:20]})
    fresh = BatchedMarket(scenarios.load("retail"), 5)
    fresh.reset(seed=0)
    assert batched.step(good)[0].tobytes() == fresh.step(good)[0].tobytes()


def test_the_true_demand_can_be_kept_from_the_batch():
    batched = BatchedMarket(scenarios.load("auction"), 2, reveal=False)
    batched.reset(seed=0)
    assert batched.step(np.zeros(batched.action_shape))[3].true_demand is None


@pytest.mark.parametrize("markets", [0, -1, [], [-1], [0.5], [[1]], True, "3"])
def test_what_are_no_market_numbers_is_refused(markets):
    with pytest.raises(InputError, match="markets="):
        BatchedMarket(scenarios.load("auction"), markets)
