"""A participant answers a tick once, and comes back from its memory as if never away."""

import numpy as np
import pytest

import mos_agents
from mos_agents.actors.messages import Call, MessageError
from mos_agents.actors.participant import Participant, Snapshot, Worker, checked_memories
from mos_agents.market.streams import Streams
from mos_agents.policies import make
from mos_agents.policies.base import Policy
from mos_agents.rollout import ParticipantPool, transitions
from tests.actors.worlds import PARTICIPANTS
from tests.policies.markets import shop
from tests.policies.test_contract import CASES
from tests.policies.test_contract import everybody as alike

BATCH = 4
EVERYBODY = {**CASES, **{kind: (shop(), {}) for kind in ("recalls", "writes_over")}}


def bits(reply):
    return reply.action.tobytes(), reply.action.shape, reply[:4], reply.fault


@pytest.fixture(params=EVERYBODY)
def play(request, strangers):
    """A maker of equal participants, and the calls that it gets in a market where all are alike."""
    market, parameters = EVERYBODY[request.param]
    policy, spec = make(request.param.split()[0], **parameters), market.specs[0]
    everybody = alike(market, policy)
    calls = [
        Call(
            "run",
            transition.before.tick,
            spec.name,
            0,
            spec.own(transition.observation).copy(),
            transition.step.reward[:, 0],
        )
        for transition in transitions(market, everybody, seed=5, ticks=9, markets=BATCH)
    ]

    def born(generation=0):
        streams = Streams.of(5, BATCH, owner=spec.name)
        return Participant("run", spec, policy, streams, generation)

    return born, calls


def test_the_same_tick_gets_the_same_reply(play):
    born, calls = play
    one, other = born(), born()
    for call in calls:
        first = one.decide(call)
        assert one.decide(call) is first
        assert one.decide(call._replace(observation=call.observation * 2.0)) is first
        assert bits(other.decide(call)) == bits(first) and first.fault == ""


def test_an_older_tick_is_refused_and_a_gap_is_an_error(play):
    born, calls = play
    one = born()
    with pytest.raises(MessageError, match="gap"):
        one.decide(calls[1])
    for call in calls[:4]:
        one.decide(call)
    before = one.snapshot()
    for wrong, why in ((calls[2], "is over"), (calls[0], "is over"), (calls[5], "gap")):
        with pytest.raises(MessageError, match=why):
            one.decide(wrong)
    with pytest.raises(MessageError, match="gap"):
        one.catch_up([calls[6]])
    after = one.snapshot()
    assert after.tick == before.tick == 3
    assert [a.tobytes() for a in after.memory] == [a.tobytes() for a in before.memory]


@pytest.mark.parametrize(
    "forged", [{"run": "other"}, {"participant": "firm_2"}, {"generation": 1}, {"generation": -1}]
)
def test_a_call_to_another_run_name_or_life_is_refused_and_leaves_no_trace(play, forged):
    born, calls = play
    one, other = born(), born()
    one.decide(calls[0])
    other.decide(calls[0])
    with pytest.raises(MessageError, match=next(iter(forged))):
        one.decide(calls[1]._replace(**forged))
    assert bits(one.decide(calls[1])) == bits(other.decide(calls[1]))


@pytest.mark.parametrize("at", [0, 1, 4, 8])
@pytest.mark.parametrize("kept", [None, 0, 3])
def test_a_new_life_with_snapshot_and_past_calls_goes_on_with_the_same_bits(play, at, kept):
    born, calls = play
    one, later = born(), born(generation=3)
    kept = None if kept is None or kept >= at else kept
    for call in calls[:at]:
        one.decide(call)
        if call.tick == kept:
            later.restore(one.snapshot())
    past = [c._replace(generation=3) for c in calls[:at]]
    assert later.catch_up(past) == at - 1
    for call in calls[at:]:
        expected, found = one.decide(call), later.decide(call._replace(generation=3))
        assert bits(found)[:2] == bits(expected)[:2] and found.generation == 3
    memories = one.snapshot().memory, later.snapshot().memory
    assert [a.tobytes() for a in memories[0]] == [a.tobytes() for a in memories[1]]


def test_a_snapshot_stays_as_it_was_when_the_participant_goes_on(play):
    born, calls = play
    one = born()
    one.decide(calls[0])
    kept = one.snapshot()
    before = [a.tobytes() for a in kept.memory]
    for array in kept.memory:
        array.flags.writeable = False  # as what comes in a message may be
    other = born()
    other.restore(kept)
    for call in calls[1:]:
        assert bits(one.decide(call)) == bits(other.decide(call))
    assert [a.tobytes() for a in kept.memory] == before


# --- policies that fail ---------------------------------------------------------------------------


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("nor can it be told")


FAILURES = [
    ValueError(),
    RuntimeError("two\nlines"),
    UnprintableError(),
    SystemExit(1),
    OSError("x" * 999),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda f: type(f).__name__)
def test_a_policy_that_fails_costs_a_move_and_is_told_in_one_line(failure, strangers):
    market, policy = shop(), make("recalls")
    spec = market.specs[0]
    one = Participant("run", spec, policy, Streams.of(0, BATCH, owner=spec.name))
    observation = spec.own(
        market.first_observation(market.start(BATCH), Streams.of(0, BATCH).at(0))
    )
    calls = [Call("run", t, spec.name, 0, observation, np.zeros(BATCH)) for t in range(3)]
    one.decide(calls[0])
    before = [a.tobytes() for a in one.snapshot().memory]

    def fails(*_):
        raise failure

    object.__setattr__(policy, "act", fails)
    reply = one.decide(calls[1])
    assert reply.action is None and reply.fault and "\n" not in reply.fault
    assert len(reply.fault) <= 200
    object.__delattr__(policy, "act")
    assert [a.tobytes() for a in one.snapshot().memory] == before
    assert one.decide(calls[2]).fault == ""


# --- workers --------------------------------------------------------------------------------------


def a_worker(names=("firm_1", "firm_2")):
    market = shop()
    policy = PARTICIPANTS["recalls"]()
    return market, Worker(
        [Participant("run", market.spec(n), policy, Streams.of(0, BATCH, owner=n)) for n in names]
    )


def test_participants_under_one_roof_answer_as_they_would_alone():
    market, worker = a_worker()
    observation = market.first_observation(market.start(BATCH), Streams.of(0, BATCH).at(0))
    calls = [
        Call("run", 0, n, 0, market.spec(n).own(observation), np.zeros(BATCH))
        for n in ("firm_2", "firm_1")
    ]
    together = worker.decide(calls)
    alone = [a_worker((c.participant,))[1].decide([c])[0] for c in calls]
    assert [bits(r) for r in together] == [bits(r) for r in alone]
    with pytest.raises(MessageError, match="is not in this worker"):
        worker.decide([calls[0]._replace(participant="firm_3")])


GOOD = [np.zeros(3)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        7,
        {"firm_1": Snapshot(4, GOOD)},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(4, GOOD), "firm_3": Snapshot(4, GOOD)},
        {"firm_1": Snapshot(4, GOOD), "firm_3": Snapshot(4, GOOD)},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(3, GOOD)},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(4.0, GOOD)},
        {"firm_1": Snapshot(4, GOOD), "firm_2": (4, GOOD)},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(4, tuple(GOOD))},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(4, [np.array([object()])])},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(4, [np.array(["text"])])},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(4, [3.0])},
        {"firm_1": Snapshot(4, GOOD), "firm_2": Snapshot(4, [np.zeros(2).view(np.recarray)])},
        {"firm_1": Snapshot(4, GOOD), 2: Snapshot(4, GOOD)},
    ],
)
def test_a_host_cannot_put_anything_but_its_own_numbers_on_the_disk(value):
    with pytest.raises(MessageError):
        checked_memories(value, ["firm_1", "firm_2"], 4)


def test_plain_memories_of_the_right_tick_are_taken():
    _, worker = a_worker()
    value = worker.snapshot()
    assert checked_memories(value, ["firm_1", "firm_2"], -1) is value


class Stumbling(Policy):
    """Counts the rewards that it hears; at odd ticks it fails at acting."""

    def start(self, spec, batch):
        return (np.zeros(1),)

    def learn(self, spec, observation, reward, memory, draws):
        return (memory[0] + 1.0,)

    def act(self, spec, observation, memory, draws):
        if memory[0][0] % 2.0 == 0.0:
            raise ValueError("stumbled")
        return np.full((len(observation), *spec.action_shape), 10.0), memory


def test_what_was_heard_is_remembered_as_in_the_loop_where_acting_upon_it_fails():
    market = mos_agents.retail()
    spec, policies = (
        market.specs[0],
        {name: {"kind": "hold"} for name in market.layout.participants},
    )
    policies[spec.name] = Stumbling()
    looped = ParticipantPool.of(market, policies, 0, BATCH, on_fault="hold")
    for _ in transitions(market, policies, ticks=5, markets=BATCH, pool=looped):
        pass
    actor = Participant("run", spec, Stumbling(), Streams.of(0, BATCH, owner=spec.name))
    for at in range(5):
        actor.decide(Call("run", at, spec.name, 0, np.zeros((2, spec.size)), np.zeros(2)))
    assert actor.memory[0].tolist() == looped.memories[0][0].tolist() == [5.0]
