"""Every check of the suite for environments fails on one that is faulty."""

import copy
import itertools

import numpy as np
import pytest
from gymnasium import spaces

from envs.market_env import MarketEnv
from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.testing import BehaviourSuite, EnvironmentSuite, RenderSuite
from tests.suites.breaking import assert_fails, checks_of, message_of

FIRM = "firm_1"


class FaultyEnv(MarketEnv):
    """A shop of two firms with one fault."""

    seeds = itertools.count()

    def __init__(self, fault, **settings):
        if fault == "no limit":
            settings["max_cycles"] = settings.pop("horizon", None) or settings.get("max_cycles")
        if fault == "one cycle more" and not settings.get("horizon"):
            settings["max_cycles"] = settings.get("max_cycles", 3) + 1
        if fault == "one seed" and settings.get("seed") is None:
            settings["seed"] = 4
        super().__init__(scenarios.retail(firms=2, products=1), **settings)
        self.fault = fault
        self._kept = None
        if fault == "narrow state":
            self.state_space = spaces.Box(-1e-3, 1e-3, self.state_space.shape)
        if fault == "narrow space":
            box = self._spaces[FIRM]
            self._spaces[FIRM] = spaces.Box(-1e-3, 1e-3, box.shape, box.dtype)
        if fault == "wide actions":
            box = self._action_spaces[FIRM]
            self._action_spaces[FIRM] = spaces.Box(box.high + 1.0, box.high + 99.0, dtype=box.dtype)

    def observation_space(self, agent):
        found = super().observation_space(agent)
        return copy.deepcopy(found) if self.fault == "new spaces" else found

    def reset(self, seed=None, options=None):
        if self.fault == "forgets its seed" and self.episode_seed is not None:
            seed = 10_000 + next(self.seeds) if seed is None else seed
        if self.fault == "other seeds after a seed" and seed == 0:
            found = super().reset(seed=0)
            self._next_seed = 77
            return found
        if self.fault == "ignores the seed":
            seed = next(self.seeds)
        observations, infos = super().reset(seed, options)
        if self.fault == "short first infos":
            infos = {name: {} for name in infos}
        if self.fault == "moved at first":
            infos[FIRM]["moved"] = True
        return self._held(observations), infos

    def _held(self, observations):
        if self.fault == "a view":
            return {name: one[:] for name, one in observations.items()}
        if self.fault == "its own array":
            given, self._kept = self._kept or dict(observations), dict(observations)
            return given
        return observations

    def step(self, actions):
        if self.fault == "steps before reset" and self.episode_seed is None:
            return {}, {}, {}, {}, {}
        if self.fault == "no refusal" and self.agents:
            actions = {name: self.action_space(name).low + 1.0 for name in self.agents}
        if self.fault == "acts, then refuses":
            try:
                return super().step(actions)
            except InputError:
                one = {name: self.action_space(name).high * 0.9 for name in self.agents}
                super().step(one)
                raise
        if self.fault == "two lines":
            try:
                return super().step(actions)
            except InputError as error:
                raise type(error)(f"{error}\nand more") from None
        if self.fault == "nameless":
            try:
                return super().step(actions)
            except InputError as error:
                raise type(error)("an agent: " + str(error)) from None
        found = super().step(actions)
        observations, rewards, ended, cut, infos = found
        if self.fault == "numpy rewards":
            rewards = {name: np.float64(one) for name, one in rewards.items()}
        if self.fault == "terminates":
            ended = dict.fromkeys(ended, True)
        if self.fault == "agents stay" and cut and all(cut.values()):
            self.agents = self.possible_agents[:]
        if self.fault == "other terms":
            for one in infos.values():
                one["reward_terms"] = {k: v + 1.0 for k, v in one["reward_terms"].items()}
        if self.fault == "reveals" and infos:
            infos[FIRM].setdefault("true_demand", np.zeros(1))
        return self._held(observations), rewards, ended, cut, infos

    def spaces_table(self, agent):
        found = super().spaces_table(agent)
        return "\n".join(found.splitlines()[:-2]) if self.fault == "half a table" else found

    def __deepcopy__(self, memo):
        if self.fault == "begins again":
            other = FaultyEnv("", horizon=self.max_cycles)
            other.reset(seed=1)
            return other
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def render(self):
        hidden = self.fault == "shows nothing" and self.render_mode == "human"
        return None if hidden else super().render()


def suite_of(fault):
    class OneEnvironment(EnvironmentSuite):
        def make(self, **settings):
            return FaultyEnv(fault, **settings)

    return OneEnvironment()


WRONG = "test_a_wrong_action_is_refused_in_one_line_and_nothing_happens"
OWN = "test_what_is_handed_out_is_the_callers_own"
SEEDS = "test_reset_without_a_seed_goes_on_reproducibly_to_another_episode"
INFOS = "test_infos_of_reset_have_the_structure_of_those_of_a_step"
SPACES = "test_observations_lie_in_their_spaces_and_are_numbers_only_of_the_agent"
END = "test_all_agents_are_truncated_at_the_horizon_and_nobody_terminates"
CYCLES = "test_max_cycles_is_another_name_of_the_horizon"
PLAIN = [
    (INFOS, "short first infos", "infos of `reset` are"),
    (INFOS, "moved at first", "the info of firm_1 after `reset` tells of a move"),
    (OWN, "a view", "is a view, cannot be written to"),
    (OWN, "its own array", "two environments differ after the caller has written"),
    (CYCLES, "one cycle more", "by `max_cycles` and `horizon`|length of an episode"),
    (CYCLES, "no limit", "is not refused as a contradiction; nothing is raised"),
    ("test_a_step_before_reset_is_refused_in_one_line", "steps before reset", "nothing is raised"),
    (SPACES, "narrow space", "the observation of firm_1 is not in its space"),
    (SPACES, "narrow state", r"`state\(\)` is not in `state_space`"),
    (SPACES, "numpy rewards", "not finite Python floats"),
    (END, "terminates", "after 1 of 6 ticks, terminations are"),
    (END, "agents stay", "agents are left after the horizon|after 6 of 6 ticks"),
    ("test_the_same_space_object_on_every_call", "new spaces", "are new objects on every call"),
    (
        "test_a_seed_gives_the_same_episode_whatever_was_played_before",
        "ignores the seed",
        "differ at the same seed",
    ),
    (SEEDS, "forgets its seed", "episodes after seed=0 have the seeds"),
    (SEEDS, "other seeds after a seed", "begins another episode than after seed=0"),
    (SEEDS, "one seed", "without a seed play the same episode"),
    ("test_copies_and_pickles_go_on_alike_and_apart", "begins again", "after one is copied"),
    ("test_the_terms_of_the_reward_sum_to_it", "other terms", "and its terms are"),
    (
        "test_true_demand_is_in_the_infos_unless_it_is_kept_out",
        "reveals",
        "the true demand of firm_1 is missing in its info, or shown",
    ),
    (
        "test_the_spaces_table_says_what_the_spaces_and_the_fields_say",
        "half a table",
        "does not describe its spaces",
    ),
    (WRONG, "no refusal", "is not refused by name with 'None'; nothing is raised"),
    (WRONG, "acts, then refuses", "changes the state"),
    (WRONG, "two lines", "and more"),
    (WRONG, "nameless", "it says 'an agent: "),
    (
        "test_every_sampled_action_is_taken_as_a_lawful_one",
        "wide actions",
        "is refused",
    ),
    (
        "test_it_passes_pettingzoos_render_test",
        "shows nothing",
        "the text of `render` does not show",
    ),
]
PETTINGZOO = [
    ("test_it_passes_pettingzoos_parallel_api_test", "agents stay"),
    ("test_it_passes_pettingzoos_parallel_seed_test", "ignores the seed"),
    ("test_it_passes_pettingzoos_tests_in_the_other_interface", "ignores the seed"),
]
"""PettingZoo's own tests say what they find in their own words."""


@pytest.mark.parametrize(("check", "fault", "message"), PLAIN)
def test_a_faulty_environment_fails(check, fault, message):
    assert_fails(suite_of(fault), check, message)


@pytest.mark.parametrize(("check", "fault"), PETTINGZOO)
def test_a_faulty_environment_fails_pettingzoos_tests(check, fault):
    message_of(suite_of(fault), check)


def test_every_check_of_the_environment_suite_can_fail_and_a_sound_one_passes_all():
    assert {check for check, *_ in (*PLAIN, *PETTINGZOO)} == checks_of(EnvironmentSuite)
    assert checks_of(EnvironmentSuite) == checks_of(BehaviourSuite) | checks_of(RenderSuite)
    for check in checks_of(EnvironmentSuite):
        getattr(suite_of(""), check)()
