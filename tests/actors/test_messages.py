"""A message that does not belong here is refused; a memory survives being written down."""

import random
from array import array
from collections import Counter, defaultdict, deque
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mos_agents.actors.messages import Call, MessageError, Reply, checked_reply
from mos_agents.learners import LEARNERS
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from mos_agents.policies import POLICIES, make
from mos_agents.policies.faults import describe
from mos_agents.trees import flatten, restored, template_of
from tests.actors.worlds import PARTICIPANTS, Recalls
from tests.policies.markets import shop
from tests.policies.test_contract import CASES, tried

CALL = Call("run", 7, "firm_1", 2, np.zeros((3, 4)), np.zeros(3))
REPLY = Reply("run", 7, "firm_1", 2, np.ones((3, 2, 1)))


class Liar(Reply):
    """Says what is wanted until it is asked twice."""

    @property
    def participant(self):
        return "firm_1"


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no picture")

    def __eq__(self, other):
        return True

    __hash__ = None


def test_a_reply_to_the_call_is_taken_as_it_is():
    assert checked_reply(REPLY, CALL) is REPLY


@pytest.mark.parametrize(
    "wrong",
    [
        {"run": "another-run"},
        {"run": b"run"},
        {"run": None},
        {"run": Unshowable()},
        {"tick": 6},
        {"tick": 8},
        {"tick": -1},
        {"tick": 7.0},
        {"tick": True},
        {"tick": "7"},
        {"tick": np.int64(7)},
        {"tick": Unshowable()},
        {"participant": "firm_2"},
        {"participant": "platform"},
        {"participant": "firm_1 "},
        {"participant": "fırm_1"},
        {"participant": ""},
        {"participant": np.str_("firm_1")},
        {"participant": ["firm_1"]},
        {"participant": Unshowable()},
        {"generation": 1},
        {"generation": 3},
        {"generation": 2.0},
        {"generation": None},
        {"fault": None},
        {"fault": 3},
        {"fault": Unshowable()},
        {"fault": b"bytes"},
    ],
    ids=lambda wrong: str({k: type(v).__name__ + " " + describe(v) for k, v in wrong.items()}),
)
def test_a_reply_to_anything_but_the_call_is_refused_in_one_line(wrong):
    with pytest.raises(MessageError) as refusal:
        checked_reply(REPLY._replace(**wrong), CALL)
    assert "\n" not in str(refusal.value) and "firm_1" in str(refusal.value)


@pytest.mark.parametrize(
    "thing",
    [
        None,
        3,
        "reply",
        {},
        tuple(REPLY),
        [REPLY],
        CALL,
        Reply,
        Liar(*REPLY),
        Unshowable(),
        np.ones(3),
        REPLY._asdict(),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_reply_is_refused(thing):
    with pytest.raises(MessageError):
        checked_reply(thing, CALL)


@pytest.mark.parametrize("nasty", [Unshowable(), "a\nb", "x" * 5000, ValueError(), OSError("\n")])
def test_whatever_a_stranger_says_is_told_in_one_short_line(nasty):
    assert len(describe(nasty)) <= 200 and "\n" not in describe(nasty)


# --- memories -------------------------------------------------------------------------------------


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, tuple | list | deque):
        assert getattr(one, "maxlen", None) == getattr(other, "maxlen", None)
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, int | str):
        assert one == other
    elif one is not None:
        a, b = np.asarray(one), np.asarray(other)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def lived(policy, market, ticks):
    """A participant's memory after some ticks of looking at the same market."""
    spec = market.specs[0]
    observation = spec.own(market.first_observation(market.start(4), Streams.of(0, 4).at(0)))
    memory = policy.start(spec, 4)
    for at in range(ticks):
        draws = Streams.of(1, 4, owner=spec.name).at(at)
        _, memory = policy.act(spec, observation.copy(), memory, draws)
    return policy.start(spec, 4), memory


REMEMBERING = {**{case: CASES[case] for case in CASES}, **{k: (shop(), {}) for k in PARTICIPANTS}}


@pytest.mark.parametrize("ticks", [0, 1, 5])
@pytest.mark.parametrize("case", REMEMBERING)
def test_every_policys_memory_is_written_down_and_restored_to_the_bit(case, ticks, strangers):
    market, parameters = REMEMBERING[case]
    template, memory = lived(make(case.split()[0], **parameters), market, ticks)
    assert_same(restored(template, flatten(memory)), memory)


def test_every_registered_policy_is_among_those_whose_memory_was_tried():
    learners = {*LEARNERS, "greedy", "network"}  # theirs are tried in tests/learners
    assert tried(REMEMBERING) >= set(POLICIES) - learners


ARRAYS = some.builds(
    lambda shape, kind: (np.arange(np.prod(shape)) - 1.5).reshape(shape).astype(kind),
    some.lists(some.integers(0, 3), max_size=3).map(tuple),
    some.sampled_from(["f8", "f4", "i8", "u4", "?"]),
)
SINGLE = (
    some.none()
    | some.integers()
    | some.floats()
    | some.booleans()
    | some.text(max_size=3)
    | some.floats(width=32).map(np.float32)
)
MEMORIES = some.recursive(
    ARRAYS | SINGLE,
    lambda part: (
        some.lists(part, max_size=3)
        | some.lists(part, max_size=3).map(tuple)
        | some.builds(deque, some.lists(part, max_size=3), some.none() | some.integers(3, 5))
        | some.dictionaries(some.text(max_size=3) | some.integers(), part, max_size=3)
    ),
    max_leaves=8,
)


@given(MEMORIES, MEMORIES)
def test_a_memory_comes_back_whatever_form_it_had_at_the_start(memory, start):
    assert_same(restored(template_of(start), flatten(memory)), memory)


@given(MEMORIES)
def test_a_memory_with_an_array_too_many_or_too_few_is_refused(memory):
    arrays = flatten(memory)
    with pytest.raises(InputError, match="too many"):
        restored(memory, [*arrays, np.zeros(1)])
    with pytest.raises(InputError, match="too few"):
        restored(memory, arrays[:-1])


@pytest.mark.parametrize("form", [b"", b"3", b"[]", b"{}", b'["dict",3]', b'["x"]', b"[" * 9999])
def test_a_form_that_is_none_is_refused(form):
    with pytest.raises(InputError, match="cannot be read"):
        restored(None, [np.frombuffer(form, np.uint8)])


class TwoObjects(NamedTuple):
    one: object
    two: object


def test_a_named_tuple_comes_back_as_itself_where_it_was_one_at_the_start():
    memory = {"pair": TwoObjects([1], TwoObjects(0.5, "x"))}
    assert_same(restored(template_of(memory), flatten(memory)), memory)
    for other in (None, {"pair": None}, {"pair": (1, 2)}):
        with pytest.raises(InputError, match="use a plain tuple"):
            restored(other, flatten(memory))


def test_a_template_does_not_follow_what_a_policy_writes_to_its_memory():
    memory = {"seen": [TwoObjects(np.ones(2), [])]}
    template = template_of(memory)
    memory["seen"].clear()
    assert_same(restored(template, flatten(whole := {"seen": [TwoObjects(1, 2)]})), whole)


@pytest.mark.parametrize(
    "thing",
    [
        b"bytes",
        object(),
        np.array([object()]),
        np.array(["a"]),
        1j,
        {1, 2},
        lambda: 0,
        np.random.default_rng(0),
        random.Random(0),
        defaultdict(float),
        Counter("a"),
        {(1,): 2},
        np.ma.masked_array([1.0], [True]),
        array("d", [1.0]),
        range(3),
    ],
)
def test_what_would_not_come_back_as_it_was_is_refused_in_one_line(thing):
    with pytest.raises(InputError, match="over actors a policy remembers numbers") as refused:
        flatten((np.zeros(2), {"a": thing}))
    assert "\n" not in str(refused.value)


def test_the_participants_of_these_tests_remember_something():
    _, memory = lived(Recalls(), shop(), 3)
    assert memory["count"] == 3 and len(flatten(memory)) == 4
