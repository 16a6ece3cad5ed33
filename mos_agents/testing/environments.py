"""What an environment promises."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from envs import space_tables
from mos_agents.market.types import InputError, QuoteRefused
from mos_agents.testing.promises import Suite, arrays, broken, check


def sample(env: Any) -> dict[str, Any]:
    """A random action of each agent that plays."""
    return {name: env.action_space(name).sample() for name in env.agents}


def seeded_sampler(env: Any, seed: int = 0) -> Callable[[], dict[str, Any]]:
    """A function that draws the next action of every agent, from spaces with this seed."""
    for i, name in enumerate(env.possible_agents):
        env.action_space(name).seed(seed + i)
    return lambda: {name: env.action_space(name).sample() for name in env.possible_agents}


def difference(one: Any, other: Any, where: str = "") -> str:
    """Where two results of `reset` or `step` differ in a bit; "" if they do not."""
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        if len(one) != len(other):
            return f"{where}: {len(one)} and {len(other)} parts"
        parts = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{where}: keys {list(one)} and {list(other)}"
        parts = [(f"{where}[{key!r}]", one[key], other[key]) for key in one]
    elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        alike = one.dtype == other.dtype and one.tobytes() == other.tobytes()
        return "" if alike else f"{where}: {_shown(one)} and {_shown(other)}"
    else:
        return "" if one == other else f"{where}: {_shown(one)} and {_shown(other)}"
    return next((text for at, a, b in parts if (text := difference(a, b, at))), "")


def _shown(value: Any) -> str:
    """A value in a line."""
    return " ".join(repr(value).split())[:200]


def same(one: Any, other: Any) -> bool:
    """Whether two results have the same bits; AssertionError says where they have not."""
    if text := difference(one, other):
        raise AssertionError(text)
    return True


def structure(value: Any) -> Any:
    """What kind of thing it is, and of what it consists: types, keys, dtypes, shapes."""
    if isinstance(value, dict):
        return {key: structure(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape
    return type(value)


def scribble(value: Any) -> None:
    """Write nonsense over everything that can be written to."""
    for array in _arrays_in(value):
        array[...] = "nonsense" if array.dtype.kind == "O" else 1 if array.dtype == bool else -77
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, dict):
            for inner in one.values():
                if isinstance(inner, dict):
                    inner.clear()
            one.clear()


def _arrays_in(value: Any) -> list[Any]:
    return [one for one in arrays(value) if one.ndim or isinstance(value, np.ndarray)]


@contextlib.contextmanager
def refuses(error: type[Exception], text: str, promise: str, remedy: str) -> Iterator[None]:
    """Fail unless the block raises this error, in one line that holds the text."""
    __tracebackhide__ = True
    try:
        yield
    except error as found:
        message = str(found)
        check(text in message and "\n" not in message, f"{promise}; it says {message!r}", remedy)
    else:
        broken(f"{promise}; nothing is raised", remedy)


class EnvironmentParts(Suite):
    """What the suites of an environment share.

    Attributes
    ----------
    horizon : int
        Ticks of an episode.
    """

    horizon: int = 6

    def make(self, **settings: Any) -> Any:
        """Make the environment, with these settings of `MarketEnv` beside its own."""
        return super().make()

    def _own(self, **settings: Any) -> Any:
        return self.make(horizon=self.horizon, **settings)


class RenderSuite(EnvironmentParts):
    """Tests of what an environment shows. Each takes about a fifth of a second a picture.

    Write `make(self, **settings)`, which returns the environment with these settings of
    `MarketEnv`.
    """

    def test_it_passes_pettingzoos_render_test(self) -> None:
        from pettingzoo.test import render_test
        from pettingzoo.utils.conversions import parallel_to_aec

        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            render_test(lambda **kwargs: parallel_to_aec(self._own(**kwargs)))
        name = self.make().market.layout.participants[0]
        check(
            name in shown.getvalue(),
            f"the text of `render` does not show the participant {name!r}",
            "print one line for each participant",
        )


class BehaviourSuite(EnvironmentParts):
    """Tests of all that an environment does, without pictures.

    Write `make(self, **settings)`, which returns the environment with these settings of
    `MarketEnv`.
    """

    def test_it_passes_pettingzoos_parallel_api_test(self) -> None:
        from pettingzoo.test import parallel_api_test

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parallel_api_test(self.make(horizon=20), num_cycles=50)

    def test_it_passes_pettingzoos_parallel_seed_test(self) -> None:
        from pettingzoo.test import parallel_seed_test

        parallel_seed_test(lambda: self.make(horizon=20), num_cycles=30)

    def test_it_passes_pettingzoos_tests_in_the_other_interface(self) -> None:
        from pettingzoo.test import api_test, seed_test
        from pettingzoo.utils.conversions import parallel_to_aec

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

    def test_infos_of_reset_have_the_structure_of_those_of_a_step(self) -> None:
        for settings in ({}, {"reveal": False}):
            env = self.make(horizon=2, **settings)
            first = env.reset(seed=0)[1]
            later = [env.step(sample(env))[4] for _ in range(2)]
            for infos in (*later, env.reset()[1]):
                check(
                    structure(first) == structure(infos),
                    f"infos of `reset` are {structure(first)}, and later ones {structure(infos)}",
                    "give the same keys, types and shapes everywhere: clients stack them",
                )
            for name, info in first.items():
                check(
                    (info["moved"], info["refused"]) == (False, "")
                    and not any(info["reward_terms"].values())
                    and not np.any(info.get("true_demand", 0.0)),
                    f"the info of {name} after `reset` tells of a move, a refusal, a reward or a "
                    "demand",
                    "give False, '' and zeros: nothing has happened yet",
                )

    def test_what_is_handed_out_is_the_callers_own(self) -> None:
        env, twin = self._own(), self._own()
        draw = seeded_sampler(env)
        given, kept = env.reset(seed=8), twin.reset(seed=8)
        remedy = "return copies, and copy what comes in"
        while env.agents:
            found = [*_arrays_in(given), env.state()]
            for i, one in enumerate(found):
                check(
                    one.flags.owndata
                    and one.flags.writeable
                    and not any(np.shares_memory(one, other) for other in found[i + 1 :]),
                    "an array that is handed out is a view, cannot be written to, or is handed "
                    "out twice",
                    remedy,
                )
            scribble(given)
            scribble(env.state())
            actions = draw()
            given, kept = env.step(actions), twin.step(actions)
            scribble(actions)
            self._alike(given, kept, "after the caller has written to what it was given", remedy)
            self._alike(env.state(), twin.state(), "in `state()` after the caller wrote", remedy)
        self._alike(env.reset(), twin.reset(), "at `reset` after the caller wrote", remedy)

    def _alike(self, one: Any, other: Any, when: str, remedy: str) -> None:
        """Fail unless two results have the same bits."""
        text = difference(one, other)
        check(not text, f"two environments differ {when}: {text}", remedy)

    def test_max_cycles_is_another_name_of_the_horizon(self) -> None:
        one, two, both = (
            self.make(max_cycles=3),
            self.make(horizon=3),
            self.make(horizon=3, max_cycles=3),
        )
        remedy = "pass `max_cycles` and `horizon` on to MarketEnv"
        self._alike(one.reset(seed=0), two.reset(seed=0), "by `max_cycles` and `horizon`", remedy)
        check(
            (one.max_cycles, two.max_cycles, both.max_cycles, one.market.horizon) == (3, 3, 3, 3),
            "`max_cycles` is not the length of an episode",
            remedy,
        )
        with refuses(
            InputError,
            "horizon=3, max_cycles=4: both are",
            "`horizon=3, max_cycles=4` is not refused as a contradiction",
            remedy,
        ):
            self.make(horizon=3, max_cycles=4)

    def test_a_step_before_reset_is_refused_in_one_line(self) -> None:
        for actions in ({}, {"nobody": 0}):
            with refuses(
                InputError,
                "not begun; call reset() first",
                "`step` before `reset` is not refused",
                "raise InputError: the episode has not begun; call reset() first",
            ):
                self.make(horizon=2).step(actions)

    def test_observations_lie_in_their_spaces_and_are_numbers_only_of_the_agent(self) -> None:
        env = self._own()
        observations, _ = env.reset(seed=3)
        while True:
            for name in env.possible_agents:
                space, seen = env.observation_space(name), observations[name]
                check(
                    space.contains(seen) and seen.dtype == space.dtype and np.isfinite(seen).all(),
                    f"the observation of {name} is not in its space {space}: {_shown(seen)}",
                    "correct the bounds and the dtype of the space, or clip the observation",
                )
            check(
                env.state_space.contains(env.state()),
                "`state()` is not in `state_space`",
                "correct the bounds of the space",
            )
            if not env.agents:
                break
            observations, rewards, *_ = env.step(sample(env))
            check(
                all(type(r) is float and np.isfinite(r) for r in rewards.values()),
                f"rewards are not finite Python floats: {_shown(rewards)}",
                "convert them with float(...)",
            )

    def test_every_sampled_action_is_taken_as_a_lawful_one(self) -> None:
        env = self._own()
        env.reset(seed=0)
        while env.agents:
            try:
                *_, infos = env.step(sample(env))
            except QuoteRefused as error:
                broken(
                    f"an action out of its own space is refused: {error}",
                    "narrow the action space to what the market admits",
                )
            for name, info in infos.items():
                check(
                    info["refused"] == "",
                    f"an action out of the space of {name} is refused: {info['refused']}",
                    "narrow the action space to what the market admits",
                )

    def test_all_agents_are_truncated_at_the_horizon_and_nobody_terminates(self) -> None:
        env = self._own()
        env.reset(seed=0)
        for at in range(1, self.horizon + 1):
            agents = env.agents
            _, _, terminated, truncated, _ = env.step(sample(env))
            check(
                not any(terminated.values())
                and set(truncated.values()) == {at == self.horizon}
                and list(truncated) == agents,
                f"after {at} of {self.horizon} ticks, terminations are {terminated} and "
                f"truncations {truncated}",
                "truncate every agent at the horizon, and terminate nobody",
            )
        check(
            env.agents == [] and env.step({}) == ({}, {}, {}, {}, {}),
            "agents are left after the horizon, or a step without agents returns something",
            "empty `agents` at the horizon",
        )
        with refuses(
            InputError,
            "reset",
            "a step after the end is not refused",
            "raise InputError: call reset()",
        ):
            env.step(dict.fromkeys(env.possible_agents, 0))

    def test_the_same_space_object_on_every_call(self) -> None:
        env = self._own()
        for name in env.possible_agents:
            check(
                env.observation_space(name) is env.observation_space(name)
                and env.action_space(name) is env.action_space(name),
                f"the spaces of {name} are new objects on every call",
                "make them once: a space keeps its random numbers",
            )

    def test_a_seed_gives_the_same_episode_whatever_was_played_before(self) -> None:
        env, other = self._own(), self._own()
        other.reset(seed=99)
        other.step(sample(other) if other.agents else {})
        remedy = "begin every episode from its seed alone"
        self._alike(env.reset(seed=0), other.reset(seed=0), "at the same seed", remedy)
        draw = seeded_sampler(env)
        while env.agents:
            actions = draw()
            self._alike(env.step(actions), other.step(actions), "at the same seed", remedy)

    def test_reset_without_a_seed_goes_on_reproducibly_to_another_episode(self) -> None:
        remedy = "derive the seed of the next episode from the seed before it"
        runs = []
        for _ in range(2):
            env = self.make(horizon=self.horizon, seed=0)
            seeds = []
            for _ in range(3):
                env.reset()
                seeds.append(env.episode_seed)
            runs.append(seeds)
        check(
            runs[0] == runs[1] and len(set(runs[0])) == 3 and runs[0][0] == 0,
            f"episodes after seed=0 have the seeds {runs[0]}, and again {runs[1]}",
            remedy,
        )
        env.reset(seed=0)
        env.reset()
        check(
            env.episode_seed == runs[0][1],
            "`reset()` after `reset(seed=0)` begins another episode than after seed=0",
            remedy,
        )
        fresh = [self.make(horizon=2), self.make(horizon=2)]
        for one in fresh:
            one.reset()
        check(
            fresh[0].episode_seed != fresh[1].episode_seed,
            "two environments without a seed play the same episode",
            "draw a seed where none is given",
        )

    def test_copies_and_pickles_go_on_alike_and_apart(self) -> None:
        env = self._own()
        env.reset(seed=1)
        env.step(sample(env))
        others = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
        draw = seeded_sampler(env)
        while env.agents:
            actions = draw()
            step = env.step(actions)
            for other in others:
                self._alike(
                    step,
                    other.step(actions),
                    "after one is copied or pickled in the middle of an episode",
                    "keep the whole episode in attributes that are copied and pickled",
                )

    def test_the_terms_of_the_reward_sum_to_it(self) -> None:
        env = self._own()
        env.reset(seed=2)
        while env.agents:
            _, rewards, _, _, infos = env.step(sample(env))
            for name, reward in rewards.items():
                terms = infos[name]["reward_terms"]
                check(
                    set(terms) == set(env.market.rewards.weights)
                    and abs(sum(terms.values()) - reward) <= 1e-12 * max(1.0, abs(reward)),
                    f"the reward of {name} is {reward!r}, and its terms are {terms}",
                    "give one term for each weight of the reward; they sum to it",
                )

    def test_true_demand_is_in_the_infos_unless_it_is_kept_out(self) -> None:
        env, hidden = self._own(), self._own(reveal=False)
        remedy = "let `reveal` decide on `true_demand` in the infos and on nothing else"
        first = env.reset(seed=4)[:1], hidden.reset(seed=4)[:1]
        self._alike(*first, "with and without `reveal`", remedy)
        actions = sample(env)
        shown, kept = env.step(actions), hidden.step(actions)
        for name in env.possible_agents:
            own = env.market.spec(name).action_shape[0]
            check(
                shown[4][name]["true_demand"].shape == (own,)
                and "true_demand" not in kept[4][name]
                and not any("demand" in one.name for one in env.market.spec(name).fields),
                f"the true demand of {name} is missing in its info, or shown without `reveal`",
                remedy,
            )
        self._alike(shown[:4], kept[:4], "with and without `reveal`", remedy)

    def test_the_spaces_table_says_what_the_spaces_and_the_fields_say(self) -> None:
        env = self._own()
        for name in env.possible_agents:
            rows = space_tables.parse(env.spaces_table(name))
            box, spec = env.observation_space(name), env.market.spec(name)
            seen = [row for row in rows if row[0] == "observation"]
            fine = [i for _, indices, *_ in seen for i in indices] == list(range(box.shape[0]))
            fine &= [row[2] for row in seen] == [field.name for field in spec.fields]
            for _, indices, field, low, high in seen:
                fine &= indices == range(box.shape[0])[spec.where[field]]
                fine &= all((box.low[i], box.high[i]) == (low, high) for i in indices)
            space = env.action_space(name)
            done = [row for row in rows if row[0] == "action"]
            if isinstance(space, spaces.Box):
                lows, highs = space.low, space.high
            elif isinstance(space, spaces.Discrete):
                lows, highs = np.array([0]), np.array([int(space.n) - 1])
            else:
                lows, highs = np.zeros(len(space.nvec)), space.nvec - 1
            fine &= sorted(i for _, r, *_ in done for i in r) == list(range(len(lows)))
            for _, indices, _, low, high in done:
                for i in indices:
                    fine &= f"{lows[i]:g}" == f"{low:g}" and f"{highs[i]:g}" == f"{high:g}"
            check(
                fine,
                f"`spaces_table` of {name} does not describe its spaces",
                "describe every index of both spaces once, with its bounds",
            )

    def test_a_wrong_action_is_refused_in_one_line_and_nothing_happens(self) -> None:
        env, twin = self._own(), self._own()
        name = env.possible_agents[-1]
        good = seeded_sampler(env)()
        env.reset(seed=5)
        twin.reset(seed=5)
        remedy = "look at all actions before the tick, and raise QuoteRefused with the agent's name"
        for wrong, text in self.wrong_actions(env.action_space(name)):
            before = env.state().tobytes()
            promise = f"the action {wrong!r:.80} of {name} is not refused by name with {text!r}"
            with refuses(QuoteRefused, text, promise, remedy), _named(name, promise, remedy):
                env.step({**good, name: wrong})
            check(
                env.state().tobytes() == before,
                f"the refused action {wrong!r:.80} changes the state",
                remedy,
            )
        for actions, text in (
            ({k: v for k, v in good.items() if k != name}, name),
            ({**good, "nobody_9": good[name]}, "nobody_9"),
            ([good[name]], "map"),
            (None, "map"),
        ):
            promise = f"the actions {actions!r:.80} are not refused with {text!r}"
            with refuses(InputError, text, promise, remedy):
                env.step(actions)
        self._alike(env.step(good), twin.step(good), "after wrong actions were refused", remedy)

    def wrong_actions(self, space: Any) -> Iterator[tuple[Any, str]]:
        """Actions that must be refused, with a word that the message must hold."""
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


@contextlib.contextmanager
def _named(name: str, promise: str, remedy: str) -> Iterator[None]:
    """Fail if a refusal does not begin with the agent's name."""
    try:
        yield
    except QuoteRefused as error:
        check(str(error).startswith(name), f"{promise}; it says {str(error)!r}", remedy)
        raise


class EnvironmentSuite(BehaviourSuite, RenderSuite):
    """Tests of an environment: PettingZoo's own, seeds, copies, spaces, refusals, pictures.

    Write `make(self, **settings)`, which returns the environment with these settings of
    `MarketEnv`.
    """
