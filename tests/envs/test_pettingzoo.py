"""What programs written for PettingZoo expect of any environment, in names and in habits."""

import copy
import inspect
import pickle
import warnings
from pathlib import Path

import numpy as np
import pettingzoo
import pytest
from gymnasium.utils import seeding
from pettingzoo.test import max_cycles_test
from pettingzoo.utils.conversions import aec_to_parallel, parallel_to_aec

from envs import MODULES, auction_v0, market_making_v0, marketplace_v0, retail_v0
from envs.batched import BatchedMarket
from envs.market_env import MarketEnv
from envs.single_agent import gymnasium_env, gymnasium_vector_env
from mos_agents import scenarios
from mos_agents.market.types import InputError, QuoteRefused
from mos_agents.testing.environments import same, sample, seeded_sampler

ALL = (retail_v0, market_making_v0, auction_v0, marketplace_v0)
every_module = pytest.mark.parametrize("module", ALL, ids=lambda m: m.__name__.split(".")[1])
SMALL = {
    retail_v0: {"firms": 1, "products": 2},
    market_making_v0: {"makers": 2, "assets": 1},
    auction_v0: {"bidders": 2},
    marketplace_v0: {"agents": ["platform", "maker_1"], "goods": 1},
}


# --- names ----------------------------------------------------------------------------------------


@every_module
def test_passes_pettingzoos_test_of_max_cycles(module):
    max_cycles_test(module)


@every_module
def test_every_module_has_both_interfaces_under_pettingzoos_names(module):
    settings = SMALL[module]
    for make in (module.env, module.raw_env):
        env = make(**settings, max_cycles=2)
        assert isinstance(env, pettingzoo.AECEnv)
        assert str(env) == module.__name__.split(".")[1] == env.metadata["name"]
        assert isinstance(env.unwrapped, MarketEnv)
    back = aec_to_parallel(module.env(**settings))
    assert isinstance(back, MarketEnv)
    turned = parallel_to_aec(module.parallel_env(**settings))
    assert aec_to_parallel(turned).possible_agents == back.possible_agents


@every_module
def test_the_interface_in_turns_plays_what_the_parallel_one_plays(module):
    settings = SMALL[module] | {"max_cycles": 4}
    turns, together = module.env(**settings), module.parallel_env(**settings)
    turns.reset(seed=5)
    observations, _ = together.reset(seed=5)
    draw = seeded_sampler(together)
    while together.agents:
        actions = draw()
        for agent in turns.possible_agents:
            assert turns.agent_selection == agent
            assert np.array_equal(turns.observe(agent), observations[agent])
            turns.step(actions[agent])
        observations, rewards, _, truncations, infos = together.step(actions)
        assert (turns.rewards, turns.truncations) == (rewards, truncations)
        assert same([turns.infos], [infos])
    for _ in turns.possible_agents:
        turns.step(None)
    assert turns.agents == []


@pytest.mark.parametrize("name", MODULES)
def test_the_registry_of_pettingzoo_knows_the_environments_by_name(name):
    module = globals()[name]
    direct = module.parallel_env(**SMALL[module], horizon=3)
    for written in (f"mos_agents/{name}", f"mos_agents/{name.replace('_v', '-v')}"):
        made = pettingzoo.make("parallel", written, max_cycles=3, **SMALL[module])
        assert made.max_cycles == 3 and made.metadata == direct.metadata
        assert same(made.reset(seed=1), direct.reset(seed=1))
        assert isinstance(pettingzoo.make("aec", written), pettingzoo.AECEnv)
    assert pettingzoo.spec("parallel", f"mos_agents/{name}").version == 0


def test_importing_the_environments_again_says_nothing():
    import importlib

    import envs

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(envs)


# --- the length of an episode ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: retail_v0.parallel_env(**k),
        lambda **k: auction_v0.env(**k).unwrapped,
        lambda **k: MarketEnv("retail", **k),
        lambda **k: BatchedMarket("pricing_game", 2, **k),
        lambda **k: gymnasium_env("pricing_game", "firm_1", **k).market_env,
        lambda **k: gymnasium_vector_env("pricing_game", "firm_1", 2, **k).batched,
    ],
)
def test_max_cycles_is_understood_wherever_horizon_is(make):
    assert make(max_cycles=7).market.horizon == 7
    assert make(max_cycles=7, horizon=7).market.horizon == 7
    assert make(max_cycles=None, horizon=7).market.horizon == 7
    with pytest.raises(InputError, match=r"horizon=7, max_cycles=8: both are .*give one"):
        make(horizon=7, max_cycles=8)
    for wrong in (0, -1, 2.5, "4", True):
        with pytest.raises(InputError, match="must be a whole number >= 1"):
            make(max_cycles=wrong)


# --- wrong settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "setting", "informed"),
    [
        (auction_v0, {"max_cycle": 4}, "did you mean 'max_cycles'"),
        (retail_v0, {"max_cycle": 4}, "did you mean 'max_cycles'"),
        (market_making_v0, {"maximum_cycles": 4}, "did you mean 'max_cycles'"),
        (auction_v0, {"horizn": 4}, "did you mean 'horizon'"),
        (retail_v0, {"firmz": 4}, "did you mean 'firms'"),
        (market_making_v0, {"maker": 4}, "did you mean 'makers'"),
        (auction_v0, {"quote__low": 0.1}, "did you mean 'quotes'"),
        (auction_v0, {"zzz": 4}, "there are bidders, items, scenario"),
        (retail_v0, {"makers": 4}, "'makers' is no setting here"),
        (auction_v0, {"firms": None}, "'firms' is no setting here"),
        (market_making_v0, {"band": (0.5, 1.0)}, "'band' is no setting here"),
    ],
)
def test_a_setting_that_a_module_does_not_have_is_told_by_what_it_has(module, setting, informed):
    with pytest.raises(InputError) as caught:
        module.parallel_env(**setting)
    message = str(caught.value)
    assert informed in message and message.startswith(next(iter(setting))) and "\n" not in message
    others = {"firms", "products", "makers", "assets", "bidders", "items"} - set(
        inspect.signature(module.parallel_env).parameters
    )
    hint = message.split("no setting here", 1)[1]
    assert not any(f"'{name}'" in hint or f" {name}," in hint for name in others)


@pytest.mark.parametrize("preset", ["retail", "market_making", "auction"])
def test_a_change_of_a_scenario_names_no_shorthand_of_another_kind(preset):
    of = {"retail": "firms", "market_making": "makers", "auction": "bidders"}
    for typed in ("max_cycles", "maker", "firm", "bidder", "zzzz"):
        with pytest.raises(InputError) as caught:
            scenarios.override(scenarios.load(preset), [f"{typed}=3"])
        hint = str(caught.value).split("not a key here", 1)[1]
        assert not any(other in hint for kind, other in of.items() if kind != preset), hint


# --- chance ---------------------------------------------------------------------------------------


@every_module
def test_np_random_begins_at_the_seed_and_moves_nothing_in_the_market(module):
    env, twin = (module.parallel_env(**SMALL[module], horizon=4) for _ in range(2))
    env.reset(seed=3), twin.reset(seed=3)
    assert env.np_random_seed == 3
    assert env.np_random.random() == seeding.np_random(3)[0].random()
    draw = seeded_sampler(env)
    while env.agents:
        env.np_random.random(100)
        actions = draw()
        assert same(env.step(actions), twin.step(actions))
    state = env.np_random.bit_generator.state
    assert same(env.reset(), twin.reset())  # goes on: the generator too
    assert env.np_random_seed == 3 and env.np_random.bit_generator.state == state
    env.reset(seed=4)
    assert env.np_random_seed == 4 and env.np_random.random() == seeding.np_random(4)[0].random()


@pytest.mark.parametrize("seed", [None, 6])
def test_the_seed_that_np_random_names_begins_the_row_of_episodes_again(seed):
    env = auction_v0.parallel_env(horizon=2, seed=seed)
    with pytest.raises(InputError, match="not begun"):
        env.np_random_seed  # noqa: B018
    seeds = []
    for _ in range(3):
        env.reset()
        seeds.append(env.episode_seed)
    assert env.np_random_seed == seeds[0] and (seed is None or seeds[0] == seed)
    env.reset(seed=env.np_random_seed)
    env.reset()
    assert env.episode_seed == seeds[1]
    env.np_random = np.random.default_rng(1)  # as Gymnasium allows
    assert env.np_random.random() == np.random.default_rng(1).random()


def test_the_views_for_gymnasium_have_np_random_of_the_same_seed():
    one = gymnasium_env("pricing_game", "firm_1", horizon=2, seed=9)
    many = gymnasium_vector_env("pricing_game", "firm_1", 2, horizon=2, seed=9)
    for env in (one, many):
        env.reset()
        assert env.np_random_seed == 9
        assert env.np_random.random() == seeding.np_random(9)[0].random()
        env.reset()
        assert env.np_random_seed == 9
        env.reset(seed=np.int64(11))
        assert env.np_random_seed == 11
    with pytest.raises(InputError, match="seed=-1"):
        one.reset(seed=-1)


def test_copies_of_a_seeded_environment_differ_by_their_number_alone():
    def path(env):
        env.reset()
        draw = seeded_sampler(env)
        return [tuple(env.step(draw())[1].values()) for _ in range(6)]

    made = [auction_v0.parallel_env(seed=0, horizon=6) for _ in range(3)]
    copies = [made[0], copy.deepcopy(made[1]), pickle.loads(pickle.dumps(made[2]))]
    apart = [auction_v0.parallel_env(seed=0, horizon=6, number=i) for i in range(4)]
    assert len({tuple(path(env)) for env in copies}) == 1
    assert len({tuple(path(env)) for env in apart}) == 4


# --- habits ---------------------------------------------------------------------------------------


@every_module
def test_the_usual_attributes_are_there_before_and_after_an_episode(module):
    env = module.parallel_env(**SMALL[module], horizon=2, render_mode="rgb_array")
    assert env.render_mode == "rgb_array" and env.unwrapped is env
    assert env.metadata["name"] == str(env) and env.metadata["is_parallelizable"] is True
    assert {"human", "rgb_array"} <= set(env.metadata["render_modes"])
    assert env.num_agents == 0 and env.max_num_agents == len(env.possible_agents) == 2
    everybody = list(env.possible_agents)
    for seed in (0, None, 1):
        env.reset(seed=seed, options={"anything": 1})
        assert env.agents == everybody
        env.step(sample(env))
        env.step(sample(env))
        assert env.agents == [] and env.num_agents == 0 and env.possible_agents == everybody
        assert env.step({}) == ({}, {}, {}, {}, {})
        with pytest.raises(InputError, match="the episode is over"):
            env.step({name: env.action_space(name).sample() for name in everybody})
        assert env.state().shape == env.state_space.shape
    env.close()
    env.close()


@every_module
def test_a_reset_in_the_middle_or_twice_begins_anew(module):
    env, twin = (module.parallel_env(**SMALL[module], horizon=5) for _ in range(2))
    env.reset(seed=1)
    env.step(sample(env))
    env.reset(seed=2)
    assert same(env.reset(seed=3), twin.reset(seed=3))
    draw = seeded_sampler(env)
    while env.agents:
        actions = draw()
        assert same(env.step(actions), twin.step(actions))


@every_module
def test_spaces_are_the_same_objects_and_seeded_each_by_itself(module):
    env = module.parallel_env(**SMALL[module], actions="discrete")
    one, two = env.possible_agents
    assert env.action_space(one) is env.action_space(one) is env.action_spaces[one]
    assert env.observation_space(two) is env.observation_spaces[two]
    env.action_space(one).seed(0)
    first = [str(env.action_space(one).sample()) for _ in range(5)]
    env.action_space(one).seed(0)
    env.action_space(two).sample()
    assert [str(env.action_space(one).sample()) for _ in range(5)] == first
    for space in (env.action_space, env.observation_space):
        with pytest.raises(InputError, match="agent='nobody' is not one of"):
            space("nobody")


def test_actions_may_be_lists_plain_numbers_and_arrays_of_any_kind_of_number():
    env = auction_v0.parallel_env(actions="discrete", levels=5, bidders=2)
    for action in (3, np.int64(3), np.int8(3), np.uint64(3), np.array(3), np.array(3, np.int32)):
        env.reset(seed=0)
        env.step({"bidder_1": action, "bidder_2": 1})
    price = retail_v0.parallel_env(firms=1, products=2)
    wide = price.market.spec("platform").opening_price
    narrow = np.round(wide)
    for action in (list(narrow), tuple(narrow), narrow.astype(int), narrow.astype(np.float32)):
        price.reset(seed=0)
        price.step({"platform": action, "firm_1": wide})
    for action in ([3], "3", None, 2.0, np.array([3]), 1 + 0j):
        env.reset(seed=0)
        with pytest.raises(QuoteRefused, match=r"^bidder_1: action"):
            env.step({"bidder_1": action, "bidder_2": 1})


def test_a_grid_that_is_shown_is_a_copy():
    env = auction_v0.parallel_env(actions="discrete", levels=5)
    env.price_grid("bidder_1")[0][:] = 99.0
    assert env.price_grid("bidder_1")[0].max() < 99.0


@every_module
def test_narrow_observations_change_nothing_in_the_market(module):
    wide, narrow = (
        module.parallel_env(**SMALL[module], horizon=4, actions="discrete", dtype=dtype)
        for dtype in ("float64", "float32")
    )
    wide.reset(seed=2), narrow.reset(seed=2)
    draw = seeded_sampler(wide)
    while wide.agents:
        actions = draw()
        one, two = wide.step(actions), narrow.step(actions)
        assert one[1] == two[1]
        for name, seen in two[0].items():
            assert (
                seen.dtype == np.float32 and seen.tobytes() == one[0][name].astype("f4").tobytes()
            )


# --- many markets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["local", "actors"])
@pytest.mark.parametrize("agents", [None, ["firm_1"], ["platform", "firm_2"]])
@pytest.mark.parametrize("auto_reset", [False, True])
def test_what_a_batch_hands_out_is_the_callers_own(agents, auto_reset, runtime):
    inside = [n for n in ("platform", "firm_1", "firm_2") if n not in agents] if agents else []
    place = scenarios.override(scenarios.load("retail"), ["products=1"])
    one, two = (
        BatchedMarket(
            place,
            3,
            agents=agents,
            actions="discrete",
            levels=5,
            horizon=4,
            seed=0,
            auto_reset=auto_reset,
            runtime=runtime,
            policies={name: {"kind": "q_learning"} for name in inside},
        )
        for _ in range(2)
    )
    generator = np.random.default_rng(0)
    seen, kept = one.reset(), two.reset()
    for _ in range(8 if auto_reset else 4):
        assert seen.tobytes() == kept.tobytes()
        seen[:] = -77.0
        levels = generator.integers(0, 5, one.action_shape)
        (seen, *rest), (kept, *others) = one.step(levels.copy()), two.step(levels)
        given, reference = [*rest[:2], *rest[2]], [*others[:2], *others[2]]
        for array, other in zip(given, reference, strict=True):
            assert (array is None) == (other is None)
            if array is not None:
                assert array.tobytes() == other.tobytes() and array.flags.owndata
                array[...] = 1
    if not auto_reset:
        assert one.reset().tobytes() == two.reset().tobytes()


@pytest.mark.parametrize("how", [str, Path, None])
def test_a_market_may_be_named_wherever_a_scenario_is_taken(how, tmp_path):
    if how is Path:
        source = tmp_path / "mine.yaml"
        source.write_text(scenarios.dump(scenarios.load("pricing_game")))
    else:
        source = "pricing_game" if how is str else scenarios.load("pricing_game")
    settings = {"agents": ["firm_1"], "actions": "discrete"}
    reference = BatchedMarket(scenarios.load("pricing_game"), 2, **settings).reset(1)
    assert BatchedMarket(source, 2, **settings).reset(1).tobytes() == reference.tobytes()
    alone = MarketEnv(source, **settings).reset(seed=1)[0]["firm_1"]
    assert alone.tobytes() == reference[0].tobytes()
    for make in (gymnasium_env, gymnasium_vector_env):
        assert make(source, "firm_1").participant.name == "firm_1"


@pytest.mark.parametrize("source", [7, None, {"name": "retail"}, "retial", b"retail"])
def test_what_is_no_market_is_told_in_one_line(source):
    for make in (MarketEnv, BatchedMarket):
        with pytest.raises(InputError) as caught:
            make(source)
        assert "\n" not in str(caught.value) and "retail" in str(caught.value)


# --- infos of the views for Gymnasium -------------------------------------------------------------


def shapes(value):
    if isinstance(value, dict):
        return {key: shapes(one) for key, one in value.items()}
    return (value.dtype, value.shape) if isinstance(value, np.ndarray) else type(value)


@pytest.mark.parametrize("runtime", ["local", "actors"])
@pytest.mark.parametrize("reveal", [True, False])
def test_infos_of_the_single_agent_view_have_one_structure(reveal, runtime):
    env = gymnasium_env(
        "pricing_game", "firm_1", actions="discrete", horizon=2, reveal=reveal, runtime=runtime
    )
    first = env.reset(seed=0)[1]
    assert ("true_demand" in first) == reveal
    for _ in range(2):
        assert shapes(env.step(3)[4]) == shapes(first)
    assert shapes(env.reset()[1]) == shapes(first)


@pytest.mark.parametrize("runtime", ["local", "actors"])
@pytest.mark.parametrize("reveal", [True, False])
def test_infos_of_the_vector_form_are_those_of_its_markets_as_gymnasium_writes_them(
    reveal, runtime
):
    import gymnasium

    settings = {"actions": "discrete", "horizon": 3, "reveal": reveal}
    many = gymnasium_vector_env("pricing_game", "firm_1", 3, runtime=runtime, **settings)
    by_hand = gymnasium.vector.SyncVectorEnv(
        [
            lambda i=i: gymnasium_env("pricing_game", "firm_1", number=i, seed=0, **settings)
            for i in range(3)
        ],
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )
    infos, reference = many.reset(seed=0)[1], by_hand.reset()[1]
    assert_alike(infos, reference)
    generator = np.random.default_rng(0)
    for _ in range(7):
        levels = generator.integers(0, 15, 3)
        infos, reference = many.step(levels)[4], by_hand.step(levels)[4]
        reference.pop("final_obs", None)
        infos.pop("final_obs", None)  # an array here, an array of arrays there
        assert_alike(infos, reference)


def assert_alike(infos, reference):
    assert infos.keys() == reference.keys()
    for key, value in reference.items():
        if isinstance(value, dict):
            assert_alike(infos[key], value)
        else:
            assert infos[key].dtype == value.dtype and infos[key].shape == value.shape
            assert np.array_equal(infos[key], value)


# --- wrappers -------------------------------------------------------------------------------------


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
@every_module
def test_supersuits_wrappers_go_round_every_environment(module):
    import supersuit

    settings = {**SMALL[module], "horizon": 5, "actions": "discrete", "dtype": "float32"}
    if module is retail_v0:
        settings["products"] = 1  # `pad_action_space` takes one choice per agent
    if module is marketplace_v0:
        settings["agents"] = ["maker_1", "maker_2"]  # one kind of choice for all agents
    env = module.parallel_env(**settings)
    for wrap in (
        lambda e: supersuit.frame_stack_v1(e, 3),
        supersuit.flatten_v0,
        lambda e: supersuit.dtype_v0(e, np.float32),
        supersuit.pad_observations_v0,
        supersuit.pad_action_space_v0,
        supersuit.agent_indicator_v0,
        supersuit.black_death_v3,
        lambda e: supersuit.sticky_actions_v0(e, 0.1),
        lambda e: supersuit.clip_reward_v0(e),
        lambda e: supersuit.delay_observations_v0(e, 2),
    ):
        wrapped = wrap(env)
        observations, infos = wrapped.reset(seed=0)
        assert observations.keys() == infos.keys()
        for _ in range(5):
            actions = {name: wrapped.action_space(name).sample() for name in wrapped.agents}
            observations, *_ = wrapped.step(actions)
            for name, seen in observations.items():
                assert wrapped.observation_space(name).contains(seen)


@every_module
def test_infos_may_be_left_empty_for_wrappers_that_take_numbers_only(module):
    informed, bare = (module.parallel_env(horizon=2, infos=wanted) for wanted in (True, False))
    _, infos = bare.reset(seed=3)
    informed.reset(seed=3)
    assert infos == {agent: {} for agent in bare.agents}
    actions = {agent: bare.action_space(agent).sample() for agent in bare.agents}
    seen, rewards, *_, infos = bare.step(actions)
    same, earned, *_ = informed.step(actions)
    assert infos == {agent: {} for agent in bare.agents} and rewards == earned
    assert all(np.array_equal(seen[agent], same[agent]) for agent in seen)
