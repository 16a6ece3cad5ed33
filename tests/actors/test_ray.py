"""Over a real cluster: the same bits, also when processes are killed; nobody waits for a sleeper;
nothing is left running; nothing answers without the token."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from mos_agents import scenarios
from mos_agents.actors.ray.answers import answers
from mos_agents.actors.ray.runtime import RayRuntime
from mos_agents.actors.ray.shards import ActorDied, RayShards
from mos_agents.actors.ray.worker import unpack_address
from tests.actors.processes import asked_without_a_token, descendants, listeners, listening, titled
from tests.actors.worlds import SHOP, driven, driver, one_shard, record_of, undisturbed, with_policy
from tests.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("own_cluster")]

TICKS, MARKETS = 30, 4


@pytest.mark.parametrize(
    ("preset", "count", "workers"),
    [
        ("retail", 1, 0),
        ("market_making", 2, 1),
        pytest.param("retail", 2, 2, marks=pytest.mark.chaos),
    ],
)
def test_a_run_over_ray_has_the_hash_of_the_loop(preset, count, workers, tmp_path):
    scenario = scenarios.load(preset)
    made = driven(
        scenario,
        TICKS,
        MARKETS,
        RayShards(),
        count=count,
        workers=workers,
        folder=str(tmp_path),
        checkpoint_every=20,
        died=ActorDied,
    )
    assert made.hash == undisturbed(scenario, TICKS, MARKETS)
    assert not made.health.counts and made.health.shard_restarts == 0
    assert set(made.health.seconds) == set(scenario.policies())
    gone("ray::WorkerActor"), gone("ray::ShardActor")


def gone(title):
    """Wait until no process of that title is left."""
    eventually(lambda: not titled(title), f"still running: {title}")


KILLS = {9: "ray::WorkerActor", 20: "ray::ShardActor", 50: "ray::ShardActor"}
"""By tick, what is killed: a worker, and the clearing house before and after a checkpoint."""


def test_killed_processes_are_restarted_and_the_hash_is_the_same(tmp_path):
    made = driver(
        SHOP,
        80,
        2,
        RayShards(),
        folder=str(tmp_path),
        checkpoint_every=30,
        died=ActorDied,
        workers=2,
    )
    for tick in made.run():
        if tick.tick in KILLS:
            victims = titled(KILLS[tick.tick])
            os.kill(random.Random(tick.tick).choice(victims), signal.SIGKILL)
    assert made.hash == undisturbed(SHOP, 80, 2)
    restarted = {n for n, c in made.health.counts.items() if c.get("restarted") == 1}
    assert restarted in ({"platform", "firm_2"}, {"firm_1"})  # those of one worker
    assert made.health.shard_restarts == 2


@pytest.mark.chaos
def test_kills_in_the_middle_of_ticks_change_nothing(tmp_path):
    """A second thread kills while ticks run: a worker, then the clearing house."""
    made = driver(
        SHOP, 3000, 2, RayShards(), folder=str(tmp_path), checkpoint_every=500, died=ActorDied
    )
    done = threading.Event()

    def kill():
        for title in ("ray::WorkerActor", "ray::ShardActor"):
            if not done.wait(0.7) and (victims := titled(title)):
                os.kill(victims[0], signal.SIGKILL)

    run = made.run()
    next(run)
    killer = threading.Thread(target=kill)
    killer.start()
    given = [0, *(tick.tick for tick in run)]
    done.set()
    killer.join()
    assert given == list(range(3000)) and made.hash == undisturbed(SHOP, 3000, 2)
    assert made.health.shard_restarts == 1


HANGS = ["sleeps", pytest.param("loops", marks=pytest.mark.chaos), "is stopped"]


def hanging(how, deadline):
    """A shard in which firm_1 hangs from some tick on; in its second life too, where it is stopped.

    Gives what brings it to the next tick, until the firm is withdrawn.
    """
    lives = 2 if how == "is stopped" else 1
    stalls = with_policy("firm_1", {"kind": "stalls", "loops": how == "loops"})
    runtime = RayRuntime()
    shard = one_shard(
        SHOP if how == "is stopped" else stalls,
        runtime,
        deadline=deadline,
        restarts=lives - 1,
        patience=3,
        workers=2,  # firm_1 alone in its own
    )
    record, stopped = record_of(shard, "firm_1"), set()
    try:
        shard.start()
        while "firm_1" not in shard.clearing_house.withdrawn:
            handle = record.handle
            if how == "is stopped" and record.started_at is None and handle not in stopped:
                answer = runtime.ask([(handle, "location", ())], None)[0]
                os.kill(answer.value[1], signal.SIGSTOP)
                stopped.add(handle)
            yield shard, partial(shard.advance, 1)
        counts = shard.advance(5).counts["firm_1"]
        assert counts.get("restarted", 0) == lives - 1 and counts["late"] >= 3 * 2 * lives
    finally:
        shard.close()
    gone("ray::WorkerActor")


@pytest.mark.parametrize("how", HANGS)
def test_one_that_hangs_is_late_and_then_withdrawn_and_the_ticks_go_on(how, strangers):
    """It never answers, and yet every tick comes to its end."""
    ticks = 0
    for shard, advance in hanging(how, deadline=1.0):
        advance()
        ticks += 1
        assert shard.clearing_house.tick == ticks < 10_000
    assert ticks >= 3


@pytest.mark.chaos
@pytest.mark.parametrize("how", ["sleeps", "loops", "is stopped"])
def test_nobody_waits_longer_than_the_deadline_for_one_that_hangs(how, strangers):
    """Seconds, on a machine that does nothing else: 99 in 100 ticks within the deadline + 0.1."""
    deadline, late = 0.3, []
    for _ in range(12):
        for shard, advance in hanging(how, deadline):
            if shard.clearing_house.tick < 5:
                advance()
                continue
            begin = time.monotonic()
            advance()
            late.append(time.monotonic() - begin)
    worst = sorted(late)[int(0.99 * (len(late) - 1))]
    print(
        f"\n{how}: {len(late)} ticks, 99 in 100 within {worst:.3f} s, longest {max(late):.3f} s, "
        f"deadline {deadline} s"
    )
    assert worst < deadline + 0.1


def test_hosts_on_this_machine_get_their_ticks_over_channels_and_nothing_listens_after():
    """Any other request closes a channel, and the next tick opens another. The bits are those of a
    run by Ray alone. A listener closes once its caller is in."""
    hashes = []
    for runtime, workers in ((RayRuntime(), 2), (RayRuntime(channels=False), 1)):
        shard = one_shard(SHOP, runtime, workers=workers)
        shard.start()
        for _ in range(3):
            shard.advance(20)
            channels = [link._channel for link in runtime._links.values()]
            assert len(channels) == workers and all(
                (c is not None) == runtime._channels for c in channels
            )
            if runtime._channels:
                assert all(c._requests >= 15 for c in channels) and not listeners(descendants())
            assert shard.supervisor.collect_snapshots()
            assert all(link._channel is None for link in runtime._links.values())
        shard.close()
        hashes.append(shard.digest.hexdigest())
    assert hashes == [undisturbed(SHOP, 60, 3)] * 2 and not listeners(descendants())


def test_a_killed_worker_leaves_no_socket_behind():
    """One that runs, one that is stopped, and one that is stopped with a caller at its socket."""
    runtime = RayRuntime()
    shard = one_shard(SHOP, runtime)
    shard.start()
    waiting = [(link._address, unpack_address) for link in runtime._links.values()]
    paths = [found.value[0] for found in answers(waiting, None)]  # open, and nobody has come in yet
    assert all(map(os.path.exists, paths))
    _, stopped, called = runtime._links
    for handle, answer in zip(
        (stopped, called),
        runtime.ask([(stopped, "location", ()), (called, "location", ())], None),
        strict=True,
    ):
        assert runtime._links[handle]._channel is None
        os.kill(answer.value[1], signal.SIGSTOP)
    assert runtime._links[called].channel() is not None  # connected, but nobody accepts
    shard.close()
    assert not any(os.path.exists(os.path.dirname(path)) for path in paths)
    gone("ray::WorkerActor")


def test_what_listens_refuses_whoever_has_no_token():
    """All that listens in a run of its own, and why.

    The cluster's table (`gcs_server`), the node's manager and its store of objects (`raylet`) and
    every worker listen by gRPC: that is how Ray's processes talk to each other. All of them ask for
    the token before they look at a request. The agent for runtime environments listens by HTTP. All
    of this is on the loopback interface (test_joining.py). The driver listens nowhere. A worker
    listens at a socket in a folder that only this user may enter, until its clearing house has come
    in (above).
    """
    import ray

    shard = one_shard(SHOP, RayRuntime(), workers=1)
    shard.start()
    below = descendants()
    sockets = listening([os.getpid(), *below])
    assert not [s for s in sockets if s[0] == os.getpid()]
    requests = {
        "gcs_server": [
            "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
            "/ray.rpc.InternalKVGcsService/InternalKVKeys",
        ],
        "raylet": [
            "/ray.rpc.NodeManagerService/GetNodeStats",
            "/ray.rpc.ObjectManagerService/Pull",
        ],
        "ray::": [
            "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
            "/ray.rpc.CoreWorkerService/PushTask",
        ],
    }
    token, met = os.environ["RAY_AUTH_TOKEN"], set()
    for pid, address, port in sockets:
        title = below[pid].split()[0]
        if "Agent" in title:
            answer = plain_http(address, port)
            assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 403", b"HTTP/1.1 404")), answer
            continue
        known = next(name for name in requests if name in title)
        refused = 0
        for path in requests[known]:
            for wrong in (None, "wrong", token[:-1] + "x"):
                answer = asked_without_a_token(address, port, path, wrong)
                # 16 is UNAUTHENTICATED; 12 is a service that does not live at this port.
                assert b"grpc-status\x020" not in answer and b"grpc-status\x010" not in answer
                refused += b"grpc-status\x0216" in answer
        if refused:
            met.add(known)
        assert refused in (0, 3, 6)
    assert met == set(requests)
    gcs = ray.get_runtime_context().gcs_address.rsplit(":", 1)
    answer = asked_without_a_token(gcs[0], int(gcs[1]), requests["gcs_server"][0], token)
    assert b"grpc-status\x0216" not in answer and b"Authentication" not in answer
    shard.close()


def plain_http(address, port):
    import socket

    host = "127.0.0.1" if address == "0.0.0.0" else address
    with socket.create_connection((host, port), PATIENCE) as line:
        body = b"{}"
        line.sendall(
            b"POST /get_or_create_runtime_env HTTP/1.1\r\nHost: here\r\n"
            b"Content-Length: 2\r\nConnection: close\r\n\r\n" + body
        )
        return line.recv(4096)


JOIN = """
import sys
from mos_agents.actors.ray.cluster import cluster
with cluster(sys.argv[1]):
    print("in")
"""


def test_a_wrong_token_does_not_get_into_the_cluster():
    import ray

    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    answer = subprocess.run(
        [sys.executable, "-c", JOIN, address],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert answer.returncode != 0 and "in\n" not in answer.stdout
    assert "InputError" in answer.stderr


ALONE = """
import sys
from mos_agents.actors.ray.cluster import cluster
from mos_agents.actors.ray.shards import ActorDied, RayShards
from tests.actors.processes import descendants
from tests.actors.worlds import SHOP, driven
with cluster():
    driven(SHOP, 20, 2, RayShards(), died=ActorDied, workers=1)
    print("below", *descendants())
"""


def test_nothing_is_left_running_after_a_run():
    answer = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=PATIENCE
    )
    assert answer.returncode == 0, answer.stderr
    pids = [int(p) for p in answer.stdout.rpartition("below")[2].split()]
    assert len(pids) >= 3  # the table, the node, its workers
    eventually(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), "still running")
