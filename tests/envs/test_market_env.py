"""Every environment, every preset, 1, 2 and 8 agents, numbers and grids: one suite for all."""

import dataclasses
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest
from gymnasium import spaces

from envs import auction_v0, market_making_v0, marketplace_v0, retail_v0, space_tables
from envs.market_env import MarketEnv
from mos_agents import policies, scenarios
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError, QuoteRefused
from mos_agents.policies.base import Policy
from mos_agents.rollout import play, transitions
from mos_agents.testing import BehaviourSuite, EnvironmentSuite, RenderSuite
from mos_agents.testing.environments import same, sample, seeded_sampler

CASES = {
    "retail": (retail_v0, {}),
    "retail-1": (retail_v0, {"firms": 0, "products": 3}),
    "retail-2": (retail_v0, {"firms": 1, "products": 1}),
    "retail-8": (retail_v0, {"firms": 7, "products": 2}),
    "retail-some": (retail_v0, {"agents": ["firm_2"], "products": 2}),
    "autos": (retail_v0, {"scenario": "autos_1990"}),
    "autos-1": (retail_v0, {"scenario": "autos_1990", "agents": ["yugo"]}),
    "makers-1": (market_making_v0, {"makers": 1}),
    "makers-2": (market_making_v0, {"makers": 2, "assets": 1}),
    "makers-8": (market_making_v0, {"makers": 8, "assets": 2}),
    "makers-sized": (market_making_v0, {"makers": 2, "assets": 2, "quotes__sized": True}),
    "makers-some": (market_making_v0, {"agents": ["maker_1", "maker_3"]}),
    "auction-1": (auction_v0, {"bidders": 1}),
    "auction-2": (auction_v0, {"bidders": 2, "items": 3}),
    "auction-8": (auction_v0, {"bidders": 8, "weights": {"pnl": 1.0, "revenue": 0.5}}),
    "marketplace": (marketplace_v0, {"levels": 4}),
    "marketplace-2": (marketplace_v0, {"makers": 1, "firms": 2, "goods": 1, "levels": 4}),
    "marketplace-some": (marketplace_v0, {"agents": ["platform", "firm_1"], "levels": 4}),
    "chain": (marketplace_v0, {"scenario": "supply_chain", "levels": 4}),
    "chain-1": (
        marketplace_v0,
        {"scenario": "supply_chain", "makers": 1, "firms": 1, "goods": 1, "levels": 4},
    ),
}


@pytest.mark.parametrize("actions", ["continuous", "discrete"])
@pytest.mark.parametrize("case", CASES)
class TestEveryEnvironment(BehaviourSuite):
    horizon = 4

    @pytest.fixture(autouse=True)
    def _case(self, case, actions):
        module, settings = CASES[case]
        self.make = lambda **more: module.parallel_env(actions=actions, **{**settings, **more})


PICTURED = (
    "retail",
    "retail-1",
    "retail-8",
    "autos",
    "makers-8",
    "makers-sized",
    "auction-2",
    "marketplace",
)
"""One, few and many participants and products, of each kind of market. A picture shows quotes and
outcomes, so it does not matter how actions are written or which agents are played."""


@pytest.mark.parametrize("case", PICTURED)
class TestEveryPicture(RenderSuite):
    horizon = 4

    @pytest.fixture(autouse=True)
    def _case(self, case):
        module, settings = CASES[case]
        self.make = lambda **more: module.parallel_env(**{**settings, **more})


class TestNarrowNumbers(EnvironmentSuite):
    """What clients with 32 bits ask for."""

    def make(self, **settings):
        return market_making_v0.parallel_env(assets=2, dtype="float32", **settings)


class TestAMarketPutTogetherByHand(EnvironmentSuite):
    """A bare `Market`, with delays, noise and moves by chance."""

    def make(self, **settings):
        return MarketEnv(
            scenarios.retail(
                firms=2,
                products=2,
                schedule="random",
                observations__quote_delay=2,
                observations__quote_noise=0.1,
            ),
            **settings,
        )


# --- the tables in the docstrings -----------------------------------------------------------------

DOCUMENTED = [
    (retail_v0, "firm_1"),
    (market_making_v0, "maker_1"),
    (auction_v0, "bidder_1"),
    (marketplace_v0, "platform"),
    (marketplace_v0, "maker_1"),
    (marketplace_v0, "firm_1"),
]


@pytest.mark.parametrize(("module", "agent"), DOCUMENTED)
def test_the_table_in_the_docstring_is_that_of_the_default_spaces(module, agent):
    env = module.parallel_env()
    text = env.unwrapped.spaces_table(agent)
    assert text in module.__doc__
    rows = space_tables.parse(text)
    spec, box, does = env.market.spec(agent), env.observation_space(agent), env.action_space(agent)
    low, high = (
        {"observation": box.low, "action": does.low},
        {"observation": box.high, "action": does.high},
    )
    assert {row[0] for row in rows} == {"observation", "action"}
    covered = {(space, i) for space, indices, *_ in rows for i in indices}
    assert len(covered) == box.shape[0] + does.shape[0]
    features = {name for one in spec.features for name in one.split("/")}
    for space, indices, name, least, most in rows:
        assert name in ({f.name for f in spec.fields} | features | {"-"})
        for i in indices:
            assert (low[space][i], high[space][i]) == (least, most)


def test_a_run_with_gaps_is_read_back_index_by_index():
    text = "action:\nindex  name  range  unit  meaning\n1-9 by 2  spread  [0.01, inf]  money  gap"
    assert space_tables.parse(text) == [("action", range(1, 10, 2), "spread", 0.01, np.inf)]


# --- the same bits as play ------------------------------------------------------------------------


NOISY = scenarios.override(
    scenarios.load("retail"),
    ["observations.quote_noise=0.3", "schedule=random"],
)


def test_the_first_observation_is_the_one_that_play_begins_with():
    env = MarketEnv(NOISY)
    env.reset(seed=5)
    first = next(transitions(env.market, NOISY.policies(), seed=5)).observation
    assert env.state().tobytes() == first[0].tobytes()
    other = MarketEnv(NOISY, number=1)
    other.reset(seed=5)
    assert env.state().tobytes() != other.state().tobytes()  # there is noise to agree on


@pytest.mark.parametrize(
    "preset", [*scenarios.presets(), NOISY], ids=lambda p: getattr(p, "name", p)
)
@pytest.mark.parametrize("seed", [0, 7])
def test_outside_agents_who_do_what_their_policies_would_meet_what_play_meets(preset, seed):
    scenario = scenarios.load(preset) if isinstance(preset, str) else preset
    own, ticks = scenario.policies(), 12
    market = scenario.market()
    names = [name for name in own if market.spec(name).action_shape[0]]  # the others quote nothing
    for agents in (names, names[:1], names[-1:], names[:1] + names[2:3]):
        env = MarketEnv(scenario, agents, horizon=ticks)
        wanted = list(play(env.market, own, seed=seed, ticks=ticks, markets=1))
        observations, _ = env.reset(seed=seed)
        specs = {name: env.market.spec(name) for name in agents}
        memories = {name: own[name].start(specs[name], 1) for name in agents}
        streams = {name: Streams.of(seed, 1, owner=name) for name in agents}
        for at, step in enumerate(wanted):
            actions = {}
            for name, spec in specs.items():
                action, memories[name] = own[name].act(
                    spec, observations[name][None], memories[name], streams[name].at(at)
                )
                actions[name] = action.reshape(-1)
            observations, rewards, _, _, infos = env.step(actions)
            assert env.state().tobytes() == step.observation[0].tobytes()
            for name, spec in specs.items():
                assert observations[name].tobytes() == step.observation[0, spec.columns].tobytes()
                assert rewards[name] == step.reward[0, spec.number]
                demand = step.info.executions.demand[0, spec.listings]
                assert np.array_equal(infos[name]["true_demand"], demand)
        assert env.agents == [] and env.faults == ()


def test_an_agent_outside_sees_nothing_of_the_others_own_fields():
    env = retail_v0.parallel_env(agents=["firm_1"], products=2)
    observations, _ = env.reset(seed=0)
    spec = env.market.spec("firm_1")
    assert list(observations) == ["firm_1"]
    assert observations["firm_1"].size == sum(field.size for field in spec.fields)
    rivals = {"platform", "firm_2"}
    for field in spec.fields:
        if any(label.split(".")[0] in rivals for label in field.labels):
            assert field.name.startswith("rival_")


def test_the_streams_of_who_plays_inside_do_not_depend_on_who_else_does():
    """A wanderer's prices, twice: beside another wanderer inside, and beside an agent outside."""
    wander = {"kind": "random_walk"}
    one = retail_v0.parallel_env(
        firms=2, products=1, agents=["platform"], policies={"firm_1": wander, "firm_2": wander}
    )
    two = retail_v0.parallel_env(
        firms=2, products=1, agents=["platform", "firm_2"], policies={"firm_1": wander}
    )
    ask = {env: env.market.spec("firm_1").columns.start for env in (one, two)}
    one.reset(seed=3), two.reset(seed=3)
    price = one.market.spec("platform").opening_price
    seen = {one: [], two: []}
    for _ in range(10):
        one.step({"platform": price})
        two.step({"platform": price, "firm_2": price})
        for env in seen:
            seen[env].append(env.state()[ask[env]])
    assert seen[one] == seen[two] and len(set(seen[one])) > 3


def test_a_policy_inside_that_fails_loses_its_move_and_is_told_of():
    @dataclasses.dataclass(frozen=True)
    class RaisesAtOnce(Policy):
        kind = "broken"

        def start(self, spec, batch):
            return None

        def act(self, spec, observation, memory, draws):
            raise RuntimeError("no idea")

        def propensity(self, spec, observation, action, memory):
            raise NotImplementedError

    env = retail_v0.parallel_env(
        products=1, agents=["platform"], policies={"firm_1": RaisesAtOnce()}, on_fault="hold"
    )
    env.reset(seed=0)
    before = env.state()[env.market.spec("firm_1").columns][0]
    env.step({"platform": env.market.spec("platform").opening_price})
    assert env.state()[env.market.spec("firm_1").columns][0] == before
    assert [(f.participant, f.decisions) for f in env.faults] == [("firm_1", 1)]
    assert "no idea" in env.faults[0].reason


# --- actions --------------------------------------------------------------------------------------


def test_flat_actions_stand_listing_by_listing_and_feature_by_feature():
    env = market_making_v0.parallel_env(makers=2, assets=2, horizon=3)
    env.reset(seed=0)
    mid = env.state()[env.market.spec("maker_1").where["reference"]]
    quote = np.array([0.5, 0.2, -0.5, 0.4])  # offset and spread of the first asset, of the second
    env.step({"maker_1": quote, "maker_2": env.action_space("maker_2").low})
    own = env.state()[env.market.spec("maker_1").columns]
    where = env.market.spec("maker_1").where
    assert own[where["own_bid"]] == pytest.approx(mid + np.array([0.4, -0.7]), abs=1e-9)
    assert own[where["own_ask"]] == pytest.approx(mid + np.array([0.6, -0.3]), abs=1e-9)


def test_a_level_is_the_price_that_the_grid_has_there():
    env = retail_v0.parallel_env(firms=1, products=2, actions="discrete", levels=5, band=(0.8, 1.2))
    assert env.action_space("firm_1") == spaces.MultiDiscrete([5, 5])
    reference = env.market.spec("firm_1").opening_price
    first, second = env.price_grid("firm_1")
    assert first[:, 0] == pytest.approx(reference[0] * np.array([0.8, 0.9, 1.0, 1.1, 1.2]))
    twin = retail_v0.parallel_env(firms=1, products=2)
    env.reset(seed=1), twin.reset(seed=1)
    levels = {"platform": np.array([4, 0]), "firm_1": np.array([1, 3])}
    prices = {
        "platform": np.array([first[4, 0], second[0, 0]]),
        "firm_1": np.array([first[1, 0], second[3, 0]]),
    }
    assert same(env.step(levels), twin.step(prices))


def test_one_listing_is_a_discrete_space_and_takes_plain_integers():
    env = auction_v0.parallel_env(actions="discrete", levels=11)
    assert env.action_space("bidder_2") == spaces.Discrete(11)
    assert env.price_grid("bidder_2")[0][:, 0] == pytest.approx(np.linspace(0.0, 1.0, 11))
    twin = auction_v0.parallel_env(actions="discrete", levels=11)
    env.reset(seed=0), twin.reset(seed=0)
    numpys = {"bidder_1": np.int64(3), "bidder_2": np.int32(9), "bidder_3": np.array(5)}
    assert same(env.step({"bidder_1": 3, "bidder_2": 9, "bidder_3": 5}), twin.step(numpys))


def test_the_grid_of_a_dealer_is_every_offset_with_every_spread():
    env = market_making_v0.parallel_env(actions="discrete", levels=(3, 2), assets=1)
    assert env.action_space("maker_1") == spaces.Discrete(6)
    assert env.price_grid("maker_1")[0] == pytest.approx(
        np.array([[-1.5, 0.01], [-1.5, 3.0], [0, 0.01], [0, 3.0], [1.5, 0.01], [1.5, 3.0]])
    )


def test_own_grids_are_taken_for_all_listings_for_each_or_for_each_agent():
    prices = [10.0, 20.0, 30.0]
    for grid in (prices, [prices, prices], {"platform": prices, "firm_1": [prices, prices]}):
        env = retail_v0.parallel_env(firms=1, products=2, actions="discrete", grid=grid)
        assert env.action_space("firm_1") == spaces.MultiDiscrete([3, 3])
        assert env.price_grid("platform")[1][:, 0].tolist() == prices
    for grid in ([1.0, np.nan], [5.0, 2000.0], np.ones((3, 2, 1)), "abc", [[1.0], [1.0, 2.0]]):
        with pytest.raises(InputError, match=r"^grid: platform"):
            retail_v0.parallel_env(firms=1, products=2, actions="discrete", grid=grid)


def test_a_limit_rounded_to_32_bits_counts_as_the_limit():
    env = market_making_v0.parallel_env(makers=1, assets=1)
    twin = market_making_v0.parallel_env(makers=1, assets=1)
    low = env.action_space("maker_1").low
    assert np.float32(low[1]) < low[1]  # 0.01 is not a number of 32 bits: rounded, it is too small
    env.reset(seed=0), twin.reset(seed=0)
    assert same(env.step({"maker_1": low.astype(np.float32)}), twin.step({"maker_1": low}))


def test_the_message_names_agent_field_value_limits_and_remedy():
    env = market_making_v0.parallel_env(makers=2, assets=2)
    env.reset(seed=0)
    actions = sample(env)
    actions["maker_2"][3] = 3.75
    with pytest.raises(QuoteRefused) as caught:
        env.step(actions)
    assert str(caught.value) == (
        "maker_2: action[3] (spread of asset_2) = 3.75 must be in [0.01, 3]; "
        "clip actions to action_space('maker_2')"
    )


def test_infos_travel_to_another_process_as_plain_numbers():
    env = retail_v0.parallel_env(products=1)
    env.reset(seed=0)
    *_, infos = env.step(sample(env))
    sent = pickle.dumps(infos)
    terms = pickle.loads(sent)["firm_1"]["reward_terms"]
    assert type(terms) is dict and terms == dict(infos["firm_1"]["reward_terms"]) and any(terms)
    assert len(sent) < 2000 and any(terms.values())


# --- what can be set ------------------------------------------------------------------------------


def test_by_default_everybody_learns_who_does_not_just_hold_a_price():
    autos = retail_v0.parallel_env(scenario="autos_1990")
    assert autos.possible_agents == ["general_motors", "toyota", "honda"]
    assert retail_v0.parallel_env().possible_agents == ["platform", "firm_1", "firm_2"]
    assert MarketEnv(scenarios.retail(firms=1)).possible_agents == ["platform", "firm_1"]
    still = scenarios.override(scenarios.load("auction"), ["participants.bidder.policy.kind=hold"])
    assert len(MarketEnv(still).possible_agents) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"agents": ["firm_3"]}, "firm_3"),
        ({"agents": []}, "agents"),
        ({"agents": "firm_1"}, "agents"),
        ({"agents": ["firm_1", "firm_1"]}, "once"),
        ({"actions": "both"}, "actions='both'"),
        ({"actions": "discrete", "levels": 1}, "levels=1"),
        ({"actions": "discrete", "levels": 2.5}, "levels=2.5"),
        ({"actions": "discrete", "band": (2.0, 1.0)}, "band"),
        ({"horizon": 0}, "horizon=0"),
        ({"horizon": True}, "horizon=True"),
        ({"weights": {"glory": 1.0}}, "glory"),
        ({"render_mode": "ansi"}, "render_mode='ansi'"),
        ({"dtype": "int8"}, "dtype='int8'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"number": -1}, "number=-1"),
        ({"policies": {"firm_9": {"kind": "hold"}}}, "firm_9"),
        ({"agents": ["platform"], "policies": {"firm_1": {"kind": "hodl"}}}, "hodl"),
        ({"scenario": "retial"}, "retail"),
        ({"scenario": "market_making"}, "use market_making_v0"),
        ({"frims": 3}, "frims"),
        ({"firms": -1}, "firms|count"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_line(settings, message):
    with pytest.raises(InputError, match=message) as caught:
        retail_v0.parallel_env(**settings)
    assert "\n" not in str(caught.value)


def test_a_bare_market_needs_policies_for_those_who_play_inside():
    market = scenarios.retail(firms=1)
    with pytest.raises(InputError, match="'firm_1' is hosted and has none"):
        MarketEnv(market, ["platform"])
    env = MarketEnv(market, ["platform"], policies={"firm_1": policies.make("hold")})
    env.reset(seed=0)
    env.step(sample(env))


def test_weights_and_horizon_stand_in_for_the_markets_own():
    env = retail_v0.parallel_env(weights={"revenue": 2.0}, horizon=2)
    env.reset(seed=0)
    _, rewards, _, _, infos = env.step(sample(env))
    assert dict(infos["firm_1"]["reward_terms"]) == {"revenue": rewards["firm_1"]}
    assert env.state()[-1] == 0.5  # the clock: one tick of two


def test_scenarios_may_be_named_given_or_read_and_settings_change_them(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(scenarios.dump(scenarios.load("retail")))
    draws = []
    for scenario in (None, "retail", scenarios.load("retail"), str(path)):
        env = retail_v0.parallel_env(scenario=scenario, products=3, arrivals__sessions=5)
        assert env.market.layout.K == 3 and env.market.arrivals.sessions == 5
        env.reset(seed=0)
        draw = seeded_sampler(env)
        draws.append(env.step(draw()))
    assert all(same(draws[0], other) for other in draws[1:])


def test_the_environments_take_every_setting_of_a_market():
    for module in {module for module, _ in DOCUMENTED}:
        for name, one in inspect.signature(MarketEnv).parameters.items():
            if name not in ("market", "name", "band"):
                assert isinstance(module.parallel_env(**{name: one.default}), MarketEnv)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True])
def test_reset_refuses_what_is_no_seed(seed):
    env = auction_v0.parallel_env()
    with pytest.raises(InputError, match="seed="):
        env.reset(seed=seed)


# --- drawing --------------------------------------------------------------------------------------


def test_nothing_loads_matplotlib_before_a_picture_is_asked_for():
    program = (
        "import sys\n"
        "from envs import auction_v0\n"
        "env = auction_v0.parallel_env(render_mode='rgb_array')\n"
        "env.reset(seed=0)\n"
        "env.step({a: env.action_space(a).sample() for a in env.agents})\n"
        "assert 'matplotlib' not in sys.modules\n"
        "env.render()\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'matplotlib' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_picture_changes_as_the_market_goes_on():
    env = market_making_v0.parallel_env(render_mode="rgb_array", horizon=5)
    env.reset(seed=0)
    pictures = [env.render()]
    while env.agents:
        env.step(sample(env))
        pictures.append(env.render())
    assert len({p.tobytes() for p in pictures}) == len(pictures)
    assert len({p.shape for p in pictures}) == 1


def test_human_mode_prints_every_tick_once(capsys):
    env = auction_v0.parallel_env(render_mode="human", horizon=3)
    env.reset(seed=0)
    env.render()
    while env.agents:
        env.step(sample(env))
        assert env.render() is None
    out = capsys.readouterr().out
    assert [out.count(f"tick {t} of 3") for t in range(4)] == [1, 1, 1, 1]


def test_nothing_is_drawn_without_a_render_mode_or_before_reset():
    env = auction_v0.parallel_env()
    with pytest.raises(InputError, match="reset"):
        env.render()
    with pytest.raises(InputError, match="reset"):
        env.state()
    env.reset(seed=0)
    with pytest.raises(InputError, match="render_mode"):
        env.render()


@pytest.mark.parametrize("band", ["x", (2.0, 1.0), (1.0,), (0.5, np.nan)])
def test_a_band_that_is_none_is_told_in_one_line(band):
    with pytest.raises(InputError, match="band="):
        retail_v0.parallel_env(firms=1, products=1, actions="discrete", band=band)
