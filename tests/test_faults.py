"""What a policy of one's own does wrong: raised with its line, or counted and told first."""

import asyncio
import copy
import pickle
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import market_making_v0, retail_v0
from envs.batched import BatchedMarket
from envs.single_agent import gymnasium_env, gymnasium_vector_env
from mos_agents import scenarios
from mos_agents.market.faults import Fault, added_up, by_kind, headline
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.policies.base import Policy
from mos_agents.policies.guard import reason_of
from mos_agents.rollout import (
    ON_FAULT,
    PolicyFault,
    compare_policies,
    forced_deviation,
    log_decisions,
    play,
    rollout,
    transitions,
)
from mos_agents.runs import fault_facts, fault_lines
from tests.policies.markets import shop

HOLD = make("hold")
NAMES = ("firm_1", "firm_2", "firm_3")


@dataclass(frozen=True)
class Own(Policy):
    """A policy of one's own that does `what(action)` from tick `at` on."""

    what: Any
    at: int = 0
    kind = "own"
    atomic = True

    def start(self, spec, batch):
        return 0

    def act(self, spec, observation, memory, draws):
        action = observation[:, spec.where["own_ask"], None]
        return (self.what(action), memory) if draws.tick >= self.at else (action, memory)

    def propensity(self, spec, observation, action, memory):
        return np.ones(len(observation))


def raising(error):
    def what(action):
        raise error  # the user's own line

    return what


class ErrorWithoutText(Exception):
    def __str__(self):
        raise SystemExit("no words")


class OwnInterrupt(KeyboardInterrupt):
    """Raised by a policy itself, which is no Ctrl-C."""


CLASSES = [
    RuntimeError("a bug"),
    ValueError(),
    KeyError("missing"),
    ZeroDivisionError(),
    StopIteration(),
    StopAsyncIteration(),
    MemoryError("much"),
    RecursionError(),
    AssertionError("not so"),
    NotImplementedError(),
    OSError(2, "no such file"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "y"),
    GeneratorExit(),
    SystemExit(0),
    SystemExit("bye"),
    asyncio.CancelledError(),
    BaseException("b"),
    OwnInterrupt(),
    InputError("of their own"),
    ErrorWithoutText(),
    ExceptionGroup("two", [ValueError()]),
    BaseExceptionGroup("two", [SystemExit()]),
    RuntimeError("two\nlines\x1b[31m"),
]


class Explodes:
    def __array__(self, *_, **__):
        raise GeneratorExit("within numpy")


WRONG = {
    "NaN": (lambda a: a * np.nan, "not a finite number"),
    "infinite": (lambda a: a + np.inf, "not a finite number"),
    "too few": (lambda a: a[:, :1], "must be"),
    "too many": (lambda a: np.repeat(a, 2, axis=0), "must be"),
    "text": (lambda a: "dear", "type"),
    "nothing": (lambda a: None, "type"),
    "ragged": (lambda a: [[1.0], [1.0, 2.0]], "no array"),
    "complex": (lambda a: a + 1j, "type"),
    "booleans": (lambda a: a > 0, "type"),
    "objects": (lambda a: a.astype(object), "type"),
    "dates": (lambda a: a.astype("datetime64[s]"), "type"),
    "explodes": (lambda a: Explodes(), "GeneratorExit"),
}


@dataclass(frozen=True)
class ReturnsNoMemory(Own):
    def act(self, spec, observation, memory, draws):
        return self.what(observation[:, spec.where["own_ask"], None])


@dataclass(frozen=True)
class LearnsBadly(Own):
    def learn(self, spec, observation, reward, memory, draws):
        if draws.tick >= self.at:
            self.what(reward)
        return memory


@dataclass(frozen=True)
class BadStart(Own):
    def start(self, spec, batch):
        return self.what(batch)


def everybody(**others):
    return {**dict.fromkeys(NAMES, HOLD), **others}


# --- raising --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", CLASSES, ids=lambda e: type(e).__name__)
def test_a_fault_of_any_class_raises_by_default_with_the_users_own_line(error):
    with pytest.raises(PolicyFault) as caught:
        rollout(shop(), everybody(firm_2=Own(raising(error), at=3)), ticks=6, markets=2)
    fault = caught.value
    assert (fault.participant, fault.tick) == ("firm_2", 3)
    assert fault.__cause__ is error
    shown = (
        "".join(traceback.format_exception(fault.__cause__))
        if not isinstance(error, ErrorWithoutText)
        else "raise error  # the user's own line"
    )
    assert "raise error  # the user's own line" in shown
    message = str(fault)
    assert message.startswith("firm_2: its policy failed at tick 3: ")
    assert type(error).__name__ in message and f"({Path(__file__).name}:" in message
    assert message.isprintable() or "\x1b" not in message
    assert "\n" not in message


@pytest.mark.parametrize("how", WRONG)
def test_an_action_that_is_none_raises_and_names_the_function_that_returned_it(how):
    what, message = WRONG[how]
    with pytest.raises(PolicyFault, match=message) as caught:
        rollout(shop(), everybody(firm_1=Own(what, at=2)), ticks=6, markets=2)
    assert (caught.value.participant, caught.value.tick) == ("firm_1", 2)
    if how != "explodes":
        assert f"returned by Own.act ({Path(__file__).name}:" in str(caught.value)


@pytest.mark.parametrize("what", [lambda a: a, lambda a: (a,), lambda a: [a, None], lambda a: None])
def test_what_is_no_pair_of_action_and_memory_is_told_as_that(what):
    with pytest.raises(PolicyFault, match=r"act returned a \w+, must be a pair \(action, memory\)"):
        rollout(shop(), everybody(firm_1=ReturnsNoMemory(what)), ticks=1, markets=2)


@pytest.mark.parametrize("error", CLASSES, ids=lambda e: type(e).__name__)
def test_a_fault_in_learning_raises_as_well(error):
    with pytest.raises(PolicyFault, match="firm_3: its policy failed at tick 2") as caught:
        rollout(shop(), everybody(firm_3=LearnsBadly(raising(error), at=2)), ticks=4)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("on_fault", ON_FAULT)
def test_a_policy_that_cannot_begin_raises_whatever_faults_do_later(on_fault):
    policies = everybody(firm_1=BadStart(raising(SystemExit(3))))
    with pytest.raises(PolicyFault, match="firm_1: its policy cannot start: System"):
        rollout(shop(), policies, ticks=1, on_fault=on_fault)
    with pytest.raises(InputError, match="glft decides the offset"):  # it does not fit: as before
        rollout(shop(), everybody(firm_1=make("glft")), ticks=1, on_fault=on_fault)


@pytest.mark.parametrize("on_fault", ON_FAULT)
def test_the_users_own_interrupt_is_nobodys_fault(on_fault):
    import signal

    def what(action):
        signal.raise_signal(signal.SIGINT)
        return action

    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            rollout(shop(), everybody(firm_1=Own(what)), ticks=1, on_fault=on_fault)
    finally:
        signal.signal(signal.SIGINT, former)


BROKEN = everybody(firm_2=Own(raising(RuntimeError("a bug")), at=1))


@pytest.mark.parametrize(
    "call",
    [
        lambda **k: list(play(shop(), BROKEN, ticks=3, **k)),
        lambda **k: list(transitions(shop(), BROKEN, ticks=3, **k)),
        lambda **k: rollout(shop(), BROKEN, ticks=3, **k),
        lambda **k: log_decisions(shop(), BROKEN, "firm_1", ticks=3, markets=2, **k),
        lambda **k: compare_policies(
            shop(),
            {"a": BROKEN["firm_2"]},
            participant="firm_2",
            others=everybody(),
            ticks=3,
            markets=2,
            **k,
        ),
    ],
)
def test_every_loop_raises_by_default_holds_when_asked_and_refuses_other_words(call):
    with pytest.raises(PolicyFault, match="firm_2: its policy failed at tick 1: RuntimeError"):
        call()
    for on_fault in ("hold", "withdraw"):
        call(on_fault=on_fault)
    for wrong in ("ignore", None, True, "Raise"):
        with pytest.raises(InputError, match=r"on_fault=.* must be one of raise, hold, withdraw"):
            call(on_fault=wrong)


def test_a_forced_deviation_of_policies_that_fail_raises():
    with pytest.raises(PolicyFault):
        forced_deviation(shop(), BROKEN, "firm_1", 12.0, shock=2, ticks=4)


def test_a_comparison_names_the_candidate_that_fails():
    candidates = {"sound": HOLD, "broken": Own(raising(ValueError("no price")))}
    with pytest.raises(PolicyFault) as caught:
        compare_policies(
            shop(), candidates, participant="firm_1", others=everybody(), markets=2, ticks=3
        )
    assert "while the candidate 'broken' was played" in caught.value.__notes__


def test_the_error_travels_between_processes():
    fault = PolicyFault("firm_1", 7, "ValueError: x (mine.py:3)", "Own.act (mine.py:1)")
    for one in (pickle.loads(pickle.dumps(fault)), copy.copy(fault)):
        assert str(one) == str(fault) and (one.participant, one.tick) == ("firm_1", 7)


def test_the_line_that_is_named_is_the_users_and_not_a_librarys():
    def what(action):
        return np.linalg.inv(np.zeros((2, 2)))

    line = what.__code__.co_firstlineno + 1
    with pytest.raises(PolicyFault, match=rf"LinAlgError: .*\({Path(__file__).name}:{line}\)"):
        rollout(shop(), everybody(firm_1=Own(what)), ticks=1)


@given(st.text(max_size=400))
@settings(max_examples=60, deadline=None)
def test_a_reason_is_one_line_whatever_the_error_says(words):
    try:
        raise RuntimeError(words)
    except RuntimeError as error:
        reason = reason_of(error)
    assert "\n" not in reason and len(reason) < 400 and reason.startswith("RuntimeError")


# --- playing on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [*WRONG, *(type(e).__name__ for e in CLASSES)])
def test_a_held_fault_costs_the_decision_and_is_the_first_line(how):
    named = {type(e).__name__: raising(e) for e in CLASSES}
    what = WRONG[how][0] if how in WRONG else named[how]
    kept = {"ticks": 5, "markets": 3, "series": ("ask", "reward"), "on_fault": "hold"}
    failed = rollout(shop(), everybody(firm_2=Own(what, at=2)), **kept)
    standing = rollout(shop(), everybody(firm_2=Own(lambda a: a)), **kept)
    for name in kept["series"]:
        assert np.array_equal(failed.series[name], standing.series[name])
    (fault,) = failed.faults
    assert (fault.participant, fault.first_tick, fault.decisions) == ("firm_2", 2, 9)
    assert str(failed).startswith("FAULTS of firm_2: 9 of 15 decisions lost (9 ")
    assert standing.faults == () and not str(standing).startswith("FAULTS")


def test_a_comparison_of_a_candidate_that_does_nothing_but_fail_says_so_first():
    """The candidate ties with its baseline to the last digit: by failing, not by being as good."""
    candidates = {"hold": HOLD, "mine": Own(raising(TypeError("price")))}
    found = compare_policies(
        shop(),
        candidates,
        participant="firm_1",
        others=everybody(),
        markets=4,
        ticks=5,
        on_fault="hold",
    )
    assert found.row("mine").difference == 0.0
    first = str(found).splitlines()[0]
    assert first.startswith("mine: FAULTS of firm_1: 20 of 20 decisions lost (20 TypeError), first")
    assert f"TypeError: price ({Path(__file__).name}:" in first


def test_a_comparison_says_first_whose_quotes_the_market_did_not_take():
    candidates = {"hold": HOLD, "far": Own(lambda a: a * 0.0 + 1e7)}
    found = compare_policies(
        shop(), candidates, participant="firm_1", others=everybody(), markets=2, ticks=5
    )
    assert str(found).startswith(
        "far: REFUSED to firm_1: 10 of 10 quotes (10 outside the limits of an action)"
    )
    alone = rollout(shop(), everybody(firm_1=candidates["far"]), ticks=5, markets=2)
    assert str(alone).startswith("REFUSED to firm_1: 10 of 10 quotes")


@pytest.mark.parametrize("seed", [0, 1])
def test_who_is_withdrawn_has_no_quotes_from_the_tick_of_the_fault_on(seed):
    kept = {"ticks": 6, "markets": 2, "seed": seed, "series": ("ask_size", "sold")}
    broken = everybody(firm_2=Own(raising(SystemExit()), at=3))
    run = rollout(shop(sampled=True), broken, on_fault="withdraw", **kept)
    own = shop().spec("firm_2").listings
    assert (run.series["ask_size"][:3, :, own] > 0.0).all()
    assert (run.series["ask_size"][3:, :, own] == 0.0).all()
    assert (run.series["sold"][3:, :, own] == 0.0).all()
    (fault,) = run.faults
    assert (fault.first_tick, fault.decisions) == (3, 2)  # once a market: then nobody is asked
    assert run.refused == {"firm_2": {"not a finite number": 2}} or run.refused == {}


def test_a_withdrawal_is_of_the_markets_in_which_the_policy_failed():
    def once(action):
        action[1] = np.nan
        return action

    broken = everybody(firm_2=Own(once, at=1))
    kept = {"ticks": 4, "series": ("ask_size", "reward"), "on_fault": "withdraw"}
    run = rollout(shop(), broken, markets=3, **kept)
    own = shop().spec("firm_2").listings
    there = (run.series["ask_size"][-1][:, own] > 0.0).all(axis=1)
    assert there.tolist() == [True, False, True]
    assert run.faults[0].decisions == 1
    alone = rollout(shop(), everybody(), markets=np.array([0, 2]), **kept)
    assert np.array_equal(run.series["reward"][:, [0, 2]], alone.series["reward"])


def test_lines_about_faults_name_the_worst_first_and_the_kinds_by_number():
    faults = [
        Fault("a", "ValueError: x (m.py:1)", 4, 2),
        Fault("b", "not a finite number", 2, 30),
        Fault("b", "KeyError: 'y' (m.py:2)", 1, 5),
        Fault("b", "action of type bool must be numbers of shape (1, 2, 1)", 3, 7),
        Fault("b", "late", 9, 1),
    ]
    assert headline(faults, 100) == [
        "FAULTS of b: 43 of 100 decisions lost (30 not a finite number, 7 wrong action, "
        "5 KeyError, 1 late), first at tick 1: KeyError: 'y' (m.py:2)",
        "FAULTS of a: 2 of 100 decisions lost (2 ValueError), first at tick 4: ValueError: x "
        "(m.py:1)",
    ]
    assert headline([]) == []
    assert by_kind(added_up([*faults, *faults])) == {
        "not a finite number": 60,
        "wrong action": 14,
        "KeyError": 10,
        "ValueError": 4,
        "late": 2,
    }
    facts = {"ticks": 50, "markets": 2, "faults": fault_facts(faults)}
    assert fault_lines(facts) == headline(faults, 100)


def test_lines_about_actors_count_decisions_lost_and_leave_out_what_the_market_refused():
    facts = {
        "ticks": 10,
        "markets": 2,
        "withdrawn": ["c"],
        "trouble": {
            "a": {"failed": 3, "late": 1, "refused": 9},
            "b": {"refused": 4, "restarted": 1},
            "c": {"failed": 6, "not finite": 2},
        },
    }
    assert fault_lines(facts) == [
        "FAULTS of c: 8 of 20 decisions lost (6 failed, 2 not finite); withdrawn",
        "FAULTS of a: 4 of 20 decisions lost (3 failed, 1 late)",
    ]
    assert fault_lines({"ticks": 10, "markets": 2}) == []


# --- in environments ------------------------------------------------------------------------------

RIVAL = {"agents": ["platform"], "products": 1, "firms": 1}


@pytest.mark.parametrize("runtime", ["local", "actors"])
@pytest.mark.parametrize("how", ["raises", "NaN", "too many"])
def test_a_rival_that_fails_ends_the_episode_of_an_environment(how, runtime):
    what = raising(KeyError("price")) if how == "raises" else WRONG[how][0]
    policies = {"firm_1": Own(what, at=2)}
    env = retail_v0.parallel_env(**RIVAL, policies=policies, runtime=runtime)
    price = {"platform": env.market.spec("platform").opening_price}
    for seed in (0, 1):
        env.reset(seed=seed)
        env.step(price), env.step(price)
        with pytest.raises(PolicyFault, match="firm_1: its policy failed at tick 2: ") as caught:
            env.step(price)
        assert caught.value.participant == "firm_1" and caught.value.tick == 2
        if how == "raises":
            assert f"KeyError: 'price' ({Path(__file__).name}:" in str(caught.value)
        assert env.agents == []
        with pytest.raises(InputError, match=r"the episode is over or not begun; call reset\(\)"):
            env.step(price)


@pytest.mark.parametrize("runtime", ["local", "actors"])
def test_the_views_of_an_environment_raise_as_well(runtime):
    policies = {"firm_2": Own(raising(GeneratorExit()), at=1)}
    more = {"policies": policies, "actions": "discrete", "runtime": runtime}
    batch = BatchedMarket("pricing_game", 3, agents=["firm_1"], **more)
    one = gymnasium_env("pricing_game", "firm_1", **more)
    many = gymnasium_vector_env("pricing_game", "firm_1", 3, **more)
    for env, levels in ((batch, np.zeros((3, 1), int)), (one, 0), (many, np.zeros(3, int))):
        env.reset(seed=0)
        env.step(levels)
        with pytest.raises(PolicyFault, match=r"firm_2: .*tick 1: GeneratorExit"):
            env.step(levels)
        with pytest.raises(InputError, match="over or not begun"):
            env.step(levels)


@pytest.mark.parametrize("on_fault", ["hold", "withdraw"])
@pytest.mark.parametrize("how", ["raises", "NaN", "some", "too many"])
def test_environments_over_actors_play_on_as_the_loop_does(how, on_fault):
    def some(action):
        action[::2] = np.nan
        return action

    what = {"raises": raising(OSError("gone")), "some": some}.get(how) or WRONG[how][0]
    made = [
        BatchedMarket(
            "pricing_game",
            3,
            agents=["firm_1"],
            actions="discrete",
            runtime=runtime,
            policies={"firm_2": Own(what, at=2)},
            on_fault=on_fault,
            horizon=6,
        )
        for runtime in ("local", "actors")
    ]
    for _ in range(2):
        one, two = (env.reset(seed=3) for env in made)
        assert one.tobytes() == two.tobytes()
        for _ in range(6):
            one, two = (env.step(np.full((3, 1), 7)) for env in made)
            assert one[0].tobytes() == two[0].tobytes() and one[1].tobytes() == two[1].tobytes()
        assert made[0].faults == made[1].faults
        (fault,) = made[0].faults
        bad = 2 if how == "some" else 3
        assert fault.decisions == (bad * 4 if on_fault == "hold" else bad)


@pytest.mark.parametrize(
    "make",
    [
        retail_v0.parallel_env,
        market_making_v0.parallel_env,
        lambda **k: BatchedMarket("auction", **k),
        lambda **k: gymnasium_env("auction", "bidder_1", **k),
    ],
)
@pytest.mark.parametrize("runtime", ["local", "actors"])
def test_an_environment_refuses_another_word_for_faults(make, runtime):
    with pytest.raises(InputError, match="on_fault='ignore' must be one of raise, hold, withdraw"):
        make(on_fault="ignore", runtime=runtime)


@pytest.mark.parametrize("runtime", ["local", "actors"])
def test_a_policy_that_cannot_begin_is_told_at_reset(runtime):
    policies = {"firm_1": BadStart(raising(SystemExit("no data")))}
    env = retail_v0.parallel_env(**RIVAL, policies=policies, runtime=runtime)
    with pytest.raises((PolicyFault, InputError), match="firm_1: its policy cannot start"):
        env.reset(seed=0)


def test_sweeps_say_in_their_notes_what_failed():
    from mos_agents.sweeps.trials import play_market

    place = scenarios.override(scenarios.load("pricing_game"), ["ticks=4"])
    policies = place.policies() | {"firm_2": Own(raising(ValueError("x")), at=1)}
    row = play_market(place.market(), policies, seed=0, markets=2)
    assert row.notes[0].startswith("FAULTS of firm_2: 6 of 8 decisions lost (6 ValueError)")
    assert row.measures["faults"] == 6
