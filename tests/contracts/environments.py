"""What every environment must keep to: inherit `EnvironmentSuite` and give it a `make`."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.utils.conversions import parallel_to_aec

from envs import space_tables
from mos_agents.market.types import InputError, QuoteRefused


def sample(env):
    return {name: env.action_space(name).sample() for name in env.agents}


def seeded_sampler(env, seed=0):
    for i, name in enumerate(env.possible_agents):
        env.action_space(name).seed(seed + i)
    return lambda: {name: env.action_space(name).sample() for name in env.possible_agents}


def same(one, other):
    """Whether two steps' outcomes have the same bits."""
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            if isinstance(a[key], np.ndarray):
                assert a[key].dtype == b[key].dtype and a[key].tobytes() == b[key].tobytes()
            elif isinstance(a[key], dict):
                assert a[key].keys() == b[key].keys()
                for name in a[key]:
                    assert np.array_equal(a[key][name], b[key][name])
            else:
                assert a[key] == b[key]
    return True


def structure(value):
    """What kind of thing it is, and of what it consists: types, keys, dtypes, shapes."""
    if isinstance(value, dict):
        return {key: structure(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape
    return type(value)


def arrays_in(value):
    """Every array within what an environment returned."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [array for one in value.values() for array in arrays_in(one)]
    return [a for one in value for a in arrays_in(one)] if isinstance(value, tuple | list) else []


def scribble(value):
    """Write nonsense over everything that can be written to."""
    for array in arrays_in(value):
        array[...] = "nonsense" if array.dtype.kind == "O" else 1 if array.dtype == bool else -77
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, dict):
            for inner in one.values():
                if isinstance(inner, dict):
                    inner.clear()
            one.clear()


class Suite:
    """Subclasses define `make(**settings)`; settings are those of `MarketEnv`."""

    horizon = 6

    def make(self, **settings):
        raise NotImplementedError


class PictureSuite(Suite):
    """What is shown of an environment: a fifth of a second a picture."""

    def test_passes_pettingzoos_render_test(self, capsys):
        render_test(lambda **kwargs: parallel_to_aec(self.make(horizon=self.horizon, **kwargs)))
        assert self.make().market.layout.participants[0] in capsys.readouterr().out


class BehaviourSuite(Suite):
    """Everything but the pictures."""

    @pytest.fixture
    def env(self):
        return self.make(horizon=self.horizon)

    def test_passes_pettingzoos_parallel_api_test(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parallel_api_test(self.make(horizon=20), num_cycles=50)

    def test_passes_pettingzoos_parallel_seed_test(self):
        parallel_seed_test(lambda: self.make(horizon=20), num_cycles=30)

    def test_passes_pettingzoos_tests_in_the_other_interface(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on names of agents and on bounds of spaces
            # A lone agent's zeros would be a tick: where they are no action, they are refused.
            env = self.make(horizon=5)
            space = env.action_space(env.possible_agents[0])
            zeros = isinstance(space, spaces.Discrete) or space.contains(
                np.zeros_like(space.sample())
            )
            if len(env.possible_agents) > 1 or zeros:
                api_test(parallel_to_aec(env), num_cycles=12)
            seed_test(lambda: parallel_to_aec(self.make(horizon=5)), num_cycles=12)

    def test_infos_of_reset_have_the_structure_of_those_of_a_step(self, env):
        for settings in ({}, {"reveal": False}):
            env = self.make(horizon=2, **settings)
            first = env.reset(seed=0)[1]
            for _ in range(2):
                later = env.step(sample(env))[4]
                assert structure(first) == structure(later)
            assert structure(first) == structure(env.reset()[1])
            for info in first.values():
                assert (info["moved"], info["refused"]) == (False, "")
                assert not any(info["reward_terms"].values())
                assert not np.any(info.get("true_demand", 0.0))

    def test_what_is_handed_out_is_the_callers_own(self, env):
        twin, draw = self.make(horizon=self.horizon), seeded_sampler(env)
        given, kept = env.reset(seed=8), twin.reset(seed=8)
        while env.agents:
            arrays = [*arrays_in(given), env.state()]
            for i, one in enumerate(arrays):
                assert one.flags.owndata and one.flags.writeable
                assert not any(np.shares_memory(one, other) for other in arrays[i + 1 :])
            assert env.state().tobytes() == twin.state().tobytes()
            scribble(given)
            scribble(env.state())
            actions = draw()
            given, kept = env.step(actions), twin.step(actions)
            scribble(actions)
            assert same(given, kept)
            assert env.state().tobytes() == twin.state().tobytes()
        assert same(env.reset(), twin.reset())

    def test_max_cycles_is_another_name_of_the_horizon(self):
        one, two = self.make(max_cycles=3), self.make(horizon=3)
        assert same(one.reset(seed=0), two.reset(seed=0))
        assert (one.max_cycles, two.max_cycles, one.market.horizon) == (3, 3, 3)
        assert self.make(horizon=3, max_cycles=3).max_cycles == 3
        with pytest.raises(InputError, match="horizon=3, max_cycles=4: both are"):
            self.make(horizon=3, max_cycles=4)

    def test_a_step_before_reset_is_told_in_one_line(self):
        for actions in ({}, {"nobody": 0}):
            with pytest.raises(InputError, match=r"not begun; call reset\(\) first"):
                self.make(horizon=2).step(actions)

    def test_observations_lie_in_their_spaces_and_are_numbers_only_of_the_agent(self, env):
        observations, _ = env.reset(seed=3)
        while True:
            for name in env.possible_agents:
                space = env.observation_space(name)
                assert space.contains(observations[name])
                assert observations[name].dtype == space.dtype
                assert np.isfinite(observations[name]).all()
            assert env.state_space.contains(env.state())
            if not env.agents:
                break
            observations, rewards, *_ = env.step(sample(env))
            assert all(type(r) is float and np.isfinite(r) for r in rewards.values())

    def test_every_sampled_action_is_taken_as_a_lawful_one(self, env):
        env.reset(seed=0)
        while env.agents:
            *_, infos = env.step(sample(env))
            assert all(info["refused"] == "" for info in infos.values())

    def test_all_agents_are_truncated_at_the_horizon_and_nobody_terminates(self, env):
        env.reset(seed=0)
        for at in range(1, self.horizon + 1):
            agents = env.agents
            _, _, terminated, truncated, _ = env.step(sample(env))
            assert not any(terminated.values())
            assert set(truncated.values()) == {at == self.horizon}
            assert list(truncated) == agents
        assert env.agents == []
        with pytest.raises(InputError, match="reset"):
            env.step(dict.fromkeys(env.possible_agents, 0))
        assert env.step({}) == ({}, {}, {}, {}, {})

    def test_the_same_space_object_on_every_call(self, env):
        for name in env.possible_agents:
            assert env.observation_space(name) is env.observation_space(name)
            assert env.action_space(name) is env.action_space(name)

    def test_a_seed_gives_the_same_episode_whatever_was_played_before(self, env):
        other = self.make(horizon=self.horizon)
        other.reset(seed=99)
        other.step(sample(other) if other.agents else {})
        assert same(env.reset(seed=0), other.reset(seed=0))
        draw = seeded_sampler(env)
        while env.agents:
            actions = draw()
            assert same(env.step(actions), other.step(actions))

    def test_reset_without_a_seed_goes_on_reproducibly_to_another_episode(self):
        runs = []
        for _ in range(2):
            env = self.make(horizon=self.horizon, seed=0)
            seeds = []
            for _ in range(3):
                env.reset()
                seeds.append(env.episode_seed)
            runs.append(seeds)
        assert runs[0] == runs[1] and len(set(runs[0])) == 3 and runs[0][0] == 0
        env.reset(seed=0)
        env.reset()
        assert env.episode_seed == runs[0][1]
        fresh = [self.make(horizon=2), self.make(horizon=2)]
        for one in fresh:
            one.reset()
        assert fresh[0].episode_seed != fresh[1].episode_seed

    def test_copies_and_pickles_go_on_alike_and_apart(self, env):
        env.reset(seed=1)
        env.step(sample(env))
        others = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
        draw = seeded_sampler(env)
        while env.agents:
            actions = draw()
            step = env.step(actions)
            for other in others:
                assert same(step, other.step(actions))

    def test_the_terms_of_the_reward_sum_to_it(self, env):
        env.reset(seed=2)
        while env.agents:
            _, rewards, _, _, infos = env.step(sample(env))
            for name, reward in rewards.items():
                terms = infos[name]["reward_terms"]
                assert set(terms) == set(env.market.rewards.weights)
                assert sum(terms.values()) == pytest.approx(reward, rel=1e-12, abs=1e-12)

    def test_true_demand_is_in_the_infos_unless_it_is_kept_out(self, env):
        hidden = self.make(horizon=self.horizon, reveal=False)
        assert same(env.reset(seed=4)[:1], hidden.reset(seed=4)[:1])
        actions = sample(env)
        shown, kept = env.step(actions), hidden.step(actions)
        for name in env.possible_agents:
            own = env.market.spec(name).action_shape[0]
            assert shown[4][name]["true_demand"].shape == (own,)
            assert "true_demand" not in kept[4][name]
            assert not any("demand" in one.name for one in env.market.spec(name).fields)
        assert same(shown[:4], kept[:4])

    def test_the_spaces_table_says_what_the_spaces_and_the_fields_say(self, env):
        for name in env.possible_agents:
            rows = space_tables.parse(env.spaces_table(name))
            box, spec = env.observation_space(name), env.market.spec(name)
            seen = [row for row in rows if row[0] == "observation"]
            assert [i for _, indices, *_ in seen for i in indices] == list(range(box.shape[0]))
            assert [row[2] for row in seen] == [field.name for field in spec.fields]
            for _, indices, field, low, high in seen:
                assert indices == range(box.shape[0])[spec.where[field]]
                for i in indices:
                    assert (box.low[i], box.high[i]) == (low, high)
            space = env.action_space(name)
            done = [row for row in rows if row[0] == "action"]
            if isinstance(space, spaces.Box):
                lows, highs = space.low, space.high
            elif isinstance(space, spaces.Discrete):
                lows, highs = np.array([0]), np.array([space.n - 1])
            else:
                lows, highs = np.zeros(len(space.nvec)), space.nvec - 1
            assert sorted(i for _, r, *_ in done for i in r) == list(range(len(lows)))
            for _, indices, _, low, high in done:
                for i in indices:
                    assert f"{lows[i]:g}" == f"{low:g}" and f"{highs[i]:g}" == f"{high:g}"

    def test_a_wrong_action_is_refused_in_one_line_and_nothing_happens(self, env):
        name = env.possible_agents[-1]
        good = seeded_sampler(env)()
        env.reset(seed=5)
        twin = self.make(horizon=self.horizon)
        twin.reset(seed=5)
        for wrong, text in self.wrong_actions(env.action_space(name)):
            before = env.state().tobytes()
            with pytest.raises(QuoteRefused) as caught:
                env.step({**good, name: wrong})
            message = str(caught.value)
            assert "\n" not in message and message.startswith(name) and text in message, message
            assert env.state().tobytes() == before
        for actions, text in (
            ({k: v for k, v in good.items() if k != name}, name),
            ({**good, "nobody_9": good[name]}, "nobody_9"),
            ([good[name]], "map"),
            (None, "map"),
        ):
            with pytest.raises(InputError, match=text):
                env.step(actions)
        assert same(env.step(good), twin.step(good))

    def wrong_actions(self, space):
        """Choices that must be refused, with a word that the message must hold."""
        fine = space.sample()
        yield None, "None"
        yield "high", "type"
        yield np.array([object()] * np.size(fine), dtype=object), "type"
        yield np.asarray(fine, dtype=complex), "type"
        yield np.zeros(np.size(fine), dtype=bool) if np.ndim(fine) else True, "type"
        yield np.zeros((3, 3)) if isinstance(space, spaces.Box) else np.zeros((3, 3), int), "shape"
        yield np.stack([fine, fine]), "shape"
        if isinstance(space, spaces.Box):
            for value in (np.nan, np.inf, -np.inf, 1e30, space.high[-1] * (1 + 1e-6) + 1e-6):
                bad = fine.copy()
                bad[-1] = value
                yield bad, f"[{space.low[-1]:g}, {space.high[-1]:g}]"
            bad = fine.copy()
            bad[0] = space.low[0] - 1e-5
            yield bad, "must be in"
            yield bad.astype(np.float32) - np.float32(1.0), "must be in"
            yield float(fine[0]), "shape"
        else:
            yield np.asarray(fine, dtype=float), "type"
            for value in (-1, 10**6):
                bad = np.array(fine)
                if bad.ndim:
                    bad[-1] = value
                    yield bad, "level"
                else:
                    yield value, "level"
                    yield np.int64(value), "level"
            yield np.asarray(fine, dtype=np.uint64) + np.uint64(2**63), "large"


class EnvironmentSuite(BehaviourSuite, PictureSuite):
    """All that an environment has to keep."""
