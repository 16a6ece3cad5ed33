"""Every check of the suites for policies and learners fails on one that is faulty."""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

from mos_agents import policies
from mos_agents.learners.base import TabularLearner, best_of, explored
from mos_agents.market.types import Array
from mos_agents.policies import POLICIES, Policy
from mos_agents.policies.base import quoted, same
from mos_agents.testing import LearnerSuite, PolicySuite
from mos_agents.trees import named
from tests.policies.markets import shop
from tests.suites.breaking import assert_fails, checks_of

# --- policies -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FaultyPolicy(Policy):
    """Raises its price by a tenth or not, by the toss of a coin, with one fault."""

    fault: str = ""
    kind = "faulty"
    calls: ClassVar = [0]
    shared: ClassVar = np.zeros(1)

    def start(self, spec, batch):
        if self.fault == "one array":
            return self.shared
        return np.zeros(batch)

    def heads(self, spec, observation):
        return quoted(spec, spec.read(observation, "cost") * 1.2), quoted(
            spec, spec.read(observation, "cost") * 1.4
        )

    def act(self, spec, observation, memory, draws):
        low, high = self.heads(spec, observation)
        uniforms = draws.uniforms("coin", 1)[:, 0]
        if self.fault == "random":
            uniforms = np.random.default_rng().random(len(observation))
        if self.fault == "written over":
            observation *= 1.0
        if self.fault == "of the batch":
            uniforms = uniforms * 0.5 + 0.5 * uniforms.mean()
        if self.fault == "hidden":
            self.calls[0] += 1
            uniforms = (uniforms + 0.37 * self.calls[0]) % 1.0
        share = 0.8 if self.fault == "other chances" else 0.5
        action = np.where((uniforms < share)[:, None, None], low, high)
        if self.fault == "above the limits":
            action = action + 1e6
        if self.fault == "a generator":
            return action, np.random.default_rng(0)
        return action, memory + 1.0

    def propensity(self, spec, observation, action, memory):
        found = sum(0.5 * same(action, one) for one in self.heads(spec, observation))
        return {
            "no chance": found * 0.0,
            "always": found * 0.0 + 1.0,
            "twice": 2.0 * found,
            "wide": found[:, None],
        }.get(self.fault, found)


@dataclass(frozen=True)
class Forgets(FaultyPolicy):
    """Compares by a parameter that is not written down."""

    kind = "forgets"
    secret: float = field(default=0.0, init=False)

    def __post_init__(self):
        object.__setattr__(self, "secret", float(np.random.default_rng().random()))


class PlainPolicy(Policy):
    kind = "plain"

    def act(self, spec, observation, memory, draws):
        return quoted(spec, spec.read(observation, "cost")), memory


def policy_suite(made):
    class OnePolicy(PolicySuite):
        def make(self):
            return made

        def market(self):
            return shop(sellers=2)

    return OnePolicy()


CHANCE = "test_what_was_done_had_a_chance_and_what_is_not_allowed_has_none"
FREQUENCY = "test_stated_probabilities_are_the_frequencies_of_the_actions"
COMPANY = "test_a_market_has_the_same_bits_alone_and_in_any_company"
SNAPSHOT = "test_a_snapshot_put_back_goes_on_to_the_same_bits"
POLICY = [
    ("test_it_is_a_frozen_dataclass_of_its_base_class", PlainPolicy(), "not a frozen dataclass"),
    (
        "test_actions_are_within_the_limits_and_none_is_refused",
        "above the limits",
        "an action outside the limits",
    ),
    (COMPANY, "random", "two plays of one seed differ at tick 0"),
    (COMPANY, "of the batch", "differs at tick .* when it is played with others"),
    ("test_nothing_that_it_is_given_is_written_to", "written over", "writes to its observation"),
    (CHANCE, "no chance", "is 0 for an action that `act` has just chosen"),
    (CHANCE, "always", "above 0 for an action outside the limits"),
    (CHANCE, "wide", r"returned float64 of shape \(5, 1\)"),
    (FREQUENCY, "twice", "the chances of all actions sum to 2"),
    (FREQUENCY, "other chances", "states 0.5000 for an action that is chosen 0.[278]"),
    ("test_it_is_written_down_and_read_back", Forgets(), "is another one"),
    (SNAPSHOT, "hidden", "acts otherwise in a process of its own, at tick 0"),
    (SNAPSHOT, "a generator", "memory holds a Generator"),
    ("test_two_participants_share_no_memory", "one array", "two participants the same array"),
]


@pytest.mark.parametrize(("check", "fault", "message"), POLICY)
def test_a_faulty_policy_fails(check, fault, message, monkeypatch):
    made = FaultyPolicy(fault) if isinstance(fault, str) else fault
    monkeypatch.setitem(POLICIES, "forgets", Forgets)
    monkeypatch.setattr(policies.base.registry, "find", lambda kind, name: POLICIES.get(name))
    assert_fails(policy_suite(made), check, message)


def test_every_check_of_the_policy_suite_can_fail_and_a_sound_policy_passes_all():
    assert {check for check, *_ in POLICY} == checks_of(PolicySuite)
    sound = policy_suite(FaultyPolicy())
    for check in checks_of(PolicySuite) - {"test_it_is_written_down_and_read_back"}:
        getattr(sound, check)()


# --- learners -------------------------------------------------------------------------------------


class FadingTables(NamedTuple):
    value: Array


@dataclass(frozen=True)
class FaultyLearner(TabularLearner):
    """Asks the price that has paid best lately, with one fault."""

    fault: str = ""
    kind = "faulty_learner"

    def tables(self, batch, choices, states):
        return FadingTables(np.zeros((batch * choices * states, self.grid.size)))

    def correct(self, tables, moves):
        if self.fault == "learns nothing":
            return
        at = moves.row, moves.level
        gain = moves.mean
        if self.fault == "of the batch":
            gain = gain - 0.1 * gain.max()
        tables.value[at] = 0.8 * tables.value[at] + 0.2 * gain

    def chances(self, tables, rows, at):
        return explored(self.strategy(tables, rows), 0.3)

    def strategy(self, tables, rows):
        best = best_of(tables.value[rows])
        return 2.0 * best if self.fault == "above one" else best

    def act(self, spec, observation, memory, draws):
        action, after = super().act(spec, observation, memory, draws)
        if self.fault == "acts and writes":
            after.tables.value[:] += 1.0
        return action, after

    def propensity(self, spec, observation, action, memory):
        found = super().propensity(spec, observation, action, memory)
        if self.fault == "any price":
            inside = (action <= spec.high).all(axis=(1, 2))
            return np.maximum(found, 0.1 * inside)
        return 0.5 * found if self.fault == "half" else found


@dataclass(frozen=True)
class Unsaved(FaultyLearner):
    """Remembers its last action outside its memory."""

    last: ClassVar = [0.0]

    def act(self, spec, observation, memory, draws):
        action, after = super().act(spec, observation, memory, draws)
        self.last[0] += 1e-3
        return action + self.last[0], after


@dataclass(frozen=True)
class NotALearner(FaultyPolicy):
    """A policy that is given to the suite for learners."""


def learner_suite(made):
    class OneLearner(LearnerSuite):
        def make(self):
            return made

        def market(self):
            return shop(sellers=2)

    return OneLearner()


DISK = "test_a_memory_comes_back_from_disk_bit_for_bit_and_goes_on"
LEARNER = [
    ("test_it_is_a_frozen_dataclass_of_its_base_class", NotALearner(), "not inherit from Learner"),
    ("test_it_learns", "learns nothing", "20 ticks of rewards leave its memory as it was"),
    (COMPANY, "of the batch", "in a market depends on the other markets|played with others"),
    (CHANCE, "any price", "a price that is not on its grid"),
    (FREQUENCY, "half", "the chances of all actions sum to 0.5"),
    (FREQUENCY, "acts and writes", "`act` writes to the memory|act writes to the memory"),
    ("test_its_strategy_is_a_probability_of_each_price", "above one", "with sums of 2 to 2"),
    (DISK, "unsaved", "acts or learns otherwise after its memory comes back"),
]


@pytest.mark.parametrize(("check", "fault", "message"), LEARNER)
def test_a_faulty_learner_fails(check, fault, message):
    settings = {"prices": 3, "features": "own"}
    if isinstance(fault, str):
        fault = (
            Unsaved(**settings) if fault == "unsaved" else FaultyLearner(fault=fault, **settings)
        )
    assert_fails(learner_suite(fault), check, message)


def test_a_memory_that_comes_back_otherwise_fails(monkeypatch):
    """Whatever `save` takes comes back, so the fault is put into the loading."""
    from mos_agents.testing import learners
    from mos_agents.trees import filled

    def other(path, template):
        return filled(template, {name: array + 1 for name, array in named(template)})

    monkeypatch.setattr(learners, "load", other)
    made = FaultyLearner(prices=3, features="own")
    assert_fails(learner_suite(made), DISK, "comes back from disk as another one")


def test_every_check_of_the_learner_suite_can_fail_and_a_sound_learner_passes_all():
    own = checks_of(LearnerSuite) - set(dir(PolicySuite))
    written = {name for name in vars(LearnerSuite) if name.startswith("test_")}
    assert {check for check, *_ in LEARNER} == written >= own
    sound = learner_suite(FaultyLearner(prices=3, features="own"))
    for check in checks_of(LearnerSuite) - {"test_it_is_written_down_and_read_back"}:
        getattr(sound, check)()
