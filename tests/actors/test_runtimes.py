"""The contract of a runtime, over each of them: what is held, asked, told, killed and closed."""

import numpy as np
import pytest

from mos_agents.actors.messages import Call
from mos_agents.market.streams import Streams
from mos_agents.testing import RuntimeSuite
from tests.actors.worlds import Recalls, Stalls, one_shard, undisturbed, with_policy
from tests.policies.markets import shop

BATCH, MARKET = 3, shop()


def parts(name, policy=None, batch=BATCH):
    streams = Streams.of(0, batch, owner=name)
    return (("run", MARKET.spec(name), policy or Recalls(), streams, 0),)


def calls(name, at, batch=BATCH):
    observation = MARKET.first_observation(MARKET.start(batch), Streams.of(0, batch).at(0))
    return ([Call("run", at, name, 0, MARKET.spec(name).own(observation), np.zeros(batch))],)


class TestEveryRuntime(RuntimeSuite):
    @pytest.fixture(autouse=True)
    def _runtime(self, runtime):
        self.make, self.policy = lambda: runtime, Recalls


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
