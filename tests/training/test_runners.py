"""With workers, what the others have learnt outlives an interruption and the loss of a worker."""

import os
import signal

import pytest

pytestmark = pytest.mark.train
pytest.importorskip("torch")

from mos_agents.training import folder as folders  # noqa: E402
from mos_agents.training import resume, state_codec, train  # noqa: E402
from mos_agents.training.assignment import TrainingAssignment  # noqa: E402
from mos_agents.training.normaliser import calibrate  # noqa: E402
from mos_agents.training.session import TrainingSession  # noqa: E402
from tests.training.worlds import small  # noqa: E402

PLAN = small(workers=2, policies={"firm_2": {"kind": "q_learning", "prices": 5, "alpha": 0.3}})


def clock(snapshot):
    """Ticks that firm_2 has lived."""
    (found,) = (v for k, v in snapshot["episode"].items() if k.endswith("clock"))
    return int(found[0])


def test_a_training_with_workers_goes_on_with_what_the_others_have_learnt(on_cluster, tmp_path):
    cut = train(PLAN, tmp_path, on_progress=lambda record: record["iteration"] == 3)
    assert cut.memories["firm_2"].q.shape[0] % 8 == 0  # 2 workers x 4 markets
    _, data = folders.last_checkpoint(cut.folder)
    kept = state_codec.from_bytes(data, "x")["runners"]
    assert sorted(kept) == [1, 2] and {clock(one) for one in kept.values()} == {3 * 32}
    rest = resume(cut.folder)
    assert rest.memories["firm_2"].clock[0] == 4 * 32
    assert (rest.memories["firm_2"].q != cut.memories["firm_2"].q).any()
    _, data = folders.last_checkpoint(rest.folder)
    kept = state_codec.from_bytes(data, "x")["runners"]
    assert [clock(one) for one in kept.values()] == [4 * 32, 4 * 32]
    assert [one["played"] for one in kept.values()] == [4 * 32, 4 * 32]


def test_who_takes_over_from_a_lost_worker_goes_on_from_what_was_kept(on_cluster):
    assignment = TrainingAssignment.of(PLAN)
    session = TrainingSession(assignment, calibrate(assignment))
    try:
        session.once()
        assert set(session.runners.snapshots()) == {1, 2}
        group = session.algorithm.env_runner_group
        pid = dict(
            group.foreach_env_runner(
                lambda runner: (runner.worker_index, os.getpid()), local_env_runner=False
            )
        )[1]
        os.kill(pid, signal.SIGKILL)
        for _ in range(40):
            session.once()
            if group.num_healthy_remote_workers() == 2 and session.runners._ask("snapshot", [1]):
                break
        (one,) = session.runners._ask("snapshot", [1])
    finally:
        session.close()
    since = one["steps"] // 4
    assert since and clock(one) == 32 + since
    assert one["played"] > 32 + since


def played_with(session):
    """What the learner's policy and the workers' are made of: weights by name, of every worker."""
    keys = [
        k for k in session.module("firm_1").state_dict() if k.startswith(("pi", "encoder.actor"))
    ]
    own = session.module("firm_1").state_dict()
    found = session.algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.module["firm_1"].unwrapped().state_dict(), local_env_runner=False
    )
    return [own[k].numpy() for k in keys], [[one[k].numpy() for k in keys] for one in found]


def test_workers_begin_and_go_on_with_the_learners_weights(on_cluster):
    assignment = TrainingAssignment.of(small(workers=2, actions="continuous"))
    states = []
    for _ in range(2):  # the second goes on from the first
        session = TrainingSession(assignment, calibrate(assignment))
        try:
            for kept in [None, *states]:
                if kept is not None:
                    session.restore(kept)
                own, workers = played_with(session)
                assert len(workers) == 2
                for one in workers:
                    assert [a.tolist() for a in one] == [a.tolist() for a in own]
            session.once()
            states.append(session.state())
        finally:
            session.close()
