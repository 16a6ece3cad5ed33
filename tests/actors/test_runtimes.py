"""The contract of a runtime, over each of them: what is held, asked, told, killed and closed."""

import numpy as np
import pytest

from mos_agents.actors.messages import Call, Reply
from mos_agents.market.streams import Streams
from tests.actors.worlds import Recalls, Stalls, one_shard, undisturbed, with_policy
from tests.policies.markets import shop

BATCH, MARKET = 3, shop()


def parts(name, policy=None, batch=BATCH):
    streams = Streams.of(0, batch, owner=name)
    return (("run", MARKET.spec(name), policy or Recalls(), streams, 0),)


def calls(name, at, batch=BATCH):
    observation = MARKET.first_observation(MARKET.start(batch), Streams.of(0, batch).at(0))
    return ([Call("run", at, name, 0, MARKET.spec(name).own(observation), np.zeros(batch))],)


def test_a_runtime_keeps_its_contract(runtime):
    names = ("firm_1", "firm_2", "firm_3")
    handles = {name: runtime.start(parts(name), name) for name in names}

    def asked(verb, *arguments, of=names, deadline=None):
        return runtime.ask([(handles[n], verb, arguments) for n in of], deadline)

    # Answers come in the order of the questions, from those who were asked.
    assert [answer.value for answer in asked("ready")] == [[name] for name in names]
    first = runtime.ask([(handles[n], "decide", calls(n, 0)) for n in reversed(names)], 60.0)
    assert all(answer.ok and answer.seconds >= 0.0 for answer in first)
    replies = {answer.value[0].participant: answer.value[0] for answer in first}
    assert list(replies) == list(reversed(names))
    assert all(type(reply) is Reply and reply.fault == "" for reply in replies.values())
    # The same tick again is the same reply.
    again = runtime.ask([(handles["firm_1"], "decide", calls("firm_1", 0))], None)[0].value[0]
    assert again.action.tobytes() == replies["firm_1"].action.tobytes()
    # An error is told in one line, beside the good answers of others, and nobody dies of it.
    wrong, right = runtime.ask(
        [
            (handles["firm_1"], "decide", calls("firm_1", 5)),
            (handles["firm_2"], "decide", calls("firm_2", 1)),
        ],
        None,
    )
    assert "gap" in wrong.error and "\n" not in wrong.error and not (wrong.dead or wrong.late)
    assert right.ok and right.value[0].tick == 1
    forged = runtime.ask([(handles["firm_1"], "decide", calls("firm_2", 2))], None)[0]
    assert "is not in this worker" in forged.error
    # What is told is done before what is asked later, and its failure is nobody's.
    runtime.send(handles["firm_3"], "catch_up", *[calls("firm_3", 1)[0] + calls("firm_3", 2)[0]])
    runtime.send(handles["firm_3"], "catch_up", *calls("firm_2", 2))
    assert asked("decide", *calls("firm_3", 3), of=["firm_3"])[0].value[0].tick == 3
    # A snapshot goes into another worker, which then answers alike.
    kept = asked("snapshot", of=["firm_3"])[0].value
    other = runtime.start(parts("firm_3"), "other")
    assert runtime.ask([(other, "restore", (kept,))], None)[0].ok
    both = runtime.ask(
        [(h, "decide", calls("firm_3", 4)) for h in (handles["firm_3"], other)], None
    )
    assert both[0].value[0].action.tobytes() == both[1].value[0].action.tobytes()
    # The killed are dead, the others live; nothing is asked of nobody.
    runtime.kill(handles["firm_1"])
    runtime.kill(handles["firm_1"])
    dead, alive, _ = asked("ready")
    assert dead.dead and not dead.ok and alive.ok
    runtime.send(handles["firm_1"], "ready")
    assert runtime.ask([], None) == [] and runtime.ask([], 1.0) == []
    runtime.close()
    assert all(answer.dead for answer in asked("ready"))
    runtime.close()


MANY = 20_000
"""Markets of which a call is more than a socket holds."""


def test_what_one_who_is_late_was_asked_is_done_before_what_it_is_asked_next(runtime):
    worker = runtime.start(parts("firm_1", Stalls(at=0, seconds=2.0), MANY), "slow")
    assert runtime.ask([(worker, "ready", ())], None)[0].ok
    for at in range(5):
        runtime.ask([(worker, "decide", calls("firm_1", at, MANY))], 0.0)
    assert runtime.ask([(worker, "snapshot", ())], None)[0].value["firm_1"].tick == 4


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("own_cluster")
def test_one_by_line_is_not_late_for_one_who_is_asked_by_ray_and_hangs():
    from mos_agents.actors.ray.runtime import RayRuntime

    runtime = RayRuntime()
    well = runtime.start(parts("firm_1", Recalls(), MANY), "well")
    hangs = runtime.start(parts("firm_2", Stalls(at=1), MANY), "hangs")
    runtime._links[hangs]._far = True
    try:
        assert all(a.ok for a in runtime.ask([(h, "ready", ()) for h in (well, hangs)], None))
        # However long a busy machine needs, there is a deadline within which it answers.
        for at, limit in enumerate([None, *(2.0**n for n in range(9))]):
            answers = runtime.ask(
                [
                    (well, "decide", calls("firm_1", at, MANY)),
                    (hangs, "decide", calls("firm_2", at, MANY)),
                ],
                limit,
            )
            if at and answers[0].ok:
                break
        assert runtime._links[well]._channel is not None and answers[0].ok and answers[1].late
    finally:
        runtime.close()


@pytest.mark.parametrize("workers", [2])
def test_participants_with_memories_play_the_same_over_each_runtime(runtime, workers, strangers):
    scenario = with_policy("firm_1", "recalls", with_policy("platform", "writes_over"))
    shard = one_shard(scenario, runtime, workers=workers)
    shard.start()
    shard.advance(7)
    for record in shard.supervisor.records:
        runtime.kill(record.handle)
    shard.supervisor.collect_snapshots()
    shard.advance(7)
    shard.supervisor.collect_snapshots()
    runtime.kill(shard.supervisor.records[-1].handle)
    shard.advance(3)
    assert shard.digest.hexdigest() == undisturbed(scenario, 17, 3)
