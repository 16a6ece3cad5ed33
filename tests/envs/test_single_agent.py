"""One participant from outside: Gymnasium's own checks, the bits of the parallel environment."""

import warnings
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.market_env import MarketEnv
from envs.single_agent import gymnasium_env, gymnasium_vector_env
from mos_agents import scenarios
from mos_agents.learners import TrainedNetwork
from mos_agents.market.types import InputError, QuoteRefused
from mos_agents.rollout import rollout
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.plan import TrainingPlan
from tests.learners.networks import network

AGENTS = {
    "retail": "firm_1",
    "market_making": "maker_2",
    "auction": "bidder_1",
    "autos_1990": "yugo",
    "pricing_game": "firm_2",
}
KINDS = {
    "discrete": {"actions": "discrete", "levels": 4},
    "unit": {"actions": "continuous"},
    "numbers": {"actions": "continuous", "unit": False},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(preset, kind, **settings):
    return gymnasium_env(preset, AGENTS[preset], **{**KINDS[kind], "horizon": 6, **settings})


@every_kind
@pytest.mark.parametrize("preset", AGENTS)
def test_passes_gymnasiums_own_check(preset, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Recommendations: prices have no upper bound, and numbers in money are not within [-1, 1].
        warnings.filterwarnings("ignore", message=".*(infinity|symmetric and normalized).*")
        warnings.filterwarnings("ignore", message=".*render_modes.*|.*render method.*")
        check_env(made(preset, kind), skip_render_check=True)


@every_kind
@pytest.mark.parametrize("preset", AGENTS)
def test_a_seed_is_the_parallel_environments_episode(preset, kind):
    alone, name = made(preset, kind), AGENTS[preset]
    settings = {k: v for k, v in KINDS[kind].items() if k != "unit"}
    together = MarketEnv(scenarios.load(preset), [name], horizon=6, **settings)
    for seed in (3, None):  # the second goes on by itself
        one, (other, _) = alone.reset(seed=seed)[0], together.reset(seed=seed)
        alone.action_space.seed(1)
        assert np.array_equal(one, other[name])
        for _ in range(6):
            action = alone.action_space.sample()
            parallel = alone.choice.placed(action, 1)[0] if kind == "unit" else action
            seen, reward, ended, cut, info = alone.step(action)
            others = together.step({name: parallel})
            assert np.array_equal(seen, others[0][name]) and reward == others[1][name]
            assert (ended, cut) == (others[2][name], others[3][name])
            assert info["moved"] == others[4][name]["moved"]
        assert cut and alone.episode_seed == together.episode_seed
    with pytest.raises(InputError, match="the episode is over"):
        alone.step(action)


@every_kind
def test_minus_one_and_one_are_the_ends_of_the_band(kind):
    env = made("pricing_game", kind, band=(0.9, 1.1))
    opening = env.participant.opening_price[0]
    ends = {
        "discrete": (0, 3),
        "unit": ([-1.0], [1.0]),
        "numbers": ([0.9 * opening], [1.1 * opening]),
    }[kind]
    env.reset(seed=0)
    own = env.participant.where["own_ask"]
    for action, ratio in zip(ends, (0.9, 1.1), strict=True):
        kind_of = np.int64 if kind == "discrete" else np.float64
        seen, *_ = env.step(np.array(action, kind_of))
        assert seen[own] == pytest.approx(ratio * opening, abs=1e-12)


@pytest.mark.parametrize("kind", ["discrete", "unit"])
@pytest.mark.parametrize(("preset", "least"), [("auction", 0.0), ("pricing_game", 0.6)])
def test_whoever_bids_may_bid_nothing_and_whoever_sells_asks_a_share_of_the_reference(
    preset, least, kind
):
    one = made(preset, kind)
    many = gymnasium_vector_env(preset, AGENTS[preset], 2, **KINDS[kind], horizon=6)
    reference = one.participant.opening_price[0]
    trained = TrainingAssignment.of(TrainingPlan(preset, agents=(AGENTS[preset],))).policies[0]
    low, high = least * reference, min(2.0 * reference, one.participant.high[0, 0])
    assert (trained.low[0, 0], trained.high[0, 0]) == pytest.approx((low, high))
    for env in (one, many):
        ends = env.choice.table[0, [0, -1], 0] if kind == "discrete" else env.choice.range
        found = ends if kind == "discrete" else (ends.low.item(), ends.high.item())
        assert tuple(found) == pytest.approx((low, high))


@pytest.mark.parametrize("make", [gymnasium_env, gymnasium_vector_env])
def test_a_setting_that_there_is_not_is_one_line_that_names_what_there_is(make):
    text = "^levles: .* did you mean 'levels'. there are actions, band, "
    with pytest.raises(InputError, match=text) as error:
        make("retail", "firm_1", levles=3)
    assert "\n" not in str(error.value)
    for name in ("foo", "agents", "market", "auto_reset"):
        with pytest.raises(InputError, match=f"^{name}: is no setting here; there are actions"):
            make("retail", "firm_1", **{name: 1})
    with pytest.raises(InputError, match=r"^number: is no setting here"):
        gymnasium_vector_env("retail", "firm_1", 2, number=3)


def test_what_cannot_be_taken_is_refused_in_one_line_and_nothing_has_happened():
    env = made("pricing_game", "unit")
    with pytest.raises(InputError, match="over or not begun"):
        env.step(np.zeros(1))
    env.reset(seed=0)
    for action in ([1.5], [np.nan], [0.0, 0.0], ["a"], None):
        with pytest.raises((InputError, QuoteRefused)) as error:
            env.step(action)
        assert "\n" not in str(error.value)
    assert env.market_env._episode.state.tick == 0
    with pytest.raises(InputError, match="'firm_9' is not a participant"):
        gymnasium_env("pricing_game", "firm_9")


# --- many at once ---------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("preset", ["retail", "market_making", "pricing_game"])
def test_a_row_of_the_vector_is_the_environment_of_that_market(preset, kind):
    settings = {**KINDS[kind], "horizon": 4}
    many = gymnasium_vector_env(preset, AGENTS[preset], 3, **settings)
    single = [made(preset, kind, horizon=4, number=m) for m in range(3)]
    seen, _ = many.reset(seed=7)
    alone = np.stack([env.reset(seed=7)[0] for env in single])
    assert many.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.SAME_STEP
    many.action_space.seed(2)
    for step in range(9):
        assert np.array_equal(seen, alone)
        assert many.observation_space.contains(seen)
        actions = many.action_space.sample()
        seen, reward, ended, cut, infos = many.step(actions)
        outs = [env.step(a) for env, a in zip(single, actions, strict=True)]
        assert np.array_equal(reward, [out[1] for out in outs]) and not ended.any()
        last = (step + 1) % 4 == 0
        assert (cut == last).all() and ("final_obs" in infos) == last
        alone = np.stack([out[0] for out in outs])
        if last:
            assert np.array_equal(infos["final_obs"], alone) and infos["_final_obs"].all()
            alone = np.stack([env.reset()[0] for env in single])


# --- what was trained in it plays outside ---------------------------------------------------------


@pytest.mark.parametrize("head", ["levels", "clipped"])
def test_a_networks_choices_in_the_environment_are_its_quotes_in_a_rollout(head):
    kind = "discrete" if head == "levels" else "unit"
    env = made("pricing_game", kind, policies={"firm_1": {"kind": "undercut"}})
    other = network(env.participant, head, levels=4)
    log_std = None if kind == "discrete" else [-1.0]
    trained = replace(other, head=env.choice.head(log_std=log_std))
    rivals = {"firm_1": {"kind": "undercut"}, "firm_2": TrainedNetwork.of(trained)}
    played = rollout(env.market_env.market, rivals, seed=5, ticks=6, series=("action", "reward"))
    seen, _ = env.reset(seed=5)
    for at in range(6):
        output = trained.forward(seen[None])[0]
        action = output.argmax() if kind == "discrete" else np.clip(output, -1.0, 1.0)
        seen, reward, *_ = env.step(action)
        assert reward == played.series["reward"][at, 0, 1]
        assert env.market_env._actions[0, 1, 0] == played.series["action"][at, 0, 1, 0]
